//! Where `fit` runs: in a training worker, a process that runs one job at a time, at low priority; or,
//! if the user wants it, in the worker that predicts ([`super::in_worker`]).
//!
//! A training worker stays for a while after a job, so that the next one need not import the script again, and ends
//! when none comes: GPU memory comes back. After anything but a clean end it is replaced.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::error::TrainingError;
use super::in_worker::InWorker;
use crate::serving::model_in_use::ModelInUse;
use crate::wire::protocol::{ClassInfo, Configure, FitJob, WorkerRole};
use crate::workers::handle::WorkerHandle;
use crate::workers::key_keeper::KeyKeeper;
use crate::workers::orphan_process;
use crate::workers::output::OutputOrigin;
use crate::workers::output::job::{CurrentJob, JobOutput};
use crate::workers::process::{Launch, WorkerProcess};
use crate::workers::start::start_worker;

/// How long an answer may lag behind the end of its process.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long `fit` may take to end after `KeyboardInterrupt`, to save what it wants to save.
pub(super) const INTERRUPT_GRACE: Duration = Duration::from_secs(5);
/// A training worker that gives no sign of life for so long was stopped, or lost: whatever `fit` does,
/// its process would say so every second.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a worker may take to end after its last job.
const END_GRACE: Duration = Duration::from_secs(30);

/// Runs `fit`, here or there.
#[derive(Debug)]
pub(super) enum Trainer {
    Apart(Box<Apart>),
    InWorker(InWorker),
    #[cfg(test)]
    Scripted(super::scripted::Scripted),
}

impl Trainer {
    pub(super) fn is_in_worker(&self) -> bool {
        match self {
            Self::Apart(_) => false,
            Self::InWorker(_) => true,
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.is_in_worker,
        }
    }

    /// Makes sure that a worker is there, and returns its name for [`orphan_process::kill`].
    pub(super) async fn prepare(
        &mut self,
        class: &ClassInfo,
        output: Arc<JobOutput>,
    ) -> Result<Option<String>, TrainingError> {
        match self {
            Self::Apart(apart) => apart.prepare(class, output).await,
            Self::InWorker(worker) => Ok(worker.prepare(output).await),
            #[cfg(test)]
            Self::Scripted(scripted) => Ok(Some(scripted.prepare(output))),
        }
    }

    /// Runs `fit`; returns what it returned, as JSON.
    pub(super) async fn fit(
        &mut self,
        model: &ModelInUse,
        job: FitJob,
        body: Bytes,
    ) -> Result<Bytes, TrainingError> {
        match self {
            Self::Apart(apart) => apart.fit(model, job, body).await,
            Self::InWorker(worker) => worker.fit(model, job, body).await,
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.fit(job, body).await,
        }
    }

    /// The job is over; after an error a training worker is not used again.
    pub(super) async fn finish(&mut self, output: &JobOutput, clean: bool) {
        match self {
            Self::Apart(apart) => apart.finish(output, clean).await,
            Self::InWorker(worker) => worker.finish(output).await,
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.finish(clean),
        }
    }

    /// Ends a job that was cancelled: `KeyboardInterrupt` first, then by force.
    pub(super) async fn interrupt(&mut self, output: &JobOutput) {
        match self {
            Self::Apart(apart) => apart.interrupt().await,
            Self::InWorker(worker) => worker.interrupt(output).await,
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.interrupt(),
        }
    }

    /// Ends a training worker, whatever it does. The worker that predicts ends with the server.
    pub(super) async fn kill(&mut self) {
        match self {
            Self::Apart(apart) => apart.kill().await,
            Self::InWorker(_) => {}
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.kill(),
        }
    }

    /// Lets a training worker end in the background, and forgets it.
    pub(super) async fn retire(&mut self) {
        match self {
            Self::Apart(apart) => apart.retire().await,
            Self::InWorker(_) => {}
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.retire(),
        }
    }

    /// Waits `linger` while a training worker is kept, for ever if none is.
    pub(super) async fn idle(&self, linger: Duration) {
        match self {
            Self::Apart(apart) if apart.live.is_some() => sleep(linger).await,
            Self::Apart(_) | Self::InWorker(_) => std::future::pending().await,
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.idle(linger).await,
        }
    }
}

/// Starts training workers, and keeps one.
#[derive(Debug)]
pub(super) struct Apart {
    launch: Launch,
    configure: Configure,
    keeper: Arc<dyn KeyKeeper>,
    live: Option<(WorkerProcess, Arc<WorkerHandle>)>,
    job: CurrentJob,
}

impl Apart {
    /// `configure` is that of the model workers; training workers differ in their role.
    pub(super) fn new(launch: Launch, configure: Configure, keeper: Arc<dyn KeyKeeper>) -> Self {
        let configure =
            Configure { role: WorkerRole::Train, threads: 1, check: false, ..configure };
        Self { launch, configure, keeper, live: None, job: CurrentJob::default() }
    }

    /// Makes sure that a worker is there, and returns its name for [`orphan_process::kill`].
    async fn prepare(
        &mut self,
        class: &ClassInfo,
        output: Arc<JobOutput>,
    ) -> Result<Option<String>, TrainingError> {
        if self.live.as_ref().is_some_and(|(_, worker)| worker.is_closed()) {
            self.live = None;
        }
        self.job.set(Some(output));
        if let Some((process, _)) = &self.live {
            return Ok(orphan_process::identify(process.pid));
        }
        // A folder for all: the class decided where it is when it was first imported.
        let model_dir = Some(class.model_dir.clone());
        let configure = Configure { model_dir, ..self.configure.clone() };
        let origin = OutputOrigin { worker: "train".into(), job: self.job.clone() };
        let started = start_worker(&self.launch, configure, origin, Some(&self.keeper)).await?;
        let live = (started.process, started.worker);
        Ok(orphan_process::identify(self.live.insert(live).0.pid))
    }

    /// Runs `fit`; returns what it returned, as JSON.
    async fn fit(
        &mut self,
        model: &ModelInUse,
        job: FitJob,
        body: Bytes,
    ) -> Result<Bytes, TrainingError> {
        let Some((process, worker)) = &mut self.live else {
            return Err(TrainingError::Died("is gone".into()));
        };
        let fitted = worker.fit(&model.model, job, body);
        tokio::pin!(fitted);
        let output = tokio::select! {
            // An answer that is there counts, whatever became of its worker afterwards.
            biased;
            output = &mut fitted => output.map_err(TrainingError::from),
            () = worker.closed() => Err(TrainingError::Died(process.end(LAST_WORDS).await)),
            () = worker.heartbeat.silent_for(SILENCE) => {
                process.end(Duration::ZERO).await;
                let seconds = SILENCE.as_secs();
                Err(TrainingError::Died(format!("gave no sign of life for {seconds} s and was ended")))
            }
            // The answer may still be on its way; what was answered counts.
            end = process.wait() => match timeout(LAST_WORDS, &mut fitted).await {
                Ok(output) => output.map_err(TrainingError::from),
                Err(_) => Err(TrainingError::Died(end)),
            },
        };
        if output.is_ok() {
            worker.unload(model.model.spec.id).await;
        }
        output
    }

    /// The job is over; after an error the worker is not used again.
    async fn finish(&mut self, output: &JobOutput, clean: bool) {
        if !clean {
            self.retire().await;
        }
        output.drained(LAST_WORDS * 2).await;
        self.job.set(None);
    }

    /// Ends a worker whose job was cancelled: `KeyboardInterrupt` first, then by force.
    async fn interrupt(&mut self) {
        let Some((mut process, worker)) = self.live.take() else { return };
        process.interrupt();
        worker.shut_down().await;
        process.end(INTERRUPT_GRACE).await;
    }

    /// Ends the worker, whatever it does.
    async fn kill(&mut self) {
        if let Some((mut process, _)) = self.live.take() {
            process.end(Duration::ZERO).await;
        }
    }

    /// Lets the worker end in the background, and forgets it.
    async fn retire(&mut self) {
        let Some((mut process, worker)) = self.live.take() else { return };
        worker.shut_down().await;
        tokio::spawn(async move {
            let end = process.end(END_GRACE).await;
            if !end.ends_with("status 0") {
                warn!("the training worker {end} after its job");
            }
        });
    }
}
