//! Asks the server on behalf of user code: for the keys of a project, and for the server's own routes.
//!
//! In: a question of a thread. Out: the server's answer, for which the thread waits.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use crate::wire::frame::FrameError;
use crate::wire::http::{AppAnswer, AppRequest};
use crate::wire::keys::{KeyAnswer, KeyRequest};
use crate::wire::protocol::{FromWorker, KeyOutcome, RequestId};
use crate::wire::worker_end::ChannelWriter;

thread_local! {
    /// The request to the user's app that this thread answers.
    static ANSWERED: Cell<Option<RequestId>> = const { Cell::new(None) };
}

/// Runs `run`, which answers a request to the user's app on this thread.
pub fn on_behalf_of<T>(request: RequestId, run: impl FnOnce() -> T) -> T {
    let before = ANSWERED.replace(Some(request));
    let value = run();
    ANSWERED.set(before);
    value
}

/// Makes sure that the channel is read while a call waits for a message.
pub trait Attention: std::fmt::Debug + Send + Sync {
    /// A thread begins to wait for a message, in the middle of a call.
    fn expect(&self);
    /// The thread has its message.
    fn expect_no_more(&self);
}

/// An answer of the server.
pub(super) enum ServerReply {
    Key(KeyAnswer),
    Route(AppAnswer, Bytes),
}

/// The body of a request for a route of the server.
#[derive(Debug, Clone, Copy)]
pub enum RouteBody<'a> {
    /// That of the request to the app that this thread answers.
    Same,
    Other(&'a [u8]),
}

/// Sends questions, and matches the answers to the threads that wait.
#[derive(Debug)]
pub struct ServerClient {
    writer: Arc<ChannelWriter>,
    attention: Arc<dyn Attention>,
    pid: u32,
    next: AtomicU64,
    waiting: Mutex<HashMap<RequestId, mpsc::Sender<ServerReply>>>,
}

impl ServerClient {
    pub fn new(writer: Arc<ChannelWriter>, attention: Arc<dyn Attention>) -> Self {
        let (pid, next) = (std::process::id(), AtomicU64::new(1));
        Self { writer, attention, pid, next, waiting: Mutex::default() }
    }

    /// Reads or writes a key. None in a child that the model forked, which must not use the channel.
    pub fn ask_key(&self, question: &KeyRequest) -> Option<KeyAnswer> {
        let message = |request| FromWorker::Key {
            request,
            ask: question.ask,
            project: question.project.clone(),
            key: question.key.clone(),
        };
        match self.ask(message, &question.value)? {
            Ok(ServerReply::Key(answer)) => Some(answer),
            Ok(ServerReply::Route(..)) => None,
            Err(error) => Some((KeyOutcome::Failed(error.to_string()), Bytes::new())),
        }
    }

    /// Asks for a route of the server. None in a child that the model forked.
    pub fn ask_route(
        &self,
        asked: &AppRequest,
        body: RouteBody<'_>,
    ) -> Option<Result<(AppAnswer, Bytes), FrameError>> {
        let on_behalf_of = ANSWERED.get();
        let (same_body, sent) = match body {
            RouteBody::Same => (true, &[][..]),
            RouteBody::Other(bytes) => (false, bytes),
        };
        let message =
            |request| FromWorker::Route { request, on_behalf_of, asked: asked.clone(), same_body };
        match self.ask(message, sent)? {
            Ok(ServerReply::Route(answer, body)) => Some(Ok((answer, body))),
            Ok(ServerReply::Key(_)) => None,
            Err(error) => Some(Err(error)),
        }
    }

    fn ask(
        &self,
        message: impl FnOnce(RequestId) -> FromWorker,
        body: &[u8],
    ) -> Option<Result<ServerReply, FrameError>> {
        if std::process::id() != self.pid {
            return None;
        }
        let request = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = mpsc::channel();
        self.waiting().insert(request, reply);
        if let Err(error) = self.writer.send(&message(request), body) {
            self.waiting().remove(&request);
            return Some(Err(error));
        }
        self.attention.expect();
        // The process ends with its server, so the answer comes.
        let answer = answer.recv().ok();
        self.attention.expect_no_more();
        answer.map(Ok)
    }

    /// Passes an answer to the thread that waits for it.
    pub(super) fn take(&self, request: RequestId, answer: ServerReply) {
        if let Some(reply) = self.waiting().remove(&request) {
            // The thread may have been interrupted.
            let _ = reply.send(answer);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<RequestId, mpsc::Sender<ServerReply>>> {
        self.waiting.lock()
    }
}
