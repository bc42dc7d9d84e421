//! Python exceptions as the server's errors, and back.
//!
//! An exception crosses the process border as text only: pickling it would run user code, and
//! many cannot be pickled.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyTraceback, PyType};
use pythonize::depythonize;

use crate::labelling::config::{LabelConfigError, LabelConfigErrorKind};
use crate::wire::protocol::{ErrorAnswer, ModelError, ModelErrorKind};

/// Longest message or traceback, in bytes, that leaves the process.
const LONGEST: usize = 64 << 10;

/// What user code raised, as text.
pub(super) fn model_error(py: Python<'_>, error: &PyErr, kind: ModelErrorKind) -> ModelError {
    ModelError {
        kind,
        class: class_name(&error.get_type(py)),
        message: cut(message(py, error)),
        traceback: Some(cut(traceback(py, error))),
        answer: answer(py, error),
    }
}

/// An error of ours about a request or a result.
pub(super) fn own_error(kind: ModelErrorKind, class: &str, message: String) -> ModelError {
    ModelError { kind, class: class.to_owned(), message, traceback: None, answer: None }
}

/// A model may put a whole task into a message; the end of a traceback says most.
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

/// The formatted traceback without the frames of the import machinery and of this package, which
/// tell a user nothing about their own code.
pub(super) fn traceback(py: Python<'_>, error: &PyErr) -> String {
    let shortened = skip_foreign_frames(py, error);
    let formatted = format(py, error, shortened.as_ref());
    formatted.unwrap_or_else(|_| message(py, error))
}

fn format(py: Python<'_>, error: &PyErr, frames: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
    let lines = py
        .import("traceback")?
        .call_method1("format_exception", (error.get_type(py), error.value(py), frames))?;
    let lines: Vec<String> = lines.extract()?;
    Ok(lines.concat().trim_end().to_owned())
}

/// The first frame that is the user's, if there is one.
fn skip_foreign_frames<'py>(py: Python<'py>, error: &PyErr) -> Option<Bound<'py, PyAny>> {
    let all: Bound<'py, PyTraceback> = error.traceback(py)?;
    let mut frame = all.into_any();
    loop {
        let file: Option<String> = frame
            .getattr("tb_frame")
            .and_then(|frame| frame.getattr("f_code")?.getattr("co_filename")?.extract())
            .ok();
        let foreign = file.is_some_and(|file| {
            file.starts_with("<frozen importlib") || file.contains("/label_studio_ml/_")
        });
        if !foreign {
            return Some(frame);
        }
        frame = match frame.getattr("tb_next") {
            Ok(next) if !next.is_none() => next,
            // Nothing of the user's ran: a script with a syntax error names its own place.
            _ => return None,
        };
    }
}

/// What an `AnswerException` carries. A result that is no dict of plain values is left out.
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

/// The exception that `parse_config` of the dialect's own package raises. Its module is imported
/// only now: a model that never meets a malformed config does not pay for it.
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
