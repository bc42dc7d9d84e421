//! Which path leads where.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;

use super::{error, health, metrics, predict, setup, training, versions};
use crate::serving::Serving;
use crate::training::queue::Queue;

/// What the user chose that concerns HTTP.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Leave tracebacks of user code out of error answers.
    pub hide_tracebacks: bool,
    /// MODEL_DIR where the user chose it; else the class decides once it is imported.
    pub model_dir: Option<PathBuf>,
    /// Largest request body in bytes. Label Studio sends all selected tasks in one POST.
    pub max_body: usize,
    /// Longest time that /setup waits for a model to load.
    pub setup_wait: Duration,
}

/// What the handlers share.
#[derive(Clone)]
pub struct App {
    pub serving: Arc<Serving>,
    pub queue: Arc<Queue>,
    pub options: Arc<HttpOptions>,
    pub metrics: PrometheusHandle,
}

pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/", get(health::health))
        .route("/health", get(health::health))
        .route("/setup", post(setup::setup))
        .route("/predict", post(predict::predict))
        .route("/train", post(training::train))
        .route("/webhook", post(training::webhook))
        .route("/is_training", get(training::is_training))
        .route("/versions", get(versions::of_all).post(versions::of_project))
        .route("/metrics", get(metrics::metrics))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(from_fn(metrics::count))
        .with_state(app.clone());
    // The header `Allow` is added by the routes as a whole, so what completes it is outside.
    Router::new()
        .fallback_service(routes)
        .layer(from_fn(error::complete_allow))
        .layer(from_fn_with_state(app, error::finish))
}
