//! Versions below MODEL_DIR for processes that train without a server. `label_studio_ml.managers` reads
//! and writes by these functions what a server reads and writes.

#![expect(clippy::needless_pass_by_value, reason = "PyO3 extracts paths as owned values only")]

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyList};
use serde_json::value::RawValue;

use super::{json_out, warnings};
use crate::ids::{ProjectKey, VersionId};
use crate::store::lock::{self, Holder, Lock, Sharing};
use crate::store::maker::{self, Maker};
use crate::store::versions::{self, StoreError, Versions};
use crate::store::{models_folder, own_folder, usual_places};

/// Versions of a project that can be served, newest first, each with its folder; with `as_served` the list
/// begins with the one that a server would serve.
#[pyfunction]
#[pyo3(signature = (model_dir, project, as_served = false))]
pub(super) fn list_versions(
    model_dir: PathBuf,
    project: &str,
    as_served: bool,
) -> PyResult<Vec<(u64, PathBuf)>> {
    let (versions, project) = (Versions::open(&model_dir), ProjectKey::from(project));
    let found =
        if as_served { versions.served_folders(&project) } else { versions.folders(&project) };
    let found = found.map_err(raised)?;
    Ok(found.into_iter().map(|(id, folder)| (id.0, folder)).collect())
}

/// An unused number for a job: the time in seconds, or more.
#[pyfunction]
pub(super) fn next_job(model_dir: PathBuf, project: &str) -> PyResult<u64> {
    Versions::open(&model_dir).next_id(&project.into()).map(|id| id.0).map_err(raised)
}

/// Makes the folder of a new job, directly below MODEL_DIR if `shared`. Returns its number and path.
#[pyfunction]
#[pyo3(signature = (model_dir, project, shared = false))]
pub(super) fn claim_job(
    model_dir: PathBuf,
    project: &str,
    shared: bool,
) -> PyResult<(u64, PathBuf)> {
    Versions::open(&model_dir)
        .claim(&project.into(), shared)
        .map(|(id, folder)| (id.0, folder))
        .map_err(raised)
}

/// Writes the tasks that a job starts from.
#[pyfunction]
pub(super) fn write_tasks(folder: PathBuf, tasks: &Bound<'_, PyList>) -> PyResult<()> {
    versions::write_tasks(&folder, result_json(tasks)?.as_bytes(), tasks.len()).map_err(raised)
}

/// Writes the event that a job starts from; an empty payload is left out.
#[pyfunction]
pub(super) fn write_event(
    folder: PathBuf,
    event: &str,
    job_id: &str,
    data: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let json = if data.is_truthy()? { Some(result_json(data)?) } else { None };
    let raw = json.map(RawValue::from_string).transpose();
    let raw = raw.map_err(|error| PyValueError::new_err(error.to_string()))?;
    versions::write_event(&folder, event, job_id, raw.as_deref()).map_err(raised)
}

/// Writes what a model returned as a server stores it. Raises `TypeError`, with the place.
#[pyfunction]
pub(super) fn result_json(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let json = json_out::value(value).map_err(|error| PyTypeError::new_err(error.message))?;
    String::from_utf8(json).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Makes the folder of a job a version, with a result in JSON.
#[pyfunction]
pub(super) fn publish_result(
    py: Python<'_>,
    folder: PathBuf,
    json: &str,
    name: &str,
) -> PyResult<()> {
    let published = py.detach(|| versions::publish_result(&folder, name, json.as_bytes()));
    if let Some(error) = published.map_err(raised)? {
        // Readers see the version, so it counts.
        warnings::warn(py, &format!("{error}; the version may be lost if the machine stops now"));
    }
    Ok(())
}

/// Notes that no instance can be made of a version, so that it is not served.
#[pyfunction]
pub(super) fn refuse_version(model_dir: PathBuf, project: &str, version: u64, reason: &str) {
    Versions::open(&model_dir).refuse(&project.into(), VersionId(version), reason);
}

/// The folder for models of the project in `folder`, if `init` made one.
#[pyfunction]
pub(super) fn models_of_project(folder: PathBuf) -> Option<PathBuf> {
    models_folder::of_project(&folder)
}

/// Notes that a class makes what is in a model folder. Raises `RuntimeError` if that belongs to another model,
/// unless the class takes it over.
#[pyfunction]
#[pyo3(signature = (model_dir, class, script, takes_over))]
pub(super) fn claim_models(
    model_dir: PathBuf,
    class: &str,
    script: Option<PathBuf>,
    takes_over: bool,
) -> PyResult<()> {
    let asking = Maker::new(class, script.as_deref());
    if !takes_over {
        maker::check(&model_dir, &asking)
            .map_err(|others| PyRuntimeError::new_err(others.to_string()))?;
    }
    maker::claim(&model_dir, &asking);
    Ok(())
}

/// Sentences about what the class learned that lies in another usual place than its model folder.
#[pyfunction]
pub(super) fn unserved_models(
    model_dir: PathBuf,
    project: PathBuf,
    class: &str,
    script: Option<PathBuf>,
) -> PyResult<Vec<String>> {
    let (cwd, model) = (std::env::current_dir()?, Maker::new(class, script.as_deref()));
    let places = usual_places::others(&model_dir, &project, &cwd, &model);
    Ok(places.iter().map(|place| usual_places::sentence(class, &model_dir, place)).collect())
}

/// When a job began, and when it left its result; None if it did not.
#[pyfunction]
pub(super) fn job_times(folder: PathBuf) -> (Option<SystemTime>, Option<SystemTime>) {
    versions::job_times(&folder)
}

/// Keeps servers from becoming the owner of a model folder during a `with` block: an owner numbers its jobs
/// by itself, and would clear the folder of a job that it did not make.
#[pyclass(module = "label_studio_ml._native")]
pub(super) struct WithoutServer {
    model_dir: PathBuf,
    lock: Option<Lock>,
}

#[pymethods]
impl WithoutServer {
    #[new]
    fn new(model_dir: PathBuf) -> Self {
        Self { model_dir, lock: None }
    }

    /// Raises `RuntimeError` if a server owns the folder.
    fn __enter__(&mut self) -> PyResult<()> {
        match lock::share(&own_folder::lock_file(&self.model_dir))? {
            Sharing::Shared(lock) => self.lock = lock,
            Sharing::Held(holder) => return Err(owned(&self.model_dir, holder)),
        }
        Ok(())
    }

    fn __exit__(
        &mut self,
        _class: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        self.lock = None;
    }
}

fn owned(model_dir: &Path, holder: Option<Holder>) -> PyErr {
    let pid = holder.map_or_else(|| "unknown".to_owned(), |holder| holder.pid.to_string());
    PyRuntimeError::new_err(format!(
        "{}: a server (pid {pid}) trains in this model folder; send it /train or /webhook, or stop it first",
        model_dir.display()
    ))
}

/// Keeps the kind of an error of the system, such as `PermissionError`.
fn raised(error: StoreError) -> PyErr {
    match &error {
        StoreError::Io { reason, .. } => {
            std::io::Error::new(reason.kind(), error.to_string()).into()
        }
        StoreError::Project(_) | StoreError::Json(_) | StoreError::NotAnObject { .. } => {
            PyValueError::new_err(error.to_string())
        }
    }
}
