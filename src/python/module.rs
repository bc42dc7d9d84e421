//! The extension module `label_studio_ml._native`.
//!
//! `main` is the console script, `worker_main` the program of a worker process; the rest serves the
//! Python part of the package. The types are in `python/label_studio_ml/_native.pyi`.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;

use super::host::PythonHost;
use crate::cli;
use crate::os::inherited;
use crate::worker::event_loop;
use crate::workers::process::Launch;

#[pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    use super::super::api_version::{api_verdict, detect_api_version};
    #[pymodule_export]
    use super::super::cancel::is_cancelled;
    #[pymodule_export]
    use super::super::json_out::to_json;
    #[pymodule_export]
    use super::super::key_file::PythonKeyFile;
    #[pymodule_export]
    use super::super::keys::ask_key;
    #[pymodule_export]
    use super::super::label_config::parse_config;
    #[pymodule_export]
    use super::super::logs::{log_line, log_text};
    #[pymodule_export]
    use super::super::model_folder::{
        WithoutServer, claim_job, claim_models, job_times, list_versions, models_of_project,
        next_job, publish_result, refuse_version, result_json, unserved_models, write_event,
        write_tasks,
    };
    #[pymodule_export]
    use super::super::prediction_check::check_predictions;
    #[pymodule_export]
    use super::super::progress::report_progress;
    #[pymodule_export]
    use super::super::server::is_hosted;
    #[pymodule_export]
    use super::super::user_app::ask_route;
    #[pymodule_export]
    use super::{main, worker_main};
}

/// Runs the command line; returns the exit status.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "a Python list can only be extracted as a whole")]
fn main(py: Python<'_>, argv: Vec<String>) -> PyResult<i32> {
    let python: PathBuf = py.import("sys")?.getattr("executable")?.extract()?;
    let package: PathBuf = py.import("label_studio_ml")?.getattr("__file__")?.extract()?;
    let package_root = package
        .parent()
        .and_then(std::path::Path::parent)
        .ok_or_else(|| PyRuntimeError::new_err("label_studio_ml is not in a folder"))?
        .to_owned();
    let launch = Launch { python, package_root };
    // Python's own handler would raise KeyboardInterrupt after an orderly end. Only the main thread
    // can remove it, and no other thread has one.
    let signal = py.import("signal")?;
    let default = (signal.getattr("SIGINT")?, signal.getattr("SIG_DFL")?);
    let _ = signal.call_method1("signal", default);
    Ok(py.detach(|| cli::run(&argv, &launch)))
}

/// Works for the server at the other end of the socket `channel` until the server says to end.
#[pyfunction]
fn worker_main(channel: i32) -> PyResult<()> {
    let channel =
        inherited::take(channel).map_err(|error| PyOSError::new_err(error.to_string()))?;
    let host = Arc::new(PythonHost::default());
    event_loop::run(&host, channel).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
