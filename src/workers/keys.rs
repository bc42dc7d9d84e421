//! What user code keeps for its project, as a worker asks the server for it.
//!
//! [`KeyClient`] is the worker's end: a thread asks and waits. [`KeyKeeper`] is what the server has to
//! answer with.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use bytes::Bytes;

use super::channel::blocking::Writer;
use super::protocol::{FromWorker, KeyAsk, KeyOutcome, RequestId};

/// An answer and the value that comes with it.
pub type KeyAnswer = (KeyOutcome, Bytes);

/// A question of user code.
#[derive(Debug, Clone)]
pub struct KeyQuestion {
    pub ask: KeyAsk,
    /// The id of a project as user code knows it: without its time of creation.
    pub project: String,
    pub key: String,
    pub value: Bytes,
}

/// Keeps values for the workers of a server.
pub trait KeyKeeper: std::fmt::Debug + Send + Sync {
    fn answer(&self, question: KeyQuestion)
    -> Pin<Box<dyn Future<Output = KeyAnswer> + Send + '_>>;
}

/// Has the channel read at once, whatever the threads do that read it now and then.
pub trait Attention: std::fmt::Debug + Send + Sync {
    /// A thread begins to wait for a message.
    fn expect(&self);
    /// It has it.
    fn expect_no_more(&self);
}

/// The worker's end.
#[derive(Debug)]
pub struct KeyClient {
    writer: Arc<Writer>,
    attention: Arc<dyn Attention>,
    pid: u32,
    next: AtomicU64,
    waiting: Mutex<HashMap<RequestId, mpsc::Sender<KeyAnswer>>>,
}

impl KeyClient {
    pub fn new(writer: Arc<Writer>, attention: Arc<dyn Attention>) -> Self {
        let (pid, next) = (std::process::id(), AtomicU64::new(1));
        Self { writer, attention, pid, next, waiting: Mutex::default() }
    }

    /// Asks the server and waits for its answer. None in a child that the model forked: the channel is
    /// not its own.
    pub fn ask(&self, question: &KeyQuestion) -> Option<KeyAnswer> {
        if std::process::id() != self.pid {
            return None;
        }
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = mpsc::channel();
        self.waiting().insert(request, reply);
        let message = FromWorker::Key {
            request,
            ask: question.ask,
            project: question.project.clone(),
            key: question.key.clone(),
        };
        if let Err(error) = self.writer.send(&message, &question.value) {
            self.waiting().remove(&request);
            return Some((KeyOutcome::Failed(error.to_string()), Bytes::new()));
        }
        self.attention.expect();
        // The process ends with its server, so an answer comes or nothing does any more.
        let answer = answer.recv().ok();
        self.attention.expect_no_more();
        answer
    }

    /// Hands an answer to the thread that waits for it.
    pub(super) fn take(&self, request: RequestId, answer: KeyAnswer) {
        if let Some(reply) = self.waiting().remove(&request) {
            // Whoever does not wait any more was interrupted.
            let _ = reply.send(answer);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<RequestId, mpsc::Sender<KeyAnswer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
