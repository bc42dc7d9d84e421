//! The end of every answer: its request id, and of an error the body, the reason phrase and the log line.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;

use super::auth::WEBHOOK;
use super::error::{ApiError, ErrorBody, TASK, reason_phrase};
use super::extract::query;
use super::state::HttpOptions;
use super::webhook_token::{self, WebhookToken};
use crate::activity::ActivityLog;
use crate::activity::failures::FailedRequest;

const REQUEST_ID: &str = "x-request-id";

static REQUESTS: AtomicU64 = AtomicU64::new(1);
static PROCESS: LazyLock<u32> = LazyLock::new(std::process::id);

/// What the answer to a request needs of it.
pub(super) struct RequestSummary {
    id: String,
    method: Method,
    uri: Uri,
    by_token: bool,
    /// A refusal is not worth a warning.
    is_quiet: bool,
    /// An event as Label Studio sends it, to a server that has no webhook token.
    is_bare_event: bool,
}

impl RequestSummary {
    pub(super) fn new(options: &HttpOptions, request: &Request, is_quiet: bool) -> Self {
        Self {
            id: request_id(request, options.webhook_token.as_ref()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            by_token: webhook_token::is_brought(request),
            is_quiet,
            is_bare_event: options.webhook_token.is_none()
                && request.uri().path() == WEBHOOK
                && !request.headers().contains_key(AUTHORIZATION),
        }
    }
}

/// Gives every answer its request id, and every error its body and reason phrase.
pub(super) fn finish(
    options: &HttpOptions,
    activity: &ActivityLog,
    request: RequestSummary,
    mut response: Response,
) -> Response {
    if let Some(mut error) = response.extensions_mut().remove::<ApiError>() {
        if let Some(token) = &options.webhook_token {
            error.scrub(token);
        }
        log(options, activity, &request, &error);
        response = describe(options, &request, response, &error);
    }
    let headers = response.headers_mut();
    // One that passed through the user's app has its id.
    if !headers.contains_key(REQUEST_ID)
        && let Ok(id) = HeaderValue::try_from(request.id)
    {
        headers.insert(REQUEST_ID, id);
    }
    // What a model or a log says must not run as a page.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The client's own id if it is a plain word, else a new one.
fn request_id(request: &Request, token: Option<&WebhookToken>) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_plain = |id: &&str| {
        (1..=64).contains(&id.len())
            && token.is_none_or(|token| !token.is_in(id))
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match given.filter(is_plain) {
        Some(id) => id.to_owned(),
        None => format!("{:x}-{:x}", *PROCESS, REQUESTS.fetch_add(1, Ordering::Relaxed)),
    }
}

/// Logs an error: a line for each request in files, and for a person at a terminal what failed and why.
fn log(options: &HttpOptions, activity: &ActivityLog, request: &RequestSummary, error: &ApiError) {
    let RequestSummary { id, method, uri, by_token, is_quiet, is_bare_event } = request;
    let path = webhook_token::shown(options.webhook_token.as_ref(), uri, *by_token);
    let (status, detail) = (error.status.as_u16(), &error.detail);
    let internal = error.internal.as_ref().map(|said| format!(" ({said})")).unwrap_or_default();
    let is_refusal = !error.status.is_server_error();
    let about = error.subject.as_ref();
    let task = error.result.get(TASK).and_then(|task| task.as_str());
    let named = |task: &str| {
        about.is_some_and(|subject| !is_refusal && subject.what.contains(&format!(" task {task} ")))
    };
    let task = task.filter(|task| !named(task));
    let task = task.map(|task| format!("task {task}: ")).unwrap_or_default();
    if *is_quiet && is_refusal {
        tracing::debug!(request = id, "{method} {path} → {status} {task}{detail}{internal}");
        return;
    }
    if is_refusal {
        tracing::warn!(request = id, "{method} {path} → {status} {task}{detail}{internal}");
    } else {
        let about = about.map(|subject| format!(" ({})", subject.what)).unwrap_or_default();
        let traceback = error.traceback.as_ref().map(|t| format!("\n{t}")).unwrap_or_default();
        tracing::error!(
            request = id,
            "{method} {path} → {status} {task}{detail}{internal}{about}{traceback}"
        );
    }
    if *is_bare_event && error.status == StatusCode::UNAUTHORIZED {
        activity.event_refused();
    }
    let asked = format!("{method} {path} → {status}");
    activity.failures.note(FailedRequest {
        what: about.map_or(&asked, |subject| &subject.what),
        kind: about.map_or(&asked, |subject| &subject.kind),
        why: &format!("{task}{detail}{internal}"),
        traceback: error.traceback.as_deref(),
        is_refusal,
    });
}

fn describe(
    options: &HttpOptions,
    request: &RequestSummary,
    response: Response,
    error: &ApiError,
) -> Response {
    let traceback = error.traceback.as_deref().filter(|_| !options.hide_tracebacks);
    let mut result = error.result.clone();
    result.entry("request_id").or_insert_with(|| request.id.as_str().into());
    if let Some(traceback) = traceback {
        result.entry("traceback").or_insert_with(|| traceback.into());
    }
    let mut arguments = query::arguments(&request.uri);
    if let Some(token) = &options.webhook_token {
        for value in arguments.values_mut() {
            *value = token.scrub(value);
        }
    }
    let body = ErrorBody::new(error, arguments, result).into_bytes();
    let (mut parts, _) = response.into_parts();
    parts.status = error.status;
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if error.status == StatusCode::SERVICE_UNAVAILABLE {
        parts.headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if let Some(reason) = reason_phrase(&error.detail) {
        parts.extensions.insert(reason);
    }
    Response::from_parts(parts, Body::from(body))
}
