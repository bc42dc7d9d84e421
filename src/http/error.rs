//! An error as a client sees it, and as the log does.
//!
//! A handler returns an [`ApiError`]; [`finish`](super::finish) gives it its body and its reason phrase. Its
//! [`ErrorCode`] decides the status. Errors of the rooms below become one in `mapping`.

mod body;
mod code;
mod mapping;
mod reason;
mod subject;

pub(super) use body::ErrorBody;
pub(super) use code::ErrorCode;
pub(super) use reason::{reason_line, reason_phrase};
pub(super) use subject::RequestSubject;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::webhook_token::WebhookToken;
use crate::labelling::check::{Checked, Finding};

/// The member of `result` with the id of the task that the model was at.
pub(super) const TASK: &str = "task";

#[derive(Debug, Clone)]
pub(super) struct ApiError {
    pub(super) code: ErrorCode,
    /// That of the code, unless user code chose another.
    pub(super) status: StatusCode,
    /// What the client is told.
    pub(super) detail: String,
    /// What only the log is told besides.
    pub(super) internal: Option<String>,
    pub(super) traceback: Option<String>,
    /// What failed, where a request says more than its path: `predicting task 17 of project 1`.
    pub(super) subject: Option<Box<RequestSubject>>,
    /// More for `result`, from user code.
    pub(super) result: Map<String, Value>,
}

impl ApiError {
    pub(super) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            status: code.status(),
            detail: detail.into(),
            internal: None,
            traceback: None,
            subject: None,
            result: Map::new(),
        }
    }

    /// Adds what the log says and the client does not learn.
    pub(super) fn logging(mut self, internal: impl Into<String>) -> Self {
        self.internal = Some(internal.into());
        self
    }

    /// Says which tasks of which project the request was about.
    pub(super) fn about(mut self, subject: RequestSubject) -> Self {
        self.subject = Some(Box::new(subject));
        self
    }

    /// Predictions that Label Studio would drop or hide.
    pub(super) fn findings(checked: &Checked) -> Self {
        let first = checked.findings.first().map(Finding::sentence).unwrap_or_default();
        let others = match checked.total {
            0 | 1 => String::new(),
            total => format!(" (and {} more)", total - 1),
        };
        let mut error = Self::new(ErrorCode::InvalidPredictions, first + &others);
        let findings = serde_json::to_value(&checked.findings).unwrap_or_default();
        error.result.insert("findings".into(), findings);
        error.result.insert("total".into(), checked.total.into());
        error
    }

    /// A field that has the wrong type or value.
    pub(super) fn field(name: &str, wrong: &str) -> Self {
        Self::new(ErrorCode::InvalidField, format!("`{name}` {wrong}"))
    }

    /// A field without which the request means nothing; `hint` says what it must be, or why it is needed.
    pub(super) fn missing(name: &str, hint: &str) -> Self {
        Self::new(ErrorCode::MissingField, format!("`{name}` is missing{hint}"))
    }

    pub(super) fn unknown_path(path: &str) -> Self {
        Self::new(ErrorCode::UnknownPath, format!("no such path: {path}"))
    }

    /// A request that waited for the import as long as a client would.
    pub(super) fn still_importing() -> Self {
        Self::new(ErrorCode::ModelNotReady, "the script is still being imported")
    }

    /// Leaves the webhook token out of everything that may quote the request.
    pub(super) fn scrub(&mut self, token: &WebhookToken) {
        self.detail = token.scrub(&self.detail);
        for text in [&mut self.internal, &mut self.traceback].into_iter().flatten() {
            *text = token.scrub(text);
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
