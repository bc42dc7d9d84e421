//! The two Python packages whose `parse_config` this reader follows.

use std::str::FromStr;

use thiserror::Error;

/// The package whose `parse_config` to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// label-studio-tools 0.0.4
    Tools,
    /// label-studio-sdk 2.1.2, which reports `valueType` and `valueList` too.
    Sdk,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a dialect of labelling configs, expected \"tools\" or \"sdk\"")]
pub struct UnknownDialect(String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "tools" => Ok(Self::Tools),
            "sdk" => Ok(Self::Sdk),
            other => Err(UnknownDialect(other.to_owned())),
        }
    }
}
