//! Imports a script and chooses the model class in it.

use std::path::Path;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use super::{FoundClass, ImportResult, failure, raised};
use crate::wire::protocol::{Configure, ImportFailureKind};

pub(super) fn load<'py>(
    py: Python<'py>,
    configure: &Configure,
    path: &Path,
    class: Option<&str>,
) -> ImportResult<FoundClass<'py>> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let module = execute(py, configure, path, &name)?;
    let classes = model_classes(py, &module).map_err(|error| raised(py, configure, &error))?;
    let names = || classes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let shown = path.display();
    let found = match class {
        Some(wanted) => classes.iter().find(|(name, _)| name == wanted).ok_or_else(|| {
            let message = if classes.is_empty() {
                format!("{shown} has no model class {wanted}, nor any other")
            } else {
                format!("{shown} has no model class {wanted}; it has {}", names())
            };
            failure(ImportFailureKind::NoClass, message)
        })?,
        None => match classes.as_slice() {
            [only] => only,
            [] => {
                let message = format!("{shown} holds no subclass of LabelStudioMLBase");
                return Err(failure(ImportFailureKind::NoClass, message));
            }
            [first, ..] => {
                let message = format!(
                    "{shown} holds several model classes: {}; name one, as in {shown}:{}",
                    names(),
                    first.0
                );
                return Err(failure(ImportFailureKind::SeveralClasses, message));
            }
        },
    };
    let served = py.None().into_bound(py);
    let class = found.1.clone();
    Ok(FoundClass { class, served, init_app: PyDict::new(py), basic_auth: None })
}

/// Runs a file as the module `name`.
fn execute<'py>(
    py: Python<'py>,
    configure: &Configure,
    path: &Path,
    name: &str,
) -> ImportResult<Bound<'py, PyAny>> {
    if !path.is_file() {
        let message = format!("there is no script {}", path.display());
        return Err(failure(ImportFailureKind::Missing, message));
    }
    let run = || -> PyResult<Bound<'py, PyAny>> {
        let util = py.import("importlib.util")?;
        let spec = util.call_method1("spec_from_file_location", (name, path))?;
        if spec.is_none() {
            let message = format!("{} is not a Python file", path.display());
            return Err(PyRuntimeError::new_err(message));
        }
        let module = util.call_method1("module_from_spec", (&spec,))?;
        py.import("sys")?.getattr("modules")?.set_item(name, &module)?;
        spec.getattr("loader")?.call_method1("exec_module", (&module,))?;
        Ok(module)
    };
    run().map_err(|error| raised(py, configure, &error))
}

/// Names and classes of the models in a module, except those of this package itself.
fn model_classes<'py>(
    py: Python<'py>,
    module: &Bound<'py, PyAny>,
) -> PyResult<Vec<(String, Bound<'py, PyType>)>> {
    py.import("label_studio_ml._inspect.script")?
        .call_method1("model_classes", (module,))?
        .extract()
}
