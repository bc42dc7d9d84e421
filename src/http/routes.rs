//! The handlers, one file a route family.

pub(super) mod diagnostics;
pub(super) mod fallback;
pub(super) mod health;
mod job_view;
pub(super) mod jobs;
pub(super) mod metrics;
pub(super) mod predict;
pub(super) mod setup;
pub(super) mod training;
pub(super) mod versions;
