//! For which generation of the API is a class written?
//!
//! The two generations share a base class by name and little else: they construct, train and
//! version differently. The evidence is in the class itself: its signatures, and the names that
//! its code uses and only one generation offers. First match wins, from hard evidence to soft.

use std::collections::HashSet;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

/// Names that only the base class of the second generation offers.
const SECOND_ONLY: [&str; 8] = [
    "label_interface",
    "get_first_tag_occurence",
    "preload_task_data",
    "bump_model_version",
    "extra_params",
    "set_extra_params",
    "use_label_config",
    "build_label_map",
];
/// Names that only the base class of the first generation offers. `hostname` is too common a word.
const FIRST_ONLY: [&str; 1] = ["train_output"];
/// What first-generation models call the first parameter of `fit`.
const FIRST_FIT: [&str; 5] = ["completions", "tasks", "annotations", "items", "data_iter"];
/// Arguments of `init_app` in a first-generation `_wsgi.py`.
const FIRST_INIT_APP: [&str; 4] = ["model_dir", "redis_queue", "redis_host", "redis_port"];

/// A generation and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) generation: u8,
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
    explicit: Option<u8>,
    helper: bool,
    fit: Option<Signature>,
    init: Option<Signature>,
    predict: Option<Signature>,
    setup: Option<Signature>,
    names: HashSet<String>,
    model_response: bool,
    init_app: bool,
}

/// The generation of a class, `(1 or 2, reason)`; `init_app` are names of arguments that its
/// `_wsgi.py` gave to that.
#[pyfunction]
#[pyo3(signature = (class, init_app = Vec::new()))]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a list of Python's can only be taken as a whole"
)]
pub(super) fn detect_generation(
    class: &Bound<'_, PyType>,
    init_app: Vec<String>,
) -> PyResult<(u8, String)> {
    let verdict = detect(class, &init_app)?;
    Ok((verdict.generation, verdict.reason))
}

/// Looks at a class, and at the names of the arguments that its `_wsgi.py` gave to `init_app`.
pub(super) fn detect(class: &Bound<'_, PyType>, init_app: &[String]) -> PyResult<Verdict> {
    Ok(decide(&gather(class, init_app)?))
}

fn decide(evidence: &Evidence) -> Verdict {
    let verdict = |generation: u8, reason: &str| Verdict { generation, reason: reason.to_owned() };
    if let Some(generation) = evidence.explicit {
        return verdict(generation, "the class says LABEL_STUDIO_ML_API");
    }
    if let Some(fit) = &evidence.fit
        && fit.names.iter().take(2).eq(["event", "data"])
    {
        return verdict(2, "fit(event, data, ...)");
    }
    if evidence.init.as_ref().is_some_and(|init| init.has("project_id")) {
        return verdict(2, "__init__ takes project_id");
    }
    if evidence.helper {
        return verdict(1, "it extends a class of label_studio_ml.helpers");
    }
    if let Some(fit) = &evidence.fit
        && (fit.has("workdir")
            || fit.names.first().is_some_and(|n| FIRST_FIT.contains(&n.as_str())))
    {
        let shown = fit.names.iter().take(2).cloned().collect::<Vec<_>>().join(", ");
        return verdict(1, &format!("fit({shown}, ...)"));
    }
    if evidence.init.as_ref().is_some_and(|init| init.has("train_output")) {
        return verdict(1, "__init__ takes train_output");
    }
    if evidence.init_app {
        return verdict(1, "its _wsgi.py gives model_dir or redis_… to init_app");
    }
    let used =
        |names: &[&'static str]| names.iter().find(|name| evidence.names.contains(**name)).copied();
    let (first, second) = (used(&FIRST_ONLY), used(&SECOND_ONLY));
    if evidence.setup.as_ref().is_some_and(|setup| setup.required == 0) && first.is_none() {
        return verdict(2, "it overrides setup(self)");
    }
    match (first, second) {
        (Some(name), None) => return verdict(1, &format!("it uses self.{name}")),
        (None, Some(name)) => return verdict(2, &format!("it uses self.{name}")),
        _ => {}
    }
    if evidence.predict.as_ref().is_some_and(|predict| predict.has("context")) {
        return verdict(2, "predict(..., context, ...)");
    }
    if evidence.model_response {
        return verdict(2, "its module uses ModelResponse");
    }
    if evidence.init.as_ref().is_some_and(|init| init.takes_any) && evidence.setup.is_none() {
        return verdict(1, "__init__(**kwargs) without project_id, and no setup()");
    }
    verdict(2, "nothing speaks for the older one")
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
    // What a class defines or assigns itself is its own, and no evidence.
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
        explicit: explicit.ok().filter(|generation| matches!(generation, 1 | 2)),
        helper: class.mro().iter().any(|class| is_helper(&class)),
        fit: signature("fit")?,
        init: signature("__init__")?,
        predict: signature("predict")?,
        setup: signature("setup")?,
        names,
        model_response,
        init_app: init_app.iter().any(|name| FIRST_INIT_APP.contains(&name.as_str())),
    })
}

/// Members of the class and of its bases, as far as they are not the base class of this package.
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
