//! The HTTP side: one file a route family, one place that turns errors into answers.

pub mod auth;
pub mod body;
mod budget;
mod diagnostics;
mod error;
mod fields;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod health;
mod jobs;
pub mod metrics;
mod name;
mod predict;
mod prefer;
pub mod router;
pub mod serve;
mod setup;
pub mod state;
mod target;
pub mod token;
mod training;
mod versions;
