//! Loads a project's `_wsgi.py` as a program, as far as the place where it would serve.
//!
//! `label_studio_ml._program` does it, for `start --debug` too; its docstrings have the rules.

use std::path::Path;

use pyo3::prelude::*;

use super::{FoundClass, ImportResult, failure_of, missing_package, raised};
use crate::python::errors;
use crate::wire::protocol::{BasicAuth, Configure, ImportFailure, ImportFailureKind};

pub(super) fn load<'py>(
    py: Python<'py>,
    configure: &Configure,
    path: &Path,
) -> ImportResult<FoundClass<'py>> {
    let program =
        py.import("label_studio_ml._program").map_err(|error| raised(py, configure, &error))?;
    let loaded = program
        .call_method1("load", (path.as_os_str(), &configure.arguments))
        .map_err(|error| failed(py, configure, &error))?;
    found(&loaded).map_err(|error| raised(py, configure, &error))
}

fn found<'py>(loaded: &Bound<'py, PyAny>) -> PyResult<FoundClass<'py>> {
    let basic_auth: Option<(String, String)> = loaded.getattr("basic_auth")?.extract()?;
    Ok(FoundClass {
        class: loaded.getattr("model_class")?.extract()?,
        served: loaded.getattr("served")?,
        init_app: loaded.getattr("kwargs")?.extract()?,
        basic_auth: basic_auth.map(|(user, password)| BasicAuth { user, password }),
    })
}

/// A `ProgramError` has a sentence of its own, and the traceback of the exception that user code raised.
fn failed(py: Python<'_>, configure: &Configure, error: &PyErr) -> ImportFailure {
    let kind: Option<String> = py
        .import("label_studio_ml._program.failure")
        .and_then(|module| module.getattr("ProgramError"))
        .and_then(|class| error.value(py).is_instance(&class))
        .unwrap_or(false)
        .then(|| error.value(py).getattr("kind").and_then(|kind| kind.extract()).ok())
        .flatten();
    let kind = match kind.as_deref() {
        None => return failure_of(py, configure, error, ImportFailureKind::Raised),
        Some("missing") => ImportFailureKind::Missing,
        Some("no_class") => ImportFailureKind::NoClass,
        Some("several_classes") => ImportFailureKind::SeveralClasses,
        Some(_) => ImportFailureKind::Raised,
    };
    let traceback = error.cause(py).map(|cause| errors::traceback(py, &cause));
    let message =
        missing_package(py, configure, error).unwrap_or_else(|| errors::message(py, error));
    ImportFailure { kind, message, traceback }
}
