//! Starts worker processes: spawn, hello, import.
//!
//! In: how a process is launched and configured. Out: a process that has imported its class, with a handle
//! to call it, or the reason why there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use thiserror::Error;

use crate::wire::frame::FrameError;
use crate::wire::keys::KeyRequest;
use crate::wire::protocol::{ClassInfo, Configure, FromWorker, ImportFailure, PROTOCOL, ToWorker};
use crate::wire::server_end::{self, MessageReceiver, MessageSender};
use crate::workers::STOP_GRACE;
use crate::workers::handle::{Incarnation, WorkerHandle};
use crate::workers::key_keeper::answer_key;
use crate::workers::output::job::CurrentJob;
use crate::workers::output::{self, OutputOrigin};
use crate::workers::process::{Launch, SpawnedWorker, WorkerProcess};
use crate::workers::server_routes::{RouteRequest, WorkerQuestions, answer_route};

static INCARNATIONS: AtomicU64 = AtomicU64::new(1);

/// A process that imported its class. Dropping it ends the process.
#[derive(Debug)]
pub struct StartedWorker {
    pub process: WorkerProcess,
    pub worker: Arc<WorkerHandle>,
}

/// Starts a worker and goes through the import; the output of the process goes to the log.
pub async fn start_worker(
    launch: &Launch,
    configure: Configure,
    origin: OutputOrigin,
    questions: Option<&WorkerQuestions>,
) -> Result<StartedWorker, StartError> {
    let SpawnedWorker { mut process, channel, stdout, stderr } =
        launch.spawn().map_err(FrameError::from)?;
    if let Some(pipe) = stdout {
        tokio::spawn(output::log(pipe, origin.clone()));
    }
    if let Some(pipe) = stderr {
        tokio::spawn(output::log(pipe, origin.clone()));
    }
    let (sender, mut receiver) = server_end::open(channel);
    let greeted = greet(&sender, &mut receiver, configure, questions).await;
    let class = match greeted {
        // The channel of a dead process is closed before its death is known, and it may have left bytes unread.
        Err(StartError::Closed | StartError::Frame(FrameError::Io(_))) => {
            let end = process.end(STOP_GRACE).await;
            return Err(StartError::Ended(end));
        }
        class => class?,
    };
    let incarnation = Incarnation(INCARNATIONS.fetch_add(1, Ordering::Relaxed));
    let of = (origin.worker, origin.job);
    let worker = Arc::new(WorkerHandle::new(
        incarnation,
        of,
        process.pid,
        class,
        sender,
        questions.cloned(),
    ));
    tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.receive(receiver).await }
    });
    Ok(StartedWorker { process, worker })
}

/// The launch and configuration of every model worker.
#[derive(Debug, Clone)]
pub(super) struct WorkerTemplate {
    pub(super) launch: Launch,
    pub(super) configure: Configure,
    pub(super) questions: WorkerQuestions,
}

impl WorkerTemplate {
    pub(super) async fn start(&self, name: String) -> Result<StartedWorker, StartError> {
        let origin = OutputOrigin { worker: name, job: CurrentJob::default() };
        start_worker(&self.launch, self.configure.clone(), origin, Some(&self.questions)).await
    }
}

/// Why a worker never became ready.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("{}", .0.message)]
    Import(ImportFailure),
    #[error("the worker speaks version {0} of the protocol, the server {PROTOCOL}")]
    Protocol(u32),
    #[error("it closed its channel before the script was imported")]
    Closed,
    #[error("importing the script ended its process: it {0}")]
    Ended(String),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Goes through `hello`, `configure` and the import.
async fn greet(
    sender: &MessageSender,
    receiver: &mut MessageReceiver,
    configure: Configure,
    questions: Option<&WorkerQuestions>,
) -> Result<ClassInfo, StartError> {
    match receiver.receive().await? {
        Some((FromWorker::Hello { protocol: PROTOCOL, .. }, _)) => {}
        Some((FromWorker::Hello { protocol, .. }, _)) => {
            return Err(StartError::Protocol(protocol));
        }
        _ => return Err(StartError::Closed),
    }
    sender.send(&ToWorker::Configure(configure), Bytes::new()).await?;
    loop {
        match receiver.receive().await? {
            Some((FromWorker::ClassReady(class), _)) => return Ok(class),
            Some((FromWorker::ClassFailed(failure), _)) => return Err(StartError::Import(failure)),
            Some((FromWorker::Key { request, ask, project, key }, value)) => {
                let keeper = questions.map(|questions| &questions.keys);
                answer_key(sender, keeper, request, KeyRequest { ask, project, key, value });
            }
            // The routes need the class, which is being imported.
            Some((FromWorker::Route { request, on_behalf_of, asked, .. }, _)) => {
                let route = RouteRequest { request, on_behalf_of, asked, body: None };
                answer_route(sender, None, &Arc::default(), route);
            }
            Some(_) => {}
            None => return Err(StartError::Closed),
        }
    }
}
