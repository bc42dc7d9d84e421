//! What is known while an answer is checked: the request, its tasks as far as they are read, and what was found.

use super::finding::{Checked, Mended};
use super::tasks::TaskReader;
use super::text::CharacterIndex;

/// What the answer is an answer to.
#[derive(Debug, Clone, Copy)]
pub struct AnswerContext<'a> {
    pub tasks: usize,
    /// The version that /setup tells, where that is known.
    pub version: Option<&'a str>,
    pub mended: &'a Mended,
    /// The body of the request; its tasks are read only where a rule asks for their data.
    pub request: &'a [u8],
    /// The request has a context: a person labels, and the answer is a suggestion.
    pub is_interactive: bool,
    /// The model looks at the context, and may have nothing to say without one.
    pub uses_context: bool,
}

/// What is known while an answer is checked.
pub(super) struct Checking<'a> {
    pub(super) asked: AnswerContext<'a>,
    pub(super) tasks: TaskReader<'a>,
    pub(super) texts: CharacterIndex,
    pub(super) checked: Checked,
}

impl<'a> Checking<'a> {
    pub(super) fn new(asked: AnswerContext<'a>) -> Self {
        Self {
            asked,
            tasks: TaskReader::new(asked.request),
            texts: CharacterIndex::default(),
            checked: Checked::default(),
        }
    }
}
