//! `self.get` and `self.set` of user code without a server: `cache.db` itself.
//!
//! Called by `label_studio_ml.cache.SqliteCache`.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::store::db::DbError;
use crate::store::keys::KeyFile;

/// The values in the file at a path, which several processes may use at the same time.
#[pyclass(frozen, name = "KeyFile", module = "label_studio_ml._native")]
pub(super) struct PythonKeyFile(KeyFile);

#[pymethods]
impl PythonKeyFile {
    #[new]
    fn new(path: PathBuf) -> Self {
        Self(KeyFile::new(path))
    }

    fn get(&self, py: Python<'_>, project: &str, key: &str) -> PyResult<Option<String>> {
        py.detach(|| self.0.get(project, key)).map_err(|error| sqlite_error(py, &error))
    }

    fn set(&self, py: Python<'_>, project: &str, key: &str, value: &str) -> PyResult<()> {
        py.detach(|| self.0.set(project, key, value)).map_err(|error| sqlite_error(py, &error))
    }

    fn delete(&self, py: Python<'_>, project: &str, key: &str) -> PyResult<()> {
        py.detach(|| self.0.delete(project, key)).map_err(|error| sqlite_error(py, &error))
    }
}

/// The exception of Python's own module, which models of the original may catch.
fn sqlite_error(py: Python<'_>, error: &DbError) -> PyErr {
    py.import("sqlite3")
        .and_then(|module| module.getattr("OperationalError")?.call1((error.to_string(),)))
        .map_or_else(|error| error, PyErr::from_value)
}
