//! Lets a request in: it must bring what the server and the program ask for, and goes to the server's route
//! or through the user's app.
//!
//! What a request must bring is known once the program is imported. Until then only the routes that tell
//! whether the server lives are answered; other requests wait.

pub(super) mod rules;

use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use self::rules::AccessRules;
use super::error::ApiError;
use super::extract::fields::Fields;
use super::extract::json_body;
use super::request_metrics::RequestTimer;
use super::routes::{STATE_ROUTES, setup};
use super::state::App;
use super::user_app::FromUserApp;
use super::{auth, normalize, user_app};
use crate::wire::shared_body::SharedBody;

/// Lets a request through to its handler, or refuses it. One middleware for all that is to be done there:
/// each costs as much as a whole route.
pub(super) async fn enter(State(app): State<App>, request: Request, next: Next) -> Response {
    // A view asks on behalf of a request that was let in, and that is counted.
    if request.extensions().get::<FromUserApp>().is_some() {
        return next.run(request).await;
    }
    // Refusals count too.
    let timer = RequestTimer::begin(&request);
    let response = match normalize::refusal(&request) {
        Some(refusal) => refusal,
        None => admit(&app, request, next).await,
    };
    app.request_metrics.record(timer, response.status());
    response
}

async fn admit(app: &App, request: Request, next: Next) -> Response {
    match app.access.rules() {
        Some(rules) => apply(app, &rules, request, next).await,
        None if STATE_ROUTES.contains(&request.uri().path()) => {
            let (credentials, token) = (&app.options.credentials, &app.options.webhook_token);
            match auth::refusal(credentials.as_ref(), token.as_ref(), &request) {
                Some(refusal) => refusal,
                None => next.run(request).await,
            }
        }
        None => admit_once_imported(app, request, next).await,
    }
}

async fn apply(app: &App, rules: &AccessRules, mut request: Request, next: Next) -> Response {
    let token = app.options.webhook_token.as_ref();
    if let Some(refusal) = auth::refusal(rules.credentials.as_ref(), token, &request) {
        return refusal;
    }
    // User code has no use for a password that the server has checked, unless it has a gate of its own.
    if rules.credentials.is_some() && !rules.has_gate() && !auth::is_open(request.uri().path()) {
        request.headers_mut().remove(AUTHORIZATION);
    }
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    match &rules.app {
        Some(added) if rules::takes(added, request.method(), route, request.uri().path()) => {
            user_app::pass(app, added, request).await
        }
        _ => next.run(request).await,
    }
}

/// Waits for the import. The body is read meanwhile, since a client may hang up whose request is to be
/// answered all the same: Label Studio sends an event once, and waits for a second.
async fn admit_once_imported(app: &App, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = match json_body::read(&app.options.body, &parts.headers, body).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let path = parts.uri.path();
    let (is_setup, is_event) = (path == "/setup", path == "/webhook");
    let asked = is_setup.then(|| body.clone());
    parts.extensions.insert(body);
    let request = Request::from_parts(parts, Body::empty());
    let (credentials, token) = (&app.options.credentials, &app.options.webhook_token);
    let refusal = auth::refusal(credentials.as_ref(), token.as_ref(), &request);
    let waiting = {
        let app = App::clone(app);
        async move {
            let imported =
                if is_event { app.serving.imported().await } else { app.serving.ready().await };
            match (imported, app.access.rules()) {
                (Ok(_), Some(rules)) => apply(&app, &rules, request, next).await,
                (Ok(_), None) => ApiError::still_importing().into_response(),
                (Err(error), _) => ApiError::from(error).into_response(),
            }
        }
    };
    if !is_setup && !is_event {
        return waiting.await;
    }
    let wait = if is_setup { app.options.setup_wait } else { Duration::MAX };
    match (timeout(wait, tokio::spawn(waiting)).await, refusal) {
        (Ok(Ok(response)), _) | (Err(_), Some(response)) => response,
        (Ok(Err(error)), _) => ApiError::from(error).into_response(),
        (Err(_), None) => early_setup(app, &asked.unwrap_or_default()).await.into_response(),
    }
}

/// Answers a /setup whose sender does not wait any longer. It goes on all the same.
async fn early_setup(app: &App, body: &SharedBody) -> Result<Response, ApiError> {
    let project = Fields::read(body)?.project()?;
    Ok(setup::early(app, &project).await?.into_response())
}
