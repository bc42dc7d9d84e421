//! The life of one slot: a worker, and whoever takes its place.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::wire::protocol::{ImportFailure, ImportFailureKind};
use crate::workers::STOP_GRACE;
use crate::workers::handle::WorkerHandle;
use crate::workers::pool::{Pool, SlotState};
use crate::workers::start::{StartError, StartedWorker, WorkerTemplate};
use crate::workers::supervision::backoff::{Backoff, WorkerLife};
use crate::workers::supervision::fleet::SlotOrder;
use crate::workers::supervision::recycling::{self, Recycle};
use crate::workers::supervision::{
    ClassState, PrepareWorker, Spares, SupervisionPolicy, WorkerLimits, stopped,
};

/// How long a process may outlive its channel.
const CLOSED_GRACE: Duration = Duration::from_millis(500);
/// How long a call may still run on a worker that was replaced.
const LONGEST_CALL: Duration = Duration::from_secs(3600);
/// The same while nobody serves in its place: as long as Label Studio waits for predictions.
const LONGEST_VACATING: Duration = Duration::from_secs(100);
/// Before another successor is tried, after one that did not start.
const SUCCESSOR_PAUSE: Duration = Duration::from_secs(60);

pub(super) struct WorkerSlot {
    pub(super) number: usize,
    pub(super) template: WorkerTemplate,
    pub(super) spares: Arc<Spares>,
    pub(super) pool: Arc<Pool>,
    pub(super) prepare: PrepareWorker,
    pub(super) class: watch::Sender<ClassState>,
    pub(super) care: SupervisionPolicy,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) orders: mpsc::UnboundedReceiver<SlotOrder>,
}

/// How the time of a worker in a slot ended.
enum End {
    Died(String),
    Stopped,
    Adopted(Box<StartedWorker>),
    Vacated(oneshot::Sender<()>),
    Worn { hung: bool, reason: String },
}

impl WorkerSlot {
    pub(super) async fn keep(mut self) {
        let mut backoff = Backoff::default();
        let mut stop = self.stop.clone();
        let mut adopted = None;
        loop {
            let life = match adopted.take() {
                Some(started) => {
                    let began = Instant::now();
                    self.serve_until_death(started).await;
                    WorkerLife::Served(began.elapsed())
                }
                None => self.one_life().await,
            };
            if *stop.borrow() {
                self.pool.set_slot(self.number, SlotState::Stopped);
                return;
            }
            backoff.note(life);
            self.pool.count_restart();
            if backoff.is_broken() {
                self.pool.mark_failed(self.number);
            }
            tokio::select! {
                () = sleep(backoff.delay()) => {}
                // It serves already, so somebody must watch it.
                handover = handed_over(&mut self.orders) => adopted = self.hand_over(handover).await,
                () = stopped(&mut stop) => {}
            }
        }
    }

    /// From the spawn of a worker to a death, through all those that take its place.
    async fn one_life(&mut self) -> WorkerLife {
        let began = Instant::now();
        let mut stop = self.stop.clone();
        let started = tokio::select! {
            started = start(&self.template, &self.spares, self.number) => started,
            handover = handed_over(&mut self.orders) => {
                if let Some(next) = self.hand_over(handover).await {
                    self.serve_until_death(next).await;
                }
                return WorkerLife::Served(began.elapsed());
            }
            () = stopped(&mut stop) => return WorkerLife::NeverReady,
        };
        let started = match started {
            Ok(started) => started,
            Err(failure) => {
                self.failed(failure);
                return WorkerLife::NeverReady;
            }
        };
        self.introduce(&started.worker);
        let worker = Arc::clone(&started.worker);
        let (prepare, pool, number) =
            (Arc::clone(&self.prepare), Arc::clone(&self.pool), self.number);
        let (ready, mut became_ready) = oneshot::channel();
        let getting_ready = async move {
            prepare(Arc::clone(&worker)).await;
            let ms = began.elapsed().as_millis();
            info!(worker = worker.name, pid = worker.pid, "ready after {ms} ms");
            pool.add(number, Arc::clone(&worker));
            let _ = ready.send(Instant::now());
        };
        if let Some(next) = self.serve(started, getting_ready).await {
            self.serve_until_death(next).await;
            return WorkerLife::Served(began.elapsed());
        }
        became_ready
            .try_recv()
            .map_or(WorkerLife::NeverReady, |since| WorkerLife::Served(since.elapsed()))
    }

    async fn serve_until_death(&mut self, mut started: Box<StartedWorker>) {
        loop {
            // What became of the worker before may have been noted meanwhile.
            self.pool.set_slot(self.number, SlotState::Ready { pid: started.worker.pid });
            match self.serve(*started, async {}).await {
                Some(next) => started = next,
                None => return,
            }
        }
    }

    /// Keeps a worker until it ends; the one that takes its place, if there is one.
    async fn serve(
        &mut self,
        mut started: StartedWorker,
        getting_ready: impl Future<Output = ()>,
    ) -> Option<Box<StartedWorker>> {
        let limits = self.care.limits;
        let watched = Arc::clone(&started.worker);
        let wear = async move {
            getting_ready.await;
            recycling::watch(&watched, &limits).await
        };
        match self.until_end(&mut started, wear).await {
            End::Worn { hung, reason } => self.succeed(started, hung, &reason).await,
            end => self.ended(started, end).await,
        }
    }

    /// Waits for whatever ends the time of a worker.
    async fn until_end(
        &mut self,
        started: &mut StartedWorker,
        wear: impl Future<Output = Recycle>,
    ) -> End {
        let StartedWorker { process, worker } = started;
        tokio::select! {
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
            verdict = wear => match verdict {
                Recycle::Kill(reason) => {
                    process.end(Duration::ZERO).await;
                    End::Died(reason)
                }
                Recycle::Replace(reason) => End::Worn { hung: false, reason },
                Recycle::DrainAndReplace(reason) => End::Worn { hung: true, reason },
            },
            handover = handed_over(&mut self.orders) => match handover {
                Handover::To(next) => End::Adopted(next),
                Handover::Vacate(done) => End::Vacated(done),
            },
            () = stopped(&mut self.stop) => End::Stopped,
        }
    }

    /// Winds a worker up; the one that takes its place, if there is one.
    async fn ended(&mut self, mut started: StartedWorker, end: End) -> Option<Box<StartedWorker>> {
        let worker = Arc::clone(&started.worker);
        match end {
            End::Adopted(next) => {
                self.let_finish(started);
                Some(next)
            }
            End::Vacated(done) => {
                self.pool.leave(&worker);
                self.pool.set_slot(self.number, SlotState::Starting);
                self.finish_here(&mut started).await.then_some(())?;
                self.hand_over(Handover::Vacate(done)).await
            }
            End::Stopped => {
                self.pool.remove(self.number, &worker, SlotState::Stopped);
                worker.shut_down().await;
                let reason = started.process.end(STOP_GRACE).await;
                worker.died(&reason);
                None
            }
            End::Died(reason) | End::Worn { reason, .. } => {
                let died = SlotState::Died { reason: format!("worker {} {reason}", worker.name) };
                // First, or those in line would get the seats that its calls leave.
                self.pool.remove(self.number, &worker, died);
                worker.died(&reason);
                if *self.stop.borrow() {
                    return None;
                }
                error!(worker = worker.name, pid = worker.pid, "worker {reason}; starting another");
                metrics::counter!("label_studio_ml_worker_deaths_total").increment(1);
                None
            }
        }
    }

    /// Has another worker take the place of one that is worn, without a failed request.
    async fn succeed(
        &mut self,
        mut started: StartedWorker,
        hung: bool,
        reason: &str,
    ) -> Option<Box<StartedWorker>> {
        let worker = Arc::clone(&started.worker);
        warn!(
            worker = worker.name,
            pid = worker.pid,
            "worker {reason}; another one takes its place"
        );
        metrics::counter!("label_studio_ml_worker_renewals_total").increment(1);
        if hung {
            self.pool.leave(&worker);
        }
        if self.care.rollout.stops_first(&[worker.pid]).await {
            self.pool.leave(&worker);
            self.pool.set_slot(self.number, SlotState::Starting);
            self.finish_here(&mut started).await;
            return None;
        }
        let (template, spares) = (self.template.clone(), Arc::clone(&self.spares));
        let (prepare, number) = (Arc::clone(&self.prepare), self.number);
        let (successor, mut found) = oneshot::channel();
        let starting = async move {
            match start(&template, &spares, number).await {
                Ok(next) => {
                    prepare(Arc::clone(&next.worker)).await;
                    let _ = successor.send(next);
                }
                Err(error) => {
                    warn!("no other worker could take its place: {error}");
                    if !hung {
                        sleep(SUCCESSOR_PAUSE).await;
                    }
                }
            }
            Recycle::Replace(String::new())
        };
        let end = self.until_end(&mut started, starting).await;
        if !matches!(end, End::Worn { .. }) {
            return self.ended(started, end).await;
        }
        match found.try_recv() {
            Ok(next) => {
                self.pool.add(self.number, Arc::clone(&next.worker));
                self.let_finish(started);
                Some(Box::new(next))
            }
            Err(_) if hung => {
                self.pool.set_slot(self.number, SlotState::Starting);
                self.finish_here(&mut started).await;
                None
            }
            // It serves on, and is looked at anew.
            Err(_) => Some(Box::new(started)),
        }
    }

    /// Ends a worker in the background once its calls have ended.
    fn let_finish(&self, mut started: StartedWorker) {
        self.pool.leave(&started.worker);
        let (pool, limits) = (Arc::clone(&self.pool), self.care.limits);
        tokio::spawn(async move { finish(&pool, &mut started, &limits, LONGEST_CALL).await });
    }

    /// Ends a worker that left once its calls have ended; false if the server stops meanwhile.
    async fn finish_here(&self, started: &mut StartedWorker) -> bool {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = finish(&self.pool, started, &self.care.limits, LONGEST_VACATING) => true,
            () = stopped(&mut stop) => false,
        }
    }

    /// Which worker is next: one that is given, or none to start its own.
    async fn hand_over(&mut self, handover: Handover) -> Option<Box<StartedWorker>> {
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
                SlotOrder::Adopt(next) => return Some(next),
                SlotOrder::Restart => return None,
                SlotOrder::Vacate(done) => done,
            };
        }
    }

    fn introduce(&self, worker: &WorkerHandle) {
        let class = Arc::new(worker.class.clone());
        self.class.send_if_modified(|known| {
            let first = !matches!(known, ClassState::Ready(_));
            if first {
                info!("{} is written for {}: {}", class.class, class.api, class.reason);
            }
            *known = ClassState::Ready(class);
            first
        });
    }

    fn failed(&self, failure: StartError) {
        let (name, reason) = (self.number + 1, failure.to_string());
        let traceback = match &failure {
            StartError::Import(import) => import.traceback.as_deref().unwrap_or_default(),
            _ => "",
        };
        error!(worker = name, "the worker could not start: {reason}\n{traceback}");
        // A script that raises will raise again; a process that ended may have been unlucky.
        let state = match failure {
            StartError::Import(_) => SlotState::Failed { reason: reason.clone() },
            _ => SlotState::Died { reason: format!("worker {name}: {reason}") },
        };
        self.pool.set_slot(self.number, state);
        let failure = match failure {
            StartError::Import(failure) => failure,
            _ => {
                ImportFailure { kind: ImportFailureKind::Raised, message: reason, traceback: None }
            }
        };
        self.class.send_if_modified(|known| {
            let first = matches!(known, ClassState::Unknown);
            if first {
                *known = ClassState::Failed(Arc::new(failure));
            }
            first
        });
    }
}

/// A worker for a slot: a spare, or a new one.
async fn start(
    template: &WorkerTemplate,
    spares: &Spares,
    number: usize,
) -> Result<StartedWorker, StartError> {
    match spares.take() {
        Some(spare) => Ok(spare),
        None => template.start((number + 1).to_string()).await,
    }
}

/// What becomes of a worker that serves.
enum Handover {
    To(Box<StartedWorker>),
    Vacate(oneshot::Sender<()>),
}

/// The next order for a slot that has a worker, or is about to have one.
async fn handed_over(orders: &mut mpsc::UnboundedReceiver<SlotOrder>) -> Handover {
    loop {
        match order(orders).await {
            SlotOrder::Adopt(next) => return Handover::To(next),
            SlotOrder::Vacate(done) => return Handover::Vacate(done),
            // It has one, or will have.
            SlotOrder::Restart => {}
        }
    }
}

/// The next order.
async fn order(orders: &mut mpsc::UnboundedReceiver<SlotOrder>) -> SlotOrder {
    match orders.recv().await {
        Some(order) => order,
        // Nobody can give one any more.
        None => std::future::pending().await,
    }
}

/// Ends a worker that took its last call: what runs is finished first, but for what never ends.
async fn finish(
    pool: &Pool,
    started: &mut StartedWorker,
    limits: &WorkerLimits,
    longest: Duration,
) {
    let StartedWorker { process, worker } = started;
    let unused = async {
        tokio::select! {
            () = pool.unused(worker) => None,
            _ = process.wait() => None,
            reason = recycling::until_stuck(worker, limits) => Some(reason),
        }
    };
    let stuck = timeout(longest, unused).await.unwrap_or(Some("still runs and is ended".into()));
    if let Some(reason) = &stuck {
        warn!(worker = worker.name, pid = worker.pid, "a replaced worker {reason}");
    }
    let grace = if stuck.is_some() || worker.hung() > 0 { Duration::ZERO } else { STOP_GRACE };
    worker.shut_down().await;
    let reason = process.end(grace).await;
    worker.died(stuck.as_deref().unwrap_or(&reason));
}
