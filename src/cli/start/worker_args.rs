//! Options of `start` that concern the processes that predict: how many, how long they may take, how
//! they are renewed.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::seconds;
use super::workers::{self, Workers};
use crate::serving::deadlines::Deadlines;
use crate::workers::fair_queue::QueueBounds;
use crate::workers::pool::{Pool, WorkerCapacity};
use crate::workers::supervision::{RolloutOrder, SupervisionPolicy, WorkerLimits};

#[derive(Debug, Args)]
#[command(next_help_heading = "Workers")]
pub(super) struct WorkerArgs {
    /// Processes that answer predictions; auto: one for each core, as far as there is 1 GiB of free memory
    /// for each
    #[arg(long, value_name = "N", env = "WORKERS", default_value = "1", value_parser = workers::parse)]
    pub(super) workers: Workers,
    /// Predictions that one process answers at a time [default: 8, with --max-batch-size 1]
    #[arg(long, env = "THREADS", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Call `predict` once for requests that wait at the same time, with up to N tasks of theirs; 0: each has
    /// a call of its own
    #[arg(long, value_name = "N", env = "MAX_BATCH_SIZE", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=4096))]
    max_batch_size: u16,
    /// Models that are kept loaded at a time, one for each project and labelling config
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_instances: u32,
    /// Make an instance of the model for every request (API v2), as the original does
    #[arg(long)]
    pub(super) fresh_instances: bool,
    /// Longest time in seconds that a prediction waits for a worker; then 503
    #[arg(long, value_name = "S", default_value_t = 100.0, value_parser = positive)]
    queue_timeout: f64,
    /// Predictions that may wait for a worker at a time; more are answered 503 at once
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    max_queue: u32,
    /// The same for the predictions of one project [default: half of --max-queue]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_queue_per_project: Option<u32>,
    /// Seconds after which a prediction is cancelled if its client hung up
    #[arg(long, value_name = "S", default_value_t = 100.0, value_parser = positive)]
    predict_timeout: f64,
    /// Seconds after which any prediction is cancelled; then 504
    #[arg(long, value_name = "S", default_value_t = 3600.0, value_parser = positive)]
    predict_hard_timeout: f64,
    /// Seconds after which a worker is ended whose interpreter lets no thread in, but for loading; 0:
    /// never
    #[arg(long, value_name = "S", default_value_t = 60.0, value_parser = not_negative)]
    gil_timeout: f64,
    /// Workers that have imported the script, and take the place of one that died
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=256))]
    spare_workers: u16,
    /// Have spare workers load the models too, which takes memory, on a graphics card as well
    #[arg(long)]
    load_spare_workers: bool,
    /// Predictions after which a worker is renewed, without a failed request; 0: never
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_requests: u64,
    /// Seconds after which a worker is renewed; 0: never
    #[arg(long, value_name = "S", default_value_t = 0.0, value_parser = not_negative)]
    max_worker_age: f64,
    /// Memory in MiB above which a worker is renewed, and above one and a half of which it is ended at
    /// once; 0: no limit
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    max_worker_rss: u64,
    /// Whether new workers are loaded before the old ones end, when a training of API v2 wrote files or
    /// a worker is renewed; auto: not if a graphics card has no room for both
    #[arg(long, value_enum, default_value_t = RolloutChoice::Auto)]
    rollout: RolloutChoice,
    /// Longest time in seconds that running predictions may take when the server stops
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    drain_timeout: f64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RolloutChoice {
    StartFirst,
    StopFirst,
    Auto,
}

impl From<RolloutChoice> for RolloutOrder {
    fn from(chosen: RolloutChoice) -> Self {
        match chosen {
            RolloutChoice::StartFirst => Self::StartFirst,
            RolloutChoice::StopFirst => Self::StopFirst,
            RolloutChoice::Auto => Self::Auto,
        }
    }
}

impl WorkerArgs {
    pub(super) fn pool(&self) -> Arc<Pool> {
        let total = usize::try_from(self.max_queue).unwrap_or(usize::MAX);
        let per_project = self.max_queue_per_project.and_then(|most| usize::try_from(most).ok());
        let per_project = per_project.unwrap_or(total.div_ceil(2));
        let bounds = QueueBounds { total, per_project };
        let places = match self.batch() {
            0 => WorkerCapacity::of_threads(self.threads()),
            // While one batch runs, the next one gathers.
            batch => WorkerCapacity {
                thread_safe: 2 * batch * self.threads(),
                not_thread_safe: 2 * batch,
            },
        };
        Pool::new(self.workers.number.into(), places, bounds)
    }

    /// Predictions that one process makes at a time.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or(if self.batch() > 0 { 1 } else { 8 }, usize::from)
    }

    /// Most tasks of several requests in one call; 0: each request has its own.
    pub(super) fn batch(&self) -> usize {
        if self.max_batch_size > 1 { self.max_batch_size.into() } else { 0 }
    }

    pub(super) fn deadlines(&self) -> Deadlines {
        Deadlines {
            queue: seconds(self.queue_timeout),
            abandoned: seconds(self.predict_timeout),
            run: seconds(self.predict_hard_timeout),
        }
    }

    /// How long running predictions may take when the server stops.
    pub(super) fn drain_timeout(&self) -> Duration {
        seconds(self.drain_timeout)
    }

    /// How workers are kept.
    pub(super) fn care(&self) -> SupervisionPolicy {
        let unless_zero = |given: u64| (given > 0).then_some(given);
        let time = |given: f64| Some(seconds(given)).filter(|time| *time > Duration::ZERO);
        SupervisionPolicy {
            limits: WorkerLimits {
                stuck: time(self.gil_timeout),
                requests: unless_zero(self.max_requests),
                age: time(self.max_worker_age),
                memory: unless_zero(self.max_worker_rss).map(|mib| mib.saturating_mul(1 << 20)),
            },
            rollout: self.rollout.into(),
            spares: self.spare_workers.into(),
            loaded_spares: self.load_spare_workers,
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match not_negative(text)? {
        0.0 => Err("must be more than 0".into()),
        seconds => Ok(seconds),
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds >= 0.0 && seconds.is_finite() => Ok(seconds),
        _ => Err("must be a number of seconds".into()),
    }
}
