//! What the loop inside a worker needs from the interpreter that holds the user's class.
//!
//! `src/python` implements it. Every method may be called from any thread that the host started;
//! `import` and `fit` are called on the process's main thread, since user code may install signal
//! handlers there.

use std::io;

use super::protocol::{
    ClassInfo, Configure, FitJob, ImportFailure, ModelError, ModelId, ModelSpec,
};

/// A prediction as it goes to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// The whole body of the HTTP answer.
    pub body: Vec<u8>,
    /// Number of tasks asked for.
    pub tasks: usize,
    /// Number of results, if the model returned a list.
    pub results: Option<usize>,
}

/// An interpreter with a model class in it.
pub trait ModelHost: Send + Sync + 'static {
    /// Version of the interpreter, `3.11.7`.
    fn python_version(&self) -> String;

    /// Imports the user's script and finds the class.
    fn import(&self, configure: &Configure) -> Result<ClassInfo, ImportFailure>;

    /// Notes how to make an instance, unless the model is known; makes none and does not wait for
    /// the interpreter.
    fn register(&self, model: ModelSpec, train_output: Vec<u8>);

    /// Makes the instance of a registered model unless it stands, or in any case with `renew`.
    fn load(&self, model: ModelId, renew: bool) -> Result<(), ModelError>;

    /// Drops a registered model; calls that run on its instance end undisturbed.
    fn unload(&self, model: ModelId);

    /// Calls `predict` with the tasks of an HTTP request body.
    fn predict(
        &self,
        model: ModelId,
        force_reload: bool,
        body: &[u8],
    ) -> Result<Prediction, ModelError>;

    /// Calls `fit` and returns what it returned, as JSON.
    fn fit(&self, model: ModelId, job: &FitJob, body: &[u8]) -> Result<Vec<u8>, ModelError>;

    /// Runs `wait`, which may block, without keeping the interpreter from other threads.
    fn wait<T: Send>(&self, wait: impl FnOnce() -> T + Send) -> T;

    /// Starts a thread of the interpreter's own kind, so that `threading.local` lives as long as
    /// the thread.
    fn start_thread(&self, name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<()>;

    /// Returns once the interpreter was free for a moment.
    fn touch(&self);
}
