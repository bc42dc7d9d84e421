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

/// The routes of the server and the methods that they answer.
pub(super) const ROUTES: [(&str, &str); 19] = [
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("POST", "/setup"),
    ("POST", "/predict"),
    ("POST", "/train"),
    ("POST", "/webhook"),
    ("GET", "/is_training"),
    ("GET", "/jobs"),
    ("GET", "/jobs/{job}"),
    ("GET", "/jobs/{job}/log"),
    ("POST", "/jobs/{job}/cancel"),
    ("POST", "/job_status"),
    ("POST", "/versions/{version}/activate"),
    ("GET", "/versions"),
    ("POST", "/versions"),
    ("GET", "/diagnostics"),
    ("GET", "/metrics"),
];

/// Routes that tell whether the server lives. Nothing that they say is worth a wait.
pub(super) const STATE_ROUTES: [&str; 4] = ["/", "/health", "/livez", "/readyz"];
