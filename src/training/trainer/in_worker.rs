//! Training inside the worker that predicts, for models that keep everything in memory.
//!
//! There is one such worker, so predictions see the globals that `fit` changed. `fit` shares the interpreter
//! with predictions; if it does not end by itself, the worker is ended.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::time::sleep;

use super::{INTERRUPT_GRACE, LAST_WORDS, Trainer};
use crate::serving::served_model::ServedModel;
use crate::training::error::TrainingError;
use crate::wire::protocol::{ClassInfo, FitJob};
use crate::workers::handle::WorkerHandle;
use crate::workers::orphan_process;
use crate::workers::output::job::JobOutput;
use crate::workers::pool::Pool;

/// Time between two checks for a worker.
const PAUSE: Duration = Duration::from_millis(50);

/// The worker that predicts, as one that trains.
#[derive(Debug)]
pub(in crate::training) struct InWorkerTrainer {
    pool: Arc<Pool>,
    running: Option<Arc<WorkerHandle>>,
}

impl InWorkerTrainer {
    pub(in crate::training) fn new(pool: Arc<Pool>) -> Self {
        Self { pool, running: None }
    }
}

impl Trainer for InWorkerTrainer {
    fn is_in_worker(&self) -> bool {
        true
    }

    async fn prepare(
        &mut self,
        _class: &ClassInfo,
        output: Arc<JobOutput>,
    ) -> Result<Option<String>, TrainingError> {
        let worker = loop {
            match self.pool.workers().into_iter().next() {
                Some(worker) => break worker,
                None => sleep(PAUSE).await,
            }
        };
        worker.job.set(Some(output));
        let pid = worker.pid;
        self.running = Some(worker);
        Ok(orphan_process::identify(pid))
    }

    async fn fit(
        &mut self,
        model: &ServedModel,
        job: FitJob,
        body: Bytes,
    ) -> Result<Bytes, TrainingError> {
        match &self.running {
            Some(worker) => Ok(worker.fit(&model.model, job, body).await?),
            None => Err(TrainingError::Died("is gone".into())),
        }
    }

    async fn finish(&mut self, output: &JobOutput, _clean: bool) {
        output.drained(LAST_WORDS * 2).await;
        if let Some(worker) = self.running.take() {
            worker.job.set(None);
        }
    }

    /// Raises `KeyboardInterrupt` in `fit`. If `fit` does not end, the worker is ended, with the
    /// predictions that run in it.
    async fn interrupt(&mut self, output: &JobOutput) {
        let Some(worker) = &self.running else { return };
        signal(worker, Signal::INT, false);
        if !output.drained(INTERRUPT_GRACE).await {
            signal(worker, Signal::KILL, true);
        }
    }

    async fn kill(&mut self) {}

    async fn retire(&mut self) {}

    async fn idle(&self, _linger: Duration) {
        std::future::pending::<()>().await;
    }
}

fn signal(worker: &WorkerHandle, signal: Signal, group: bool) {
    let Some(pid) = i32::try_from(worker.pid).ok().and_then(Pid::from_raw) else { return };
    // A process that is gone needs no signal.
    let _ = if group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
}
