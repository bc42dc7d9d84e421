//! Runs training jobs, one at a time.
//!
//! In: jobs of [`super::queue`]. Each is claimed, fitted, published and settled. Out: a version that is
//! served from then on, or a failed job with the reason; then the version before stays.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::error::TrainingError;
use super::events::{cannot_learn, ignored_because};
use super::other_places;
use super::ownership::{Owner, OwnershipError, own};
use super::queue::{Ownership, Queue, Running};
use super::report::{Reporter, last_words};
use super::trainer::Trainer;
use super::trainer::in_worker::InWorkerTrainer;
use super::trainer::process::ProcessTrainer;
use crate::activity;
use crate::failpoint;
use crate::ids::{JobId, ProjectKey};
use crate::publishing::training_run::{Fitted, Publication, TrainingRun};
use crate::publishing::{Publisher, stopped};
use crate::store::jobs::transitions::{self, JobOutcome};
use crate::store::jobs::{Claimed, read};
use crate::wire::protocol::{Configure, FitJob};
use crate::workers::process::Launch;
use crate::workers::server_routes::WorkerQuestions;

/// Time between two attempts to record the end of a job while the disk refuses writes.
const SETTLE_PAUSE: Duration = Duration::from_secs(1);

/// How long a server that stops waits for a job store that another process has locked.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// The options for training.
#[derive(Debug, Clone, Copy)]
pub struct TrainingOptions {
    /// How long another server may take to release the model folder.
    pub lock_wait: Duration,
    /// How long the training worker is kept after a job.
    pub linger: Duration,
    /// How long a running job may go on when the server stops.
    pub drain: Duration,
    /// Maximum number of versions of a project that are kept; none for all.
    pub keep_versions: Option<usize>,
    /// Maximum size of the files that are kept to go back to, in bytes.
    pub keep_bytes: u64,
    /// Whether `fit` runs inside the worker that predicts.
    pub in_worker: bool,
    /// The port that this server listens on, for a second server on the same folder.
    pub port: Option<u16>,
}

/// Runs the jobs of one queue.
#[derive(Debug)]
struct Runner<T> {
    queue: Arc<Queue>,
    publisher: Arc<Publisher>,
    owner: Owner,
    trainer: T,
    options: TrainingOptions,
}

/// Becomes the owner of the model folder and runs jobs until `stop`. Fails only if another server does not
/// release the folder: a class that cannot be imported is reported by the worker that tried.
pub async fn train(
    queue: Arc<Queue>,
    publisher: Arc<Publisher>,
    launch: Launch,
    configure: Configure,
    options: TrainingOptions,
    mut stop: watch::Receiver<bool>,
) -> Result<(), OwnershipError> {
    publisher.set_keep_bytes(options.keep_bytes);
    let unserved = other_places::warn(Arc::clone(&publisher), configure.clone());
    tokio::spawn(unserved);
    let owner = tokio::select! {
        // If both have come, the server stops for want of the class.
        biased;
        owner = own(&publisher, &queue, options.lock_wait, options.port) => match owner {
            Err(OwnershipError::NoClass(error)) => {
                queue.set_ownership(Ownership::NoClass(error.to_string()));
                return Ok(());
            }
            owner => owner?,
        },
        () = stopped(&mut stop) => {
            queue.set_ownership(Ownership::Ended);
            return Ok(());
        }
    };
    let over = Arc::clone(&queue);
    if options.in_worker {
        let trainer = InWorkerTrainer::new(Arc::clone(&publisher.registry().workers.pool));
        Runner { queue, publisher, owner, trainer, options }.run(stop).await;
    } else {
        // A process that trains answers no requests, and asks for no routes.
        let questions =
            WorkerQuestions { keys: publisher.key_keeper(true), routes: Arc::default() };
        let trainer = ProcessTrainer::new(launch, configure, questions);
        Runner { queue, publisher, owner, trainer, options }.run(stop).await;
    }
    over.set_ownership(Ownership::Ended);
    Ok(())
}

impl<T: Trainer> Runner<T> {
    /// Runs jobs one by one until `stop`; the job that runs then may end within the drain time, or goes back
    /// to the queue.
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut changes = self.queue.changes();
        while !is_stopping(&stop) {
            changes.mark_unchanged();
            match self.queue.next(&self.owner.store).await {
                Ok(Some((job, running))) => self.run_one(job, &running, &mut stop).await,
                Ok(None) => tokio::select! {
                    _ = changes.changed() => {}
                    () = self.trainer.idle(self.options.linger) => self.trainer.retire().await,
                    () = stopped(&mut stop) => {}
                },
                Err(error) => {
                    error!("cannot take a job from the job store: {error}");
                    sleep(SETTLE_PAUSE).await;
                }
            }
        }
        self.trainer.kill().await;
    }

    /// Runs `fit` for a claimed job, publishes the result and records the outcome.
    async fn run_one(&mut self, job: Claimed, running: &Running, stop: &mut watch::Receiver<bool>) {
        let (began, project, id) = (Instant::now(), &job.project, job.id);
        info!(
            project = project.as_str(),
            job = %id,
            merged = job.merged,
            attempt = job.attempts,
            "training begins"
        );
        failpoint::reached("job-claimed");
        let reporter = Reporter::follow(&self.owner.store, &job, &running.output);
        let fitted = self.fit(&job, running, stop).await;
        self.end_fit(running, fitted.as_ref().err().map(|(_, failure)| failure)).await;
        failpoint::reached("job-fitted");
        let (run, published) = match fitted {
            Ok((run, fitted)) => {
                let published = self.publish(&job, &run, fitted, stop).await;
                (Some(run), published)
            }
            Err((run, failure)) => (run, Err(failure)),
        };
        if let (Some(run), Err(_)) = (run, &published) {
            run.abandon(&self.publisher).await;
        }
        let outcome = published.unwrap_or_else(|failure| failure.outcome(job.attempts));
        drop(reporter);
        let version = self.publisher.registry().models.served_version(project);
        tell(project, id, &outcome, began, version.as_deref());
        self.settle(&job, running, outcome, stop).await;
    }

    /// Runs `fit`, unless the job is cancelled or the server stops meanwhile. A failure contains the run, if
    /// that had begun.
    async fn fit(
        &mut self,
        job: &Claimed,
        running: &Running,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(TrainingRun, Fitted), (Option<TrainingRun>, TrainingError)> {
        let drain = self.options.drain;
        let ended = async {
            tokio::select! {
                biased;
                () = running.cancelled() => TrainingError::Cancelled,
                () = drained(stop, drain) => TrainingError::Interrupted,
            }
        };
        tokio::pin!(ended);
        let begun = tokio::select! {
            biased;
            begun = self.begin(job) => begun,
            failure = &mut ended => Err(failure),
        };
        let run = begun.map_err(|failure| (None, failure))?;
        let fitted = tokio::select! {
            biased;
            fitted = self.run_fit(job, running, &run) => fitted,
            failure = &mut ended => Err(failure),
        };
        match fitted {
            Ok(fitted) => Ok((run, fitted)),
            Err(failure) => Err((Some(run), failure)),
        }
    }

    /// Begins the run of a job, if the class can be trained with it.
    async fn begin(&self, job: &Claimed) -> Result<TrainingRun, TrainingError> {
        let (class, _) = self.publisher.registry().class.imported().await?;
        let ignored = match &job.action {
            Some(action) => ignored_because(action, &class),
            None => cannot_learn(&class),
        };
        match ignored {
            Some(reason) => Err(TrainingError::Ignored(reason)),
            None => Ok(TrainingRun::begin(&self.publisher, job).await?),
        }
    }

    async fn run_fit(
        &mut self,
        job: &Claimed,
        running: &Running,
        run: &TrainingRun,
    ) -> Result<Fitted, TrainingError> {
        let (class, _) = self.publisher.registry().class.imported().await?;
        if self.publisher.take_gone_back() {
            self.trainer.retire().await;
        }
        let worker = self.trainer.prepare(&class, Arc::clone(&running.output)).await?;
        if let Some(worker) = worker {
            let (id, epoch) = (job.id, job.epoch);
            let store = &self.owner.store;
            store.run_patiently(move |db| transitions::set_worker(db, id, epoch, &worker)).await?;
        }
        let workdir = run.workdir().to_owned();
        let fit = FitJob { id: job.id.to_string(), workdir, event: job.action.clone() };
        let output = self.trainer.fit(run.model(), fit, job.payload.clone()).await?;
        Ok(Fitted { output, in_worker: self.trainer.is_in_worker() })
    }

    /// Ends a `fit` that still runs, and frees the trainer for the next job.
    async fn end_fit(&mut self, running: &Running, failure: Option<&TrainingError>) {
        match failure {
            Some(TrainingError::Cancelled) => self.trainer.interrupt(&running.output).await,
            // The next server must not find it still running.
            Some(TrainingError::Interrupted) if self.trainer.is_in_worker() => {
                self.trainer.interrupt(&running.output).await;
            }
            Some(TrainingError::Interrupted) => self.trainer.kill().await,
            _ => {}
        }
        self.trainer.finish(&running.output, failure.is_none()).await;
    }

    /// Makes the result the version that is served.
    async fn publish(
        &self,
        job: &Claimed,
        run: &TrainingRun,
        fitted: Fitted,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<JobOutcome, TrainingError> {
        if let Some(reason) = run.unpublishable(&fitted) {
            return Ok(JobOutcome::Succeeded { version: None, error: Some(reason) });
        }
        self.begin_publishing(job, stop).await?;
        let publication = run.publish(&self.publisher, fitted, stop).await?;
        let Publication { version, problem } = publication;
        if version.is_some() {
            if let (None, Some(keep)) = (&problem, self.options.keep_versions) {
                self.publisher.prune(&job.project, keep).await;
            }
            failpoint::reached("job-switched");
        }
        Ok(JobOutcome::Succeeded { version, error: problem })
    }

    /// Begins publishing: from here on the job cannot be cancelled.
    async fn begin_publishing(
        &self,
        job: &Claimed,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), TrainingError> {
        let (id, epoch) = (job.id, job.epoch);
        let mark = move |db: &_| transitions::begin_publishing(db, id, epoch);
        let may_publish = tokio::select! {
            written = self.owner.store.run_patiently(mark) => written?,
            () = drained(stop, LAST_WRITE) => return Err(TrainingError::Interrupted),
        };
        if !may_publish {
            return Err(TrainingError::Cancelled);
        }
        failpoint::reached("job-publishing");
        Ok(())
    }

    /// Records the outcome of a job, and tries again as long as the disk refuses.
    async fn settle(
        &self,
        job: &Claimed,
        running: &Running,
        outcome: JobOutcome,
        stop: &watch::Receiver<bool>,
    ) {
        let (id, epoch) = (job.id, job.epoch);
        let (progress, log) = last_words(&running.output);
        loop {
            let (ended, progress, log) = (outcome.clone(), progress.clone(), log.clone());
            let settled = self.owner.store.run(move |db| {
                transitions::note(db, id, epoch, progress.as_deref(), &log)?;
                transitions::settle(db, id, epoch, &ended)?;
                read::open_jobs(db)
            });
            match settled.await {
                Ok(open) => {
                    failpoint::reached("job-settled");
                    return self.queue.done(open);
                }
                // The next server finds the job running, and settles it.
                Err(_) if is_stopping(stop) => return,
                Err(error) => {
                    error!(job = %id, "the end of the job cannot be written down yet: {error}");
                    if error.is_full() && !matches!(outcome, JobOutcome::Succeeded { .. }) {
                        self.make_room(job).await;
                    }
                    sleep(SETTLE_PAUSE).await;
                }
            }
        }
    }

    /// Removes the files of a job if the disk is full: they may be the reason.
    async fn make_room(&self, job: &Claimed) {
        let (versions, job) = (Arc::clone(&self.owner.versions), job.clone());
        let discarded = tokio::task::spawn_blocking(move || {
            match versions.discard(&job.project, job.id) {
                Ok(()) => warn!(job = %job.id, "the disk is full: what this job wrote was removed"),
                Err(error) => {
                    warn!(job = %job.id, "the disk is full; cannot remove this job's files: {error}");
                }
            }
        });
        // Another process may free space.
        let _ = discarded.await;
    }
}

fn is_stopping(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow()
}

/// Resolves when the server stops and the drain time of the job has passed.
async fn drained(stop: &mut watch::Receiver<bool>, drain: Duration) {
    stopped(stop).await;
    sleep(drain).await;
}

/// Tells how a run ended. `version`: the one that predictions carry now.
fn tell(
    project: &ProjectKey,
    id: JobId,
    outcome: &JobOutcome,
    began: Instant,
    version: Option<&str>,
) {
    let seconds = began.elapsed().as_secs_f64();
    let state = match outcome {
        JobOutcome::Succeeded { version: Some(made), error: None } => {
            let made = made.to_string();
            activity::trained(project, id, seconds, version.unwrap_or(&made));
            "succeeded"
        }
        JobOutcome::Succeeded { version: made, error } => {
            let reason = error.as_deref().unwrap_or("the version before stays");
            let reason = match made {
                Some(made) => format!("version {made} is not served: {reason}"),
                None => format!("the training made no new version: {reason}"),
            };
            activity::trained_in_vain(project, id, seconds, &reason);
            "succeeded"
        }
        JobOutcome::Failed { error, traceback } => {
            activity::training_failed(project, id, error, traceback.as_deref());
            "failed"
        }
        JobOutcome::Lost { error } => {
            let why = format!("{error}; it is not tried again");
            activity::training_failed(project, id, &why, None);
            "lost"
        }
        JobOutcome::Retry { error } => {
            activity::training_repeated(project, id, error);
            return;
        }
        JobOutcome::Cancelled { error } => {
            activity::training_ended(project, id, error);
            "cancelled"
        }
        JobOutcome::Interrupted => {
            let project = project.as_str();
            info!(project, job = %id, "the server is stopping; the job goes back to the queue");
            return;
        }
    };
    metrics::counter!("label_studio_ml_jobs_total", "state" => state).increment(1);
}

#[cfg(test)]
mod tests;
