//! The store of training jobs, which survives a restart.
//!
//! [`enqueue`] adds them, [`transitions`] changes their state, [`read`] queries them; all are functions over
//! one connection. A job is run at least once and published at most once: every transition names the state
//! and the epoch that it starts from, so a run that was overtaken changes nothing.

pub mod enqueue;
pub mod read;
mod schema;
pub mod transitions;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::db::{Db, DbError};
use crate::ids::{JobId, ProjectKey, VersionId};

/// Time between two attempts at a write that must succeed.
const PATIENCE_PAUSE: Duration = Duration::from_secs(1);

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    Queued,
    Running,
    /// `fit` has returned; its result is being made a version.
    Publishing,
    Succeeded,
    Failed,
    Cancelled,
    /// The worker or the server died with it, the maximum number of times.
    Lost,
}

impl JobState {
    const ALL: [Self; 7] = [
        Self::Queued,
        Self::Running,
        Self::Publishing,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Lost,
    ];

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Publishing => "publishing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }

    fn parse(name: &str) -> Self {
        // A state that only a later version of the server knows; this one cannot run the job.
        Self::ALL.into_iter().find(|state| state.name() == name).unwrap_or(Self::Lost)
    }

    pub fn is_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Lost)
    }
}

/// A job, without its payload and its log. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub id: JobId,
    pub project: ProjectKey,
    /// Action of the webhook event; none for a job of /train.
    pub action: Option<String>,
    pub state: JobState,
    pub epoch: u32,
    /// Number of further requests that were merged into this job.
    pub merged: u32,
    /// Number of runs that count against the limit of retries, including the present one.
    pub attempts: u32,
    pub created_at: i64,
    pub enqueued_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    /// The version that it made.
    pub version: Option<VersionId>,
    pub error: Option<String>,
    pub traceback: Option<String>,
    /// The progress of `fit`, as JSON.
    pub progress: Option<String>,
    pub cancel_requested: bool,
}

/// A claimed job, for its runner.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    pub id: JobId,
    pub project: ProjectKey,
    pub label_config: Option<String>,
    pub action: Option<String>,
    /// The body of the HTTP request, unparsed.
    pub payload: Bytes,
    pub epoch: u32,
    pub merged: u32,
    pub attempts: u32,
}

/// The jobs below one MODEL_DIR.
#[derive(Debug)]
pub struct JobStore {
    db: Db,
}

impl JobStore {
    pub fn open(path: &Path) -> Result<Self, DbError> {
        Ok(Self { db: Db::open(path, schema::prepare)? })
    }

    /// Runs functions of this module in one transaction that is on the disk when this returns.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DbError> {
        self.db.run(work).await
    }

    /// The same, repeated while another process has locked the file: a backup must not cost the result of a
    /// training.
    pub async fn run_patiently<T: Send + 'static>(
        &self,
        work: impl Fn(&rusqlite::Connection) -> rusqlite::Result<T> + Clone + Send + 'static,
    ) -> Result<T, DbError> {
        loop {
            match self.db.run(work.clone()).await {
                Err(error) if error.is_passing() => {
                    tracing::warn!("the job store cannot be written yet: {error}");
                    sleep(PATIENCE_PAUSE).await;
                }
                done => return done,
            }
        }
    }
}

/// The time in milliseconds since 1970.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests;
