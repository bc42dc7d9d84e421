//! Basic authentication of every route.
//!
//! Label Studio tells its user "wrong password" only if /health itself answers 401, so nothing is left
//! open. Its automatic webhook brings no credentials: with a password it cannot train.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::error::ApiError;
use super::state::App;

/// User and password that every request must bring.
#[derive(Clone)]
pub struct Credentials {
    /// As the header has them, decoded.
    expected: Vec<u8>,
    /// The same in Latin-1, where that has all of its letters: Label Studio sends it so.
    in_latin_1: Option<Vec<u8>>,
}

impl Credentials {
    pub fn new(user: &str, password: &str) -> Self {
        let both = format!("{user}:{password}");
        let in_latin_1 = both.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect();
        Self { expected: both.into_bytes(), in_latin_1 }
    }

    /// Whether a header brings them. How long that takes tells nothing but their length.
    fn are_in(&self, header: Option<&HeaderValue>) -> bool {
        let Some((scheme, encoded)) = header.and_then(|value| value.to_str().ok()?.split_once(' '))
        else {
            return false;
        };
        let given = STANDARD.decode(encoded.trim()).unwrap_or_default();
        let other = self.in_latin_1.as_ref().unwrap_or(&self.expected);
        let is_right = given.ct_eq(&self.expected) | given.ct_eq(other);
        scheme.eq_ignore_ascii_case("basic") && bool::from(is_right)
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// Lets a request pass that brings the credentials, if there are any to bring.
pub(super) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    match &app.options.credentials {
        Some(expected) if !expected.are_in(request.headers().get(AUTHORIZATION)) => {
            let mut refusal =
                ApiError::new(StatusCode::UNAUTHORIZED, "Unauthorized").into_response();
            let realm = HeaderValue::from_static("Basic realm=\"Login required\"");
            refusal.headers_mut().insert(WWW_AUTHENTICATE, realm);
            refusal
        }
        _ => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_user_and_password_pass() {
        let credentials = Credentials::new("jürgen", "pä:ss");
        let passes = |text: &str| {
            let header = HeaderValue::from_str(text).unwrap();
            credentials.are_in(Some(&header))
        };
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert!(passes(&basic("jürgen:pä:ss")));
        assert!(passes(&basic("jürgen:pä:ss").replace("Basic", "bAsIc")));
        let in_latin_1 = STANDARD.encode(b"j\xfcrgen:p\xe4:ss");
        assert!(passes(&format!("Basic {in_latin_1}")));
        let greek = Credentials::new("a", "αβ");
        let header = HeaderValue::from_str(&basic("a:αβ")).unwrap();
        assert!(greek.are_in(Some(&header)));
        for wrong in ["", "Basic", "Basic ?", "Bearer abc", &basic("jürgen:"), &basic("x")] {
            assert!(!passes(wrong), "{wrong}");
        }
        assert!(!credentials.are_in(None));
    }
}
