//! `/` and `/health`: is the server there, and how are its workers?
//!
//! Label Studio asks before every batch and gives up after one second, so nothing here waits for a
//! worker. The status is 200 as long as the server lives: what is wrong with the model is said in
//! the body.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::state::App;
use crate::training::queue::Ownership;
use crate::workers::pool::SlotState;

#[derive(Serialize)]
pub(super) struct Health {
    /// Absent until the script was imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_class: Option<String>,
    /// Absent until the script was imported, unless the user chose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_dir: Option<String>,
    status: &'static str,
    /// What keeps a worker or a new version from being served.
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

pub(super) async fn health(State(app): State<App>) -> Json<Health> {
    let class = app.serving.class();
    let pool = app.serving.pool();
    let slots = pool.slots();
    let ready = slots.iter().filter(|slot| matches!(slot, SlotState::Ready { .. })).count();
    let failed = slots.iter().filter_map(|slot| match slot {
        SlotState::Failed { reason } | SlotState::Died { reason } => Some(reason.clone()),
        SlotState::Starting | SlotState::Ready { .. } | SlotState::Stopped => None,
    });
    let stuck = pool.workers().into_iter().filter_map(|worker| {
        let seconds = worker.signs.interpreter_ms() / 1000;
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
        Ownership::Pending | Ownership::Owner(_) | Ownership::Ended => None,
    };
    let model_dir = class.as_ref().map(|class| &class.model_dir).or(app.options.model_dir.as_ref());
    let mut problems: Vec<String> = failed.chain(stuck).chain(refused).chain(training).collect();
    problems.dedup();
    Json(Health {
        model_class: class.as_ref().map(|class| class.class.clone()),
        model_dir: model_dir.map(|dir| dir.display().to_string()),
        status: "UP",
        problems,
        workers: Workers { ready, total: slots.len(), restarts: pool.restarts() },
        jobs: app.queue.len(),
    })
}
