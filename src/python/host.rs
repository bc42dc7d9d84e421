//! The user's class in this process: making instances, predicting, training.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyList, PyType};

use super::cancel::Running;
use super::errors::{model_error, own_error};
use super::import::{self, Imported};
use super::instances::{Instances, Slot, held};
use super::{collector, json_in, json_out, keys, logs, progress, request, training};
use crate::label_config::{Dialect, parse};
use crate::workers::handoff::Received;
use crate::workers::host::{HttpRequest, KnownModel, ModelHost, Prediction};
use crate::workers::keys::KeyClient;
use crate::workers::protocol::{
    ClassInfo, Configure, FitJob, HttpHead, ImportFailure, ImportFailureKind, ModelError,
    ModelErrorKind, ModelId, RequestId, VersionNames,
};

/// The interpreter of a worker process.
pub(super) struct PythonHost {
    /// The worker; children that the model forks have another number.
    process: u32,
    class: OnceLock<Loaded>,
    instances: Instances,
    running: Running,
}

struct Loaded {
    class: Py<PyType>,
    init_kwargs: Py<PyDict>,
    generation: u8,
    /// Names of the constructor's parameters; none if it takes any keyword.
    accepts: Option<Vec<String>>,
    /// Generation 2: an instance for every request.
    fresh: bool,
}

impl Default for PythonHost {
    fn default() -> Self {
        Self {
            process: std::process::id(),
            class: OnceLock::default(),
            instances: Instances::default(),
            running: Running::default(),
        }
    }
}

impl PythonHost {
    /// Ends a child that the model forked and that came back out of the model: it must not answer in
    /// the place of the worker, nor live on as its double.
    fn end_doubles(&self, py: Python<'_>) {
        if std::process::id() != self.process
            && let Ok(os) = py.import("os")
        {
            // It does not return.
            let _ = os.call_method1("_exit", (0,));
        }
    }

    fn loaded(&self) -> Result<&Loaded, ModelError> {
        self.class.get().ok_or_else(|| {
            let message = "the script was not imported".to_owned();
            own_error(ModelErrorKind::Construct, "RuntimeError", message)
        })
    }
}

impl Loaded {
    /// Makes an instance. User code sees the newest /setup of the project as the request, else
    /// `request`.
    fn construct(
        &self,
        py: Python<'_>,
        slot: &Slot,
        request: Option<&HttpRequest>,
    ) -> Result<Py<PyAny>, ModelError> {
        let model = &slot.model;
        let _scope = logs::enter(&model.spec.project);
        let setup = model.setup.as_ref().filter(|_| !self.fresh);
        let made = request::around(py, setup.or(request), || {
            let kwargs = self.kwargs(py, model)?;
            let class = self.class.bind(py);
            let Some(connection) = &model.spec.connection else {
                return class.call((), Some(&kwargs)).map(Bound::unbind);
            };
            // Known to the instance while it is made: its constructor may fetch files.
            let connection = (&connection.hostname, &connection.access_token);
            py.import("label_studio_ml._media.connection")?
                .call_method1("construct", (class, kwargs, connection))
                .map(Bound::unbind)
        });
        made.map_err(|error| {
            let label_config = model.spec.label_config.as_deref().unwrap_or_default();
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
    fn kwargs<'py>(&self, py: Python<'py>, model: &KnownModel) -> PyResult<Bound<'py, PyDict>> {
        let spec = &model.spec;
        let kwargs = PyDict::new(py);
        if self.generation == 1 {
            kwargs.set_item("label_config", spec.label_config.as_deref())?;
            kwargs.set_item("train_output", json_in::value(py, &model.train_output)?)?;
            if let Some(connection) = &spec.connection {
                kwargs.set_item("hostname", &connection.hostname)?;
                kwargs.set_item("access_token", &connection.access_token)?;
            }
        } else {
            kwargs.set_item("project_id", spec.project_id())?;
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
        if self.generation == 1 {
            return instance.call_method(intern!(py, "predict"), (tasks,), Some(params));
        }
        if !params.contains(intern!(py, "context"))? {
            params.set_item(intern!(py, "context"), PyDict::new(py))?;
        }
        let response = instance.call_method(intern!(py, "predict"), (tasks,), Some(params))?;
        if response.is_instance_of::<PyList>() {
            return Ok(response);
        }
        // A prediction without a version is marked when it is written.
        py.import("label_studio_ml._results")?.call_method1("of", (response,))
    }
}

/// The `params` of a request: absent and null mean none.
pub(super) fn params<'py>(data: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    match data.get_item(intern!(data.py(), "params"))? {
        Some(params) if !params.is_none() => Ok(params.cast_into::<PyDict>()?),
        _ => Ok(PyDict::new(data.py())),
    }
}

pub(super) fn required<'py>(data: &Bound<'py, PyDict>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    data.get_item(name)?.ok_or_else(|| pyo3::exceptions::PyKeyError::new_err(name.to_owned()))
}

impl ModelHost for PythonHost {
    fn python_version(&self) -> String {
        Python::attach(|py| {
            let info = py.version_info();
            format!("{}.{}.{}", info.major, info.minor, info.patch)
        })
    }

    fn keep_keys_with(&self, client: &Arc<KeyClient>) {
        keys::keep_with(client);
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
            let generation = info.generation;
            let fresh = configure.fresh_instances && generation == 2;
            let loaded = Loaded { class, init_kwargs, generation, accepts, fresh };
            // A worker imports once.
            let _ = self.class.set(loaded);
            // Without it, predictions are slower and otherwise the same.
            let _ = collector::settle(py);
            Ok(info)
        })
    }

    fn keeps_by_thread(&self) -> bool {
        self.class.get().is_some_and(|loaded| loaded.generation == 2 && !loaded.fresh)
    }

    fn register(&self, model: KnownModel) {
        self.instances.register(model);
    }

    fn rename(&self, model: ModelId, names: VersionNames) {
        self.instances.rename(model, names);
    }

    fn load(
        &self,
        model: ModelId,
        renew: bool,
        request: Option<&HttpRequest>,
    ) -> Result<(), ModelError> {
        attached(|py| {
            let loaded = self.loaded()?;
            let slot = self.instances.slot(model)?;
            if loaded.generation == 1 {
                return slot.get(py, renew, |slot| loaded.construct(py, slot, request)).map(|_| ());
            }
            if loaded.fresh {
                // Before a request it is tried; for a request `predict` makes one.
                return match request {
                    Some(_) => Ok(()),
                    None => loaded.construct(py, &slot, None).map(|_| ()),
                };
            }
            if renew {
                held::renew(&slot);
            }
            if held::get(py, &slot).is_none() {
                let instance = loaded.construct(py, &slot, request)?;
                held::put(&slot, instance);
            }
            Ok(())
        })
    }

    fn unload(&self, model: ModelId) {
        self.instances.unload(model);
        collector::note_dropped();
    }

    fn release(&self, model: ModelId) {
        held::drop_instance(model);
        collector::note_dropped();
    }

    fn predict(&self, model: ModelId, http: &HttpRequest) -> Result<Prediction, ModelError> {
        attached(|py| {
            let loaded = self.loaded()?;
            let slot = self.instances.slot(model)?;
            let instance = match held::get(py, &slot) {
                Some(instance) => instance,
                None if loaded.fresh => loaded.construct(py, &slot, Some(http))?,
                None => slot.get(py, false, |slot| loaded.construct(py, slot, Some(http)))?,
            };
            let _scope = logs::enter(&slot.model.spec.project);
            let data = json_in::object(py, &http.body)?;
            let bad = |error: PyErr| model_error(py, &error, ModelErrorKind::Request);
            let tasks = required(&data, "tasks").map_err(bad)?;
            let params = params(&data).map_err(bad)?;
            let results = request::around(py, Some(http), || {
                loaded.predict(instance.bind(py), &tasks, &params)
            });
            self.end_doubles(py);
            let results =
                results.map_err(|error| model_error(py, &error, ModelErrorKind::Raised))?;
            let names = slot.names();
            let written = json_out::predictions(&results, &names)?;
            let tasks = tasks.len().unwrap_or(0);
            Ok(Prediction { body: written.body, tasks, mended: written.mended })
        })
    }

    fn cancellable<T>(&self, request: RequestId, run: impl FnOnce() -> T) -> (T, bool) {
        self.running.run(request, run)
    }

    fn cancel(&self, request: RequestId) -> bool {
        self.running.cancel(request)
    }

    fn fit(&self, model: ModelId, job: &FitJob, body: Received) -> Result<Vec<u8>, ModelError> {
        let output = attached(|py| {
            let loaded = self.loaded()?;
            let slot = self.instances.slot(model)?;
            let http = HttpRequest { head: training_head(job), body };
            let _copies = training::Copies::hold(py)
                .map_err(|error| model_error(py, &error, ModelErrorKind::Raised))?;
            let instance = if loaded.generation == 1 {
                slot.get(py, false, |slot| loaded.construct(py, slot, Some(&http)))?
            } else {
                loaded.construct(py, &slot, Some(&http))?
            };
            let _scope = logs::enter(&slot.model.spec.project);
            let _fitting = progress::fitting();
            let data = json_in::object(py, &http.body)?;
            let output = request::around(py, Some(&http), || {
                training::fit(instance.bind(py), loaded.generation, job, &data)
            });
            self.end_doubles(py);
            let output = output.map_err(|error| model_error(py, &error, ModelErrorKind::Raised))?;
            match json_out::value(&output) {
                // What generation 2 returns is for people only; what it learned is kept elsewhere.
                Err(error) if loaded.generation == 2 => {
                    logs::warn(py, &format!("what fit returned is not kept: {}", error.message));
                    json_out::value(
                        output
                            .repr()
                            .map_err(|e| model_error(py, &e, ModelErrorKind::Result))?
                            .as_any(),
                    )
                }
                written => written,
            }
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
        Python::attach(collector::tidy);
    }
}

/// Calls user code for a request so that it ends with an answer, also where a mistake of ours would
/// end the thread.
fn attached<T>(call: impl FnOnce(Python<'_>) -> Result<T, ModelError>) -> Result<T, ModelError> {
    catch_unwind(AssertUnwindSafe(|| Python::attach(call))).unwrap_or_else(|panic| {
        let message = match panic.downcast::<String>() {
            Ok(message) => *message,
            Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("unknown").to_owned(),
        };
        let message = format!("a mistake in the server: {message}");
        Err(own_error(ModelErrorKind::Result, "RuntimeError", message))
    })
}

/// How user code sees the request that its job came with.
fn training_head(job: &FitJob) -> HttpHead {
    let target = if job.event.is_some() { "/webhook" } else { "/train" };
    HttpHead { target: target.to_owned(), headers: Vec::new() }
}
