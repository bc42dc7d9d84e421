//! The items that wait and run, the threads that sleep, and the choice of the thread that an item wakes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Condvar;

use crate::os::wakeup::Wakeup;
use crate::wire::protocol::ModelId;
use crate::worker::scheduler::PredictThreadId;

/// While calls take less than this, waking another thread is not worth it.
pub(super) const SHORT: Duration = Duration::from_micros(150);

#[derive(Debug)]
pub(super) struct SchedulerState<T> {
    /// Whether threads keep instances of their own.
    pub(super) by_thread: bool,
    pub(super) waiting: VecDeque<WaitingItem<T>>,
    pub(super) threads: HashMap<PredictThreadId, Arc<Condvar>>,
    /// Threads that sleep and were not woken; the last one went to sleep last.
    pub(super) idle: Vec<PredictThreadId>,
    pub(super) running: Vec<RunningCall>,
    /// Moving average of how long calls take.
    pub(super) pace: Option<Duration>,
    /// Number of items that were taken, and that number at the last check for stalled ones.
    pub(super) taken: u64,
    pub(super) seen: u64,
    pub(super) models: HashMap<ModelId, ModelInstances>,
    pub(super) forgotten: HashMap<PredictThreadId, Vec<ModelId>>,
    pub(super) registered: usize,
    pub(super) closed: bool,
    pub(super) election: ReaderElection,
    /// Without it prediction threads do not read the channel.
    pub(super) wakeup: Option<Arc<Wakeup>>,
}

#[derive(Debug)]
pub(super) struct WaitingItem<T> {
    pub(super) model: ModelId,
    pub(super) since: Instant,
    pub(super) item: T,
}

/// The item that a thread runs.
#[derive(Debug)]
pub(super) struct RunningCall {
    pub(super) thread: PredictThreadId,
    pub(super) model: ModelId,
    pub(super) since: Instant,
}

/// The instances of one model, if each thread keeps its own.
#[derive(Debug, Default)]
pub(super) struct ModelInstances {
    pub(super) by: Vec<PredictThreadId>,
    pub(super) making: usize,
    /// How long making one took.
    pub(super) cost: Duration,
}

/// The thread that reads the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReaderRole {
    Nobody,
    Fallback,
    Thread(PredictThreadId),
}

/// The state of the election; at first the fallback reader reads.
#[derive(Debug)]
pub(super) struct ReaderElection {
    pub(super) by: ReaderRole,
    /// Number of times that a thread has begun to read.
    pub(super) begun: u64,
    /// Whether the fallback reader must be woken.
    pub(super) sleeps: bool,
    /// Number of threads that wait for a message in the middle of a call.
    pub(super) expecting: usize,
}

impl Default for ReaderElection {
    fn default() -> Self {
        Self { by: ReaderRole::Fallback, begun: 0, sleeps: false, expecting: 0 }
    }
}

impl<T> SchedulerState<T> {
    pub(super) fn new(by_thread: bool) -> Self {
        Self {
            by_thread,
            waiting: VecDeque::new(),
            threads: HashMap::new(),
            idle: Vec::new(),
            running: Vec::new(),
            pace: None,
            taken: 0,
            seen: 0,
            models: HashMap::new(),
            forgotten: HashMap::new(),
            registered: 0,
            closed: false,
            election: ReaderElection::default(),
            wakeup: None,
        }
    }

    /// See [`Scheduler::wake_stalled`](crate::worker::scheduler::Scheduler::wake_stalled).
    pub(super) fn wake_stalled(&mut self) {
        let taken = self.taken;
        if std::mem::replace(&mut self.seen, taken) == taken {
            self.wake_for_all();
        }
    }

    /// Whether calls are short.
    pub(super) fn are_short(&self) -> bool {
        self.pace.is_some_and(|pace| pace < SHORT)
    }

    /// Whether `thread` may take an item of a model when it asks next.
    pub(super) fn is_for(&self, thread: PredictThreadId, model: ModelId) -> bool {
        let is_held = |held: &ModelInstances| held.by.contains(&thread);
        !self.by_thread || self.models.get(&model).is_none_or(is_held)
    }

    /// Whether a thread is about to be done, and may take an item of a model then.
    pub(super) fn is_soon_taken(&self, model: ModelId, now: Instant) -> bool {
        self.are_short()
            && self.running.iter().any(|run| {
                (!self.by_thread || run.model == model)
                    && now.saturating_duration_since(run.since) < SHORT
            })
    }

    /// The first item that `thread` may take now.
    pub(super) fn eligible(&self, thread: PredictThreadId) -> Option<usize> {
        if !self.by_thread {
            return (!self.waiting.is_empty()).then_some(0);
        }
        self.waiting.iter().position(|item| {
            let Some(held) = self.models.get(&item.model) else { return true };
            held.by.contains(&thread)
                || (held.making == 0 && (held.by.is_empty() || item.since.elapsed() >= held.cost))
        })
    }

    /// The next time at which an item has waited long enough for a busy thread.
    pub(super) fn soonest(&self) -> Option<Instant> {
        let patience = |item: &WaitingItem<T>| {
            let held = self.models.get(&item.model)?;
            (held.making == 0).then(|| item.since + held.cost)
        };
        self.waiting.iter().filter_map(patience).min()
    }

    pub(super) fn wake(&mut self, thread: PredictThreadId) {
        self.idle.retain(|idle| *idle != thread);
        if !self.ring(thread)
            && let Some(sleeper) = self.threads.get(&thread)
        {
            sleeper.notify_one();
        }
    }

    pub(super) fn wake_everybody(&mut self) {
        self.idle.clear();
        self.ring_anybody();
        for sleeper in self.threads.values() {
            sleeper.notify_one();
        }
    }

    /// Wakes a thread for an item of a model: one that holds an instance, else any.
    pub(super) fn wake_for(&mut self, model: ModelId) {
        let holder = self.models.get(&model).filter(|_| self.by_thread).and_then(|held| {
            self.idle.iter().rev().find(|thread| held.by.contains(thread)).copied()
        });
        if let Some(thread) = holder.or_else(|| self.idle.last().copied()) {
            self.wake(thread);
        }
    }

    /// Wakes threads for all items that wait, since something has changed.
    pub(super) fn wake_for_all(&mut self) {
        let models: Vec<ModelId> = self.waiting.iter().map(|item| item.model).collect();
        for model in models {
            self.wake_for(model);
        }
    }
}
