//! Calls `fit` as each version of the API wants it.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::user_class::{note_own_version, params, required};
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::FitJob;

/// Keeps the copies of files that `fit` asks for until this is dropped, however long the training takes.
#[must_use]
pub(super) struct TrainingCopies<'py>(Bound<'py, PyAny>);

impl<'py> TrainingCopies<'py> {
    pub(super) fn hold(py: Python<'py>) -> PyResult<Self> {
        py.import("label_studio_ml._media.cache_eviction")?.call_method0("Training").map(Self)
    }
}

impl Drop for TrainingCopies<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.call_method0("end") {
            error.write_unraisable(self.0.py(), Some(&self.0));
        }
    }
}

/// Calls `fit` with what the original passes, as far as its parameters take that. API v1 gets annotated
/// tasks and the parameters of /train, or a webhook event through `process_event`; API v2 gets the event and
/// its payload.
pub(super) fn fit<'py>(
    instance: &Bound<'py, PyAny>,
    api: ApiVersion,
    job: &FitJob,
    data: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = instance.py();
    let workdir = job.workdir.to_string_lossy();
    let (calls, fit) = (py.import("label_studio_ml._fit_call")?, instance.getattr("fit")?);
    let Some(event) = &job.event else {
        let tasks = required(data, "annotations")?.try_iter()?;
        return calls.call_method1("on_tasks", (fit, tasks, workdir, params(data)?));
    };
    if data.contains("action")? {
        data.del_item("action")?;
    }
    if api == ApiVersion::V2 {
        let result = calls.call_method1("on_event", (fit, event, data))?;
        note_own_version(instance)?;
        return Ok(result);
    }
    let additional = PyDict::new(py);
    additional.set_item("workdir", workdir)?;
    instance.call_method1("process_event", (event, data, &job.id, additional))
}
