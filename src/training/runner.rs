//! Runs training jobs, one at a time, each in a process apart from the predictions.
//!
//! In: jobs of [`super::queue`]. Out: a published version below MODEL_DIR that is served from then
//! on, or a failed job that says why; then the version before stays.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::error::TrainingError;
use super::events::{cannot_learn, ignored_because};
use super::in_worker::InWorker;
use super::ownership::{Owner, OwnershipError, own};
use super::queue::{Ownership, Queue, Running};
use super::report::{Reporter, last_words};
use super::second;
use super::trainer::{Apart, Trainer};
use crate::failpoint;
use crate::serving::Serving;
use crate::serving::keys::Keeper;
use crate::serving::model_in_use::ModelInUse;
use crate::serving::trained::Ahead;
use crate::store::jobs::transitions::{self, Outcome};
use crate::store::jobs::{Claimed, read};
use crate::store::versions::{Input, Version, Versions};
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::{Configure, FitJob};
use crate::workers::process::Launch;

/// Between two attempts to write down how a job ended, while the disk refuses.
const SETTLE_PAUSE: Duration = Duration::from_secs(1);

/// How long a server that stops waits for a job store that another process holds up.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// What the user chose that concerns training.
#[derive(Debug, Clone, Copy)]
pub struct TrainingOptions {
    /// How long another server may take to let go of the model folder.
    pub lock_wait: Duration,
    /// How long the training worker stays after a job.
    pub linger: Duration,
    /// How long a running job may go on when the server stops.
    pub drain: Duration,
    /// Versions of a project that are kept; all if none is said.
    pub keep_versions: Option<usize>,
    /// `fit` runs inside the worker that predicts.
    pub in_worker: bool,
}

/// Runs the jobs of one queue.
#[derive(Debug)]
struct Runner {
    queue: Arc<Queue>,
    serving: Arc<Serving>,
    owner: Owner,
    trainer: Trainer,
    options: TrainingOptions,
}

/// What a run made.
struct Trained {
    /// None if `fit` returned nothing that is kept.
    output: Option<Bytes>,
    model: Arc<ModelInUse>,
}

/// Becomes the owner of the model folder and runs jobs until `stop`. Fails only if another server
/// does not let go of the folder.
pub async fn train(
    queue: Arc<Queue>,
    serving: Arc<Serving>,
    launch: Launch,
    configure: Configure,
    options: TrainingOptions,
    mut stop: watch::Receiver<bool>,
) -> Result<(), OwnershipError> {
    let owner = tokio::select! {
        owner = own(&serving, &queue, options.lock_wait) => owner?,
        () = stopped(&mut stop) => return Ok(()),
    };
    let trainer = if options.in_worker {
        Trainer::InWorker(InWorker::new(Arc::clone(serving.pool())))
    } else {
        let keeper = Keeper::shared(Arc::clone(&serving), true);
        Trainer::Apart(Box::new(Apart::new(launch, configure, keeper)))
    };
    let over = Arc::clone(&queue);
    Runner { queue, serving, owner, trainer, options }.run(stop).await;
    over.set_ownership(Ownership::Ended);
    Ok(())
}

impl Runner {
    /// Takes job after job until `stop`; the job that runs then may end within the drain time, or
    /// goes back to the queue.
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
                    error!("the job store gives no job: {error}");
                    sleep(SETTLE_PAUSE).await;
                }
            }
        }
        self.trainer.kill().await;
    }

    async fn run_one(&mut self, job: Claimed, running: &Running, stop: &mut watch::Receiver<bool>) {
        let began = Instant::now();
        let (project, id) = (job.project.clone(), job.id);
        info!(project, job = id, merged = job.merged, attempt = job.attempts, "training begins");
        failpoint::reached("job-claimed");
        let reporter = Reporter::follow(&self.owner.store, &job, &running.output);
        let drain = self.options.drain;
        let mut second = None;
        let trained = tokio::select! {
            biased;
            trained = self.attempt(&job, running, &mut second) => trained,
            () = running.cancelled() => Err(TrainingError::Cancelled),
            () = drained(stop, drain) => Err(TrainingError::Interrupted),
        };
        match &trained {
            Err(TrainingError::Cancelled) => self.trainer.interrupt(&running.output).await,
            // The next server must not find it still running.
            Err(TrainingError::Interrupted) if self.trainer.is_in_worker() => {
                self.trainer.interrupt(&running.output).await;
            }
            Err(TrainingError::Interrupted) => self.trainer.kill().await,
            _ => {}
        }
        self.trainer.finish(&running.output, trained.is_ok()).await;
        failpoint::reached("job-fitted");
        let outcome = match (trained, &second) {
            (Ok(trained), None) => self.publish(&job, trained, began, stop).await,
            (Ok(trained), Some(run)) => self.bring(&job, run, trained, stop).await,
            (Err(failure), _) => Err(failure),
        };
        if let (Err(_), Some(run)) = (&outcome, second) {
            run.give_up(&self.serving, &project).await;
        }
        let outcome = outcome.unwrap_or_else(|failure| failure.outcome(job.attempts));
        drop(reporter);
        tell(&project, id, &outcome, began);
        self.settle(&job, running, outcome, stop).await;
    }

    /// One run of `fit`.
    async fn attempt(
        &mut self,
        job: &Claimed,
        running: &Running,
        second: &mut Option<second::Run>,
    ) -> Result<Trained, TrainingError> {
        let (class, versions) = self.serving.imported().await?;
        let ignored = match &job.action {
            Some(action) => ignored_because(action, &class),
            None => cannot_learn(&class),
        };
        if let Some(reason) = ignored {
            return Err(TrainingError::Ignored(reason));
        }
        let model = self.serving.resolve(&job.project, job.label_config.as_deref()).await?;
        let workdir = if class.api == ApiVersion::V1 {
            let (versions, job) = (Arc::clone(&versions), job.clone());
            tokio::task::spawn_blocking(move || begin(&versions, &job)).await??
        } else {
            let run = second::Run::begin(&self.serving, job, &class.model_dir).await?;
            *second = Some(run);
            class.model_dir.clone()
        };
        let worker = self.trainer.prepare(&class, Arc::clone(&running.output)).await?;
        if let Some(worker) = worker {
            let (id, epoch) = (job.id, job.epoch);
            let store = &self.owner.store;
            store.run_patiently(move |db| transitions::set_worker(db, id, epoch, &worker)).await?;
        }
        let fit = FitJob { id: job.id.to_string(), workdir, event: job.action.clone() };
        let output = self.trainer.fit(&model, fit, job.payload.clone()).await?;
        // As in the original: what a webhook's fit returns is kept only if it is a dict.
        let kept = second.is_some() || job.action.is_none() || output.first() == Some(&b'{');
        Ok(Trained { output: kept.then_some(output), model })
    }

    /// Makes what was trained the version that is served.
    async fn publish(
        &self,
        job: &Claimed,
        trained: Trained,
        began: Instant,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Outcome, TrainingError> {
        let Some(output) = trained.output else {
            return Ok(Outcome::Succeeded { version: None, error: None });
        };
        self.begin_publishing(job, stop).await?;
        let id = job.id;
        let version: Version = {
            let (versions, project) = (Arc::clone(&self.owner.versions), job.project.clone());
            let took = began.elapsed();
            tokio::task::spawn_blocking(move || versions.publish(&project, id, &output, took))
                .await??
        };
        let switched = tokio::select! {
            switched = self.serving.switch(&job.project, version, &trained.model) => switched,
            // The next server serves it.
            () = stopped(stop) => Ok(()),
        };
        if switched.is_ok() {
            self.prune(&job.project).await;
        }
        failpoint::reached("job-switched");
        let error = switched.err().map(|reason| {
            format!("published, but it cannot be loaded, so the version before is served: {reason}")
        });
        Ok(Outcome::Succeeded { version: Some(id), error })
    }

    /// Has what a run of API v2 did served.
    async fn bring(
        &self,
        job: &Claimed,
        run: &second::Run,
        trained: Trained,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Outcome, TrainingError> {
        self.begin_publishing(job, stop).await?;
        let (serving, output) = (&self.serving, trained.output.unwrap_or_default());
        let in_worker = self.trainer.is_in_worker();
        let ahead = tokio::select! {
            ahead = run.load(serving, job, &trained.model, output, in_worker) => ahead?,
            () = stopped(stop) => return Err(TrainingError::Interrupted),
        };
        let loaded = match ahead {
            Ahead::Version(loaded) => *loaded,
            Ahead::Nothing => return Ok(Outcome::Succeeded { version: None, error: None }),
            Ahead::Refused(reason) => {
                let error = format!("trained, but the version before is served: {reason}");
                return Ok(Outcome::Succeeded { version: None, error: Some(error) });
            }
        };
        let behind = serving.serve_trained(&job.project, loaded).await?;
        tokio::select! {
            () = serving.let_follow(behind) => {}
            // The next server starts all of them anew.
            () = stopped(stop) => {}
        }
        self.prune(&job.project).await;
        failpoint::reached("job-switched");
        Ok(Outcome::Succeeded { version: Some(job.id), error: None })
    }

    /// From here on the job is not cancelled any more.
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

    async fn prune(&self, project: &str) {
        let Some(keep) = self.options.keep_versions else { return };
        let (versions, name) = (Arc::clone(&self.owner.versions), project.to_owned());
        let served = self.serving.version(project).and_then(|version| version.parse().ok());
        let prune = move || {
            versions.prune_records(&name, keep)?;
            versions.prune(&name, keep, served)
        };
        match tokio::task::spawn_blocking(prune).await {
            Ok(Ok(removed)) if removed.is_empty() => {}
            Ok(Ok(removed)) => info!(project, "removed old versions: {removed:?}"),
            Ok(Err(error)) => warn!(project, "old versions could not be removed: {error}"),
            Err(error) => warn!(project, "old versions could not be removed: {error}"),
        }
    }

    /// Writes down how a job ended, as long as the disk refuses.
    async fn settle(
        &self,
        job: &Claimed,
        running: &Running,
        outcome: Outcome,
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
                // The next server finds the job running, and decides about it.
                Err(_) if is_stopping(stop) => return,
                Err(error) => {
                    error!(job = id, "the end of the job cannot be written down yet: {error}");
                    if error.is_full() && !matches!(outcome, Outcome::Succeeded { .. }) {
                        self.make_room(job).await;
                    }
                    sleep(SETTLE_PAUSE).await;
                }
            }
        }
    }

    /// A fit that failed for want of room has perhaps taken the room.
    async fn make_room(&self, job: &Claimed) {
        let (versions, job) = (Arc::clone(&self.owner.versions), job.clone());
        let discarded =
            tokio::task::spawn_blocking(move || match versions.discard(&job.project, job.id) {
                Ok(()) => warn!(job = job.id, "the disk is full: what this job wrote was removed"),
                Err(error) => warn!(job = job.id, "the disk is full, and stays so: {error}"),
            });
        // Room may come from elsewhere.
        let _ = discarded.await;
    }
}

fn is_stopping(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow()
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A server that is gone wants nothing to run on.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Resolves when the server stops and the job has had its time.
async fn drained(stop: &mut watch::Receiver<bool>, drain: Duration) {
    stopped(stop).await;
    sleep(drain).await;
}

fn tell(project: &str, id: u64, outcome: &Outcome, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    let state = match outcome {
        Outcome::Succeeded { version: Some(_), .. } => {
            info!(project, job = id, "trained in {seconds:.1} s");
            "succeeded"
        }
        Outcome::Succeeded { version: None, .. } => {
            info!(project, job = id, "fit made nothing new: the version stays");
            "succeeded"
        }
        Outcome::Failed { error, traceback } => {
            let traceback = traceback.as_ref().map(|text| format!("\n{text}")).unwrap_or_default();
            error!(project, job = id, "training failed: {error}{traceback}");
            "failed"
        }
        Outcome::Lost { error } => {
            error!(project, job = id, "training is given up: {error}");
            "lost"
        }
        Outcome::Retry { error } => {
            warn!(project, job = id, "training is tried again: {error}");
            return;
        }
        Outcome::Cancelled { error } => {
            info!(project, job = id, "training ended: {error}");
            "cancelled"
        }
        Outcome::Interrupted => {
            info!(project, job = id, "the server stops; the job goes back to the queue");
            return;
        }
    };
    metrics::counter!("label_studio_ml_jobs_total", "state" => state).increment(1);
}

/// Makes the folder of a job and writes down what it starts from.
fn begin(versions: &Versions, job: &Claimed) -> Result<PathBuf, TrainingError> {
    let Some(action) = &job.action else {
        let fields: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(&job.payload)?;
        let missing = || <serde_json::Error as serde::de::Error>::missing_field("annotations");
        let annotations = fields.get("annotations").ok_or_else(missing)?;
        let count = serde_json::from_str::<Vec<&RawValue>>(annotations.get())?.len();
        return Ok(versions.begin(
            &job.project,
            job.id,
            &Input::Tasks { json: annotations, count },
        )?);
    };
    let data = serde_json::from_slice(&job.payload)?;
    Ok(versions.begin(&job.project, job.id, &Input::Event { action, data })?)
}

#[cfg(test)]
mod tests;
