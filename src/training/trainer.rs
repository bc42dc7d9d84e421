//! Runs `fit` in a training worker, a process of its own ([`process`]), or, as an option, in the worker that
//! predicts ([`in_worker`]).

pub(super) mod in_worker;
pub(super) mod process;

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::error::TrainingError;
use crate::serving::served_model::ServedModel;
use crate::wire::protocol::{ClassInfo, FitJob};
use crate::workers::output::job::JobOutput;

/// How long an answer may take to arrive after the end of its process.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long `fit` may take to end after `KeyboardInterrupt`, for example to save a checkpoint.
const INTERRUPT_GRACE: Duration = Duration::from_secs(5);

/// Runs `fit`, one job at a time.
pub(super) trait Trainer: Debug + Send + Sync {
    /// Whether `fit` shares its process with predictions.
    fn is_in_worker(&self) -> bool;

    /// Makes sure that a worker runs, and returns its name for `orphan_process::kill`.
    fn prepare(
        &mut self,
        class: &ClassInfo,
        output: Arc<JobOutput>,
    ) -> impl Future<Output = Result<Option<String>, TrainingError>> + Send;

    /// Runs `fit`; returns its return value as JSON.
    fn fit(
        &mut self,
        model: &ServedModel,
        job: FitJob,
        body: Bytes,
    ) -> impl Future<Output = Result<Bytes, TrainingError>> + Send;

    /// Ends the job; after an error a training worker is not used again.
    fn finish(&mut self, output: &JobOutput, clean: bool) -> impl Future<Output = ()> + Send;

    /// Ends a job that was cancelled: `KeyboardInterrupt` first, then by force.
    fn interrupt(&mut self, output: &JobOutput) -> impl Future<Output = ()> + Send;

    /// Ends a training worker, even during a job. The worker that predicts ends with the server.
    fn kill(&mut self) -> impl Future<Output = ()> + Send;

    /// Lets a training worker end in the background, and forgets it.
    fn retire(&mut self) -> impl Future<Output = ()> + Send;

    /// Waits `linger` if a training worker is kept, else for ever.
    fn idle(&self, linger: Duration) -> impl Future<Output = ()> + Send;
}
