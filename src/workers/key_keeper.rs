//! What answers the questions of workers about the keys of a project.

use std::future::Future;
use std::pin::Pin;

use crate::wire::keys::{KeyAnswer, KeyQuestion};

/// Keeps values for the workers of a server.
pub trait KeyKeeper: std::fmt::Debug + Send + Sync {
    fn answer(&self, question: KeyQuestion)
    -> Pin<Box<dyn Future<Output = KeyAnswer> + Send + '_>>;
}
