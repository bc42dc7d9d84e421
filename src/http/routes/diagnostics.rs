//! `GET /diagnostics`: why predictions do not show. Lists the mistakes of the models since the start, in
//! sentences.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::http::state::App;
use crate::serving::diagnostics::Mistake;

#[derive(Serialize)]
pub(in crate::http) struct DiagnosticsView {
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

pub(in crate::http) async fn diagnostics(State(app): State<App>) -> Json<DiagnosticsView> {
    let diagnostics = app.serving.diagnostics();
    let (checked, with_findings) = diagnostics.answers();
    Json(DiagnosticsView {
        answers: Answers { checked, with_findings },
        mistakes: diagnostics.mistakes(),
        strict: app.options.strict,
    })
}
