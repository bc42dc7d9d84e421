//! The instances of the user's class in this worker.
//!
//! One instance for each model that the server told of, made once however many threads ask for it
//! at the same time. No Python runs while a lock is held here: a thread that waits for a lock
//! would keep the interpreter from the thread that holds it.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use super::errors::own_error;
use crate::workers::protocol::{ModelError, ModelErrorKind, ModelId, ModelSpec};

/// A registered model and its instance, if there is one.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) spec: ModelSpec,
    /// What `fit` returned for this version, as JSON; empty if it was never trained.
    pub(super) train_output: Vec<u8>,
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

/// All models that the server told this worker of.
#[derive(Debug, Default)]
pub(super) struct Instances {
    slots: Mutex<HashMap<ModelId, Arc<Slot>>>,
}

impl Instances {
    pub(super) fn register(&self, spec: ModelSpec, train_output: Vec<u8>) {
        self.slots().entry(spec.id).or_insert_with(|| {
            let (state, changed) = (Mutex::new(State::Empty), Condvar::new());
            Arc::new(Slot { spec, train_output, state, changed })
        });
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
