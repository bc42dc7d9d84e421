//! For unit tests of the runner: a trainer that starts no process. `fit` is a closure of the test, and
//! what else the trainer is told is noted.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::sleep;

use super::error::TrainingError;
use crate::wire::protocol::FitJob;
use crate::workers::output::job::JobOutput;

type Fitted = Pin<Box<dyn Future<Output = Result<Bytes, TrainingError>> + Send>>;
/// What a run of `fit` does.
pub(super) type Fit = Box<dyn Fn(FitJob, Arc<JobOutput>) -> Fitted + Send + Sync>;

/// What a trainer was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Prepare,
    Fit { id: String, event: Option<String>, body: Bytes },
    Finish { clean: bool },
    Interrupt,
    Kill,
    Retire,
}

pub(super) struct Scripted {
    pub(super) is_in_worker: bool,
    fit: Fit,
    told: Arc<Mutex<Vec<Told>>>,
    output: Option<Arc<JobOutput>>,
    lives: bool,
}

/// The name of its worker, as the job store keeps it.
pub(super) const WORKER: &str = "a worker that is none";

impl Scripted {
    pub(super) fn new(is_in_worker: bool, fit: Fit) -> (Self, Arc<Mutex<Vec<Told>>>) {
        let told = Arc::default();
        let scripted =
            Self { is_in_worker, fit, told: Arc::clone(&told), output: None, lives: false };
        (scripted, told)
    }

    fn note(&self, told: Told) {
        self.told.lock().push(told);
    }

    pub(super) fn prepare(&mut self, output: Arc<JobOutput>) -> String {
        self.note(Told::Prepare);
        self.output = Some(output);
        self.lives = true;
        WORKER.to_owned()
    }

    pub(super) async fn fit(&mut self, job: FitJob, body: Bytes) -> Result<Bytes, TrainingError> {
        self.note(Told::Fit { id: job.id.clone(), event: job.event.clone(), body });
        (self.fit)(job, self.output.clone().unwrap()).await
    }

    pub(super) fn finish(&mut self, clean: bool) {
        self.note(Told::Finish { clean });
    }

    pub(super) fn interrupt(&mut self) {
        self.note(Told::Interrupt);
    }

    pub(super) fn kill(&mut self) {
        self.note(Told::Kill);
        self.lives = false;
    }

    pub(super) fn retire(&mut self) {
        self.note(Told::Retire);
        self.lives = false;
    }

    pub(super) async fn idle(&self, linger: Duration) {
        if self.lives { sleep(linger).await } else { std::future::pending().await }
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}
