//! What regions of one control tag may say.

use std::collections::{HashMap, HashSet};

use super::display::choice;
use super::object::ObjectRules;
use super::repeater::{Bindings, NamePattern, VariableScope};
use super::shape::{ControlKind, RegionKind};
use super::source::TaskPath;
use crate::labelling::config::{ControlTag, LabelConfig};

/// What regions of one control tag may say.
#[derive(Debug)]
pub(super) struct ControlRules {
    pub(super) name: String,
    /// As written, `RectangleLabels`.
    pub(super) tag: String,
    pub(super) tool: ControlKind,
    /// The type of the regions that the editor writes for the tag.
    pub(super) own_type: String,
    /// The key of `value` in which the labels or the answer are.
    pub(super) key: Option<&'static str>,
    /// How the region lies in what the object tag shows.
    pub(super) region: RegionKind,
    targets: Vec<ControlTarget>,
    /// A region may be a part of a text.
    pub(super) marks_text: bool,
    /// Shapes beside a `Labels` tag: one region may have the shape of theirs and the labels of this tag.
    shapes: Vec<ControlKind>,
    /// None if labels come from the task or a server.
    labels: Option<HashSet<String>>,
    /// In the order of the labelling config, for messages.
    label_order: Vec<String>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    /// A `DateTime` that writes dates in full.
    pub(super) iso_date: bool,
}

/// An object tag to which a control tag points.
#[derive(Debug)]
pub(super) struct ControlTarget {
    name: NamePattern,
    pub(super) object: ObjectRules,
}

/// What the tags of a config give to others on the same object tag, by its name.
#[derive(Debug, Default)]
pub(super) struct ObjectSiblings<'a> {
    /// The labels that regions can have: a `VideoRectangle` draws for the labels of a `Labels` tag beside it.
    /// None if some come from the task or a server.
    labels: HashMap<&'a str, Option<Vec<&'a str>>>,
    /// What shapes and labels make together, `RectangleLabels` for a `Rectangle`.
    shapes: HashMap<&'a str, Vec<ControlKind>>,
}

impl<'a> ObjectSiblings<'a> {
    pub(super) fn of(config: &'a LabelConfig) -> Self {
        let mut siblings = Self::default();
        for (_, control) in config.iter() {
            let kind = ControlKind::of(control.tag());
            for object in control.to_name() {
                if kind == ControlKind::Labels {
                    let known = siblings.labels.entry(object).or_insert_with(|| Some(Vec::new()));
                    match known {
                        Some(labels) if !control.has_dynamic_labels() => {
                            labels.extend(names_of(control));
                        }
                        known => *known = None,
                    }
                } else if let Some(labelled) = kind.labelled() {
                    let shapes = siblings.shapes.entry(object).or_default();
                    if !shapes.contains(&labelled) {
                        shapes.push(labelled);
                    }
                }
            }
        }
        siblings
    }

    fn shapes_on(&self, objects: &[String]) -> Vec<ControlKind> {
        let mut shapes = Vec::new();
        for kind in objects.iter().filter_map(|object| self.shapes.get(object.as_str())).flatten() {
            if !shapes.contains(kind) {
                shapes.push(*kind);
            }
        }
        shapes
    }
}

/// Both names of each label: Label Studio writes the alias and takes the value as well.
fn names_of(control: &ControlTag) -> impl Iterator<Item = &str> {
    control.labels().flat_map(|label| {
        let value = control.label_attribute(label, "value").filter(|value| *value != label);
        std::iter::once(label).chain(value)
    })
}

impl ControlRules {
    pub(super) fn new(
        name: &str,
        control: &ControlTag,
        siblings: &ObjectSiblings<'_>,
        targets: Vec<ControlTarget>,
    ) -> Self {
        let tool = ControlKind::of(control.tag());
        let mut label_order: Vec<String> = names_of(control).map(str::to_owned).collect();
        let mut is_open = control.has_dynamic_labels() || label_order.is_empty();
        if is_open && tool.borrows_labels() {
            let first = control.to_name().first();
            let of_object = first.and_then(|name| siblings.labels.get(name.as_str()));
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
        let object = control.objects().next().map(|object| object.tag().to_owned());
        Self {
            name: name.to_owned(),
            tag: control.tag().to_owned(),
            tool,
            own_type: tool.own_type(control.tag()),
            key: tool.key(),
            region: tool.region(object.as_deref()),
            targets,
            marks_text: tool.labels_regions() || control.attribute("perRegion") == Some("true"),
            shapes: match tool {
                ControlKind::Labels => siblings.shapes_on(control.to_name()),
                _ => Vec::new(),
            },
            labels: (!is_open).then(|| label_order.iter().cloned().collect()),
            label_order,
            min,
            max,
            iso_date: control.attribute("format").is_none()
                && control.attribute("only").is_none_or(|only| only.contains("date")),
        }
    }

    /// The rules for a tag that is control tag and object tag at once.
    pub(super) fn of_both(name: &str, tag: &str, targets: Vec<ControlTarget>) -> Self {
        let tool = ControlKind::of(tag);
        Self {
            name: name.to_owned(),
            tag: tag.to_owned(),
            tool,
            own_type: tool.own_type(tag),
            key: tool.key(),
            region: tool.region(None),
            targets,
            marks_text: false,
            shapes: Vec::new(),
            labels: None,
            label_order: Vec::new(),
            min: None,
            max: None,
            iso_date: false,
        }
    }

    /// The kind whose shape a region of this type has; its labels are those of this `Labels` tag.
    pub(super) fn merged_with_shape(&self, kind: &str) -> Option<ControlKind> {
        self.shapes.iter().copied().find(|shape| shape.key() == Some(kind))
    }

    /// Whether the editor takes a region of this type.
    pub(super) fn takes_type(&self, kind: &str) -> bool {
        kind == self.own_type
            || self.merged_with_shape(kind).is_some()
            || self.tool.accepts(&self.tag, kind)
    }

    /// The object tag that a `to_name` means, and what it puts in the place of variables.
    pub(super) fn target<'n>(&self, to_name: &'n str) -> Option<(&ControlTarget, Bindings<'n>)> {
        self.targets.iter().find_map(|target| Some((target, target.name.matches(to_name)?)))
    }

    /// The object tags that the control tag points to, as a message lists them.
    pub(super) fn objects(&self) -> String {
        let names: Vec<String> =
            self.targets.iter().map(|target| target.name.as_written()).collect();
        choice(names.iter().map(String::as_str))
    }

    /// The places in a task that the rules may ask for.
    pub(super) fn paths(&self) -> impl Iterator<Item = &TaskPath> {
        let objects = || self.targets.iter().map(|target| &target.object);
        let items = objects().filter_map(|object| object.items.as_ref());
        let texts = objects().filter_map(|object| object.text.as_ref());
        items.chain(texts.filter(|_| self.marks_text).map(|text| &text.path))
    }

    pub(super) fn has_label(&self, label: &str) -> bool {
        self.labels.as_ref().is_none_or(|labels| labels.contains(label))
    }

    /// The labels, as a message lists them.
    pub(super) fn labels(&self) -> String {
        choice(self.label_order.iter().map(String::as_str))
    }
}

impl ControlTarget {
    pub(super) fn new(name: &str, object: ObjectRules, scope: &VariableScope<'_>) -> Self {
        Self { name: NamePattern::new(name, scope), object }
    }
}
