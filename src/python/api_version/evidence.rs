//! Looks at a class, its module and its project for what tells the API that it is written for.

use std::collections::HashSet;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::V1_INIT_APP;
use crate::wire::api_version::ApiVersion;

/// A method's parameters after `self`.
pub(super) struct Signature {
    /// Named parameters in order.
    pub(super) names: Vec<String>,
    /// Whether the first of them stands behind `*args`, so that it is not what is passed first.
    pub(super) args_first: bool,
    /// Named parameters without a default.
    pub(super) required: usize,
    pub(super) takes_any: bool,
}

/// What speaks for one API or the other.
pub(super) struct Evidence {
    pub(super) explicit: Option<ApiVersion>,
    pub(super) helper: bool,
    pub(super) fit: Option<Signature>,
    pub(super) init: Option<Signature>,
    pub(super) predict: Option<Signature>,
    pub(super) setup: Option<Signature>,
    /// Names that the methods use for attributes and globals, and that the class does not make itself.
    pub(super) names: HashSet<String>,
    /// Those of them that are read from `self`.
    pub(super) self_names: HashSet<String>,
    /// Words in the code of the constructor: keys that it reads from `**kwargs`, arguments that it passes.
    pub(super) init_texts: HashSet<String>,
    /// Imports of names that one API has, with their weight.
    pub(super) imports: Vec<(ApiVersion, u32, String)>,
    /// Requirements of a release that has one API.
    pub(super) pins: Vec<(ApiVersion, String)>,
    pub(super) model_response: bool,
    pub(super) init_app: bool,
}

pub(super) fn gather(class: &Bound<'_, PyType>, init_app: &[String]) -> PyResult<Evidence> {
    let py = class.py();
    let own = own_members(class)?;
    let looks = py.import("label_studio_ml._inspect.api_evidence")?;
    let (mut names, mut self_names, mut made) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (_, member) in own.iter() {
        if let Some(function) = function(py, &member)? {
            let code = function.getattr("__code__")?;
            code_names(&code, &mut names)?;
            let (read, assigned): (Vec<String>, Vec<String>) =
                looks.call_method1("attributes", (code,))?.extract()?;
            self_names.extend(read);
            made.extend(assigned);
        }
    }
    // A name that a class defines or assigns itself is its own, and not evidence.
    for name in own.keys() {
        made.insert(name.to_string());
    }
    names.retain(|name| !made.contains(name));
    self_names.retain(|name| !made.contains(name));
    let signature = |name: &str| -> PyResult<Option<Signature>> {
        match own.get_item(name)? {
            Some(member) => function(py, &member)?.map(|f| read_signature(&f)).transpose(),
            None => Ok(None),
        }
    };
    let init_texts = match own.get_item("__init__")?.map(|init| function(py, &init)).transpose()? {
        Some(Some(init)) => looks.call_method1("texts", (init.getattr("__code__")?,))?.extract()?,
        _ => HashSet::new(),
    };
    let explicit = class.getattr("LABEL_STUDIO_ML_API").and_then(|value| value.extract::<u8>());
    let classes: Vec<Bound<'_, PyAny>> = own_classes(class).collect();
    let model_response = py
        .import("sys")?
        .getattr("modules")?
        .call_method1("get", (class.getattr("__module__")?,))?
        .hasattr("ModelResponse")?;
    let imports: Vec<(u8, u32, String)> =
        looks.call_method1("imports", (&classes, names.iter().collect::<Vec<_>>()))?.extract()?;
    let pins: Vec<(u8, String)> = looks.call_method1("pins", (&classes,))?.extract()?;
    Ok(Evidence {
        explicit: explicit.ok().and_then(|version| version.try_into().ok()),
        helper: class.mro().iter().any(|class| module_of(&class) == "label_studio_ml.helpers"),
        fit: signature("fit")?,
        init: signature("__init__")?,
        predict: signature("predict")?,
        setup: signature("setup")?,
        names,
        self_names,
        init_texts,
        imports: imports
            .into_iter()
            .filter_map(|(api, weight, name)| Some((api.try_into().ok()?, weight, name)))
            .collect(),
        pins: pins.into_iter().filter_map(|(api, pin)| Some((api.try_into().ok()?, pin))).collect(),
        model_response,
        init_app: init_app.iter().any(|name| V1_INIT_APP.contains(&name.as_str())),
    })
}

/// The class and its bases, except those of this package and `object`.
fn own_classes<'py>(class: &Bound<'py, PyType>) -> impl Iterator<Item = Bound<'py, PyAny>> {
    let object = class.py().get_type::<PyAny>();
    class
        .mro()
        .iter()
        .filter(move |class| !is_of_this_package(class) && !class.is(&object))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Members of the class and of its bases, except those of the base class of this package.
fn own_members<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyDict>> {
    let own = PyDict::new(class.py());
    let classes: Vec<Bound<'py, PyAny>> = own_classes(class).collect();
    for class in classes.iter().rev() {
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

/// The plain function behind a member, if there is one.
fn function<'py>(
    py: Python<'py>,
    member: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let inspect = py.import("inspect")?;
    let member = match member.getattr("__func__") {
        Ok(function) => function,
        // The function behind a property.
        Err(_) => match member.getattr("fget") {
            Ok(getter) if !getter.is_none() => getter,
            _ => member.clone(),
        },
    };
    if !inspect.call_method1("isfunction", (&member,))?.is_truthy()? {
        return Ok(None);
    }
    let plain = inspect.call_method1("unwrap", (member,))?;
    // A decorator may stand for something that is not a function.
    Ok(inspect.call_method1("isfunction", (&plain,))?.is_truthy()?.then_some(plain))
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
    let mut signature =
        Signature { names: Vec::new(), args_first: false, required: 0, takes_any: false };
    let parameters = inspect
        .call_method1("signature", (function,))?
        .getattr("parameters")?
        .call_method0("values")?;
    for (place, parameter) in parameters.try_iter()?.enumerate() {
        let parameter = parameter?;
        let kind = parameter.getattr("kind")?;
        if kind.eq(&any_keyword)? {
            signature.takes_any = true;
        } else if kind.eq(&any_positional)? {
            signature.args_first = signature.names.is_empty();
        } else if place > 0 {
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
