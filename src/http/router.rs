//! Which path leads where, and what every request passes on its way.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use tower_service::Service;

use super::error::Seen;
use super::state::App;
use super::{
    auth, diagnostics, error, health, jobs, metrics, predict, setup, target, training, versions,
};

/// Answers requests.
#[derive(Clone)]
pub struct Front {
    app: App,
    routes: Router,
}

impl Front {
    pub fn new(app: App) -> Self {
        Self { routes: routes(&app), app }
    }

    pub(super) async fn answer(&self, mut request: Request) -> Response {
        target::arrive(self.app.options.webhook_token.as_ref(), &mut request);
        let seen = Seen::new(&self.app, &request);
        let Ok(mut response) = self.routes.clone().call(request).await;
        // The header `Allow` is added by the routes as a whole, so what completes it is outside.
        error::complete_allow(&mut response);
        error::finish(&self.app, seen, response)
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
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(from_fn_with_state(app.clone(), enter))
        .with_state(app.clone())
}

/// Lets a request through to its handler, or refuses it. One step for all that is to be done there: each
/// costs as much as a whole route.
async fn enter(State(app): State<App>, request: Request, next: Next) -> Response {
    // Refusals count too.
    let count = metrics::Count::begin(&request);
    let response = match target::refusal(&request).or_else(|| auth::refusal(&app, &request)) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    app.counts.add(count, response.status());
    response
}
