//! Detects for which version of the API a class is written.
//!
//! API v1 and v2 share the name of the base class and little else: they construct, train and version
//! models differently. The evidence is in the class itself: its signatures, and names in its code that
//! only one of them offers. The first match wins, from hard evidence to soft.

use std::collections::HashSet;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::wire::api_version::ApiVersion::{self, V1, V2};

/// Names that only the base class of API v2 offers.
const V2_ONLY: [&str; 8] = [
    "label_interface",
    "get_first_tag_occurence",
    "preload_task_data",
    "bump_model_version",
    "extra_params",
    "set_extra_params",
    "use_label_config",
    "build_label_map",
];
/// Names that only the base class of API v1 offers. `hostname` is too common a word.
const V1_ONLY: [&str; 1] = ["train_output"];
/// What models of API v1 call the first parameter of `fit`.
const V1_FIT: [&str; 5] = ["completions", "tasks", "annotations", "items", "data_iter"];
/// Arguments of `init_app` that only a `_wsgi.py` of API v1 passes.
const V1_INIT_APP: [&str; 4] = ["model_dir", "redis_queue", "redis_host", "redis_port"];

/// The version of the API, and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DetectedApi {
    pub(super) version: ApiVersion,
    pub(super) reason: String,
}

/// A method's parameters after `self`.
struct Signature {
    /// Named parameters in order.
    names: Vec<String>,
    /// Named parameters without a default.
    required: usize,
    takes_any: bool,
}

struct Evidence {
    explicit: Option<ApiVersion>,
    helper: bool,
    fit: Option<Signature>,
    init: Option<Signature>,
    predict: Option<Signature>,
    setup: Option<Signature>,
    names: HashSet<String>,
    model_response: bool,
    init_app: bool,
}

/// Returns the API version of a class and the reason, `(1 or 2, reason)`. `init_app` names the arguments
/// that its `_wsgi.py` passed to `init_app`.
#[pyfunction]
#[pyo3(signature = (class, init_app = Vec::new()))]
#[expect(clippy::needless_pass_by_value, reason = "a Python list can only be extracted as a whole")]
pub(super) fn detect_api_version(
    class: &Bound<'_, PyType>,
    init_app: Vec<String>,
) -> PyResult<(u8, String)> {
    let verdict = detect(class, &init_app)?;
    Ok((verdict.version.into(), verdict.reason))
}

/// Looks at a class, and at the names of the arguments that its `_wsgi.py` passed to `init_app`.
pub(super) fn detect(class: &Bound<'_, PyType>, init_app: &[String]) -> PyResult<DetectedApi> {
    Ok(decide(&gather(class, init_app)?))
}

fn decide(evidence: &Evidence) -> DetectedApi {
    let verdict = |version, reason: &str| DetectedApi { version, reason: reason.to_owned() };
    if let Some(version) = evidence.explicit {
        return verdict(version, "the class says LABEL_STUDIO_ML_API");
    }
    if let Some(fit) = &evidence.fit
        && fit.names.iter().take(2).eq(["event", "data"])
    {
        return verdict(V2, "fit(event, data, ...)");
    }
    if evidence.init.as_ref().is_some_and(|init| init.has("project_id")) {
        return verdict(V2, "__init__ takes project_id");
    }
    if evidence.helper {
        return verdict(V1, "it extends a class of label_studio_ml.helpers");
    }
    if let Some(fit) = &evidence.fit
        && (fit.has("workdir") || fit.names.first().is_some_and(|n| V1_FIT.contains(&n.as_str())))
    {
        let shown = fit.names.iter().take(2).cloned().collect::<Vec<_>>().join(", ");
        return verdict(V1, &format!("fit({shown}, ...)"));
    }
    if evidence.init.as_ref().is_some_and(|init| init.has("train_output")) {
        return verdict(V1, "__init__ takes train_output");
    }
    if evidence.init_app {
        return verdict(V1, "its _wsgi.py passes model_dir or redis_… to init_app");
    }
    let used =
        |names: &[&'static str]| names.iter().find(|name| evidence.names.contains(**name)).copied();
    let (of_v1, of_v2) = (used(&V1_ONLY), used(&V2_ONLY));
    if evidence.setup.as_ref().is_some_and(|setup| setup.required == 0) && of_v1.is_none() {
        return verdict(V2, "it overrides setup(self)");
    }
    match (of_v1, of_v2) {
        (Some(name), None) => return verdict(V1, &format!("it uses self.{name}")),
        (None, Some(name)) => return verdict(V2, &format!("it uses self.{name}")),
        _ => {}
    }
    if evidence.predict.as_ref().is_some_and(|predict| predict.has("context")) {
        return verdict(V2, "predict(..., context, ...)");
    }
    if evidence.model_response {
        return verdict(V2, "its module uses ModelResponse");
    }
    if evidence.init.as_ref().is_some_and(|init| init.takes_any) && evidence.setup.is_none() {
        return verdict(V1, "__init__(**kwargs) without project_id, and no setup()");
    }
    verdict(V2, "nothing in it points to API v1")
}

impl Signature {
    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
}

fn gather(class: &Bound<'_, PyType>, init_app: &[String]) -> PyResult<Evidence> {
    let py = class.py();
    let own = own_members(class)?;
    let (mut names, mut assigned) = (HashSet::new(), HashSet::new());
    for (_, member) in own.iter() {
        if let Some(function) = function(py, &member)? {
            let code = function.getattr("__code__")?;
            code_names(&code, &mut names)?;
            assigned_names(&code, &mut assigned)?;
        }
    }
    // A name that a class defines or assigns itself is its own, and not evidence.
    for name in own.keys() {
        names.remove(&name.to_string());
    }
    names.retain(|name| !assigned.contains(name));
    let signature = |name: &str| -> PyResult<Option<Signature>> {
        match own.get_item(name)? {
            Some(member) => function(py, &member)?.map(|f| read_signature(&f)).transpose(),
            None => Ok(None),
        }
    };
    let explicit = class.getattr("LABEL_STUDIO_ML_API").and_then(|value| value.extract::<u8>());
    let module = class.getattr("__module__")?;
    let model_response = py
        .import("sys")?
        .getattr("modules")?
        .call_method1("get", (module,))?
        .hasattr("ModelResponse")?;
    Ok(Evidence {
        explicit: explicit.ok().and_then(|version| version.try_into().ok()),
        helper: class.mro().iter().any(|class| is_helper(&class)),
        fit: signature("fit")?,
        init: signature("__init__")?,
        predict: signature("predict")?,
        setup: signature("setup")?,
        names,
        model_response,
        init_app: init_app.iter().any(|name| V1_INIT_APP.contains(&name.as_str())),
    })
}

/// Members of the class and of its bases, except those of the base class of this package.
fn own_members<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyDict>> {
    let own = PyDict::new(class.py());
    let classes: Vec<Bound<'py, PyAny>> = class.mro().iter().collect();
    for class in classes.iter().rev() {
        if is_of_this_package(class) || class.is(class.py().get_type::<PyAny>()) {
            continue;
        }
        for pair in class.getattr("__dict__")?.call_method0("items")?.try_iter()? {
            let (name, member): (Bound<'py, PyAny>, Bound<'py, PyAny>) = pair?.extract()?;
            own.set_item(name, member)?;
        }
    }
    Ok(own)
}

fn module_of(class: &Bound<'_, PyAny>) -> String {
    class.getattr("__module__").and_then(|name| name.extract()).unwrap_or_default()
}

fn is_of_this_package(class: &Bound<'_, PyAny>) -> bool {
    let module = module_of(class);
    module == "label_studio_ml"
        || module.starts_with("label_studio_ml.model")
        || module.starts_with("label_studio_ml._")
}

fn is_helper(class: &Bound<'_, PyAny>) -> bool {
    module_of(class) == "label_studio_ml.helpers"
}

/// The plain function behind a member, if there is one.
fn function<'py>(
    py: Python<'py>,
    member: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let inspect = py.import("inspect")?;
    let member = match member.getattr("__func__") {
        Ok(function) => function,
        Err(_) => member.clone(),
    };
    if !inspect.call_method1("isfunction", (&member,))?.is_truthy()? {
        return Ok(None);
    }
    inspect.call_method1("unwrap", (member,)).map(Some)
}

fn read_signature(function: &Bound<'_, PyAny>) -> PyResult<Signature> {
    let py = function.py();
    let inspect = py.import("inspect")?;
    let parameter = inspect.getattr("Parameter")?;
    let (any_keyword, any_positional, empty) = (
        parameter.getattr("VAR_KEYWORD")?,
        parameter.getattr("VAR_POSITIONAL")?,
        parameter.getattr("empty")?,
    );
    let mut signature = Signature { names: Vec::new(), required: 0, takes_any: false };
    let parameters = inspect
        .call_method1("signature", (function,))?
        .getattr("parameters")?
        .call_method0("values")?;
    for parameter in parameters.try_iter()?.skip(1) {
        let parameter = parameter?;
        let kind = parameter.getattr("kind")?;
        if kind.eq(&any_keyword)? {
            signature.takes_any = true;
        } else if !kind.eq(&any_positional)? {
            signature.names.push(parameter.getattr("name")?.extract()?);
            signature.required += usize::from(parameter.getattr("default")?.is(&empty));
        }
    }
    Ok(signature)
}

/// Names of attributes and globals that a function and the functions inside it use.
fn code_names(code: &Bound<'_, PyAny>, names: &mut HashSet<String>) -> PyResult<()> {
    names.extend(code.getattr("co_names")?.extract::<Vec<String>>()?);
    for constant in code.getattr("co_consts")?.cast::<PyTuple>()?.iter() {
        if constant.hasattr("co_names")? {
            code_names(&constant, names)?;
        }
    }
    Ok(())
}

/// Names of attributes that a function and the functions inside it assign.
fn assigned_names(code: &Bound<'_, PyAny>, names: &mut HashSet<String>) -> PyResult<()> {
    let instructions = code.py().import("dis")?.call_method1("get_instructions", (code,))?;
    for instruction in instructions.try_iter()? {
        let instruction = instruction?;
        if instruction.getattr("opname")?.eq("STORE_ATTR")? {
            names.insert(instruction.getattr("argval")?.extract()?);
        }
    }
    for constant in code.getattr("co_consts")?.cast::<PyTuple>()?.iter() {
        if constant.hasattr("co_names")? {
            assigned_names(&constant, names)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
