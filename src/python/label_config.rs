//! `parse_config` for Python: turns a labelling config into the dict that user code expects.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict};
use pythonize::pythonize;

use super::errors;
use crate::labelling::config::{Dialect, UnknownDialect, parse};

/// Parses a labelling config. None and the empty string become an empty dict.
#[pyfunction]
#[pyo3(signature = (config, dialect = "tools"))]
pub(super) fn parse_config<'py>(
    py: Python<'py>,
    config: Option<&str>,
    dialect: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let dialect: Dialect = dialect
        .parse()
        .map_err(|unknown: UnknownDialect| PyValueError::new_err(unknown.to_string()))?;
    let exceptions = match dialect {
        Dialect::Tools => "label_studio_tools.core.utils.exceptions",
        Dialect::Sdk => "label_studio_sdk._extensions.label_studio_tools.core.utils.exceptions",
    };
    let Some(config) = config else {
        return Ok(PyDict::new(py).into_any());
    };
    match parse(config, dialect) {
        Ok(parsed) => Ok(pythonize(py, &parsed)?),
        Err(error) => Err(errors::label_config_error(py, &error, exceptions)),
    }
}
