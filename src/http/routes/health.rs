//! `/`, `/health`, `/livez` and `/readyz`: is the server there, and how are its workers?
//!
//! Label Studio asks before every batch and gives up after one second, so nothing here waits for a
//! worker. The status is 200 as long as the server lives; the body says what is wrong with the model.
//! `/readyz` says by its status whether predictions would be answered.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::error::ErrorCode;
use crate::http::state::App;
use crate::training::queue::Ownership;
use crate::workers::pool::SlotState;

#[derive(Serialize)]
pub(in crate::http) struct Health {
    /// Absent until the script was imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_class: Option<String>,
    /// Absent until the script was imported, unless the user chose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_dir: Option<String>,
    status: &'static str,
    /// Reasons why a worker or a new version is not served, or why nothing is trained.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
    workers: Workers,
    jobs: u64,
}

#[derive(Serialize)]
struct Workers {
    ready: usize,
    total: usize,
    restarts: u64,
}

#[derive(Serialize)]
struct BareHealth {
    status: &'static str,
    workers: Workers,
}

impl Workers {
    fn of(app: &App) -> Self {
        let pool = app.serving.pool();
        let slots = pool.slots();
        Self { ready: ready(&slots), total: slots.len(), restarts: pool.restarts() }
    }
}

/// For a supervisor that restarts the server, or a proxy that routes around it.
#[derive(Serialize)]
pub(in crate::http) struct Probe {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<ErrorCode>,
    /// Only for a client that may see /health.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

const UP: Probe = Probe { status: "UP", error_code: None, problems: Vec::new() };

pub(in crate::http) async fn livez() -> Json<Probe> {
    Json(UP)
}

/// 200 if a prediction would be answered now.
pub(in crate::http) async fn readyz(State(app): State<App>, headers: HeaderMap) -> Response {
    let stopping = app.stopping.load(Ordering::Relaxed);
    if !stopping && ready(&app.serving.pool().slots()) > 0 {
        return Json(UP).into_response();
    }
    let rules = app.access.rules();
    let credentials = match &rules {
        Some(rules) => rules.credentials.as_ref(),
        None => app.options.credentials.as_ref(),
    };
    let mut problems = Vec::new();
    if credentials.is_none_or(|credentials| credentials.are_in(headers.get(AUTHORIZATION))) {
        let why = if stopping { "the server is stopping" } else { "no worker is ready" };
        problems.push(why.to_owned());
        problems.extend(self::problems(&app));
    }
    let code = ErrorCode::NotReady;
    let body = Json(Probe { status: "DOWN", error_code: Some(code), problems });
    (code.status(), [(RETRY_AFTER, "1")], body).into_response()
}

/// Whether the server lives, or is ready, and nothing of the model: for a client of whom the user's app did
/// not say in time whether it may know more.
pub(in crate::http) fn bare(app: &App, path: &str) -> Response {
    let workers = Workers::of(app);
    let is_ready = !app.stopping.load(Ordering::Relaxed) && workers.ready > 0;
    match path {
        "/livez" => Json(UP).into_response(),
        "/readyz" if is_ready => Json(UP).into_response(),
        "/readyz" => {
            let code = ErrorCode::NotReady;
            let body = Probe { status: "DOWN", error_code: Some(code), problems: Vec::new() };
            (code.status(), [(RETRY_AFTER, "1")], Json(body)).into_response()
        }
        _ => Json(BareHealth { status: "UP", workers }).into_response(),
    }
}

fn ready(slots: &[SlotState]) -> usize {
    slots.iter().filter(|slot| matches!(slot, SlotState::Ready { .. })).count()
}

/// Reasons why workers or versions are not served, and why no training runs.
fn problems(app: &App) -> Vec<String> {
    let pool = app.serving.pool();
    let slots = pool.slots();
    let failed = slots.iter().filter_map(|slot| match slot {
        SlotState::Failed { reason } | SlotState::Died { reason } => Some(reason.clone()),
        SlotState::Starting | SlotState::Ready { .. } | SlotState::Stopped => None,
    });
    let stuck = pool.workers().into_iter().filter_map(|worker| {
        let seconds = worker.heartbeat.interpreter_ms() / 1000;
        (seconds >= 5).then(|| {
            format!("worker {}: one thread has kept the interpreter for {seconds} s", worker.name)
        })
    });
    let refused = app.serving.refused().into_iter().map(|(project, version, reason)| {
        format!("project {project}: version {version} cannot be loaded: {reason}")
    });
    let training = match app.queue.ownership() {
        Ownership::Held(_) => Some("another server owns the model folder: no training here".into()),
        Ownership::Unusable(reason) => Some(format!("no training: {reason}")),
        // The reason is that of the worker.
        Ownership::NoClass(_) | Ownership::Pending | Ownership::Owner(_) | Ownership::Ended => None,
    };
    let mut problems: Vec<String> = failed.chain(stuck).chain(refused).chain(training).collect();
    problems.dedup();
    problems
}

pub(in crate::http) async fn health(State(app): State<App>) -> Json<Health> {
    let class = app.serving.class();
    let model_dir = class.as_ref().map(|class| &class.model_dir).or(app.options.model_dir.as_ref());
    Json(Health {
        model_class: class.as_ref().map(|class| class.class.clone()),
        model_dir: model_dir.map(|dir| dir.display().to_string()),
        status: "UP",
        problems: problems(&app),
        workers: Workers::of(&app),
        jobs: app.queue.len(),
    })
}
