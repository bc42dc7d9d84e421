//! The limit that reading a configuration and expanding its entities share.

/// libxml2 refuses a single text of this size; here it is the whole document.
pub const MAX_CONFIG_BYTES: usize = 10_000_000;
