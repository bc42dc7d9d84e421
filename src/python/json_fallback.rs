//! Objects that JSON does not know, as values that it does.
//!
//! They are taken as Flask would take them for the original (dates, UUIDs, decimals, dataclasses) and,
//! beyond that, as users expect it: NumPy scalars and arrays, tensors, pydantic models, enums,
//! versions, paths.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};

/// Keys as `json.dumps` writes them.
pub(super) fn key_text(key: &Bound<'_, PyAny>) -> PyResult<String> {
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
    Err(PyTypeError::new_err(format!(
        "keys must be str, int, float, bool or None, not {}",
        kind.name()?
    )))
}

/// A JSON-like stand-in for an object that JSON does not know.
pub(super) fn plain<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let kind = value.get_type();
    let module = kind.module().map(|module| module.to_string()).unwrap_or_default();
    let name = kind.name()?.to_string();
    let package = module.split('.').next().unwrap_or_default();
    if package == "numpy" {
        let method = if name == "ndarray" { "tolist" } else { "item" };
        let plain = value.call_method0(method)?;
        // A number that is longer than Python's is its own item.
        return if plain.get_type().is(&kind) {
            value.call_method0("__float__")
        } else {
            Ok(plain)
        };
    }
    match (package, name.as_str()) {
        ("uuid", "UUID") | ("decimal", "Decimal") | ("semver" | "packaging", "Version") => {
            return Ok(value.str()?.into_any());
        }
        // What pandas has in the place of a value that is missing.
        ("pandas", "NaTType" | "NAType") => return Ok(py.None().into_bound(py)),
        _ => {}
    }
    if is_date(value)? {
        // In UTC where it says its time zone.
        let in_utc = value.hasattr("utctimetuple")?;
        let stamp = value.call_method0(if in_utc { "utctimetuple" } else { "timetuple" })?;
        let seconds = py.import("calendar")?.call_method1("timegm", (stamp,))?;
        let utils = py.import("email.utils")?;
        let options = PyDict::new(py);
        options.set_item("usegmt", true)?;
        return utils.call_method("formatdate", (seconds,), Some(&options));
    }
    if value.is_instance(&py.import("enum")?.getattr("Enum")?)? {
        return value.getattr("value");
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
    // Tensors, and arrays of other libraries.
    if value.hasattr("tolist")? {
        return value.call_method0("tolist");
    }
    // Models of pydantic's first generation.
    if value.hasattr("__fields__")? && value.hasattr("dict")? {
        return value.call_method0("dict");
    }
    Err(PyTypeError::new_err(not_serializable(value)?))
}

/// What Python's own encoder says.
pub(super) fn not_serializable(value: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(format!("Object of type {} is not JSON serializable", value.get_type().name()?))
}

fn is_date(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let date = value.py().import("datetime")?.getattr("date")?;
    value.is_instance(&date)
}
