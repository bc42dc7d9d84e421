//! `self.get` and `self.set` of user code where no server keeps the values: `cache.db` itself.
//!
//! Called by `label_studio_ml.cache.SqliteCache`.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::store::db::DbError;
use crate::store::keys::KeyFile as StoredKeys;

/// The file of values at a path, which several processes may use at once.
#[pyclass(frozen, module = "label_studio_ml._native")]
pub(super) struct KeyFile(StoredKeys);

#[pymethods]
impl KeyFile {
    #[new]
    fn new(path: PathBuf) -> Self {
        Self(StoredKeys::new(path))
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

/// What Python's own module would raise, which models of the original may catch.
fn sqlite_error(py: Python<'_>, error: &DbError) -> PyErr {
    py.import("sqlite3")
        .and_then(|module| module.getattr("OperationalError")?.call1((error.to_string(),)))
        .map_or_else(|error| error, PyErr::from_value)
}
