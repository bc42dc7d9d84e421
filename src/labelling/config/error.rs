//! Why a labelling config is refused.
//!
//! In: a position in the text and a reason. Out: a message for humans, and the
//! kind of Python exception a caller of `parse_config` expects for it.

use thiserror::Error;

/// A config that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LabelConfigError {
    /// The text is not well-formed XML. Line and column count from 1, the
    /// column in characters.
    #[error("{message}, line {line}, column {column}")]
    Syntax { message: String, line: usize, column: usize },
    /// The text, or what it stands for, exceeds a limit of this reader.
    #[error("the labelling config is too large: {0}")]
    TooLarge(String),
    /// The XML declaration names an encoding. lxml refuses that for text (as
    /// opposed to bytes) before it looks at anything else.
    #[error(
        "the labelling config is text, so its XML declaration may not name an encoding: \
         remove encoding=\"...\" from the first line"
    )]
    EncodingDeclaration,
}

/// The Python exception that stands for a [`LabelConfigError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelConfigErrorKind {
    /// `LabelStudioXMLSyntaxErrorSentryIgnored` of the package in question.
    XmlSyntax,
    /// The builtin `ValueError`.
    Value,
}

impl LabelConfigError {
    /// libxml2 reports its own limits as syntax errors, so ours are too.
    pub fn kind(&self) -> LabelConfigErrorKind {
        match self {
            Self::Syntax { .. } | Self::TooLarge(_) => LabelConfigErrorKind::XmlSyntax,
            Self::EncodingDeclaration => LabelConfigErrorKind::Value,
        }
    }

    /// A syntax error at a byte offset of `text`.
    pub(super) fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = line_and_column(text, offset);
        Self::Syntax { message: message.into(), line, column }
    }
}

pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}
