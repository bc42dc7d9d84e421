//! What predictions may say under a labelling config, in the form in which the check looks it up.
//!
//! In: a parsed labelling config. Out: for the `from_name` of a region the rules of its control
//! tag.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use super::display::choice;
use super::shape::{ControlKind, RegionKind};
use crate::labelling::config::{ControlTag, Dialect, LabelConfig, LabelConfigError, parse};

/// What predictions for one labelling config may say.
#[derive(Debug)]
pub struct Rules {
    controls: IndexMap<String, ControlRules>,
    /// Control tags within a Repeater: parts of their name stand for numbers.
    repeated: Vec<(Pattern, String)>,
}

/// What regions of one control tag may say.
#[derive(Debug)]
pub(super) struct ControlRules {
    pub(super) name: String,
    /// As written, `RectangleLabels`.
    pub(super) tag: String,
    pub(super) tool: ControlKind,
    /// How the region lies in what the object tag shows.
    pub(super) region: RegionKind,
    to_name: Vec<Pattern>,
    /// None if labels come from the task or a server.
    labels: Option<HashSet<String>>,
    /// In the order of the labelling config, for messages.
    label_order: Vec<String>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    /// A `DateTime` that writes dates in full.
    pub(super) iso_date: bool,
}

/// A name in which the variables of a Repeater stand for any text.
#[derive(Debug)]
struct Pattern {
    /// What is between the variables; one part if there is none.
    parts: Vec<String>,
}

impl Pattern {
    fn new(name: &str, variables: &[String]) -> Self {
        let mut parts = vec![name.to_owned()];
        for variable in variables.iter().filter(|variable| !variable.is_empty()) {
            parts = parts
                .iter()
                .flat_map(|part| part.split(variable.as_str()).map(str::to_owned))
                .collect();
        }
        Self { parts }
    }

    fn matches(&self, text: &str) -> bool {
        let (first, rest) = match self.parts.split_first() {
            Some((first, [])) => return first == text,
            Some((first, rest)) => (first, rest),
            None => return false,
        };
        let Some(mut left) = text.strip_prefix(first.as_str()) else { return false };
        let Some((last, between)) = rest.split_last() else { return false };
        for part in between {
            match left.split_once(part.as_str()) {
                Some((_, after)) => left = after,
                None => return false,
            }
        }
        left.ends_with(last.as_str())
    }
}

impl Rules {
    /// The rules for a labelling config.
    pub fn parse(label_config: &str) -> Result<Self, LabelConfigError> {
        parse(label_config, Dialect::Sdk).map(|config| Self::new(&config))
    }

    pub fn new(config: &LabelConfig) -> Self {
        let labels_on = labels_by_object(config);
        let mut controls = IndexMap::with_capacity(config.len());
        let mut repeated = Vec::new();
        for (name, control) in config.iter() {
            if !control.variables().is_empty() {
                repeated.push((Pattern::new(name, control.variables()), name.to_owned()));
            }
            controls.insert(name.to_owned(), ControlRules::new(name, control, &labels_on));
        }
        Self { controls, repeated }
    }

    /// The control tag that a `from_name` means.
    pub(super) fn control(&self, from_name: &str) -> Option<&ControlRules> {
        self.controls.get(from_name).or_else(|| {
            let (_, name) = self.repeated.iter().find(|(name, _)| name.matches(from_name))?;
            self.controls.get(name)
        })
    }

    /// The names of all control tags, as a message lists them.
    pub(super) fn names(&self) -> String {
        choice(self.controls.keys().map(String::as_str))
    }
}

/// The labels that regions of each object tag can have: a `VideoRectangle` draws for the labels of
/// a `Labels` tag beside it.
type LabelsByObject<'a> = HashMap<&'a str, Option<Vec<&'a str>>>;

fn labels_by_object(config: &LabelConfig) -> LabelsByObject<'_> {
    let mut by_object = LabelsByObject::new();
    for (_, control) in config.iter().filter(|(_, control)| control.tag() == "Labels") {
        for object in control.to_name() {
            let known = by_object.entry(object.as_str()).or_insert_with(|| Some(Vec::new()));
            match known {
                Some(labels) if !control.has_dynamic_labels() => labels.extend(names_of(control)),
                known => *known = None,
            }
        }
    }
    by_object
}

/// Both names of each label: Label Studio writes the alias and takes the value as well.
fn names_of(control: &ControlTag) -> impl Iterator<Item = &str> {
    control.labels().flat_map(|label| {
        let value = control.label_attribute(label, "value").filter(|value| *value != label);
        std::iter::once(label).chain(value)
    })
}

impl ControlRules {
    fn new(name: &str, control: &ControlTag, labels_on: &LabelsByObject<'_>) -> Self {
        let tool = ControlKind::of(control.tag());
        let object = control.objects().next().map(|object| object.tag().to_owned());
        let mut label_order: Vec<String> = names_of(control).map(str::to_owned).collect();
        let mut is_open = control.has_dynamic_labels() || label_order.is_empty();
        if is_open && tool == ControlKind::VideoRectangle {
            let of_object = control.to_name().first().and_then(|name| labels_on.get(name.as_str()));
            if let Some(Some(labels)) = of_object {
                label_order = labels.iter().map(|label| (*label).to_owned()).collect();
                is_open = false;
            }
        }
        let number = |attribute| control.attribute(attribute)?.trim().parse().ok();
        let (min, max) = match tool {
            ControlKind::Rating => (Some(0.0), Some(number("maxRating").unwrap_or(5.0))),
            ControlKind::Number => (number("min"), number("max")),
            _ => (None, None),
        };
        Self {
            name: name.to_owned(),
            tag: control.tag().to_owned(),
            tool,
            region: tool.region(object.as_deref()),
            to_name: control
                .to_name()
                .iter()
                .map(|name| Pattern::new(name.trim(), control.variables()))
                .collect(),
            labels: (!is_open).then(|| label_order.iter().cloned().collect()),
            label_order,
            min,
            max,
            iso_date: control.attribute("format").is_none()
                && control.attribute("only").is_none_or(|only| only.contains("date")),
        }
    }

    pub(super) fn points_to(&self, to_name: &str) -> bool {
        self.to_name.iter().any(|name| name.matches(to_name))
    }

    /// The object tags that the control tag points to, as a message lists them.
    pub(super) fn objects(&self) -> String {
        choice(self.to_name.iter().filter_map(|name| name.parts.first().map(String::as_str)))
    }

    pub(super) fn has_label(&self, label: &str) -> bool {
        self.labels.as_ref().is_none_or(|labels| labels.contains(label))
    }

    /// The labels, as a message lists them.
    pub(super) fn labels(&self) -> String {
        choice(self.label_order.iter().map(String::as_str))
    }
}
