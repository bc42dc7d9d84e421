//! The user's class in this process: making instances, predicting, training.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict};

use super::batch;
use super::cancel::Running;
use super::errors::{model_error, own_error};
use super::import::{self, Imported};
use super::instances::{Instances, held};
use super::user_class::{UserClass, params, required};
use super::{fit, flask_request, gc, json_in, json_out, keys, logs, progress};
use crate::wire::protocol::{
    ClassInfo, Configure, FitJob, HttpHead, ImportFailure, ImportFailureKind, ModelError,
    ModelErrorKind, ModelId, RequestId, VersionNames,
};
use crate::wire::shared_body::ReceivedBody;
use crate::worker::host::{HttpRequest, KnownModel, ModelHost, PredictionBody};
use crate::worker::key_client::KeyClient;

/// The interpreter of a worker process.
pub(super) struct PythonHost {
    /// The worker; children that the model forks have another number.
    process: u32,
    class: OnceLock<UserClass>,
    instances: Instances,
    running: Running,
    /// `predict` does not give one result for each task, so it gets no tasks of several requests.
    one_by_one: AtomicBool,
}

impl Default for PythonHost {
    fn default() -> Self {
        Self {
            process: std::process::id(),
            class: OnceLock::default(),
            instances: Instances::default(),
            running: Running::default(),
            one_by_one: AtomicBool::default(),
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

    fn loaded(&self) -> Result<&UserClass, ModelError> {
        self.class.get().ok_or_else(|| {
            let message = "the script was not imported".to_owned();
            own_error(ModelErrorKind::Construct, "RuntimeError", message)
        })
    }
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
            let generation = u8::from(info.api);
            let fresh = configure.fresh_instances && generation == 2;
            let loaded = UserClass { class, init_kwargs, generation, accepts, fresh };
            // A worker imports once.
            let _ = self.class.set(loaded);
            // Without it, predictions are slower and otherwise the same.
            let _ = gc::settle(py);
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
        gc::note_dropped();
    }

    fn release(&self, model: ModelId) {
        held::drop_instance(model);
        gc::note_dropped();
    }

    fn predict(&self, model: ModelId, http: &HttpRequest) -> Result<PredictionBody, ModelError> {
        attached(|py| {
            let loaded = self.loaded()?;
            let slot = self.instances.slot(model)?;
            let instance = loaded.instance(py, &slot, http)?;
            let _scope = logs::enter(&slot.model.spec.project);
            let data = json_in::object(py, &http.body)?;
            let bad = |error: PyErr| model_error(py, &error, ModelErrorKind::Request);
            let tasks = required(&data, "tasks").map_err(bad)?;
            let params = params(&data).map_err(bad)?;
            let results = flask_request::around(py, Some(http), || {
                loaded.predict(instance.bind(py), &tasks, &params)
            });
            self.end_doubles(py);
            let results =
                results.map_err(|error| model_error(py, &error, ModelErrorKind::Raised))?;
            let names = slot.names();
            let written = json_out::predictions(&results, &names)?;
            let tasks = tasks.len().unwrap_or(0);
            Ok(PredictionBody { body: written.body, tasks, mended: written.mended })
        })
    }

    fn takes_batches(&self) -> bool {
        !self.one_by_one.load(Ordering::Relaxed)
    }

    fn predict_batch(
        &self,
        model: ModelId,
        requests: &[&HttpRequest],
    ) -> Option<Vec<Result<PredictionBody, ModelError>>> {
        let first = requests.first()?;
        let outcome = attached(|py| {
            let loaded = self.loaded()?;
            let slot = self.instances.slot(model)?;
            let instance = loaded.instance(py, &slot, first)?;
            let _scope = logs::enter(&slot.model.spec.project);
            let predict = |tasks: &_, params: &_| {
                let results = flask_request::around(py, Some(first), || {
                    loaded.predict(instance.bind(py), tasks, params)
                });
                self.end_doubles(py);
                results
            };
            batch::predict(py, requests, &slot.names(), predict)
                .map_err(|error| model_error(py, &error, ModelErrorKind::Request))
        });
        match outcome.ok()? {
            batch::Outcome::Answered(answers) => Some(answers),
            batch::Outcome::Raised => None,
            batch::Outcome::NotOneEach => {
                self.one_by_one.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    fn cancellable<T>(&self, requests: &[RequestId], run: impl FnOnce() -> T) -> (T, bool) {
        self.running.run(requests, run)
    }

    fn cancel(&self, request: RequestId) -> bool {
        self.running.cancel(request)
    }

    fn fit(&self, model: ModelId, job: &FitJob, body: ReceivedBody) -> Result<Vec<u8>, ModelError> {
        let output = attached(|py| {
            let loaded = self.loaded()?;
            let slot = self.instances.slot(model)?;
            let http = HttpRequest { head: training_head(job), body };
            let _copies = fit::Copies::hold(py)
                .map_err(|error| model_error(py, &error, ModelErrorKind::Raised))?;
            let instance = if loaded.generation == 1 {
                slot.get(py, false, |slot| loaded.construct(py, slot, Some(&http)))?
            } else {
                loaded.construct(py, &slot, Some(&http))?
            };
            let _scope = logs::enter(&slot.model.spec.project);
            let _fitting = progress::fitting();
            let data = json_in::object(py, &http.body)?;
            let output = flask_request::around(py, Some(&http), || {
                fit::fit(instance.bind(py), loaded.generation, job, &data)
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
        Python::attach(gc::tidy);
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
    HttpHead { target: target.to_owned(), headers: String::new() }
}
