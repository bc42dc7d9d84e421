//! The workers that are ready, and who may use which of them next.
//!
//! A worker takes as many calls at once as it has threads. Whoever finds none free waits in line:
//! interactive requests, where a person waits, before batch ones, first come first served within
//! each. A place in line is given up by dropping the future.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::worker::Worker;

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
    /// The script could not be imported; it is tried again, at growing intervals.
    Failed {
        reason: String,
    },
    Stopped,
}

/// The pool; shared by the supervisor, which fills it, and the dispatcher, which uses it.
#[derive(Debug)]
pub struct Pool {
    state: Mutex<State>,
    threads: usize,
    /// A worker that left has one call less.
    left: Notify,
    /// A slot does something else.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    ready: Vec<Seat>,
    /// Workers that take no new calls; those that run still end.
    leaving: Vec<Seat>,
    interactive: VecDeque<oneshot::Sender<Permit>>,
    batch: VecDeque<oneshot::Sender<Permit>>,
    slots: Vec<SlotState>,
    restarts: u64,
}

#[derive(Debug)]
struct Seat {
    worker: Arc<Worker>,
    in_flight: usize,
    /// Calls at once: `threads`, or 1 for a class that is not thread-safe.
    limit: usize,
}

/// The right to make one call on a worker; dropping it lets the next one in.
#[derive(Debug)]
pub struct Permit {
    pool: Arc<Pool>,
    worker: Arc<Worker>,
}

impl Permit {
    pub fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        {
            let mut state = self.pool.state();
            let incarnation = self.worker.incarnation;
            let is_mine = |seat: &&mut Seat| seat.worker.incarnation == incarnation;
            let State { ready, leaving, .. } = &mut *state;
            if let Some(seat) = ready.iter_mut().chain(leaving).find(is_mine) {
                seat.in_flight -= 1;
            }
            state.leaving.retain(|seat| seat.in_flight > 0);
        }
        self.pool.left.notify_waiters();
        self.pool.admit();
    }
}

impl Pool {
    pub fn new(workers: usize, threads: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                ready: Vec::new(),
                leaving: Vec::new(),
                interactive: VecDeque::new(),
                batch: VecDeque::new(),
                slots: vec![SlotState::Starting; workers],
                restarts: 0,
            }),
            threads,
            left: Notify::new(),
            changed: Notify::new(),
        })
    }

    /// Threads of each worker.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Waits for a worker. Interactive requests of one project go to the same worker while it has
    /// a thread free: it holds what was computed at the last click.
    pub async fn acquire(self: &Arc<Self>, priority: Priority, project: &str) -> Permit {
        let waiting = {
            let mut state = self.state();
            let free = match priority {
                Priority::Interactive => state.preferred(project),
                Priority::Batch => state.least_busy(),
            };
            if let Some(index) = free {
                return self.seat(&mut state, index);
            }
            let (sender, receiver) = oneshot::channel();
            match priority {
                Priority::Interactive => state.interactive.push_back(sender),
                Priority::Batch => state.batch.push_back(sender),
            }
            receiver
        };
        match waiting.await {
            Ok(permit) => permit,
            // The pool holds the sender until it sends, and outlives its waiters: they hold it.
            Err(_) => std::future::pending().await,
        }
    }

    /// A worker is ready.
    pub fn add(self: &Arc<Self>, slot: usize, worker: Arc<Worker>) {
        let seat = self.new_seat(worker);
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
        workers: &[(usize, Arc<Worker>)],
        meanwhile: impl FnOnce(),
    ) {
        {
            let mut state = self.state();
            let old = std::mem::take(&mut state.ready);
            state.leaving.extend(old.into_iter().filter(|seat| seat.in_flight > 0));
            for (slot, worker) in workers {
                state.slots[*slot] = SlotState::Ready { pid: worker.pid };
                let seat = self.new_seat(Arc::clone(worker));
                state.ready.push(seat);
            }
            meanwhile();
        }
        self.admit();
    }

    /// A worker takes no new calls.
    pub fn leave(&self, worker: &Worker) {
        let mut state = self.state();
        let State { ready, leaving, .. } = &mut *state;
        if let Some(index) = ready.iter().position(|s| s.worker.incarnation == worker.incarnation) {
            let seat = ready.swap_remove(index);
            leaving.extend((seat.in_flight > 0).then_some(seat));
        }
    }

    /// Resolves when a worker that left has no call any more.
    pub async fn unused(&self, worker: &Worker) {
        loop {
            let changed = self.left.notified();
            let incarnation = worker.incarnation;
            if !self.state().leaving.iter().any(|seat| seat.worker.incarnation == incarnation) {
                return;
            }
            changed.await;
        }
    }

    /// A worker is gone, or about to go.
    pub fn remove(&self, slot: usize, worker: &Worker, state_after: SlotState) {
        let mut state = self.state();
        state.ready.retain(|seat| seat.worker.incarnation != worker.incarnation);
        state.leaving.retain(|seat| seat.worker.incarnation != worker.incarnation);
        state.slots[slot] = state_after;
    }

    pub fn set_slot(&self, slot: usize, slot_state: SlotState) {
        self.state().slots[slot] = slot_state;
        self.changed.notify_waiters();
    }

    /// Resolves with the reason once no worker can become ready as the script is now.
    pub async fn until_hopeless(&self) -> String {
        loop {
            let changed = self.changed.notified();
            if let Some(reason) = self.hopeless() {
                return reason;
            }
            changed.await;
        }
    }

    pub fn count_restart(&self) {
        self.state().restarts += 1;
    }

    /// All ready workers.
    pub fn workers(&self) -> Vec<Arc<Worker>> {
        self.state().ready.iter().map(|seat| Arc::clone(&seat.worker)).collect()
    }

    pub fn slots(&self) -> Vec<SlotState> {
        self.state().slots.clone()
    }

    /// Why no worker can become ready as the script is now, if that is so.
    fn hopeless(&self) -> Option<String> {
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
        let state = self.state();
        state.interactive.len() + state.batch.len()
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

    fn new_seat(&self, worker: Arc<Worker>) -> Seat {
        let limit = if worker.class.thread_safe { self.threads } else { 1 };
        Seat { worker, in_flight: 0, limit }
    }

    fn seat(self: &Arc<Self>, state: &mut State, index: usize) -> Permit {
        let seat = &mut state.ready[index];
        seat.in_flight += 1;
        Permit { pool: Arc::clone(self), worker: Arc::clone(&seat.worker) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Who is first in line; those who gave up their place are passed over.
    fn next_waiting(&mut self) -> Option<oneshot::Sender<Permit>> {
        loop {
            let next = self.interactive.pop_front().or_else(|| self.batch.pop_front())?;
            if !next.is_closed() {
                return Some(next);
            }
        }
    }

    fn least_busy(&self) -> Option<usize> {
        self.free().min_by_key(|(_, seat)| seat.in_flight).map(|(index, _)| index)
    }

    /// Rendezvous hashing: each project has its own order of the workers, stable when one goes.
    fn preferred(&self, project: &str) -> Option<usize> {
        let weight = |seat: &Seat| {
            let mut hasher = DefaultHasher::new();
            (project, &seat.worker.name).hash(&mut hasher);
            hasher.finish()
        };
        self.free().max_by_key(|(_, seat)| weight(seat)).map(|(index, _)| index)
    }

    fn free(&self) -> impl Iterator<Item = (usize, &Seat)> {
        self.ready.iter().enumerate().filter(|(_, seat)| seat.in_flight < seat.limit)
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
