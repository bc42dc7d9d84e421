//! Keeps Python's cyclic garbage collector from searching where it finds nothing.
//!
//! What the script has imported stays as long as the process, so the collector is told not to look at it
//! again; and while a body is parsed, nothing becomes garbage. During user code the collector works as
//! usual.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::ffi::{PyGC_Disable, PyGC_Enable};
use pyo3::prelude::*;

/// Whether models were dropped since [`settle`] was last called: the collector would not find cycles
/// among the objects that were set aside.
static DROPPED: AtomicBool = AtomicBool::new(false);

/// Frees all garbage, then excludes everything that is left from later collections.
pub(super) fn settle(py: Python<'_>) -> PyResult<()> {
    let gc = py.import("gc")?;
    gc.call_method0("unfreeze")?;
    gc.call_method0("collect")?;
    gc.call_method0("freeze")?;
    Ok(())
}

/// Notes that a model was dropped.
pub(super) fn note_dropped() {
    DROPPED.store(true, Ordering::Relaxed);
}

/// Frees what belonged to dropped models.
pub(super) fn tidy(py: Python<'_>) {
    if DROPPED.swap(false, Ordering::Relaxed) {
        // If user code broke the module `gc`, the garbage stays.
        let _ = settle(py);
    }
}

/// Prevents collections until it is dropped; the thread must stay attached meanwhile.
pub(super) struct GcPaused<'py> {
    _attached: Python<'py>,
    was_on: bool,
}

impl<'py> GcPaused<'py> {
    #[expect(unsafe_code, reason = "PyO3 has no safe call for it")]
    pub(super) fn new(py: Python<'py>) -> Self {
        // SAFETY: `py` shows that this thread is attached to the interpreter.
        let was_on = unsafe { PyGC_Disable() } != 0;
        Self { _attached: py, was_on }
    }
}

impl Drop for GcPaused<'_> {
    #[expect(unsafe_code, reason = "PyO3 has no safe call for it")]
    fn drop(&mut self) {
        if self.was_on {
            // SAFETY: this thread is still attached, for as long as the value lives.
            unsafe { PyGC_Enable() };
        }
    }
}
