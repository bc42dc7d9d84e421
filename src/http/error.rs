//! The one place that turns errors into HTTP answers.
//!
//! A handler returns [`ApiError`]; [`finish`] gives it its body and its reason phrase. The body is
//! `{"detail", "status", "request", "result": {"traceback"?, "request_id"}}`, as clients of the
//! original know it. Label Studio shows its user none of that, but it shows the reason phrase, so
//! that says in one line what was wrong.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::ErrorKind;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::header::{
    ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use hyper::ext::ReasonPhrase;
use serde::Serialize;
use serde_json::{Map, Value};

use super::state::App;
use super::token::{self, WebhookToken};
use crate::labelling::check::{Checked, Finding};
use crate::serving::ServingError;
use crate::store::db::DbError;
use crate::store::versions::StoreError;
use crate::training::queue::QueueError;
use crate::wire::frame::FrameError;
use crate::wire::protocol::{ModelError, ModelErrorKind};

const REASON_LENGTH: usize = 120;
const REQUEST_ID: &str = "x-request-id";

static REQUESTS: AtomicU64 = AtomicU64::new(1);
static PROCESS: LazyLock<u32> = LazyLock::new(std::process::id);

/// An error as a client sees it.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) detail: String,
    traceback: Option<String>,
    /// More for `result`, from user code.
    result: Map<String, Value>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), traceback: None, result: Map::new() }
    }

    /// Predictions that Label Studio would drop or hide.
    pub(super) fn findings(checked: &Checked) -> Self {
        let first = checked.findings.first().map(Finding::sentence).unwrap_or_default();
        let others = match checked.total {
            0 | 1 => String::new(),
            total => format!(" (and {} more)", total - 1),
        };
        let mut error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, first + &others);
        let findings = serde_json::to_value(&checked.findings).unwrap_or_default();
        error.result.insert("findings".into(), findings);
        error.result.insert("total".into(), checked.total.into());
        error
    }

    /// A field that is missing or has the wrong type.
    pub(super) fn field(name: &str, wrong: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("`{name}` {wrong}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ServingError> for ApiError {
    fn from(error: ServingError) -> Self {
        let detail = error.to_string();
        match error {
            ServingError::NotReady(_)
            | ServingError::Busy(_)
            | ServingError::QueueFull(_)
            | ServingError::ProjectQueueFull(_)
            | ServingError::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, detail),
            ServingError::TooLong(_) => Self::new(StatusCode::GATEWAY_TIMEOUT, detail),
            ServingError::NoModel(_) | ServingError::NoVersion { .. } => {
                Self::new(StatusCode::NOT_FOUND, detail)
            }
            ServingError::Unloadable { .. } | ServingError::NoWayBack => {
                Self::new(StatusCode::CONFLICT, detail)
            }
            ServingError::Died { .. } => Self::new(StatusCode::BAD_GATEWAY, detail),
            ServingError::Model(error) => Self::from(error),
            ServingError::Frame(FrameError::HeaderTooLong(_) | FrameError::BodyTooLong(_)) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
            }
            ServingError::Frame(_) | ServingError::Deadly(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
            }
            ServingError::Store(error) => Self::from(error),
            ServingError::Keys(error) => Self::new(status_of(&error), detail),
        }
    }
}

/// A database that cannot be used.
fn status_of(error: &DbError) -> StatusCode {
    if error.is_full() {
        StatusCode::INSUFFICIENT_STORAGE
    } else if error.is_read_only() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        let status = match &error {
            QueueError::Held(_) | QueueError::Unusable(_) | QueueError::Stopping => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            QueueError::Db(error) => status_of(error),
            QueueError::Unknown(_) => StatusCode::NOT_FOUND,
            QueueError::Gone(_) => StatusCode::GONE,
            QueueError::TooLate { .. } => StatusCode::CONFLICT,
            QueueError::Versions(StoreError::Project(_)) => StatusCode::UNPROCESSABLE_ENTITY,
            QueueError::Versions(_) | QueueError::Thread(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Project(_) => StatusCode::UNPROCESSABLE_ENTITY,
            StoreError::Io { ref reason, .. } if reason.kind() == ErrorKind::StorageFull => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            StoreError::Io { .. } | StoreError::Json(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<ModelError> for ApiError {
    fn from(error: ModelError) -> Self {
        let said = format!("{}: {}", error.class, error.message);
        let (status, detail) = match error.kind {
            ModelErrorKind::Construct
            | ModelErrorKind::Raised
            | ModelErrorKind::Result
            | ModelErrorKind::Unloaded
            | ModelErrorKind::Cancelled => (StatusCode::INTERNAL_SERVER_ERROR, said),
            ModelErrorKind::ConfigMissing => (
                StatusCode::UNPROCESSABLE_ENTITY,
                format!(
                    "`label_config` is missing, no /setup brought one, and the model needs it ({said})"
                ),
            ),
            ModelErrorKind::ConfigMalformed => (
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("the labelling config cannot be read: {}", error.message),
            ),
            ModelErrorKind::Request => (StatusCode::BAD_REQUEST, said),
        };
        match error.answer {
            None => Self { status, detail, traceback: error.traceback, result: Map::new() },
            Some(answer) => Self {
                status: StatusCode::from_u16(answer.status).unwrap_or(status),
                detail: error.message,
                traceback: error.traceback,
                result: answer.result,
            },
        }
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    detail: &'a str,
    request: BTreeMap<String, String>,
    result: Map<String, Value>,
    status: u16,
}

/// What the answer to a request needs of it.
pub(super) struct Seen {
    id: String,
    method: Method,
    uri: Uri,
    by_token: bool,
}

impl Seen {
    pub(super) fn new(app: &App, request: &Request) -> Self {
        Self {
            id: request_id(request, app.options.webhook_token.as_ref()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            by_token: token::brought(request),
        }
    }
}

/// Gives every answer its request id, and every error its body and reason phrase.
pub(super) fn finish(app: &App, seen: Seen, mut response: Response) -> Response {
    let Seen { id, method, uri, by_token } = seen;
    let token = app.options.webhook_token.as_ref();
    if let Some(mut error) = response.extensions_mut().remove::<ApiError>() {
        if let Some(token) = token {
            error.detail = token.scrub(&error.detail);
            error.traceback = error.traceback.map(|traceback| token.scrub(&traceback));
        }
        log(&method, &token::shown(token, &uri, by_token), &error, &id);
        response = describe(app, response, &error, &uri, &id);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    // What a model or a log says must not run as a page.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The client's own id if it is a plain word, else a new one.
fn request_id(request: &Request, token: Option<&WebhookToken>) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let plain = |id: &&str| {
        (1..=64).contains(&id.len())
            && token.is_none_or(|token| !token.is_in(id))
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match given.filter(plain) {
        Some(id) => id.to_owned(),
        None => format!("{:x}-{:x}", *PROCESS, REQUESTS.fetch_add(1, Ordering::Relaxed)),
    }
}

fn log(method: &Method, path: &str, error: &ApiError, id: &str) {
    let (status, detail) = (error.status.as_u16(), &error.detail);
    if error.status.is_server_error() {
        let traceback = error.traceback.as_ref().map(|t| format!("\n{t}")).unwrap_or_default();
        tracing::error!(request = id, "{method} {path} → {status} {detail}{traceback}");
    } else {
        tracing::warn!(request = id, "{method} {path} → {status} {detail}");
    }
}

fn describe(app: &App, response: Response, error: &ApiError, uri: &Uri, id: &str) -> Response {
    let traceback = error.traceback.as_deref().filter(|_| !app.options.hide_tracebacks);
    let mut result = error.result.clone();
    result.entry("request_id").or_insert_with(|| id.into());
    if let Some(traceback) = traceback {
        result.entry("traceback").or_insert_with(|| traceback.into());
    }
    let mut request = query(uri);
    if let Some(token) = &app.options.webhook_token {
        for value in request.values_mut() {
            *value = token.scrub(value);
        }
    }
    let body = ErrorBody { detail: &error.detail, request, result, status: error.status.as_u16() };
    let mut body = serde_json::to_vec(&body).unwrap_or_default();
    body.push(b'\n');
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

/// Status, reason phrase and body of an error outside of any request.
pub(super) fn bare(error: &ApiError) -> (StatusCode, String, Vec<u8>) {
    let body = ErrorBody {
        detail: &error.detail,
        request: BTreeMap::new(),
        result: Map::new(),
        status: error.status.as_u16(),
    };
    let mut body = serde_json::to_vec(&body).unwrap_or_default();
    body.push(b'\n');
    (error.status, ascii_line(&error.detail), body)
}

/// Query arguments, the first value of each.
pub(super) fn query(uri: &Uri) -> BTreeMap<String, String> {
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map(|Query(pairs)| pairs)
        .unwrap_or_default();
    let mut first = BTreeMap::new();
    for (key, value) in pairs {
        first.entry(key).or_insert(value);
    }
    first
}

/// The start of the detail, as far as it is safe in a status line.
pub(super) fn reason_phrase(detail: &str) -> Option<ReasonPhrase> {
    ReasonPhrase::try_from(ascii_line(detail).into_bytes()).ok()
}

fn ascii_line(detail: &str) -> String {
    let line = detail.lines().next().unwrap_or_default();
    let mut reason = String::new();
    for character in line.chars() {
        let room = REASON_LENGTH - reason.len();
        if character == ' ' || character.is_ascii_graphic() {
            if room == 0 {
                break;
            }
            reason.push(character);
        } else {
            let mut escaped = String::new();
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            if escaped.len() > room {
                break;
            }
            reason.push_str(&escaped);
        }
    }
    reason
}

pub(super) async fn not_found(State(app): State<App>, request: Request) -> Response {
    if request.method() == Method::OPTIONS && request.uri().path() == "*" {
        return StatusCode::OK.into_response();
    }
    let by_token = token::brought(&request);
    let path = token::shown(app.options.webhook_token.as_ref(), request.uri(), by_token);
    no_such_path(&path).into_response()
}

pub(super) fn no_such_path(path: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("no such path: {path}"))
}

/// Wrong method for a known path; `OPTIONS` asks which ones are right.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::OK.into_response();
    }
    let detail = format!("{method} is not allowed for {}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
}

/// Names `HEAD` and `OPTIONS` too, which every route answers.
pub(super) fn complete_allow(response: &mut Response) {
    let allowed = response.headers().get(ALLOW).and_then(|allow| allow.to_str().ok());
    if let Some(allowed) = allowed
        && let Ok(complete) = HeaderValue::from_str(&format!("{allowed},OPTIONS"))
    {
        response.headers_mut().insert(ALLOW, complete);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::protocol::ErrorAnswer;

    fn reason(detail: &str) -> String {
        String::from_utf8(reason_phrase(detail).unwrap().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_reason_phrase_is_one_short_ascii_line() {
        assert_eq!(reason("KeyError: 'sentiment'\nmore"), "KeyError: 'sentiment'");
        assert_eq!(reason("KeyError: 'é'\u{0}"), "KeyError: '\\u00e9'\\u0000");
        assert_eq!(reason(&"x".repeat(500)).len(), REASON_LENGTH);
        assert!(reason(&"é".repeat(500)).len() <= REASON_LENGTH);
        assert_eq!(reason("a\r\nX-Evil: 1"), "a");
    }

    #[test]
    fn the_first_of_several_query_values_counts() {
        let uri = "/is_training?project=1&project=2&a=%C3%A9".parse::<Uri>().unwrap();
        let expected = [("a", "é"), ("project", "1")];
        assert_eq!(
            query(&uri),
            expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect()
        );
    }

    #[test]
    fn a_status_that_user_code_asks_for_is_given() {
        let error = ApiError::from(ModelError {
            kind: ModelErrorKind::Raised,
            class: "AnswerException".into(),
            message: "short and stout".into(),
            traceback: None,
            answer: Some(ErrorAnswer { status: 418, result: Map::new() }),
        });
        assert_eq!(error.status, StatusCode::IM_A_TEAPOT);
        assert_eq!(error.detail, "short and stout");
    }
}
