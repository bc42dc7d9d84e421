//! The loop inside a worker process.
//!
//! One Rust thread reads the channel, another sends heartbeats; predictions run on threads of the
//! interpreter, the import and training on its main thread. When the server is gone the reader
//! ends the whole process group at once, whatever the interpreter is doing.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpgrp, getpid, kill_process, kill_process_group};
use thiserror::Error;

use super::channel::blocking::{Reader, Writer};
use super::frame::FrameError;
use super::host::ModelHost;
use super::protocol::{
    Configure, FitJob, FromWorker, ModelError, ModelErrorKind, ModelId, PROTOCOL, RequestId, Role,
    ToWorker,
};
use super::queue::WorkQueue;

const HEARTBEAT: Duration = Duration::from_secs(1);

/// Why a worker could not work.
#[derive(Debug, Error)]
pub enum RuntimeError {
    #[error("the channel to the server: {0}")]
    Channel(#[from] FrameError),
    #[error("the first message must be `configure`, not {0}")]
    NotConfigured(String),
    #[error("a thread could not be started: {0}")]
    Thread(#[from] io::Error),
}

struct Predict {
    request: RequestId,
    model: ModelId,
    force_reload: bool,
    body: Vec<u8>,
}

struct Fit {
    request: RequestId,
    model: ModelId,
    job: FitJob,
    body: Vec<u8>,
}

/// The lists of work, one for each kind of thread.
#[derive(Default)]
struct Queues {
    predict: WorkQueue<Predict>,
    load: WorkQueue<(RequestId, ModelId, bool)>,
    fit: WorkQueue<Fit>,
}

impl Queues {
    fn close(&self) {
        self.predict.close();
        self.load.close();
        self.fit.close();
    }
}

/// Serves one server over `channel` until it says `shutdown`. Call it on the main thread.
pub fn run<H: ModelHost>(host: &Arc<H>, channel: OwnedFd) -> Result<(), RuntimeError> {
    let (mut reader, writer) = super::channel::blocking::open(channel)?;
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
        Some((other, _)) => return Err(RuntimeError::NotConfigured(format!("{other:?}"))),
        None => return Ok(()),
    };

    if configure.role == Role::Train {
        // Predictions come first; where the system does not allow it, training is as fast as they.
        let _ = rustix::process::setpriority_process(None, configure.train_nice);
    }
    let queues = Arc::new(Queues::default());
    spawn_reader(reader, Arc::clone(host), Arc::clone(&queues))?;
    spawn_heartbeat(Arc::clone(host), Arc::clone(&writer))?;

    match host.import(&configure) {
        Err(failure) => return Ok(writer.send(&FromWorker::ClassFailed(failure), &[])?),
        Ok(class) => writer.send(&FromWorker::ClassReady(class), &[])?,
    }
    serve(host, &configure, &queues, &writer)
}

/// Runs the threads of the role and returns when the queues are closed and all work is done.
fn serve<H: ModelHost>(
    host: &Arc<H>,
    configure: &Configure,
    queues: &Arc<Queues>,
    writer: &Arc<Writer>,
) -> Result<(), RuntimeError> {
    let running = Arc::new(WorkQueue::<()>::default());
    let mut threads = 1;
    start(host, "load", &running, {
        let (host, queues, writer) = (Arc::clone(host), Arc::clone(queues), Arc::clone(writer));
        move || load_loop(&host, &queues, &writer)
    })?;
    if configure.role == Role::Predict {
        for number in 1..=configure.threads {
            start(host, &format!("predict-{number}"), &running, {
                let (host, queues, writer) =
                    (Arc::clone(host), Arc::clone(queues), Arc::clone(writer));
                move || predict_loop(&*host, &queues, &writer)
            })?;
            threads += 1;
        }
    }
    fit_loop(&**host, queues, writer);
    for _ in 0..threads {
        host.wait(|| running.pop());
    }
    Ok(())
}

/// Starts a thread that says on `running` that it ended.
fn start<H: ModelHost>(
    host: &Arc<H>,
    name: &str,
    running: &Arc<WorkQueue<()>>,
    run: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let running = Arc::clone(running);
    host.start_thread(
        name,
        Box::new(move || {
            run();
            running.push(());
        }),
    )
}

fn predict_loop<H: ModelHost>(host: &H, queues: &Queues, writer: &Writer) {
    while let Some(call) = host.wait(|| queues.predict.pop()) {
        let answer = host.predict(call.model, call.force_reload, &call.body);
        host.wait(|| {
            drop(call.body);
            match answer {
                Ok(prediction) => {
                    let header = FromWorker::Predicted {
                        request: call.request,
                        tasks: prediction.tasks,
                        results: prediction.results,
                    };
                    reply(writer, call.request, &header, &prediction.body);
                }
                Err(error) => fail(writer, call.request, error),
            }
        });
    }
}

/// Every load has a thread of its own: one constructor that hangs must not hold up the others.
fn load_loop<H: ModelHost>(host: &Arc<H>, queues: &Queues, writer: &Arc<Writer>) {
    while let Some((request, model, renew)) = host.wait(|| queues.load.pop()) {
        let load = {
            let (host, writer) = (Arc::clone(host), Arc::clone(writer));
            move || match host.load(model, renew) {
                Ok(()) => reply(&writer, request, &FromWorker::Loaded { request }, &[]),
                Err(error) => fail(&writer, request, error),
            }
        };
        if let Err(error) = host.start_thread(&format!("load-{model}"), Box::new(load)) {
            fail(writer, request, own_error("RuntimeError", error.to_string()));
        }
    }
}

fn fit_loop<H: ModelHost>(host: &H, queues: &Queues, writer: &Writer) {
    while let Some(call) = host.wait(|| queues.fit.pop()) {
        let request = call.request;
        match host.fit(call.model, &call.job, &call.body) {
            Ok(output) => reply(writer, request, &FromWorker::Fitted { request }, &output),
            Err(error) => fail(writer, request, error),
        }
    }
}

/// Sends an answer; one that is too large for a frame becomes an error of its own request.
fn reply(writer: &Writer, request: RequestId, header: &FromWorker, body: &[u8]) {
    if let Err(error @ (FrameError::HeaderTooLong(_) | FrameError::BodyTooLong(_))) =
        writer.send(header, body)
    {
        fail(writer, request, own_error("ValueError", error.to_string()));
    }
}

fn own_error(class: &str, message: String) -> ModelError {
    let kind = ModelErrorKind::Result;
    ModelError { kind, class: class.into(), message, traceback: None, answer: None }
}

/// Sends an error. Its texts are short, so that a send only fails when the server is gone, which
/// the reader thread deals with.
fn fail(writer: &Writer, request: RequestId, error: ModelError) {
    let _ = writer.send(&FromWorker::Failed { request, error }, &[]);
}

fn spawn_reader<H: ModelHost>(
    mut reader: Reader,
    host: Arc<H>,
    queues: Arc<Queues>,
) -> io::Result<()> {
    thread::Builder::new().name("channel".into()).spawn(move || {
        while let Ok(Some((message, body))) = reader.receive() {
            match message {
                ToWorker::Load { request, model, renew } => {
                    let id = model.id;
                    host.register(model, body);
                    queues.load.push((request, id, renew));
                }
                ToWorker::Unload { model } => host.unload(model),
                ToWorker::Predict { request, model, force_reload } => {
                    queues.predict.push(Predict { request, model, force_reload, body });
                }
                ToWorker::Fit { request, model, job } => {
                    queues.fit.push(Fit { request, model, job, body });
                }
                ToWorker::Shutdown => queues.close(),
                ToWorker::Configure(_) => {}
            }
        }
        end_process_group();
    })?;
    Ok(())
}

/// The server is gone: nothing that this process or its children still do can reach anybody.
fn end_process_group() {
    if getpgrp() == getpid() {
        let _ = kill_process_group(getpgrp(), Signal::KILL);
    }
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Tells the server that the process lives, and how long the interpreter kept a thread waiting.
fn spawn_heartbeat<H: ModelHost>(host: Arc<H>, writer: Arc<Writer>) -> io::Result<()> {
    // The check runs apart from the sender, which must go on while the interpreter is stuck.
    let asked = Arc::new(std::sync::Mutex::new(None::<Instant>));
    let check = Arc::new(WorkQueue::<()>::default());
    thread::Builder::new().name("interpreter-check".into()).spawn({
        let (asked, check) = (Arc::clone(&asked), Arc::clone(&check));
        move || {
            while check.pop().is_some() {
                host.touch();
                *asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
            }
        }
    })?;
    thread::Builder::new().name("heartbeat".into()).spawn(move || {
        loop {
            let waiting_since = {
                let mut asked = asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if asked.is_none() {
                    *asked = Some(Instant::now());
                    check.push(());
                }
                *asked
            };
            thread::sleep(HEARTBEAT);
            let still = *asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let waited = match (still, waiting_since) {
                (Some(now), Some(then)) if now == then => then.elapsed(),
                _ => Duration::ZERO,
            };
            let interpreter_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
            if writer.send(&FromWorker::Heartbeat { interpreter_ms }, &[]).is_err() {
                // The server is gone, or user code has closed the channel: nobody would ever learn
                // what this process does.
                end_process_group();
            }
        }
    })?;
    Ok(())
}
