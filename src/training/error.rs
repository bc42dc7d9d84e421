//! Why a job made no version, and what becomes of it.

use thiserror::Error;
use tokio::task::JoinError;

use crate::serving::ServingError;
use crate::store::db::DbError;
use crate::store::jobs::transitions::Outcome;
use crate::store::versions::StoreError;
use crate::workers::worker::{StartError, WorkerError};

/// Runs of a job that may end with the death of their worker: one is tried again.
const MOST_DEATHS: u32 = 2;

#[derive(Debug, Error)]
pub enum TrainingError {
    #[error(transparent)]
    Serving(#[from] ServingError),
    #[error("the training worker could not start: {0}")]
    Start(#[from] StartError),
    #[error("{0}")]
    Worker(#[from] WorkerError),
    #[error("the training worker {0}")]
    Died(String),
    #[error("model folder: {0}")]
    Versions(#[from] StoreError),
    #[error("job store: {0}")]
    Db(#[from] DbError),
    #[error("the payload of the job cannot be read: {0}")]
    Payload(#[from] serde_json::Error),
    #[error("a thread of the server ended early: {0}")]
    Thread(#[from] JoinError),
    /// The class has changed since the event was queued.
    #[error("ignored: {0}")]
    Ignored(String),
    #[error("cancelled")]
    Cancelled,
    /// The server stops.
    #[error("interrupted")]
    Interrupted,
}

impl TrainingError {
    /// The traceback of user code, where there is one.
    pub fn traceback(&self) -> Option<&str> {
        match self {
            Self::Worker(WorkerError::Model(error)) => error.traceback.as_deref(),
            Self::Start(StartError::Import(failure)) => failure.traceback.as_deref(),
            _ => None,
        }
    }

    /// What becomes of a job of which this was the run number `attempts`.
    pub fn outcome(&self, attempts: u32) -> Outcome {
        let error = self.to_string();
        match self {
            Self::Cancelled | Self::Ignored(_) => Outcome::Cancelled { error },
            Self::Interrupted => Outcome::Interrupted,
            _ if self.is_death() && attempts < MOST_DEATHS => Outcome::Retry { error },
            _ if self.is_death() => Outcome::Lost { error },
            _ => Outcome::Failed { error, traceback: self.traceback().map(str::to_owned) },
        }
    }

    /// Whether the worker ended, rather than user code raised.
    fn is_death(&self) -> bool {
        matches!(
            self,
            Self::Died(_)
                | Self::Worker(WorkerError::Died { .. })
                | Self::Start(StartError::Closed | StartError::Ended(_) | StartError::Frame(_))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_tried_again_once() {
        let death = TrainingError::Died("was killed by signal 9".into());
        assert!(matches!(death.outcome(1), Outcome::Retry { .. }));
        let Outcome::Lost { error } = death.outcome(2) else { panic!("not for ever") };
        assert_eq!(error, "the training worker was killed by signal 9");
    }

    #[test]
    fn a_drain_gives_the_job_back() {
        assert_eq!(TrainingError::Interrupted.outcome(2), Outcome::Interrupted);
    }
}
