//! Turns Python exceptions into errors of the server, and errors of the labelling config into exceptions.
//!
//! An exception leaves the process as text only: unpickling it would run user code in the server, and
//! many exceptions cannot be pickled.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyType;
use pythonize::depythonize;

use crate::labelling::config::{LabelConfigError, LabelConfigErrorKind};
use crate::wire::protocol::{ErrorAnswer, ModelError, ModelErrorKind};

/// Maximum length of a message or traceback that leaves the process, in bytes.
const LONGEST: usize = 64 << 10;

/// An exception of user code, as text.
pub(super) fn model_error(py: Python<'_>, error: &PyErr, kind: ModelErrorKind) -> ModelError {
    ModelError {
        kind,
        class: class_name(&error.get_type(py)),
        message: cut(message(py, error)),
        traceback: Some(cut(traceback(py, error))),
        task: None,
        answer: answer(py, error).map(Box::new),
    }
}

/// An exception of `predict`, with the task that it was at.
pub(super) fn predict_error(py: Python<'_>, error: &PyErr, tasks: &Bound<'_, PyAny>) -> ModelError {
    let raised = error.traceback(py);
    let task = py
        .import("label_studio_ml._inspect.failing_task")
        .and_then(|module| module.call_method1("failing_task", (tasks, raised))?.extract());
    // User code may hold variables whose comparison raises; the error is told without the task then.
    let task = task.unwrap_or_default();
    ModelError { task, ..model_error(py, error, ModelErrorKind::Raised) }
}

/// An error of this package about a request or a result.
pub(super) fn own_error(kind: ModelErrorKind, class: &str, message: String) -> ModelError {
    ModelError { kind, class: class.to_owned(), message, traceback: None, task: None, answer: None }
}

/// Cuts out the middle: a model may put a whole task into a message, and the end of a traceback tells most.
fn cut(text: String) -> String {
    if text.len() <= LONGEST {
        return text;
    }
    let half = LONGEST / 2;
    let (mut head, mut tail) = (half, text.len() - half);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{} … {}", &text[..head], &text[tail..])
}

pub(super) fn class_name(class: &Bound<'_, PyType>) -> String {
    class.qualname().map_or_else(|_| "Exception".to_owned(), |name| name.to_string())
}

/// `str(exception)`, also where that raises.
pub(super) fn message(py: Python<'_>, error: &PyErr) -> String {
    match error.value(py).str() {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => "(its message could not be made)".into(),
    }
}

/// The formatted traceback, without the frames of the import machinery and of this package, which tell
/// users nothing about their own code.
pub(super) fn traceback(py: Python<'_>, error: &PyErr) -> String {
    let format = || {
        let value = error.value(py);
        value.setattr("__traceback__", error.traceback(py))?;
        py.import("label_studio_ml._traceback")?.call_method1("text", (value,))?.extract()
    };
    format().unwrap_or_else(|_: PyErr| message(py, error))
}

/// The answer that an `AnswerException` carries. A result that is not a dict of plain values is left out.
fn answer(py: Python<'_>, error: &PyErr) -> Option<ErrorAnswer> {
    let exception =
        py.import("label_studio_ml.exceptions").ok()?.getattr("AnswerException").ok()?;
    let value = error.value(py);
    if !value.is_instance(&exception).ok()? {
        return None;
    }
    let status: u16 = value.getattr("status").ok()?.extract().ok()?;
    let result = value.getattr("result").and_then(|result| Ok(depythonize(&result)?));
    let answer = ErrorAnswer { status, result: result.unwrap_or_default() };
    (400..=599).contains(&status).then_some(answer)
}

/// The exception that `parse_config` of the dialect's own package raises. Its module is imported only
/// when it is needed: most models never meet a malformed config.
pub(super) fn label_config_error(py: Python<'_>, error: &LabelConfigError, module: &str) -> PyErr {
    let message = error.to_string();
    match error.kind() {
        LabelConfigErrorKind::XmlSyntax => py
            .import(module)
            .and_then(|module| module.getattr("LabelStudioXMLSyntaxErrorSentryIgnored"))
            .and_then(|class| class.call1((message,)))
            .map_or_else(|error| error, PyErr::from_value),
        LabelConfigErrorKind::Value => PyValueError::new_err(message),
    }
}
