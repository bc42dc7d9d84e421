//! Keeps the model workers alive: spawn, hello, import, load, ready; and again after a death.
//!
//! Every slot has one task. A worker that dies answers for nothing any more: its open calls end
//! with the reason, and the slot starts anew, at once the first time and then at growing
//! intervals while it keeps dying young.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use super::output::job::CurrentJob;
use super::output::{self, Origin};
use super::pool::{Pool, SlotState};
use super::process::{Launch, Process, Spawned};
use super::protocol::{ClassInfo, Configure, ImportFailure};
use super::worker::{StartError, Worker, greet};

/// A worker that lived this long did not die of how it starts.
const GROWN_UP: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// How long a process may outlive its channel.
const CLOSED_GRACE: Duration = Duration::from_millis(500);
/// A stuck interpreter is worth a line in the log after this long.
const STUCK_MS: u64 = 5_000;

static INCARNATIONS: AtomicU64 = AtomicU64::new(1);

/// What the serving layer does with a worker before it takes requests: loading models.
pub type Prepare =
    Arc<dyn Fn(Arc<Worker>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What is known about the user's class.
#[derive(Debug, Clone, Default)]
pub enum Class {
    /// No worker has imported it yet.
    #[default]
    Unknown,
    Ready(Arc<ClassInfo>),
    Failed(Arc<ImportFailure>),
}

/// Starts a worker and goes through the import; the output of the process goes to the log.
pub async fn start_worker(
    launch: &Launch,
    configure: Configure,
    origin: Origin,
) -> Result<(Process, Arc<Worker>), StartError> {
    let Spawned { mut process, channel, stdout, stderr } =
        launch.spawn().map_err(super::frame::FrameError::from)?;
    if let Some(pipe) = stdout {
        tokio::spawn(output::log(pipe, origin.clone()));
    }
    if let Some(pipe) = stderr {
        tokio::spawn(output::log(pipe, origin.clone()));
    }
    let (sender, mut receiver) = super::channel::open(channel);
    let greeted = greet(&sender, &mut receiver, configure).await;
    let class = match greeted {
        // The channel of a dead process is closed before its death is known.
        Err(StartError::Closed) => {
            let end = process.end(super::STOP_GRACE).await;
            return Err(StartError::Ended(end));
        }
        class => class?,
    };
    let incarnation = INCARNATIONS.fetch_add(1, Ordering::Relaxed);
    let worker = Arc::new(Worker::new(incarnation, origin.worker, process.pid, class, sender));
    tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.receive(receiver).await }
    });
    Ok((process, worker))
}

/// The tasks that keep the model workers alive.
#[derive(Debug)]
pub struct Supervisor {
    slots: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

struct Slot {
    number: usize,
    launch: Launch,
    configure: Configure,
    pool: Arc<Pool>,
    prepare: Prepare,
    class: watch::Sender<Class>,
    stop: watch::Receiver<bool>,
}

impl Supervisor {
    /// Starts a task for every slot of `pool`. `class` learns what the first import brings.
    pub fn start(
        launch: &Launch,
        configure: &Configure,
        pool: &Arc<Pool>,
        prepare: &Prepare,
        class: &watch::Sender<Class>,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let slots = (0..pool.slots().len())
            .map(|number| {
                let slot = Slot {
                    number,
                    launch: launch.clone(),
                    configure: configure.clone(),
                    pool: Arc::clone(pool),
                    prepare: Arc::clone(prepare),
                    class: class.clone(),
                    stop: stopped.clone(),
                };
                tokio::spawn(slot.keep())
            })
            .collect();
        Self { slots, stop }
    }

    /// Asks all workers to end and waits until they are gone.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        for slot in self.slots {
            let _ = slot.await;
        }
    }
}

impl Slot {
    async fn keep(mut self) {
        let mut delay = Duration::ZERO;
        let mut stop = self.stop.clone();
        loop {
            let began = Instant::now();
            self.one_life().await;
            if *stop.borrow() {
                self.pool.set_slot(self.number, SlotState::Stopped);
                return;
            }
            delay = match delay {
                _ if began.elapsed() >= GROWN_UP => Duration::ZERO,
                Duration::ZERO => FIRST_DELAY,
                delay => (delay * 2).min(LONGEST_DELAY),
            };
            self.pool.count_restart();
            tokio::select! {
                () = sleep(delay) => {}
                () = stopped(&mut stop) => {}
            }
        }
    }

    /// From the spawn of a worker to its end.
    async fn one_life(&mut self) {
        let name = (self.number + 1).to_string();
        let origin = Origin { worker: name.clone(), job: CurrentJob::default() };
        let began = Instant::now();
        let mut stop = self.stop.clone();
        let started = tokio::select! {
            started = start_worker(&self.launch, self.configure.clone(), origin) => started,
            () = stopped(&mut stop) => return,
        };
        let (mut process, worker) = match started {
            Ok(started) => started,
            Err(failure) => return self.failed(&name, failure),
        };
        self.introduce(&worker);
        let reason = {
            let ready = async {
                (self.prepare)(Arc::clone(&worker)).await;
                info!(
                    worker = name,
                    pid = worker.pid,
                    "ready after {} ms",
                    began.elapsed().as_millis()
                );
                self.pool.add(self.number, Arc::clone(&worker));
                watch_interpreter(&worker).await;
            };
            tokio::select! {
                () = ready => String::new(),
                reason = process.wait() => reason,
                // The channel of a dead process ends before its death is known.
                () = worker.closed() => if let Ok(reason) = timeout(CLOSED_GRACE, process.wait()).await {
                    reason
                } else {
                    process.end(Duration::ZERO).await;
                    "lost its channel to the server and was ended".into()
                },
                () = stopped(&mut stop) => {
                    self.pool.remove(self.number, &worker, SlotState::Stopped);
                    worker.shut_down().await;
                    process.end(super::STOP_GRACE).await
                }
            }
        };
        worker.died(&reason);
        if *self.stop.borrow() {
            return;
        }
        let died = SlotState::Died { reason: format!("worker {name} {reason}") };
        self.pool.remove(self.number, &worker, died);
        error!(worker = name, pid = worker.pid, "worker {reason}; starting another");
        metrics::counter!("label_studio_ml_worker_deaths_total").increment(1);
    }

    fn introduce(&self, worker: &Worker) {
        let class = Arc::new(worker.class.clone());
        self.class.send_if_modified(|known| {
            let first = !matches!(known, Class::Ready(_));
            if first {
                info!("{} is written for API v{}: {}", class.class, class.generation, class.reason);
            }
            *known = Class::Ready(class);
            first
        });
    }

    fn failed(&self, name: &str, failure: StartError) {
        let reason = failure.to_string();
        let traceback = match &failure {
            StartError::Import(import) => import.traceback.as_deref().unwrap_or_default(),
            _ => "",
        };
        error!(worker = name, "the worker could not start: {reason}\n{traceback}");
        self.pool.set_slot(self.number, SlotState::Failed { reason: reason.clone() });
        let failure = match failure {
            StartError::Import(failure) => failure,
            _ => ImportFailure {
                kind: super::protocol::ImportFailureKind::Raised,
                message: reason,
                traceback: None,
            },
        };
        self.class.send_if_modified(|known| {
            let first = matches!(known, Class::Unknown);
            if first {
                *known = Class::Failed(Arc::new(failure));
            }
            first
        });
    }
}

/// Says once per stretch that the interpreter lets nobody in; never returns.
async fn watch_interpreter(worker: &Worker) {
    let mut told = false;
    loop {
        sleep(Duration::from_secs(1)).await;
        let stuck = worker.interpreter_ms() >= STUCK_MS;
        if stuck && !told {
            warn!(
                worker = worker.name,
                pid = worker.pid,
                "the interpreter has been kept by one thread for {} s",
                worker.interpreter_ms() / 1000
            );
        }
        told = stuck;
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A supervisor that is gone wants nothing to run on.
    let _ = stop.wait_for(|stop| *stop).await;
}
