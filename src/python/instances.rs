//! The instances of the user's class in this worker.
//!
//! In API v1 there is one instance for each model that the server registered, made once however many
//! threads ask for it at the same time; in API v2 each thread has its own ([`thread_instance`]). No Python
//! code runs while a lock is held here: a thread that waits for the lock would keep the interpreter from
//! the thread that holds it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use pyo3::prelude::*;

use super::errors::own_error;
use crate::os::fork::lock;
use crate::wire::protocol::{ModelError, ModelErrorKind, ModelId, VersionNames};
use crate::worker::host::KnownModel;

/// A registered model and its instance, if there is one.
#[derive(Debug)]
pub(super) struct InstanceSlot {
    pub(super) model: KnownModel,
    names: Mutex<Arc<VersionNames>>,
    /// Number of renewals: instances that threads made before the last one are made anew.
    renewals: AtomicU64,
    state: Mutex<InstanceState>,
    changed: Condvar,
}

#[derive(Debug)]
enum InstanceState {
    Empty,
    Making,
    Ready(Py<PyAny>),
    Failed(ModelError),
}

impl InstanceSlot {
    fn new(model: KnownModel) -> Self {
        Self {
            names: Mutex::new(Arc::new(model.names.clone())),
            model,
            renewals: AtomicU64::default(),
            state: Mutex::new(InstanceState::Empty),
            changed: Condvar::new(),
        }
    }

    /// The version names that predictions carry at the moment.
    pub(super) fn names(&self) -> Arc<VersionNames> {
        Arc::clone(&lock(&self.names))
    }

    fn state(&self) -> MutexGuard<'_, InstanceState> {
        lock(&self.state)
    }

    fn set(&self, state: InstanceState) {
        let before = std::mem::replace(&mut *self.state(), state);
        self.changed.notify_all();
        // Only now, without the lock: dropping an instance may run Python code.
        drop(before);
    }

    /// Returns the instance; makes it unless another thread does. A thread that waited for another one's
    /// attempt shares its failure; a thread that comes after a failure tries again.
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
                    InstanceState::Ready(instance) if !renew || waited => {
                        return Ok(instance.clone_ref(py));
                    }
                    InstanceState::Failed(error) if waited => return Err(error.clone()),
                    InstanceState::Making => {}
                    InstanceState::Empty | InstanceState::Ready(_) | InstanceState::Failed(_) => {
                        let before = std::mem::replace(&mut *state, InstanceState::Making);
                        drop(state);
                        drop(before);
                        break;
                    }
                }
            }
            waited = true;
            py.detach(|| {
                let making = |state: &mut InstanceState| matches!(state, InstanceState::Making);
                drop(self.changed.wait_while(self.state(), making));
            });
        }
        match make(self) {
            Ok(instance) => {
                self.set(InstanceState::Ready(instance.clone_ref(py)));
                Ok(instance)
            }
            Err(error) => {
                self.set(InstanceState::Failed(error.clone()));
                Err(error)
            }
        }
    }
}

/// Instances that belong to the calling thread.
pub(super) mod thread_instance {
    use super::{AtomicU64, HashMap, InstanceSlot, ModelId, Ordering, Py, PyAny, Python, RefCell};

    thread_local! {
        static HELD: RefCell<HashMap<ModelId, (u64, Py<PyAny>)>> = RefCell::default();
    }

    /// The instance of this thread, if it was made after the last renewal.
    pub(in super::super) fn get(py: Python<'_>, slot: &InstanceSlot) -> Option<Py<PyAny>> {
        let renewal = slot.renewals.load(Ordering::Relaxed);
        HELD.with_borrow(|held| {
            let (made, instance) = held.get(&slot.model.spec.id)?;
            (*made == renewal).then(|| instance.clone_ref(py))
        })
    }

    pub(in super::super) fn put(slot: &InstanceSlot, instance: Py<PyAny>) {
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

    /// Makes every thread replace its instance at its next use.
    pub(in super::super) fn renew(slot: &InstanceSlot) {
        let renewals: &AtomicU64 = &slot.renewals;
        renewals.fetch_add(1, Ordering::Relaxed);
    }
}

/// All models that the server registered with this worker.
#[derive(Debug, Default)]
pub(super) struct Instances {
    slots: Mutex<HashMap<ModelId, Arc<InstanceSlot>>>,
}

impl Instances {
    pub(super) fn register(&self, model: KnownModel) {
        self.slots().entry(model.spec.id).or_insert_with(|| Arc::new(InstanceSlot::new(model)));
    }

    /// Gives predictions of a model another version; an unknown model does not matter.
    pub(super) fn rename(&self, id: ModelId, names: VersionNames) {
        if let Some(slot) = self.slots().get(&id) {
            *lock(&slot.names) = Arc::new(names);
        }
    }

    pub(super) fn unload(&self, id: ModelId) {
        // The lock is released before the instance is dropped, which may run Python code.
        let before = self.slots().remove(&id);
        drop(before);
    }

    pub(super) fn slot(&self, id: ModelId) -> Result<Arc<InstanceSlot>, ModelError> {
        self.slots().get(&id).map(Arc::clone).ok_or_else(|| {
            let message = format!("model {id} was unloaded before the request reached it");
            own_error(ModelErrorKind::Unloaded, "LookupError", message)
        })
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<ModelId, Arc<InstanceSlot>>> {
        lock(&self.slots)
    }
}
