//! Which thread holds, or makes, an instance of which model.

use std::time::{Duration, Instant};

use crate::wire::protocol::ModelId;
use crate::worker::scheduler::state::SchedulerState;
use crate::worker::scheduler::{PredictThreadId, Scheduler};

impl<T> Scheduler<T> {
    /// Notes that a thread will make an instance; requests of the model wait for it.
    pub fn begin_making(&self, model: ModelId) {
        self.lock().models.entry(model).or_default().making += 1;
    }

    /// Notes that `thread` has made its instance; it drops it if the model was forgotten meanwhile.
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
        // Items that waited for the first instance have not waited for its thread yet.
        let now = Instant::now();
        for item in state.waiting.iter_mut().filter(|item| item.model == model) {
            item.since = now;
        }
        state.wake_for_all();
    }

    /// Notes that an instance could not be made.
    pub fn not_made(&self, model: ModelId) {
        let mut state = self.lock();
        if let Some(held) = state.models.get_mut(&model) {
            held.making = held.making.saturating_sub(1);
        }
        state.wake_for_all();
    }

    /// Whether `thread` holds an instance of a model.
    pub fn holds(&self, thread: PredictThreadId, model: ModelId) -> bool {
        self.lock().models.get(&model).is_some_and(|held| held.by.contains(&thread))
    }

    /// Whether any thread holds an instance of a model.
    pub fn is_held(&self, model: ModelId) -> bool {
        self.lock().models.get(&model).is_some_and(|held| !held.by.is_empty())
    }

    /// Tells every thread to drop its instance of a model.
    pub fn forget(&self, model: ModelId) {
        let mut state = self.lock();
        let Some(held) = state.models.remove(&model) else { return };
        for thread in held.by {
            state.forgotten.entry(thread).or_default().push(model);
            state.wake(thread);
        }
        state.wake_for_all();
    }

    /// Takes from `thread` the instances of models that other threads hold too; it must drop them.
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
}

impl<T> SchedulerState<T> {
    /// Notes that a thread makes an instance if it gets a request and holds none, before other threads look
    /// for work.
    pub(super) fn note_making(&mut self, thread: PredictThreadId, model: ModelId) {
        if self.by_thread {
            let held = self.models.entry(model).or_default();
            held.making += usize::from(!held.by.contains(&thread));
        }
    }
}
