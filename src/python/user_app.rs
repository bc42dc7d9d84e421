//! The user's WSGI app: passes requests of the server to it, and requests of its views to the server.

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::server;
use crate::wire::http::{AppAnswer, AppRequest, HttpHead, UserApp};
use crate::worker::host::AppResponse;
use crate::worker::server_client::RouteBody;

const MODULE: &str = "label_studio_ml._worker.user_app";

/// What was added to the app that the program serves; None for a plain one.
pub(super) fn describe(py: Python<'_>, served: &Bound<'_, PyAny>) -> PyResult<Option<UserApp>> {
    let described = py.import(MODULE)?.call_method1("describe", (served,))?;
    let described: Option<(bool, Vec<String>, bool, String)> = described.extract()?;
    Ok(described.map(|(sees_all, replaced, is_wrapped, summary)| UserApp {
        sees_all,
        replaced,
        is_wrapped,
        summary,
    }))
}

/// Calls the app.
pub(super) fn answer(py: Python<'_>, asked: &AppRequest, body: &[u8]) -> PyResult<AppResponse> {
    let AppRequest { method, head, client } = asked;
    let body = PyBytes::new(py, body);
    let given = (method, &head.target, &head.headers, client.as_deref(), body);
    let answered = py.import(intern!(py, MODULE))?.call_method1(intern!(py, "answer"), given)?;
    let (status, reason, headers, body): (u16, Option<String>, _, Bound<'_, PyBytes>) =
        answered.extract()?;
    Ok((AppAnswer { status, reason, headers }, body.as_bytes().to_vec()))
}

/// Asks for a route of the server: `method`, path and query, lines `name: value`, body. Without a body it is
/// that of the request which this thread answers. Returns status, reason, headers and body. Raises
/// `OSError` if the server cannot be asked, and `ValueError` outside of a worker.
#[pyfunction]
pub(super) fn ask_route<'py>(
    py: Python<'py>,
    method: String,
    target: String,
    headers: String,
    body: Option<&Bound<'py, PyBytes>>,
) -> PyResult<Bound<'py, PyTuple>> {
    let Some(client) = server::client() else {
        return Err(PyValueError::new_err("only a worker has a server to ask"));
    };
    let asked = AppRequest { method, head: HttpHead { target, headers }, client: None };
    let body = body.map_or(RouteBody::Same, |body| RouteBody::Other(body.as_bytes()));
    let (answer, body) = py
        .detach(|| client.ask_route(&asked, body))
        .ok_or_else(|| PyOSError::new_err("a forked child cannot ask the server"))?
        .map_err(|error| PyOSError::new_err(error.to_string()))?;
    let AppAnswer { status, reason, headers } = answer;
    (status, reason, headers, PyBytes::new(py, &body)).into_pyobject(py)
}
