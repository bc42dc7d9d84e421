//! For the fuzzing targets: compares our reader and writer of JSON with Python's own, in an embedded
//! interpreter.
//!
//! Values are compared by their `repr`, which distinguishes `1` from `1.0` and `True`, and keeps the order
//! of keys. Intended differences: NaN and infinities are written as null; values that are nested more than
//! 500 deep are not written; both refuse integers that are longer than Python reads.

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};

use super::{json_in, json_out};
use crate::wire::protocol::VersionNames;

const HELPERS: &std::ffi::CStr = c"
import json, logging, math
logging.disable()

def real(digits):
    value = float(digits)
    return value if math.isfinite(value) else None

def read(text):
    return json.loads(text)

def finite(text):
    'Reads null in place of numbers that JSON cannot represent.'
    return json.loads(text, parse_float=real, parse_constant=lambda name: None)

def depth(value):
    deepest, level = 0, [value]
    while level:
        deepest += 1
        level = [
            item
            for value in level
            if isinstance(value, (dict, list))
            for item in (value.values() if isinstance(value, dict) else value)
        ]
    return deepest
";

/// The result of a comparison.
#[derive(Debug, PartialEq, Eq)]
pub enum Compared {
    /// Python does not read the text either.
    Unreadable,
    Same,
    Different(String),
}

/// Maximum depth of a value that our writer must write; it counts lists and dicts, `depth` also their
/// items.
const DEEP: usize = 490;

fn helpers(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    PyModule::from_code(py, HELPERS, c"fuzzing.py", c"label_studio_ml_fuzzing")
}

fn repr(value: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(value.repr()?.to_string_lossy().into_owned())
}

fn compare(what: &str, ours: &Bound<'_, PyAny>, theirs: &Bound<'_, PyAny>) -> PyResult<Compared> {
    Ok(match (repr(ours), repr(theirs)) {
        // Both are nested almost as deep as Python allows.
        (Err(_), Err(_)) => Compared::Same,
        (ours, theirs) => {
            let (ours, theirs) = (ours?, theirs?);
            if ours == theirs {
                Compared::Same
            } else {
                Compared::Different(format!("{what}: ours {ours}, theirs {theirs}"))
            }
        }
    })
}

/// Reads a text as a request body, and with `json.loads`: both read the same value, or both refuse.
pub fn read(json: &[u8]) -> Result<Compared, String> {
    with_python(|py, helpers| {
        let theirs = helpers.call_method1("read", (json,));
        match (json_in::object(py, json), theirs) {
            (Ok(ours), Ok(theirs)) => compare("read", &ours, &theirs),
            (Err(ours), Ok(theirs)) if theirs.is_instance_of::<PyDict>() => {
                Ok(Compared::Different(format!("ours refuses: {}", ours.message)))
            }
            (Ok(ours), Err(theirs)) => {
                let ours = repr(&ours)?;
                Ok(Compared::Different(format!("ours reads {ours}, theirs refuses: {theirs}")))
            }
            (Err(_), Ok(_)) => Ok(Compared::Same),
            (Err(_), Err(_)) => Ok(Compared::Unreadable),
        }
    })
}

/// Reads a text with `json.loads` and writes the value in each of our ways: `json.loads` must read the
/// same value again.
pub fn write(json: &[u8]) -> Result<Compared, String> {
    with_python(|_, helpers| {
        let (Ok(value), Ok(expected)) =
            (helpers.call_method1("read", (json,)), helpers.call_method1("finite", (json,)))
        else {
            return Ok(Compared::Unreadable);
        };
        let depth: usize = helpers.call_method1("depth", (&value,))?.extract()?;
        let written = match (json_out::value(&value), json_out::to_json(&value)) {
            (Ok(plain), Ok(flask)) => [plain, flask.into_bytes()],
            (Err(_), Err(_)) if depth > DEEP => return Ok(Compared::Same),
            (Err(error), _) => return Ok(Compared::Different(error.message)),
            (_, Err(error)) => return Ok(Compared::Different(error.to_string())),
        };
        let [plain, flask] = &written;
        if !flask.is_ascii() {
            return Ok(Compared::Different("not all is escaped".into()));
        }
        let again = helpers.call_method1("read", (plain.as_slice(),))?;
        let compared = compare("written", &again, &expected)?;
        if compared != Compared::Same {
            return Ok(compared);
        }
        let again = helpers.call_method1("read", (flask.as_slice(),))?;
        if !again.eq(&expected)? {
            return compare("written as Flask writes", &again, &expected);
        }
        predictions(helpers, &value, &expected)
    })
}

/// Writes a value as the prediction of a model.
fn predictions(
    helpers: &Bound<'_, PyModule>,
    value: &Bound<'_, PyAny>,
    expected: &Bound<'_, PyAny>,
) -> PyResult<Compared> {
    let names = VersionNames { served: "7".into(), own: vec!["own".into()] };
    let written = match json_out::predictions(value, &names) {
        Ok(written) => written,
        Err(error) => return Ok(Compared::Different(error.message)),
    };
    let body = helpers.call_method1("read", (written.body.as_slice(),))?;
    let served: String = body.get_item("model_version")?.extract()?;
    let results = body.get_item("results")?;
    if served != "7" || !results.get_type().is(expected.get_type()) {
        return compare("predictions", &body, expected);
    }
    Ok(Compared::Same)
}

fn with_python<T>(
    work: impl FnOnce(Python<'_>, &Bound<'_, PyModule>) -> PyResult<T>,
) -> Result<T, String> {
    static ONCE: OnceLock<Py<PyModule>> = OnceLock::new();
    Python::initialize();
    Python::attach(|py| {
        let helpers = if let Some(helpers) = ONCE.get() {
            helpers.bind(py).clone()
        } else {
            let helpers = helpers(py)?;
            ONCE.get_or_init(|| helpers.clone().unbind());
            helpers
        };
        work(py, &helpers)
    })
    .map_err(|error| error.to_string())
}
