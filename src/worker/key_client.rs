//! Reads and writes the keys of a project on behalf of user code, by asking the server.
//!
//! In: a request of a thread. Out: the server's answer, for which the thread waits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use crate::wire::keys::{KeyAnswer, KeyRequest};
use crate::wire::protocol::{FromWorker, KeyOutcome, RequestId};
use crate::wire::worker_end::ChannelWriter;

/// Makes sure that the channel is read while a call waits for a message.
pub trait Attention: std::fmt::Debug + Send + Sync {
    /// A thread begins to wait for a message, in the middle of a call.
    fn expect(&self);
    /// The thread has its message.
    fn expect_no_more(&self);
}

/// Sends requests for keys, and matches the answers to the threads that wait.
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

    /// Asks the server and waits for its answer. None in a child that the model forked, which must not use
    /// the channel.
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
        // The process ends with its server, so the answer comes.
        let answer = answer.recv().ok();
        self.attention.expect_no_more();
        answer
    }

    /// Passes an answer to the thread that waits for it.
    pub(super) fn take(&self, request: RequestId, answer: KeyAnswer) {
        if let Some(reply) = self.waiting().remove(&request) {
            // The thread may have been interrupted.
            let _ = reply.send(answer);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<RequestId, mpsc::Sender<KeyAnswer>>> {
        self.waiting.lock()
    }
}
