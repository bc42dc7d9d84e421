//! Imports the user's script and finds the model class in it.
//!
//! The import happens on the main thread, under the script's own name (so that pickles written under the
//! original load), with its folder first on `sys.path` and in the caller's working folder. A project's
//! `_wsgi.py` is a program, which `wsgi` loads. The secrets of the server are in the environment meanwhile.

use std::path::{Path, PathBuf};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyType};
use pythonize::pythonize;

use super::{api_version, errors, user_app};
use crate::store::models_folder;
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::{
    BasicAuth, ClassInfo, ClassSource, Configure, ImportFailure, ImportFailureKind, Inspection,
    WorkerRole,
};

mod script;
mod secrets;
mod wsgi;

/// The variable in which `_media.host_policy` finds the hosts that may be asked.
const ALLOW_HOSTS: &str = "LABEL_STUDIO_ML_ALLOW_HOSTS";

/// The result of an import.
pub(super) struct Imported {
    pub(super) class: Py<PyType>,
    /// Keyword arguments for the class from `_wsgi.py`, config.json and `--with`.
    pub(super) init_kwargs: Py<PyDict>,
    pub(super) info: ClassInfo,
}

type ImportResult<T> = Result<T, ImportFailure>;

/// Prepares the interpreter and imports what `configure` names.
pub(super) fn import(py: Python<'_>, configure: &Configure) -> ImportResult<Imported> {
    prepare(py, configure).map_err(|error| raised(py, configure, &error))?;
    check_package(py)?;
    import_submodules(py, configure).map_err(|error| raised(py, configure, &error))?;
    let found = secrets::lend(py, configure, || match &configure.source {
        ClassSource::Script { path, class } => script::load(py, configure, path, class.as_deref()),
        ClassSource::Wsgi { path } => wsgi::load(py, configure, path),
    })?;
    // A `_wsgi.py` of the original sets a level of its own when it is imported.
    set_log_level(py, configure).map_err(|error| raised(py, configure, &error))?;
    finish(py, configure, &found).map_err(|error| raised(py, configure, &error))
}

fn set_log_level(py: Python<'_>, configure: &Configure) -> PyResult<()> {
    if let Some(level) = &configure.log_level {
        py.import("logging")?.getattr("root")?.call_method1("setLevel", (level,))?;
    }
    Ok(())
}

struct FoundClass<'py> {
    class: Bound<'py, PyType>,
    /// The WSGI app that the program serves; None if it makes none.
    served: Bound<'py, PyAny>,
    /// What `_wsgi.py` passed to `init_app` besides the class, the user and the password.
    init_app: Bound<'py, PyDict>,
    basic_auth: Option<BasicAuth>,
}

fn raised(py: Python<'_>, configure: &Configure, error: &PyErr) -> ImportFailure {
    failure_of(py, configure, error, ImportFailureKind::Raised)
}

/// An exception of the import. Of a package that is missing the message says how to install it.
pub(super) fn failure_of(
    py: Python<'_>,
    configure: &Configure,
    error: &PyErr,
    kind: ImportFailureKind,
) -> ImportFailure {
    let class = errors::class_name(&error.get_type(py));
    let message = missing_package(py, configure, error)
        .unwrap_or_else(|| format!("{class}: {}", errors::message(py, error)));
    ImportFailure { kind, message, traceback: Some(errors::traceback(py, error)) }
}

/// How to install the package without which an import failed; none if it failed for another reason.
fn missing_package(py: Python<'_>, configure: &Configure, error: &PyErr) -> Option<String> {
    let (ClassSource::Script { path, .. } | ClassSource::Wsgi { path }) = &configure.source;
    // The line that failed tells more than the exception; its own attribute may lack the traceback.
    if let Some(raised) = error.traceback(py) {
        let _ = error.value(py).setattr("__traceback__", raised);
    }
    let given = (error.value(py), path, &configure.cwd);
    let advice = py
        .import("label_studio_ml._inspect.missing_package")
        .and_then(|module| module.call_method1("advice", given)?.extract());
    advice.ok().flatten()
}

fn failure(kind: ImportFailureKind, message: String) -> ImportFailure {
    ImportFailure { kind, message, traceback: None }
}

fn prepare(py: Python<'_>, configure: &Configure) -> PyResult<()> {
    // An ignored SIGINT would be inherited by ffmpeg, pools and data loaders of the model.
    let signal = py.import("signal")?;
    signal.call_method1(
        "signal",
        (signal.getattr("SIGINT")?, signal.getattr("default_int_handler")?),
    )?;
    let os = py.import("os")?;
    let started_in = os.call_method0("getcwd")?;
    os.call_method1("chdir", (&configure.cwd,))?;
    let script = match &configure.source {
        ClassSource::Script { path, .. } | ClassSource::Wsgi { path } => path,
    };
    let sys = py.import("sys")?;
    let argv = PyList::new(py, [script.as_os_str()])?;
    for argument in &configure.arguments {
        argv.append(argument)?;
    }
    sys.setattr("argv", argv)?;
    let path = sys.getattr("path")?;
    // The first entry is the folder in which the process was started, which is not the user's,
    // unless PYTHONSAFEPATH kept it out.
    if path.get_item(0)?.eq(started_in)? {
        path.del_item(0)?;
    }
    path.call_method1("insert", (0, script.parent().unwrap_or(Path::new(".")).as_os_str()))?;
    let environment = os.getattr("environ")?;
    let own = models_folder::of_project(script.parent().unwrap_or(Path::new(".")));
    let model_dir = match (configure.model_dir.clone().or(own), &configure.source) {
        (Some(model_dir), _) => Some(model_dir),
        (None, ClassSource::Wsgi { path }) => Some(default_model_dir(py, path, &configure.cwd)?),
        (None, ClassSource::Script { .. }) => None,
    };
    if let Some(model_dir) = model_dir {
        environment.set_item("MODEL_DIR", model_dir.as_os_str())?;
    }
    if let Some(hosts) = &configure.allow_hosts {
        environment.set_item(ALLOW_HOSTS, hosts)?;
    }
    // A mistake in the list of hosts must show now, not with the first task.
    if environment.contains(ALLOW_HOSTS)? {
        py.import("label_studio_ml._media.host_policy")?.call_method0("check")?;
    }
    py.import("label_studio_ml._worker.log_streams")?.call_method0("install")?;
    set_log_level(py, configure)?;
    Ok(())
}

/// `MODEL_DIR` must be set when the script is imported, before the class is known.
fn default_model_dir(py: Python<'_>, wsgi: &Path, cwd: &Path) -> PyResult<PathBuf> {
    py.import("label_studio_ml._inspect.script")?
        .call_method1("default_model_dir", (wsgi, cwd))?
        .extract()
}

/// Checks that the package is ours: another one of the same name may have been installed over it.
fn check_package(py: Python<'_>) -> ImportResult<()> {
    let marker = py
        .import("label_studio_ml.model")
        .and_then(|module| module.getattr("LabelStudioMLBase")?.getattr("HOSTED_IN_RUST"));
    if marker.is_ok_and(|marker| marker.is_truthy().unwrap_or(false)) {
        return Ok(());
    }
    let file = py
        .import("label_studio_ml")
        .and_then(|module| module.getattr("__file__")?.extract::<String>())
        .unwrap_or_default();
    Err(failure(
        ImportFailureKind::ForeignPackage,
        format!(
            "the package label_studio_ml in {file} is not the one that this command belongs to; \
             reinstall it (a requirements file of the model may have replaced it)"
        ),
    ))
}

/// Imports the submodules that the script uses without importing them, as the original had done by then.
fn import_submodules(py: Python<'_>, configure: &Configure) -> PyResult<()> {
    let (ClassSource::Script { path, .. } | ClassSource::Wsgi { path }) = &configure.source;
    py.import("label_studio_ml._inspect.submodules")?.call_method1("import_used", (path,))?;
    Ok(())
}

fn finish(py: Python<'_>, configure: &Configure, found: &FoundClass<'_>) -> PyResult<Imported> {
    let names = said_to_init_app(&configure.source, &found.init_app)?;
    let detected = api_version::detect(&found.class, &names)?;
    found.class.setattr("_known_ml_api", u8::from(detected.version))?;
    let model_dir = model_dir(py, configure, found, detected.version)?;
    let (ClassSource::Script { path: file, .. } | ClassSource::Wsgi { path: file }) =
        &configure.source;
    let script = py
        .import("label_studio_ml._inspect.script")?
        .call_method1("defining_file", (&found.class, file.as_os_str()))?
        .extract()?;
    py.import("os")?.getattr("environ")?.set_item("MODEL_DIR", model_dir.as_os_str())?;

    let init_kwargs = PyDict::new(py);
    for (name, value) in found.init_app.iter() {
        let name: String = name.extract()?;
        match name.as_str() {
            "model_dir" | "redis_queue" | "redis_host" | "redis_port" => {}
            _ => init_kwargs.set_item(name, value)?,
        }
    }
    let configured = pythonize(py, &configure.init_kwargs)?;
    init_kwargs.update(configured.cast::<PyDict>()?.as_mapping())?;
    let inspect = py.import("label_studio_ml._inspect.script")?;
    if detected.version == ApiVersion::V2 {
        // A model of API v2 often lies beside a config.json of Hugging Face, whose members are not
        // its arguments.
        let accepted = inspect.call_method1("named_kwargs", (&found.class, &init_kwargs))?;
        init_kwargs.clear();
        init_kwargs.update(accepted.cast::<PyDict>()?.as_mapping())?;
    }
    if configure.role != WorkerRole::Inspect
        && let ClassSource::Script { path, .. } | ClassSource::Wsgi { path } = &configure.source
    {
        let folder = path.parent().unwrap_or(Path::new("."));
        inspect.call_method1("import_flask_if_named", (folder,))?;
    }
    let events = inspect.call_method1("training_events", (&found.class,))?;
    let (train_events, wants_every_event): (Vec<String>, bool) = events.extract()?;
    let uses_context = inspect.call_method1("uses_context", (&found.class,))?.extract()?;
    let reads_config = inspect.call_method1("reads_label_config", (&found.class,))?.extract()?;
    let inspection = match (&configure.role, &configure.source) {
        (WorkerRole::Inspect, ClassSource::Script { path, .. }) => Some(inspection(py, path)?),
        _ => None,
    };
    let thread_safe = match found.class.getattr("THREAD_SAFE") {
        Ok(flag) => flag.is_truthy()?,
        Err(_) => true,
    };
    let app = match configure.role {
        WorkerRole::Predict => user_app::describe(py, &found.served)?,
        WorkerRole::Train | WorkerRole::Inspect => None,
    };
    Ok(Imported {
        class: found.class.clone().unbind(),
        init_kwargs: init_kwargs.unbind(),
        info: ClassInfo {
            class: found.class.name()?.to_string(),
            api: detected.version,
            reason: detected.reason,
            model_dir,
            script,
            thread_safe,
            train_events,
            wants_every_event,
            uses_context,
            reads_config,
            basic_auth: found.basic_auth.clone(),
            app,
            inspection,
        },
    })
}

/// What a project made from the script at `path` needs besides it.
fn inspection(py: Python<'_>, path: &Path) -> PyResult<Inspection> {
    let companions = py.import("label_studio_ml._inspect.companions")?;
    let (companions, left_out) = companions.call_method1("companions", (path,))?.extract()?;
    let suggestion = py.import("label_studio_ml._inspect.suggestion")?;
    let requirements = suggestion.call_method1("requirements", (path,))?.extract()?;
    Ok(Inspection { companions, left_out, requirements })
}

/// Names of the arguments that the author of a `_wsgi.py` passes to `init_app`.
fn said_to_init_app(source: &ClassSource, init_app: &Bound<'_, PyDict>) -> PyResult<Vec<String>> {
    let ClassSource::Wsgi { path } = source else { return Ok(Vec::new()) };
    let looks = init_app.py().import("label_studio_ml._inspect.api_evidence")?;
    looks.call_method1("given_to_init_app", (init_app.keys(), path.as_os_str()))?.extract()
}

/// Names of the constructor's parameters; None if it takes any keyword.
pub(super) fn accepted_names(class: &Bound<'_, PyType>) -> PyResult<Option<Vec<String>>> {
    let inspect = class.py().import("label_studio_ml._inspect.script")?;
    inspect.call_method1("accepted_names", (class,))?.extract()
}

/// MODEL_DIR: the user's choice; else what `_wsgi.py` says, if it can be made; else the project's folder for
/// models; else, as in the original, the project folder for API v1 and the working folder for API v2.
fn model_dir(
    py: Python<'_>,
    configure: &Configure,
    found: &FoundClass<'_>,
    api: ApiVersion,
) -> PyResult<PathBuf> {
    if let Some(model_dir) = &configure.model_dir {
        return Ok(model_dir.clone());
    }
    let (ClassSource::Script { path, .. } | ClassSource::Wsgi { path }) = &configure.source;
    let project = path.parent().unwrap_or(&configure.cwd);
    let otherwise = models_folder::of_project(project).unwrap_or_else(|| match api {
        ApiVersion::V1 => project.to_owned(),
        ApiVersion::V2 => configure.cwd.clone(),
    });
    match found.init_app.get_item("model_dir")? {
        Some(said) if said.is_truthy()? => {
            let make = configure.role != WorkerRole::Inspect;
            py.import("label_studio_ml._inspect.model_folder")?
                .call_method1("usable", (said, otherwise.as_os_str(), make))?
                .extract()
        }
        _ => Ok(otherwise),
    }
}
