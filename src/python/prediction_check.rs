//! The check of predictions, for the mode without a server.

use pyo3::prelude::*;
use serde::Serialize;

use crate::labelling::check::{AnswerContext, Cause, Finding, Mended, Rules, check};

/// What Python tells its user, as JSON.
#[derive(Serialize)]
struct Found<'a> {
    total: usize,
    findings: Vec<Told<'a>>,
}

#[derive(Serialize)]
struct Told<'a> {
    cause: Cause,
    is_note: bool,
    subject: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'a str>,
    path: &'a str,
    /// As in `GET /diagnostics`: the name of the control tag, if it concerns one.
    #[serde(skip_serializing_if = "str::is_empty")]
    control: &'a str,
}

impl<'a> From<&'a Finding> for Told<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            cause: finding.cause,
            is_note: finding.cause.is_note(),
            subject: &finding.subject,
            message: finding.sentence(),
            task: finding.task.as_deref(),
            path: &finding.path,
            control: finding.control(),
        }
    }
}

/// Checks the body of an answer to the request with the body `request`. `about`: the number of its tasks, the
/// version that /setup tells, whether it has a context, and whether the class looks at that. Returns JSON: the number of findings
/// (`total`), and the first of each mistake (`findings`).
#[pyfunction]
pub(super) fn check_predictions(
    py: Python<'_>,
    body: &[u8],
    request: &[u8],
    label_config: Option<&str>,
    about: (usize, Option<&str>, bool, bool),
) -> PyResult<String> {
    py.detach(|| {
        // A malformed labelling config was the model's to refuse.
        let rules = label_config.and_then(|config| Rules::parse(config).ok());
        let (tasks, version, is_interactive, uses_context) = about;
        let mended = Mended::default();
        let asked = AnswerContext {
            tasks,
            version,
            mended: &mended,
            request,
            is_interactive,
            uses_context,
        };
        let checked = check(body, asked, rules.as_ref());
        let findings = checked.first_of_each().map(Told::from).collect();
        let found = Found { total: checked.total, findings };
        serde_json::to_string(&found)
            .map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))
    })
}
