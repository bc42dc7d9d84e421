//! The instances of the user's class in this worker.
//!
//! For generation 1 one instance for each model that the server told of, made once however many
//! threads ask for it at the same time; for generation 2 each thread holds its own ([`held`]). No
//! Python runs while a lock is held here: a thread that waits for a lock would keep the interpreter
//! from the thread that holds it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use super::errors::own_error;
use crate::wire::protocol::{ModelError, ModelErrorKind, ModelId, VersionNames};
use crate::worker::host::KnownModel;

/// A registered model and its instance, if there is one.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) model: KnownModel,
    names: Mutex<Arc<VersionNames>>,
    /// Instances that threads made before the last renewal are made anew.
    renewals: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
enum State {
    Empty,
    Making,
    Ready(Py<PyAny>),
    Failed(ModelError),
}

impl Slot {
    fn new(model: KnownModel) -> Self {
        Self {
            names: Mutex::new(Arc::new(model.names.clone())),
            model,
            renewals: AtomicU64::default(),
            state: Mutex::new(State::Empty),
            changed: Condvar::new(),
        }
    }

    /// How predictions are marked at the moment.
    pub(super) fn names(&self) -> Arc<VersionNames> {
        Arc::clone(&self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        let before = std::mem::replace(&mut *self.state(), state);
        self.changed.notify_all();
        // Only now, without the lock: dropping an instance may run Python code.
        drop(before);
    }

    /// The instance; made by this thread if nobody else makes it. Whoever waited for another
    /// thread's attempt shares its failure; whoever comes after a failure tries again.
    pub(super) fn get(
        &self,
        py: Python<'_>,
        renew: bool,
        make: impl FnOnce(&Self) -> Result<Py<PyAny>, ModelError>,
    ) -> Result<Py<PyAny>, ModelError> {
        let mut waited = false;
        loop {
            {
                let mut state = self.state();
                match &*state {
                    State::Ready(instance) if !renew || waited => {
                        return Ok(instance.clone_ref(py));
                    }
                    State::Failed(error) if waited => return Err(error.clone()),
                    State::Making => {}
                    State::Empty | State::Ready(_) | State::Failed(_) => {
                        let before = std::mem::replace(&mut *state, State::Making);
                        drop(state);
                        drop(before);
                        break;
                    }
                }
            }
            waited = true;
            py.detach(|| {
                let making = |state: &mut State| matches!(state, State::Making);
                drop(self.changed.wait_while(self.state(), making));
            });
        }
        match make(self) {
            Ok(instance) => {
                self.set(State::Ready(instance.clone_ref(py)));
                Ok(instance)
            }
            Err(error) => {
                self.set(State::Failed(error.clone()));
                Err(error)
            }
        }
    }
}

/// Instances of the calling thread.
pub(super) mod held {
    use super::{AtomicU64, HashMap, ModelId, Ordering, Py, PyAny, Python, RefCell, Slot};

    thread_local! {
        static HELD: RefCell<HashMap<ModelId, (u64, Py<PyAny>)>> = RefCell::default();
    }

    /// The instance of this thread, if it was made since the last renewal.
    pub(in super::super) fn get(py: Python<'_>, slot: &Slot) -> Option<Py<PyAny>> {
        let renewal = slot.renewals.load(Ordering::Relaxed);
        HELD.with_borrow(|held| {
            let (made, instance) = held.get(&slot.model.spec.id)?;
            (*made == renewal).then(|| instance.clone_ref(py))
        })
    }

    pub(in super::super) fn put(slot: &Slot, instance: Py<PyAny>) {
        let renewal = slot.renewals.load(Ordering::Relaxed);
        let before =
            HELD.with_borrow_mut(|held| held.insert(slot.model.spec.id, (renewal, instance)));
        // Only now: dropping an instance may run Python code.
        drop(before);
    }

    pub(in super::super) fn drop_instance(model: ModelId) {
        let before = HELD.with_borrow_mut(|held| held.remove(&model));
        drop(before);
    }

    /// Every thread makes its instance anew when it is used next.
    pub(in super::super) fn renew(slot: &Slot) {
        let renewals: &AtomicU64 = &slot.renewals;
        renewals.fetch_add(1, Ordering::Relaxed);
    }
}

/// All models that the server told this worker of.
#[derive(Debug, Default)]
pub(super) struct Instances {
    slots: Mutex<HashMap<ModelId, Arc<Slot>>>,
}

impl Instances {
    pub(super) fn register(&self, model: KnownModel) {
        self.slots().entry(model.spec.id).or_insert_with(|| Arc::new(Slot::new(model)));
    }

    /// Marks predictions of a model with another version; one that is not known does not matter.
    pub(super) fn rename(&self, id: ModelId, names: VersionNames) {
        if let Some(slot) = self.slots().get(&id) {
            *slot.names.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
        }
    }

    pub(super) fn unload(&self, id: ModelId) {
        // The lock is gone when the instance is dropped, which may run Python code.
        let before = self.slots().remove(&id);
        drop(before);
    }

    pub(super) fn slot(&self, id: ModelId) -> Result<Arc<Slot>, ModelError> {
        self.slots().get(&id).map(Arc::clone).ok_or_else(|| {
            let message = format!("model {id} was unloaded before the request reached it");
            own_error(ModelErrorKind::Unloaded, "LookupError", message)
        })
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<ModelId, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
