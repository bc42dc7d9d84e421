//! Asks a server for its health, as Label Studio does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::label_studio::LabelStudioError;

const CONNECT: Duration = Duration::from_secs(2);
const WHOLE: Duration = Duration::from_secs(5);
/// The header that asks a server for a ticket, and brings it from then on: with it the server does not warn of
/// requests that it refuses.
const PROBE: &str = "x-label-studio-ml-probe";
const ASKING: HeaderValue = HeaderValue::from_static("ask");

/// The fields of /health that are used. Servers of the original package send fewer.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::cli) struct ServerHealth {
    status: String,
    pub(in crate::cli) model_class: Option<String>,
    pub(in crate::cli) model_dir: Option<String>,
    #[serde(default)]
    pub(in crate::cli) problems: Vec<String>,
    /// None: the server is of another kind.
    pub(in crate::cli) workers: Option<WorkerCounts>,
}

#[derive(Debug, Clone, Deserialize)]
pub(in crate::cli) struct WorkerCounts {
    pub(in crate::cli) ready: usize,
    pub(in crate::cli) total: usize,
}

/// A mistake in predictions that a server noted.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::cli) struct NotedMistake {
    pub(in crate::cli) project: String,
    pub(in crate::cli) message: String,
    pub(in crate::cli) answers: u64,
}

/// What `GET /diagnostics` answers; servers of earlier versions tell less.
#[derive(Debug, Default, Deserialize)]
pub(in crate::cli) struct NotedTroubles {
    pub(in crate::cli) mistakes: Vec<NotedMistake>,
    #[serde(default)]
    pub(in crate::cli) failed_predictions: Vec<NotedFailure>,
    #[serde(default)]
    pub(in crate::cli) failed_jobs: Vec<NotedFailure>,
}

/// A prediction or a training that failed.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::cli) struct NotedFailure {
    pub(in crate::cli) project: String,
    pub(in crate::cli) at: Value,
    pub(in crate::cli) error: String,
    pub(in crate::cli) succeeded_since: bool,
    /// Of a training.
    #[serde(default)]
    pub(in crate::cli) job: Option<String>,
    /// Of a prediction.
    #[serde(default)]
    pub(in crate::cli) tasks: Vec<Value>,
    #[serde(default)]
    pub(in crate::cli) task_count: usize,
}

impl ServerHealth {
    /// Whether both come from the same server, as far as they tell.
    pub(in crate::cli) fn is_same(&self, other: &Self) -> bool {
        self.workers.is_some() == other.workers.is_some()
            && self.model_class == other.model_class
            && self.model_dir.is_some()
            && self.model_dir == other.model_dir
    }
}

/// What was at an address.
#[derive(Debug, Clone)]
pub(in crate::cli) enum ProbeResult {
    Backend(ServerHealth),
    /// It requires a password, or another one.
    Locked,
    /// A program answers that is not an ML backend.
    Stranger(String),
    /// Nothing answers; the reason in one sentence.
    Nothing(String),
}

/// Asks servers, with a user and a password if they are given.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Prober {
    http: Client,
    user: Option<String>,
    authorization: Option<HeaderValue>,
    /// The tickets of servers, by their origin.
    tickets: Arc<Mutex<HashMap<String, HeaderValue>>>,
}

impl Prober {
    pub(in crate::cli) fn new(credentials: Option<(&str, &str)>) -> Result<Self, LabelStudioError> {
        let http = crate::label_studio::http_client(CONNECT, WHOLE, false)?;
        let user = credentials.map(|(user, _)| user.to_owned());
        let authorization = credentials.map(|(user, password)| basic(user, password));
        let authorization = authorization.and_then(|text| sensitive(&text));
        Ok(Self { http, user, authorization, tickets: Arc::default() })
    }

    pub(in crate::cli) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The Authorization header that is sent, if there is one.
    pub(in crate::cli) fn authorization(&self) -> Option<&str> {
        self.authorization.as_ref().and_then(|value| value.to_str().ok())
    }

    /// The same header, which is not shown in messages.
    pub(in crate::cli) fn authorization_header(&self) -> Option<HeaderValue> {
        self.authorization.clone()
    }

    /// What answers to `GET {url}/health`.
    pub(in crate::cli) async fn health(&self, url: &str) -> ProbeResult {
        self.ask(url, self.authorization.clone()).await
    }

    /// The same with another Authorization header, or without one.
    pub(in crate::cli) async fn health_with(
        &self,
        url: &str,
        authorization: Option<&str>,
    ) -> ProbeResult {
        self.ask(url, authorization.and_then(sensitive)).await
    }

    /// Whether the webhook of the server at `url` accepts events without a password; none if nothing answers.
    /// No event is sent: the request has the wrong method.
    pub(in crate::cli) async fn takes_events(&self, url: &str) -> Option<bool> {
        let request = self.http.get(format!("{}/webhook", url.trim_end_matches('/')));
        let status = self.send(url, request).await.ok()?.status();
        Some(status != StatusCode::UNAUTHORIZED)
    }

    /// What the server at `url` noted since it started; nothing if it does not report any.
    pub(in crate::cli) async fn diagnostics(&self, url: &str) -> NotedTroubles {
        let request = self.http.get(format!("{url}/diagnostics"));
        let request = match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        };
        let body = async { self.send(url, request).await.ok()?.bytes().await.ok() }.await;
        body.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default()
    }

    /// Sends a request to the server at `url`, with its ticket if there is one.
    async fn send(&self, url: &str, request: RequestBuilder) -> reqwest::Result<Response> {
        let origin = url.parse::<Url>().map(|url| url.origin().ascii_serialization());
        let origin = origin.unwrap_or_default();
        let ticket = self.tickets.lock().get(&origin).cloned().unwrap_or(ASKING);
        let response = request.header(PROBE, ticket).send().await?;
        if let Some(ticket) = response.headers().get(PROBE) {
            self.tickets.lock().insert(origin, ticket.clone());
        }
        Ok(response)
    }

    async fn ask(&self, url: &str, authorization: Option<HeaderValue>) -> ProbeResult {
        let mut request = self.http.get(format!("{}/health", url.trim_end_matches('/')));
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let failed = |error: &reqwest::Error| {
            ProbeResult::Nothing(LabelStudioError::transport(url, error).summary())
        };
        let response = match self.send(url, request).await {
            Ok(response) => response,
            Err(error) => return failed(&error),
        };
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED && wants_basic(response.headers()) {
            return ProbeResult::Locked;
        }
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return failed(&error),
        };
        match serde_json::from_slice::<ServerHealth>(&body) {
            Ok(health) if status.is_success() && health.status == "UP" => {
                ProbeResult::Backend(health)
            }
            _ => ProbeResult::Stranger(format!(
                "its /health answers {status}, and not like an ML backend"
            )),
        }
    }
}

/// The value of a basic Authorization header.
pub(in crate::cli) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Whether a refusal asks for Basic authentication, as ML backends do.
fn wants_basic(headers: &HeaderMap) -> bool {
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    challenges
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic")))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
