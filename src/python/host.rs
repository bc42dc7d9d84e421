//! The user's class in this process: making instances, predicting, training.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyType};

use super::errors::{model_error, own_error};
use super::import::{self, Imported};
use super::instances::{Instances, Slot};
use super::{json_in, json_out, logs, progress};
use crate::label_config::{Dialect, parse};
use crate::workers::host::{ModelHost, Prediction};
use crate::workers::protocol::{
    ClassInfo, Configure, FitJob, ImportFailure, ImportFailureKind, ModelError, ModelErrorKind,
    ModelId, ModelSpec,
};

/// The interpreter of a worker process.
#[derive(Default)]
pub(super) struct PythonHost {
    class: OnceLock<Loaded>,
    instances: Instances,
}

struct Loaded {
    class: Py<PyType>,
    init_kwargs: Py<PyDict>,
    generation: u8,
    /// Names of the constructor's parameters; none if it takes any keyword.
    accepts: Option<Vec<String>>,
}

impl PythonHost {
    fn loaded(&self) -> Result<&Loaded, ModelError> {
        self.class.get().ok_or_else(|| {
            let message = "the script was not imported".to_owned();
            own_error(ModelErrorKind::Construct, "RuntimeError", message)
        })
    }

    /// The instance of a model, with the slot that describes it.
    fn instance(
        &self,
        py: Python<'_>,
        model: ModelId,
        renew: bool,
    ) -> Result<(Arc<Slot>, Py<PyAny>), ModelError> {
        let loaded = self.loaded()?;
        let slot = self.instances.slot(model)?;
        let instance = slot.get(py, renew, |slot| loaded.construct(py, slot))?;
        Ok((slot, instance))
    }
}

impl Loaded {
    fn construct(&self, py: Python<'_>, slot: &Slot) -> Result<Py<PyAny>, ModelError> {
        let _scope = logs::enter(&slot.spec.project);
        self.kwargs(py, slot)
            .and_then(|kwargs| self.class.bind(py).call((), Some(&kwargs)))
            .map(Bound::unbind)
            .map_err(|error| {
                let label_config = slot.spec.label_config.as_deref().unwrap_or_default();
                let kind = if parse(label_config, Dialect::Tools).is_err() {
                    ModelErrorKind::ConfigMalformed
                } else if label_config.is_empty() {
                    ModelErrorKind::ConfigMissing
                } else {
                    ModelErrorKind::Construct
                };
                model_error(py, &error, kind)
            })
    }

    /// Keyword arguments for the constructor: those that the original gives, as far as the class
    /// takes them, and the user's own.
    fn kwargs<'py>(&self, py: Python<'py>, slot: &Slot) -> PyResult<Bound<'py, PyDict>> {
        let spec = &slot.spec;
        let kwargs = PyDict::new(py);
        if self.generation == 1 {
            kwargs.set_item("label_config", spec.label_config.as_deref())?;
            kwargs.set_item("train_output", json_in::value(py, &slot.train_output)?)?;
            if let Some(connection) = &spec.connection {
                kwargs.set_item("hostname", &connection.hostname)?;
                kwargs.set_item("access_token", &connection.access_token)?;
            }
        } else {
            let project = spec.project.split('.').next().unwrap_or_default();
            kwargs.set_item("project_id", project)?;
            kwargs.set_item("label_config", spec.label_config.as_deref())?;
        }
        if let Some(accepts) = &self.accepts {
            for name in kwargs.keys() {
                if !accepts.contains(&name.extract::<String>()?) {
                    kwargs.del_item(name)?;
                }
            }
        }
        kwargs.update(self.init_kwargs.bind(py).as_mapping())?;
        Ok(kwargs)
    }

    fn predict<'py>(
        &self,
        instance: &Bound<'py, PyAny>,
        tasks: &Bound<'py, PyAny>,
        params: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = instance.py();
        if self.generation == 2 {
            let context = match params.get_item("context")? {
                Some(context) => {
                    params.del_item("context")?;
                    context
                }
                None => PyDict::new(py).into_any(),
            };
            params.set_item("context", context)?;
        }
        let results = instance.call_method("predict", (tasks,), Some(params))?;
        if self.generation == 2 && results.is_none() {
            return Ok(pyo3::types::PyList::empty(py).into_any());
        }
        Ok(results)
    }
}

/// The `params` of a request: absent and null mean none.
fn params<'py>(data: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    match data.get_item("params")? {
        Some(params) if !params.is_none() => Ok(params.cast_into::<PyDict>()?),
        _ => Ok(PyDict::new(data.py())),
    }
}

fn required<'py>(data: &Bound<'py, PyDict>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    data.get_item(name)?.ok_or_else(|| pyo3::exceptions::PyKeyError::new_err(name.to_owned()))
}

impl ModelHost for PythonHost {
    fn python_version(&self) -> String {
        Python::attach(|py| {
            let info = py.version_info();
            format!("{}.{}.{}", info.major, info.minor, info.patch)
        })
    }

    fn import(&self, configure: &Configure) -> Result<ClassInfo, ImportFailure> {
        Python::attach(|py| {
            let Imported { class, init_kwargs, info } = import::import(py, configure)?;
            if configure.check {
                class.bind(py).call((), Some(init_kwargs.bind(py))).map_err(|error| {
                    import::failure_of(py, &error, ImportFailureKind::CheckFailed)
                })?;
            }
            let accepts = import::accepted_names(class.bind(py))
                .map_err(|error| import::failure_of(py, &error, ImportFailureKind::Raised))?;
            let loaded = Loaded { class, init_kwargs, generation: info.generation, accepts };
            // A worker imports once.
            let _ = self.class.set(loaded);
            Ok(info)
        })
    }

    fn register(&self, model: ModelSpec, train_output: Vec<u8>) {
        self.instances.register(model, train_output);
    }

    fn load(&self, model: ModelId, renew: bool) -> Result<(), ModelError> {
        Python::attach(|py| self.instance(py, model, renew).map(|_| ()))
    }

    fn unload(&self, model: ModelId) {
        self.instances.unload(model);
    }

    fn predict(
        &self,
        model: ModelId,
        force_reload: bool,
        body: &[u8],
    ) -> Result<Prediction, ModelError> {
        Python::attach(|py| {
            let (slot, instance) = self.instance(py, model, force_reload)?;
            let _scope = logs::enter(&slot.spec.project);
            let data = json_in::object(py, body)?;
            let bad = |error: PyErr| model_error(py, &error, ModelErrorKind::Request);
            let tasks = required(&data, "tasks").map_err(bad)?;
            let params = params(&data).map_err(bad)?;
            let results = self
                .loaded()?
                .predict(instance.bind(py), &tasks, &params)
                .map_err(|error| model_error(py, &error, ModelErrorKind::Raised))?;
            Ok(Prediction {
                body: json_out::predictions(&results, &slot.spec.version)?,
                tasks: tasks.len().unwrap_or(0),
                results: results
                    .is_instance_of::<pyo3::types::PyList>()
                    .then(|| results.len().unwrap_or(0)),
            })
        })
    }

    fn fit(&self, model: ModelId, job: &FitJob, body: &[u8]) -> Result<Vec<u8>, ModelError> {
        let output = Python::attach(|py| {
            let (slot, instance) = self.instance(py, model, false)?;
            let _scope = logs::enter(&slot.spec.project);
            let _fitting = progress::fitting();
            let data = json_in::object(py, body)?;
            let output = train(instance.bind(py), job, &data)
                .map_err(|error| model_error(py, &error, ModelErrorKind::Raised))?;
            json_out::value(&output)
        });
        logs::end_job(&job.id);
        output
    }

    fn wait<T: Send>(&self, wait: impl FnOnce() -> T + Send) -> T {
        Python::attach(|py| py.detach(wait))
    }

    fn start_thread(&self, name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        Python::attach(|py| {
            let run = Mutex::new(Some(run));
            let target = PyCFunction::new_closure(py, None, None, move |_, _| {
                let run = run.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(run) = run {
                    run();
                }
            })?;
            let kwargs = PyDict::new(py);
            kwargs.set_item("target", target)?;
            kwargs.set_item("name", name)?;
            kwargs.set_item("daemon", true)?;
            py.import("threading")?
                .call_method("Thread", (), Some(&kwargs))?
                .call_method0("start")?;
            Ok::<_, PyErr>(())
        })
        .map_err(io::Error::other)
    }

    fn touch(&self) {
        Python::attach(|_| ());
    }
}

/// Calls `fit` as the original does: annotated tasks and the parameters of /train, or a webhook
/// event by way of `process_event`.
fn train<'py>(
    instance: &Bound<'py, PyAny>,
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
    let additional = PyDict::new(py);
    additional.set_item("workdir", workdir)?;
    instance.call_method1("process_event", (event, data, &job.id, additional))
}
