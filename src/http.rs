//! The HTTP side: connections come in, answers go out.
//!
//! A request goes from [`connections`] through [`router`] and `admission` to its handler in `routes`, which
//! takes out of it what it needs by `extract`, or through the user's app in a worker (`user_app`). Errors become answers in `error` and `finish`.

mod admission;
pub mod auth;
pub mod connections;
mod error;
mod extract;
mod finish;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod normalize;
mod probe_ticket;
pub mod request_metrics;
pub mod router;
mod routes;
mod server_routes;
pub mod state;
mod user_app;
pub mod webhook_token;

pub use admission::rules::Access;
pub use extract::body_budget::BodyBudget;
pub use extract::body_limits::BodyLimits;
