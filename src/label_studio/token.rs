//! API keys: their kinds, and the Authorization headers that are made from them.
//!
//! A legacy token and an access token are sent as they are. A personal access token is exchanged for an
//! access token, which expires after five minutes.

use std::fmt;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use super::LabelStudioError;

/// How long before its end an access token is replaced, so that it does not expire during a request.
const MARGIN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Legacy,
    /// A refresh token; Label Studio's pages call it a personal access token.
    Personal,
    /// What Label Studio gives for a personal access token.
    Access,
}

impl TokenKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy token",
            Self::Personal => "personal access token",
            Self::Access => "access token",
        }
    }
}

/// A token that `Debug` does not show.
#[derive(Clone)]
pub(super) struct SecretToken(String);

impl SecretToken {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// An API key and its kind.
#[derive(Debug, Clone)]
pub(super) struct ApiKey {
    pub(super) kind: TokenKind,
    pub(super) secret: SecretToken,
}

impl ApiKey {
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
            return Err(LabelStudioError::MalformedKey);
        }
        let kind = match claims(token).map(|claims| claims.token_type) {
            Some(TokenType::Refresh) => TokenKind::Personal,
            Some(TokenType::Access) => TokenKind::Access,
            None => TokenKind::Legacy,
        };
        Ok(Self { kind, secret: SecretToken(token.to_owned()) })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TokenType {
    Refresh,
    Access,
}

/// The part of a JWT's payload that is used here. Label Studio checks the signature.
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

/// An access token, and when it has to be replaced.
#[derive(Debug, Clone)]
pub(super) struct AccessToken {
    secret: SecretToken,
    valid_until: Option<Instant>,
}

impl AccessToken {
    /// A token that was issued a moment ago. Its lifetime is the difference of its own two dates, since the
    /// clock of this machine may be wrong.
    pub(super) fn issued_now(token: String) -> Self {
        let lifetime = claims(&token).and_then(|claims| claims.exp?.checked_sub(claims.iat?));
        let lifetime = lifetime.map(|seconds| Duration::from_secs(seconds).saturating_sub(MARGIN));
        // A date beyond the range of the clock means that it never expires.
        let valid_until = lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime));
        Self { secret: SecretToken(token), valid_until }
    }

    pub(super) fn is_valid(&self) -> bool {
        self.valid_until.is_none_or(|end| Instant::now() < end)
    }

    pub(super) fn secret(&self) -> &SecretToken {
        &self.secret
    }
}

/// The value of an Authorization header, marked as sensitive so that it is not printed.
pub(super) fn header(scheme: &str, secret: &SecretToken) -> Result<HeaderValue, LabelStudioError> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {}", secret.reveal()))
        .map_err(|_| LabelStudioError::MalformedKey)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A token in the form of Label Studio's; `extra` are further claims.
    pub(in crate::label_studio) fn jwt(kind: &str, extra: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let payload = format!(r#"{{"token_type":"{kind}","user_id":"1"{extra}}}"#);
        format!("{}.{}.c2lnbmF0dXJl", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&payload))
    }

    fn kind(given: &str) -> TokenKind {
        ApiKey::new(given).unwrap().kind
    }

    #[test]
    fn the_kind_of_a_key_is_recognised() {
        assert_eq!(kind(&"a1".repeat(20)), TokenKind::Legacy);
        assert_eq!(kind(&jwt("refresh", "")), TokenKind::Personal);
        assert_eq!(kind(&jwt("access", "")), TokenKind::Access);
        assert_eq!(kind("a.b.c"), TokenKind::Legacy);
        assert_eq!(kind(&jwt("sliding", "")), TokenKind::Legacy);
    }

    #[test]
    fn what_surrounds_a_copied_key_is_left_out() {
        for given in ["abc\n", " abc", "Token abc", "Bearer  abc"] {
            assert_eq!(ApiKey::new(given).unwrap().secret.reveal(), "abc", "{given}");
        }
        assert!(matches!(ApiKey::new(" \n"), Err(LabelStudioError::NoKey)));
        assert!(matches!(ApiKey::new("ab\ncd"), Err(LabelStudioError::MalformedKey)));
        assert!(matches!(ApiKey::new("schlüssel"), Err(LabelStudioError::MalformedKey)));
    }

    #[test]
    fn an_access_token_is_replaced_before_it_ends() {
        let is_valid = |iat: u64, exp: u64| {
            AccessToken::issued_now(jwt("access", &format!(r#","iat":{iat},"exp":{exp}"#)))
                .is_valid()
        };
        // Valid for five minutes, in the past and in the future of this machine's clock.
        assert!(is_valid(1_000, 1_300) && is_valid(9_000_000_000, 9_000_000_300));
        assert!(!is_valid(1_000, 1_020));
        assert!(is_valid(0, u64::MAX));
        assert!(AccessToken::issued_now("unreadable".into()).is_valid());
    }

    #[test]
    fn no_token_is_ever_shown() {
        let key = ApiKey::new("a-secret-token").unwrap();
        let access = AccessToken::issued_now("a-secret-token".into());
        let header = header("Token", &key.secret).unwrap();
        assert_eq!(header.to_str().unwrap(), "Token a-secret-token");
        assert!(!format!("{key:?} {access:?} {header:?}").contains("secret-token"));
    }
}
