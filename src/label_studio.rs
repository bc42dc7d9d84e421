//! A client of Label Studio's REST API, for the commands that work on a project.
//!
//! In: an address and a user's API key. Out: projects, tasks, predictions, ML backends and webhooks, with the
//! fields that are used here. Each error is one sentence that says what to set.

mod address;
pub mod backends;
mod client;
pub mod error;
pub mod ids;
pub mod media;
pub mod predictions;
pub mod projects;
mod query;
mod response;
pub mod tasks;
#[cfg(test)]
mod testing;
mod tls;
mod token;
pub mod webhooks;

pub use client::{LabelStudio, RequestPolicy, User};
pub use error::LabelStudioError;
pub use tls::client as http_client;
pub use token::TokenKind;
