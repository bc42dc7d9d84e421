//! The user's class after its import: makes instances and calls them.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyType};

use super::errors::model_error;
use super::instances::{InstanceSlot, thread_instance};
use super::{flask_request, json_in, logs};
use crate::labelling::config::{Dialect, parse};
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::{ModelError, ModelErrorKind};
use crate::worker::host::{HttpRequest, KnownModel};

/// The class, and how it is called.
pub(super) struct UserClass {
    pub(super) class: Py<PyType>,
    pub(super) init_kwargs: Py<PyDict>,
    pub(super) api: ApiVersion,
    /// Names of the constructor's parameters; None if it takes any keyword.
    pub(super) accepts: Option<Vec<String>>,
    /// API v2: every request gets an instance of its own.
    pub(super) fresh: bool,
}

/// Keeps the version that a class of API v2 says itself, if it does, as the one of the project.
pub(super) fn note_own_version(instance: &Bound<'_, PyAny>) -> PyResult<()> {
    let version = instance.py().import("label_studio_ml._v2.version")?;
    version.call_method1("note_own", (instance,)).map(drop)
}

impl UserClass {
    /// Makes an instance. The request that user code sees is the newest /setup of the project, else
    /// `request`.
    pub(super) fn construct(
        &self,
        py: Python<'_>,
        slot: &InstanceSlot,
        request: Option<&HttpRequest>,
    ) -> Result<Py<PyAny>, ModelError> {
        let model = &slot.model;
        let _scope = logs::enter(model.spec.project.as_str());
        let setup = model.setup.as_ref().filter(|_| !self.fresh);
        let made = flask_request::around(py, setup.or(request), || {
            let (spec, connection) = (&model.spec, model.spec.connection.as_ref());
            let train_output = self.train_output(py, model)?;
            let kwargs = self.kwargs(py, model, &train_output)?;
            // The instance knows all of it while it is made: its constructor may fetch files.
            let connection = connection.map(|known| (&known.hostname, &known.access_token));
            let origin = (
                self.class.bind(py),
                spec.project.as_str(),
                spec.label_config.as_deref(),
                train_output,
                &spec.version,
            );
            let instance = py
                .import("label_studio_ml._construction")?
                .call_method1("construct", (kwargs, connection, origin))?;
            if self.api == ApiVersion::V2 {
                note_own_version(&instance)?;
            }
            Ok(instance.unbind())
        });
        made.map_err(|error| {
            let label_config = model.spec.label_config.as_deref().unwrap_or_default();
            match parse(label_config, Dialect::Tools) {
                // User code may have failed for it in words of its own.
                Err(malformed) => ModelError {
                    message: malformed.to_string(),
                    ..model_error(py, &error, ModelErrorKind::ConfigMalformed)
                },
                Ok(_) if label_config.is_empty() => {
                    model_error(py, &error, ModelErrorKind::ConfigMissing)
                }
                Ok(_) => model_error(py, &error, ModelErrorKind::Construct),
            }
        })
    }

    /// The instance that answers a request.
    pub(super) fn instance(
        &self,
        py: Python<'_>,
        slot: &InstanceSlot,
        http: &HttpRequest,
    ) -> Result<Py<PyAny>, ModelError> {
        match thread_instance::get(py, slot) {
            Some(instance) => Ok(instance),
            None if self.fresh => self.construct(py, slot, Some(http)),
            None => slot.get(py, false, |slot| self.construct(py, slot, Some(http))),
        }
    }

    /// Keyword arguments for the constructor: those that the original passes, as far as the class takes
    /// them, and the user's own.
    fn kwargs<'py>(
        &self,
        py: Python<'py>,
        model: &KnownModel,
        train_output: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let spec = &model.spec;
        let kwargs = PyDict::new(py);
        if self.api == ApiVersion::V1 {
            kwargs.set_item("label_config", spec.label_config.as_deref())?;
            kwargs.set_item("train_output", train_output)?;
            if let Some(connection) = &spec.connection {
                kwargs.set_item("hostname", &connection.hostname)?;
                kwargs.set_item("access_token", &connection.access_token)?;
            }
        } else {
            kwargs.set_item("project_id", spec.project.id())?;
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

    /// What the last training returned, in API v1; None without one.
    fn train_output<'py>(
        &self,
        py: Python<'py>,
        model: &KnownModel,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.api {
            ApiVersion::V1 => json_in::value(py, &model.train_output),
            ApiVersion::V2 => Ok(py.None().into_bound(py)),
        }
    }

    pub(super) fn predict<'py>(
        &self,
        instance: &Bound<'py, PyAny>,
        tasks: &Bound<'py, PyAny>,
        params: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = instance.py();
        if self.api == ApiVersion::V1 {
            return instance.call_method(intern!(py, "predict"), (tasks,), Some(params));
        }
        if !params.contains(intern!(py, "context"))? {
            params.set_item(intern!(py, "context"), PyDict::new(py))?;
        }
        let response = instance.call_method(intern!(py, "predict"), (tasks,), Some(params))?;
        if response.is_instance_of::<PyList>() {
            return Ok(response);
        }
        // A prediction without a version gets one when it is written.
        py.import("label_studio_ml._v2.predictions")?.call_method1("of", (response,))
    }
}

/// The `params` of a request; empty if they are absent or null.
pub(super) fn params<'py>(data: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    match data.get_item(intern!(data.py(), "params"))? {
        Some(params) if !params.is_none() => Ok(params.cast_into::<PyDict>()?),
        _ => Ok(PyDict::new(data.py())),
    }
}

pub(super) fn required<'py>(data: &Bound<'py, PyDict>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    data.get_item(name)?.ok_or_else(|| pyo3::exceptions::PyKeyError::new_err(name.to_owned()))
}
