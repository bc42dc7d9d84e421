//! Questions of user code about the keys of its project, and their answers.

use bytes::Bytes;

use crate::wire::protocol::{KeyOperation, KeyOutcome};

/// An answer and the value that comes with it.
pub type KeyAnswer = (KeyOutcome, Bytes);

/// A question of user code.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    pub ask: KeyOperation,
    /// The id of a project as user code knows it: without its time of creation.
    pub project: String,
    pub key: String,
    pub value: Bytes,
}
