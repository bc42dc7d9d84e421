//! Asking a server for its health, as Label Studio does.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, StatusCode};
use serde::Deserialize;

use crate::label_studio::LabelStudioError;

const CONNECT: Duration = Duration::from_secs(2);
const WHOLE: Duration = Duration::from_secs(5);

/// The fields of /health that are looked at. The original's servers give fewer.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Health {
    status: String,
    pub(super) model_class: Option<String>,
    pub(super) model_dir: Option<String>,
    #[serde(default)]
    pub(super) problems: Vec<String>,
    /// None: not one of our servers.
    pub(super) workers: Option<Workers>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Workers {
    pub(super) ready: usize,
    pub(super) total: usize,
}

/// A mistake in predictions that a server noted.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Mistake {
    pub(super) project: String,
    pub(super) message: String,
    pub(super) answers: u64,
}

#[derive(Deserialize)]
struct Diagnostics {
    mistakes: Vec<Mistake>,
}

impl Health {
    /// Whether both came from one server, as far as that can be told.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.workers.is_some() == other.workers.is_some()
            && self.model_class == other.model_class
            && self.model_dir.is_some()
            && self.model_dir == other.model_dir
    }
}

/// What was at an address.
#[derive(Debug, Clone)]
pub(super) enum Found {
    Backend(Health),
    /// It wants another user or password, or one at all.
    Locked,
    /// Something answers that is no ML backend.
    Stranger(String),
    /// Nothing answers: one sentence.
    Nothing(String),
}

/// Asks servers, with a user and a password if there are any.
#[derive(Debug, Clone)]
pub(super) struct Prober {
    http: Client,
    user: Option<String>,
    authorization: Option<HeaderValue>,
}

impl Prober {
    pub(super) fn new(credentials: Option<(&str, &str)>) -> Result<Self, LabelStudioError> {
        let http = crate::label_studio::http_client(CONNECT, WHOLE, false)?;
        let user = credentials.map(|(user, _)| user.to_owned());
        let authorization = credentials.map(|(user, password)| basic(user, password));
        let authorization = authorization.and_then(|text| sensitive(&text));
        Ok(Self { http, user, authorization })
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The header that is sent, if there is one.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_ref().and_then(|value| value.to_str().ok())
    }

    /// What answers to `GET {url}/health`.
    pub(super) async fn health(&self, url: &str) -> Found {
        self.ask(url, self.authorization.clone()).await
    }

    /// The same with another Authorization header, or with none.
    pub(super) async fn health_with(&self, url: &str, authorization: Option<&str>) -> Found {
        self.ask(url, authorization.and_then(sensitive)).await
    }

    /// Whether the webhook of the server at `url` takes events that bring no password; none where nothing
    /// answers. Nothing is sent to it: the method alone is wrong.
    pub(super) async fn takes_events(&self, url: &str) -> Option<bool> {
        let request = self.http.get(format!("{}/webhook", url.trim_end_matches('/')));
        let status = request.send().await.ok()?.status();
        Some(status != StatusCode::UNAUTHORIZED)
    }

    /// Mistakes in predictions since the server at `url` was started; none where it does not tell.
    pub(super) async fn mistakes(&self, url: &str) -> Vec<Mistake> {
        let request = self.http.get(format!("{url}/diagnostics"));
        let request = match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        };
        let body = async { request.send().await.ok()?.bytes().await.ok() }.await;
        let told = body.and_then(|body| serde_json::from_slice::<Diagnostics>(&body).ok());
        told.map(|told| told.mistakes).unwrap_or_default()
    }

    async fn ask(&self, url: &str, authorization: Option<HeaderValue>) -> Found {
        let mut request = self.http.get(format!("{}/health", url.trim_end_matches('/')));
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let failed = |error: &reqwest::Error| {
            Found::Nothing(LabelStudioError::transport(url, error).summary())
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return failed(&error),
        };
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED && wants_basic(response.headers()) {
            return Found::Locked;
        }
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return failed(&error),
        };
        match serde_json::from_slice::<Health>(&body) {
            Ok(health) if status.is_success() && health.status == "UP" => Found::Backend(health),
            _ => Found::Stranger(format!("its /health is {status}, and not that of an ML backend")),
        }
    }
}

/// The value of a basic Authorization header.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Whether a refusal asks for what our servers, and those of the original, ask for.
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
