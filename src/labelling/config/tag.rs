//! One tag of the tree with the attributes that `parse_config` asks for.

use roxmltree::Node;

use super::model::Attributes;

#[derive(Clone, Copy)]
pub(super) struct Tag<'a>(pub(super) Node<'a, 'a>);

impl<'a> Tag<'a> {
    fn namespace(self) -> Option<&'a str> {
        let namespace = self.0.tag_name().namespace();
        namespace.filter(|uri| !uri.is_empty())
    }

    /// A name without namespace, case included.
    pub(super) fn is(self, name: &str) -> bool {
        self.namespace().is_none() && self.0.tag_name().name() == name
    }

    /// `Tag`, or `{uri}Tag` when in a namespace.
    pub(super) fn name(self) -> String {
        qualified(self.namespace(), self.0.tag_name().name())
    }

    /// Bytes in [`Self::name`]. A URI is written once and repeated by every
    /// tag, so the length is asked for first.
    pub(super) fn name_length(self) -> usize {
        self.namespace().map_or(0, str::len) + self.0.tag_name().name().len()
    }

    /// The value of an attribute that is in no namespace.
    pub(super) fn get(self, name: &str) -> Option<&'a str> {
        let attribute = self
            .0
            .attributes()
            .find(|attribute| attribute.name() == name && attribute.namespace().is_none());
        attribute.map(|attribute| attribute.value())
    }

    /// An attribute with a value that is not empty.
    pub(super) fn filled(self, name: &str) -> Option<&'a str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// All attributes, in document order.
    pub(super) fn attributes(self) -> Attributes {
        let attributes = self.0.attributes();
        attributes
            .map(|attribute| {
                let name = qualified(attribute.namespace(), attribute.name());
                (name, attribute.value().to_owned())
            })
            .collect()
    }

    /// Number of strings and of bytes in [`Self::attributes`], at most.
    pub(super) fn attributes_size(self) -> (usize, usize) {
        self.0.attributes().fold((0, 0), |(count, bytes), attribute| {
            let uri = attribute.namespace().map_or(0, str::len);
            let length = uri + attribute.name().len() + attribute.value().len();
            (count + 2, bytes + length)
        })
    }
}

fn qualified(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(uri) => format!("{{{uri}}}{name}"),
        None => name.to_owned(),
    }
}
