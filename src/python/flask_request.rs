//! Provides `flask.request` to user code: the request that it answers.
//!
//! Does nothing unless flask is imported; without it user code cannot look.

use pyo3::ffi::PyImport_GetModuleDict;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::worker::host::HttpRequest;

/// Runs `call` inside a request context of Flask.
pub(super) fn around<T>(
    py: Python<'_>,
    request: Option<&HttpRequest>,
    call: impl FnOnce() -> T,
) -> T {
    let context = request.and_then(|request| enter(py, request));
    let value = call();
    if let Some(context) = context {
        // Teardown functions of user code may raise; that does not change the answer.
        let _ = context.call_method0("pop");
    }
    value
}

/// `sys.modules`, without an import of `sys`.
#[expect(unsafe_code, reason = "PyO3 has no safe call for it")]
fn imported(py: Python<'_>) -> Bound<'_, PyAny> {
    // SAFETY: the thread is attached, and the interpreter keeps its modules for as long as it lives; the
    // reference is taken as a borrowed one.
    unsafe { Bound::from_borrowed_ptr(py, PyImport_GetModuleDict()) }
}

fn enter<'py>(py: Python<'py>, request: &HttpRequest) -> Option<Bound<'py, PyAny>> {
    if !imported(py).contains(intern!(py, "flask")).ok()? {
        return None;
    }
    let body = PyBytes::new(py, &request.body);
    let head = &request.head;
    let entered = py
        .import("label_studio_ml._worker.flask_request")
        .and_then(|module| module.call_method1("enter", (&head.target, &head.headers, body)));
    // User code that needs the request will itself say what is missing.
    entered.inspect_err(|error| error.display(py)).ok()
}
