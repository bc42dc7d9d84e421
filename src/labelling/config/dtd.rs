//! Document type declarations: internal entities and attribute rules.
//!
//! In: the text from `<!DOCTYPE` on. Out: what it declares ([`Dtd`]), and the
//! document after it with all entity references replaced, so that the XML
//! library never sees a DTD. Nothing outside the text is ever loaded.

use std::collections::HashMap;

use super::entities::{Entity, Expander, replacement_text};
use super::error::LabelConfigError;
use super::scan::{Cursor, Piece, Pieces};

type Result<T> = std::result::Result<T, LabelConfigError>;

/// The declarations that matter to a labelling configuration.
#[derive(Debug, Default)]
pub(super) struct Dtd {
    entities: HashMap<String, Entity>,
    rules: HashMap<String, HashMap<String, AttributeRule>>,
}

/// What an `<!ATTLIST>` says of one attribute.
#[derive(Debug)]
pub(super) struct AttributeRule {
    /// Any type but CDATA: spaces are trimmed and collapsed.
    pub(super) tokenised: bool,
    pub(super) default: Option<String>,
}

impl AttributeRule {
    pub(super) fn collapse(value: &str) -> String {
        let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
        words.join(" ")
    }
}

impl Dtd {
    /// The rules for a tag by its name as written, prefix included.
    pub(super) fn rules(&self, tag: &str) -> Option<&HashMap<String, AttributeRule>> {
        self.rules.get(tag)
    }

    pub(super) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Reads the declaration at `start`; returns the offset after it.
    pub(super) fn read(source: &str, start: usize) -> Result<(Self, usize)> {
        let mut reader =
            Reader { cursor: Cursor { source, pos: start }, dtd: Self::default(), spent: 0 };
        reader.doctype()?;
        Ok((reader.dtd, reader.cursor.pos))
    }

    /// The text from `start` on with entity references replaced.
    pub(super) fn expand(&self, source: &str, start: usize) -> Result<String> {
        let mut expander = Expander::new(&self.entities, source, 0);
        let mut out = String::with_capacity(source.len() - start);
        let mut depth = 0_usize;
        for (offset, piece) in Pieces::new(&source[start..]) {
            expander.at = start + offset;
            match piece {
                Piece::Text(text) if depth == 0 => out.push_str(text),
                _ => expander.piece(piece, &mut depth, 0, &mut out)?,
            }
        }
        Ok(out)
    }
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    dtd: Dtd,
    spent: usize,
}

impl Reader<'_> {
    fn doctype(&mut self) -> Result<()> {
        let cursor = &mut self.cursor;
        cursor.expect("<!DOCTYPE")?;
        cursor.expect_space()?;
        cursor.name()?;
        cursor.space();
        external_id(cursor)?;
        cursor.space();
        if cursor.eat("[") {
            self.subset()?;
        }
        self.cursor.space();
        self.cursor.expect(">")
    }

    fn subset(&mut self) -> Result<()> {
        loop {
            self.cursor.space();
            let cursor = &mut self.cursor;
            if cursor.eat("]") {
                return Ok(());
            } else if cursor.rest().starts_with("<!--") {
                cursor.pos += "<!--".len();
                let text = cursor.skip_past("-->")?;
                if text.trim_end_matches("-->").contains("--") {
                    return Err(cursor.fail("a comment may not contain '--'"));
                }
            } else if cursor.rest().starts_with("<?") {
                cursor.skip_past("?>")?;
            } else if cursor.eat("<!ENTITY") {
                self.entity()?;
            } else if cursor.eat("<!ATTLIST") {
                self.attribute_list()?;
            } else if cursor.eat("<!ELEMENT") || cursor.eat("<!NOTATION") {
                cursor.expect_space()?;
                cursor.name()?;
                unread(cursor)?;
            } else {
                return Err(cursor.fail("this is not allowed in a document type declaration"));
            }
        }
    }

    fn entity(&mut self) -> Result<()> {
        let cursor = &mut self.cursor;
        cursor.expect_space()?;
        let for_declarations = cursor.eat("%");
        if for_declarations {
            cursor.expect_space()?;
        }
        let name = cursor.name()?;
        if name.contains(':') {
            return Err(cursor.fail("the name of an entity may not contain ':'"));
        }
        cursor.expect_space()?;
        let entity = if external_id(cursor)? {
            if cursor.space() && cursor.eat("NDATA") {
                cursor.expect_space()?;
                cursor.name()?;
            }
            Entity::External
        } else {
            let start = cursor.pos;
            Entity::Internal(replacement_text(cursor.source, start, cursor.quoted()?)?)
        };
        cursor.space();
        cursor.expect(">")?;
        if !for_declarations {
            // The first declaration of a name is the binding one.
            let entities = &mut self.dtd.entities;
            entities.entry(name.to_owned()).or_insert(entity);
        }
        Ok(())
    }

    fn attribute_list(&mut self) -> Result<()> {
        self.cursor.expect_space()?;
        let tag = self.cursor.name()?.to_owned();
        loop {
            let spaced = self.cursor.space();
            if self.cursor.eat(">") {
                return Ok(());
            }
            if !spaced {
                return Err(self.cursor.fail("white space is missing"));
            }
            let name = self.cursor.name()?.to_owned();
            self.cursor.expect_space()?;
            let tokenised = attribute_type(&mut self.cursor)?;
            self.cursor.expect_space()?;
            let mut default = self.default_value()?;
            if tokenised {
                default = default.map(|value| AttributeRule::collapse(&value));
            }
            let rules = self.dtd.rules.entry(tag.clone()).or_default();
            rules.entry(name).or_insert(AttributeRule { tokenised, default });
        }
    }

    fn default_value(&mut self) -> Result<Option<String>> {
        let cursor = &mut self.cursor;
        if cursor.eat("#REQUIRED") || cursor.eat("#IMPLIED") {
            return Ok(None);
        }
        if cursor.eat("#FIXED") {
            cursor.expect_space()?;
        }
        let mut expander = Expander::new(&self.dtd.entities, cursor.source, self.spent);
        expander.at = cursor.pos;
        let mut value = String::new();
        expander.attribute_value(cursor.quoted()?, 0, &mut value)?;
        self.spent = expander.spent;
        Ok(Some(value))
    }
}

/// Skips `SYSTEM "..."` or `PUBLIC "..." "..."`; tells whether there was one.
fn external_id(cursor: &mut Cursor<'_>) -> Result<bool> {
    if cursor.eat("PUBLIC") {
        cursor.expect_space()?;
        cursor.quoted()?;
    } else if !cursor.eat("SYSTEM") {
        return Ok(false);
    }
    cursor.expect_space()?;
    cursor.quoted()?;
    Ok(true)
}

/// Skips the rest of a declaration whose content says nothing about labels.
fn unread(cursor: &mut Cursor<'_>) -> Result<()> {
    while !cursor.eat(">") {
        if cursor.rest().starts_with(['"', '\'']) {
            cursor.quoted()?;
            continue;
        }
        match cursor.rest().chars().next() {
            Some(char) if !matches!(char, '<' | ']') => cursor.pos += char.len_utf8(),
            _ => return Err(cursor.fail("a declaration is never closed")),
        }
    }
    Ok(())
}

/// Tells whether the type is one whose values are tokens.
fn attribute_type(cursor: &mut Cursor<'_>) -> Result<bool> {
    const TOKENS: [&str; 7] =
        ["IDREFS", "IDREF", "ID", "ENTITIES", "ENTITY", "NMTOKENS", "NMTOKEN"];
    if cursor.eat("CDATA") {
        return Ok(false);
    }
    if TOKENS.iter().any(|token| cursor.eat(token)) {
        return Ok(true);
    }
    if cursor.eat("NOTATION") {
        cursor.expect_space()?;
    }
    cursor.expect("(")?;
    cursor.skip_past(")")?;
    Ok(true)
}
