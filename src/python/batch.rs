//! Several requests to one model, answered with one call of `predict`.
//!
//! In: their bodies. Out: an answer or error for each of them; or nothing, if the result of the call
//! cannot be divided among them.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::errors::model_error;
use super::user_class::{params, required};
use super::{json_in, json_out, warnings};
use crate::wire::protocol::{ModelError, ModelErrorKind, VersionNames};
use crate::worker::host::{HttpRequest, PredictionBody};

type Answers = Vec<Result<PredictionBody, ModelError>>;

/// The outcome of a call with the tasks of several requests.
pub(super) enum BatchOutcome {
    Answered(Answers),
    /// It raised: each request has to be answered with a call of its own.
    Raised,
    /// It did not return a list with one item for each task, so the class cannot take batches.
    NotOneEach,
}

/// Calls `predict` with the tasks of all requests and the `params` of the first, which all of them share.
pub(super) fn predict<'py>(
    py: Python<'py>,
    requests: &[&HttpRequest],
    names: &VersionNames,
    predict: impl FnOnce(&Bound<'py, PyAny>, &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<BatchOutcome> {
    let all = PyList::empty(py);
    let mut of_first = None;
    let mut numbers = Vec::with_capacity(requests.len());
    for request in requests {
        let parsed = parse(py, request).and_then(|(data, tasks)| {
            if of_first.is_none() {
                of_first = Some(params(&data).map_err(|error| bad(py, &error))?);
            }
            Ok(tasks)
        });
        numbers.push(match parsed {
            Ok(tasks) => {
                let before = all.len();
                all.call_method1("extend", (&tasks,))?;
                Ok(all.len() - before)
            }
            Err(error) => Err(error),
        });
    }
    let params = of_first.unwrap_or_else(|| PyDict::new(py));
    let Ok(results) = predict(all.as_any(), &params) else {
        return Ok(BatchOutcome::Raised);
    };
    let Ok(results) = results.cast_into::<PyList>() else {
        warnings::warn(
            py,
            "predict did not return a list, so requests are answered one by one from now on",
        );
        return Ok(BatchOutcome::NotOneEach);
    };
    if results.len() != all.len() {
        let (given, asked) = (results.len(), all.len());
        let text = format!(
            "predict returned {given} results for {asked} tasks of several requests, so these are answered \
             one by one from now on"
        );
        warnings::warn(py, &text);
        return Ok(BatchOutcome::NotOneEach);
    }
    let mut begin = 0;
    let answer = |number: Result<usize, ModelError>| {
        let tasks = number?;
        let own = results.get_slice(begin, begin + tasks);
        begin += tasks;
        let written = json_out::predictions(own.as_any(), names)?;
        Ok(PredictionBody { body: written.body, tasks, mended: written.mended })
    };
    Ok(BatchOutcome::Answered(numbers.into_iter().map(answer).collect()))
}

/// Parses a body, and finds the tasks in it.
fn parse<'py>(
    py: Python<'py>,
    request: &HttpRequest,
) -> Result<(Bound<'py, PyDict>, Bound<'py, PyList>), ModelError> {
    let data = json_in::object(py, &request.body)?;
    let tasks = required(&data, "tasks").map_err(|error| bad(py, &error))?;
    let tasks = tasks.cast_into::<PyList>().map_err(|error| bad(py, &error.into()))?;
    Ok((data, tasks))
}

fn bad(py: Python<'_>, error: &PyErr) -> ModelError {
    model_error(py, error, ModelErrorKind::Request)
}
