//! Basic authentication of every route but the two probes.
//!
//! Label Studio tells its user "wrong password" only if /health itself answers 401, so that is not left
//! open. Its automatic webhook brings no credentials: the webhook token stands for them there.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::error::{ApiError, ErrorCode};
use super::webhook_token::{self, WebhookToken, hash};

/// A supervisor or a proxy must be able to ask these, and learns nothing else.
const OPEN: [&str; 2] = ["/livez", "/readyz"];
pub(super) const WEBHOOK: &str = "/webhook";

/// User and password that every request must bring.
#[derive(Clone)]
pub struct Credentials {
    /// Digest of `user:password` in UTF-8.
    expected: [u8; 32],
    /// The same in Latin-1, where that has all of its letters: Label Studio sends it so.
    in_latin_1: Option<[u8; 32]>,
}

impl Credentials {
    pub fn new(user: &str, password: &str) -> Self {
        let both = format!("{user}:{password}");
        let in_latin_1: Option<Vec<u8>> =
            both.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect();
        Self { expected: hash(both.as_bytes()), in_latin_1: in_latin_1.map(|bytes| hash(&bytes)) }
    }

    /// Whether a header brings them. The time that this takes does not depend on how much is right.
    pub(super) fn are_in(&self, header: Option<&HeaderValue>) -> bool {
        let Some((scheme, encoded)) = header.and_then(|value| value.to_str().ok()?.split_once(' '))
        else {
            return false;
        };
        let given = hash(&STANDARD.decode(encoded.trim()).unwrap_or_default());
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

/// Whether a path needs no password.
pub(super) fn is_open(path: &str) -> bool {
    OPEN.contains(&path)
}

/// Refuses a request that does not bring what it must.
pub(super) fn refusal(
    credentials: Option<&Credentials>,
    token: Option<&WebhookToken>,
    request: &Request,
) -> Option<Response> {
    let error = missing(credentials, token, request)?;
    let mut refusal = error.into_response();
    let realm = HeaderValue::from_static("Basic realm=\"Login required\"");
    refusal.headers_mut().insert(WWW_AUTHENTICATE, realm);
    Some(refusal)
}

/// What a request does not bring, if it must bring something.
fn missing(
    credentials: Option<&Credentials>,
    token: Option<&WebhookToken>,
    request: &Request,
) -> Option<ApiError> {
    let path = request.uri().path();
    let is_by_token = webhook_token::is_brought(request);
    if is_open(path) || (is_by_token && path == WEBHOOK) {
        return None;
    }
    let given = request.headers().get(AUTHORIZATION);
    match credentials {
        Some(expected) if expected.are_in(given) => None,
        Some(_) => {
            let error = ApiError::new(ErrorCode::Unauthorized, "Unauthorized");
            Some(error.logging(match given {
                None => "it brought no user and password",
                Some(_) => "its user or password is wrong",
            }))
        }
        // A client that may train decides what the model learns.
        None if token.is_some() && path == WEBHOOK => Some(ApiError::new(
            ErrorCode::WebhookTokenRequired,
            "events are taken only at the address with the webhook token",
        )),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

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

    #[test]
    fn the_right_password_counts_only_where_it_is_said_to_be_one() {
        let credentials = Credentials::new("user", "pass");
        let right = STANDARD.encode("user:pass");
        let passes = |text: &str| credentials.are_in(Some(&HeaderValue::from_str(text).unwrap()));
        for good in
            [format!("Basic {right}"), format!("basic {right}"), format!("BASIC   {right} ")]
        {
            assert!(passes(&good), "{good}");
        }
        for bad in [
            format!("Bearer {right}"),
            format!("Basics {right}"),
            format!("Basi {right}"),
            format!(" {right}"),
            right.clone(),
            format!("Basic\t{right}"),
            format!("Basic {right}x"),
            format!("Basic Basic {right}"),
            "Basic user:pass".to_owned(),
        ] {
            assert!(!passes(&bad), "{bad}");
        }
        for wrong in ["user:pas", "user:passs", "use:rpass", "User:pass", ":", "user:pass:"] {
            assert!(!passes(&format!("Basic {}", STANDARD.encode(wrong))), "{wrong}");
        }
        let no_text = HeaderValue::from_bytes(b"Basic \xff").unwrap();
        assert!(!credentials.are_in(Some(&no_text)));
        // What is not base64 counts as nothing, which is not a password either.
        let nobody = Credentials::new("", "");
        assert!(!nobody.are_in(Some(&HeaderValue::from_static("Basic ?"))));
        assert!(nobody.are_in(Some(&HeaderValue::from_static("Basic Og=="))));
    }

    #[test]
    fn what_a_request_must_bring_depends_on_its_path() {
        const TOKEN: &str = "0123456789abcdef";
        const EVENTS: Option<&str> =
            Some("events are taken only at the address with the webhook token");
        const PASSWORD: Option<&str> = Some("Unauthorized");
        // With credentials, with a token; where to, by the token, with the password; what is missing.
        let cases = [
            ((false, false), ("/predict", false, false), None),
            ((false, false), ("/webhook", false, false), None),
            ((false, true), ("/webhook", false, false), EVENTS),
            ((false, true), ("/webhook", true, false), None),
            ((false, true), ("/predict", false, false), None),
            ((false, true), ("/webhook", false, true), EVENTS),
            ((true, false), ("/webhook", false, false), PASSWORD),
            ((true, false), ("/webhook", false, true), None),
            ((true, false), ("/health", false, false), PASSWORD),
            ((true, false), ("/livez", false, false), None),
            ((true, false), ("/readyz", false, false), None),
            ((true, false), ("/readyz/", false, false), PASSWORD),
            ((true, true), ("/webhook", true, false), None),
            ((true, true), ("/webhook", false, false), PASSWORD),
            ((true, true), ("/webhook", false, true), None),
            ((true, true), ("/predict", true, false), PASSWORD),
            ((true, true), ("/jobs", true, false), PASSWORD),
            ((true, true), ("/livez", true, false), None),
        ];
        for ((has_credentials, has_token), (path, by_token, with_password), expected) in cases {
            let token = WebhookToken::new(TOKEN).unwrap();
            let credentials = has_credentials.then(|| Credentials::new("user", "pass"));
            let expected_token = has_token.then_some(&token);
            let target = if by_token { format!("/{TOKEN}{path}") } else { path.to_owned() };
            let mut request = Request::builder().uri(target);
            if with_password {
                let given = format!("Basic {}", STANDARD.encode("user:pass"));
                request = request.header(AUTHORIZATION, given);
            }
            let mut request = request.body(axum::body::Body::empty()).unwrap();
            token.take_off(&mut request);
            let case = format!("{has_credentials} {has_token} {path} {by_token} {with_password}");
            let error = missing(credentials.as_ref(), expected_token, &request);
            assert_eq!(error.map(|error| error.detail).as_deref(), expected, "{case}");
            let refused = refusal(credentials.as_ref(), expected_token, &request);
            assert_eq!(refused.is_some(), expected.is_some(), "{case}");
            if let Some(refused) = refused {
                assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
                assert_eq!(refused.headers()[WWW_AUTHENTICATE], "Basic realm=\"Login required\"");
            }
        }
    }
}
