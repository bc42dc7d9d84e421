//! Where the tags of a config stand, and which data of a task they show.
//!
//! In: the text of a config. Out: its Repeaters, and of each tag with a name the attributes that `parse_config`
//! does not report. Read as Label Studio's editor reads it: names of attributes in any case, and the
//! last tag of a name counts.

use std::collections::HashMap;

use indexmap::IndexMap;
use roxmltree::{Node, NodeId};

use super::error::LabelConfigError;
use super::tag::Tag;
use super::xml;

/// The variable of a Repeater that names none.
const DEFAULT_FLAG: &str = "{{idx}}";

/// The tags of a config with their place.
#[derive(Debug, Default)]
pub struct ConfigLayout {
    pub repeaters: Vec<Repeater>,
    /// Index of the first Repeater with a variable.
    pub variables: HashMap<String, usize>,
    /// Tags by name, in the order in which their names first appear.
    pub tags: IndexMap<String, NamedTag>,
}

/// A `<Repeater>`: its content is shown once for each item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeater {
    /// The variable that stands for the index, `{{idx}}`.
    pub flag: String,
    /// The list, `$pages`.
    pub on: String,
    /// Index of the Repeater around it.
    pub parent: Option<usize>,
}

/// A tag with a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedTag {
    /// As written.
    pub tag: String,
    /// Index of the innermost Repeater around it.
    pub repeater: Option<usize>,
    pub value: Option<String>,
    pub value_list: Option<String>,
    pub value_type: Option<String>,
    pub encoding: Option<String>,
    /// Key of the text in an item of `<Paragraphs>`.
    pub text_key: Option<String>,
}

/// Reads the layout of a config that is well-formed.
pub fn read_layout(config: &str) -> Result<ConfigLayout, LabelConfigError> {
    let mut layout = ConfigLayout::default();
    if config.is_empty() {
        return Ok(layout);
    }
    let prepared = xml::prepare(config)?;
    let document = prepared.document()?;
    // Repeaters that are open where the walk is.
    let mut open: Vec<(NodeId, usize)> = Vec::new();
    // Open tags; only they can be the parent of the next one.
    let mut ancestors: Vec<NodeId> = Vec::new();
    for node in document.root_element().descendants().filter(Node::is_element) {
        let parent = node.parent().map(|parent| parent.id());
        while let Some(last) = ancestors.last()
            && Some(*last) != parent
        {
            open.pop_if(|(repeater, _)| repeater == last);
            ancestors.pop();
        }
        ancestors.push(node.id());
        let tag = Tag(node);
        let repeater = open.last().map(|(_, index)| *index);
        if tag.name().eq_ignore_ascii_case("Repeater") {
            let index = layout.repeaters.len();
            let flag = attribute(tag, "indexFlag").unwrap_or_else(|| DEFAULT_FLAG.into());
            open.push((node.id(), index));
            layout.variables.entry(flag.clone()).or_insert(index);
            layout.repeaters.push(Repeater {
                flag,
                on: attribute(tag, "on").unwrap_or_default(),
                parent: repeater,
            });
        } else if let Some(name) = attribute(tag, "name") {
            layout.tags.insert(name, named_tag(tag, repeater));
        }
    }
    Ok(layout)
}

fn named_tag(tag: Tag<'_>, repeater: Option<usize>) -> NamedTag {
    NamedTag {
        tag: tag.name(),
        repeater,
        value: attribute(tag, "value"),
        value_list: attribute(tag, "valueList"),
        value_type: attribute(tag, "valueType"),
        encoding: attribute(tag, "encoding"),
        text_key: attribute(tag, "textKey"),
    }
}

/// An attribute that is not empty, its name in any case.
fn attribute(tag: Tag<'_>, name: &str) -> Option<String> {
    let found = tag.0.attributes().find(|attribute| {
        attribute.namespace().is_none() && attribute.name().eq_ignore_ascii_case(name)
    });
    found.map(|attribute| attribute.value().to_owned()).filter(|value| !value.is_empty())
}
