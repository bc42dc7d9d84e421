//! `GET /diagnostics`: why predictions do not show. The mistakes of the models since the start, in
//! sentences, and what came of the newest of each.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::state::App;
use crate::serving::diagnostics::Mistake;

#[derive(Serialize)]
pub(super) struct Answer {
    answers: Answers,
    mistakes: Vec<Mistake>,
    /// Whether such answers are refused.
    strict: bool,
}

#[derive(Serialize)]
struct Answers {
    checked: u64,
    with_findings: u64,
}

pub(super) async fn diagnostics(State(app): State<App>) -> Json<Answer> {
    let diagnostics = app.serving.diagnostics();
    let (checked, with_findings) = diagnostics.answers();
    Json(Answer {
        answers: Answers { checked, with_findings },
        mistakes: diagnostics.mistakes(),
        strict: app.options.strict,
    })
}
