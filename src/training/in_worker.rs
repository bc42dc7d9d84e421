//! Training inside the worker that predicts, for models that keep everything in memory.
//!
//! There is one such worker, so what `fit` leaves in its globals is what predictions see. It shares the
//! interpreter with them, and ends with it where it cannot be ended otherwise.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::time::sleep;

use super::error::TrainingError;
use super::trainer::{INTERRUPT_GRACE, LAST_WORDS};
use crate::serving::model_in_use::ModelInUse;
use crate::wire::protocol::FitJob;
use crate::workers::handle::WorkerHandle;
use crate::workers::orphan_process;
use crate::workers::output::job::JobOutput;
use crate::workers::pool::Pool;

/// Between two looks whether the worker is there.
const PAUSE: Duration = Duration::from_millis(50);

/// The worker that predicts, as one that trains.
#[derive(Debug)]
pub(super) struct InWorker {
    pool: Arc<Pool>,
    running: Option<Arc<WorkerHandle>>,
}

impl InWorker {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self { pool, running: None }
    }

    pub(super) async fn prepare(&mut self, output: Arc<JobOutput>) -> Option<String> {
        let worker = loop {
            match self.pool.workers().into_iter().next() {
                Some(worker) => break worker,
                None => sleep(PAUSE).await,
            }
        };
        worker.job.set(Some(output));
        let pid = worker.pid;
        self.running = Some(worker);
        orphan_process::identify(pid)
    }

    pub(super) async fn fit(
        &mut self,
        model: &ModelInUse,
        job: FitJob,
        body: Bytes,
    ) -> Result<Bytes, TrainingError> {
        match &self.running {
            Some(worker) => Ok(worker.fit(&model.model, job, body).await?),
            None => Err(TrainingError::Died("is gone".into())),
        }
    }

    pub(super) async fn finish(&mut self, output: &JobOutput) {
        output.drained(LAST_WORDS * 2).await;
        if let Some(worker) = self.running.take() {
            worker.job.set(None);
        }
    }

    /// Raises `KeyboardInterrupt` in `fit`; a worker that does not end it is ended, and with it the
    /// predictions that run.
    pub(super) async fn interrupt(&mut self, output: &JobOutput) {
        let Some(worker) = &self.running else { return };
        signal(worker, Signal::INT, false);
        if !output.drained(INTERRUPT_GRACE).await {
            signal(worker, Signal::KILL, true);
        }
    }
}

fn signal(worker: &WorkerHandle, signal: Signal, group: bool) {
    let Some(pid) = i32::try_from(worker.pid).ok().and_then(Pid::from_raw) else { return };
    // A process that is gone needs no signal.
    let _ = if group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
}
