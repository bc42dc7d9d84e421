//! Python's cyclic garbage collector, kept from work that finds nothing.
//!
//! What the script has imported stays for as long as the process, so the collector is told not to look at
//! it again; and while a body is parsed or written, nothing becomes garbage. In between, in user code, it
//! does what it always does.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::ffi::{PyGC_Disable, PyGC_Enable};
use pyo3::prelude::*;

/// Whether models were dropped since [`settle`] was last called: cycles among what was set aside are
/// garbage that nobody would find.
static DROPPED: AtomicBool = AtomicBool::new(false);

/// Sets aside everything there is, after what is garbage was freed.
pub(super) fn settle(py: Python<'_>) -> PyResult<()> {
    let gc = py.import("gc")?;
    gc.call_method0("unfreeze")?;
    gc.call_method0("collect")?;
    gc.call_method0("freeze")?;
    Ok(())
}

/// Says that a model was dropped.
pub(super) fn note_dropped() {
    DROPPED.store(true, Ordering::Relaxed);
}

/// Frees what belonged to models that were dropped.
pub(super) fn tidy(py: Python<'_>) {
    if DROPPED.swap(false, Ordering::Relaxed) {
        // A model that broke the module `gc` keeps its garbage.
        let _ = settle(py);
    }
}

/// No collection until this is dropped; the interpreter must not be let go meanwhile.
pub(super) struct Paused<'py> {
    _attached: Python<'py>,
    was_on: bool,
}

impl<'py> Paused<'py> {
    #[expect(unsafe_code, reason = "PyO3 has no safe call for it")]
    pub(super) fn new(py: Python<'py>) -> Self {
        // SAFETY: `py` shows that this thread is attached to the interpreter.
        let was_on = unsafe { PyGC_Disable() } != 0;
        Self { _attached: py, was_on }
    }
}

impl Drop for Paused<'_> {
    #[expect(unsafe_code, reason = "PyO3 has no safe call for it")]
    fn drop(&mut self) {
        if self.was_on {
            // SAFETY: this thread is still attached, for as long as the value lives.
            unsafe { PyGC_Enable() };
        }
    }
}
