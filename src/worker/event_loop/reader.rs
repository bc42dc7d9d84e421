//! Reads messages of the server, and passes each to the thread that handles it.
//!
//! The fallback reader does this, on a thread of its own, unless a prediction thread has nothing else to do
//! and reads (see [`crate::worker::scheduler`]). When the server is gone, the thread that reads kills the
//! worker and its children: nothing that they do can reach a client any more.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::os::descendants::end_this_worker;
use crate::os::wakeup::Wakeup;
use crate::wire::frame::FrameError;
use crate::wire::protocol::{FromWorker, ModelError, ModelErrorKind, RequestId, ToWorker};
use crate::wire::shared_body::ReceivedBody;
use crate::wire::worker_end::ChannelReader;
use crate::worker::event_loop::app::{self, AppCall};
use crate::worker::event_loop::{
    FitCall, LoadCall, PredictCall, SharedState, fail, own_error, reply,
};
use crate::worker::host::{HttpRequest, KnownModel, ModelHost};
use crate::worker::scheduler::{PredictThreadId, STALL_CHECK};
use crate::worker::server_client::{ServerClient, ServerReply};

/// Number of attempts to cancel a request, which may be between the queue and its thread.
const CANCEL_ATTEMPTS: u32 = 20;
const CANCEL_PAUSE: Duration = Duration::from_millis(50);

/// The reading end of the channel, and the parts that handle its messages.
pub(super) struct ChannelInput {
    /// Locked by the thread whose turn it is to read.
    reader: Mutex<ChannelReader>,
    wakeup: Arc<Wakeup>,
    server: Arc<ServerClient>,
}

impl ChannelInput {
    pub(super) fn new(
        reader: ChannelReader,
        wakeup: Arc<Wakeup>,
        server: Arc<ServerClient>,
    ) -> Self {
        Self { reader: Mutex::new(reader), wakeup, server }
    }
}

/// Starts the thread that reads when no other does.
pub(super) fn spawn_fallback_reader<H: ModelHost>(shared: Arc<SharedState<H>>) -> io::Result<()> {
    let run = move || {
        while read_all(&shared).is_ok() {
            shared.queues.predict.wait_for_reading();
        }
        end_this_worker();
    };
    thread::Builder::new().name("channel".into()).spawn(run)?;
    Ok(())
}

/// Reads until another thread does, and wakes threads for predictions that have stalled.
fn read_all<H: ModelHost>(shared: &Arc<SharedState<H>>) -> Result<(), FrameError> {
    let predictions = &shared.queues.predict;
    let mut reader = shared.incoming.reader.lock();
    loop {
        while predictions.any_waits() && !reader.comes_within(STALL_CHECK, None)? {
            predictions.wake_stalled();
        }
        let Some((message, body)) = reader.receive()? else { end_this_worker() };
        take(shared, message, body, None);
        if !reader.has_message() && predictions.hand_over_reading() {
            return Ok(());
        }
    }
}

/// Reads messages on a prediction thread. Returns early if the thread is called back, and at `until`.
pub(super) fn read_next<H: ModelHost>(
    shared: &Arc<SharedState<H>>,
    by: PredictThreadId,
    until: Instant,
) {
    let mut reader = shared.incoming.reader.lock();
    let patience = until.saturating_duration_since(Instant::now());
    match reader.comes_within(patience, Some(&shared.incoming.wakeup)) {
        Ok(true) => {}
        Ok(false) => return,
        Err(_) => end_this_worker(),
    }
    loop {
        let Ok(Some((message, body))) = reader.receive() else { end_this_worker() };
        take(shared, message, body, Some(by));
        if !reader.has_message() {
            return;
        }
    }
}

/// Handles a message; `by` is the prediction thread that read it, which looks for work next.
fn take<H: ModelHost>(
    shared: &Arc<SharedState<H>>,
    message: ToWorker,
    body: ReceivedBody,
    by: Option<PredictThreadId>,
) {
    let SharedState { host, queues, .. } = &**shared;
    match message {
        ToWorker::KeyAnswer { request, outcome } => {
            let answer = ServerReply::Key((outcome, body.into_vec().into()));
            shared.incoming.server.take(request, answer);
        }
        ToWorker::RouteAnswer { request, answer } => {
            let answer = ServerReply::Route(answer, body.into_vec().into());
            shared.incoming.server.take(request, answer);
        }
        ToWorker::AppRequest { request, asked } => {
            queues.app.push(AppCall { request, asked, body });
        }
        ToWorker::Load { request, model, renew, names, train_output, setup } => {
            let id = model.id;
            let mut train_output_json = body.into_vec();
            let rest = train_output_json.split_off(train_output.min(train_output_json.len()));
            let setup = setup.map(|head| HttpRequest { head, body: ReceivedBody::Inline(rest) });
            let train_output = train_output_json;
            host.register(KnownModel { spec: model, names, train_output, setup });
            let Some(request) = request else { return };
            let keep = host.keeps_by_thread();
            if keep && !renew && queues.predict.is_held(id) {
                return reply(&shared.writer, request, &FromWorker::Loaded { request }, &[]);
            }
            if keep {
                queues.predict.begin_making(id);
            }
            queues.load.push(LoadCall { request, model: id, renew, keep });
        }
        ToWorker::Name { model, names } => host.rename(model, names),
        ToWorker::Unload { model } => {
            queues.predict.forget(model);
            host.unload(model);
        }
        ToWorker::Predict { request, model, force_reload, http, batch } => {
            let http = HttpRequest { head: http, body };
            let is_alone = batch.is_none();
            let call = PredictCall { request, force_reload, http, batch };
            if is_alone && shared.max_batch_size > 0 {
                queues.predict.push_first(model, call, by);
            } else {
                queues.predict.push(model, call, by);
            }
        }
        ToWorker::Cancel { request } => cancel(shared, request),
        ToWorker::Withdraw { request } => {
            withdraw(shared, request);
        }
        ToWorker::Fit { request, model, job } => {
            queues.fit.push(FitCall { request, model, job, body });
        }
        ToWorker::Shutdown => queues.close(),
        ToWorker::Configure(_) => {}
    }
}

/// Cancels a call that has not begun; false if there is none.
fn withdraw<H>(shared: &SharedState<H>, request: RequestId) -> bool {
    let found = shared.queues.predict.withdraw(|waiting| waiting.request == request).is_some();
    if found {
        let kind = ModelErrorKind::Cancelled;
        let message = "the request was cancelled before it began".into();
        let error = ModelError { kind, ..own_error("PredictionCancelled", message) };
        fail(&shared.writer, request, error);
    }
    found || app::withdraw(shared, request)
}

/// Cancels a prediction on a thread of its own, since the interpreter may be busy.
fn cancel<H: ModelHost>(shared: &Arc<SharedState<H>>, request: RequestId) {
    let shared = Arc::clone(shared);
    let run = move || {
        for _ in 0..CANCEL_ATTEMPTS {
            if withdraw(&shared, request) || shared.host.cancel(request) {
                return;
            }
            thread::sleep(CANCEL_PAUSE);
        }
    };
    // Without a thread the request does not end, and the server replaces the worker.
    let _ = thread::Builder::new().name("cancel".into()).spawn(run);
}
