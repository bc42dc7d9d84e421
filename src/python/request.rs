//! `flask.request` for user code: the request that is served, as far as anybody looks.
//!
//! Nothing is done while flask is not imported; then nobody can look.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::workers::host::HttpRequest;

/// Runs `call` with a request of Flask around it.
pub(super) fn around<T>(
    py: Python<'_>,
    request: Option<&HttpRequest>,
    call: impl FnOnce() -> T,
) -> T {
    let context = request.and_then(|request| enter(py, request));
    let value = call();
    if let Some(context) = context {
        // Teardown functions of the user's may raise; the answer stands all the same.
        let _ = context.call_method0("pop");
    }
    value
}

fn enter<'py>(py: Python<'py>, request: &HttpRequest) -> Option<Bound<'py, PyAny>> {
    let modules = py.import("sys").ok()?.getattr("modules").ok()?;
    if !modules.contains("flask").ok()? {
        return None;
    }
    let body = PyBytes::new(py, &request.body);
    let head = &request.head;
    let entered = py.import("label_studio_ml._request").and_then(|module| {
        module.call_method1("enter", (&head.target, head.headers.clone(), body))
    });
    // Without it, user code that looks says itself what is missing.
    entered.inspect_err(|error| error.display(py)).ok()
}
