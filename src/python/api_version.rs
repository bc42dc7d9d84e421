//! Detects for which version of the API a class is written.
//!
//! API v1 and v2 share the name of the base class and little else: they construct, train and version
//! models differently. What a class takes in `fit` and in its constructor decides alone. Where that says
//! nothing, the rest is weighed: what the class uses, what its module imports, what its project requires,
//! and what its `_wsgi.py` passes on. The stronger side wins; API v2 does where both are equal.

mod evidence;

use pyo3::prelude::*;
use pyo3::types::PyType;

use self::evidence::{Evidence, Signature, gather};
use crate::wire::api_version::ApiVersion::{self, V1, V2};
use crate::wire::api_version::verdict;

/// Names that only the base class of one API ever offered, and what the use of each weighs. A short name may
/// mean something else, so it weighs less; it counts only where it is read from `self`.
const NAMES: [(&str, ApiVersion, u32); 18] = [
    ("label_interface", V2, 5),
    ("get_first_tag_occurence", V2, 5),
    ("get_first_tag_occurrence", V2, 5),
    ("preload_task_data", V2, 5),
    ("bump_model_version", V2, 5),
    ("extra_params", V2, 5),
    ("set_extra_params", V2, 5),
    ("use_label_config", V2, 5),
    ("build_label_map", V2, 5),
    ("get_label_studio_access_token", V2, 5),
    ("INITIAL_MODEL_VERSION", V2, 5),
    ("project_id", V2, 2),
    ("model_version", V2, 2),
    ("get", V2, 2),
    ("set", V2, 2),
    ("has", V2, 2),
    ("train_output", V1, 5),
    ("access_token", V1, 2),
];
/// From this weight on a name counts wherever it is used, not only as an attribute of `self`.
const UNMISTAKABLE: u32 = 5;
/// Arguments that only one API ever gave to the constructor, named in it or read from its `**kwargs`.
const CONSTRUCTOR: [(&str, ApiVersion, u32); 4] =
    [("project_id", V2, 5), ("train_output", V1, 5), ("access_token", V1, 2), ("hostname", V1, 1)];
/// What models of API v1 call the first parameter of `fit`.
const V1_FIT: [&str; 5] = ["completions", "tasks", "annotations", "items", "data_iter"];
/// What models of API v2 call the first parameter of `fit`.
const V2_FIT: [&str; 2] = ["event", "action"];
/// Arguments of `init_app` that only a `_wsgi.py` of API v1 passes.
const V1_INIT_APP: [&str; 4] = ["model_dir", "redis_queue", "redis_host", "redis_port"];

/// The version of the API, and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DetectedApi {
    pub(super) version: ApiVersion,
    pub(super) reason: String,
}

/// Something that speaks for a version, and how strongly.
type Piece = (ApiVersion, u32, String);

/// Returns the API version of a class and the reason, `(1 or 2, reason)`. `init_app` names the arguments
/// that its `_wsgi.py` passed to `init_app`.
#[pyfunction]
#[pyo3(signature = (class, init_app = Vec::new()))]
#[expect(clippy::needless_pass_by_value, reason = "a Python list can only be extracted as a whole")]
pub(super) fn detect_api_version(
    class: &Bound<'_, PyType>,
    init_app: Vec<String>,
) -> PyResult<(u8, String)> {
    let detected = detect(class, &init_app)?;
    Ok((detected.version.into(), detected.reason))
}

/// Returns what users are told of a verdict: the name of the class, the version and the reason.
#[pyfunction]
pub(super) fn api_verdict(name: &str, version: u8, reason: &str) -> PyResult<String> {
    let version = ApiVersion::try_from(version)
        .map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))?;
    Ok(verdict(name, version, reason))
}

/// Looks at a class, and at the names of the arguments that its `_wsgi.py` passed to `init_app`.
pub(super) fn detect(class: &Bound<'_, PyType>, init_app: &[String]) -> PyResult<DetectedApi> {
    Ok(decide(&gather(class, init_app)?))
}

fn decide(evidence: &Evidence) -> DetectedApi {
    let decisive = decisive(evidence).map(|(version, reason)| DetectedApi { version, reason });
    decisive.unwrap_or_else(|| weigh(&pieces(evidence)))
}

/// What decides alone, from hard to less hard.
fn decisive(evidence: &Evidence) -> Option<(ApiVersion, String)> {
    if let Some(version) = evidence.explicit {
        return Some((version, "the class says LABEL_STUDIO_ML_API".into()));
    }
    let (fit, init) = (evidence.fit.as_ref(), evidence.init.as_ref());
    if let Some(fit) = fit.filter(|fit| fit.begins_with(&V2_FIT)) {
        return Some((V2, fit.shown("fit")));
    }
    if init.is_some_and(|init| init.has("project_id")) {
        return Some((V2, "__init__ takes project_id".into()));
    }
    if evidence.helper {
        return Some((V1, "it extends a class of label_studio_ml.helpers".into()));
    }
    if let Some(fit) = fit.filter(|fit| fit.has("workdir") || fit.begins_with(&V1_FIT)) {
        return Some((V1, fit.shown("fit")));
    }
    init.is_some_and(|init| init.has("train_output"))
        .then(|| (V1, "__init__ takes train_output".into()))
}

/// What speaks for one version or the other, without deciding alone.
fn pieces(evidence: &Evidence) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut say = |version, weight, reason: String| pieces.push((version, weight, reason));
    if evidence.init_app {
        say(V1, 8, "its _wsgi.py passes model_dir or redis_… to init_app".into());
    }
    for (name, version, weight) in NAMES {
        let used = if weight >= UNMISTAKABLE { &evidence.names } else { &evidence.self_names };
        if used.contains(name) {
            say(version, weight, format!("it uses self.{name}"));
        }
    }
    for (name, version, weight) in CONSTRUCTOR {
        let is_named = evidence.init.as_ref().is_some_and(|init| init.has(name));
        if is_named || evidence.init_texts.contains(name) {
            say(version, weight, format!("__init__ uses {name}"));
        }
    }
    if evidence.setup.as_ref().is_some_and(|setup| setup.required == 0) {
        say(V2, 4, "it overrides setup(self)".into());
    }
    if evidence.model_response {
        say(V2, 3, "its module uses ModelResponse".into());
    }
    for (version, weight, name) in &evidence.imports {
        say(*version, *weight, format!("its module imports {name}"));
    }
    for (version, requirement) in &evidence.pins {
        say(*version, 3, format!("its project requires {requirement}"));
    }
    if evidence.predict.as_ref().is_some_and(|predict| predict.has("context")) {
        say(V2, 2, "predict(..., context, ...)".into());
    }
    if evidence.init.as_ref().is_some_and(|init| init.takes_any) && evidence.setup.is_none() {
        say(V1, 1, "__init__(**kwargs) without project_id, and no setup()".into());
    }
    pieces
}

/// The side with more weight, and the strongest piece on it.
fn weigh(pieces: &[Piece]) -> DetectedApi {
    let sum = |side| -> u32 {
        pieces.iter().filter(|(version, ..)| *version == side).map(|(_, weight, _)| weight).sum()
    };
    let (of_v1, of_v2) = (sum(V1), sum(V2));
    let version = if of_v1 > of_v2 { V1 } else { V2 };
    // Of equally strong pieces the first.
    let strongest = pieces
        .iter()
        .rev()
        .filter(|(side, ..)| *side == version)
        .max_by_key(|(_, weight, _)| weight);
    let reason = match strongest {
        Some(_) if of_v1 == of_v2 => "as much in it points to API v1 as to API v2",
        Some((.., reason)) => reason,
        None => "nothing in it points to API v1",
    };
    DetectedApi { version, reason: reason.to_owned() }
}

impl Signature {
    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Whether the first parameter has one of these names.
    fn begins_with(&self, names: &[&str]) -> bool {
        let first = self.names.first().filter(|_| !self.args_first);
        first.is_some_and(|first| names.contains(&first.as_str()))
    }

    fn shown(&self, function: &str) -> String {
        let shown = self.names.iter().take(2).cloned().collect::<Vec<_>>().join(", ");
        format!("{function}({shown}, ...)")
    }
}

#[cfg(test)]
mod tests;
