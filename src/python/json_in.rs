//! Parses request bodies into Python objects.

use jiter::{PythonParse, StringCacheMode};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::errors::own_error;
use super::gc::GcPaused;
use crate::wire::protocol::{ModelError, ModelErrorKind};

/// Parses a body that must be a JSON object. Keys repeat from task to task, so they are shared. Python's
/// own parser reads what the fast one refuses, such as lone surrogates.
pub(super) fn object<'py>(py: Python<'py>, body: &[u8]) -> Result<Bound<'py, PyDict>, ModelError> {
    let fast = PythonParse {
        allow_inf_nan: true,
        cache_mode: StringCacheMode::Keys,
        ..PythonParse::default()
    };
    let fast = {
        let _paused = GcPaused::new(py);
        fast.python_parse(py, body)
    };
    let parsed = match fast {
        Ok(parsed) => parsed,
        Err(_) => slow(py, body).map_err(|error| {
            let message = format!("the body cannot be parsed: {}", error.value(py));
            own_error(ModelErrorKind::Request, "JSONDecodeError", message)
        })?,
    };
    parsed.cast_into::<PyDict>().map_err(|_| {
        let message = "the body must be a JSON object".to_owned();
        own_error(ModelErrorKind::Request, "TypeError", message)
    })
}

/// Parses a JSON value that this package wrote or that lies in a model folder; None for no bytes.
pub(super) fn value<'py>(py: Python<'py>, json: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if json.is_empty() {
        return Ok(py.None().into_bound(py));
    }
    slow(py, json)
}

fn slow<'py>(py: Python<'py>, json: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (json,))
}
