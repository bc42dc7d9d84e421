//! Options of `start` that bound how many predictions wait for a worker, and how long everything may take.

use std::time::Duration;

use clap::Args;

use crate::cli::values::{positive_seconds, seconds, whole};
use crate::serving::deadlines::Deadlines;
use crate::workers::fair_queue::QueueBounds;

#[derive(Debug, Args)]
#[command(next_help_heading = "Queue and timeouts")]
pub(super) struct WaitingArgs {
    /// Maximum number of predictions that wait for a worker; further ones get a 503 at once
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = whole::<usize>(1..=u32::MAX.into()), hide_short_help = true)]
    max_queue: usize,
    /// The same limit for the predictions of one project [default: half of --max-queue]
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..=u32::MAX.into()), hide_short_help = true)]
    max_queue_per_project: Option<usize>,
    /// Seconds that a prediction waits for a worker; then it gets a 503
    #[arg(long, value_name = "S", default_value = "100", value_parser = positive_seconds, hide_short_help = true)]
    queue_timeout: Duration,
    /// Cancel a prediction after this many seconds if its client has disconnected
    #[arg(long, value_name = "S", default_value = "100", value_parser = positive_seconds, hide_short_help = true)]
    predict_timeout: Duration,
    /// Cancel any prediction after this many seconds; it gets a 504
    #[arg(long, value_name = "S", default_value = "3600", value_parser = positive_seconds, hide_short_help = true)]
    predict_hard_timeout: Duration,
    /// Seconds that /setup waits for a model to load
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds, hide_short_help = true)]
    pub(super) setup_timeout: Duration,
    /// Seconds that running predictions have to finish when the server stops
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds, hide_short_help = true)]
    pub(super) drain_timeout: Duration,
}

impl WaitingArgs {
    pub(super) fn bounds(&self) -> QueueBounds {
        let per_project = self.max_queue_per_project.unwrap_or(self.max_queue.div_ceil(2));
        QueueBounds { total: self.max_queue, per_project }
    }

    pub(super) fn deadlines(&self) -> Deadlines {
        Deadlines {
            queue: self.queue_timeout,
            abandoned: self.predict_timeout,
            run: self.predict_hard_timeout,
        }
    }
}
