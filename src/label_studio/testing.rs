//! An HTTP server on loopback that stands in for Label Studio in tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

use super::{LabelStudio, LabelStudioError, RequestPolicy};

/// A request that the server got: method and path, Authorization header, body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordedRequest {
    pub(super) line: String,
    pub(super) authorization: String,
    pub(super) body: String,
}

/// The answers to requests whose path begins with a text, in their order; the last one is repeated.
type Script = Vec<(&'static str, VecDeque<(u16, String)>)>;

#[derive(Clone, Default)]
pub(super) struct FakeLabelStudio {
    script: Arc<Mutex<Script>>,
    seen: Arc<Mutex<Vec<RecordedRequest>>>,
    pub(super) url: String,
}

impl FakeLabelStudio {
    /// Starts a server that tells its release and one user.
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fake = Self { url, ..Self::default() };
        fake.on("/api/version", &[(200, r#"{"release": "1.23.2", "more": {}}"#)]);
        fake.on("/api/current-user/whoami", &[(200, r#"{"id": 1, "email": "me@example.com"}"#)]);
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        fake
    }

    pub(super) fn on(&self, path: &'static str, answers: &[(u16, &str)]) {
        let answers = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let mut script = self.script.lock().unwrap();
        script.retain(|(known, _)| *known != path);
        script.push((path, answers));
    }

    pub(super) async fn connect(&self) -> Result<LabelStudio, LabelStudioError> {
        LabelStudio::connect_with(&self.url, "a-key", RequestPolicy::PROBE).await
    }

    pub(super) fn seen(&self, path: &str) -> Vec<RecordedRequest> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.line.contains(path)).cloned().collect()
    }
}

async fn answer(State(fake): State<FakeLabelStudio>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let header = parts.headers.get("authorization").map(|value| value.to_str().unwrap());
    fake.seen.lock().unwrap().push(RecordedRequest {
        line: format!("{} {}", parts.method, parts.uri),
        authorization: header.unwrap_or_default().to_owned(),
        body: String::from_utf8(body.into()).unwrap(),
    });
    let mut script = fake.script.lock().unwrap();
    let found = script.iter_mut().find(|(path, _)| parts.uri.path().starts_with(path));
    let Some((_, answers)) = found else {
        return (StatusCode::NOT_FOUND, "<html>not here</html>").into_response();
    };
    let (status, body) = match answers.len() {
        1 => answers[0].clone(),
        _ => answers.pop_front().unwrap(),
    };
    let status = StatusCode::from_u16(status).unwrap();
    if status.is_redirection() {
        return (status, [("location", body)]).into_response();
    }
    (status, body).into_response()
}
