//! Decides which thread of a worker runs which prediction.
//!
//! In: predictions that were read from the channel, and threads that ask for work. Out: the next step of each
//! thread. If instances are shared, any thread will do, preferably the one that became idle last. If each
//! thread keeps instances of its own (API v2: a database connection or a CUDA stream belongs to the thread
//! that made it), a request goes to a thread that holds an instance of its model. While all of those are busy
//! it waits as long as making a further instance takes, and only then another thread makes one. While the
//! first instance is being made, all requests of the model wait for it.
//!
//! Threads take turns with the interpreter, and waking one costs more than a fast model. While calls are
//! short, a thread that is done takes the next request, and [`Scheduler::wake_stalled`] wakes another thread
//! if that does not happen.

mod instances;
mod reader_election;
mod state;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

pub use self::reader_election::STALL_CHECK;
use self::state::{RunningCall, SchedulerState, WaitingItem};
use crate::os::wakeup::Wakeup;
use crate::wire::protocol::ModelId;

/// A thread that takes work here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PredictThreadId(usize);

/// What a thread does next.
#[derive(Debug, PartialEq, Eq)]
pub enum NextStep<T> {
    Item {
        model: ModelId,
        item: T,
    },
    /// Drop the instances of these models.
    Forget(Vec<ModelId>),
    /// Read the channel until a message comes, the wakeup wakes or this time has come; then ask again.
    Read(Instant),
    /// There was no work for a while.
    Idle,
    /// There is no work any more.
    Closed,
}

/// Work for the threads of one worker.
#[derive(Debug)]
pub struct Scheduler<T> {
    state: Mutex<SchedulerState<T>>,
    drained: Condvar,
    /// Where the fallback reader sleeps.
    fallback_reader: Condvar,
}

impl<T> Default for Scheduler<T> {
    fn default() -> Self {
        Self::new(false)
    }
}

impl<T> Scheduler<T> {
    pub fn new(by_thread: bool) -> Self {
        Self {
            state: Mutex::new(SchedulerState::new(by_thread)),
            drained: Condvar::new(),
            fallback_reader: Condvar::new(),
        }
    }

    /// Sets whether threads keep instances of their own; to be called before there is any work.
    pub fn keep_by_thread(&self, by_thread: bool) {
        self.lock().by_thread = by_thread;
    }

    /// Lets idle threads read the channel; `wakeup` calls them back.
    pub fn allow_reading(&self, wakeup: Arc<Wakeup>) {
        self.lock().wakeup = Some(wakeup);
    }

    /// Registers a thread that takes work.
    pub fn register(&self) -> PredictThreadId {
        let mut state = self.lock();
        state.registered += 1;
        let thread = PredictThreadId(state.registered);
        state.threads.insert(thread, Arc::default());
        thread
    }

    /// Removes a thread that takes no work any more and has dropped its instances.
    pub fn leave(&self, thread: PredictThreadId) {
        let mut state = self.lock();
        self.stop_reading(&mut state, thread);
        state.threads.remove(&thread);
        state.forgotten.remove(&thread);
        for held in state.models.values_mut() {
            held.by.retain(|holder| *holder != thread);
        }
        state.wake_for_all();
    }

    /// Appends an item. `by` is the prediction thread that read it, which looks for work next.
    pub fn push(&self, model: ModelId, item: T, by: Option<PredictThreadId>) {
        self.add(model, item, by, VecDeque::push_back);
    }

    /// Puts an item in front of those that wait.
    pub fn push_first(&self, model: ModelId, item: T, by: Option<PredictThreadId>) {
        self.add(model, item, by, VecDeque::push_front);
    }

    fn add(
        &self,
        model: ModelId,
        item: T,
        by: Option<PredictThreadId>,
        put: impl FnOnce(&mut VecDeque<WaitingItem<T>>, WaitingItem<T>),
    ) {
        let mut state = self.lock();
        let now = Instant::now();
        put(&mut state.waiting, WaitingItem { model, since: now, item });
        let is_taken_by_reader = by.is_some_and(|thread| state.is_for(thread, model));
        if !is_taken_by_reader && !state.is_soon_taken(model, now) {
            state.wake_for(model);
        }
    }

    /// Whether any item waits.
    pub fn any_waits(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// To be called every [`STALL_CHECK`] while something waits: if no item was begun since the last call,
    /// the thread that was expected to take the next one does not come, and others are woken.
    pub fn wake_stalled(&self) {
        self.lock().wake_stalled();
    }

    /// Takes further items of a model, to be done together with one that was just taken: those that `fits`,
    /// in their order.
    pub fn take_more(&self, model: ModelId, mut fits: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut state = self.lock();
        let (mut more, mut rest) = (Vec::new(), VecDeque::new());
        for waiting in state.waiting.drain(..) {
            if waiting.model == model && fits(&waiting.item) {
                more.push(waiting.item);
            } else {
                rest.push_back(waiting);
            }
        }
        state.waiting = rest;
        more
    }

    /// Removes an item that no thread has begun.
    pub fn withdraw(&self, is_meant: impl Fn(&T) -> bool) -> Option<T> {
        let mut state = self.lock();
        let position = state.waiting.iter().position(|waiting| is_meant(&waiting.item))?;
        let found = state.waiting.remove(position).map(|waiting| waiting.item);
        if state.closed {
            self.drained.notify_all();
        }
        found
    }

    /// Makes the threads finish what waits, and then end.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.wake_everybody();
        self.drained.notify_all();
    }

    /// Waits until the scheduler is closed and all work is done.
    pub fn wait_drained(&self) {
        self.drained.wait_while(&mut self.lock(), |state| {
            !(state.closed && state.waiting.is_empty() && state.running.is_empty())
        });
    }

    /// The next step of `thread`, whose last item is done. Sleeps until there is work, for at most
    /// `patience`. A thread that gets an item of a model of which it holds no instance counts as making one.
    pub fn next(&self, thread: PredictThreadId, patience: Duration) -> NextStep<T> {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        self.stop_reading(&mut state, thread);
        loop {
            if let Some(models) = state.forgotten.remove(&thread) {
                return NextStep::Forget(models);
            }
            if let Some(position) = state.eligible(thread)
                && let Some(found) = state.waiting.remove(position)
            {
                state.taken += 1;
                state.running.push(RunningCall {
                    thread,
                    model: found.model,
                    since: Instant::now(),
                });
                state.note_making(thread, found.model);
                if let Some(next) = state.waiting.front() {
                    // This thread may have been the one whose sleep was to end in time for the next item.
                    let (model, now) = (next.model, Instant::now());
                    if !state.is_soon_taken(model, now)
                        && let Some(&idle) = state.idle.last()
                    {
                        state.wake(idle);
                    }
                } else if state.closed {
                    // Threads that went back to sleep for this item need not wait any more.
                    state.wake_everybody();
                }
                return NextStep::Item { model: found.model, item: found.item };
            }
            if state.closed && state.waiting.is_empty() {
                self.drained.notify_all();
                return NextStep::Closed;
            }
            let now = Instant::now();
            if now >= until {
                return NextStep::Idle;
            }
            let Some(sleeper) = state.threads.get(&thread).map(Arc::clone) else {
                return NextStep::Closed;
            };
            let soonest = state.soonest().map_or(until, |soonest| soonest.min(until));
            if state.begin_reading(thread) {
                return NextStep::Read(soonest);
            }
            state.idle.push(thread);
            let sleep = soonest.saturating_duration_since(now).max(Duration::from_micros(50));
            sleeper.wait_for(&mut state, sleep);
            state.idle.retain(|idle| *idle != thread);
        }
    }

    /// Notes that the item of a thread is done.
    pub fn done(&self, thread: PredictThreadId) {
        let mut state = self.lock();
        if let Some(index) = state.running.iter().position(|run| run.thread == thread) {
            let took = state.running.swap_remove(index).since.elapsed();
            let pace = state.pace.map_or(took, |pace| (pace * 7 + took) / 8);
            state.pace = Some(pace);
        }
        if state.closed {
            self.drained.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, SchedulerState<T>> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests;
