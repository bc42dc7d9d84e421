//! Requests to the user's app. They have threads of their own, so that none of them takes the place of a
//! prediction, and a hook that hangs holds up no prediction.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::wire::http::{AppRequest, MAX_APP_CALLS};
use crate::wire::protocol::{FromWorker, ModelError, ModelErrorKind, RequestId};
use crate::wire::shared_body::ReceivedBody;
use crate::worker::event_loop::{SharedState, fail, own_error, reply};
use crate::worker::host::{AppResponse, ModelHost};
use crate::worker::server_client::on_behalf_of;

/// A thread that had no request for this long ends.
const IDLE_AFTER: Duration = Duration::from_secs(60);

/// A request to the app.
#[derive(Debug)]
pub(super) struct AppCall {
    pub(super) request: RequestId,
    pub(super) asked: AppRequest,
    pub(super) body: ReceivedBody,
}

/// Requests that wait, and the number of threads that take them.
#[derive(Debug, Default)]
pub(super) struct AppQueue {
    state: Mutex<AppQueueState>,
    /// A request has come, or the queue is closed.
    came: Condvar,
    /// A thread is wanted, or the queue is closed.
    wanted: Condvar,
    /// A thread has done a request.
    done: Condvar,
}

#[derive(Debug, Default)]
struct AppQueueState {
    waiting: VecDeque<AppCall>,
    /// Threads that wait for a request.
    idle: usize,
    /// Threads that were started or are wanted.
    threads: usize,
    wanted: usize,
    closed: bool,
}

impl AppQueue {
    pub(super) fn push(&self, call: AppCall) {
        let mut state = self.state.lock();
        state.waiting.push_back(call);
        if state.waiting.len() > state.idle + state.wanted && state.threads < MAX_APP_CALLS {
            state.threads += 1;
            state.wanted += 1;
            self.wanted.notify_one();
        }
        drop(state);
        self.came.notify_one();
    }

    /// Takes out a request that no thread has begun.
    pub(super) fn withdraw(&self, request: RequestId) -> Option<AppCall> {
        let mut state = self.state.lock();
        let place = state.waiting.iter().position(|call| call.request == request)?;
        state.waiting.remove(place)
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.came.notify_all();
        self.wanted.notify_all();
        self.done.notify_all();
    }

    /// Waits until the queue is closed and every request was done.
    pub(super) fn wait_drained(&self) {
        let mut state = self.state.lock();
        while !(state.closed && state.waiting.is_empty() && state.threads == 0) {
            self.done.wait(&mut state);
        }
    }

    /// Waits until another thread is wanted; false once the queue is closed.
    fn wait_wanted(&self) -> bool {
        let mut state = self.state.lock();
        while state.wanted == 0 && !state.closed {
            self.wanted.wait(&mut state);
        }
        let is_wanted = state.wanted > 0;
        state.wanted -= usize::from(is_wanted);
        is_wanted
    }

    /// The next request for a thread; without one the thread must end.
    fn next(&self) -> Option<AppCall> {
        let mut state = self.state.lock();
        let until = Instant::now() + IDLE_AFTER;
        loop {
            if let Some(call) = state.waiting.pop_front() {
                return Some(call);
            }
            if state.closed {
                return self.end(&mut state);
            }
            state.idle += 1;
            let is_late = self.came.wait_until(&mut state, until).timed_out();
            state.idle -= 1;
            if is_late && state.waiting.is_empty() {
                return self.end(&mut state);
            }
        }
    }

    fn end(&self, state: &mut AppQueueState) -> Option<AppCall> {
        state.threads -= 1;
        self.done.notify_all();
        None
    }

    /// A thread that was wanted could not be started.
    fn not_started(&self) {
        self.end(&mut self.state.lock());
    }
}

/// Starts threads as they are wanted; runs on a thread of the interpreter.
pub(super) fn start_threads<H: ModelHost>(shared: &Arc<SharedState<H>>) {
    let (host, queue) = (&shared.host, &shared.queues.app);
    while host.wait(|| queue.wait_wanted()) {
        let run = {
            let shared = Arc::clone(shared);
            move || answer_requests(&shared)
        };
        if let Err(error) = host.start_thread("app", Box::new(run)) {
            queue.not_started();
            // Other threads, if there are any, answer the rest.
            if let Some(call) = queue.state.lock().waiting.pop_front() {
                let error = own_error("RuntimeError", error.to_string());
                fail(&shared.writer, call.request, error);
            }
        }
    }
}

fn answer_requests<H: ModelHost>(shared: &Arc<SharedState<H>>) {
    let host = &shared.host;
    let mut last = None;
    loop {
        // The last answer is sent while this thread waits without the interpreter anyway.
        let next = host.wait(|| {
            if let Some((request, answered)) = last.take() {
                answer(shared, request, answered);
            }
            shared.queues.app.next()
        });
        let Some(AppCall { request, asked, body }) = next else { return };
        let call = || on_behalf_of(request, || host.answer_app(&asked, body));
        let (answered, _) = host.cancellable(&[request], call);
        last = Some((request, answered));
    }
}

fn answer<H>(
    shared: &SharedState<H>,
    request: RequestId,
    answered: Result<AppResponse, ModelError>,
) {
    match answered {
        Ok((answer, body)) => {
            reply(&shared.writer, request, &FromWorker::AppAnswered { request, answer }, &body);
        }
        Err(error) => fail(&shared.writer, request, error),
    }
}

/// Ends a request that no thread has begun; false if there is none.
pub(super) fn withdraw<H>(shared: &SharedState<H>, request: RequestId) -> bool {
    let Some(call) = shared.queues.app.withdraw(request) else { return false };
    let message = "the request was cancelled before it began".into();
    let kind = ModelErrorKind::Cancelled;
    let error = ModelError { kind, ..own_error("PredictionCancelled", message) };
    fail(&shared.writer, call.request, error);
    true
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::testing::in_time;
    use crate::wire::http::HttpHead;

    fn call(number: u64) -> AppCall {
        let head = HttpHead { target: "/".into(), headers: String::new() };
        let asked = AppRequest { method: "GET".into(), head, client: None };
        AppCall { request: RequestId(number), asked, body: ReceivedBody::Inline(Vec::new()) }
    }

    #[test]
    fn a_thread_is_wanted_for_each_request_that_finds_none_idle_up_to_the_limit() {
        in_time(|| {
            let queue = AppQueue::default();
            for number in 0..200 {
                queue.push(call(number));
            }
            let mut wanted = 0;
            while queue.state.lock().wanted > 0 {
                assert!(queue.wait_wanted());
                wanted += 1;
            }
            assert_eq!(wanted, MAX_APP_CALLS);
            for number in 0..200 {
                assert_eq!(queue.next().map(|call| call.request), Some(RequestId(number)));
            }
        });
    }

    #[test]
    fn an_idle_thread_is_used_again() {
        in_time(|| {
            let queue = Arc::new(AppQueue::default());
            queue.push(call(1));
            assert!(queue.wait_wanted());
            assert!(queue.next().is_some());
            let waiting = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.next().map(|call| call.request))
            };
            while queue.state.lock().idle == 0 {
                thread::yield_now();
            }
            queue.push(call(2));
            assert_eq!(waiting.join().unwrap(), Some(RequestId(2)));
            assert_eq!(queue.state.lock().wanted, 0);
        });
    }

    #[test]
    fn what_no_thread_has_begun_can_be_withdrawn() {
        let queue = AppQueue::default();
        queue.push(call(1));
        queue.push(call(2));
        assert_eq!(queue.withdraw(RequestId(1)).map(|call| call.request), Some(RequestId(1)));
        assert!(queue.withdraw(RequestId(1)).is_none());
        assert_eq!(queue.next().map(|call| call.request), Some(RequestId(2)));
    }

    #[test]
    fn a_closed_queue_is_drained_once_every_thread_has_ended() {
        in_time(|| {
            let queue = Arc::new(AppQueue::default());
            queue.push(call(1));
            assert!(queue.wait_wanted());
            queue.close();
            assert!(!queue.wait_wanted());
            let drained = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.wait_drained())
            };
            assert!(queue.next().is_some(), "what came before is done");
            assert!(!drained.is_finished());
            assert!(queue.next().is_none());
            drained.join().unwrap();
        });
    }
}
