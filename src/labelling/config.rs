//! Label Studio labelling configurations (XML) as data.
//!
//! In: the text of a configuration and the dialect of the package whose answer
//! is wanted. Out: the controls in document order, serialising to exactly the
//! mapping that `parse_config` of that package returns, or a typed refusal.
//! Pure: no I/O, bounded time and memory for any text.
//!
//! Known differences from lxml, none of which a labelling configuration needs:
//! the pseudo-attributes of processing instructions are not attributes; element
//! and notation declarations, attribute types of defaults, and `xml:id` are not
//! validated; tags may not have the prefix `xml`; sizes have limits (`xml`,
//! `parse`) where libxml2 has none or higher ones.

mod dialect;
mod dtd;
mod entities;
mod error;
mod limits;
mod model;
mod parse;
mod scan;
mod tag;
mod xml;

#[cfg(test)]
mod tests;

pub use dialect::{Dialect, UnknownDialect};
pub use error::{ErrorKind, LabelConfigError};
pub use limits::MAX_CONFIG_BYTES;
pub use model::{Conditional, ConditionalKind, Control, Input, InputSource, LabelConfig};
pub use parse::{has_variable, parse};
