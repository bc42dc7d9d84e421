//! Cutting XML text into pieces, in one linear pass and without judging them.
//!
//! In: XML text. Out: its comments, tags and runs of text with their offsets
//! ([`XmlPieces`]), and a reading position for declarations ([`Cursor`]). Where
//! the text is well-formed the cuts are those of a real parser; where it is not
//! they are good up to the first fault, which a real parser refuses anyway.

use super::error::LabelConfigError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum XmlPiece<'a> {
    Text(&'a str),
    /// Comment or CDATA section: nothing in it counts.
    Opaque(&'a str),
    Instruction(&'a str),
    Open(&'a str),
    Empty(&'a str),
    Close(&'a str),
    /// Everything from the first unfinished or unknown markup on.
    Broken(&'a str),
}

impl<'a> XmlPiece<'a> {
    pub(super) fn text(self) -> &'a str {
        match self {
            Self::Text(text)
            | Self::Opaque(text)
            | Self::Instruction(text)
            | Self::Open(text)
            | Self::Empty(text)
            | Self::Close(text)
            | Self::Broken(text) => text,
        }
    }

    fn first_of(rest: &'a str) -> Self {
        if !rest.starts_with('<') {
            return Self::Text(&rest[..rest.find('<').unwrap_or(rest.len())]);
        }
        let opaque: fn(&'a str) -> Self = Self::Opaque;
        for (open, close, piece) in
            [("<!--", "-->", opaque), ("<![CDATA[", "]]>", opaque), ("<?", "?>", Self::Instruction)]
        {
            if let Some(inner) = rest.strip_prefix(open) {
                return match inner.find(close) {
                    Some(length) => piece(&rest[..open.len() + length + close.len()]),
                    None => Self::Broken(rest),
                };
            }
        }
        match tag_end(rest).map(|end| &rest[..end]) {
            Some(tag) if tag.starts_with("</") => Self::Close(tag),
            Some(tag) if tag.starts_with("<!") => Self::Broken(rest),
            Some(tag) if tag.ends_with("/>") => Self::Empty(tag),
            Some(tag) => Self::Open(tag),
            None => Self::Broken(rest),
        }
    }
}

fn tag_end(rest: &str) -> Option<usize> {
    let mut quote = None;
    for (index, byte) in rest.bytes().enumerate().skip(1) {
        match (byte, quote) {
            (b'<', _) => return None,
            (b'"' | b'\'', None) => quote = Some(byte),
            (b'>', None) => return Some(index + 1),
            (_, Some(open)) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// Iterates over the pieces of a text with their byte offsets.
pub(super) struct XmlPieces<'a> {
    text: &'a str,
    pos: usize,
}

impl<'a> XmlPieces<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, pos: 0 }
    }
}

impl<'a> Iterator for XmlPieces<'a> {
    type Item = (usize, XmlPiece<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.pos;
        let rest = &self.text[offset..];
        if rest.is_empty() {
            return None;
        }
        let piece = XmlPiece::first_of(rest);
        self.pos += piece.text().len();
        Some((offset, piece))
    }
}

/// Names and raw values of the attributes in a tag, as long as it is
/// well-formed.
pub(super) fn attributes(tag: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = tag;
    std::iter::from_fn(move || {
        let (before, behind) = rest.split_once(['"', '\''])?;
        let quote = rest[before.len()..].chars().next()?;
        let (value, next) = behind.split_once(quote)?;
        rest = next;
        let name = before.trim_end_matches(is_space).strip_suffix('=')?;
        let name = name.trim_end_matches(is_space).rsplit(is_space).next()?;
        Some((name, value))
    })
}

/// A reading position in a declaration.
pub(super) struct Cursor<'a> {
    pub(super) source: &'a str,
    pub(super) pos: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.pos..]
    }

    pub(super) fn fail(&self, message: impl Into<String>) -> LabelConfigError {
        LabelConfigError::at(self.source, self.pos, message)
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.pos += token.len();
        }
        found
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), LabelConfigError> {
        if self.eat(token) { Ok(()) } else { Err(self.fail(format!("'{token}' is missing"))) }
    }

    /// Skips white space; tells whether there was any.
    pub(super) fn space(&mut self) -> bool {
        let rest = self.rest();
        let skipped = rest.len() - rest.trim_start_matches(is_space).len();
        self.pos += skipped;
        skipped > 0
    }

    /// The text between two equal quotes.
    pub(super) fn quoted(&mut self) -> Result<&'a str, LabelConfigError> {
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|char| matches!(char, '"' | '\'')) else {
            return Err(self.fail("a quote is missing"));
        };
        match rest[1..].find(quote) {
            Some(length) => {
                self.pos += length + 2;
                Ok(&rest[1..=length])
            }
            None => Err(self.fail("a quote is never closed")),
        }
    }
}

pub(super) fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\r' | '\n')
}

/// Wider than XML for characters beyond ASCII, which the XML library judges.
fn is_name_start(char: char) -> bool {
    char.is_ascii_alphabetic()
        || matches!(char, '_' | ':')
        || (!char.is_ascii() && is_xml_char(char))
}

pub(super) fn is_name_char(char: char) -> bool {
    is_name_start(char) || char.is_ascii_digit() || matches!(char, '-' | '.')
}

/// The characters that XML 1.0 admits at all.
pub(super) fn is_xml_char(char: char) -> bool {
    is_space(char) || (char >= ' ' && !matches!(char, '\u{FFFE}' | '\u{FFFF}'))
}
