//! For unit tests: the serving layer around a real model folder, without Python. Workers are threads of the
//! test that answer as the test tells them.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::Serving;
use super::deadlines::Deadlines;
use super::models::Models;
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::{
    ClassInfo, FromWorker, ModelError, ModelErrorKind, ModelSpec, ToWorker,
};
use crate::wire::{server_end, worker_end};
use crate::workers::fair_queue::QueueBounds;
use crate::workers::handle::{Incarnation, WorkerHandle};
use crate::workers::output::job::CurrentJob;
use crate::workers::pool::{Pool, WorkerCapacity};
use crate::workers::supervision::ClassState;

/// How a worker answers when it is asked for an instance.
pub(crate) type Loads = Box<dyn Fn(&ModelSpec) -> Result<(), ModelError> + Send>;

/// The messages that a worker got, in order.
pub(crate) type Heard = Arc<Mutex<Vec<ToWorker>>>;

/// A class, its model folder, and the layer that serves it.
pub(crate) struct ServingStage {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) serving: Arc<Serving>,
    pub(crate) class: ClassInfo,
    _class: watch::Sender<ClassState>,
}

/// A class that trains on every new annotation.
pub(crate) fn class(api: ApiVersion) -> ClassInfo {
    ClassInfo {
        class: "Model".into(),
        api,
        reason: String::new(),
        model_dir: "/nowhere".into(),
        script: None,
        thread_safe: true,
        train_events: vec!["ANNOTATION_CREATED".into()],
        wants_every_event: false,
        uses_context: false,
        reads_config: false,
        basic_auth: None,
        app: None,
        inspection: None,
    }
}

/// The error that a constructor, or something else of `kind`, raises.
pub(crate) fn raised(kind: ModelErrorKind) -> ModelError {
    ModelError {
        kind,
        class: "KeyError".into(),
        message: "'x'".into(),
        traceback: None,
        task: None,
        answer: None,
    }
}

impl ServingStage {
    pub(crate) fn new(class: ClassInfo) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let class = ClassInfo { model_dir: dir.path().to_owned(), ..class };
        let bounds = QueueBounds { total: 10, per_project: 10 };
        let second = Duration::from_secs(1);
        let (sender, known) = watch::channel(ClassState::Ready(Arc::new(class.clone())));
        let serving = Arc::new(Serving::new(
            Pool::new(1, WorkerCapacity::of_threads(2), bounds),
            Arc::new(Models::new(100)),
            known,
            Deadlines { queue: second, abandoned: second, run: second },
        ));
        Self { dir, serving, class, _class: sender }
    }

    /// Adds a worker that is ready.
    pub(crate) fn add_worker(&self, loads: Loads) -> Heard {
        let (server, worker) = StdStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        let (sender, receiver) = server_end::open(UnixStream::from_std(server).unwrap());
        let heard = Heard::default();
        thread::spawn({
            let heard = Arc::clone(&heard);
            move || answer(worker.into(), &heard, &loads)
        });
        let of = ("1".to_owned(), CurrentJob::default());
        let handle =
            Arc::new(WorkerHandle::new(Incarnation(1), of, 1, self.class.clone(), sender, None));
        tokio::spawn({
            let handle = Arc::clone(&handle);
            async move { handle.receive(receiver).await }
        });
        self.serving.pool().add(0, handle);
        heard
    }
}

/// The worker's end, until the server's is gone.
fn answer(channel: OwnedFd, heard: &Heard, loads: &Loads) {
    let (mut reader, writer) = worker_end::open(channel).unwrap();
    while let Ok(Some((message, _))) = reader.receive() {
        let answer = match &message {
            ToWorker::Load { request: Some(request), model, .. } => Some(match loads(model) {
                Ok(()) => FromWorker::Loaded { request: *request },
                Err(error) => FromWorker::Failed { request: *request, error },
            }),
            _ => None,
        };
        heard.lock().push(message);
        if let Some(answer) = answer
            && writer.send(&answer, b"").is_err()
        {
            return;
        }
    }
}
