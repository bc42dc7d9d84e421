//! Warnings of this package, among what user code logs.

use pyo3::prelude::*;

/// Logs a warning of this package among those of user code.
pub(super) fn warn(py: Python<'_>, text: &str) {
    // If user code broke its logging, only this warning is lost.
    let _ = py
        .import("logging")
        .and_then(|logging| logging.call_method1("getLogger", ("label_studio_ml",)))
        .and_then(|logger| logger.call_method1("warning", ("%s", text)));
}
