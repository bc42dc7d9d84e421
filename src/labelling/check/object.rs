//! What an object tag shows of a task, as far as regions can be measured against it.

use super::repeater::VariableScope;
use super::source::TaskPath;
use crate::labelling::config::NamedTag;

/// An object tag.
#[derive(Debug, Default)]
pub(super) struct ObjectRules {
    /// The list of what is shown one by one; regions name the item by its index.
    pub(super) items: Option<TaskPath>,
    pub(super) is_image: bool,
    pub(super) text: Option<TextSource>,
}

/// Text that is in the task itself, and how its places are counted.
#[derive(Debug, Clone)]
pub(super) struct TextSource {
    pub(super) path: TaskPath,
    pub(super) kind: TextKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TextKind {
    /// `<Text>`: the editor counts the characters, which are code points.
    Plain,
    /// `<HyperText>`: markup, of which the shown text is a part.
    Markup,
    /// `<Paragraphs>`: a list; the text of each is under this key.
    Paragraphs(String),
}

impl ObjectRules {
    pub(super) fn new(tag: &NamedTag, scope: &VariableScope<'_>) -> Self {
        let path = |attribute: &Option<String>| TaskPath::of(attribute.as_deref(), scope);
        let is = |name: &str| tag.tag.eq_ignore_ascii_case(name);
        let kind = if is("Text") {
            Some(TextKind::Plain)
        } else if is("HyperText") || is("RichText") {
            Some(TextKind::Markup)
        } else if is("Paragraphs") {
            let key = tag.text_key.clone().unwrap_or_else(|| "text".into());
            Some(TextKind::Paragraphs(key))
        } else {
            None
        };
        // Where the task holds an address, or an encoding of the text, nothing is known of it.
        let is_here = tag.value_type.as_deref().is_none_or(|kind| matches!(kind, "text" | "json"))
            && tag.encoding.as_deref().is_none_or(|encoding| encoding == "none");
        let text = kind
            .filter(|_| is_here)
            .and_then(|kind| path(&tag.value).map(|path| TextSource { path, kind }));
        Self { items: path(&tag.value_list), is_image: is("Image"), text }
    }
}
