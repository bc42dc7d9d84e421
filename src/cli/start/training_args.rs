//! Options of `start` that concern training: where it runs, what waits, what is kept.

use clap::{Args, ValueEnum};

use super::seconds;
use crate::store::jobs::enqueue::Policy;
use crate::training::runner::TrainingOptions;

#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(super) struct TrainingArgs {
    /// What becomes of webhook events while others of their project wait: `latest` trains once with
    /// the newest, `all` on each in order [default: latest for API v1, all for API v2]
    #[arg(long, value_enum)]
    training_queue: Option<TrainingQueue>,
    /// Versions of each project that are kept [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_versions: Option<u32>,
    /// How long in seconds the training worker stays for the next job
    #[arg(long, value_name = "S", default_value_t = 30.0)]
    train_linger: f64,
    /// Niceness of training, 0 to 19; `idle`: it computes while no other process wants to
    #[arg(long, value_name = "N", default_value = "idle", value_parser = niceness)]
    train_nice: Niceness,
    /// Where fit runs: in a process of its own, or inside the worker that predicts, for models that
    /// keep everything in memory (needs --workers 1)
    #[arg(long, value_enum, default_value_t = FitIn::Process)]
    fit_in: FitIn,
    /// Longest time in seconds that training may go on when the server stops; then it goes back to the
    /// queue, and is done again after the next start
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    train_drain_timeout: f64,
    /// How long in seconds to wait for another server to let go of the model folder
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    lock_wait: f64,
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
        _ => Err("must be a number from 0 to 19, or `idle`".into()),
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

    /// How nice training is; none where it takes what is left.
    pub(super) fn niceness(&self) -> Option<i32> {
        match self.train_nice {
            Niceness::Idle => None,
            Niceness::Of(nice) => Some(nice),
        }
    }

    /// What becomes of events that wait; none where the API of the class decides.
    pub(super) fn policy(&self) -> Option<Policy> {
        self.training_queue.map(|chosen| match chosen {
            TrainingQueue::Latest => Policy::Latest,
            TrainingQueue::All => Policy::All,
        })
    }

    pub(super) fn options(&self) -> TrainingOptions {
        TrainingOptions {
            lock_wait: seconds(self.lock_wait),
            linger: seconds(self.train_linger),
            drain: seconds(self.train_drain_timeout),
            keep_versions: self.keep_versions.and_then(|keep| usize::try_from(keep).ok()),
            in_worker: self.is_in_worker(),
        }
    }
}
