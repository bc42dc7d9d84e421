//! `self.get` and `self.set` of user code inside a worker, where the server keeps the values.
//!
//! Called by `label_studio_ml.cache.HostedCache`, which uses the file itself if the server keeps nothing.

use bytes::Bytes;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use super::server;
use crate::wire::keys::KeyRequest;
use crate::wire::protocol::{KeyOperation, KeyOutcome};

/// Asks the server to `get`, `set` or `delete` a value, or whether the project `has` one. Returns whether
/// the server keeps values for this process, and what it found: the value, an empty text for `has`, or
/// None. Raises `OSError` if the server could not read or write.
#[pyfunction]
pub(super) fn ask_key(
    py: Python<'_>,
    ask: &str,
    project: String,
    key: String,
    value: Option<String>,
) -> PyResult<(bool, Option<String>)> {
    let ask = match ask {
        "get" => KeyOperation::Get,
        "has" => KeyOperation::Has,
        "set" => KeyOperation::Set,
        "delete" => KeyOperation::Delete,
        other => {
            return Err(PyValueError::new_err(format!(
                "a key can be read, set or deleted, not {other:?}"
            )));
        }
    };
    let Some(client) = server::client() else { return Ok((false, None)) };
    let value = value.map(Bytes::from).unwrap_or_default();
    let question = KeyRequest { ask, project, key, value };
    let answer = py.detach(|| client.ask_key(&question));
    match answer {
        None | Some((KeyOutcome::NotKept, _)) => Ok((false, None)),
        Some((KeyOutcome::Found, value)) => {
            let text = String::from_utf8(value.into())
                .map_err(|error| PyOSError::new_err(format!("key {:?}: {error}", question.key)))?;
            Ok((true, Some(text)))
        }
        Some((KeyOutcome::Absent | KeyOutcome::Done, _)) => Ok((true, None)),
        Some((KeyOutcome::Failed(reason), _)) => {
            Err(PyOSError::new_err(format!("key {:?}: {reason}", question.key)))
        }
    }
}
