//! The queue as requests and the runner see it.
//!
//! The jobs themselves lie in [`crate::store::jobs`]; this file keeps the ownership of the folder and the
//! running job, and notifies those that follow a job of changes. Jobs run one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::failpoint;
use crate::ids::{JobId, ProjectKey};
use crate::store::db::DbError;
use crate::store::jobs::enqueue::{NewJob, Policy, Queued, enqueue};
use crate::store::jobs::read::{self, JobLookup};
use crate::store::jobs::transitions::{self, Cancel};
use crate::store::jobs::{self, Claimed, Job, JobState, JobStore};
use crate::store::lock::{Holder, with_pid};
use crate::store::versions::{StoreError, Versions};
use crate::wire::api_version::ApiVersion;
use crate::workers::output::job::JobOutput;

/// How long a request waits while another server still owns the model folder.
const HANDOVER: Duration = Duration::from_secs(10);

/// How long a query waits while the class is still being imported.
const KNOWN_SOON: Duration = Duration::from_secs(1);

/// Whether this server may train.
#[derive(Debug, Clone)]
pub enum Ownership {
    /// The class is still being imported, so MODEL_DIR is not known.
    Pending,
    /// Another server owns the model folder.
    Held(Option<Holder>),
    /// The folder cannot be used, for this reason.
    Unusable(String),
    /// The class cannot be imported, for this reason.
    NoClass(String),
    Owner(Arc<JobStore>),
    /// The server is stopping.
    Ended,
}

/// Why the queue could not serve a request.
#[derive(Debug, Error)]
pub enum QueueError {
    #[error("{} owns the model folder; this one only predicts", with_pid(*.0))]
    Held(Option<Holder>),
    #[error("no training: {0}")]
    Unusable(String),
    #[error("{0}")]
    NoClass(String),
    #[error("job store: {0}")]
    Db(#[from] DbError),
    #[error("model folder: {0}")]
    Versions(#[from] StoreError),
    #[error("there is no job {0}")]
    Unknown(String),
    #[error("job {0} is no longer kept")]
    Gone(JobId),
    #[error("job {id} cannot be cancelled any more ({})", state.name())]
    TooLate { id: JobId, state: JobState },
    #[error("the server is stopping")]
    Stopping,
    #[error("a thread of the server ended early: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// A request for a training.
#[derive(Debug)]
pub struct Request {
    pub project: ProjectKey,
    pub label_config: Option<String>,
    /// Action of the webhook event; none for /train.
    pub action: Option<String>,
    /// The body of the HTTP request, unparsed.
    pub payload: Bytes,
    pub api: ApiVersion,
}

/// The job that runs.
#[derive(Debug)]
pub struct Running {
    pub output: Arc<JobOutput>,
    cancel: watch::Sender<bool>,
}

impl Running {
    /// Resolves when the cancellation of the job is requested.
    pub async fn cancelled(&self) {
        let _ = self.cancel.subscribe().wait_for(|cancel| *cancel).await;
    }
}

/// The queue of one server.
#[derive(Debug)]
pub struct Queue {
    ownership: watch::Sender<Ownership>,
    /// `--training-queue`; else the API of the class decides.
    policy: Option<Policy>,
    running: watch::Sender<Option<Arc<Running>>>,
    changes: watch::Sender<u64>,
    open: AtomicU64,
}

impl Queue {
    pub fn new(policy: Option<Policy>) -> Self {
        Self {
            ownership: watch::channel(Ownership::Pending).0,
            policy,
            running: watch::channel(None).0,
            changes: watch::channel(0).0,
            open: AtomicU64::default(),
        }
    }

    pub fn ownership(&self) -> Ownership {
        self.ownership.borrow().clone()
    }

    pub fn set_ownership(&self, ownership: Ownership) {
        self.ownership.send_replace(ownership);
    }

    /// The job store, if this server owns it; waits until that is known.
    pub async fn store(&self) -> Result<Arc<JobStore>, QueueError> {
        let mut ownership = self.ownership.subscribe();
        let decided = |now: &Ownership| !matches!(now, Ownership::Pending);
        let now = ownership.wait_for(decided).await.map_err(|_| QueueError::Stopping)?.clone();
        match now {
            Ownership::Owner(store) => Ok(store),
            Ownership::Held(holder) => Err(QueueError::Held(holder)),
            Ownership::Unusable(reason) => Err(QueueError::Unusable(reason)),
            Ownership::NoClass(reason) => Err(QueueError::NoClass(reason)),
            Ownership::Pending | Ownership::Ended => Err(QueueError::Stopping),
        }
    }

    /// The job store for a new job; waits for the previous server to end.
    async fn store_soon(&self) -> Result<Arc<JobStore>, QueueError> {
        let mut ownership = self.ownership.subscribe();
        let handed = |now: &Ownership| !matches!(now, Ownership::Pending | Ownership::Held(_));
        // `store` returns the state after the wait.
        let _ = timeout(HANDOVER, ownership.wait_for(handed)).await;
        self.store().await
    }

    /// Queues a job, or merges the request into one that waits. The job is on the disk when this returns.
    pub async fn add(
        &self,
        request: Request,
        versions: &Arc<Versions>,
    ) -> Result<Queued, QueueError> {
        let store = self.store_soon().await?;
        let newest_folder = {
            let (versions, project) = (Arc::clone(versions), request.project.clone());
            tokio::task::spawn_blocking(move || versions.newest_folder(&project)).await??
        };
        let of_api = match request.api {
            ApiVersion::V1 => Policy::Latest,
            ApiVersion::V2 => Policy::All,
        };
        let job = NewJob {
            project: request.project,
            label_config: request.label_config,
            action: request.action,
            payload: request.payload,
            policy: self.policy.unwrap_or(of_api),
            newest_folder,
            now: jobs::now(),
        };
        let (queued, open) =
            store.run(move |db| Ok((enqueue(db, &job)?, read::open_jobs(db)?))).await?;
        failpoint::reached("job-queued");
        self.changed(open);
        Ok(queued)
    }

    /// Claims the next job, if one waits; it runs from then on.
    pub async fn next(&self, store: &JobStore) -> Result<Option<(Claimed, Arc<Running>)>, DbError> {
        let Some(job) = store.run(transitions::claim).await? else { return Ok(None) };
        let output = Arc::new(JobOutput::new(job.id, job.project.clone()));
        let running = Arc::new(Running { output, cancel: watch::channel(false).0 });
        self.running.send_replace(Some(Arc::clone(&running)));
        self.changed(self.len());
        // It may have been cancelled before `running` was set. The job is claimed, so it must be run even
        // if this cannot be read.
        let id = job.id;
        if let Ok(JobLookup::Job(job)) = store.run(move |db| read::job(db, id)).await {
            running.cancel.send_replace(job.cancel_requested);
        }
        Ok(Some((job, running)))
    }

    /// Records that the running job ended and that `open` jobs wait.
    pub fn done(&self, open: u64) {
        self.running.send_replace(None);
        self.changed(open);
    }

    /// Notifies of a change, and updates the number of jobs that wait or run.
    pub fn changed(&self, open: u64) {
        self.open.store(open, Ordering::Relaxed);
        self.changes.send_modify(|number| *number += 1);
    }

    /// A receiver that is notified of every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The running job, for requests that follow it.
    pub fn running(&self) -> watch::Receiver<Option<Arc<Running>>> {
        self.running.subscribe()
    }

    /// The present state of a job, with its newest progress.
    pub async fn job(&self, id: JobId) -> Result<Job, QueueError> {
        let found = self.store().await?.run(move |db| read::job(db, id)).await?;
        match found {
            JobLookup::Job(job) => Ok(self.with_news(*job)),
            JobLookup::Gone => Err(QueueError::Gone(id)),
            JobLookup::Unknown => Err(QueueError::Unknown(id.to_string())),
        }
    }

    /// Jobs, newest first.
    pub async fn jobs(
        &self,
        project: Option<ProjectKey>,
        limit: u32,
    ) -> Result<Vec<Job>, QueueError> {
        let store = self.store().await?;
        let jobs = store.run(move |db| read::list(db, project.as_ref(), limit)).await?;
        Ok(jobs.into_iter().map(|job| self.with_news(job)).collect())
    }

    /// The last output of a job.
    pub async fn log(&self, id: JobId) -> Result<Vec<u8>, QueueError> {
        self.job(id).await?;
        if let Some(output) = self.output_of(id) {
            return Ok(output.tail());
        }
        Ok(self.store().await?.run(move |db| read::log(db, id)).await?)
    }

    /// Cancels a job that waits, or requests the end of the one that runs.
    pub async fn cancel(&self, id: JobId) -> Result<Job, QueueError> {
        let store = self.store().await?;
        let (met, open) =
            store.run(move |db| Ok((transitions::cancel(db, id)?, read::open_jobs(db)?))).await?;
        match met {
            Cancel::Done => self.changed(open),
            Cancel::Running => {
                if let Some(running) = self.running.borrow().as_ref()
                    && running.output.id == id
                {
                    running.cancel.send_replace(true);
                }
            }
            Cancel::TooLate(state) => return Err(QueueError::TooLate { id, state }),
            // `job` tells an id that never existed from one that is no longer kept.
            Cancel::Unknown => {}
        }
        self.job(id).await
    }

    /// The job once it has ended, or its state after `wait`.
    pub async fn ended(&self, id: JobId, wait: Duration) -> Result<Job, QueueError> {
        let mut changes = self.changes.subscribe();
        let mut ownership = self.ownership.subscribe();
        let deadline = Instant::now() + wait;
        loop {
            let job = self.job(id).await?;
            if job.state.is_ended() {
                return Ok(job);
            }
            tokio::select! {
                _ = changes.changed() => {}
                _ = ownership.wait_for(|now| matches!(now, Ownership::Ended)) => return Ok(job),
                () = sleep_until(deadline) => return Ok(job),
            }
        }
    }

    /// The running job of a project, or else the next one.
    pub async fn of_project(&self, project: &ProjectKey) -> Option<JobId> {
        let store = timeout(KNOWN_SOON, self.store()).await.ok()?.ok()?;
        let project = project.to_owned();
        store.run(move |db| read::active(db, &project)).await.ok().flatten()
    }

    /// The key `{id}.{created_at}` under which a project with this id was trained last.
    pub async fn project_key(&self, id: &str) -> Option<ProjectKey> {
        let Ownership::Owner(store) = self.ownership() else { return None };
        let id = id.to_owned();
        store.run(move |db| read::project_key(db, &id)).await.ok().flatten()
    }

    /// Number of jobs that wait or run.
    pub fn len(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn output_of(&self, id: JobId) -> Option<Arc<JobOutput>> {
        let running = self.running.borrow();
        running.as_ref().map(|running| &running.output).filter(|output| output.id == id).cloned()
    }

    fn with_news(&self, mut job: Job) -> Job {
        if let Some(progress) = self.output_of(job.id).and_then(|said| said.latest_progress()) {
            job.progress = serde_json::to_string(&progress).ok();
        }
        job
    }
}

#[cfg(test)]
mod tests;
