//! Why a job made no version, and how it ends then.

use thiserror::Error;
use tokio::task::JoinError;

use crate::publishing::PublishingError;
use crate::serving::ServingError;
use crate::store::db::DbError;
use crate::store::jobs::transitions::JobOutcome;
use crate::store::versions::StoreError;
use crate::workers::handle::WorkerError;
use crate::workers::start::StartError;

/// Maximum number of runs of a job that may end with the death of their worker.
const MAX_DEATHS: u32 = 2;

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
    /// The server is stopping.
    #[error("interrupted")]
    Interrupted,
}

impl From<PublishingError> for TrainingError {
    fn from(error: PublishingError) -> Self {
        match error {
            PublishingError::Serving(error) => Self::Serving(error),
            PublishingError::Versions(error) => Self::Versions(error),
            PublishingError::Payload(error) => Self::Payload(error),
            PublishingError::Thread(error) => Self::Thread(error),
            PublishingError::Interrupted => Self::Interrupted,
        }
    }
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

    /// The outcome of a job after its run number `attempts` ended with this error.
    pub fn outcome(&self, attempts: u32) -> JobOutcome {
        let error = self.to_string();
        match self {
            Self::Cancelled | Self::Ignored(_) => JobOutcome::Cancelled { error },
            Self::Interrupted => JobOutcome::Interrupted,
            _ if self.is_death() && attempts < MAX_DEATHS => JobOutcome::Retry { error },
            _ if self.is_death() => JobOutcome::Lost { error },
            _ => JobOutcome::Failed { error, traceback: self.traceback().map(str::to_owned) },
        }
    }

    /// Whether the worker ended, as opposed to user code that raised.
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
        assert!(matches!(death.outcome(1), JobOutcome::Retry { .. }));
        let JobOutcome::Lost { error } = death.outcome(2) else { panic!("not for ever") };
        assert_eq!(error, "the training worker was killed by signal 9");
    }

    #[test]
    fn the_outcome_of_a_job_depends_on_the_cause_of_its_error() {
        use crate::wire::frame::FrameError;
        use crate::wire::protocol::{ImportFailure, ImportFailureKind, ModelError, ModelErrorKind};

        let model = |traceback: Option<&str>| {
            TrainingError::Worker(WorkerError::Model(ModelError {
                kind: ModelErrorKind::Raised,
                class: "KeyError".into(),
                message: "'x'".into(),
                traceback: traceback.map(str::to_owned),
                task: None,
                answer: None,
            }))
        };
        let import = TrainingError::Start(StartError::Import(ImportFailure {
            kind: ImportFailureKind::Raised,
            message: "no module".into(),
            traceback: Some("line 1".into()),
        }));
        let died = || WorkerError::Died { worker: "1".into(), pid: 7, reason: "died".into() };
        let retry = |attempts| {
            if attempts == 1 { "retry" } else { "lost" }
        };
        let io = || FrameError::Io(std::io::Error::other("broken"));
        for (error, outcomes, traceback) in [
            (model(None), ["failed"; 2], None),
            (model(Some("line 3")), ["failed"; 2], Some("line 3")),
            (import, ["failed"; 2], Some("line 1")),
            (TrainingError::Start(StartError::Protocol(7)), ["failed"; 2], None),
            (TrainingError::Worker(WorkerError::Cancelled), ["failed"; 2], None),
            (TrainingError::Worker(WorkerError::Frame(io())), ["failed"; 2], None),
            (TrainingError::Db(DbError::Closed), ["failed"; 2], None),
            (TrainingError::Worker(died()), [1, 2].map(retry), None),
            (TrainingError::Died("died".into()), [1, 2].map(retry), None),
            (TrainingError::Start(StartError::Closed), [1, 2].map(retry), None),
            (TrainingError::Start(StartError::Ended("died".into())), [1, 2].map(retry), None),
            (TrainingError::Start(StartError::Frame(io())), [1, 2].map(retry), None),
            (TrainingError::Cancelled, ["cancelled"; 2], None),
            (TrainingError::Ignored("no fit".into()), ["cancelled"; 2], None),
            (TrainingError::Interrupted, ["interrupted"; 2], None),
        ] {
            for (attempts, expected) in [1, 2].into_iter().zip(outcomes) {
                let (found, said) = match error.outcome(attempts) {
                    JobOutcome::Failed { error, traceback: found } => {
                        assert_eq!(found.as_deref(), traceback, "{error}");
                        ("failed", error)
                    }
                    JobOutcome::Retry { error } => ("retry", error),
                    JobOutcome::Lost { error } => ("lost", error),
                    JobOutcome::Cancelled { error } => ("cancelled", error),
                    JobOutcome::Interrupted => ("interrupted", error.to_string()),
                    JobOutcome::Succeeded { .. } => ("succeeded", String::new()),
                };
                assert_eq!((found, said), (expected, error.to_string()));
            }
        }
    }

    #[test]
    fn a_drain_gives_the_job_back() {
        assert_eq!(TrainingError::Interrupted.outcome(2), JobOutcome::Interrupted);
    }
}
