//! Label Studio labelling configs (XML) as data.
//!
//! In: the text of a config and the dialect of the package whose answer
//! is wanted. Out: the controls in document order, serialising to exactly the
//! mapping that `parse_config` of that package returns, or a typed refusal.
//! Pure: no I/O, bounded time and memory for any text.
//!
//! Known differences from lxml: a document type declaration (`<!DOCTYPE …>`) is refused, as Label
//! Studio refuses it; the pseudo-attributes of processing instructions are not attributes; `xml:id`
//! is not validated; tags may not have the prefix `xml`; sizes have limits (`xml`, `parse`) where
//! libxml2 has none or higher ones.

mod dialect;
mod error;
mod layout;
mod model;
mod parse;
mod scan;
mod tag;
mod xml;

#[cfg(test)]
mod tests;

pub use dialect::{Dialect, UnknownDialect};
pub use error::{LabelConfigError, LabelConfigErrorKind};
pub use layout::{ConfigLayout, NamedTag, Repeater, read_layout};
pub use model::{Conditional, ConditionalKind, ControlTag, LabelConfig, ObjectSource, ObjectTag};
pub use parse::{has_variable, parse};
pub use xml::MAX_CONFIG_BYTES;
