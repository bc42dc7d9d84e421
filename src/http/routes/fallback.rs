//! What is answered where no route does: an unknown path, a method that the path does not have.

use axum::extract::{Request, State};
use axum::http::header::ALLOW;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use crate::http::error::{ApiError, ErrorCode};
use crate::http::state::App;
use crate::http::webhook_token;

pub(in crate::http) async fn not_found(State(app): State<App>, request: Request) -> Response {
    if request.method() == Method::OPTIONS && request.uri().path() == "*" {
        return StatusCode::OK.into_response();
    }
    let is_by_token = webhook_token::is_brought(&request);
    let token = app.options.webhook_token.as_ref();
    let path = webhook_token::shown(token, request.uri(), is_by_token);
    ApiError::unknown_path(&path).into_response()
}

/// A wrong method for a known path; `OPTIONS` asks which ones are right.
pub(in crate::http) async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::OK.into_response();
    }
    let detail = format!("{method} is not allowed for {}", uri.path());
    ApiError::new(ErrorCode::MethodNotAllowed, detail).into_response()
}

/// Adds `OPTIONS`, which every route answers, to the methods that an answer names.
pub(in crate::http) fn complete_allow(response: &mut Response) {
    let allowed = response.headers().get(ALLOW).and_then(|allow| allow.to_str().ok());
    if let Some(allowed) = allowed
        && let Ok(complete) = HeaderValue::from_str(&format!("{allowed},OPTIONS"))
    {
        response.headers_mut().insert(ALLOW, complete);
    }
}
