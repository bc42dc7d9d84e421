//! The workers that are ready, and who may use which of them next.
//!
//! A worker takes as many calls at once as it has places. Whoever finds none free waits in a bounded
//! line: interactive requests, where a person waits, before batch ones, projects in turn within each.
//! A place in line is given up by dropping the future.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use crate::workers::fair_queue::{FairQueue, QueueBounds, QueueFull, Ticket};
use crate::workers::handle::WorkerHandle;

/// How often it is looked whether a worker that left may end.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Who waits for a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A person in front of the labelling editor.
    Interactive,
    Batch,
}

/// What a worker slot is doing, for /health and the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotState {
    Starting,
    Ready {
        pid: u32,
    },
    /// The worker died; another one starts.
    Died {
        reason: String,
    },
    /// No worker becomes ready in this slot; it is tried again, at growing intervals.
    Failed {
        reason: String,
    },
    Stopped,
}

/// How many calls a worker is given at once.
#[derive(Debug, Clone, Copy)]
pub struct WorkerCapacity {
    pub thread_safe: usize,
    /// Of a class that says that it is not thread-safe.
    pub not_thread_safe: usize,
}

impl WorkerCapacity {
    /// As many as a worker has threads.
    pub fn of_threads(threads: usize) -> Self {
        Self { thread_safe: threads, not_thread_safe: 1 }
    }
}

/// The pool; shared by the supervisor, which fills it, and the dispatcher, which uses it.
#[derive(Debug)]
pub struct Pool {
    state: Mutex<PoolState>,
    capacity: WorkerCapacity,
    bounds: QueueBounds,
    /// A worker that left has one call less.
    left: Notify,
    /// A slot does something else.
    changed: Notify,
}

#[derive(Debug)]
struct PoolState {
    ready: Vec<Seat>,
    /// Workers that take no new calls; those that run still end.
    leaving: Vec<Seat>,
    interactive: FairQueue<oneshot::Sender<Permit>>,
    batch: FairQueue<oneshot::Sender<Permit>>,
    slots: Vec<SlotState>,
    restarts: u64,
}

#[derive(Debug)]
struct Seat {
    slot: usize,
    worker: Arc<WorkerHandle>,
    in_flight: usize,
    /// Calls at once.
    limit: usize,
}

/// The right to make one call on a worker; dropping it lets the next one in.
#[derive(Debug)]
pub struct Permit {
    pool: Arc<Pool>,
    worker: Arc<WorkerHandle>,
}

impl Permit {
    pub fn worker(&self) -> &Arc<WorkerHandle> {
        &self.worker
    }
}

/// A place in line; dropping it gives it up.
struct WaitingItem<'a> {
    pool: &'a Pool,
    priority: Priority,
    project: &'a str,
    ticket: Ticket,
}

impl Drop for WaitingItem<'_> {
    fn drop(&mut self) {
        self.pool.state().queue(self.priority).leave(self.project, self.ticket);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        {
            let mut state = self.pool.state();
            let incarnation = self.worker.incarnation;
            let is_mine = |seat: &&mut Seat| seat.worker.incarnation == incarnation;
            let PoolState { ready, leaving, .. } = &mut *state;
            if let Some(seat) = ready.iter_mut().chain(leaving).find(is_mine) {
                seat.in_flight = seat.in_flight.saturating_sub(1);
            }
            state.leaving.retain(|seat| seat.in_flight > 0);
        }
        self.pool.left.notify_waiters();
        self.pool.admit();
    }
}

impl Pool {
    pub fn new(workers: usize, capacity: WorkerCapacity, bounds: QueueBounds) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(PoolState {
                ready: Vec::new(),
                leaving: Vec::new(),
                interactive: FairQueue::default(),
                batch: FairQueue::default(),
                slots: vec![SlotState::Starting; workers],
                restarts: 0,
            }),
            capacity,
            bounds,
            left: Notify::new(),
            changed: Notify::new(),
        })
    }

    /// Waits for a worker, unless too many wait already. Interactive requests of one project go to the
    /// same worker while it has a thread free: it holds what was computed at the last click.
    pub async fn acquire(
        self: &Arc<Self>,
        priority: Priority,
        project: &str,
    ) -> Result<Permit, QueueFull> {
        let (_place, turn) = {
            let mut state = self.state();
            let free = match priority {
                Priority::Interactive => state.preferred(project),
                Priority::Batch => state.least_busy(),
            };
            if let Some(index) = free {
                return Ok(self.seat(&mut state, index));
            }
            if let Some(full) = state.full(self.bounds, project) {
                return Err(full);
            }
            let (sender, turn) = oneshot::channel();
            let ticket = state.queue(priority).join(project, sender);
            (WaitingItem { pool: self, priority, project, ticket }, turn)
        };
        match turn.await {
            Ok(permit) => Ok(permit),
            // The pool holds the sender until it sends, and outlives its waiters: they hold it.
            Err(_) => std::future::pending().await,
        }
    }

    /// A worker is ready.
    pub fn add(self: &Arc<Self>, slot: usize, worker: Arc<WorkerHandle>) {
        let seat = self.new_seat(slot, worker);
        {
            let mut state = self.state();
            state.slots[slot] = SlotState::Ready { pid: seat.worker.pid };
            state.ready.push(seat);
        }
        self.admit();
    }

    /// Puts workers in the place of all that are ready, and does `meanwhile` at the same moment: whoever
    /// acquires a worker before that gets an old one, whoever does so afterwards a new one.
    pub fn replace_all(
        self: &Arc<Self>,
        workers: &[(usize, Arc<WorkerHandle>)],
        meanwhile: impl FnOnce(),
    ) {
        {
            let mut state = self.state();
            let old = std::mem::take(&mut state.ready);
            state.leaving.extend(old.into_iter().filter(|seat| seat.in_flight > 0));
            for (slot, worker) in workers {
                state.slots[*slot] = SlotState::Ready { pid: worker.pid };
                let seat = self.new_seat(*slot, Arc::clone(worker));
                state.ready.push(seat);
            }
            meanwhile();
        }
        self.admit();
    }

    /// A worker takes no new calls.
    pub fn leave(&self, worker: &WorkerHandle) {
        let mut state = self.state();
        let PoolState { ready, leaving, .. } = &mut *state;
        if let Some(index) = ready.iter().position(|s| s.worker.incarnation == worker.incarnation) {
            let seat = ready.swap_remove(index);
            leaving.extend((seat.in_flight > 0).then_some(seat));
        }
    }

    /// Resolves when a worker that left has no call any more, but for those that do not end.
    pub async fn unused(&self, worker: &WorkerHandle) {
        loop {
            let changed = self.left.notified();
            let is_used = |seat: &Seat| {
                seat.worker.incarnation == worker.incarnation && seat.in_flight > worker.hung()
            };
            if !self.state().leaving.iter().any(is_used) {
                return;
            }
            // That a call does not end is found out without anybody leaving.
            let _ = timeout(LOOK_AGAIN, changed).await;
        }
    }

    /// A worker is gone, or about to go.
    pub fn remove(&self, slot: usize, worker: &WorkerHandle, state_after: SlotState) {
        let mut state = self.state();
        state.ready.retain(|seat| seat.worker.incarnation != worker.incarnation);
        state.leaving.retain(|seat| seat.worker.incarnation != worker.incarnation);
        state.slots[slot] = state_after;
    }

    pub fn set_slot(&self, slot: usize, slot_state: SlotState) {
        self.state().slots[slot] = slot_state;
        self.changed.notify_waiters();
    }

    /// No worker gets ready in a slot, for the reason that was noted last: requests are told at once,
    /// until one does.
    pub fn mark_failed(&self, slot: usize) {
        let reason = match &self.state().slots[slot] {
            SlotState::Died { reason } | SlotState::Failed { reason } => reason.clone(),
            SlotState::Starting | SlotState::Ready { .. } | SlotState::Stopped => return,
        };
        self.set_slot(slot, SlotState::Failed { reason });
    }

    /// Resolves with the reason once no worker can become ready as the script is now.
    pub async fn until_all_failed(&self) -> String {
        loop {
            let changed = self.changed.notified();
            if let Some(reason) = self.all_failed() {
                return reason;
            }
            changed.await;
        }
    }

    pub fn count_restart(&self) {
        self.state().restarts += 1;
    }

    /// All ready workers.
    pub fn workers(&self) -> Vec<Arc<WorkerHandle>> {
        self.state().ready.iter().map(|seat| Arc::clone(&seat.worker)).collect()
    }

    pub fn slots(&self) -> Vec<SlotState> {
        self.state().slots.clone()
    }

    /// Why no worker can become ready as the script is now, if that is so.
    fn all_failed(&self) -> Option<String> {
        let state = self.state();
        let mut reason = None;
        for slot in &state.slots {
            match slot {
                SlotState::Failed { reason: failed } => reason = Some(failed),
                _ => return None,
            }
        }
        reason.cloned()
    }

    /// Workers that had to be started again since the server started.
    pub fn restarts(&self) -> u64 {
        self.state().restarts
    }

    /// Requests that wait for a worker.
    pub fn waiting(&self) -> usize {
        self.state().waiting()
    }

    /// Requests that run on a worker.
    pub fn in_flight(&self) -> usize {
        self.state().ready.iter().map(|seat| seat.in_flight).sum()
    }

    /// Gives free threads to those who wait.
    fn admit(self: &Arc<Self>) {
        loop {
            let granted = {
                let mut state = self.state();
                let Some(index) = state.least_busy() else {
                    return;
                };
                let Some(waiting) = state.next_waiting() else { return };
                let permit = self.seat(&mut state, index);
                (waiting, permit)
            };
            // Outside the lock: a permit that nobody wants any more frees its seat when dropped.
            let (waiting, permit) = granted;
            let _ = waiting.send(permit);
        }
    }

    fn new_seat(&self, slot: usize, worker: Arc<WorkerHandle>) -> Seat {
        let WorkerCapacity { thread_safe, not_thread_safe } = self.capacity;
        let limit = if worker.class.thread_safe { thread_safe } else { not_thread_safe };
        Seat { slot, worker, in_flight: 0, limit }
    }

    fn seat(self: &Arc<Self>, state: &mut PoolState, index: usize) -> Permit {
        let seat = &mut state.ready[index];
        seat.in_flight += 1;
        Permit { pool: Arc::clone(self), worker: Arc::clone(&seat.worker) }
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolState {
    fn queue(&mut self, priority: Priority) -> &mut FairQueue<oneshot::Sender<Permit>> {
        match priority {
            Priority::Interactive => &mut self.interactive,
            Priority::Batch => &mut self.batch,
        }
    }

    fn next_waiting(&mut self) -> Option<oneshot::Sender<Permit>> {
        self.interactive.next().or_else(|| self.batch.next())
    }

    fn waiting(&self) -> usize {
        self.interactive.len() + self.batch.len()
    }

    fn full(&self, bounds: QueueBounds, project: &str) -> Option<QueueFull> {
        if self.waiting() >= bounds.total {
            return Some(QueueFull::Total(bounds.total));
        }
        let per_project = self.interactive.len_of(project) + self.batch.len_of(project);
        (per_project >= bounds.per_project).then_some(QueueFull::Project(bounds.per_project))
    }

    fn least_busy(&self) -> Option<usize> {
        self.free().min_by_key(|(_, seat)| seat.in_flight).map(|(index, _)| index)
    }

    /// Rendezvous hashing: each project has its own order of the workers, stable when one goes.
    fn preferred(&self, project: &str) -> Option<usize> {
        let weight = |seat: &Seat| {
            let mut hasher = DefaultHasher::new();
            (project, seat.slot).hash(&mut hasher);
            hasher.finish()
        };
        self.free().max_by_key(|(_, seat)| weight(seat)).map(|(index, _)| index)
    }

    fn free(&self) -> impl Iterator<Item = (usize, &Seat)> {
        self.ready.iter().enumerate().filter(|(_, seat)| seat.in_flight < seat.limit)
    }
}

#[cfg(test)]
mod tests;
