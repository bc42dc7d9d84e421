//! Asks the server for what user code keeps for its project.
//!
//! In: a question of a thread. Out: the server's answer, for which the thread waits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use bytes::Bytes;

use crate::wire::keys::{KeyAnswer, KeyRequest};
use crate::wire::protocol::{FromWorker, KeyOutcome, RequestId};
use crate::wire::worker_end::ChannelWriter;

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
    writer: Arc<ChannelWriter>,
    attention: Arc<dyn Attention>,
    pid: u32,
    next: AtomicU64,
    waiting: Mutex<HashMap<RequestId, mpsc::Sender<KeyAnswer>>>,
}

impl KeyClient {
    pub fn new(writer: Arc<ChannelWriter>, attention: Arc<dyn Attention>) -> Self {
        let (pid, next) = (std::process::id(), AtomicU64::new(1));
        Self { writer, attention, pid, next, waiting: Mutex::default() }
    }

    /// Asks the server and waits for its answer. None in a child that the model forked: the channel is
    /// not its own.
    pub fn ask(&self, question: &KeyRequest) -> Option<KeyAnswer> {
        if std::process::id() != self.pid {
            return None;
        }
        let request = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
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
