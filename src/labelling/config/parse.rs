//! Reads control tags, object tags and labels from the tree.
//!
//! In: the text of a config and a dialect. Out: a [`LabelConfig`] by the
//! rules of `parse_config` in label-studio-tools 0.0.4 or label-studio-sdk
//! 2.1.2. One walk in document order; what the result weighs is bounded, since
//! a control tag repeats the object tags it names and the variables it matches.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet, map::Entry};
use roxmltree::{Node, NodeId};

use super::dialect::Dialect;
use super::error::LabelConfigError;
use super::model::{
    Conditional, ConditionalKind, ControlTag, LabelConfig, ObjectSource, ObjectTag,
};
use super::tag::Tag;
use super::xml;

type Result<T> = std::result::Result<T, LabelConfigError>;

const LABEL_TAGS: [&str; 3] = ["Label", "Choice", "Relation"];

/// Maximum size of the result, in bytes.
const MAX_RESULT_BYTES: usize = 64 << 20;
/// Bytes that a string counts for besides its own.
const STRING_OVERHEAD: usize = 24;
/// Maximum number of bytes of `toName` that are searched for Repeater variables.
const MAX_SEARCHED_BYTES: usize = 500_000_000;
/// Bytes that a search counts for besides those it looks at.
const SEARCH_OVERHEAD: usize = 16;

/// Parses a labelling config. The empty text is an empty config;
/// text of white space only is an error, as in both packages.
pub fn parse(config: &str, dialect: Dialect) -> Result<LabelConfig> {
    if config.is_empty() {
        return Ok(LabelConfig::default());
    }
    let prepared = xml::prepare(config)?;
    let document = prepared.document()?;
    let mut reading = Reading::new(dialect);
    let tags = document.root_element().descendants();
    for node in tags.filter(Node::is_element) {
        reading.visit(node)?;
    }
    reading.finish()
}

/// A value that stands for a variable of the task: `$` and ASCII letters or
/// underscores, nothing else (no digits, no dots).
pub fn has_variable(value: &str) -> bool {
    value.strip_prefix('$').is_some_and(|name| {
        let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        !name.is_empty() && name.bytes().all(is_letter)
    })
}

struct Reading {
    dialect: Dialect,
    controls: IndexMap<String, ControlTag>,
    objects: HashMap<String, Arc<ObjectTag>>,
    variables: IndexSet<String>,
    ancestors: Vec<Ancestor>,
    weight: usize,
    searched: usize,
}

/// An open tag, and the control that its name stands for, if any.
struct Ancestor {
    node: NodeId,
    name: Option<String>,
    control: Option<usize>,
}

impl Reading {
    fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            controls: IndexMap::new(),
            objects: HashMap::new(),
            variables: IndexSet::new(),
            ancestors: Vec::new(),
            weight: 0,
            searched: 0,
        }
    }

    fn visit(&mut self, node: Node<'_, '_>) -> Result<()> {
        let tag = Tag(node);
        let parent = node.parent().map(|parent| parent.id());
        while let Some(last) = self.ancestors.last()
            && Some(last.node) != parent
        {
            self.ancestors.pop();
        }
        // A variable stays in force after its Repeater is closed.
        if let Some(flag) = tag.get("indexFlag") {
            self.variables.insert(flag.to_owned());
        }
        let name = tag.filled("name");
        if let (Some(name), Some(to_name)) = (name, tag.filled("toName"))
            && !tag.is("Filter")
        {
            self.control(name, to_name, tag)?;
        } else if let (Some(name), Some(source)) = (name, self.source(tag)) {
            self.object(name, source, tag)?;
        }
        if LABEL_TAGS.iter().any(|name| tag.is(name)) {
            self.label(tag)?;
        }
        let control = name.and_then(|name| self.controls.get_index_of(name));
        self.ancestors.push(Ancestor { node: node.id(), name: name.map(str::to_owned), control });
        Ok(())
    }

    /// A tag with name and `toName`, whatever it is called, except `Filter`. A
    /// later control of the same name replaces the earlier one, keeps its place
    /// and its labels.
    fn control(&mut self, name: &str, to_name: &str, tag: Tag<'_>) -> Result<()> {
        let strings = 3 + to_name.matches(',').count();
        let (attributes, bytes) = tag.attributes_size();
        self.spend(strings + attributes, to_name.len() + name.len() + tag.name_length() + bytes)?;
        let parts: Vec<String> = to_name.split(',').map(str::to_owned).collect();
        let variables = self.variables_in(&parts, to_name.len())?;
        let dynamic_labels =
            tag.get("value").is_some_and(has_variable) || tag.filled("apiUrl").is_some();
        let mut control = ControlTag {
            tag: tag.name(),
            to_name: parts,
            variables,
            conditional: conditional(tag),
            dynamic_labels,
            attributes: tag.attributes(),
            objects: Vec::new(),
            labels: IndexMap::new(),
        };
        match self.controls.entry(name.to_owned()) {
            Entry::Occupied(mut entry) => {
                control.labels = std::mem::take(&mut entry.get_mut().labels);
                entry.insert(control);
            }
            Entry::Vacant(entry) => {
                let index = entry.index();
                entry.insert(control);
                for ancestor in &mut self.ancestors {
                    if ancestor.name.as_deref() == Some(name) {
                        ancestor.control = Some(index);
                    }
                }
            }
        }
        Ok(())
    }

    fn variables_in(&mut self, parts: &[String], bytes: usize) -> Result<Vec<String>> {
        let each = bytes + SEARCH_OVERHEAD * parts.len();
        let work = self.variables.len().saturating_mul(each);
        self.searched = self.searched.saturating_add(work);
        if self.searched > MAX_SEARCHED_BYTES {
            return Err(too_large());
        }
        let occurs = |variable: &&String| parts.iter().any(|part| part.contains(*variable));
        let found: Vec<String> = self.variables.iter().filter(occurs).cloned().collect();
        self.spend(found.len(), found.iter().map(String::len).sum())?;
        Ok(found)
    }

    /// An object tag needs a value (label-studio-tools), or a value or a value list
    /// (label-studio-sdk). There a `value` attribute wins even if it is empty.
    fn source(&self, tag: Tag<'_>) -> Option<ObjectSource> {
        let bare = |value: &str| value.trim_start_matches('$').to_owned();
        let value = tag.get("value");
        match self.dialect {
            Dialect::Tools => tag.filled("value").map(bare).map(ObjectSource::Value),
            Dialect::Sdk => match (value, tag.filled("valueList")) {
                (Some("") | None, None) => None,
                (Some(value), _) => Some(ObjectSource::Value(bare(value))),
                (None, Some(list)) => Some(ObjectSource::ValueList(bare(list))),
            },
        }
    }

    fn object(&mut self, name: &str, source: ObjectSource, tag: Tag<'_>) -> Result<()> {
        self.spend(2, tag.name_length() + name.len())?;
        let value_type = match self.dialect {
            Dialect::Tools => None,
            Dialect::Sdk => tag.get("valueType").map(str::to_owned),
        };
        let object = ObjectTag { dialect: self.dialect, tag: tag.name(), value_type, source };
        self.objects.insert(name.to_owned(), Arc::new(object));
        Ok(())
    }

    /// A label belongs to the nearest tag around it whose name is that of a
    /// control by then; without one, or without a value, it is dropped.
    fn label(&mut self, tag: Tag<'_>) -> Result<()> {
        let control = self.ancestors.iter().rev().find_map(|tag| tag.control);
        let mut key = tag.filled("alias").or_else(|| tag.filled("value"));
        if self.dialect == Dialect::Sdk {
            key = key.or_else(|| tag.filled("valueList"));
        }
        let (Some(control), Some(key)) = (control, key) else {
            return Ok(());
        };
        let (strings, bytes) = tag.attributes_size();
        self.spend(1 + strings, key.len() + bytes)?;
        if let Some((_, control)) = self.controls.get_index_mut(control) {
            control.labels.insert(key.to_owned(), tag.attributes());
        }
        Ok(())
    }

    fn finish(mut self) -> Result<LabelConfig> {
        let mut controls = std::mem::take(&mut self.controls);
        for control in controls.values_mut() {
            for name in &control.to_name {
                let Some(object) = self.objects.get(name).cloned() else {
                    continue;
                };
                let (ObjectSource::Value(value) | ObjectSource::ValueList(value)) = &object.source;
                let value_type = object.value_type.as_ref().map_or(0, String::len);
                self.spend(3, object.tag.len() + value.len() + value_type)?;
                control.objects.push(object);
            }
        }
        Ok(LabelConfig { controls })
    }

    fn spend(&mut self, strings: usize, bytes: usize) -> Result<()> {
        self.weight += strings * STRING_OVERHEAD + bytes;
        if self.weight > MAX_RESULT_BYTES {
            return Err(too_large());
        }
        Ok(())
    }
}

/// Only a control shown per region has conditions, and of them the first that
/// is filled in counts.
fn conditional(tag: Tag<'_>) -> Option<Conditional> {
    if tag.get("perRegion") != Some("true") {
        return None;
    }
    [
        ("whenTagName", ConditionalKind::Tag),
        ("whenLabelValue", ConditionalKind::Label),
        ("whenChoiceValue", ConditionalKind::Choice),
    ]
    .into_iter()
    .find_map(|(attribute, kind)| {
        let name = tag.filled(attribute)?.to_owned();
        Some(Conditional { kind, name })
    })
}

fn too_large() -> LabelConfigError {
    LabelConfigError::TooLarge(
        "its control tags repeat their object tags or variables too often".into(),
    )
}
