//! One tag of the tree with the attributes that `parse_config` asks for.
//!
//! In: a node and the DTD's rules. Out: attributes by name with the DTD's
//! defaults, and the list of attributes as written without them: lxml makes the
//! same difference between looking an attribute up and listing all.

use std::collections::HashMap;

use roxmltree::Node;

use super::dtd::{AttributeRule, Dtd};
use super::model::Attributes;

pub(super) struct Tag<'a> {
    node: Node<'a, 'a>,
    rules: Option<&'a HashMap<String, AttributeRule>>,
    /// Values of attributes of a tokenised type.
    collapsed: Vec<(&'a str, String)>,
}

impl<'a> Tag<'a> {
    pub(super) fn read(node: Node<'a, 'a>, dtd: &'a Dtd) -> Self {
        let mut tag = Self { node, rules: None, collapsed: Vec::new() };
        if dtd.has_rules() {
            tag.rules = dtd.rules(&name_as_written(node));
        }
        if let Some(rules) = tag.rules {
            let tokens = node.attributes().filter(|attribute| {
                let rule = rules.get(attribute.name());
                attribute.namespace().is_none() && rule.is_some_and(|rule| rule.tokenised)
            });
            tag.collapsed = tokens
                .map(|attribute| (attribute.name(), AttributeRule::collapse(attribute.value())))
                .collect();
        }
        tag
    }

    fn namespace(&self) -> Option<&'a str> {
        let namespace = self.node.tag_name().namespace();
        namespace.filter(|uri| !uri.is_empty())
    }

    /// A name without namespace, case included.
    pub(super) fn is(&self, name: &str) -> bool {
        self.namespace().is_none() && self.node.tag_name().name() == name
    }

    /// `Tag`, or `{uri}Tag` when in a namespace.
    pub(super) fn name(&self) -> String {
        qualified(self.namespace(), self.node.tag_name().name())
    }

    /// Bytes in [`Self::name`]. A URI is written once and repeated by every
    /// tag, so the length is asked for first.
    pub(super) fn name_length(&self) -> usize {
        self.namespace().map_or(0, str::len) + self.node.tag_name().name().len()
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let written = self
            .node
            .attributes()
            .find(|attribute| attribute.name() == name && attribute.namespace().is_none());
        match written {
            Some(attribute) => Some(self.value(name, attribute.value())),
            None => self.rules?.get(name)?.default.as_deref(),
        }
    }

    /// An attribute with a value that is not empty.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The `indexFlag` of a Repeater; label-studio-tools does not look for it
    /// in a tag without any attribute, where a DTD might have put it.
    pub(super) fn index_flag(&self) -> Option<&str> {
        self.node.attributes().next()?;
        self.get("indexFlag")
    }

    /// All attributes as written, in document order.
    pub(super) fn attributes(&self) -> Attributes {
        let attributes = self.node.attributes();
        attributes
            .map(|attribute| {
                let value = match attribute.namespace() {
                    None => self.value(attribute.name(), attribute.value()),
                    Some(_) => attribute.value(),
                };
                let name = qualified(attribute.namespace(), attribute.name());
                (name, value.to_owned())
            })
            .collect()
    }

    /// Number of strings and of bytes in [`Self::attributes`], at most.
    pub(super) fn attributes_size(&self) -> (usize, usize) {
        self.node.attributes().fold((0, 0), |(count, bytes), attribute| {
            let uri = attribute.namespace().map_or(0, str::len);
            let length = uri + attribute.name().len() + attribute.value().len();
            (count + 2, bytes + length)
        })
    }

    fn value<'s>(&'s self, name: &str, written: &'s str) -> &'s str {
        let collapsed = self.collapsed.iter().find(|(token, _)| *token == name);
        collapsed.map_or(written, |(_, value)| value.as_str())
    }
}

fn qualified(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(uri) => format!("{{{uri}}}{name}"),
        None => name.to_owned(),
    }
}

/// The DTD knows tags by prefix, not by namespace.
fn name_as_written(node: Node<'_, '_>) -> String {
    let name = node.tag_name();
    let prefix = name.namespace().and_then(|uri| node.lookup_prefix(uri));
    match prefix {
        Some(prefix) if !prefix.is_empty() => format!("{prefix}:{}", name.name()),
        _ => name.name().to_owned(),
    }
}
