//! Calling `fit` as each generation of the API wants it.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::user_class::{params, required};
use crate::wire::protocol::FitJob;

/// Copies of files that `fit` is given stay until this is dropped, however long it trains on them.
#[must_use]
pub(super) struct Copies<'py>(Bound<'py, PyAny>);

impl<'py> Copies<'py> {
    pub(super) fn hold(py: Python<'py>) -> PyResult<Self> {
        py.import("label_studio_ml._media.cache_eviction")?.call_method0("Training").map(Self)
    }
}

impl Drop for Copies<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.call_method0("end") {
            error.write_unraisable(self.0.py(), Some(&self.0));
        }
    }
}

/// Calls `fit` as the original does: generation 1 gets annotated tasks and the parameters of /train, or
/// a webhook event by way of `process_event`; generation 2 gets the event and its payload.
pub(super) fn fit<'py>(
    instance: &Bound<'py, PyAny>,
    generation: u8,
    job: &FitJob,
    data: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = instance.py();
    let workdir = job.workdir.to_string_lossy();
    let Some(event) = &job.event else {
        let tasks = required(data, "annotations")?.try_iter()?;
        return instance.call_method("fit", (tasks, workdir), Some(&params(data)?));
    };
    if data.contains("action")? {
        data.del_item("action")?;
    }
    if generation == 2 {
        return instance.call_method1("fit", (event, data));
    }
    let additional = PyDict::new(py);
    additional.set_item("workdir", workdir)?;
    instance.call_method1("process_event", (event, data, &job.id, additional))
}
