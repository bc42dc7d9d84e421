//! `/metrics`: counters and gauges for Prometheus.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use metrics::gauge;

use crate::http::state::App;

pub(in crate::http) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let pool = app.serving.pool();
    set("label_studio_ml_workers_ready", pool.workers().len());
    set("label_studio_ml_predictions_running", pool.in_flight());
    set("label_studio_ml_predictions_waiting", pool.waiting());
    set("label_studio_ml_jobs", usize::try_from(app.queue.len()).unwrap_or(usize::MAX));
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, content_type)], app.metrics.render())
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn set(name: &'static str, value: usize) {
    gauge!(name).set(value as f64);
}
