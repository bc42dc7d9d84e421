//! `GET /diagnostics`: why predictions do not show, and why nothing is learned. Lists the mistakes of the models
//! since the start, and the last prediction and training of each project that failed, in sentences.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;

use crate::http::state::App;
use crate::ids::ProjectKey;
use crate::serving::diagnostics::Mistake;
use crate::serving::failures::FailedPrediction;
use crate::store::jobs::JobState;
use crate::training::queue::Ownership;

#[derive(Serialize)]
pub(in crate::http) struct DiagnosticsView {
    answers: Answers,
    mistakes: Vec<Mistake>,
    /// The last prediction of each project that failed since the start, newest first.
    failed_predictions: Vec<FailedPrediction>,
    /// The last training of each project that failed, newest first.
    failed_jobs: Vec<FailedJob>,
    /// Whether such answers are refused.
    strict: bool,
}

#[derive(Serialize)]
struct Answers {
    checked: u64,
    with_findings: u64,
}

/// A training that failed.
#[derive(Serialize)]
struct FailedJob {
    project: ProjectKey,
    job: String,
    at: Option<Timestamp>,
    error: String,
    /// Whether a later training of the project succeeded.
    succeeded_since: bool,
}

/// Number of jobs that are looked at, the newest ones.
const JOBS: u32 = 1000;

/// The last failed job of each project. None where another server keeps the jobs.
async fn failed_jobs(app: &App) -> Vec<FailedJob> {
    let Ownership::Owner(_) = app.queue.ownership() else { return Vec::new() };
    let jobs = app.queue.jobs(None, JOBS).await.unwrap_or_default();
    let (mut succeeded, mut failed) = (BTreeSet::new(), BTreeSet::new());
    let mut last = Vec::new();
    for job in jobs {
        match job.state {
            JobState::Succeeded => {
                succeeded.insert(job.project);
            }
            JobState::Failed | JobState::Lost if failed.insert(job.project.clone()) => {
                last.push(FailedJob {
                    succeeded_since: succeeded.contains(&job.project),
                    job: job.id.to_string(),
                    at: job.ended_at.and_then(|at| Timestamp::from_millisecond(at).ok()),
                    error: job.error.unwrap_or_default(),
                    project: job.project,
                });
            }
            _ => {}
        }
    }
    last
}

pub(in crate::http) async fn diagnostics(State(app): State<App>) -> Json<DiagnosticsView> {
    let diagnostics = app.serving.diagnostics();
    let (checked, with_findings) = diagnostics.answers();
    Json(DiagnosticsView {
        answers: Answers { checked, with_findings },
        mistakes: diagnostics.mistakes(),
        failed_predictions: app.serving.failures().list(),
        failed_jobs: failed_jobs(&app).await,
        strict: app.options.strict,
    })
}
