//! The user's class in this process: makes instances, predicts, trains.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict};

use super::batch::{self, BatchOutcome};
use super::cancel::RunningCalls;
use super::errors::{model_error, own_error, predict_error};
use super::import::{self, Imported};
use super::instances::{Instances, thread_instance};
use super::user_class::{UserClass, params, required};
use super::{
    fit, flask_request, gc, json_in, json_out, logs, progress, server, user_app, warnings,
};
use crate::os::fork::lock;
use crate::wire::api_version::ApiVersion;
use crate::wire::http::{AppRequest, HttpHead, UserApp};
use crate::wire::protocol::{
    ClassInfo, Configure, FitJob, ImportFailure, ImportFailureKind, ModelError, ModelErrorKind,
    ModelId, RequestId, VersionNames,
};
use crate::wire::shared_body::ReceivedBody;
use crate::worker::host::{AppResponse, HttpRequest, KnownModel, ModelHost, PredictionBody};
use crate::worker::server_client::ServerClient;

/// The interpreter of a worker process.
pub(super) struct PythonHost {
    /// The pid of the worker; children that the model forks have another one.
    process: u32,
    class: OnceLock<UserClass>,
    instances: Instances,
    running: RunningCalls,
    /// `predict` did not return one result for each task, so it never gets the tasks of several requests.
    one_by_one: AtomicBool,
}

impl Default for PythonHost {
    fn default() -> Self {
        Self {
            process: std::process::id(),
            class: OnceLock::default(),
            instances: Instances::default(),
            running: RunningCalls::default(),
            one_by_one: AtomicBool::default(),
        }
    }
}

impl PythonHost {
    /// Ends the process if it is a child that the model forked and that returned from user code: it must
    /// not answer in place of the worker, nor live on as a copy of it.
    fn end_forked_child(&self, py: Python<'_>) {
        if std::process::id() != self.process
            && let Ok(os) = py.import("os")
        {
            // It does not return.
            let _ = os.call_method1("_exit", (0,));
        }
    }

    fn user_class(&self) -> Result<&UserClass, ModelError> {
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

    fn ask_with(&self, client: &Arc<ServerClient>) {
        server::ask_with(client);
    }

    fn import(&self, configure: &Configure) -> Result<ClassInfo, ImportFailure> {
        Python::attach(|py| {
            let Imported { class, init_kwargs, info } = import::import(py, configure)?;
            refuse_batches_of(configure, info.app.as_ref())?;
            if configure.check {
                class.bind(py).call((), Some(init_kwargs.bind(py))).map_err(|error| {
                    import::failure_of(py, configure, &error, ImportFailureKind::CheckFailed)
                })?;
            }
            let accepts = import::accepted_names(class.bind(py)).map_err(|error| {
                import::failure_of(py, configure, &error, ImportFailureKind::Raised)
            })?;
            let fresh = configure.fresh_instances && info.api == ApiVersion::V2;
            let user_class = UserClass { class, init_kwargs, api: info.api, accepts, fresh };
            // A worker imports once.
            let _ = self.class.set(user_class);
            // If it fails, predictions are slower and otherwise the same.
            let _ = gc::settle(py);
            Ok(info)
        })
    }

    fn keeps_by_thread(&self) -> bool {
        self.class
            .get()
            .is_some_and(|user_class| user_class.api == ApiVersion::V2 && !user_class.fresh)
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
            let user_class = self.user_class()?;
            let slot = self.instances.slot(model)?;
            if user_class.api == ApiVersion::V1 {
                return slot
                    .get(py, renew, |slot| user_class.construct(py, slot, request))
                    .map(|_| ());
            }
            if user_class.fresh {
                // Without a request it is a trial; for a request `predict` makes an instance.
                return match request {
                    Some(_) => Ok(()),
                    None => user_class.construct(py, &slot, None).map(|_| ()),
                };
            }
            if renew {
                thread_instance::renew(&slot);
            }
            if thread_instance::get(py, &slot).is_none() {
                let instance = user_class.construct(py, &slot, request)?;
                thread_instance::put(&slot, instance);
            }
            Ok(())
        })
    }

    fn unload(&self, model: ModelId) {
        self.instances.unload(model);
        gc::note_dropped();
    }

    fn release(&self, model: ModelId) {
        thread_instance::drop_instance(model);
        gc::note_dropped();
    }

    fn predict(&self, model: ModelId, http: &HttpRequest) -> Result<PredictionBody, ModelError> {
        attached(|py| {
            let user_class = self.user_class()?;
            let slot = self.instances.slot(model)?;
            let instance = user_class.instance(py, &slot, http)?;
            let _scope = logs::enter(slot.model.spec.project.as_str());
            let data = json_in::object(py, &http.body)?;
            let bad = |error: PyErr| model_error(py, &error, ModelErrorKind::Request);
            let tasks = required(&data, "tasks").map_err(bad)?;
            let params = params(&data).map_err(bad)?;
            let results = flask_request::around(py, Some(http), || {
                user_class.predict(instance.bind(py), &tasks, &params)
            });
            self.end_forked_child(py);
            let results = results.map_err(|error| predict_error(py, &error, &tasks))?;
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
            let user_class = self.user_class()?;
            let slot = self.instances.slot(model)?;
            let instance = user_class.instance(py, &slot, first)?;
            let _scope = logs::enter(slot.model.spec.project.as_str());
            let predict = |tasks: &_, params: &_| {
                let results = flask_request::around(py, Some(first), || {
                    user_class.predict(instance.bind(py), tasks, params)
                });
                self.end_forked_child(py);
                results
            };
            batch::predict(py, requests, &slot.names(), predict)
                .map_err(|error| model_error(py, &error, ModelErrorKind::Request))
        });
        match outcome.ok()? {
            BatchOutcome::Answered(answers) => Some(answers),
            BatchOutcome::Raised => None,
            BatchOutcome::NotOneEach => {
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

    fn answer_app(
        &self,
        asked: &AppRequest,
        body: ReceivedBody,
    ) -> Result<AppResponse, ModelError> {
        attached(|py| {
            let answered = user_app::answer(py, asked, &body);
            self.end_forked_child(py);
            answered.map_err(|error| model_error(py, &error, ModelErrorKind::App))
        })
    }

    fn fit(&self, model: ModelId, job: &FitJob, body: ReceivedBody) -> Result<Vec<u8>, ModelError> {
        let output = attached(|py| {
            let user_class = self.user_class()?;
            let slot = self.instances.slot(model)?;
            let http = HttpRequest { head: training_head(job), body };
            let _copies = fit::TrainingCopies::hold(py)
                .map_err(|error| model_error(py, &error, ModelErrorKind::Raised))?;
            let instance = if user_class.api == ApiVersion::V1 {
                slot.get(py, false, |slot| user_class.construct(py, slot, Some(&http)))?
            } else {
                user_class.construct(py, &slot, Some(&http))?
            };
            let _scope = logs::enter(slot.model.spec.project.as_str());
            let _fitting = progress::fitting();
            let data = json_in::object(py, &http.body)?;
            let output = flask_request::around(py, Some(&http), || {
                fit::fit(instance.bind(py), user_class.api, job, &data)
            });
            self.end_forked_child(py);
            let output = output.map_err(|error| model_error(py, &error, ModelErrorKind::Raised))?;
            match json_out::value(&output) {
                // In API v2 the returned value is for people only; what the model learned is elsewhere.
                Err(error) if user_class.api == ApiVersion::V2 => {
                    warnings::warn(
                        py,
                        &format!("what fit returned is not kept: {}", error.message),
                    );
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
                let run = lock(&run).take();
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

/// Refuses to answer several predictions with one call where the user's app stands around each of them.
fn refuse_batches_of(configure: &Configure, app: Option<&UserApp>) -> Result<(), ImportFailure> {
    let Some(app) = app.filter(|app| {
        let stands_around = app.sees_all || app.replaced.iter().any(|r| r == "POST /predict");
        configure.max_batch_size > 0 && stands_around
    }) else {
        return Ok(());
    };
    let message = format!(
        "--max-batch-size cannot be used with this program, whose app must see each prediction: it adds {}",
        app.summary
    );
    Err(ImportFailure { kind: ImportFailureKind::Conflict, message, traceback: None })
}

/// Calls user code for a request. A panic becomes an error too, so that the request is answered and the
/// thread goes on.
fn attached<T>(call: impl FnOnce(Python<'_>) -> Result<T, ModelError>) -> Result<T, ModelError> {
    catch_unwind(AssertUnwindSafe(|| Python::attach(call))).unwrap_or_else(|panic| {
        let message = match panic.downcast::<String>() {
            Ok(message) => *message,
            Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("unknown").to_owned(),
        };
        let message = format!("a bug of label-studio-ml: {message}");
        Err(own_error(ModelErrorKind::Result, "RuntimeError", message))
    })
}

/// The head of the request that a job came with, as user code sees it.
fn training_head(job: &FitJob) -> HttpHead {
    let target = if job.event.is_some() { "/webhook" } else { "/train" };
    HttpHead { target: target.to_owned(), headers: String::new() }
}
