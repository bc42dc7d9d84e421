//! Keeps the model workers alive: spawn, hello, import, load, ready; and again after a death.
//!
//! Every slot has one task. A worker that dies answers for nothing any more: its open calls end
//! with the reason, and the slot starts anew, at once the first time and then at growing
//! intervals while it keeps dying young. A worker that the [`Fleet`] started may take the place of
//! one that serves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use super::fleet::{Base, Fleet, Order, Started};
use super::keys::KeyKeeper;
use super::pool::{Pool, SlotState};
use super::process::Launch;
use super::protocol::{ClassInfo, Configure, ImportFailure};
use super::worker::{StartError, Worker};

/// A worker that lived this long did not die of how it starts.
const GROWN_UP: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// How long a process may outlive its channel.
const CLOSED_GRACE: Duration = Duration::from_millis(500);
/// How long a call may still run on a worker that was replaced.
const LONGEST_CALL: Duration = Duration::from_secs(3600);
/// The same while nobody serves in its place: as long as Label Studio waits for predictions.
const LONGEST_VACATING: Duration = Duration::from_secs(100);
/// A stuck interpreter is worth a line in the log after this long.
const STUCK_MS: u64 = 5_000;

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

/// The tasks that keep the model workers alive.
#[derive(Debug)]
pub struct Supervisor {
    slots: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

struct Slot {
    number: usize,
    base: Base,
    pool: Arc<Pool>,
    prepare: Prepare,
    class: watch::Sender<Class>,
    stop: watch::Receiver<bool>,
    orders: mpsc::UnboundedReceiver<Order>,
}

/// How the life of a worker in a slot ended.
enum End {
    Died(String),
    Stopped,
    Adopted(Box<Started>),
}

impl Supervisor {
    /// Starts a task for every slot of `pool`. `class` learns what the first import brings.
    pub fn start(
        launch: &Launch,
        configure: &Configure,
        keeper: &Arc<dyn KeyKeeper>,
        pool: &Arc<Pool>,
        prepare: &Prepare,
        class: &watch::Sender<Class>,
    ) -> (Self, Fleet) {
        let (stop, stopped) = watch::channel(false);
        let base = Base {
            launch: launch.clone(),
            configure: configure.clone(),
            keeper: Arc::clone(keeper),
        };
        let (mut slots, mut orders) = (Vec::new(), Vec::new());
        for number in 0..pool.slots().len() {
            let (order, ordered) = mpsc::unbounded_channel();
            let slot = Slot {
                number,
                base: base.clone(),
                pool: Arc::clone(pool),
                prepare: Arc::clone(prepare),
                class: class.clone(),
                stop: stopped.clone(),
                orders: ordered,
            };
            slots.push(tokio::spawn(slot.keep()));
            orders.push(order);
        }
        (Self { slots, stop }, Fleet { base, orders })
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
        let mut adopted = None;
        loop {
            let began = Instant::now();
            match adopted.take() {
                Some(started) => self.serve_until_death(started).await,
                None => self.one_life().await,
            }
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
                // It serves already, so somebody must watch it.
                handover = handed_over(&mut self.orders) => adopted = self.hand_over(handover).await,
                () = stopped(&mut stop) => {}
            }
        }
    }

    /// From the spawn of a worker to a death, through all those that take its place.
    async fn one_life(&mut self) {
        let name = (self.number + 1).to_string();
        let began = Instant::now();
        let mut stop = self.stop.clone();
        let started = tokio::select! {
            started = self.base.start(self.number) => started,
            handover = handed_over(&mut self.orders) => {
                if let Some(next) = self.hand_over(handover).await {
                    self.serve_until_death(next).await;
                }
                return;
            }
            () = stopped(&mut stop) => return,
        };
        let started = match started {
            Ok(started) => started,
            Err(failure) => return self.failed(&name, failure),
        };
        self.introduce(&started.worker);
        let (prepare, pool) = (Arc::clone(&self.prepare), Arc::clone(&self.pool));
        let (worker, number) = (Arc::clone(&started.worker), self.number);
        let ready = async move {
            prepare(Arc::clone(&worker)).await;
            info!(
                worker = name,
                pid = worker.pid,
                "ready after {} ms",
                began.elapsed().as_millis()
            );
            pool.add(number, Arc::clone(&worker));
            watch_interpreter(&worker).await;
        };
        if let Some(next) = self.serve(started, ready).await {
            self.serve_until_death(next).await;
        }
    }

    async fn serve_until_death(&mut self, mut started: Box<Started>) {
        loop {
            let worker = Arc::clone(&started.worker);
            // What became of the worker before may have been noted meanwhile.
            self.pool.set_slot(self.number, SlotState::Ready { pid: worker.pid });
            let ready = async move { watch_interpreter(&worker).await };
            match self.serve(*started, ready).await {
                Some(next) => started = next,
                None => return,
            }
        }
    }

    /// Keeps a worker until it ends; the one that takes its place, if there is one.
    async fn serve(
        &mut self,
        mut started: Started,
        ready: impl Future<Output = ()>,
    ) -> Option<Box<Started>> {
        let worker = Arc::clone(&started.worker);
        let mut stop = self.stop.clone();
        let end = {
            let process = &mut started.process;
            tokio::pin!(ready);
            tokio::select! {
                () = &mut ready => End::Died(String::new()),
                reason = process.wait() => End::Died(reason),
                // The channel of a dead process ends before its death is known.
                () = worker.closed() => End::Died(
                    if let Ok(reason) = timeout(CLOSED_GRACE, process.wait()).await {
                        reason
                    } else {
                        process.end(Duration::ZERO).await;
                        "lost its channel to the server and was ended".into()
                    }
                ),
                handover = handed_over(&mut self.orders) => match handover {
                    Handover::To(next) => End::Adopted(next),
                    Handover::Vacate(done) => {
                        self.pool.leave(&worker);
                        self.pool.set_slot(self.number, SlotState::Starting);
                        let ended = finish(&self.pool, &mut started, LONGEST_VACATING);
                        tokio::select! {
                            () = ended => {}
                            () = stopped(&mut stop) => return None,
                        }
                        return self.hand_over(Handover::Vacate(done)).await;
                    }
                },
                () = stopped(&mut stop) => End::Stopped,
            }
        };
        match end {
            End::Adopted(next) => {
                self.pool.leave(&worker);
                let pool = Arc::clone(&self.pool);
                tokio::spawn(async move { finish(&pool, &mut started, LONGEST_CALL).await });
                Some(next)
            }
            End::Stopped => {
                self.pool.remove(self.number, &worker, SlotState::Stopped);
                worker.shut_down().await;
                let reason = started.process.end(super::STOP_GRACE).await;
                worker.died(&reason);
                None
            }
            End::Died(reason) => {
                worker.died(&reason);
                if *self.stop.borrow() {
                    return None;
                }
                let died = SlotState::Died { reason: format!("worker {} {reason}", worker.name) };
                self.pool.remove(self.number, &worker, died);
                error!(worker = worker.name, pid = worker.pid, "worker {reason}; starting another");
                metrics::counter!("label_studio_ml_worker_deaths_total").increment(1);
                None
            }
        }
    }

    /// Which worker is next: one that is given, or none to start its own.
    async fn hand_over(&mut self, handover: Handover) -> Option<Box<Started>> {
        let mut stop = self.stop.clone();
        let mut vacated = match handover {
            Handover::To(next) => return Some(next),
            Handover::Vacate(done) => done,
        };
        loop {
            let _ = vacated.send(());
            let order = tokio::select! {
                order = order(&mut self.orders) => order,
                () = stopped(&mut stop) => return None,
            };
            vacated = match order {
                Order::Adopt(next) => return Some(next),
                Order::Restart => return None,
                Order::Vacate(done) => done,
            };
        }
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

/// What becomes of a worker that serves.
enum Handover {
    To(Box<Started>),
    Vacate(oneshot::Sender<()>),
}

/// The next order for a slot that has a worker, or is about to have one.
async fn handed_over(orders: &mut mpsc::UnboundedReceiver<Order>) -> Handover {
    loop {
        match order(orders).await {
            Order::Adopt(next) => return Handover::To(next),
            Order::Vacate(done) => return Handover::Vacate(done),
            // It has one, or will have.
            Order::Restart => {}
        }
    }
}

/// The next order.
async fn order(orders: &mut mpsc::UnboundedReceiver<Order>) -> Order {
    match orders.recv().await {
        Some(order) => order,
        // Nobody can give one any more.
        None => std::future::pending().await,
    }
}

/// Ends a worker that took its last call: what runs is finished first.
async fn finish(pool: &Pool, started: &mut Started, longest: Duration) {
    let Started { process, worker } = started;
    let unused = async {
        tokio::select! {
            () = pool.unused(worker) => {}
            _ = process.wait() => {}
        }
    };
    if timeout(longest, unused).await.is_err() {
        warn!(worker = worker.name, pid = worker.pid, "a replaced worker still runs and is ended");
    }
    worker.shut_down().await;
    let reason = process.end(super::STOP_GRACE).await;
    worker.died(&reason);
}
