//! API keys: which kind one is, and the header that it becomes.
//!
//! A legacy token and an access token are sent as they are. A personal access token is traded for an
//! access token, which Label Studio lets live for five minutes.

use std::fmt;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};

use super::LabelStudioError;

/// An access token is replaced so long before it ends, so that no request meets its end.
const MARGIN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Legacy,
    /// A refresh token: what Label Studio's page calls a personal access token.
    Personal,
    /// What a personal access token is traded for.
    Access,
}

impl Kind {
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Legacy => "legacy token",
            Self::Personal => "personal access token",
            Self::Access => "access token",
        }
    }
}

/// A token that is never shown.
#[derive(Clone)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// An API key as its user gave it.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) secret: Secret,
}

impl Key {
    pub(super) fn new(given: &str) -> Result<Self, LabelStudioError> {
        let token = given.trim();
        let token = token
            .strip_prefix("Token ")
            .or_else(|| token.strip_prefix("Bearer "))
            .map_or(token, str::trim_start);
        if token.is_empty() {
            return Err(LabelStudioError::NoKey);
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(LabelStudioError::Key);
        }
        let kind = match claims(token).map(|claims| claims.token_type) {
            Some(TokenType::Refresh) => Kind::Personal,
            Some(TokenType::Access) => Kind::Access,
            None => Kind::Legacy,
        };
        Ok(Self { kind, secret: Secret(token.to_owned()) })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TokenType {
    Refresh,
    Access,
}

/// What we read of the payload of a JWT. Its signature is Label Studio's business.
#[derive(Debug, Deserialize)]
struct Claims {
    token_type: TokenType,
    exp: Option<u64>,
    iat: Option<u64>,
}

fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// An access token, and when it needs to be replaced.
#[derive(Debug, Clone)]
pub(super) struct Access {
    secret: Secret,
    until: Option<Instant>,
}

impl Access {
    /// One that was issued a moment ago. Its own two dates tell how long it lives, whatever our clock says.
    pub(super) fn fresh(token: String) -> Self {
        let life = claims(&token).and_then(|claims| claims.exp?.checked_sub(claims.iat?));
        let life = life.map(|seconds| Duration::from_secs(seconds).saturating_sub(MARGIN));
        // One that outlives the clock is good for ever.
        let until = life.and_then(|life| Instant::now().checked_add(life));
        Self { secret: Secret(token), until }
    }

    pub(super) fn is_good(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// The value of an Authorization header, marked so that nothing prints it.
pub(super) fn header(scheme: &str, secret: &Secret) -> Result<HeaderValue, LabelStudioError> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {}", secret.reveal()))
        .map_err(|_| LabelStudioError::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A token of Label Studio's shape; `extra` are more claims.
    pub(in crate::label_studio) fn jwt(kind: &str, extra: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let payload = format!(r#"{{"token_type":"{kind}","user_id":"1"{extra}}}"#);
        format!("{}.{}.c2lnbmF0dXJl", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&payload))
    }

    fn kind(given: &str) -> Kind {
        Key::new(given).unwrap().kind
    }

    #[test]
    fn the_kind_of_a_key_is_read_off_it() {
        assert_eq!(kind(&"a1".repeat(20)), Kind::Legacy);
        assert_eq!(kind(&jwt("refresh", "")), Kind::Personal);
        assert_eq!(kind(&jwt("access", "")), Kind::Access);
        assert_eq!(kind("a.b.c"), Kind::Legacy);
        assert_eq!(kind(&jwt("sliding", "")), Kind::Legacy);
    }

    #[test]
    fn what_surrounds_a_copied_key_is_left_out() {
        for given in ["abc\n", " abc", "Token abc", "Bearer  abc"] {
            assert_eq!(Key::new(given).unwrap().secret.reveal(), "abc", "{given}");
        }
        assert!(matches!(Key::new(" \n"), Err(LabelStudioError::NoKey)));
        assert!(matches!(Key::new("ab\ncd"), Err(LabelStudioError::Key)));
        assert!(matches!(Key::new("schlüssel"), Err(LabelStudioError::Key)));
    }

    #[test]
    fn an_access_token_is_replaced_before_it_ends() {
        let lives = |iat: u64, exp: u64| {
            Access::fresh(jwt("access", &format!(r#","iat":{iat},"exp":{exp}"#))).is_good()
        };
        // Five minutes long, in the past and in the future of our clock.
        assert!(lives(1_000, 1_300) && lives(9_000_000_000, 9_000_000_300));
        assert!(!lives(1_000, 1_020));
        assert!(lives(0, u64::MAX));
        assert!(Access::fresh("unreadable".into()).is_good());
    }

    #[test]
    fn no_token_is_ever_shown() {
        let key = Key::new("a-secret-token").unwrap();
        let access = Access::fresh("a-secret-token".into());
        let header = header("Token", &key.secret).unwrap();
        assert_eq!(header.to_str().unwrap(), "Token a-secret-token");
        assert!(!format!("{key:?} {access:?} {header:?}").contains("secret-token"));
    }
}
