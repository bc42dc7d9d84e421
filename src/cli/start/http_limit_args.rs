//! Options of `start` that limit the size and time of requests, and the number of connections.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use super::descriptors;
use crate::cli::values::{seconds, whole};
use crate::http::connections::ConnectionLimits;
use crate::http::{BodyBudget, BodyLimits};

/// Largest size of a body, in MiB.
const MAX_MIB: u64 = 1 << 20;
/// A timeout of zero would refuse every client.
const SHORTEST: Duration = Duration::from_millis(1);

#[derive(Debug, Args)]
#[command(next_help_heading = "HTTP limits")]
pub(super) struct HttpLimitArgs {
    /// Maximum size of a request body, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = whole::<u64>(1..=MAX_MIB), hide_short_help = true)]
    max_body: u64,
    /// Memory for the bodies of all requests together, in MiB [default: four times --max-body]
    #[arg(long, value_name = "MIB", value_parser = whole::<u64>(1..=MAX_MIB), hide_short_help = true)]
    max_bodies: Option<u64>,
    /// Maximum size of the head of a request, in KiB
    #[arg(long, value_name = "KIB", default_value_t = 64, value_parser = whole::<usize>(1..=256), hide_short_help = true)]
    max_header_size: usize,
    /// Maximum number of open connections; the system's limit on open files may allow fewer
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = whole::<u64>(1..=1_000_000), hide_short_help = true)]
    max_connections: u64,
    /// Seconds that a client may take from the first byte of a request to the end of its head
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds, hide_short_help = true)]
    header_timeout: Duration,
    /// Seconds that a client may pause while it sends a body; on average it must send 1 KiB a second
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds, hide_short_help = true)]
    body_timeout: Duration,
    /// Close the connection if the client reads nothing of its answer for this many seconds
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds, hide_short_help = true)]
    write_timeout: Duration,
    /// Close a connection that has had no request for this many seconds
    #[arg(long, value_name = "S", default_value = "75", value_parser = seconds, hide_short_help = true)]
    idle_timeout: Duration,
}

impl HttpLimitArgs {
    pub(super) fn body(&self) -> Result<BodyLimits> {
        let all = self.max_bodies.unwrap_or(self.max_body.saturating_mul(4));
        if all < self.max_body {
            bail!("--max-bodies {all} leaves no room for one body of --max-body {}", self.max_body);
        }
        Ok(BodyLimits {
            each: mebibytes(self.max_body),
            pause: self.body_timeout.max(SHORTEST),
            all: BodyBudget::shared(mebibytes(all)),
        })
    }

    /// Limits of connections. `others`: file descriptors that the server needs for other purposes.
    pub(super) fn connections(&self, others: u64) -> ConnectionLimits {
        ConnectionLimits {
            connections: descriptors::room(self.max_connections, others),
            header_timeout: self.header_timeout.max(SHORTEST),
            header_size: self.max_header_size << 10,
            idle_timeout: self.idle_timeout.max(SHORTEST),
            write_timeout: self.write_timeout.max(SHORTEST),
        }
    }
}

fn mebibytes(given: u64) -> usize {
    usize::try_from(given << 20).unwrap_or(usize::MAX)
}
