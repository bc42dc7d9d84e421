//! What handlers take out of a request: the body within bounds, and the few things that they read of it.

pub(super) mod body_budget;
pub(super) mod body_limits;
pub(super) mod fields;
pub(super) mod json_body;
mod partial_body;
pub(super) mod path_name;
pub(super) mod prefer;
pub(super) mod query;
