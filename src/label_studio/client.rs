//! Requests to one Label Studio server, with its address, a token, timeouts and retries.

use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::ids::UserId;
use super::response::read;
use super::token::{AccessToken, ApiKey, SecretToken, TokenKind, header};
use super::{LabelStudioError, address, tls};

/// Pause before the first retry; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long to wait for an answer, and how often to repeat a request that changes nothing.
#[derive(Debug, Clone, Copy)]
pub struct RequestPolicy {
    pub connect_timeout: Duration,
    pub timeout: Duration,
    pub retries: u32,
}

impl RequestPolicy {
    /// For long-running work, which should survive a restart of Label Studio.
    pub const PERSISTENT: Self = Self {
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(120),
        retries: 3,
    };
    /// For a check, which should report soon that nothing answers.
    pub const PROBE: Self = Self {
        connect_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(5),
        retries: 0,
    };
}

/// A connection to a Label Studio server that accepted the API key.
#[derive(Debug)]
pub struct LabelStudio {
    base: Url,
    key: ApiKey,
    access: Mutex<Option<AccessToken>>,
    http: Client,
    policy: RequestPolicy,
    release: String,
    user: User,
}

/// The owner of the API key.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct User {
    pub id: UserId,
    #[serde(default)]
    pub email: String,
    #[serde(default)]
    pub username: String,
}

#[derive(Deserialize)]
struct VersionAnswer {
    release: String,
}

#[derive(Deserialize)]
struct TokenSettings {
    legacy_api_tokens_enabled: bool,
}

#[derive(Deserialize)]
struct RefreshAnswer {
    access: String,
}

impl LabelStudio {
    /// Connects to the server at `url`, and finds out to whom `api_key` belongs.
    pub async fn connect(url: &str, api_key: &str) -> Result<Self, LabelStudioError> {
        Self::connect_with(url, api_key, RequestPolicy::PERSISTENT).await
    }

    pub async fn connect_with(
        url: &str,
        api_key: &str,
        policy: RequestPolicy,
    ) -> Result<Self, LabelStudioError> {
        let base = address::normalise(url)?;
        let (http, base, release) = discover(base, policy).await?;
        let key = ApiKey::new(api_key)?;
        let user = User::default();
        let access = Mutex::default();
        let mut client = Self { base, key, access, http, policy, release, user };
        client.user = client.whoami().await?;
        Ok(client)
    }

    /// The release of the server at `url`. Label Studio tells it without an API key.
    pub async fn release_at(url: &str, policy: RequestPolicy) -> Result<String, LabelStudioError> {
        Ok(discover(address::normalise(url)?, policy).await?.2)
    }

    /// The address of the server, without a slash at its end.
    pub fn url(&self) -> &str {
        address::without_slash(&self.base)
    }

    pub fn token_kind(&self) -> TokenKind {
        self.key.kind
    }

    pub fn release(&self) -> &str {
        &self.release
    }

    /// The owner of the API key, as of when the connection was made.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Asks Label Studio for the owner of the API key.
    pub async fn whoami(&self) -> Result<User, LabelStudioError> {
        self.get("/api/current-user/whoami", &[]).await
    }

    /// Whether the organisation accepts legacy tokens. Label Studio sends such a token to ML backends.
    pub async fn accepts_legacy_tokens(&self) -> Result<bool, LabelStudioError> {
        match self.get::<TokenSettings>("/api/jwt/settings", &[]).await {
            Ok(settings) => Ok(settings.legacy_api_tokens_enabled),
            // Older releases know legacy tokens only.
            Err(LabelStudioError::Status { status: StatusCode::NOT_FOUND, .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn http(&self) -> &Client {
        &self.http
    }

    /// Sends a GET request; repeats it if the connection fails or a gateway is not ready.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, LabelStudioError> {
        self.get_within(self.policy.timeout, path, query).await
    }

    /// As `get`, with another timeout.
    pub(super) async fn get_within<T: DeserializeOwned>(
        &self,
        timeout: Duration,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, LabelStudioError> {
        let mut url = address::below(&self.base, path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        with_retries(self.policy.retries, async || {
            let response = self.send(timeout, Method::GET, url.clone(), None).await?;
            read(response, &format!("GET {path}")).await
        })
        .await
    }

    /// Sends a request that changes something. It is sent once: after a lost answer nobody knows whether
    /// the change was made.
    pub(super) async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, LabelStudioError> {
        let what = format!("{method} {path}");
        let body = serde_json::to_vec(body).map_err(|error| LabelStudioError::Answer {
            what: what.clone(),
            reason: format!("the request cannot be written: {error}"),
        })?;
        let url = address::below(&self.base, path);
        let response = self.send(self.policy.timeout, method, url, Some(body)).await?;
        read(response, &what).await
    }

    /// Sends a request with the token. If Label Studio refuses an access token that was got with a personal
    /// one, sends the request again with a new access token.
    async fn send(
        &self,
        timeout: Duration,
        method: Method,
        url: Url,
        body: Option<Vec<u8>>,
    ) -> Result<Response, LabelStudioError> {
        let once = async |renew: bool| {
            let mut request = self.http.request(method.clone(), url.clone()).timeout(timeout);
            request = request.header(AUTHORIZATION, self.authorization(renew).await?);
            if let Some(body) = &body {
                request = request.header("Content-Type", "application/json").body(body.clone());
            }
            let sent = request.send().await;
            sent.map_err(|error| LabelStudioError::transport(self.url(), &error))
        };
        let response = once(false).await?;
        match (response.status(), self.key.kind) {
            (StatusCode::UNAUTHORIZED, TokenKind::Personal) => once(true).await,
            (StatusCode::UNAUTHORIZED, TokenKind::Access) => {
                Err(LabelStudioError::AccessTokenExpired)
            }
            _ => Ok(response),
        }
    }

    /// The Authorization header for the API key. `renew` says that the last one was refused.
    pub(super) async fn authorization(
        &self,
        renew: bool,
    ) -> Result<reqwest::header::HeaderValue, LabelStudioError> {
        match self.key.kind {
            TokenKind::Legacy => header("Token", &self.key.secret),
            TokenKind::Access => header("Bearer", &self.key.secret),
            TokenKind::Personal => {
                let mut access = self.access.lock().await;
                if renew || !access.as_ref().is_some_and(AccessToken::is_valid) {
                    *access = Some(AccessToken::issued_now(self.refresh(&self.key.secret).await?));
                }
                access
                    .as_ref()
                    .map_or(Err(LabelStudioError::NoKey), |a| header("Bearer", a.secret()))
            }
        }
    }

    /// Exchanges a personal access token for an access token.
    async fn refresh(&self, personal: &SecretToken) -> Result<String, LabelStudioError> {
        let path = "/api/token/refresh";
        let body = serde_json::json!({ "refresh": personal.reveal() }).to_string();
        let request = self
            .http
            .post(address::below(&self.base, path))
            .header("Content-Type", "application/json")
            .body(body);
        let response = request
            .send()
            .await
            .map_err(|error| LabelStudioError::transport(self.url(), &error))?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(LabelStudioError::UnknownToken(TokenKind::Personal.as_str()));
        }
        Ok(read::<RefreshAnswer>(response, &format!("POST {path}")).await?.access)
    }
}

/// Repeats an attempt that fails for a reason that may pass.
async fn with_retries<T>(
    retries: u32,
    attempt: impl AsyncFn() -> Result<T, LabelStudioError>,
) -> Result<T, LabelStudioError> {
    let mut pause = FIRST_PAUSE;
    for _ in 0..retries {
        match attempt().await {
            Err(error) if error.is_transient() => {
                tracing::debug!("{error}; again in {} ms", pause.as_millis());
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            done => return done,
        }
    }
    attempt().await
}

/// Asks the server at `base` for its release. A redirect there, usually from http to https, moves the base.
async fn discover(
    base: Url,
    policy: RequestPolicy,
) -> Result<(Client, Url, String), LabelStudioError> {
    let proxies = !address::is_loopback(&base);
    let http = tls::client(policy.connect_timeout, policy.timeout, proxies)?;
    let shown = address::without_slash(&base);
    let failed = |error| LabelStudioError::transport(shown, &error);
    let response = with_retries(policy.retries, async || {
        http.get(address::below(&base, "/api/version")).send().await.map_err(failed)
    })
    .await?;
    let (status, reached) = (response.status(), response.url().clone());
    let body = response.bytes().await.map_err(failed)?;
    let not_label_studio =
        |reason: String| LabelStudioError::NotLabelStudio { url: shown.to_owned(), reason };
    if !status.is_success() {
        return Err(not_label_studio(format!("/api/version answered {status}")));
    }
    let version: VersionAnswer = serde_json::from_slice(&body)
        .map_err(|_| not_label_studio("/api/version does not name a release".into()))?;
    let base = if reached.origin() == base.origin() {
        base
    } else {
        address::normalise(reached.as_str())?
    };
    Ok((http, base, version.release))
}

#[cfg(test)]
mod tests;
