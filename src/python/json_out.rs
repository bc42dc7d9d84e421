//! What a model returned, as JSON.
//!
//! Plain dicts, lists, strings and numbers are walked here. What JSON does not know is taken as
//! Flask would take it for the original (dates, UUIDs, decimals, dataclasses) and, beyond that,
//! as users expect it: NumPy scalars and arrays, pydantic models, paths. NaN and infinities, which
//! are no JSON, become null. An object that fits nowhere is an error that names its place.

use std::fmt::Write;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::workers::protocol::{ModelError, ModelErrorKind};

use super::errors::own_error;

/// Deeper nesting than this is taken for a cycle.
const DEEPEST: usize = 500;
/// A place that takes more bytes than this in an error message is cut.
const LONGEST_PLACE: usize = 200;

/// Where in the result the walk is, for error messages.
#[derive(Default)]
struct Walk {
    out: Vec<u8>,
    path: Vec<Step>,
}

enum Step {
    Key(String),
    Index(usize),
}

/// Writes one value.
pub(super) fn value(value: &Bound<'_, PyAny>) -> Result<Vec<u8>, ModelError> {
    let mut walk = Walk::default();
    walk.value(value).map_err(|failure| walk.fail(value.py(), &failure))?;
    Ok(walk.out)
}

/// Writes the body of an answer to /predict. Every prediction without a version gets `version`, so
/// that Label Studio files it under the version that made it also when another one is published
/// between its /setup and its /predict.
pub(super) fn predictions(
    results: &Bound<'_, PyAny>,
    version: &str,
) -> Result<Vec<u8>, ModelError> {
    let mut walk = Walk { out: b"{\"model_version\":".to_vec(), path: Vec::new() };
    walk.text(version);
    walk.out.extend_from_slice(b",\"results\":");
    walk.path.push(Step::Key("results".into()));
    let walked = match results.cast::<PyDict>() {
        // Not what Label Studio reads, but the original passes it on.
        Ok(dict) => walk.dict(dict, None),
        Err(_) => walk.results(results, version),
    };
    walked.map_err(|failure| walk.fail(results.py(), &failure))?;
    walk.out.extend_from_slice(b"}\n");
    Ok(walk.out)
}

impl Walk {
    /// The list of predictions, one item for each task; an item may be a list of predictions.
    fn results(&mut self, results: &Bound<'_, PyAny>, version: &str) -> PyResult<()> {
        if let Ok(dict) = results.cast::<PyDict>() {
            return self.dict(dict, Some(version));
        }
        if let Ok(list) = results.cast::<PyList>() {
            return self.sequence(list.iter(), |walk, item| walk.results(item, version));
        }
        if let Ok(tuple) = results.cast::<PyTuple>() {
            return self.sequence(tuple.iter(), |walk, item| walk.results(item, version));
        }
        self.value(results)
    }

    fn value(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(text) = value.cast::<PyString>() {
            return self.string(text);
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            return self.dict(dict, None);
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
        let plain = plain(value)?;
        self.value(&plain)
    }

    fn sequence<'py>(
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

    fn dict(&mut self, dict: &Bound<'_, PyDict>, version: Option<&str>) -> PyResult<()> {
        self.descend()?;
        self.out.push(b'{');
        let mut first = true;
        let mut versioned = false;
        for (key, value) in dict.iter() {
            let key = key_text(&key)?;
            if version.is_some() && key == "model_version" {
                // Label Studio refuses a whole batch for one null version.
                if value.is_none() {
                    continue;
                }
                versioned = true;
            }
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.text(&key);
            self.out.push(b':');
            self.path.push(Step::Key(key));
            self.value(&value)?;
            self.path.pop();
        }
        if let Some(version) = version.filter(|_| !versioned) {
            if !first {
                self.out.push(b',');
            }
            self.out.extend_from_slice(b"\"model_version\":");
            self.text(version);
        }
        self.out.push(b'}');
        Ok(())
    }

    fn descend(&self) -> PyResult<()> {
        if self.path.len() < DEEPEST {
            return Ok(());
        }
        Err(pyo3::exceptions::PyValueError::new_err(
            "the value is nested too deeply, or contains itself",
        ))
    }

    fn string(&mut self, text: &Bound<'_, PyString>) -> PyResult<()> {
        if let Ok(text) = text.to_str() {
            self.text(text);
            return Ok(());
        }
        // Lone surrogates have no UTF-8; JSON can carry them escaped.
        let escaped = text.py().import("json")?.call_method1("dumps", (text,))?;
        let escaped: String = escaped.extract()?;
        self.out.extend_from_slice(escaped.as_bytes());
        Ok(())
    }

    fn text(&mut self, text: &str) {
        // Writing a string to memory cannot fail.
        let _ = serde_json::to_writer(&mut self.out, text);
    }

    fn float(&mut self, value: f64) {
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

    fn fail(&self, py: Python<'_>, failure: &PyErr) -> ModelError {
        let mut place = String::new();
        for step in &self.path {
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Key(key) if place.is_empty() => write!(place, "{key}"),
                Step::Key(key) => write!(place, ".{key}"),
                Step::Index(index) => write!(place, "[{index}]"),
            };
        }
        if place.len() > LONGEST_PLACE {
            place = place.chars().take(LONGEST_PLACE / 4).chain(['…']).collect();
        }
        let message = super::errors::message(py, failure);
        let message = if place.is_empty() { message } else { format!("{place}: {message}") };
        let class = super::errors::class_name(&failure.get_type(py));
        own_error(ModelErrorKind::Result, &class, message)
    }
}

/// Keys as `json.dumps` writes them.
fn key_text(key: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(text) = key.cast::<PyString>() {
        return Ok(text.to_string_lossy().into_owned());
    }
    if key.is_none() {
        return Ok("null".into());
    }
    if let Ok(flag) = key.cast::<PyBool>() {
        return Ok(if flag.is_true() { "true" } else { "false" }.into());
    }
    if key.is_instance_of::<PyInt>() || key.is_instance_of::<PyFloat>() {
        return Ok(key.str()?.to_string());
    }
    // NumPy integers as keys are common where labels are counted.
    if let Ok(item) = key.call_method0("item")
        && (item.is_instance_of::<PyInt>() || item.is_instance_of::<PyFloat>())
    {
        return Ok(item.str()?.to_string());
    }
    let kind = key.get_type();
    Err(pyo3::exceptions::PyTypeError::new_err(format!(
        "keys must be str, int, float, bool or None, not {}",
        kind.name()?
    )))
}

/// A JSON-like stand-in for an object that JSON does not know.
fn plain<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let kind = value.get_type();
    let module = kind.module().map(|module| module.to_string()).unwrap_or_default();
    let name = kind.name()?.to_string();
    if module == "numpy" || module.starts_with("numpy.") {
        let method = if name == "ndarray" { "tolist" } else { "item" };
        return value.call_method0(method);
    }
    match (module.as_str(), name.as_str()) {
        ("uuid", "UUID") | ("decimal", "Decimal") => return Ok(value.str()?.into_any()),
        ("datetime", "datetime" | "date") => {
            let stamp = value.call_method0("timetuple")?;
            let seconds = py.import("calendar")?.call_method1("timegm", (stamp,))?;
            let utils = py.import("email.utils")?;
            let options = PyDict::new(py);
            options.set_item("usegmt", true)?;
            return utils.call_method("formatdate", (seconds,), Some(&options));
        }
        _ => {}
    }
    if value.hasattr("model_dump")? {
        return value.call_method0("model_dump");
    }
    if value.hasattr("__dataclass_fields__")? {
        return py.import("dataclasses")?.call_method1("asdict", (value,));
    }
    if value.hasattr("__fspath__")? {
        return value.call_method0("__fspath__");
    }
    if value.hasattr("__html__")? {
        return value.call_method0("__html__");
    }
    // Tensors of one element and arrays of other libraries follow NumPy's protocol.
    if value.hasattr("__array__")? && value.hasattr("tolist")? {
        return value.call_method0("tolist");
    }
    Err(pyo3::exceptions::PyTypeError::new_err(format!(
        "Object of type {name} is not JSON serializable"
    )))
}

#[cfg(test)]
#[path = "json_out_tests.rs"]
mod tests;
