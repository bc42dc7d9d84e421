//! Secrets of the server that user code has only while it is imported.
//!
//! A `_wsgi.py` may read its password from the environment. Afterwards the variables are gone, so that
//! nothing that the model prints, sends or starts has them.

use pyo3::prelude::*;

use super::{ImportResult, raised};
use crate::wire::protocol::Configure;
use crate::workers::process::SECRETS;

/// Runs `import` with the secrets of `configure` in the environment. None of the names is in it afterwards,
/// also if a file set it itself, and no password is in `sys.argv`.
pub(super) fn lend<T>(
    py: Python<'_>,
    configure: &Configure,
    import: impl FnOnce() -> ImportResult<T>,
) -> ImportResult<T> {
    put(py, configure).map_err(|error| raised(py, configure, &error))?;
    let imported = import();
    take_back(py, configure).map_err(|error| raised(py, configure, &error))?;
    imported
}

fn put(py: Python<'_>, configure: &Configure) -> PyResult<()> {
    let environment = py.import("os")?.getattr("environ")?;
    for (name, value) in &configure.secrets.0 {
        environment.set_item(name, value)?;
    }
    Ok(())
}

fn take_back(py: Python<'_>, configure: &Configure) -> PyResult<()> {
    if !configure.arguments.is_empty() {
        py.import("label_studio_ml._program.arguments")?.call_method0("forget_password")?;
    }
    let os = py.import("os")?;
    for name in SECRETS {
        os.getattr("environ")?.call_method1("pop", (name, py.None()))?;
        // User code may have changed the environment past Python's copy of it.
        os.call_method1("unsetenv", (name,))?;
    }
    Ok(())
}
