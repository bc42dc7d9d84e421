//! Options of `start` that concern the processes that predict: how many there are, what each computes at a
//! time, when they are replaced.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::worker_count::{self, WorkerCount};
use crate::cli::values::{seconds, whole};
use crate::workers::fair_queue::QueueBounds;
use crate::workers::pool::{Pool, WorkerCapacity};
use crate::workers::supervision::{RolloutOrder, SupervisionPolicy, WorkerLimits};

#[derive(Debug, Args)]
#[command(next_help_heading = "Workers")]
pub(super) struct WorkerArgs {
    /// Number of processes that predict; `auto`: one per core, as far as 1 GiB of memory is free for each
    #[arg(long, value_name = "N", env = "WORKERS", default_value = "1", value_parser = worker_count::parse)]
    pub(super) workers: WorkerCount,
    /// Number of predictions that one process computes at a time [default: 8, with --max-batch-size 1]
    #[arg(long, value_name = "N", env = "THREADS", value_parser = whole::<usize>(1..=256), hide_short_help = true)]
    threads: Option<usize>,
    /// Call `predict` once for all requests that wait, with up to N of their tasks; 0: once per request
    #[arg(long, value_name = "N", env = "MAX_BATCH_SIZE", default_value_t = 0, value_parser = whole::<usize>(0..=4096), hide_short_help = true)]
    max_batch_size: usize,
    /// Maximum number of models that stay loaded; each project and labelling config has its own
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = whole::<usize>(1..=u32::MAX.into()), hide_short_help = true)]
    pub(super) max_instances: usize,
    /// Create an instance of the model class for every request, as the original package does (API v2)
    #[arg(long, hide_short_help = true)]
    pub(super) fresh_instances: bool,
    /// Number of spare workers: they have imported the script, and replace a worker that dies
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole::<usize>(0..=256), hide_short_help = true)]
    spare_workers: usize,
    /// Load the models in spare workers too; that takes memory, also on a graphics card
    #[arg(long, hide_short_help = true)]
    load_spare_workers: bool,
}

impl WorkerArgs {
    pub(super) fn pool(&self, bounds: QueueBounds) -> Arc<Pool> {
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
        self.threads.unwrap_or(if self.batch() > 0 { 1 } else { 8 })
    }

    /// Maximum number of tasks of several requests in one call; 0: each request has its own.
    pub(super) fn batch(&self) -> usize {
        if self.max_batch_size > 1 { self.max_batch_size } else { 0 }
    }

    /// How workers are kept.
    pub(super) fn care(&self, replacing: &ReplacingArgs) -> SupervisionPolicy {
        SupervisionPolicy {
            limits: replacing.limits(),
            rollout: replacing.rollout.into(),
            spares: self.spare_workers,
            loaded_spares: self.load_spare_workers,
        }
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Replacing workers")]
pub(super) struct ReplacingArgs {
    /// Replace a worker after N predictions, without failing a request; 0: never
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole::<u64>(0..=u64::MAX), hide_short_help = true)]
    max_requests: u64,
    /// Replace a worker after this many seconds; 0: never
    #[arg(long, value_name = "S", default_value = "0", value_parser = seconds, hide_short_help = true)]
    max_worker_age: Duration,
    /// Replace a worker that uses more memory than this, in MiB, and kill one that uses half as much again;
    /// 0: no limit
    #[arg(long, value_name = "MIB", default_value_t = 0, value_parser = whole::<u64>(0..=u64::MAX), hide_short_help = true)]
    max_worker_rss: u64,
    /// Kill and replace a worker whose interpreter is blocked for this many seconds; loading time does not
    /// count; 0: never
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds, hide_short_help = true)]
    gil_timeout: Duration,
    /// Whether new workers load before the old ones end, after a training of API v2 or when a worker is
    /// replaced; `auto`: unless a graphics card lacks room for both
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = RolloutChoice::Auto, hide_short_help = true)]
    rollout: RolloutChoice,
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

impl ReplacingArgs {
    fn limits(&self) -> WorkerLimits {
        let unless_zero = |given: u64| (given > 0).then_some(given);
        let time = |given: Duration| Some(given).filter(|time| *time > Duration::ZERO);
        WorkerLimits {
            stuck: time(self.gil_timeout),
            requests: unless_zero(self.max_requests),
            age: time(self.max_worker_age),
            memory: unless_zero(self.max_worker_rss).map(|mib| mib.saturating_mul(1 << 20)),
        }
    }
}
