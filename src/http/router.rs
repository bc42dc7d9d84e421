//! Which path leads where.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use super::state::App;
use super::{
    auth, diagnostics, error, health, jobs, metrics, predict, setup, target, training, versions,
};

pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/", get(health::health))
        .route("/health", get(health::health))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/setup", post(setup::setup))
        .route("/predict", post(predict::predict))
        .route("/train", post(training::train))
        .route("/webhook", post(training::webhook))
        .route("/is_training", get(training::is_training))
        .route("/jobs", get(jobs::list))
        .route("/jobs/{job}", get(jobs::one))
        .route("/jobs/{job}/log", get(jobs::log))
        .route("/jobs/{job}/cancel", post(jobs::cancel))
        .route("/job_status", post(jobs::job_status))
        .route("/versions/{version}/activate", post(versions::activate))
        .route("/versions", get(versions::of_all).post(versions::of_project))
        .route("/diagnostics", get(diagnostics::diagnostics))
        .route("/metrics", get(metrics::metrics))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(from_fn_with_state(app.clone(), auth::check))
        .layer(from_fn(target::check))
        // Refusals count too.
        .layer(from_fn(metrics::count))
        .with_state(app.clone());
    // The header `Allow` is added by the routes as a whole, so what completes it is outside.
    Router::new()
        .fallback_service(routes)
        .layer(from_fn(error::complete_allow))
        .layer(from_fn_with_state(app.clone(), error::finish))
        .layer(from_fn_with_state(app, target::arrive))
}
