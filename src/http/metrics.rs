//! `/metrics`: counters and gauges for Prometheus.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::sleep;

use super::state::App;

/// How often recorded durations are taken in.
const KEEP_UP: Duration = Duration::from_secs(5);

pub(super) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let pool = app.serving.pool();
    set("label_studio_ml_workers_ready", pool.workers().len());
    set("label_studio_ml_predictions_running", pool.in_flight());
    set("label_studio_ml_predictions_waiting", pool.waiting());
    set("label_studio_ml_jobs", usize::try_from(app.queue.len()).unwrap_or(usize::MAX));
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, content_type)], app.metrics.render())
}

/// Takes in the durations that were recorded: they are kept one by one until somebody does, and perhaps
/// nobody ever asks for `/metrics`.
pub async fn keep_up(metrics: PrometheusHandle) {
    loop {
        sleep(KEEP_UP).await;
        metrics.run_upkeep();
    }
}

#[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
fn set(name: &'static str, value: usize) {
    gauge!(name).set(value as f64);
}

/// Counts answers and their duration by route and status. Unknown paths share one label, since a
/// scanner must not be able to make labels without end.
pub(super) async fn count(request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    let began = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    counter!("label_studio_ml_requests_total", "route" => route.clone(), "status" => status)
        .increment(1);
    histogram!("label_studio_ml_request_seconds", "route" => route)
        .record(began.elapsed().as_secs_f64());
    response
}
