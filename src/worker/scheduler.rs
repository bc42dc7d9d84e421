//! Which thread of a worker runs which prediction.
//!
//! Where instances are shared, any thread will do, the one that was idle last first. Where every
//! thread keeps instances of its own (API v2: a database connection or a CUDA stream belongs to
//! the thread that made it), a request goes to a thread that holds an instance of its model. While all
//! of those are busy it waits for them as long as making a further instance would take, and only then
//! has one made; while the first one is being made, everybody waits for that.
//!
//! Threads take turns with the interpreter, and waking one costs more than a fast model: while calls are
//! short, whoever is done takes the next one, and [`Scheduler::wake_stalled`] wakes others where that does not
//! come to pass.

mod reader_election;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::reader_election::ReaderElection;
pub use self::reader_election::STALL_CHECK;
use crate::os::wakeup::Wakeup;
use crate::wire::protocol::ModelId;

/// While calls take less than this, another thread is not worth waking.
const SHORT: Duration = Duration::from_micros(150);

/// A thread that takes work here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PredictThreadId(usize);

/// What a thread is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum NextStep<T> {
    Item {
        model: ModelId,
        item: T,
    },
    /// Drop the instances of these models.
    Forget(Vec<ModelId>),
    /// Read the channel, or be called back by the wakeup, until then at the latest; and then ask again.
    Read(Instant),
    /// There was nothing to do for a while.
    Idle,
    /// There is nothing to do any more.
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

#[derive(Debug)]
struct SchedulerState<T> {
    /// Threads keep instances of their own.
    by_thread: bool,
    waiting: VecDeque<WaitingItem<T>>,
    threads: HashMap<PredictThreadId, Arc<Condvar>>,
    /// Threads that sleep and were not woken yet; the last one went to sleep last.
    idle: Vec<PredictThreadId>,
    running: Vec<RunningCall>,
    /// How long calls took of late.
    pace: Option<Duration>,
    /// Items that were taken, and how many had been when it was last looked.
    taken: u64,
    seen: u64,
    models: HashMap<ModelId, ModelInstances>,
    forgotten: HashMap<PredictThreadId, Vec<ModelId>>,
    registered: usize,
    closed: bool,
    election: ReaderElection,
    /// Without it no thread reads.
    wakeup: Option<Arc<Wakeup>>,
}

#[derive(Debug)]
struct WaitingItem<T> {
    model: ModelId,
    since: Instant,
    item: T,
}

/// What a thread does.
#[derive(Debug)]
struct RunningCall {
    thread: PredictThreadId,
    model: ModelId,
    since: Instant,
}

/// The instances of one model.
#[derive(Debug, Default)]
struct ModelInstances {
    by: Vec<PredictThreadId>,
    making: usize,
    /// How long it took to make one.
    cost: Duration,
}

impl<T> Default for Scheduler<T> {
    fn default() -> Self {
        Self::new(false)
    }
}

impl<T> Scheduler<T> {
    pub fn new(by_thread: bool) -> Self {
        Self {
            state: Mutex::new(SchedulerState {
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
            }),
            drained: Condvar::new(),
            fallback_reader: Condvar::new(),
        }
    }

    /// Says whether threads keep instances of their own, before there is any work.
    pub fn keep_by_thread(&self, by_thread: bool) {
        self.lock().by_thread = by_thread;
    }

    /// Lets threads read the channel that have nothing else to do; `wakeup` calls them back.
    pub fn allow_reading(&self, wakeup: Arc<Wakeup>) {
        self.lock().wakeup = Some(wakeup);
    }

    /// A thread begins to take work.
    pub fn register(&self) -> PredictThreadId {
        let mut state = self.lock();
        state.registered += 1;
        let thread = PredictThreadId(state.registered);
        state.threads.insert(thread, Arc::default());
        thread
    }

    /// A thread takes no work any more, and has dropped what it held.
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

    /// Puts an item after those that wait. `by` is a thread that read it, and looks for work next.
    pub fn push(&self, model: ModelId, item: T, by: Option<PredictThreadId>) {
        self.add(model, item, by, VecDeque::push_back);
    }

    /// Puts an item before those that wait.
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

    /// Whether any item was not begun.
    pub fn any_waits(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// To be called every now and then while something waits: where nothing was begun since the last
    /// time, whoever was to be done soon is not, and others are woken.
    pub fn wake_stalled(&self) {
        self.lock().wake_stalled();
    }

    /// Items of a model that wait, to be done together with one that was just given out: those for which
    /// `fits` says so, in their order.
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

    /// Takes back an item that no thread has begun.
    pub fn withdraw(&self, is_meant: impl Fn(&T) -> bool) -> Option<T> {
        let mut state = self.lock();
        let position = state.waiting.iter().position(|waiting| is_meant(&waiting.item))?;
        let found = state.waiting.remove(position).map(|waiting| waiting.item);
        if state.closed {
            self.drained.notify_all();
        }
        found
    }

    /// Lets the threads finish what waits, and then end.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.wake_everybody();
        self.drained.notify_all();
    }

    /// Returns once it is closed and all work is done.
    pub fn wait_drained(&self) {
        let busy = |state: &mut SchedulerState<T>| {
            !(state.closed && state.waiting.is_empty() && state.running.is_empty())
        };
        drop(self.drained.wait_while(self.lock(), busy).unwrap_or_else(PoisonError::into_inner));
    }

    /// What `thread`, which has done what it was given before, is to do next; it sleeps until there is
    /// something, but at most `patience`. With an item of a model of which it holds no instance it has
    /// begun to make one.
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
                    // This thread may have been the one that was to look at what else waits.
                    let (model, now) = (next.model, Instant::now());
                    if !state.is_soon_taken(model, now)
                        && let Some(&idle) = state.idle.last()
                    {
                        state.wake(idle);
                    }
                } else if state.closed {
                    // Whoever went back to sleep for this item need not stay for it.
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
            state = sleeper.wait_timeout(state, sleep).unwrap_or_else(PoisonError::into_inner).0;
            state.idle.retain(|idle| *idle != thread);
        }
    }

    /// The item that a thread was given is done.
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

    /// Somebody is going to make an instance; whoever asks for the model waits for that.
    pub fn begin_making(&self, model: ModelId) {
        self.lock().models.entry(model).or_default().making += 1;
    }

    /// The instance stands, and belongs to `thread`, which drops it if it was forgotten meanwhile.
    pub fn made(&self, thread: PredictThreadId, model: ModelId, cost: Duration) {
        let mut state = self.lock();
        let Some(held) = state.models.get_mut(&model) else {
            state.forgotten.entry(thread).or_default().push(model);
            return state.wake_for_all();
        };
        held.making = held.making.saturating_sub(1);
        held.cost = cost;
        if !held.by.contains(&thread) {
            held.by.push(thread);
        }
        // Whoever waited for the first instance has not yet waited for its thread.
        let now = Instant::now();
        for item in state.waiting.iter_mut().filter(|item| item.model == model) {
            item.since = now;
        }
        state.wake_for_all();
    }

    /// No instance came of it.
    pub fn not_made(&self, model: ModelId) {
        let mut state = self.lock();
        if let Some(held) = state.models.get_mut(&model) {
            held.making = held.making.saturating_sub(1);
        }
        state.wake_for_all();
    }

    /// Whether `thread` holds an instance.
    pub fn holds(&self, thread: PredictThreadId, model: ModelId) -> bool {
        self.lock().models.get(&model).is_some_and(|held| held.by.contains(&thread))
    }

    /// Whether anybody holds an instance.
    pub fn is_held(&self, model: ModelId) -> bool {
        self.lock().models.get(&model).is_some_and(|held| !held.by.is_empty())
    }

    /// Has every thread drop its instance of a model.
    pub fn forget(&self, model: ModelId) {
        let mut state = self.lock();
        let Some(held) = state.models.remove(&model) else { return };
        for thread in held.by {
            state.forgotten.entry(thread).or_default().push(model);
            state.wake(thread);
        }
        state.wake_for_all();
    }

    /// Instances of `thread` that others hold too; it is to drop them.
    pub fn surplus(&self, thread: PredictThreadId) -> Vec<ModelId> {
        let mut surplus = Vec::new();
        for (model, held) in &mut self.lock().models {
            if held.by.len() > 1 && held.by.contains(&thread) {
                held.by.retain(|holder| *holder != thread);
                surplus.push(*model);
            }
        }
        surplus
    }

    /// Whether `thread` holds any instance.
    pub fn holds_any(&self, thread: PredictThreadId) -> bool {
        self.lock().models.values().any(|held| held.by.contains(&thread))
    }

    /// A panic elsewhere leaves whole items, so a poisoned lock is as good as a clean one.
    fn lock(&self) -> MutexGuard<'_, SchedulerState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> SchedulerState<T> {
    /// A thread that gets a request for a model of which it holds no instance is going to make one:
    /// the others must know that before they look.
    fn note_making(&mut self, thread: PredictThreadId, model: ModelId) {
        if self.by_thread {
            let held = self.models.entry(model).or_default();
            held.making += usize::from(!held.by.contains(&thread));
        }
    }

    /// See [`Scheduler::wake_stalled`].
    fn wake_stalled(&mut self) {
        let taken = self.taken;
        if std::mem::replace(&mut self.seen, taken) == taken {
            self.wake_for_all();
        }
    }

    /// Whether calls are short.
    fn are_short(&self) -> bool {
        self.pace.is_some_and(|pace| pace < SHORT)
    }

    /// Whether `thread` may take an item of a model as soon as it is done.
    fn is_for(&self, thread: PredictThreadId, model: ModelId) -> bool {
        let is_held = |held: &ModelInstances| held.by.contains(&thread);
        !self.by_thread || self.models.get(&model).is_none_or(is_held)
    }

    /// Whether a thread that is at work is about to be done, and may take an item of a model then.
    fn is_soon_taken(&self, model: ModelId, now: Instant) -> bool {
        self.are_short()
            && self.running.iter().any(|run| {
                (!self.by_thread || run.model == model)
                    && now.saturating_duration_since(run.since) < SHORT
            })
    }

    /// The first item that `thread` may take now.
    fn eligible(&self, thread: PredictThreadId) -> Option<usize> {
        if !self.by_thread {
            return (!self.waiting.is_empty()).then_some(0);
        }
        self.waiting.iter().position(|item| {
            let Some(held) = self.models.get(&item.model) else { return true };
            held.by.contains(&thread)
                || (held.making == 0 && (held.by.is_empty() || item.since.elapsed() >= held.cost))
        })
    }

    /// When an item that waits for a busy thread has waited long enough.
    fn soonest(&self) -> Option<Instant> {
        let patience = |item: &WaitingItem<T>| {
            let held = self.models.get(&item.model)?;
            (held.making == 0).then(|| item.since + held.cost)
        };
        self.waiting.iter().filter_map(patience).min()
    }

    fn wake(&mut self, thread: PredictThreadId) {
        self.idle.retain(|idle| *idle != thread);
        if !self.ring(thread)
            && let Some(sleeper) = self.threads.get(&thread)
        {
            sleeper.notify_one();
        }
    }

    fn wake_everybody(&mut self) {
        self.idle.clear();
        self.ring_anybody();
        for sleeper in self.threads.values() {
            sleeper.notify_one();
        }
    }

    /// Wakes a thread for an item: one that holds its model, else any.
    fn wake_for(&mut self, model: ModelId) {
        let holder = self.models.get(&model).filter(|_| self.by_thread).and_then(|held| {
            self.idle.iter().rev().find(|thread| held.by.contains(thread)).copied()
        });
        if let Some(thread) = holder.or_else(|| self.idle.last().copied()) {
            self.wake(thread);
        }
    }

    /// Something changed for items that wait.
    fn wake_for_all(&mut self) {
        let models: Vec<ModelId> = self.waiting.iter().map(|item| item.model).collect();
        for model in models {
            self.wake_for(model);
        }
    }
}

#[cfg(test)]
mod tests;
