//! The loop inside a worker process.
//!
//! One Rust thread makes sure that the channel is read, another sends heartbeats; predictions run on threads
//! of the interpreter, the import and training on its main thread. When the server is gone, the thread that
//! reads the channel kills the whole process group at once, even while the interpreter is busy.

mod app;
mod predict;
mod reader;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use thiserror::Error;

use self::app::AppQueue;
use self::predict::predict_loop;
use self::reader::ChannelInput;
use crate::os::descendants::end_this_worker;
use crate::os::priority;
use crate::os::wakeup::Wakeup;
use crate::wire::frame::FrameError;
use crate::wire::protocol::{
    Batchable, FitJob, FromWorker, ModelError, ModelErrorKind, ModelId, PROTOCOL, RequestId,
    ToWorker, WorkerRole,
};
use crate::wire::shared_body::ReceivedBody;
use crate::wire::worker_end::ChannelWriter;
use crate::worker::host::{HttpRequest, ModelHost};
use crate::worker::scheduler::Scheduler;
use crate::worker::server_client::ServerClient;
use crate::worker::work_queue::WorkQueue;

const HEARTBEAT: Duration = Duration::from_secs(1);

/// Why a worker ended early.
#[derive(Debug, Error)]
pub enum EventLoopError {
    #[error("the channel to the server: {0}")]
    Channel(#[from] FrameError),
    #[error("the first message must be `configure`, not {0}")]
    NotConfigured(String),
    #[error("a thread could not be started: {0}")]
    Thread(#[from] io::Error),
}

#[derive(Debug)]
struct PredictCall {
    request: RequestId,
    force_reload: bool,
    http: HttpRequest,
    batch: Option<Batchable>,
}

struct LoadCall {
    request: RequestId,
    model: ModelId,
    renew: bool,
    /// Whether the thread that makes the instance keeps it for itself.
    keep: bool,
}

struct FitCall {
    request: RequestId,
    model: ModelId,
    job: FitJob,
    body: ReceivedBody,
}

/// Work, in one queue for each kind of thread.
#[derive(Default)]
struct WorkQueues {
    predict: Arc<Scheduler<PredictCall>>,
    load: WorkQueue<LoadCall>,
    fit: WorkQueue<FitCall>,
    app: AppQueue,
}

impl WorkQueues {
    fn close(&self) {
        self.predict.close();
        self.load.close();
        self.fit.close();
        self.app.close();
    }
}

/// The state that all threads of a worker share.
struct SharedState<H> {
    host: Arc<H>,
    queues: WorkQueues,
    incoming: ChannelInput,
    writer: Arc<ChannelWriter>,
    /// Maximum number of tasks of several requests in one call; 0: one call a request.
    max_batch_size: usize,
    /// Number of instances that are being made or trained.
    loading: AtomicUsize,
}

impl<H: ModelHost> SharedState<H> {
    /// Makes an instance unless there is one. The interpreter may be held for long meanwhile.
    fn load(
        &self,
        model: ModelId,
        renew: bool,
        request: Option<&HttpRequest>,
    ) -> Result<(), ModelError> {
        self.loading.fetch_add(1, Ordering::Relaxed);
        let loaded = self.host.load(model, renew, request);
        self.loading.fetch_sub(1, Ordering::Relaxed);
        loaded
    }
}

/// Serves one server over `channel` until it sends `shutdown`. Must be called on the main thread.
pub fn run<H: ModelHost>(host: &Arc<H>, channel: OwnedFd) -> Result<(), EventLoopError> {
    let (mut reader, writer) = crate::wire::worker_end::open(channel)?;
    let writer = Arc::new(writer);
    writer.send(
        &FromWorker::Hello {
            protocol: PROTOCOL,
            pid: std::process::id(),
            python: host.python_version(),
        },
        &[],
    )?;
    let configure = match host.wait(|| reader.receive())? {
        Some((ToWorker::Configure(configure), _)) => configure,
        Some((other, _)) => return Err(EventLoopError::NotConfigured(format!("{other:?}"))),
        None => return Ok(()),
    };

    let (wakeup, queues) = (Arc::new(Wakeup::new()?), WorkQueues::default());
    queues.predict.allow_reading(Arc::clone(&wakeup));
    let server = Arc::new(ServerClient::new(Arc::clone(&writer), Arc::clone(&queues.predict) as _));
    host.ask_with(&server);
    let shared = Arc::new(SharedState {
        host: Arc::clone(host),
        queues,
        incoming: ChannelInput::new(reader, wakeup, server),
        writer: Arc::clone(&writer),
        max_batch_size: configure.max_batch_size,
        loading: AtomicUsize::default(),
    });
    reader::spawn_fallback_reader(Arc::clone(&shared))?;
    spawn_heartbeat(&shared)?;
    // Predictions come first. The threads above keep their priority, so that heartbeats are sent in time.
    if configure.role == WorkerRole::Train {
        priority::lower(configure.train_nice);
    }

    match host.import(&configure) {
        Err(failure) => Ok(writer.send(&FromWorker::ClassFailed(failure), &[])?),
        Ok(class) => {
            shared.queues.predict.keep_by_thread(host.keeps_by_thread());
            let most = if class.thread_safe { usize::MAX } else { 1 };
            let predicts = configure.role == WorkerRole::Predict;
            let has_app = predicts && class.app.is_some();
            writer.send(&FromWorker::ClassReady(class), &[])?;
            // A training worker has no threads that predict.
            let threads = if predicts { configure.threads } else { 0 };
            serve(&shared, threads.min(most), has_app)
        }
    }
}

/// Runs the threads and returns when the queues are closed and all work is done.
fn serve<H: ModelHost>(
    shared: &Arc<SharedState<H>>,
    threads: usize,
    has_app: bool,
) -> Result<(), EventLoopError> {
    let host = &shared.host;
    if has_app {
        let shared = Arc::clone(shared);
        host.start_thread("app-threads", Box::new(move || app::start_threads(&shared)))?;
    }
    host.start_thread("load", {
        let shared = Arc::clone(shared);
        Box::new(move || load_loop(&shared))
    })?;
    for number in 1..=threads {
        let shared = Arc::clone(shared);
        host.start_thread(
            &format!("predict-{number}"),
            Box::new(move || predict_loop(&shared, None)),
        )?;
    }
    fit_loop(shared);
    host.wait(|| shared.queues.predict.wait_drained());
    host.wait(|| shared.queues.app.wait_drained());
    Ok(())
}

/// Runs each load on a thread of its own: a constructor that hangs must not delay the others.
fn load_loop<H: ModelHost>(shared: &Arc<SharedState<H>>) {
    let host = &shared.host;
    while let Some(load) = host.wait(|| shared.queues.load.pop()) {
        let (name, request, model) = (format!("load-{}", load.model), load.request, load.model);
        let keep = load.keep;
        let run = {
            let shared = Arc::clone(shared);
            move || {
                if load.keep {
                    predict_loop(&shared, Some(&load));
                } else {
                    answer_load(&shared, load.request, &shared.load(load.model, load.renew, None));
                }
            }
        };
        if let Err(error) = host.start_thread(&name, Box::new(run)) {
            if keep {
                shared.queues.predict.not_made(model);
            }
            fail(&shared.writer, request, own_error("RuntimeError", error.to_string()));
        }
    }
}

fn answer_load<H>(shared: &SharedState<H>, request: RequestId, made: &Result<(), ModelError>) {
    match made {
        Ok(()) => reply(&shared.writer, request, &FromWorker::Loaded { request }, &[]),
        Err(error) => fail(&shared.writer, request, error.clone()),
    }
}

fn fit_loop<H: ModelHost>(shared: &SharedState<H>) {
    let (host, writer) = (&shared.host, &shared.writer);
    while let Some(call) = host.wait(|| shared.queues.fit.pop()) {
        let request = call.request;
        // Training may hold the interpreter for long, as loading may.
        shared.loading.fetch_add(1, Ordering::Relaxed);
        let fitted = host.fit(call.model, &call.job, call.body);
        shared.loading.fetch_sub(1, Ordering::Relaxed);
        match fitted {
            Ok(output) => reply(writer, request, &FromWorker::Fitted { request }, &output),
            Err(error) => fail(writer, request, error),
        }
    }
}

/// Sends an answer; one that is too large for a frame becomes an error of its own request.
fn reply(writer: &ChannelWriter, request: RequestId, header: &FromWorker, body: &[u8]) {
    if let Err(error @ (FrameError::HeaderTooLong(_) | FrameError::BodyTooLong(_))) =
        writer.send(header, body)
    {
        fail(writer, request, own_error("ValueError", error.to_string()));
    }
}

fn own_error(class: &str, message: String) -> ModelError {
    let kind = ModelErrorKind::Result;
    ModelError { kind, class: class.into(), message, traceback: None, task: None, answer: None }
}

/// Sends an error. Its texts are short, so sending fails only when the server is gone, which the reader
/// notices.
fn fail(writer: &ChannelWriter, request: RequestId, error: ModelError) {
    let _ = writer.send(&FromWorker::Failed { request, error }, &[]);
}

/// Sends heartbeats, which say how long the interpreter has kept a check waiting.
fn spawn_heartbeat<H: ModelHost>(shared: &Arc<SharedState<H>>) -> io::Result<()> {
    let (host, shared) = (Arc::clone(&shared.host), Arc::clone(shared));
    // The check has a thread of its own, since heartbeats must go on while the interpreter is stuck.
    let asked = Arc::new(Mutex::new(None::<Instant>));
    let check = Arc::new(WorkQueue::<()>::default());
    thread::Builder::new().name("interpreter-check".into()).spawn({
        let (asked, check) = (Arc::clone(&asked), Arc::clone(&check));
        move || {
            while check.pop().is_some() {
                host.touch();
                *asked.lock() = None;
            }
        }
    })?;
    thread::Builder::new().name("heartbeat".into()).spawn(move || {
        loop {
            let waiting_since = {
                let mut asked = asked.lock();
                if asked.is_none() {
                    *asked = Some(Instant::now());
                    check.push(());
                }
                *asked
            };
            thread::sleep(HEARTBEAT);
            let still = *asked.lock();
            let waited = match (still, waiting_since) {
                (Some(now), Some(then)) if now == then => then.elapsed(),
                _ => Duration::ZERO,
            };
            let interpreter_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
            let loading = shared.loading.load(Ordering::Relaxed) > 0;
            let heartbeat = FromWorker::Heartbeat { interpreter_ms, loading };
            if shared.writer.send(&heartbeat, &[]).is_err() {
                // The server is gone, or user code has closed the channel: no answer can be sent any more.
                end_this_worker();
            }
        }
    })?;
    Ok(())
}
