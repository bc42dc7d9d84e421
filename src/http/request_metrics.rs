//! Counters of answers and their duration, by route and status.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use metrics::{Counter, Histogram, counter, histogram};
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use tokio::time::sleep;

/// Pause between two takings of recorded durations.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// A request that is being answered.
pub(super) struct RequestTimer {
    /// Unknown paths have none, and share one label: a scanner must not be able to make labels without end.
    route: Option<MatchedPath>,
    began: Instant,
}

impl RequestTimer {
    pub(super) fn begin(request: &Request) -> Self {
        Self { route: request.extensions().get().cloned(), began: Instant::now() }
    }
}

#[derive(Default)]
pub struct RequestMetrics {
    /// Kept here, since looking one up by its labels in the registry of all metrics takes longer.
    by_status: Mutex<HashMap<StatusCode, HashMap<String, RouteMetrics>>>,
}

struct RouteMetrics {
    number: Counter,
    seconds: Histogram,
}

impl RouteMetrics {
    fn new(route: &str, status: StatusCode) -> Self {
        let (route, status) = (route.to_owned(), status.as_str().to_owned());
        Self {
            number: counter!("label_studio_ml_requests_total", "route" => route.clone(), "status" => status),
            seconds: histogram!("label_studio_ml_request_seconds", "route" => route),
        }
    }
}

impl RequestMetrics {
    pub(super) fn record(&self, request: RequestTimer, status: StatusCode) {
        let RequestTimer { route, began } = request;
        let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
        let mut by_status = self.by_status.lock();
        let by_route = by_status.entry(status).or_default();
        if !by_route.contains_key(route) {
            by_route.insert(route.to_owned(), RouteMetrics::new(route, status));
        }
        if let Some(RouteMetrics { number, seconds }) = by_route.get(route) {
            number.increment(1);
            seconds.record(began.elapsed().as_secs_f64());
        }
    }
}

/// Takes in the durations that were recorded: they are kept one by one until then, and perhaps no client
/// ever asks for `/metrics`.
pub async fn keep_up(metrics: PrometheusHandle) {
    loop {
        sleep(UPKEEP_INTERVAL).await;
        metrics.run_upkeep();
    }
}
