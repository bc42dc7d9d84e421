//! The life of one slot: a worker, and its successors.
//!
//! In: orders of the [fleet](super::fleet), and events of the worker. Out: workers in the pool. [`phase`]
//! decides which phase follows which; this file waits for events, and carries out the actions.

mod orders;
mod phase;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

pub(super) use self::orders::{SlotOrder, SlotOrders};
use self::phase::{SlotAction, SlotEvent, SlotPhase};
use crate::activity;
use crate::wire::api_version::verdict;
use crate::wire::protocol::{ImportFailure, ImportFailureKind};
use crate::workers::STOP_GRACE;
use crate::workers::handle::WorkerHandle;
use crate::workers::pool::{Pool, SlotState};
use crate::workers::start::{StartError, StartedWorker, WorkerTemplate};
use crate::workers::supervision::backoff::{Backoff, WorkerLife};
use crate::workers::supervision::recycling::{self, Recycle, WorkerLimits};
use crate::workers::supervision::spares::Spares;
use crate::workers::supervision::{ClassState, PrepareWorker, SupervisionPolicy, stopped};

/// How long a process may outlive its channel.
const CLOSED_GRACE: Duration = Duration::from_millis(500);
/// How long a call may still run on a worker that was replaced.
const LONGEST_CALL: Duration = Duration::from_secs(3600);
/// The same while no worker serves in its place: as long as Label Studio waits for predictions.
const LONGEST_VACATING: Duration = Duration::from_secs(100);
/// Time before another successor is started, after one that did not start.
const SUCCESSOR_PAUSE: Duration = Duration::from_secs(60);

type Worker = Box<StartedWorker>;

/// One slot, with the parts that it uses.
pub(super) struct WorkerSlot {
    pub(super) number: usize,
    pub(super) template: WorkerTemplate,
    pub(super) spares: Arc<Spares>,
    pub(super) pool: Arc<Pool>,
    pub(super) prepare: PrepareWorker,
    pub(super) class: watch::Sender<ClassState>,
    pub(super) policy: SupervisionPolicy,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) orders: SlotOrders,
}

/// How long workers of a slot lived, for the back-off.
struct Lives {
    backoff: Backoff,
    started: Instant,
    serving_since: Option<Instant>,
}

impl Lives {
    fn begin(&mut self) {
        (self.started, self.serving_since) = (Instant::now(), None);
    }

    /// Notes when the worker began to serve. One that takes the place of another continues its life.
    fn note(&mut self, phase: &SlotPhase<Worker>, event: &SlotEvent<Worker>) {
        match (phase, event) {
            (_, SlotEvent::Prepared) => self.serving_since = Some(Instant::now()),
            (phase, SlotEvent::Adopt(_) | SlotEvent::Vacate | SlotEvent::SuccessorPrepared(_)) => {
                if matches!(phase, SlotPhase::BackingOff) {
                    self.begin();
                }
                self.serving_since = Some(self.started);
            }
            _ => {}
        }
    }

    fn end(&mut self) {
        let served = |since: Instant| WorkerLife::Served(since.elapsed());
        self.backoff.note(self.serving_since.map_or(WorkerLife::NeverReady, served));
    }
}

impl WorkerSlot {
    /// Keeps a worker in the slot until the server stops.
    pub(super) async fn keep(mut self) {
        let backoff = Backoff::default();
        let mut lives = Lives { backoff, started: Instant::now(), serving_since: None };
        let mut phase = SlotPhase::Starting;
        while !matches!(phase, SlotPhase::Stopped) {
            let mut stop = self.stop.clone();
            let event = tokio::select! {
                biased;
                () = stopped(&mut stop) => SlotEvent::Stop,
                event = self.next_event(&mut phase, &lives) => event,
            };
            lives.note(&phase, &event);
            let (next, actions) = phase.step(event);
            phase = next;
            for action in actions {
                self.act(action, &phase).await;
            }
            self.enter(&phase, &mut lives);
        }
        self.pool.set_slot(self.number, SlotState::Stopped);
    }

    /// Waits for the next event. May be dropped and called again.
    async fn next_event(
        &mut self,
        phase: &mut SlotPhase<Worker>,
        lives: &Lives,
    ) -> SlotEvent<Worker> {
        let Self { number, template, spares, pool, prepare, policy, orders, .. } = self;
        let (limits, rollout) = (policy.limits, policy.rollout);
        let is_replacing = matches!(phase, SlotPhase::Replacing(_));
        match phase {
            SlotPhase::BackingOff => tokio::select! {
                () = sleep(lives.backoff.delay()) => SlotEvent::BackedOff,
                // An adopted worker serves already, so it must be watched.
                order = orders.next_for_worker() => order,
            },
            SlotPhase::Starting => {
                let started = tokio::select! {
                    started = start(template, spares, *number) => started,
                    order = orders.next_for_worker() => return order,
                };
                match started {
                    Ok(started) => {
                        self.publish_class(&started.worker);
                        SlotEvent::Started(Box::new(started))
                    }
                    Err(failure) => {
                        self.report_failure(failure);
                        SlotEvent::NotStarted
                    }
                }
            }
            SlotPhase::Preparing(started) => {
                let worker = Arc::clone(&started.worker);
                let prepared = async {
                    prepare(Arc::clone(&worker)).await;
                    let ms = lives.started.elapsed().as_millis();
                    info!(worker = worker.name, pid = worker.pid, "ready after {ms} ms");
                    Change::Event(SlotEvent::Prepared)
                };
                until_change(started, prepared, orders).await
            }
            SlotPhase::Serving(started) => {
                let worker = Arc::clone(&started.worker);
                until_change(started, until_recycled(&worker, &limits), orders).await
            }
            SlotPhase::Replacing(started) | SlotPhase::Retiring(started) => {
                let pid = started.worker.pid;
                let succeeded = async {
                    if rollout.stops_first(&[pid]).await {
                        return Change::Event(SlotEvent::MustStopFirst);
                    }
                    match start(template, spares, *number).await {
                        Ok(next) => {
                            prepare(Arc::clone(&next.worker)).await;
                            Change::Event(SlotEvent::SuccessorPrepared(Box::new(next)))
                        }
                        Err(error) => {
                            warn!("no other worker could take its place: {error}");
                            if is_replacing {
                                sleep(SUCCESSOR_PAUSE).await;
                            }
                            Change::Event(SlotEvent::NoSuccessor)
                        }
                    }
                };
                until_change(started, succeeded, orders).await
            }
            SlotPhase::Draining(started) | SlotPhase::Vacating(started) => {
                finish(pool, started, &limits, LONGEST_VACATING).await;
                SlotEvent::Drained
            }
            SlotPhase::Vacated => orders.next().await,
            SlotPhase::Stopped => std::future::pending().await,
        }
    }

    async fn act(&self, action: SlotAction<Worker>, next: &SlotPhase<Worker>) {
        match action {
            SlotAction::Admit => {
                if let SlotPhase::Serving(started) = next {
                    self.pool.add(self.number, Arc::clone(&started.worker));
                }
            }
            SlotAction::LetFinish(mut started) => {
                self.pool.leave(&started.worker);
                let (pool, limits) = (Arc::clone(&self.pool), self.policy.limits);
                tokio::spawn(async move {
                    finish(&pool, &mut started, &limits, LONGEST_CALL).await;
                });
            }
            SlotAction::Bury(started, reason) => {
                let worker = &started.worker;
                let died = SlotState::Died { reason: format!("worker {} {reason}", worker.name) };
                // First, or those that wait would get the seats that its calls leave.
                self.pool.remove(self.number, worker, died);
                worker.died(&reason);
                if !*self.stop.borrow() {
                    let (name, pid) = (&worker.name, worker.pid);
                    error!(worker = name, pid, "worker {reason}; starting another");
                    metrics::counter!("label_studio_ml_worker_deaths_total").increment(1);
                }
            }
            SlotAction::ShutDown(mut started) => {
                self.pool.remove(self.number, &started.worker, SlotState::Stopped);
                started.worker.shut_down().await;
                let reason = started.process.end(STOP_GRACE).await;
                started.worker.died(&reason);
            }
        }
    }

    /// Tells the pool, the back-off and the task that ordered it that a phase has begun.
    fn enter(&mut self, phase: &SlotPhase<Worker>, lives: &mut Lives) {
        match phase {
            SlotPhase::BackingOff if *self.stop.borrow() => {}
            SlotPhase::BackingOff => {
                lives.end();
                self.pool.count_restart();
                if lives.backoff.is_broken() {
                    self.pool.mark_failed(self.number);
                }
            }
            SlotPhase::Starting => lives.begin(),
            // The end of the worker before may have been recorded meanwhile.
            SlotPhase::Serving(started) => {
                let pid = started.worker.pid;
                self.pool.set_slot(self.number, SlotState::Ready { pid });
            }
            SlotPhase::Retiring(started) => self.pool.leave(&started.worker),
            SlotPhase::Draining(started) | SlotPhase::Vacating(started) => {
                self.pool.leave(&started.worker);
                self.pool.set_slot(self.number, SlotState::Starting);
            }
            SlotPhase::Vacated => self.orders.tell_vacated(),
            SlotPhase::Preparing(_) | SlotPhase::Replacing(_) | SlotPhase::Stopped => {}
        }
    }

    fn publish_class(&self, worker: &WorkerHandle) {
        let class = Arc::new(worker.class.clone());
        self.class.send_if_modified(|known| {
            let first = !matches!(known, ClassState::Ready(_));
            if first {
                info!("{}", verdict(&class.class, class.api, &class.reason));
            }
            *known = ClassState::Ready(class);
            first
        });
    }

    fn report_failure(&self, failure: StartError) {
        let (name, reason) = (self.number + 1, failure.to_string());
        self.log_failure(&failure, &reason);
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

    /// Logs why a worker did not start, once for all workers that fail in the same way.
    fn log_failure(&self, failure: &StartError, reason: &str) {
        let name = self.number + 1;
        let traceback = match failure {
            StartError::Import(import) => import.traceback.as_deref().unwrap_or_default(),
            _ => "",
        };
        match &*self.class.borrow() {
            ClassState::Failed(known) if known.message == reason => {}
            // The command ends with the message.
            ClassState::Unknown => {
                let frames = activity::frames(traceback, reason);
                if !frames.is_empty() {
                    error!("the script cannot be imported\n{frames}");
                }
            }
            _ if traceback.is_empty() => {
                error!(worker = name, "the worker could not start: {reason}");
            }
            _ => error!(worker = name, "the worker could not start\n{}", traceback.trim_end()),
        }
    }
}

/// The events of a worker in its phase, other than its death.
enum Change {
    Event(SlotEvent<Worker>),
    /// It is to be killed, for this reason.
    Kill(String),
}

/// Waits for a change, an order, or the death of a worker.
async fn until_change(
    started: &mut StartedWorker,
    change: impl Future<Output = Change>,
    orders: &mut SlotOrders,
) -> SlotEvent<Worker> {
    let StartedWorker { process, worker } = started;
    tokio::select! {
        reason = process.wait() => SlotEvent::Died(reason),
        // The channel of a dead process ends before its death is known.
        () = worker.closed() => SlotEvent::Died(
            if let Ok(reason) = timeout(CLOSED_GRACE, process.wait()).await {
                reason
            } else {
                process.end(Duration::ZERO).await;
                "lost its channel to the server and was ended".into()
            }
        ),
        change = change => match change {
            Change::Event(event) => event,
            Change::Kill(reason) => {
                process.end(Duration::ZERO).await;
                SlotEvent::Died(reason)
            }
        },
        order = orders.next_for_worker() => order,
    }
}

/// Waits until a worker that serves must go.
async fn until_recycled(worker: &WorkerHandle, limits: &WorkerLimits) -> Change {
    let (event, reason) = match recycling::watch(worker, limits).await {
        Recycle::Kill(reason) => return Change::Kill(reason),
        Recycle::Replace(reason) => (SlotEvent::LimitReached, reason),
        Recycle::DrainAndReplace(reason) => (SlotEvent::CallStuck, reason),
    };
    let (name, pid) = (&worker.name, worker.pid);
    warn!(worker = name, pid, "worker {reason}; another one takes its place");
    metrics::counter!("label_studio_ml_worker_renewals_total").increment(1);
    Change::Event(event)
}

/// Takes a spare worker, or starts one.
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

/// Ends a worker that gets no calls any more, after those that it runs, except for those that do not end.
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
    let grace =
        if stuck.is_some() || worker.stuck_calls() > 0 { Duration::ZERO } else { STOP_GRACE };
    worker.shut_down().await;
    let reason = process.end(grace).await;
    worker.died(stuck.as_deref().unwrap_or(&reason));
}
