//! Options of `start` that concern training: what is kept, which events are trained, where `fit` runs.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::values::{seconds, whole};
use crate::store::jobs::enqueue::Policy;
use crate::training::runner::TrainingOptions;

#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(super) struct TrainingArgs {
    /// Number of versions to keep for each project [default: all]
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..=u32::MAX.into()))]
    keep_versions: Option<usize>,
    /// MiB on the disk for files of earlier versions (API v2), so that one can go back to them; the oldest give way
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = whole::<u64>(0..=1 << 32), hide_short_help = true)]
    keep_versions_mib: u64,
    /// Which webhook events are trained where several of a project wait: `latest` trains once, with the newest,
    /// `all` with each in order [default: latest for API v1, all for API v2]
    #[arg(long, value_enum, value_name = "WHICH", hide_short_help = true)]
    training_queue: Option<TrainingQueue>,
    /// Where `fit` runs: in a process of its own, or in the worker that predicts, for models that keep
    /// everything in memory (needs --workers 1)
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = FitIn::Process, hide_short_help = true)]
    fit_in: FitIn,
    /// Niceness of the training process, 0 to 19; `idle`: it runs only when the CPU is otherwise idle
    #[arg(long, value_name = "N", default_value = "idle", value_parser = niceness, hide_short_help = true)]
    train_nice: Niceness,
    /// Seconds that the training process waits for the next job before it ends
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds, hide_short_help = true)]
    train_linger: Duration,
    /// Seconds that a training may continue when the server stops; then the job goes back to the queue and
    /// starts over after the next start
    #[arg(long, value_name = "S", default_value = "0", value_parser = seconds, hide_short_help = true)]
    train_drain_timeout: Duration,
    /// Seconds to wait for another server to release the model folder
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds, hide_short_help = true)]
    lock_wait: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Niceness {
    Idle,
    Of(i32),
}

fn niceness(given: &str) -> Result<Niceness, String> {
    match given.parse() {
        _ if given == "idle" => Ok(Niceness::Idle),
        Ok(nice @ 0..=19) => Ok(Niceness::Of(nice)),
        _ => Err("is not a whole number from 0 to 19 or idle".into()),
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TrainingQueue {
    Latest,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FitIn {
    Process,
    Worker,
}

impl TrainingArgs {
    /// Whether `fit` runs inside the worker that predicts.
    pub(super) fn is_in_worker(&self) -> bool {
        self.fit_in == FitIn::Worker
    }

    /// Niceness of training; none where it runs only on idle processors.
    pub(super) fn niceness(&self) -> Option<i32> {
        match self.train_nice {
            Niceness::Idle => None,
            Niceness::Of(nice) => Some(nice),
        }
    }

    /// Which waiting events are trained; none where the API version of the class decides.
    pub(super) fn policy(&self) -> Option<Policy> {
        self.training_queue.map(|chosen| match chosen {
            TrainingQueue::Latest => Policy::Latest,
            TrainingQueue::All => Policy::All,
        })
    }

    pub(super) fn options(&self) -> TrainingOptions {
        TrainingOptions {
            lock_wait: self.lock_wait,
            linger: self.train_linger,
            drain: self.train_drain_timeout,
            keep_versions: self.keep_versions,
            keep_bytes: self.keep_versions_mib << 20,
            in_worker: self.is_in_worker(),
            port: None,
        }
    }
}
