//! Options of `start` that concern HTTP: where it listens, whom it lets in, what it bears.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use super::{descriptors, seconds};
use crate::cli::password;
use crate::http::auth::Credentials;
use crate::http::body::{BodyLimits, Budget};
use crate::http::serve::ConnectionLimits;
use crate::http::state::HttpOptions;
use crate::http::token::WebhookToken;

pub(in crate::cli) const DEFAULT_PORT: u16 = 9090;

#[derive(Debug, Args)]
#[command(next_help_heading = "HTTP")]
pub(super) struct NetworkArgs {
    #[arg(short, long, env = "PORT", default_value_t = DEFAULT_PORT)]
    pub(super) port: u16,
    /// Address to listen on
    #[arg(long, default_value = "0.0.0.0")]
    pub(super) host: String,
    /// User that every request must name [default: `$BASIC_AUTH_USER`, `$ML_SERVER_BASIC_AUTH_USER`]
    #[arg(long, value_name = "USER")]
    pub(super) basic_auth_user: Option<String>,
    /// Password that every request must bring [default: `$BASIC_AUTH_PASS`, `$ML_SERVER_BASIC_AUTH_PASS`]
    #[arg(long, value_name = "PASSWORD")]
    pub(super) basic_auth_pass: Option<String>,
    /// Part of the server's address: under /TOKEN/ Label Studio's webhook needs no password
    #[arg(
        long,
        value_name = "TOKEN",
        env = "LABEL_STUDIO_ML_WEBHOOK_TOKEN",
        hide_env_values = true
    )]
    webhook_token: Option<String>,
    /// Answer with an error, which names each place, where Label Studio would drop or hide predictions
    #[arg(long, conflicts_with = "debug")]
    strict: bool,
    /// Leave tracebacks of user code out of error answers
    #[arg(long)]
    hide_tracebacks: bool,
    /// Largest request body in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = positive())]
    max_body: u64,
    /// Room in MiB for the bodies of all requests together [default: four times --max-body]
    #[arg(long, value_name = "MIB", value_parser = positive())]
    max_bodies: Option<u64>,
    /// Longest pause in seconds of a client that sends a body; on average it must send 1 KiB a second
    #[arg(long, value_name = "S", default_value_t = 30.0)]
    body_timeout: f64,
    /// Longest time in seconds from the first byte of a request to the end of its head
    #[arg(long, value_name = "S", default_value_t = 30.0)]
    header_timeout: f64,
    /// Largest head of a request in KiB
    #[arg(long, value_name = "KIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=256))]
    max_header_size: u32,
    /// Longest time in seconds that a connection without a request is kept
    #[arg(long, value_name = "S", default_value_t = 75.0)]
    idle_timeout: f64,
    /// Longest time in seconds in which a client takes no byte of its answer
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    write_timeout: f64,
    /// Connections at a time; at most what the system's limit on open files leaves room for
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_connections: u32,
    /// Longest time in seconds that /setup waits for a model to load
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    setup_timeout: f64,
}

impl NetworkArgs {
    /// What every request must bring.
    pub(super) fn credentials(&self) -> Result<Option<Credentials>> {
        let (user, password) = (self.basic_auth_user.as_deref(), self.basic_auth_pass.as_deref());
        let found = password::find(user, password)?;
        Ok(found.map(|(user, password)| Credentials::new(&user, &password)))
    }

    /// What the handlers go by. `model_dir` is known here only where the user chose it.
    pub(super) fn options(
        &self,
        model_dir: Option<PathBuf>,
        batching: bool,
    ) -> Result<HttpOptions> {
        Ok(HttpOptions {
            hide_tracebacks: self.hide_tracebacks,
            batching,
            strict: self.strict,
            model_dir,
            body: self.body()?,
            setup_wait: seconds(self.setup_timeout),
            credentials: self.credentials()?,
            webhook_token: self.webhook_token()?,
        })
    }

    /// The part of the address that stands for a password at the webhook. The value is checked here,
    /// since clap would print it.
    pub(super) fn webhook_token(&self) -> Result<Option<WebhookToken>> {
        let given = self.webhook_token.as_deref().filter(|token| !token.is_empty());
        Ok(given.map(WebhookToken::new).transpose()?)
    }

    fn body(&self) -> Result<BodyLimits> {
        let all = self.max_bodies.unwrap_or(self.max_body.saturating_mul(4));
        if all < self.max_body {
            bail!("--max-bodies {all} leaves no room for one body of --max-body {}", self.max_body);
        }
        Ok(BodyLimits {
            each: mebibytes(self.max_body),
            pause: timeout(self.body_timeout),
            all: Budget::shared(mebibytes(all)),
        })
    }

    /// What connections may take. `others`: descriptors that the server needs besides.
    pub(super) fn connections(&self, others: u64) -> ConnectionLimits {
        ConnectionLimits {
            connections: descriptors::room(self.max_connections.into(), others),
            header_timeout: timeout(self.header_timeout),
            header_size: (self.max_header_size as usize) << 10,
            idle_timeout: timeout(self.idle_timeout),
            write_timeout: timeout(self.write_timeout),
        }
    }
}

fn positive() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=1 << 20)
}

fn mebibytes(given: u64) -> usize {
    usize::try_from(given << 20).unwrap_or(usize::MAX)
}

/// A time that is waited for: none at all would refuse everybody.
fn timeout(given: f64) -> Duration {
    seconds(given).max(Duration::from_millis(1))
}
