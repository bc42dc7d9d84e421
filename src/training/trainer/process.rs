//! Runs `fit` in a training worker: a process that runs one job at a time, at low priority.
//!
//! It is kept for a while after a job, so that the next one does not import the script again, and then ends
//! to free GPU memory. After a job that did not end cleanly it is replaced.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::{INTERRUPT_GRACE, LAST_WORDS, Trainer};
use crate::serving::served_model::ServedModel;
use crate::training::error::TrainingError;
use crate::training::starvation::StarvationWatch;
use crate::wire::protocol::{ClassInfo, Configure, FitJob, WorkerRole};
use crate::workers::handle::WorkerHandle;
use crate::workers::orphan_process;
use crate::workers::output::OutputOrigin;
use crate::workers::output::job::{CurrentJob, JobOutput};
use crate::workers::process::{Launch, WorkerProcess};
use crate::workers::server_routes::WorkerQuestions;
use crate::workers::start::start_worker;

/// How long a training worker may send no heartbeat before it counts as lost: whatever `fit` does, its
/// process sends one every second.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a worker may take to end after its last job.
const END_GRACE: Duration = Duration::from_secs(30);

/// Starts training workers, and keeps one.
#[derive(Debug)]
pub(in crate::training) struct ProcessTrainer {
    launch: Launch,
    configure: Configure,
    questions: WorkerQuestions,
    live: Option<(WorkerProcess, Arc<WorkerHandle>)>,
    job: CurrentJob,
}

impl ProcessTrainer {
    /// `configure` is that of the model workers; training workers differ only in their role.
    pub(in crate::training) fn new(
        launch: Launch,
        configure: Configure,
        questions: WorkerQuestions,
    ) -> Self {
        let configure =
            Configure { role: WorkerRole::Train, threads: 1, check: false, ..configure };
        Self { launch, configure, questions, live: None, job: CurrentJob::default() }
    }
}

impl Trainer for ProcessTrainer {
    fn is_in_worker(&self) -> bool {
        false
    }

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
        // All workers use one folder: the class chose it when it was first imported.
        let model_dir = Some(class.model_dir.clone());
        let configure = Configure { model_dir, ..self.configure.clone() };
        let origin = OutputOrigin { worker: "train".into(), job: self.job.clone() };
        let started = start_worker(&self.launch, configure, origin, Some(&self.questions)).await?;
        let live = (started.process, started.worker);
        Ok(orphan_process::identify(self.live.insert(live).0.pid))
    }

    async fn fit(
        &mut self,
        model: &ServedModel,
        job: FitJob,
        body: Bytes,
    ) -> Result<Bytes, TrainingError> {
        let Some((process, worker)) = &mut self.live else {
            return Err(TrainingError::Died("is gone".into()));
        };
        let id = job.id.parse().unwrap_or_default();
        let is_idle_only = self.configure.train_nice.is_none();
        let project = &model.model.spec.project;
        let _watch = is_idle_only.then(|| StarvationWatch::begin(process.pid, project.clone(), id));
        let fitted = worker.fit(&model.model, job, body);
        tokio::pin!(fitted);
        let output = tokio::select! {
            // An answer that has arrived counts, even if its worker ended afterwards.
            biased;
            output = &mut fitted => output.map_err(TrainingError::from),
            () = worker.closed() => Err(TrainingError::Died(process.end(LAST_WORDS).await)),
            () = worker.heartbeat.silent_for(HEARTBEAT_TIMEOUT) => {
                process.end(Duration::ZERO).await;
                let seconds = HEARTBEAT_TIMEOUT.as_secs();
                Err(TrainingError::Died(format!("gave no sign of life for {seconds} s and was ended")))
            }
            // The answer may still be on its way, and counts.
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

    async fn finish(&mut self, output: &JobOutput, clean: bool) {
        if !clean {
            self.retire().await;
        }
        output.drained(LAST_WORDS * 2).await;
        self.job.set(None);
    }

    async fn interrupt(&mut self, _output: &JobOutput) {
        let Some((mut process, worker)) = self.live.take() else { return };
        process.interrupt();
        worker.shut_down().await;
        process.end(INTERRUPT_GRACE).await;
    }

    async fn kill(&mut self) {
        if let Some((mut process, _)) = self.live.take() {
            process.end(Duration::ZERO).await;
        }
    }

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

    async fn idle(&self, linger: Duration) {
        if self.live.is_some() { sleep(linger).await } else { std::future::pending().await }
    }
}
