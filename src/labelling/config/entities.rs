//! Replacing references to internal entities.
//!
//! In: the entities a document declares, and pieces of its text. Out: the
//! pieces with the text of the entities in place. What references expand to is
//! bounded the way libxml2 bounds it, and loops end at the nesting limit.

use std::collections::HashMap;

use super::error::LabelConfigError;
use super::limits::MAX_CONFIG_BYTES;
use super::scan::{Piece, Pieces, Reference, is_space, is_xml_char, reference};

type Result<T> = std::result::Result<T, LabelConfigError>;

/// Entities within entities; one more is an error in libxml2.
const MAX_ENTITY_DEPTH: usize = 19;
/// libxml2 allows this many bytes of expansion, and beyond it an amplification
/// of [`MAX_AMPLIFICATION`], a reference counting as [`REFERENCE_COST`] bytes.
const FREE_EXPANSION: usize = 1_000_000;
const MAX_AMPLIFICATION: usize = 5;
const REFERENCE_COST: usize = 20;

#[derive(Debug)]
pub(super) enum Entity {
    /// Its replacement text.
    Internal(String),
    /// Kept outside the document, so an error where it is used.
    External,
}

/// The literal value of an entity with its character references replaced;
/// references to other entities stay until they are used.
pub(super) fn replacement_text(source: &str, start: usize, literal: &str) -> Result<String> {
    let mut out = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some(char) = rest.chars().next() {
        let length = match char {
            '&' => match reference(rest) {
                Some(Reference::Char(char, length)) if rest.starts_with("&#") => {
                    out.push(char);
                    length
                }
                Some(Reference::Char(_, length) | Reference::Entity(_, length)) => {
                    out.push_str(&rest[..length]);
                    length
                }
                None => {
                    let message = "'&' in the value of an entity must be written &#38;";
                    return Err(LabelConfigError::at(source, start, message));
                }
            },
            '%' => {
                let message = "'%' in the value of an entity must be written &#37;";
                return Err(LabelConfigError::at(source, start, message));
            }
            _ if is_xml_char(char) => {
                out.push(char);
                char.len_utf8()
            }
            _ => {
                let message = format!("the character {char:?} is not allowed");
                return Err(LabelConfigError::at(source, start, message));
            }
        };
        rest = &rest[length..];
    }
    Ok(out)
}

/// Replaces references, keeping account of what they expand to.
pub(super) struct Expander<'a> {
    entities: &'a HashMap<String, Entity>,
    source: &'a str,
    /// Where in the source the piece under work begins.
    pub(super) at: usize,
    pub(super) spent: usize,
}

impl<'a> Expander<'a> {
    pub(super) fn new(
        entities: &'a HashMap<String, Entity>,
        source: &'a str,
        spent: usize,
    ) -> Self {
        Self { entities, source, at: 0, spent }
    }

    fn fail(&self, message: impl Into<String>) -> LabelConfigError {
        LabelConfigError::at(self.source, self.at, message)
    }

    fn resolve(&mut self, name: &str, depth: usize) -> Result<&'a str> {
        let Some(Entity::Internal(text)) = self.entities.get(name) else {
            return Err(self.fail(format!("the entity &{name}; is not defined here")));
        };
        if depth == MAX_ENTITY_DEPTH {
            return Err(self.fail(format!("the entity &{name}; refers to too many others")));
        }
        self.spent += text.len() + REFERENCE_COST;
        let allowed = FREE_EXPANSION.max(self.source.len() * MAX_AMPLIFICATION);
        if self.spent > allowed.min(MAX_CONFIG_BYTES) {
            return Err(LabelConfigError::TooLarge(
                "its entities expand to many times its size".into(),
            ));
        }
        Ok(text)
    }

    /// Copies one piece; `depth` counts the tags open around it.
    pub(super) fn piece(
        &mut self,
        piece: Piece<'_>,
        depth: &mut usize,
        entity_depth: usize,
        out: &mut String,
    ) -> Result<()> {
        match piece {
            Piece::Text(text) => self.text(text, entity_depth, out)?,
            Piece::Open(tag) => {
                self.tag(tag, entity_depth, out)?;
                *depth += 1;
            }
            Piece::Empty(tag) => self.tag(tag, entity_depth, out)?,
            Piece::Close(tag) => {
                out.push_str(tag);
                *depth = depth.saturating_sub(1);
            }
            Piece::Opaque(raw) | Piece::Instruction(raw) | Piece::Broken(raw) => out.push_str(raw),
        }
        Ok(())
    }

    /// Puts the content of entities in place of their references; characters
    /// given by number or by a predefined name are left to the XML library.
    fn text(&mut self, text: &str, entity_depth: usize, out: &mut String) -> Result<()> {
        let mut rest = text;
        while let Some(position) = rest.find('&') {
            out.push_str(&rest[..position]);
            rest = &rest[position..];
            let length = match reference(rest) {
                Some(Reference::Char(_, length)) => {
                    out.push_str(&rest[..length]);
                    length
                }
                Some(Reference::Entity(name, length)) => {
                    self.content(name, entity_depth, out)?;
                    length
                }
                None => return Err(self.fail("'&' must be written &amp;")),
            };
            rest = &rest[length..];
        }
        out.push_str(rest);
        Ok(())
    }

    /// An entity used as content must be well-formed by itself: what it opens
    /// it closes.
    fn content(&mut self, name: &str, entity_depth: usize, out: &mut String) -> Result<()> {
        let text = self.resolve(name, entity_depth)?;
        let mut depth = 0_usize;
        for (_, piece) in Pieces::new(text) {
            let closes_more = depth == 0 && matches!(piece, Piece::Close(_));
            if closes_more || matches!(piece, Piece::Broken(_)) {
                return Err(self.fail(format!("the entity &{name}; is not well-formed")));
            }
            self.piece(piece, &mut depth, entity_depth + 1, out)?;
        }
        if depth > 0 {
            return Err(self.fail(format!("the entity &{name}; leaves a tag open")));
        }
        Ok(())
    }

    fn tag(&mut self, tag: &str, entity_depth: usize, out: &mut String) -> Result<()> {
        let mut rest = tag;
        while let Some(position) = rest.find(['"', '\'']) {
            let quote = &rest[position..=position];
            let Some(length) = rest[position + 1..].find(quote) else {
                break;
            };
            let value = &rest[position + 1..=position + length];
            out.push_str(&rest[..=position]);
            if value.contains('&') {
                let mut expanded = String::new();
                self.attribute_value(value, entity_depth, &mut expanded)?;
                push_escaped(&expanded, out);
            } else {
                out.push_str(value);
            }
            out.push_str(quote);
            rest = &rest[position + length + 2..];
        }
        out.push_str(rest);
        Ok(())
    }

    /// The normalised value of an attribute: white space as written becomes
    /// spaces, white space given by number stays.
    pub(super) fn attribute_value(
        &mut self,
        raw: &str,
        depth: usize,
        out: &mut String,
    ) -> Result<()> {
        let mut rest = raw;
        while let Some(char) = rest.chars().next() {
            let length = match char {
                '&' => match reference(rest) {
                    Some(Reference::Char(char, length)) => {
                        out.push(char);
                        length
                    }
                    Some(Reference::Entity(name, length)) => {
                        let text = self.resolve(name, depth)?;
                        self.attribute_value(text, depth + 1, out)?;
                        length
                    }
                    None => return Err(self.fail("'&' must be written &amp;")),
                },
                '<' => return Err(self.fail("'<' in an attribute value must be written &lt;")),
                _ if !is_xml_char(char) => {
                    return Err(self.fail(format!("the character {char:?} is not allowed")));
                }
                // Line ends of the document are one space each; those that an
                // entity brings along were never joined.
                '\r' if depth == 0 && rest.starts_with("\r\n") => {
                    out.push(' ');
                    2
                }
                _ => {
                    out.push(if is_space(char) { ' ' } else { char });
                    char.len_utf8()
                }
            };
            rest = &rest[length..];
        }
        Ok(())
    }
}

fn push_escaped(value: &str, out: &mut String) {
    for char in value.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            _ => out.push(char),
        }
    }
}
