//! Why a prediction or a setup could not be served.

use std::time::Duration;

use thiserror::Error;

use crate::ids::{ProjectKey, VersionId};
use crate::store::db::DbError;
use crate::store::maker::OthersModels;
use crate::store::versions::StoreError;
use crate::wire::frame::FrameError;
use crate::wire::protocol::ModelError;
use crate::workers::fair_queue::QueueFull;
use crate::workers::handle::WorkerError;

#[derive(Debug, Error)]
pub enum ServingError {
    /// No worker has the class: still importing, or the import failed.
    #[error("the model is not ready: {0}")]
    NotReady(String),
    /// Every worker was busy for as long as a request may wait.
    #[error("no worker was free within {} s (--queue-timeout)", .0.as_secs_f64())]
    Busy(Duration),
    #[error("{0} predictions wait for a worker already (--max-queue)")]
    QueueFull(usize),
    #[error("{0} predictions of this project wait for a worker already (--max-queue-per-project)")]
    ProjectQueueFull(usize),
    /// It ran for as long as a prediction may, and was cancelled.
    #[error("the prediction took longer than {} s (--predict-hard-timeout) and was cancelled", .0.as_secs_f64())]
    TooLong(Duration),
    /// The user's app has answered for as long as it may, and was interrupted.
    #[error(
        "the app of _wsgi.py took longer than {} s (--predict-hard-timeout) and was interrupted",
        .0.as_secs_f64()
    )]
    AppTooLong(Duration),
    #[error("the server is stopping")]
    Stopping,
    /// `try_fetch` was false and no model of the project is in use.
    #[error("no model is loaded for project {0:?}, and `try_fetch` is false")]
    NoModel(ProjectKey),
    /// The constructor ended several workers in a row.
    #[error(
        "loading the model of project {0:?} has ended its worker again and again; it is not tried any more until /setup changes or asks for a reload"
    )]
    CrashLooping(ProjectKey),
    /// The worker died with the request.
    #[error("worker {worker} (pid {pid}) {reason}")]
    Died { worker: String, pid: u32, reason: String },
    /// User code failed.
    #[error("{}: {}", .0.class, .0.message)]
    Model(ModelError),
    #[error("the request does not fit the channel to the worker: {0}")]
    Frame(FrameError),
    #[error("project {project:?} has no version {version}")]
    NoVersion { project: ProjectKey, version: VersionId },
    #[error("version {version} cannot be loaded: {reason}")]
    Unloadable { version: String, reason: String },
    /// API v2: not everything that it needs was kept.
    #[error("one cannot go back to version {version:?}: {reason}")]
    NoWayBack { version: String, reason: String },
    /// API v2: it changes the files that would be put back.
    #[error("a training runs, which changes the files of the model; try again when it has ended")]
    TrainingRuns,
    #[error("model folder: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    OthersModels(Box<OthersModels>),
    #[error("what models keep: {0}")]
    Keys(DbError),
}

/// Maximum number of versions in a row that may fail to load while one request waits.
pub(super) const MAX_REJECTED: u32 = 3;

impl ServingError {
    pub(super) fn no_version_left() -> Self {
        Self::NotReady("several versions of the model in a row cannot be loaded".into())
    }
}

/// Runs a function that may wait for a disk.
pub async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ServingError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| ServingError::NotReady(error.to_string()))??)
}

impl From<DbError> for ServingError {
    fn from(error: DbError) -> Self {
        Self::Keys(error)
    }
}

impl From<WorkerError> for ServingError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Died { worker, pid, reason } => Self::Died { worker, pid, reason },
            WorkerError::Model(error) => Self::Model(error),
            WorkerError::Frame(error) => Self::Frame(error),
            // The client was told why, or is gone.
            WorkerError::Cancelled => Self::NotReady(error.to_string()),
        }
    }
}

impl From<QueueFull> for ServingError {
    fn from(full: QueueFull) -> Self {
        match full {
            QueueFull::Total(most) => Self::QueueFull(most),
            QueueFull::Project(most) => Self::ProjectQueueFull(most),
        }
    }
}
