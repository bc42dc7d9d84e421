//! Which path leads where.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};

use super::state::App;
use super::{auth, diagnostics, error, health, jobs, metrics, predict, setup, training, versions};

pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/", get(health::health))
        .route("/health", get(health::health))
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
        // Refusals count too.
        .layer(from_fn(metrics::count))
        .with_state(app.clone());
    // The header `Allow` is added by the routes as a whole, so what completes it is outside.
    Router::new()
        .fallback_service(routes)
        .layer(from_fn(single_slashes))
        .layer(from_fn(error::complete_allow))
        .layer(from_fn_with_state(app, error::finish))
}

/// Takes `//health` for `/health`: the address of a backend is often typed with a slash at its end.
async fn single_slashes(mut request: Request, next: Next) -> Response {
    if request.uri().path().contains("//") {
        let mut path = request.uri().path().to_owned();
        while path.contains("//") {
            path = path.replace("//", "/");
        }
        if let Some(query) = request.uri().query() {
            path = format!("{path}?{query}");
        }
        if let Ok(uri) = path.parse() {
            *request.uri_mut() = uri;
        }
    }
    next.run(request).await
}
