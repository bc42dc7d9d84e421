//! Turns objects that JSON cannot represent into values that it can.
//!
//! Dates, UUIDs, decimals and dataclasses become what Flask makes of them for the original. Beyond that
//! NumPy scalars and arrays, tensors, pydantic models, enums, versions and paths are accepted.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};

/// A key as `json.dumps` writes it.
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
    // NumPy integers are common as keys where labels are counted.
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

/// The replacement for an object that JSON cannot represent; it may hold such objects again.
pub(super) fn plain<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let kind = value.get_type();
    let module = kind.module().map(|module| module.to_string()).unwrap_or_default();
    let name = kind.name()?.to_string();
    let package = module.split('.').next().unwrap_or_default();
    if package == "numpy" {
        let method = if name == "ndarray" { "tolist" } else { "item" };
        let plain = value.call_method0(method)?;
        // The `item` of a number that is longer than Python's is the number itself.
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
        // How pandas represents a missing value.
        ("pandas", "NaTType" | "NAType") => return Ok(py.None().into_bound(py)),
        _ => {}
    }
    if is_date(value)? {
        // In UTC if it has a time zone.
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
    // Models of pydantic 1.
    if value.hasattr("__fields__")? && value.hasattr("dict")? {
        return value.call_method0("dict");
    }
    Err(PyTypeError::new_err(not_serializable(value)?))
}

/// The message of Python's own encoder.
pub(super) fn not_serializable(value: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(format!("Object of type {} is not JSON serializable", value.get_type().name()?))
}

fn is_date(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let date = value.py().import("datetime")?.getattr("date")?;
    value.is_instance(&date)
}
