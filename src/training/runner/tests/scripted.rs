//! For unit tests of the runner: a trainer that starts no process. `fit` is a closure of the test, and the
//! other calls are recorded.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::serving::served_model::ServedModel;
use crate::training::error::TrainingError;
use crate::training::trainer::Trainer;
use crate::wire::protocol::{ClassInfo, FitJob};
use crate::workers::output::job::JobOutput;

type Fitted = Pin<Box<dyn Future<Output = Result<Bytes, TrainingError>> + Send>>;
/// The script of a run of `fit`.
pub(super) type Fit = Box<dyn Fn(FitJob, Arc<JobOutput>) -> Fitted + Send + Sync>;

/// The calls that a trainer got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    PrepareWorker,
    Fit { id: String, event: Option<String>, body: Bytes },
    Finish { clean: bool },
    Interrupt,
    Kill,
    Retire,
}

pub(super) struct ScriptedTrainer {
    is_in_worker: bool,
    fit: Fit,
    told: Arc<Mutex<Vec<Told>>>,
    output: Option<Arc<JobOutput>>,
    lives: bool,
}

/// The name of its worker, as the job store keeps it.
pub(super) const WORKER: &str = "a worker that is none";

impl ScriptedTrainer {
    pub(super) fn new(is_in_worker: bool, fit: Fit) -> (Self, Arc<Mutex<Vec<Told>>>) {
        let told = Arc::default();
        let scripted =
            Self { is_in_worker, fit, told: Arc::clone(&told), output: None, lives: false };
        (scripted, told)
    }

    fn note(&self, told: Told) {
        self.told.lock().push(told);
    }
}

impl Trainer for ScriptedTrainer {
    fn is_in_worker(&self) -> bool {
        self.is_in_worker
    }

    async fn prepare(
        &mut self,
        _class: &ClassInfo,
        output: Arc<JobOutput>,
    ) -> Result<Option<String>, TrainingError> {
        self.note(Told::PrepareWorker);
        self.output = Some(output);
        self.lives = true;
        Ok(Some(WORKER.to_owned()))
    }

    async fn fit(
        &mut self,
        _model: &ServedModel,
        job: FitJob,
        body: Bytes,
    ) -> Result<Bytes, TrainingError> {
        self.note(Told::Fit { id: job.id.clone(), event: job.event.clone(), body });
        (self.fit)(job, self.output.clone().unwrap()).await
    }

    async fn finish(&mut self, _output: &JobOutput, clean: bool) {
        self.note(Told::Finish { clean });
    }

    async fn interrupt(&mut self, _output: &JobOutput) {
        self.note(Told::Interrupt);
    }

    async fn kill(&mut self) {
        self.note(Told::Kill);
        self.lives = false;
    }

    async fn retire(&mut self) {
        self.note(Told::Retire);
        self.lives = false;
    }

    async fn idle(&self, linger: Duration) {
        if self.lives { sleep(linger).await } else { std::future::pending().await }
    }
}

impl fmt::Debug for ScriptedTrainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedTrainer")
    }
}
