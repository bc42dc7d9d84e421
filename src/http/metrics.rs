//! `/metrics`: counters and gauges for Prometheus.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use metrics::{Counter, Histogram, counter, gauge, histogram};
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

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn set(name: &'static str, value: usize) {
    gauge!(name).set(value as f64);
}

/// A request that is being answered.
pub(super) struct Count {
    /// Unknown paths have none, and share one label: a scanner must not be able to make labels without end.
    route: Option<MatchedPath>,
    began: Instant,
}

impl Count {
    pub(super) fn begin(request: &Request) -> Self {
        Self { route: request.extensions().get().cloned(), began: Instant::now() }
    }
}

/// Counters of answers and their duration, by route and status.
#[derive(Default)]
pub struct Counts {
    /// To look one up by its labels in the registry of all metrics takes longer.
    of_answers: Mutex<HashMap<StatusCode, HashMap<String, OfAnswers>>>,
}

struct OfAnswers {
    number: Counter,
    seconds: Histogram,
}

impl OfAnswers {
    fn new(route: &str, status: StatusCode) -> Self {
        let (route, status) = (route.to_owned(), status.as_str().to_owned());
        Self {
            number: counter!("label_studio_ml_requests_total", "route" => route.clone(), "status" => status),
            seconds: histogram!("label_studio_ml_request_seconds", "route" => route),
        }
    }
}

impl Counts {
    pub(super) fn add(&self, answered: Count, status: StatusCode) {
        let Count { route, began } = answered;
        let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
        let mut of_answers = self.of_answers.lock().unwrap_or_else(PoisonError::into_inner);
        let of_status = of_answers.entry(status).or_default();
        if !of_status.contains_key(route) {
            of_status.insert(route.to_owned(), OfAnswers::new(route, status));
        }
        if let Some(OfAnswers { number, seconds }) = of_status.get(route) {
            number.increment(1);
            seconds.record(began.elapsed().as_secs_f64());
        }
    }
}
