//! Writes what a model returned as JSON.
//!
//! Dicts, lists, strings and numbers are walked here; [`super::json_fallback`] replaces what JSON cannot
//! represent. NaN and infinities become null, with a warning. Any other object is an error that names its
//! place.

use std::fmt::Write;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::labelling::check::{Mended, Places};
use crate::wire::protocol::{ModelError, ModelErrorKind, VersionNames};

use super::errors::own_error;
use super::json_fallback::{key_text, not_serializable, plain};

/// Maximum depth of nesting; a deeper value is taken for a cycle.
const DEEPEST: usize = 500;
const VERSION: &str = "model_version";
/// Maximum length of a place in an error message, in bytes; a longer one is cut.
const LONGEST_PLACE: usize = 200;

/// How values are written.
#[derive(Clone, Copy, Default)]
struct Style {
    /// As Flask writes: keys sorted, everything beyond ASCII escaped.
    flask: bool,
}

/// The body of an answer to /predict.
pub(super) struct WrittenPredictions {
    pub(super) body: Vec<u8>,
    /// Values that Label Studio would fail on, and that were replaced.
    pub(super) mended: Mended,
}

/// The output, the place in the result that is being written, and what was noted on the way.
#[derive(Default)]
struct Walk<'a, 'py> {
    out: Vec<u8>,
    path: Vec<Step<'py>>,
    style: Style,
    names: Option<&'a VersionNames>,
    mended: Mended,
    /// Place of the first NaN or infinity, and the number of them.
    nans: Option<(String, usize)>,
    /// Number of replaced objects around this one.
    replaced: usize,
}

/// Maximum number of replaced objects within each other: a mock has every attribute, each another mock.
const MOST_REPLACED: usize = 32;

/// A step on the way to a value; it becomes text only for a message.
enum Step<'py> {
    Results,
    Key(Bound<'py, PyAny>),
    Index(usize),
}

/// Writes one value.
pub(super) fn value(value: &Bound<'_, PyAny>) -> Result<Vec<u8>, ModelError> {
    let mut walk = Walk::default();
    walk.value(value).map_err(|failure| walk.fail(value.py(), &failure))?;
    walk.warn(value.py());
    Ok(walk.out)
}

/// Writes one value as Flask does, with the additions of this module. Raises `TypeError`, with the place,
/// for a value that cannot be written.
#[pyfunction]
pub(super) fn to_json(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = value.py();
    let mut walk = Walk { style: Style { flask: true }, ..Walk::default() };
    walk.value(value).map_err(|failure| {
        let error = walk.fail(py, &failure);
        PyErr::from_type(failure.get_type(py), error.message)
    })?;
    walk.warn(py);
    String::from_utf8(walk.out).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Writes the body of an answer to /predict. Every prediction without a version, or with the model's own
/// name of its version, gets the version that is served: Label Studio files predictions under it, and
/// asks again for predictions that carry another one.
pub(super) fn predictions(
    results: &Bound<'_, PyAny>,
    names: &VersionNames,
) -> Result<WrittenPredictions, ModelError> {
    let mut walk =
        Walk { out: b"{\"model_version\":".to_vec(), names: Some(names), ..Walk::default() };
    walk.text(&names.served);
    walk.out.extend_from_slice(b",\"results\":");
    walk.path.push(Step::Results);
    let walked = match results.cast::<PyDict>() {
        // Label Studio cannot read it, but the original passes it on.
        Ok(dict) => walk.dict(dict, false),
        Err(_) => walk.results(results),
    };
    walked.map_err(|failure| walk.fail(results.py(), &failure))?;
    walk.out.extend_from_slice(b"}\n");
    walk.warn(results.py());
    Ok(WrittenPredictions { body: walk.out, mended: walk.mended })
}

impl<'py> Walk<'_, 'py> {
    /// The list of predictions, one item for each task; an item may be a list of predictions.
    fn results(&mut self, results: &Bound<'py, PyAny>) -> PyResult<()> {
        if let Ok(dict) = results.cast::<PyDict>() {
            return self.dict(dict, true);
        }
        if let Ok(list) = results.cast::<PyList>() {
            return self.sequence(list.iter(), Self::result);
        }
        if let Ok(tuple) = results.cast::<PyTuple>() {
            return self.sequence(tuple.iter(), Self::result);
        }
        self.value(results)
    }

    /// One item of that list. Label Studio answers 500 to `null` for a task.
    fn result(&mut self, result: &Bound<'py, PyAny>) -> PyResult<()> {
        if result.is_none() && self.path.len() == 2 {
            let place = self.place();
            Places::note(&mut self.mended.null_items, || place);
            self.out.extend_from_slice(b"[]");
            return Ok(());
        }
        self.results(result)
    }

    fn value(&mut self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        if let Ok(text) = value.cast::<PyString>() {
            return self.string(text);
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            return self.dict(dict, false);
        }
        if let Ok(list) = value.cast::<PyList>() {
            return self.sequence(list.iter(), Self::value);
        }
        if let Ok(float) = value.cast::<PyFloat>() {
            self.float(float.value());
            return Ok(());
        }
        if let Ok(flag) = value.cast::<PyBool>() {
            self.out.extend_from_slice(if flag.is_true() { b"true" } else { b"false" });
            return Ok(());
        }
        if value.is_none() {
            self.out.extend_from_slice(b"null");
            return Ok(());
        }
        if let Ok(int) = value.cast::<PyInt>() {
            return self.int(int);
        }
        if let Ok(tuple) = value.cast::<PyTuple>() {
            return self.sequence(tuple.iter(), Self::value);
        }
        if self.replaced == MOST_REPLACED {
            return Err(PyTypeError::new_err(not_serializable(value)?));
        }
        self.replaced += 1;
        let written = self.value(&plain(value)?);
        self.replaced -= 1;
        written
    }

    fn sequence(
        &mut self,
        items: impl Iterator<Item = Bound<'py, PyAny>>,
        mut each: impl FnMut(&mut Self, &Bound<'py, PyAny>) -> PyResult<()>,
    ) -> PyResult<()> {
        self.descend()?;
        self.out.push(b'[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.path.push(Step::Index(index));
            each(self, &item)?;
            self.path.pop();
        }
        self.out.push(b']');
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'py, PyDict>, is_prediction: bool) -> PyResult<()> {
        self.descend()?;
        self.out.push(b'{');
        let names = self.names.filter(|_| is_prediction);
        let mut members = Members { first: true, versioned: false };
        if self.style.flask {
            for (key, value) in in_order(dict)? {
                self.member(&key, &value, names, &mut members)?;
            }
        } else {
            let (mut iter, begun_with) = (dict.iter(), dict.len());
            // Writing a member may run user code or let other threads run, which may change the dict;
            // the iterator itself would panic then.
            for _ in 0..begun_with {
                if dict.len() != begun_with {
                    return Err(PyRuntimeError::new_err(
                        "dictionary changed size during iteration",
                    ));
                }
                let Some((key, value)) = iter.next() else { break };
                self.member(&key, &value, names, &mut members)?;
            }
        }
        if let Some(names) = names.filter(|_| !members.versioned) {
            if !members.first {
                self.out.push(b',');
            }
            self.out.extend_from_slice(b"\"model_version\":");
            self.text(&names.served);
        }
        self.out.push(b'}');
        Ok(())
    }

    fn member(
        &mut self,
        name: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        names: Option<&VersionNames>,
        members: &mut Members,
    ) -> PyResult<()> {
        let text = name.cast::<PyString>().ok();
        // Only a key that is not text has to be turned into text.
        let made = if text.is_none() { Some(key_text(name)?) } else { None };
        let names = names.filter(|_| match (text, &made) {
            (Some(text), _) => text.to_str().is_ok_and(|text| text == VERSION),
            (None, made) => made.as_deref() == Some(VERSION),
        });
        // Label Studio refuses a whole batch for one version that is null.
        if names.is_some() && value.is_none() {
            let place = self.place();
            Places::note(&mut self.mended.null_versions, || place + ".model_version");
            return Ok(());
        }
        if !std::mem::take(&mut members.first) {
            self.out.push(b',');
        }
        match (text, &made) {
            (Some(text), _) => self.string(text)?,
            (None, made) => self.text(made.as_deref().unwrap_or_default()),
        }
        self.out.push(b':');
        if let Some(names) = names {
            members.versioned = true;
            let said = value.str()?;
            let said = said.to_string_lossy();
            if names.own.iter().any(|own| *own == said) {
                self.text(&names.served);
                return Ok(());
            }
        }
        self.path.push(Step::Key(name.clone()));
        self.value(value)?;
        self.path.pop();
        Ok(())
    }

    fn descend(&self) -> PyResult<()> {
        if self.path.len() < DEEPEST {
            return Ok(());
        }
        Err(PyValueError::new_err("the value is nested too deeply, or contains itself"))
    }

    fn string(&mut self, text: &Bound<'_, PyString>) -> PyResult<()> {
        if let Ok(text) = text.to_str() {
            self.text(text);
            return Ok(());
        }
        // Lone surrogates cannot be encoded in UTF-8; JSON carries them escaped.
        let escaped = text.py().import("json")?.call_method1("dumps", (text,))?;
        let escaped: String = escaped.extract()?;
        self.out.extend_from_slice(escaped.as_bytes());
        Ok(())
    }

    fn text(&mut self, text: &str) {
        let begin = self.out.len();
        // Writing a string to memory cannot fail.
        let _ = serde_json::to_writer(&mut self.out, text);
        if self.style.flask && !self.out[begin..].is_ascii() {
            let escaped = escape(&self.out.split_off(begin));
            self.out.extend_from_slice(escaped.as_bytes());
        }
    }

    fn float(&mut self, value: f64) {
        if !value.is_finite() {
            let place = self.place();
            self.nans.get_or_insert((place, 0)).1 += 1;
        }
        // serde_json writes NaN and infinities as null.
        let _ = serde_json::to_writer(&mut self.out, &value);
    }

    fn int(&mut self, int: &Bound<'_, PyInt>) -> PyResult<()> {
        if let Ok(small) = int.extract::<i64>() {
            let _ = serde_json::to_writer(&mut self.out, &small);
            return Ok(());
        }
        let digits = int.py().get_type::<PyInt>().call_method1("__repr__", (int,))?;
        self.out.extend_from_slice(digits.cast::<PyString>()?.to_str()?.as_bytes());
        Ok(())
    }

    fn place(&self) -> String {
        let mut place = String::new();
        for step in &self.path {
            let key = match step {
                Step::Results => "results".into(),
                // It was written, so it has a text.
                Step::Key(key) => key_text(key).unwrap_or_default(),
                Step::Index(index) => {
                    // Writing to a string cannot fail.
                    let _ = write!(place, "[{index}]");
                    continue;
                }
            };
            if !place.is_empty() {
                place.push('.');
            }
            place.push_str(&key);
        }
        if place.len() > LONGEST_PLACE {
            place = place.chars().take(LONGEST_PLACE / 4).chain(['…']).collect();
        }
        place
    }

    fn fail(&self, py: Python<'_>, failure: &PyErr) -> ModelError {
        let place = self.place();
        let message = super::errors::message(py, failure);
        let message = if place.is_empty() { message } else { format!("{place}: {message}") };
        let class = super::errors::class_name(&failure.get_type(py));
        own_error(ModelErrorKind::Result, &class, message)
    }

    /// Logs which numbers became null.
    fn warn(&self, py: Python<'_>) {
        let Some((place, count)) = &self.nans else { return };
        let place = if place.is_empty() { "the value" } else { place };
        let others = if *count > 1 { format!(", and {} more", count - 1) } else { String::new() };
        super::warnings::warn(
            py,
            &format!(
                "{place} is NaN or infinite{others}: JSON has no such number, so null is sent"
            ),
        );
    }
}

/// What is known about the members of a dict that were written.
struct Members {
    first: bool,
    versioned: bool,
}

/// The members of a dict, sorted by key as Python sorts; in their own order if Python cannot sort them.
fn in_order<'py>(
    dict: &Bound<'py, PyDict>,
) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
    let keys = dict.keys();
    let _ = keys.sort();
    let mut members = Vec::with_capacity(keys.len());
    for key in keys.iter() {
        if let Some(value) = dict.get_item(&key)? {
            members.push((key, value));
        }
    }
    Ok(members)
}

/// A JSON string with everything beyond ASCII escaped.
fn escape(json: &[u8]) -> String {
    let mut escaped = String::with_capacity(json.len() * 2);
    for character in String::from_utf8_lossy(json).chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
