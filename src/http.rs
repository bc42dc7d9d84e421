//! The HTTP side: connections come in, answers go out.
//!
//! A request goes from [`connections`] through [`router`] to its handler in `routes`, which takes out of it
//! what it needs by `extract`. Errors become answers in `error` and `finish`.

pub mod auth;
pub mod connections;
mod error;
mod extract;
mod finish;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod normalize;
pub mod request_metrics;
pub mod router;
mod routes;
pub mod state;
pub mod webhook_token;

pub use extract::body_budget::BodyBudget;
pub use extract::body_limits::BodyLimits;
