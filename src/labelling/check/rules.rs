//! What predictions may say under a labelling config, in the form in which the check looks it up.
//!
//! In: a labelling config. Out: for the `from_name` of a region the rules of its control tag.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::control::{ControlRules, ControlTarget, ObjectSiblings};
use super::display::choice;
use super::object::ObjectRules;
use super::repeater::{Bindings, NamePattern, scope_of};
use super::shape::ControlKind;
use super::source::TaskPath;
use crate::labelling::config::{
    ConfigLayout, ControlTag, Dialect, LabelConfig, LabelConfigError, Repeater, parse, read_layout,
};

/// What predictions for one labelling config may say.
#[derive(Debug)]
pub struct Rules {
    controls: IndexMap<String, ControlRules>,
    /// Control tags within a Repeater: parts of their name stand for numbers.
    repeated: Vec<(NamePattern, ControlRules)>,
    pub(super) repeaters: Vec<Repeater>,
    /// The list of each Repeater.
    lists: Vec<Option<TaskPath>>,
    /// Members of the data of a task that rules may ask for.
    data: HashSet<String>,
}

/// The control tag that a `from_name` means.
pub(super) struct FoundControl<'r, 'n> {
    pub(super) control: &'r ControlRules,
    /// What the name puts in the place of variables.
    pub(super) bindings: Bindings<'n>,
}

impl Rules {
    /// The rules for a labelling config.
    pub fn parse(label_config: &str) -> Result<Self, LabelConfigError> {
        let config = parse(label_config, Dialect::Sdk)?;
        Ok(Self::new(&config, read_layout(label_config)?))
    }

    fn new(config: &LabelConfig, layout: ConfigLayout) -> Self {
        let siblings = ObjectSiblings::of(config);
        let list = |repeater: &Repeater| {
            TaskPath::of(Some(&repeater.on), &scope_of(&layout, repeater.parent))
        };
        let mut rules = Self {
            controls: IndexMap::with_capacity(config.len()),
            repeated: Vec::new(),
            lists: layout.repeaters.iter().map(list).collect(),
            repeaters: Vec::new(),
            data: HashSet::new(),
        };
        for (name, control) in config.iter() {
            let targets = targets(name, control, &layout);
            rules.add(name, ControlRules::new(name, control, &siblings, targets), &layout);
        }
        for (name, tag) in &layout.tags {
            if ControlKind::of(&tag.tag).is_object_too() && config.get(name).is_none() {
                let targets = vec![target(name, tag.repeater, &[], &layout)];
                rules.add(name, ControlRules::of_both(name, &tag.tag, targets), &layout);
            }
        }
        let lists = rules.lists.iter().flatten().flat_map(TaskPath::members);
        rules.data.extend(lists.map(str::to_owned));
        rules.repeaters = layout.repeaters;
        rules
    }

    fn add(&mut self, name: &str, control: ControlRules, layout: &ConfigLayout) {
        let paths = control.paths().flat_map(TaskPath::members);
        self.data.extend(paths.map(str::to_owned));
        let repeater = layout.tags.get(name).and_then(|tag| tag.repeater);
        let pattern = NamePattern::new(name, &scope_of(layout, repeater));
        if pattern.has_variables() {
            self.repeated.push((pattern, control));
        } else {
            self.controls.insert(name.to_owned(), control);
        }
    }

    /// The control tag that a `from_name` means.
    pub(super) fn control<'n>(&self, from_name: &'n str) -> Option<FoundControl<'_, 'n>> {
        if let Some(control) = self.controls.get(from_name) {
            return Some(FoundControl { control, bindings: Bindings::new() });
        }
        self.repeated.iter().find_map(|(pattern, control)| {
            Some(FoundControl { control, bindings: pattern.matches(from_name)? })
        })
    }

    /// The names of all control tags, as a message lists them.
    pub(super) fn names(&self) -> String {
        let repeated = self.repeated.iter().map(|(_, control)| control.name.as_str());
        choice(self.controls.keys().map(String::as_str).chain(repeated))
    }

    /// The list of a Repeater.
    pub(super) fn list(&self, repeater: usize) -> Option<&TaskPath> {
        self.lists.get(repeater)?.as_ref()
    }

    /// Whether a rule may ask for this member of the data of a task.
    pub(super) fn wants_data(&self, member: &str) -> bool {
        self.data.contains(member)
    }

    /// Whether any rule asks for the data of tasks.
    pub fn need_tasks(&self) -> bool {
        !self.data.is_empty()
    }
}

/// The object tags to which a control tag points.
fn targets(name: &str, control: &ControlTag, layout: &ConfigLayout) -> Vec<ControlTarget> {
    let repeater = layout.tags.get(name).and_then(|tag| tag.repeater);
    let named = control.to_name().iter().map(|to_name| to_name.trim());
    // A region of some tags may also name the tag itself.
    let own = ControlKind::of(control.tag()).takes_own_name().then_some(name);
    let target = |to_name| target(to_name, repeater, control.variables(), layout);
    named.chain(own).map(target).collect()
}

/// An object tag as a control tag names it that stands in `repeater`. `variables`: those that the name holds.
fn target(
    to_name: &str,
    repeater: Option<usize>,
    variables: &[String],
    layout: &ConfigLayout,
) -> ControlTarget {
    let tag = layout.tags.get(to_name);
    let around_object = tag.and_then(|tag| tag.repeater);
    let object = tag.map(|tag| ObjectRules::new(tag, &scope_of(layout, around_object)));
    let mut scope = scope_of(layout, repeater);
    scope.extend(scope_of(layout, around_object));
    for variable in variables {
        scope.extend(layout.variables.get(variable).map(|index| (*index, variable.as_str())));
    }
    ControlTarget::new(to_name, object.unwrap_or_default(), &scope)
}
