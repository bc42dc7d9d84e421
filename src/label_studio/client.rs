//! Requests to one Label Studio: address, token, patience, and what its answers mean.

use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::token::{Access, Key, Kind, Secret, header};
use super::{LabelStudioError, address, tls};

/// How much of an unexpected answer is shown.
const SHOWN: usize = 300;
/// The first pause before a request is repeated; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// How long to wait for an answer, and how often to ask again what changes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub connect: Duration,
    pub answer: Duration,
    pub retries: u32,
}

impl Patience {
    /// For work that goes on for long: a restart of Label Studio is outlasted.
    pub const WORK: Self =
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(120), retries: 3 };
    /// For a look: what does not answer soon is told.
    pub const LOOK: Self =
        Self { connect: Duration::from_secs(3), answer: Duration::from_secs(5), retries: 0 };
}

/// A Label Studio that answered, and took the key.
#[derive(Debug)]
pub struct LabelStudio {
    base: Url,
    key: Key,
    access: Mutex<Option<Access>>,
    http: Client,
    patience: Patience,
    release: String,
    user: User,
}

/// Whose key it is.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct User {
    pub id: u64,
    #[serde(default)]
    pub email: String,
    #[serde(default)]
    pub username: String,
}

#[derive(Deserialize)]
struct Version {
    release: String,
}

#[derive(Deserialize)]
struct TokenSettings {
    legacy_api_tokens_enabled: bool,
}

#[derive(Deserialize)]
struct Traded {
    access: String,
}

impl LabelStudio {
    /// Finds out who answers at `url`, and for whom it takes `api_key`.
    pub async fn connect(url: &str, api_key: &str) -> Result<Self, LabelStudioError> {
        Self::connect_with(url, api_key, Patience::WORK).await
    }

    pub async fn connect_with(
        url: &str,
        api_key: &str,
        patience: Patience,
    ) -> Result<Self, LabelStudioError> {
        let base = address::normalise(url)?;
        let (http, base, release) = find(base, patience).await?;
        let key = Key::new(api_key)?;
        let user = User::default();
        let access = Mutex::default();
        let mut found = Self { base, key, access, http, patience, release, user };
        found.user = found.whoami().await?;
        Ok(found)
    }

    /// The release that answers at `url`, which needs no key.
    pub async fn release_at(url: &str, patience: Patience) -> Result<String, LabelStudioError> {
        Ok(find(address::normalise(url)?, patience).await?.2)
    }

    /// The address, without a slash at its end.
    pub fn url(&self) -> &str {
        address::shown(&self.base)
    }

    pub fn token_kind(&self) -> Kind {
        self.key.kind
    }

    pub fn version(&self) -> &str {
        &self.release
    }

    /// Whose key it is, as Label Studio said when the connection was made.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Asks whose key it is.
    pub async fn whoami(&self) -> Result<User, LabelStudioError> {
        self.get("/api/current-user/whoami", &[]).await
    }

    /// Whether the organisation takes legacy tokens, which are what Label Studio sends to ML backends.
    pub async fn takes_legacy_tokens(&self) -> Result<bool, LabelStudioError> {
        match self.get::<TokenSettings>("/api/jwt/settings", &[]).await {
            Ok(settings) => Ok(settings.legacy_api_tokens_enabled),
            // A release without other tokens.
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

    /// Reads; a connection that fails and a gateway that is not ready are tried again.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, LabelStudioError> {
        self.get_within(self.patience.answer, path, query).await
    }

    /// As `get`, for what takes Label Studio another time than the rest.
    pub(super) async fn get_within<T: DeserializeOwned>(
        &self,
        longest: Duration,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, LabelStudioError> {
        let mut url = address::below(&self.base, path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut pause = PAUSE;
        let mut retries = self.patience.retries;
        loop {
            let answer = async {
                let response = self.send(longest, Method::GET, url.clone(), None).await?;
                read(response, &format!("GET {path}")).await
            };
            match answer.await {
                Err(error) if retries > 0 && error.is_passing() => {
                    tracing::debug!("{error}; again in {} ms", pause.as_millis());
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    retries -= 1;
                }
                done => return done,
            }
        }
    }

    /// Changes something: sent once, since a lost answer does not tell whether it was done.
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
        let response = self.send(self.patience.answer, method, url, Some(body)).await?;
        read(response, &what).await
    }

    /// Sends with the token; one that Label Studio no longer takes is replaced once.
    async fn send(
        &self,
        longest: Duration,
        method: Method,
        url: Url,
        body: Option<Vec<u8>>,
    ) -> Result<Response, LabelStudioError> {
        let once = async |renew: bool| {
            let mut request = self.http.request(method.clone(), url.clone()).timeout(longest);
            request = request.header(AUTHORIZATION, self.authorization(renew).await?);
            if let Some(body) = &body {
                request = request.header("Content-Type", "application/json").body(body.clone());
            }
            let sent = request.send().await;
            sent.map_err(|error| LabelStudioError::transport(self.url(), &error))
        };
        let response = once(false).await?;
        match (response.status(), self.key.kind) {
            (StatusCode::UNAUTHORIZED, Kind::Personal) => once(true).await,
            (StatusCode::UNAUTHORIZED, Kind::Access) => Err(LabelStudioError::AccessTokenEnded),
            _ => Ok(response),
        }
    }

    /// The header that stands for the key. `renew`: what was sent last was not taken.
    pub(super) async fn authorization(
        &self,
        renew: bool,
    ) -> Result<reqwest::header::HeaderValue, LabelStudioError> {
        match self.key.kind {
            Kind::Legacy => header("Token", &self.key.secret),
            Kind::Access => header("Bearer", &self.key.secret),
            Kind::Personal => {
                let mut access = self.access.lock().await;
                if renew || !access.as_ref().is_some_and(Access::is_good) {
                    *access = Some(Access::fresh(self.trade(&self.key.secret).await?));
                }
                access
                    .as_ref()
                    .map_or(Err(LabelStudioError::NoKey), |a| header("Bearer", a.secret()))
            }
        }
    }

    /// Trades a personal access token for an access token.
    async fn trade(&self, personal: &Secret) -> Result<String, LabelStudioError> {
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
            return Err(LabelStudioError::UnknownToken(Kind::Personal.in_words()));
        }
        Ok(read::<Traded>(response, &format!("POST {path}")).await?.access)
    }
}

/// Asks for the release at an address. A redirect there, mostly from http to https, moves the base.
async fn find(base: Url, patience: Patience) -> Result<(Client, Url, String), LabelStudioError> {
    let local = is_loopback(&base);
    let http = tls::client(patience.connect, patience.answer, !local)?;
    let shown = address::shown(&base).to_owned();
    let mut pause = PAUSE;
    let mut retries = patience.retries;
    let response = loop {
        let sent = http.get(address::below(&base, "/api/version")).send().await;
        match sent.map_err(|error| LabelStudioError::transport(&shown, &error)) {
            Err(error) if retries > 0 && error.is_passing() => {
                tokio::time::sleep(pause).await;
                pause *= 2;
                retries -= 1;
            }
            sent => break sent?,
        }
    };
    let status = response.status();
    let reached = response.url().clone();
    let no_label_studio =
        |reason: String| LabelStudioError::NotLabelStudio { url: shown.clone(), reason };
    let body =
        response.bytes().await.map_err(|error| LabelStudioError::transport(&shown, &error))?;
    if !status.is_success() {
        return Err(no_label_studio(format!("/api/version is answered with {status}")));
    }
    let version: Version = serde_json::from_slice(&body)
        .map_err(|_| no_label_studio("/api/version names no release".into()))?;
    let base = if (reached.scheme(), reached.host(), reached.port())
        == (base.scheme(), base.host(), base.port())
    {
        base
    } else {
        address::normalise(reached.as_str())?
    };
    Ok((http, base, version.release))
}

/// Whether the host of an address is this machine, which no proxy reaches.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The body of a good answer, or what a bad one means.
async fn read<T: DeserializeOwned>(response: Response, what: &str) -> Result<T, LabelStudioError> {
    let status = response.status();
    let url = address_of(&response);
    let body = response.bytes().await.map_err(|error| LabelStudioError::transport(&url, &error))?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| LabelStudioError::Answer {
            what: what.to_owned(),
            reason: error.to_string(),
        });
    }
    let detail = detail(&body);
    Err(match status {
        StatusCode::UNAUTHORIZED if detail.contains("legacy token authentication") => {
            LabelStudioError::LegacyTokensOff
        }
        StatusCode::UNAUTHORIZED => LabelStudioError::UnknownToken("API key"),
        StatusCode::FORBIDDEN if detail.contains("reserved network address") => {
            LabelStudioError::PrivateAddress { what: detail }
        }
        StatusCode::FORBIDDEN => LabelStudioError::Forbidden { what: format!("{what}: {detail}") },
        _ => LabelStudioError::Status { status, what: what.to_owned(), detail },
    })
}

fn address_of(response: &Response) -> String {
    let mut url = response.url().clone();
    url.set_query(None);
    url.to_string()
}

/// What an error answer says: Label Studio's `detail` and validation errors, or the start of the text.
fn detail(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(alias = "error")]
        detail: String,
        #[serde(default)]
        validation_errors: serde_json::Value,
    }
    let text = match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) if refusal.validation_errors.is_null() => refusal.detail,
        Ok(refusal) => format!("{}: {}", refusal.detail, refusal.validation_errors),
        Err(_) if body.trim_ascii_start().starts_with(b"<") => "an HTML page".into(),
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests;
