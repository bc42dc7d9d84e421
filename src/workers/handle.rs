//! The server's handle of one worker: calls with answers, and the state that the worker reports.
//!
//! Every call has exactly one end: its answer, or [`WorkerError::Died`] when the process is gone.

mod app;
mod predict;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use thiserror::Error;
use tokio::sync::{oneshot, watch};

pub use self::predict::{Interruption, Interruptions, PredictionReply};
use crate::wire::frame::FrameError;
use crate::wire::keys::KeyRequest;
use crate::wire::protocol::{
    ClassInfo, FitJob, FromWorker, ModelError, ModelId, RequestId, ToWorker, VersionNames,
};
use crate::wire::server_end::{MessageReceiver, MessageSender};
use crate::workers::heartbeat::Heartbeat;
use crate::workers::key_keeper::answer_key;
use crate::workers::model::LoadableModel;
use crate::workers::output::job::CurrentJob;
use crate::workers::server_routes::{OpenAppRequests, RouteRequest, WorkerQuestions, answer_route};

/// Why a worker gave no answer, or a bad one.
#[derive(Debug, Error)]
pub enum WorkerError {
    #[error("worker {worker} (pid {pid}) {reason}")]
    Died { worker: String, pid: u32, reason: String },
    #[error("{}: {}", .0.class, .0.message)]
    Model(ModelError),
    /// The prediction was cancelled: its client is gone or out of time.
    #[error("the prediction was cancelled")]
    Cancelled,
    #[error("the request does not fit the channel to the worker: {0}")]
    Frame(#[from] FrameError),
}

/// An answer and its body, as they came.
type WorkerAnswer = (FromWorker, Bytes);

type AnswerReceiver = oneshot::Receiver<Result<WorkerAnswer, WorkerError>>;

#[derive(Debug, Default)]
struct Calls {
    last: u64,
    open: HashMap<RequestId, oneshot::Sender<Result<WorkerAnswer, WorkerError>>>,
    ended: Option<String>,
}

/// Number of a worker process, unique in one server process, also across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Incarnation(pub u64);

/// A worker process that imported its class.
#[derive(Debug)]
pub struct WorkerHandle {
    pub incarnation: Incarnation,
    /// `1`, `2`, … or `train`.
    pub name: String,
    pub pid: u32,
    pub class: ClassInfo,
    /// The job whose output the worker's output is.
    pub job: CurrentJob,
    sender: MessageSender,
    questions: Option<WorkerQuestions>,
    calls: Mutex<Calls>,
    app_requests: Arc<OpenAppRequests>,
    /// Models that the worker knows, with the names that it was told last. A model is made known before any
    /// message that uses it is sent.
    known: Mutex<HashMap<ModelId, VersionNames>>,
    /// Models that have answered in this worker.
    predicted: Mutex<HashSet<ModelId>>,
    introducing: tokio::sync::Mutex<()>,
    /// The heartbeats of the worker.
    pub heartbeat: Heartbeat,
    /// Number of calls that were cancelled and do not end.
    stuck_calls: AtomicUsize,
    /// Number of predictions that it has answered.
    answered: AtomicU64,
    closed: watch::Sender<bool>,
}

impl WorkerHandle {
    pub fn new(
        incarnation: Incarnation,
        (name, job): (String, CurrentJob),
        pid: u32,
        class: ClassInfo,
        sender: MessageSender,
        questions: Option<WorkerQuestions>,
    ) -> Self {
        Self {
            incarnation,
            name,
            pid,
            class,
            job,
            sender,
            questions,
            calls: Mutex::default(),
            app_requests: Arc::default(),
            known: Mutex::default(),
            predicted: Mutex::default(),
            introducing: tokio::sync::Mutex::default(),
            heartbeat: Heartbeat::default(),
            stuck_calls: AtomicUsize::default(),
            answered: AtomicU64::default(),
            closed: watch::channel(false).0,
        }
    }

    /// Passes answers to their callers until the channel ends.
    pub async fn receive(&self, mut receiver: MessageReceiver) {
        loop {
            match receiver.receive().await {
                Ok(Some((message, body))) => self.take(message, body),
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(worker = self.name, pid = self.pid, "worker channel: {error}");
                    break;
                }
            }
        }
        self.closed.send_replace(true);
    }

    /// Whether no call can be answered any more.
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits until the channel has ended, so that no call can be answered any more; the process may live on.
    pub async fn closed(&self) {
        // The sender lives as long as this handle.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    fn take(&self, message: FromWorker, body: Bytes) {
        let request = match &message {
            FromWorker::Loaded { request }
            | FromWorker::Predicted { request, .. }
            | FromWorker::Fitted { request }
            | FromWorker::AppAnswered { request, .. }
            | FromWorker::Failed { request, .. } => *request,
            FromWorker::Heartbeat { interpreter_ms, loading } => {
                return self.heartbeat.note(*interpreter_ms, *loading);
            }
            FromWorker::Key { request, ask, project, key } => {
                let question = KeyRequest {
                    ask: *ask,
                    project: project.clone(),
                    key: key.clone(),
                    value: body,
                };
                let keeper = self.questions.as_ref().map(|questions| &questions.keys);
                return answer_key(&self.sender, keeper, *request, question);
            }
            FromWorker::Route { request, on_behalf_of, asked, same_body } => {
                let route = RouteRequest {
                    request: *request,
                    on_behalf_of: *on_behalf_of,
                    asked: asked.clone(),
                    body: (!same_body).then_some(body),
                };
                let questions = self.questions.as_ref();
                return answer_route(&self.sender, questions, &self.app_requests, route);
            }
            FromWorker::Hello { .. } | FromWorker::ClassReady(_) | FromWorker::ClassFailed(_) => {
                return;
            }
        };
        if let Some(caller) = self.calls().open.remove(&request) {
            let answer = match message {
                FromWorker::Failed { error, .. } => Err(WorkerError::Model(error)),
                message => Ok((message, body)),
            };
            // The caller may be gone.
            let _ = caller.send(answer);
        }
    }

    /// Ends every open call, and every later one, since the process is gone.
    pub fn died(&self, reason: &str) {
        let open = {
            let mut calls = self.calls();
            calls.ended = Some(reason.to_owned());
            std::mem::take(&mut calls.open)
        };
        for caller in open.into_values() {
            let _ = caller.send(Err(self.dead(reason)));
        }
    }

    /// Number of calls that were cancelled and do not end.
    pub fn stuck_calls(&self) -> usize {
        self.stuck_calls.load(Ordering::Relaxed)
    }

    /// Number of predictions that it has answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Asks for an instance of `model`, a new one with `renew`, and waits until it is made.
    pub async fn load(&self, model: &LoadableModel, renew: bool) -> Result<(), WorkerError> {
        let (request, answer) = self.open_call()?;
        self.send_load(model, Some(request), renew).await?;
        self.answer(answer).await.map(|_| ())
    }

    /// Makes sure that the worker knows `model`, without waiting for its instance.
    async fn introduce(&self, model: &LoadableModel) -> Result<(), WorkerError> {
        let told = self.known().get(&model.spec.id).cloned();
        match told {
            None => self.send_load(model, None, false).await,
            // The model was renamed while it was made known to this worker.
            Some(told) if told != model.names() => {
                self.rename(model).await;
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether a model has answered in this worker, so that it has read what it reads lazily.
    pub fn has_predicted(&self, model: ModelId) -> bool {
        self.predicted().contains(&model)
    }

    async fn send_load(
        &self,
        model: &LoadableModel,
        request: Option<RequestId>,
        renew: bool,
    ) -> Result<(), WorkerError> {
        // Sending may have to wait, and no use of the model may overtake its introduction.
        let _order = self.introducing.lock().await;
        let names = model.names();
        let setup_body = model.setup.as_ref().map(|setup| setup.body.clone()).unwrap_or_default();
        let body = if setup_body.is_empty() {
            model.train_output.clone()
        } else {
            [model.train_output.as_ref(), setup_body.as_ref()].concat().into()
        };
        let message = ToWorker::Load {
            request,
            model: model.spec.clone(),
            renew,
            names: names.clone(),
            train_output: model.train_output.len(),
            setup: model.setup.as_ref().map(|setup| setup.head.clone()),
        };
        self.sender.send(&message, body).await?;
        let renamed = model.names() != names;
        self.known().insert(model.spec.id, names);
        // A rename meanwhile did not reach this worker, which did not know the model.
        if renamed {
            self.rename(model).await;
        }
        Ok(())
    }

    /// Tells the worker the current names of a model.
    pub async fn rename(&self, model: &LoadableModel) {
        let names = model.names();
        if let Some(told) = self.known().get_mut(&model.spec.id) {
            told.clone_from(&names);
        } else {
            return;
        }
        let message = ToWorker::Name { model: model.spec.id, names };
        // Sending fails only if the worker is gone, and then it does not matter.
        let _ = self.sender.send(&message, Bytes::new()).await;
    }

    /// Tells the worker to drop the models for which `is_meant` is false.
    pub async fn keep_only(&self, is_meant: impl Fn(ModelId) -> bool) {
        let known: Vec<ModelId> = self.known().keys().copied().collect();
        for model in known.into_iter().filter(|model| !is_meant(*model)) {
            self.unload(model).await;
        }
    }

    /// Tells the worker to drop a model.
    pub async fn unload(&self, model: ModelId) {
        self.predicted().remove(&model);
        let was_known = self.known().remove(&model).is_some();
        if was_known {
            // Sending fails only if the worker is gone, and then it does not matter.
            let _ = self.sender.send(&ToWorker::Unload { model }, Bytes::new()).await;
        }
    }

    /// Trains; the answer is what `fit` returned, as JSON.
    pub async fn fit(
        &self,
        model: &LoadableModel,
        job: FitJob,
        body: Bytes,
    ) -> Result<Bytes, WorkerError> {
        self.introduce(model).await?;
        let (request, answer) = self.open_call()?;
        let message = ToWorker::Fit { request, model: model.spec.id, job };
        self.sender.send(&message, body).await?;
        match self.answer(answer).await? {
            (FromWorker::Fitted { .. }, body) => Ok(body),
            (other, _) => Err(self.confused(&other)),
        }
    }

    /// Asks the worker to end after what it is doing.
    pub async fn shut_down(&self) {
        let _ = self.sender.send(&ToWorker::Shutdown, Bytes::new()).await;
    }

    fn open_call(&self) -> Result<(RequestId, AnswerReceiver), WorkerError> {
        let (caller, answer) = oneshot::channel();
        let mut calls = self.calls();
        if let Some(reason) = &calls.ended {
            return Err(self.dead(reason));
        }
        calls.last += 1;
        let request = RequestId(calls.last);
        calls.open.insert(request, caller);
        Ok((request, answer))
    }

    async fn answer(&self, answer: AnswerReceiver) -> Result<WorkerAnswer, WorkerError> {
        answer.await.unwrap_or_else(|_| Err(self.dead("was given up")))
    }

    fn dead(&self, reason: &str) -> WorkerError {
        WorkerError::Died { worker: self.name.clone(), pid: self.pid, reason: reason.to_owned() }
    }

    fn confused(&self, answer: &FromWorker) -> WorkerError {
        self.dead(&format!("gave an answer of another kind: {answer:?}"))
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<ModelId, VersionNames>> {
        self.known.lock()
    }

    fn predicted(&self) -> MutexGuard<'_, HashSet<ModelId>> {
        self.predicted.lock()
    }
}
