//! From text to an XML tree, under limits.
//!
//! In: the text of a config. Out: a tree as lxml would build it, or a
//! refusal. The XML library sees only what cannot make it slow: the declaration
//! is read here, and depth, size and the places where the library is quadratic
//! are checked beforehand.

use roxmltree::{Document, ParsingOptions};

use super::error::{LabelConfigError, line_and_column};
use super::scan::{Cursor, XmlPiece, XmlPieces, attributes, is_name_char, is_space, is_xml_char};

type Result<T> = std::result::Result<T, LabelConfigError>;

/// Maximum size of a config, in bytes; libxml2 refuses a single text of this size.
pub const MAX_CONFIG_BYTES: usize = 10_000_000;
/// Maximum number of nested tags; libxml2's limit.
const MAX_DEPTH: usize = 256;
/// Maximum number of `<` and of `=`, for which the library reserves memory up front.
const MAX_TAGS: usize = 1_000_000;
const MAX_ASSIGNMENTS: usize = 2_000_000;
/// The library compares each attribute of a tag with every other one.
const MAX_ATTRIBUTE_COMPARISONS: usize = 100_000_000;
/// The library searches all namespaces in scope for each name.
const MAX_NAMESPACES: usize = 100;
/// It also compares whole namespaces where a comparison of prefixes would do.
const MAX_URI_BYTES: usize = 300;

/// What a URI may contain besides ASCII letters and digits.
const URI_MARKS: &[u8] = b"-._~:/?#[]@!$'()*+,;=%";
const BAD_NUMBER: &str = "a character given by number does not exist in XML";
const DOCUMENT_TYPE: &str =
    "<!DOCTYPE> is not allowed, as in Label Studio: remove it and write out its entities";

/// A text that the XML library may read.
pub(super) struct Prepared<'a> {
    text: &'a str,
    /// Lines and columns of the config that precede `text`.
    skipped: (usize, usize),
}

/// Takes the declaration off a config and checks the rest.
pub(super) fn prepare(config: &str) -> Result<Prepared<'_>> {
    if config.len() > MAX_CONFIG_BYTES {
        return Err(too_large(format!("over {MAX_CONFIG_BYTES} bytes")));
    }
    if names_encoding(config) {
        return Err(LabelConfigError::EncodingDeclaration);
    }
    let text = config.strip_prefix('\u{FEFF}').unwrap_or(config);
    let start = declaration(text)?;
    let (line, column) = line_and_column(text, start);
    let prepared = Prepared { text: &text[start..], skipped: (line - 1, column - 1) };
    prepared.check()?;
    Ok(prepared)
}

impl Prepared<'_> {
    pub(super) fn document(&self) -> Result<Document<'_>> {
        let options = ParsingOptions {
            nodes_limit: u32::try_from(MAX_TAGS * 2).unwrap_or(u32::MAX),
            ..ParsingOptions::default()
        };
        Document::parse_with_options(self.text, options).map_err(|error| self.explain(&error))
    }

    fn at(&self, offset: usize, message: impl Into<String>) -> LabelConfigError {
        self.positioned(line_and_column(self.text, offset), message)
    }

    fn positioned(
        &self,
        (line, column): (usize, usize),
        message: impl Into<String>,
    ) -> LabelConfigError {
        let (lines, columns) = self.skipped;
        LabelConfigError::Syntax {
            message: message.into(),
            line: line + lines,
            column: if line == 1 { column + columns } else { column },
        }
    }

    fn check(&self) -> Result<()> {
        let text = self.text;
        if text.matches('<').count() > MAX_TAGS {
            return Err(too_large(format!("over {MAX_TAGS} tags")));
        }
        if text.matches('=').count() > MAX_ASSIGNMENTS {
            return Err(too_large(format!("over {MAX_ASSIGNMENTS} attributes")));
        }
        let mut depth = 0_usize;
        let mut comparisons = 0_usize;
        let mut namespaces = 0_usize;
        for (offset, piece) in XmlPieces::new(text) {
            match piece {
                XmlPiece::Open(tag) | XmlPiece::Empty(tag) => {
                    if depth == MAX_DEPTH {
                        let message = format!("tags are nested more than {MAX_DEPTH} deep");
                        return Err(self.at(offset, message));
                    }
                    depth += usize::from(matches!(piece, XmlPiece::Open(_)));
                    let (attributes, declared) = self.check_tag(offset, tag)?;
                    comparisons = comparisons.saturating_add(attributes.saturating_pow(2));
                    namespaces += declared;
                }
                XmlPiece::Close(_) => depth = depth.saturating_sub(1),
                XmlPiece::Instruction(raw) => {
                    if let Some(message) = instruction_fault(raw) {
                        return Err(self.at(offset, message));
                    }
                }
                XmlPiece::Text(text) if !has_valid_numbers(text) => {
                    return Err(self.at(offset, BAD_NUMBER));
                }
                XmlPiece::Broken(raw) if raw.starts_with("<!DOCTYPE") => {
                    return Err(self.at(offset, DOCUMENT_TYPE));
                }
                XmlPiece::Text(_) | XmlPiece::Opaque(_) | XmlPiece::Broken(_) => {}
            }
        }
        if comparisons > MAX_ATTRIBUTE_COMPARISONS {
            return Err(too_large("too many attributes in one tag".into()));
        }
        if namespaces > MAX_NAMESPACES {
            return Err(too_large(format!("over {MAX_NAMESPACES} namespaces")));
        }
        Ok(())
    }

    /// Returns how many attributes a tag has, and how many of them declare a
    /// namespace.
    fn check_tag(&self, offset: usize, tag: &str) -> Result<(usize, usize)> {
        if tag.starts_with("<:") {
            return Err(self.at(offset, "a name may not begin with ':'"));
        }
        if !has_valid_numbers(tag) {
            return Err(self.at(offset, BAD_NUMBER));
        }
        let mut count = 0;
        let mut declared = 0;
        for (name, value) in attributes(tag) {
            if let Some(message) = attribute_fault(name, value) {
                return Err(self.at(offset, message));
            }
            count += 1;
            declared += usize::from(name.starts_with("xmlns"));
        }
        Ok((count, declared))
    }

    fn explain(&self, error: &roxmltree::Error) -> LabelConfigError {
        use roxmltree::Error;
        let message = match error {
            Error::UnexpectedCloseTag(open, close, _) => {
                format!("the closing tag </{close}> does not match <{open}>")
            }
            Error::UnclosedRootNode => return self.unclosed(),
            Error::NoRootNode | Error::UnexpectedEndOfStream => {
                let message = "the config ends before it is complete";
                return self.at(self.text.len(), message);
            }
            Error::NodesLimitReached => return too_large(format!("over {MAX_TAGS} tags")),
            Error::InvalidChar(b'"' | b'\'', b'<', _) => {
                "'<' in an attribute value must be written &lt;".into()
            }
            Error::InvalidChar(b'=', _, _) => "an attribute has no value".into(),
            Error::InvalidChar2("a quote", _, _) => "an attribute value must be in quotes".into(),
            Error::InvalidName(_) => "a name is missing or not valid".into(),
            Error::UnknownEntityReference(name, _) => {
                format!("the entity &{name}; is not defined here; '&' must be written &amp;")
            }
            Error::MalformedEntityReference(_) => "'&' must be written &amp;".into(),
            Error::DuplicatedAttribute(name, _) => format!("the attribute {name} is given twice"),
            Error::UnknownNamespace(prefix, _) => {
                format!("the namespace prefix {prefix} is not declared")
            }
            Error::InvalidComment(_) => "a comment may not contain '--'".into(),
            Error::InvalidCharacterData(_) => "']]>' may not stand in text".into(),
            Error::NonXmlChar(char, _) => format!("the character {char:?} is not allowed"),
            Error::UnknownToken(_) => "text or markup that is not allowed here".into(),
            // The library's words end with a position of its own.
            other => match other.to_string().rsplit_once(" at ") {
                Some((message, _)) => message.to_owned(),
                None => other.to_string(),
            },
        };
        let position = error.pos();
        self.positioned((position.row as usize, position.col as usize), message)
    }

    fn unclosed(&self) -> LabelConfigError {
        let mut open = Vec::new();
        for (offset, piece) in XmlPieces::new(self.text) {
            match piece {
                XmlPiece::Open(tag) => open.push((offset, tag)),
                XmlPiece::Close(_) => drop(open.pop()),
                _ => {}
            }
        }
        let (offset, tag) = open.last().copied().unwrap_or_default();
        let name = tag.trim_matches(['<', '>']).split(is_space).next();
        let message = format!("the tag <{}> is never closed", name.unwrap_or_default());
        self.at(offset, message)
    }
}

fn too_large(what: String) -> LabelConfigError {
    LabelConfigError::TooLarge(what)
}

/// lxml's test for text that claims an encoding: in the first tag, if that
/// begins with `<?xml`, something and white space and then `encoding="..."`.
fn names_encoding(config: &str) -> bool {
    const WORD: &str = "encoding";
    let Some(inner) = config.strip_prefix("<?xml") else {
        return false;
    };
    let head = &inner[..inner.find('>').unwrap_or(inner.len())];
    head.match_indices(WORD).any(|(position, _)| {
        let mut before = head[..position].chars();
        let spaced = before.next_back().is_some_and(is_python_space) && before.next().is_some();
        let after = inner[position + WORD.len()..].trim_start_matches(is_python_space);
        let value = after.strip_prefix('=').map(|value| value.trim_start_matches(is_python_space));
        let quoted = value.and_then(|value| value.strip_prefix(['"', '\'']));
        spaced && quoted.is_some_and(|value| value.contains(['"', '\'']))
    })
}

fn is_python_space(char: char) -> bool {
    char.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&char)
}

/// Reads `<?xml version="1.x" standalone="..."?>` and returns the offset after
/// it, 0 if there is none. An encoding gets here behind a byte order mark only,
/// where lxml ignores it.
fn declaration(text: &str) -> Result<usize> {
    let mut cursor = Cursor { source: text, pos: 0 };
    if !(cursor.eat("<?xml") && cursor.space()) {
        return Ok(0);
    }
    let version = pseudo_attribute(&mut cursor, "version")?.unwrap_or_default();
    let minor = version.strip_prefix("1.");
    if !minor.is_some_and(|minor| minor.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(cursor.fail("the XML declaration must begin with version=\"1.0\""));
    }
    let mut spaced = cursor.space();
    if spaced && pseudo_attribute(&mut cursor, "encoding")?.is_some() {
        spaced = cursor.space();
    }
    if spaced && let Some(value) = pseudo_attribute(&mut cursor, "standalone")? {
        if !matches!(value, "yes" | "no") {
            return Err(cursor.fail("standalone must be \"yes\" or \"no\""));
        }
        cursor.space();
    }
    cursor.expect("?>")?;
    Ok(cursor.pos)
}

fn pseudo_attribute<'a>(cursor: &mut Cursor<'a>, name: &str) -> Result<Option<&'a str>> {
    if !cursor.eat(name) {
        return Ok(None);
    }
    cursor.space();
    cursor.expect("=")?;
    cursor.space();
    cursor.quoted().map(Some)
}

/// What libxml2 refuses about an attribute and the library does not.
fn attribute_fault(name: &str, value: &str) -> Option<&'static str> {
    if name.starts_with(':') {
        return Some("a name may not begin with ':'");
    }
    let prefix = match name.strip_prefix("xmlns")? {
        "" => None,
        other => Some(other.strip_prefix(':')?),
    };
    let is_uri_char = |byte: u8| byte.is_ascii_alphanumeric() || URI_MARKS.contains(&byte);
    if prefix == Some("xmlns") {
        Some("the prefix xmlns may not be declared")
    } else if prefix.is_some() && value.is_empty() {
        Some("a namespace with a prefix may not be empty")
    } else if value.len() > MAX_URI_BYTES {
        Some("a namespace may not be this long")
    } else if !value.replace("&amp;", "").bytes().all(is_uri_char) {
        Some("a namespace must be a valid URI")
    } else {
        None
    }
}

/// Whether each character given by number is one that XML admits.
fn has_valid_numbers(text: &str) -> bool {
    text.match_indices("&#").all(|(position, _)| is_valid_number(&text[position + 2..]))
}

/// Whether a text begins with `10;` or `xA;`, the number of a character that XML admits.
fn is_valid_number(text: &str) -> bool {
    let Some((number, _)) = text.split_once(';') else { return false };
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    digits.starts_with(|char: char| char.is_digit(radix))
        && u32::from_str_radix(digits, radix).ok().and_then(char::from_u32).is_some_and(is_xml_char)
}

/// What libxml2 refuses about a processing instruction and the library does not.
fn instruction_fault(raw: &str) -> Option<&'static str> {
    let inner = raw.strip_prefix("<?")?.strip_suffix("?>")?;
    let target = inner.split(is_space).next()?;
    if target.eq_ignore_ascii_case("xml") {
        Some("an XML declaration may stand at the very start only")
    } else if target.contains(':') || !target.chars().all(is_name_char) {
        Some("this is not a valid name for a processing instruction")
    } else {
        None
    }
}
