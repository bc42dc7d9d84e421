//! What the loop inside a worker needs from the interpreter that holds the user's class.
//!
//! `src/python` implements it. Every method may be called from any thread that the host started;
//! `import` and `fit` are called on the process's main thread, since user code may install signal
//! handlers there.

use std::io;
use std::sync::Arc;

use crate::labelling::check::Mended;

use crate::wire::protocol::{
    ClassInfo, Configure, FitJob, HttpHead, ImportFailure, ModelError, ModelId, ModelSpec,
    RequestId, VersionNames,
};
use crate::wire::shared_body::ReceivedBody;
use crate::worker::key_client::KeyClient;

/// A prediction as it goes to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictionBody {
    /// The whole body of the HTTP answer.
    pub body: Vec<u8>,
    /// Number of tasks asked for.
    pub tasks: usize,
    /// What was changed in it.
    pub mended: Mended,
}

/// A model that the server told of.
#[derive(Debug)]
pub struct KnownModel {
    pub spec: ModelSpec,
    pub names: VersionNames,
    /// What `fit` returned for this version, as JSON; empty if it was never trained.
    pub train_output: Vec<u8>,
    /// The newest /setup of the project.
    pub setup: Option<HttpRequest>,
}

/// A request over HTTP, for user code that looks at `flask.request`.
#[derive(Debug)]
pub struct HttpRequest {
    pub head: HttpHead,
    pub body: ReceivedBody,
}

/// An interpreter with a model class in it.
pub trait ModelHost: Send + Sync + 'static {
    /// Version of the interpreter, `3.11.7`.
    fn python_version(&self) -> String;

    /// Tells where user code's keys are kept.
    fn keep_keys_with(&self, keys: &Arc<KeyClient>);

    /// Imports the user's script and finds the class.
    fn import(&self, configure: &Configure) -> Result<ClassInfo, ImportFailure>;

    /// Whether every thread keeps instances of its own; known after the import.
    fn keeps_by_thread(&self) -> bool;

    /// Notes how to make an instance, unless the model is known; makes none and does not wait for
    /// the interpreter.
    fn register(&self, model: KnownModel);

    /// Marks predictions of a model with another version from now on.
    fn rename(&self, model: ModelId, names: VersionNames);

    /// Makes the instance of a registered model, for this thread or for all, unless it stands, or in
    /// any case with `renew`. `request` is what is served at the moment.
    fn load(
        &self,
        model: ModelId,
        renew: bool,
        request: Option<&HttpRequest>,
    ) -> Result<(), ModelError>;

    /// Drops a registered model; calls that run on its instance end undisturbed.
    fn unload(&self, model: ModelId);

    /// Drops the instance of this thread.
    fn release(&self, model: ModelId);

    /// Calls `predict` of a loaded model with the tasks of an HTTP request.
    fn predict(&self, model: ModelId, request: &HttpRequest) -> Result<PredictionBody, ModelError>;

    /// Whether `predict` can be given the tasks of several requests, as far as is known.
    fn takes_batches(&self) -> bool;

    /// Calls `predict` once with the tasks of several requests, and gives each its own answer; none if
    /// they must be asked for one by one: it raised, or returned something else than a list with one item
    /// for each task.
    fn predict_batch(
        &self,
        model: ModelId,
        requests: &[&HttpRequest],
    ) -> Option<Vec<Result<PredictionBody, ModelError>>>;

    /// Runs what answers requests on this thread, so that [`Self::cancel`] finds it; true with its
    /// outcome if all of them were cancelled.
    fn cancellable<T>(&self, requests: &[RequestId], run: impl FnOnce() -> T) -> (T, bool);

    /// Breaks off what answers a request: raises an exception in the thread that runs it. False if none
    /// does. May wait for the interpreter.
    fn cancel(&self, request: RequestId) -> bool;

    /// Calls `fit` and returns what it returned, as JSON.
    fn fit(&self, model: ModelId, job: &FitJob, body: ReceivedBody) -> Result<Vec<u8>, ModelError>;

    /// Runs `wait`, which may block, without keeping the interpreter from other threads.
    fn wait<T: Send>(&self, wait: impl FnOnce() -> T + Send) -> T;

    /// Starts a thread of the interpreter's own kind, so that `threading.local` lives as long as
    /// the thread.
    fn start_thread(&self, name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<()>;

    /// Returns once the interpreter was free for a moment.
    fn touch(&self);
}
