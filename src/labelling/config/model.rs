//! The parsed labelling config: control tags, the object tags they annotate, their labels.
//!
//! In: values collected by the parser. Out: accessors for checks on
//! predictions, and a serialised form whose keys stand in the order in which
//! `parse_config` of label-studio-tools and label-studio-sdk fills its dicts.

use std::sync::Arc;

use indexmap::IndexMap;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::dialect::Dialect;

/// All control tags of a config, in the order in which their names first
/// appear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelConfig {
    pub(super) controls: IndexMap<String, ControlTag>,
}

impl LabelConfig {
    pub fn get(&self, name: &str) -> Option<&ControlTag> {
        self.controls.get(name)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &ControlTag)> {
        self.controls.iter().map(|(name, control)| (name.as_str(), control))
    }

    pub fn len(&self) -> usize {
        self.controls.len()
    }

    pub fn is_empty(&self) -> bool {
        self.controls.is_empty()
    }
}

impl Serialize for LabelConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// A tag that produces results: it has a name and says what it annotates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlTag {
    pub(super) tag: String,
    pub(super) to_name: Vec<String>,
    pub(super) variables: Vec<String>,
    pub(super) conditional: Option<Conditional>,
    pub(super) dynamic_labels: bool,
    pub(super) attributes: Attributes,
    pub(super) objects: Vec<Arc<ObjectTag>>,
    pub(super) labels: IndexMap<String, Attributes>,
}

/// Attributes as written, in document order; names in a namespace are
/// `{uri}name`.
pub(super) type Attributes = Vec<(String, String)>;

impl ControlTag {
    /// Tag name with its case; `{uri}Tag` when it is in a namespace.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The `toName` attribute cut at commas. Spaces, empty parts and
    /// repetitions are kept, as in label-studio-tools.
    pub fn to_name(&self) -> &[String] {
        &self.to_name
    }

    /// Repeater variables (`indexFlag`) that occur in a part of `toName`; in
    /// results each may stand for any text.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    pub fn conditional(&self) -> Option<&Conditional> {
        self.conditional.as_ref()
    }

    /// The labels come from the task or from a server, so [`Self::labels`] is
    /// not the whole list.
    pub fn has_dynamic_labels(&self) -> bool {
        self.dynamic_labels
    }

    /// One attribute of the tag itself, such as `maxRating`.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        find(&self.attributes, name)
    }

    /// The object tags found for [`Self::to_name`], in that order.
    pub fn objects(&self) -> impl ExactSizeIterator<Item = &ObjectTag> {
        self.objects.iter().map(Arc::as_ref)
    }

    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.labels.keys().map(String::as_str)
    }

    pub fn has_label(&self, label: &str) -> bool {
        self.labels.contains_key(label)
    }

    /// One attribute of a label, such as `predicted_values`.
    pub fn label_attribute(&self, label: &str, attribute: &str) -> Option<&str> {
        find(self.labels.get(label)?, attribute)
    }
}

fn find<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    attributes.iter().find(|(written, _)| written == name).map(|(_, value)| value.as_str())
}

impl Serialize for ControlTag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.tag)?;
        map.serialize_entry("to_name", &self.to_name)?;
        if !self.variables.is_empty() {
            map.serialize_entry("regex", &AnyText(&self.variables))?;
        }
        if let Some(conditional) = &self.conditional {
            map.serialize_entry("conditionals", conditional)?;
        }
        if self.dynamic_labels {
            map.serialize_entry("dynamic_labels", &true)?;
        }
        map.serialize_entry("inputs", &self.objects().collect::<Vec<_>>())?;
        map.serialize_entry("labels", &self.labels().collect::<Vec<_>>())?;
        map.serialize_entry("labels_attrs", &LabelAttributes(&self.labels))?;
        map.end()
    }
}

/// Each variable mapped to the pattern that both packages give it.
struct AnyText<'a>(&'a [String]);

impl Serialize for AnyText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|variable| (variable, ".*")))
    }
}

struct LabelAttributes<'a>(&'a IndexMap<String, Attributes>);

impl Serialize for LabelAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.0.iter().map(|(label, attributes)| (label, AttributeMap(attributes))))
    }
}

struct AttributeMap<'a>(&'a [(String, String)]);

impl Serialize for AttributeMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// When a per-region control is shown (`whenTagName` and its siblings).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditional {
    pub kind: ConditionalKind,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConditionalKind {
    Tag,
    Label,
    Choice,
}

impl ConditionalKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Label => "label",
            Self::Choice => "choice",
        }
    }
}

impl Serialize for Conditional {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("type", self.kind.as_str())?;
        map.serialize_entry("name", &self.name)?;
        map.end()
    }
}

/// A tag that shows data of a task: it has a name and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectTag {
    pub(super) dialect: Dialect,
    pub(super) tag: String,
    pub(super) value_type: Option<String>,
    pub(super) source: ObjectSource,
}

/// Where an object tag takes its data from; leading `$` are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectSource {
    Value(String),
    /// Only in [`Dialect::Sdk`], for a tag with `valueList` and no `value`.
    ValueList(String),
}

impl ObjectTag {
    /// Tag name with its case; `{uri}Tag` when it is in a namespace.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The `valueType` attribute; label-studio-tools does not report it.
    pub fn value_type(&self) -> Option<&str> {
        self.value_type.as_deref()
    }

    pub fn source(&self) -> &ObjectSource {
        &self.source
    }
}

impl Serialize for ObjectTag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.tag)?;
        if self.dialect == Dialect::Sdk {
            map.serialize_entry("valueType", &self.value_type)?;
        }
        match &self.source {
            ObjectSource::Value(value) => map.serialize_entry("value", value)?,
            ObjectSource::ValueList(value) => map.serialize_entry("valueList", value)?,
        }
        map.end()
    }
}
