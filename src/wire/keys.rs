//! What user code asks about the keys of its project, and the answers.

use bytes::Bytes;

use crate::wire::protocol::{KeyOperation, KeyOutcome};

/// An answer and the value that comes with it.
pub type KeyAnswer = (KeyOutcome, Bytes);

/// What user code asks.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    pub ask: KeyOperation,
    /// The id of a project as user code knows it: without its time of creation.
    pub project: String,
    pub key: String,
    pub value: Bytes,
}
