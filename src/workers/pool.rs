//! The workers that are ready, and the choice of the request that gets one next.
//!
//! A worker takes a limited number of calls at once. A request that finds no worker free waits in a bounded
//! queue: interactive requests, where a person waits, before batch ones, projects in turn within each.
//! Dropping the future gives up the place in the queue.

mod seats;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use self::seats::{PoolState, Seat};
use crate::ids::ProjectKey;
use crate::workers::fair_queue::{QueueBounds, QueueFull, Ticket};
use crate::workers::handle::WorkerHandle;

/// How often a worker that left is checked for calls that do not end.
const DRAIN_CHECK: Duration = Duration::from_secs(1);

/// How urgent a prediction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A person waits in the labelling editor.
    Interactive,
    Batch,
}

/// The state of a worker slot, for /health and the log.
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
    /// No worker becomes ready in this slot; another one is tried at growing intervals.
    Failed {
        reason: String,
    },
    Stopped,
}

/// Maximum number of calls that a worker gets at once.
#[derive(Debug, Clone, Copy)]
pub struct WorkerCapacity {
    pub thread_safe: usize,
    /// For a class that says that it is not thread-safe.
    pub not_thread_safe: usize,
}

impl WorkerCapacity {
    /// One call for each thread of a worker.
    pub fn of_threads(threads: usize) -> Self {
        Self { thread_safe: threads, not_thread_safe: 1 }
    }
}

/// The ready workers; the supervisor fills the pool, `serving` uses it.
#[derive(Debug)]
pub struct Pool {
    state: Mutex<PoolState>,
    capacity: WorkerCapacity,
    bounds: QueueBounds,
    /// Notifies that a worker that left has one call less.
    left: Notify,
    /// Notifies that the state of a slot has changed.
    changed: Notify,
}

/// The right to make one call on a worker; dropping it admits the next request.
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

/// Keeps calls from beginning; when the last one is dropped, those that wait begin.
#[derive(Debug)]
pub struct Pause {
    pool: Arc<Pool>,
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.pool.state().pauses -= 1;
        self.pool.admit();
    }
}

/// A place in the queue; dropping it gives up the place.
struct QueueSpot<'a> {
    pool: &'a Pool,
    priority: Priority,
    project: &'a ProjectKey,
    ticket: Ticket,
}

impl Drop for QueueSpot<'_> {
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
            state: Mutex::new(PoolState::new(workers)),
            capacity,
            bounds,
            left: Notify::new(),
            changed: Notify::new(),
        })
    }

    /// Waits for a worker, unless the queue is full. Interactive requests of one project go to the same
    /// worker while it has a thread free: it may have cached what it computed at the last click.
    pub async fn acquire(
        self: &Arc<Self>,
        priority: Priority,
        project: &ProjectKey,
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
            (QueueSpot { pool: self, priority, project, ticket }, turn)
        };
        match turn.await {
            Ok(permit) => Ok(permit),
            // Cannot happen: the pool keeps the sender until it sends, and this future keeps the pool.
            Err(_) => std::future::pending().await,
        }
    }

    /// Adds a worker that is ready.
    pub fn add(self: &Arc<Self>, slot: usize, worker: Arc<WorkerHandle>) {
        let seat = self.new_seat(slot, worker);
        {
            let mut state = self.state();
            state.slots[slot] = SlotState::Ready { pid: seat.worker.pid };
            state.ready.push(seat);
        }
        self.changed.notify_waiters();
        self.admit();
    }

    /// Replaces all ready workers, and does `meanwhile` at the same moment: a request that acquires a worker
    /// before that gets an old one, a later request a new one.
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
        self.changed.notify_waiters();
        self.admit();
    }

    /// Gives a worker no new calls.
    pub fn leave(&self, worker: &WorkerHandle) {
        let mut state = self.state();
        let PoolState { ready, leaving, .. } = &mut *state;
        if let Some(index) = ready.iter().position(|s| s.worker.incarnation == worker.incarnation) {
            let seat = ready.swap_remove(index);
            leaving.extend((seat.in_flight > 0).then_some(seat));
        }
    }

    /// Waits until a worker that left runs no calls, except for those that do not end.
    pub async fn unused(&self, worker: &WorkerHandle) {
        loop {
            let changed = self.left.notified();
            let is_its = |seat: &&Seat| seat.worker.incarnation == worker.incarnation;
            let predictions = self.state().leaving.iter().find(is_its).map_or(0, |s| s.in_flight);
            if predictions + worker.running_app_requests() <= worker.stuck_calls() {
                return;
            }
            // A request of the app that ends, and a call that turns out not to end, do not notify this task.
            let _ = timeout(DRAIN_CHECK, changed).await;
        }
    }

    /// Lets no call begin until the pause is dropped: requests wait in the queue.
    pub fn pause(self: &Arc<Self>) -> Pause {
        self.state().pauses += 1;
        Pause { pool: Arc::clone(self) }
    }

    /// Waits until no worker runs a call, except for those that do not end. Only useful during a pause.
    pub async fn idle(&self) {
        let is_busy = |seat: &Seat| seat.in_flight > seat.worker.stuck_calls();
        loop {
            let changed = self.left.notified();
            {
                let state = self.state();
                if !state.ready.iter().chain(&state.leaving).any(is_busy) {
                    return;
                }
            }
            // A call that turns out not to end does not notify this task.
            let _ = timeout(DRAIN_CHECK, changed).await;
        }
    }

    /// Removes a worker that is gone, or is about to go.
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

    /// Marks a slot as one in which no worker becomes ready, for the reason that was noted last. Requests get
    /// an error at once, until a worker is ready.
    pub fn mark_failed(&self, slot: usize) {
        let reason = match &self.state().slots[slot] {
            SlotState::Died { reason } | SlotState::Failed { reason } => reason.clone(),
            SlotState::Starting | SlotState::Ready { .. } | SlotState::Stopped => return,
        };
        self.set_slot(slot, SlotState::Failed { reason });
    }

    /// Resolves when the state of a slot changes after this call.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Waits until every slot has failed, and returns the reason.
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

    /// The reason, if every slot has failed.
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

    /// Number of workers that were started again since the server started.
    pub fn restarts(&self) -> u64 {
        self.state().restarts
    }

    /// Number of requests that wait for a worker.
    pub fn waiting(&self) -> usize {
        self.state().waiting()
    }

    /// Number of requests that run on a ready worker.
    pub fn in_flight(&self) -> usize {
        self.state().ready.iter().map(|seat| seat.in_flight).sum()
    }

    /// Gives free workers to requests that wait.
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
            // Outside the lock: a permit whose request is gone frees its seat when it is dropped.
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
        self.state.lock()
    }
}

#[cfg(test)]
mod tests;
