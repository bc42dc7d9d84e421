//! Which path leads where, and what every request passes on its way.

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use tower_service::Service;

use super::finish::{RequestSummary, finish};
use super::probe_ticket::ProbeTicket;
use super::routes::{
    diagnostics, fallback, health, jobs, metrics, predict, setup, training, versions,
};
use super::state::App;
use super::{admission, normalize};

/// Answers requests.
#[derive(Clone)]
pub struct HttpService {
    app: App,
    routes: Router,
    ticket: ProbeTicket,
}

impl HttpService {
    pub fn new(app: App) -> Self {
        Self { routes: routes(&app), app, ticket: ProbeTicket::new() }
    }

    pub(super) async fn answer(&self, mut request: Request) -> Response {
        let options = &self.app.options;
        normalize::normalize(options.webhook_token.as_ref(), &mut request);
        let (probe, rules) = (self.ticket.look_at(&request), self.app.access.rules());
        let is_quiet = ProbeTicket::quietens(probe, rules.as_deref(), &request);
        let path = request.uri().path().to_owned();
        let summary = RequestSummary::new(options, &request, is_quiet);
        let Ok(mut response) = self.routes.clone().call(request).await;
        // The header `Allow` is added by the routes as a whole, so what completes it is outside.
        fallback::complete_allow(&mut response);
        self.ticket.give(probe, &path, rules.as_deref(), &mut response);
        finish(options, &self.app.activity, summary, response)
    }
}

fn routes(app: &App) -> Router {
    Router::new()
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
        .fallback(fallback::not_found)
        .method_not_allowed_fallback(fallback::method_not_allowed)
        .layer(from_fn_with_state(app.clone(), admission::enter))
        .with_state(app.clone())
}

#[cfg(test)]
mod tests {
    use super::super::routes::ROUTES;

    /// The router cannot be asked for its routes, so they are read from its code.
    #[test]
    fn the_table_of_routes_is_that_of_the_router() {
        let code = include_str!("router.rs");
        let mut written = Vec::new();
        for line in code.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")) {
            let (path, handlers) = line.split_once('"').unwrap();
            for (method, call) in [("GET", "get("), ("POST", "post(")] {
                if handlers.contains(&format!(" {call}")) || handlers.contains(&format!(".{call}"))
                {
                    written.push((method, path));
                }
            }
        }
        written.sort_unstable();
        let mut table = ROUTES.to_vec();
        table.sort_unstable();
        assert_eq!(written, table);
    }
}
