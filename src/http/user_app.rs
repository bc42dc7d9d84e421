//! Passes a request through the user's app in a worker, and its answer to the client.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::time::timeout;

use super::error::{ApiError, ErrorCode, reason_phrase};
use super::extract::json_body;
use super::routes::{STATE_ROUTES, health};
use super::state::App;
use crate::wire::http::{AppAnswer, AppRequest, HttpHead, UserApp};

/// How long the app may take to say whether a client may know that the server lives. Label Studio waits for a
/// second, and supervisors end a server that does not answer them.
const STATE_WAIT: Duration = Duration::from_millis(500);

/// Headers that belong to a connection, and not to an answer.
const OF_CONNECTION: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// Mark of a request that a view of the user's app makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct FromUserApp;

/// Address of the client of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client(pub(super) SocketAddr);

pub(super) async fn pass(app: &App, added: &UserApp, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = match parts.extensions.remove() {
        Some(body) => body,
        None => match json_body::read(&app.options.body, &parts.headers, body).await {
            Ok(body) => body,
            Err(error) => return error.into_response(),
        },
    };
    let path = parts.uri.path();
    let target = parts.uri.path_and_query().map_or(path, |target| target.as_str()).to_owned();
    let asked = AppRequest {
        method: parts.method.as_str().to_owned(),
        head: HttpHead { target, headers: lines(&parts.headers) },
        client: parts.extensions.get().map(|Client(address)| address.ip().to_string()),
    };
    let answering = app.serving.ask_app(asked, body);
    let is_known = matches!(parts.method, Method::GET | Method::HEAD);
    if !(is_known && STATE_ROUTES.contains(&path)) {
        return match answering.await {
            Ok((answer, body)) => response(&answer, body),
            Err(error) => ApiError::from(error).into_response(),
        };
    }
    match timeout(STATE_WAIT, answering).await {
        // An app around ours need not know the routes by which a supervisor asks.
        Ok(Ok((answer, body))) if !(added.is_wrapped && answer.status == 404) => {
            response(&answer, body)
        }
        _ => health::bare(app, path),
    }
}

/// A line `name: value` for each header; the letters of a value are Latin-1, as in WSGI.
fn lines(headers: &HeaderMap) -> String {
    let mut lines = String::with_capacity(headers.len() * 48);
    for (name, value) in headers {
        lines.push_str(name.as_str());
        lines.push_str(": ");
        lines.extend(value.as_bytes().iter().map(|byte| char::from(*byte)));
        lines.push('\n');
    }
    lines
}

/// Headers of such lines.
pub(super) fn headers(lines: &str) -> HeaderMap {
    let pairs = lines.lines().filter_map(|line| line.split_once(": "));
    pairs.filter_map(|(name, value)| header(name, value)).collect()
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let bytes: Option<Vec<u8>> =
        value.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect();
    let name = HeaderName::try_from(name).ok().filter(|name| !OF_CONNECTION.contains(name))?;
    Some((name, HeaderValue::from_bytes(&bytes?).ok()?))
}

fn response(answer: &AppAnswer, body: Bytes) -> Response {
    let AppAnswer { status, reason, headers } = answer;
    let Some(status) = StatusCode::from_u16(*status).ok().filter(|s| !s.is_informational()) else {
        let detail = format!("the app of _wsgi.py answered with the status {status}");
        return ApiError::new(ErrorCode::AppFailed, detail).into_response();
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Some((name, value)) = header(name, value) {
            response.headers_mut().append(name, value);
        }
    }
    if let Some(reason) = reason.as_deref().and_then(reason_phrase) {
        response.extensions_mut().insert(reason);
    }
    response
}

/// An answer of the server, for a view of the app.
pub(super) fn answer(response: &Response) -> AppAnswer {
    let reason = response.extensions().get::<hyper::ext::ReasonPhrase>();
    let reason = reason.map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned());
    let text =
        |value: &HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
    let headers = response.headers().iter();
    AppAnswer {
        status: response.status().as_u16(),
        reason,
        headers: headers
            .filter(|(name, _)| !OF_CONNECTION.contains(name))
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect(),
    }
}
