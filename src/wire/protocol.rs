//! The messages between the server and its workers, the wire format of [`crate::wire::frame`] headers.
//!
//! Server → worker: [`ToWorker`]; worker → server: [`FromWorker`]. Both sides come from the same
//! wheel, so there is one version and no negotiation: a `hello` with another [`PROTOCOL`] is
//! refused. Every message has a snapshot, so a change of the wire is a visible change.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::api_version::ApiVersion;
use super::http::{AppAnswer, AppRequest, HttpHead, UserApp};
use crate::ids::ProjectKey;
use crate::labelling::check::Mended;

/// Version of this protocol; a worker says it in `hello`.
pub const PROTOCOL: u32 = 1;

/// Number of a request on one channel; answers carry the number of their request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

/// Number of a model specification, unique in one server process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelId(pub u64);

impl std::fmt::Display for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What the server says to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToWorker {
    /// The first message: which program to import, and for what.
    Configure(Configure),
    /// Register a model; with `request`, make an instance unless there is one, or in any case with
    /// `renew`. The body is `train_output` as JSON, of that many bytes, none if untrained, and then the
    /// body of the newest /setup of the project, if there was one.
    Load {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestId>,
        model: ModelSpec,
        renew: bool,
        names: VersionNames,
        train_output: usize,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        setup: Option<HttpHead>,
    },
    /// Mark a model's predictions with other version names from now on.
    Name { model: ModelId, names: VersionNames },
    /// Drop an instance; requests that run on it end undisturbed.
    Unload { model: ModelId },
    /// Predict; the body is the body of the HTTP request, unparsed.
    Predict {
        request: RequestId,
        model: ModelId,
        force_reload: bool,
        http: HttpHead,
        /// It may be answered together with others.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch: Option<Batchable>,
    },
    /// Do not begin a prediction, or break it off: its client is gone or out of time.
    Cancel { request: RequestId },
    /// Do not begin a prediction; let it run if it has begun.
    Withdraw { request: RequestId },
    /// Train; the body is the body of the HTTP request, unparsed.
    Fit { request: RequestId, model: ModelId, job: FitJob },
    /// A request for the user's app; the body is its body.
    AppRequest { request: RequestId, asked: AppRequest },
    /// Answer to `key`; the body is the value, if one was asked for.
    KeyAnswer { request: RequestId, outcome: KeyOutcome },
    /// Answer to `route`; the body is its body.
    RouteAnswer { request: RequestId, answer: AppAnswer },
    /// End, after what is running now.
    Shutdown,
}

/// What a worker says to the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromWorker {
    /// The process runs, and has not imported user code yet.
    Hello { protocol: u32, pid: u32, python: String },
    /// The script was imported and the class found.
    ClassReady(ClassInfo),
    /// The script could not be imported, or holds no usable class.
    ClassFailed(ImportFailure),
    /// Answer to `load`.
    Loaded { request: RequestId },
    /// Answer to `predict`; the body is the body of the HTTP answer.
    Predicted {
        request: RequestId,
        tasks: usize,
        #[serde(default, skip_serializing_if = "Mended::is_empty")]
        mended: Mended,
    },
    /// Answer to `fit`; the body is what `fit` returned, as JSON.
    Fitted { request: RequestId },
    /// Answer of the user's app; the body is its body.
    AppAnswered { request: RequestId, answer: AppAnswer },
    /// Answer to any request that failed.
    Failed { request: RequestId, error: ModelError },
    /// User code reads or writes a key of its project; the body is the value.
    Key { request: RequestId, ask: KeyOperation, project: String, key: String },
    /// A view of the user's app asks for a route of the server, on behalf of a request to the app; the body
    /// is the body to send there, or absent with `same_body`: that of the request to the app.
    Route {
        request: RequestId,
        on_behalf_of: Option<RequestId>,
        asked: AppRequest,
        same_body: bool,
    },
    /// Sent every second. `interpreter_ms` is how long the last check waited for the interpreter; `loading`
    /// is whether instances are being made or trained, which may hold the interpreter for long.
    Heartbeat { interpreter_ms: u64, loading: bool },
}

/// What a worker process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerRole {
    /// Answers predictions for as long as the server lives.
    Predict,
    /// Runs one training job and ends, so that GPU memory comes back.
    Train,
    /// Imports a script for `init`, reports its classes and siblings, and ends.
    Inspect,
}

/// Where the model class comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassSource {
    /// A script, and the class in it if the user named one.
    Script { path: PathBuf, class: Option<String> },
    /// A project's `_wsgi.py`, which hands the class to `init_app`.
    Wsgi { path: PathBuf },
}

/// The first message to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configure {
    pub role: WorkerRole,
    pub source: ClassSource,
    /// Working folder for user code: that of the process that started the server.
    pub cwd: PathBuf,
    /// `MODEL_DIR` where it is known before the import; else the class decides (see `ClassInfo`).
    pub model_dir: Option<PathBuf>,
    /// Keyword arguments for the class, from config.json and `--with`.
    pub init_kwargs: serde_json::Map<String, serde_json::Value>,
    /// Concurrent predictions in this worker.
    pub threads: usize,
    /// Maximum number of tasks of several requests in one call of `predict`; 0: one call a request.
    #[serde(default)]
    pub max_batch_size: usize,
    /// Level for the root logger of user code, DEBUG, INFO, WARNING or ERROR, if the user named one.
    pub log_level: Option<String>,
    /// Niceness of a training worker; without one it computes only while a processor is idle.
    pub train_nice: Option<i32>,
    /// Construct the class once with `init_kwargs` alone, as `--check` asks.
    pub check: bool,
    /// API v2: make an instance for every request, as the original does.
    #[serde(default)]
    pub fresh_instances: bool,
    /// Hosts that files of tasks may come from, as the user listed them; without it, those that the worker's
    /// environment names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_hosts: Option<String>,
    /// Options for the program itself: `sys.argv` without its first item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Variables that are in the environment during the import, and not afterwards.
    #[serde(default, skip_serializing_if = "Secrets::is_empty")]
    pub secrets: Secrets,
}

/// Variables of the environment whose values must not be shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secrets(pub BTreeMap<String, String>);

impl Secrets {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// User and password that `_wsgi.py` gave to `init_app`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasicAuth {
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BasicAuth")
    }
}

/// What decides whether a request is answered together with others of its model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batchable {
    pub tasks: usize,
    /// Its `params` as they came; only requests with equal ones are answered together.
    pub params: String,
}

/// What a worker found out about the user's class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct ClassInfo {
    pub class: String,
    #[serde(rename = "generation")]
    pub api: ApiVersion,
    /// Why the class was taken for one of that API, for the log.
    pub reason: String,
    /// `MODEL_DIR` in force.
    pub model_dir: PathBuf,
    /// The file that defines the class; that which hands it to the server where a package defines it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<PathBuf>,
    /// False when the class says `THREAD_SAFE = False`.
    pub thread_safe: bool,
    /// Webhook actions that train the class; empty for a class without `fit`.
    pub train_events: Vec<String>,
    /// The class overrides `process_event` and wants to see every action.
    pub wants_every_event: bool,
    /// `predict` looks at the context of interactive requests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uses_context: bool,
    /// The class, or what lies beside it in its module, asks for the labelling config.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reads_config: bool,
    /// What every request must bring, if `_wsgi.py` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// What was added to the app that `_wsgi.py` serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<UserApp>,
    /// What `init` needs to know of the script (`Inspect` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspection: Option<Inspection>,
}

/// What `init` needs to know of a script.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// Files and folders beside the script that its project needs, as paths relative to its folder.
    pub companions: Vec<PathBuf>,
    /// Such ones that are too large to be copied.
    pub left_out: Vec<PathBuf>,
    /// The text of a requirements file, suggested from what the script imports.
    pub requirements: String,
}

/// Why there is no class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportFailure {
    pub kind: ImportFailureKind,
    /// One sentence.
    pub message: String,
    /// The user's own lines of the traceback, where there is one.
    pub traceback: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportFailureKind {
    /// The script is not there.
    Missing,
    /// Importing it raised.
    Raised,
    /// It holds no subclass of `LabelStudioMLBase`.
    NoClass,
    /// It holds several, and none was named.
    SeveralClasses,
    /// `label_studio_ml` in this environment is another package than ours.
    ForeignPackage,
    /// `--check` could not construct the class.
    CheckFailed,
    /// What the program asks for cannot be done together with the options of the server.
    Conflict,
}

/// Everything that an instance of a model is made from, except for its `train_output`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSpec {
    pub id: ModelId,
    pub project: ProjectKey,
    pub label_config: Option<String>,
    /// Digits, or `INITIAL` for a model that was never trained.
    pub version: String,
    /// Address and token of Label Studio, known once /setup was called.
    pub connection: Option<LabelStudioConnection>,
}

/// How predictions of a model are marked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionNames {
    /// The version that /setup tells, and that predictions carry.
    pub served: String,
    /// The model's own names of this version; predictions that carry one get `served` instead.
    pub own: Vec<String>,
}

/// What user code does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyOperation {
    Get,
    Has,
    Set,
    Delete,
}

/// The outcome of an operation on a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyOutcome {
    /// The value is in the body, or (`has`) there is one.
    Found,
    /// There is no value.
    Absent,
    /// The value was written, or deleted.
    Done,
    /// The server keeps no keys for this worker.
    NotKept,
    /// The value could not be read or written.
    Failed(String),
}

/// Address and token by which user code reaches Label Studio.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelStudioConnection {
    pub hostname: String,
    pub access_token: String,
}

impl std::fmt::Debug for LabelStudioConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("hostname", &self.hostname)
            .field("access_token", &"…")
            .finish()
    }
}

/// One training job, as the training worker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FitJob {
    /// Digits; also the id of the version that the job makes.
    pub id: String,
    /// Folder of the job, made by the server; what `fit` writes there is published with it.
    pub workdir: PathBuf,
    /// The webhook action, or none for /train, which brings annotated tasks.
    pub event: Option<String>,
}

/// Why a model could not be made, or did not predict or train.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelError {
    pub kind: ModelErrorKind,
    /// Class of the exception, `KeyError`.
    pub class: String,
    /// `str(exception)`.
    pub message: String,
    pub traceback: Option<String>,
    /// Id of the task that `predict` was at, where that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The error answer that user code asked for by raising `AnswerException`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Box<ErrorAnswer>>,
}

/// The answer that an `AnswerException` describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// 400 to 599.
    pub status: u16,
    /// Goes into the `result` of the error body.
    pub result: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelErrorKind {
    /// The constructor raised.
    Construct,
    /// The constructor raised, and there was no labelling config to give it.
    ConfigMissing,
    /// The labelling config cannot be read.
    ConfigMalformed,
    /// `predict` or `fit` raised.
    Raised,
    /// What they returned cannot be written as JSON.
    Result,
    /// The request body is not a JSON object that the model could be called with.
    Request,
    /// The model was unloaded while the request was under way; the server asks again.
    Unloaded,
    /// It was cancelled before it began.
    Cancelled,
    /// The user's app raised, or its answer is not one.
    App,
}

#[cfg(test)]
mod tests;
