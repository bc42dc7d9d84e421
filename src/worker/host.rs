//! The trait by which the event loop reaches the interpreter that holds the user's class.
//!
//! `src/python` implements it. Every method may be called from any thread that the host started;
//! `import` and `fit` are called on the process's main thread, since user code may install signal
//! handlers there.

use std::io;
use std::sync::Arc;

use crate::labelling::check::Mended;

use crate::wire::http::{AppAnswer, AppRequest, HttpHead};
use crate::wire::protocol::{
    ClassInfo, Configure, FitJob, ImportFailure, ModelError, ModelId, ModelSpec, RequestId,
    VersionNames,
};
use crate::wire::shared_body::ReceivedBody;
use crate::worker::server_client::ServerClient;

/// A prediction as it goes to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictionBody {
    /// The whole body of the HTTP answer.
    pub body: Vec<u8>,
    /// Number of tasks asked for.
    pub tasks: usize,
    /// The corrections that were made in it.
    pub mended: Mended,
}

/// An answer of the user's app, and its body.
pub type AppResponse = (AppAnswer, Vec<u8>);

/// A model that the server has registered.
#[derive(Debug)]
pub struct KnownModel {
    pub spec: ModelSpec,
    pub names: VersionNames,
    /// The return value of `fit` for this version, as JSON; empty if it was never trained.
    pub train_output: Vec<u8>,
    /// The newest /setup request of the project.
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

    /// Sets the client through which user code asks the server.
    fn ask_with(&self, server: &Arc<ServerClient>);

    /// Imports the user's script and finds the class.
    fn import(&self, configure: &Configure) -> Result<ClassInfo, ImportFailure>;

    /// Whether each thread keeps instances of its own; known after the import.
    fn keeps_by_thread(&self) -> bool;

    /// Registers a model unless it is known. Makes no instance and does not wait for the interpreter.
    fn register(&self, model: KnownModel);

    /// Marks predictions of a model with other version names from now on.
    fn rename(&self, model: ModelId, names: VersionNames);

    /// Makes the instance of a registered model, for this thread or for all, unless there is one, or in any
    /// case with `renew`. `request` is the one that is being served, if any.
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

    /// Whether `predict` can take the tasks of several requests, as far as known.
    fn takes_batches(&self) -> bool;

    /// Calls `predict` once with the tasks of several requests, and splits the answer. None if they must be
    /// asked for one by one: it raised, or did not return a list with one item for each task.
    fn predict_batch(
        &self,
        model: ModelId,
        requests: &[&HttpRequest],
    ) -> Option<Vec<Result<PredictionBody, ModelError>>>;

    /// Runs the function that answers `requests` on this thread, so that [`Self::cancel`] finds it. Returns
    /// its outcome, and whether all of the requests were cancelled.
    fn cancellable<T>(&self, requests: &[RequestId], run: impl FnOnce() -> T) -> (T, bool);

    /// Raises an exception in the thread that answers a request; false if none does. May wait for the
    /// interpreter.
    fn cancel(&self, request: RequestId) -> bool;

    /// Makes the user's app answer a request.
    fn answer_app(&self, asked: &AppRequest, body: ReceivedBody)
    -> Result<AppResponse, ModelError>;

    /// Calls `fit` and returns its return value as JSON.
    fn fit(&self, model: ModelId, job: &FitJob, body: ReceivedBody) -> Result<Vec<u8>, ModelError>;

    /// Runs `wait`, which may block, without holding the interpreter.
    fn wait<T: Send>(&self, wait: impl FnOnce() -> T + Send) -> T;

    /// Starts a thread as `threading` does, so that `threading.local` lives as long as the thread.
    fn start_thread(&self, name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<()>;

    /// Acquires and releases the interpreter.
    fn touch(&self);
}
