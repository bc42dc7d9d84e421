//! What runs `fit`: a training worker, a process of its own ([`process`]), or, if the user wants it, the
//! worker that predicts ([`in_worker`]).

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

/// How long an answer may lag behind the end of its process.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long `fit` may take to end after `KeyboardInterrupt`, to save what it wants to save.
const INTERRUPT_GRACE: Duration = Duration::from_secs(5);

/// Runs `fit`, one job at a time.
pub(super) trait Trainer: Debug + Send + Sync {
    /// Whether `fit` shares its process with predictions.
    fn is_in_worker(&self) -> bool;

    /// Makes sure that a worker is there, and returns its name for `orphan_process::kill`.
    fn prepare(
        &mut self,
        class: &ClassInfo,
        output: Arc<JobOutput>,
    ) -> impl Future<Output = Result<Option<String>, TrainingError>> + Send;

    /// Runs `fit`; returns what it returned, as JSON.
    fn fit(
        &mut self,
        model: &ServedModel,
        job: FitJob,
        body: Bytes,
    ) -> impl Future<Output = Result<Bytes, TrainingError>> + Send;

    /// The job is over; after an error a training worker is not used again.
    fn finish(&mut self, output: &JobOutput, clean: bool) -> impl Future<Output = ()> + Send;

    /// Ends a job that was cancelled: `KeyboardInterrupt` first, then by force.
    fn interrupt(&mut self, output: &JobOutput) -> impl Future<Output = ()> + Send;

    /// Ends a training worker, whatever it does. The worker that predicts ends with the server.
    fn kill(&mut self) -> impl Future<Output = ()> + Send;

    /// Lets a training worker end in the background, and forgets it.
    fn retire(&mut self) -> impl Future<Output = ()> + Send;

    /// Waits `linger` while a training worker is kept, for ever if none is.
    fn idle(&self, linger: Duration) -> impl Future<Output = ()> + Send;
}
