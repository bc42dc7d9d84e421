//! The webhook token: part of the address under which Label Studio reaches the server.
//!
//! Label Studio sends its events to `<address>/webhook` and without a password. Under `/<token>/…` every
//! route is served, and events pass there without one. The token is taken off the path before anything else
//! sees it, so that it gets neither into a log nor to user code.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::Uri;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// Longer than the first part of any route, so that no route is hidden.
const SHORTEST: usize = 16;
const LONGEST: usize = 128;
const HIDDEN: &str = "…";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the webhook token must be {SHORTEST} to {LONGEST} characters of a-z, A-Z, 0-9, - and _ \
     (for instance from `openssl rand -hex 16`)"
)]
pub struct TokenError;

/// A token that stands in the path of the server's address.
#[derive(Clone)]
pub struct WebhookToken {
    text: Arc<str>,
    digest: [u8; 32],
}

/// Mark of a request that brought the token.
#[derive(Debug, Clone, Copy)]
struct ByToken;

/// Whether a request brought the token.
pub(super) fn is_brought(request: &Request) -> bool {
    request.extensions().get::<ByToken>().is_some()
}

impl WebhookToken {
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(SHORTEST..=LONGEST).contains(&text.len()) || !text.bytes().all(plain) {
            return Err(TokenError);
        }
        Ok(Self { text: text.into(), digest: hash(text.as_bytes()) })
    }

    /// For the address that the user pastes, and nowhere else.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Whether a text is this token. The time that this takes does not depend on how much of it is right.
    fn is(&self, given: &str) -> bool {
        hash(given.as_bytes()).ct_eq(&self.digest).into()
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        text.contains(&*self.text)
    }

    /// A text without the token.
    pub(super) fn scrub(&self, text: &str) -> String {
        text.replace(&*self.text, HIDDEN)
    }

    /// Takes the token off the path of a request that brings it.
    pub(super) fn take_off(&self, request: &mut Request) {
        let path = request.uri().path();
        let Some((first, rest)) = split(path) else { return };
        if !self.is(first) {
            return;
        }
        let rest = if rest.is_empty() { "/" } else { rest };
        let target = match request.uri().query() {
            Some(query) => format!("{rest}?{query}"),
            None => rest.to_owned(),
        };
        if let Ok(uri) = target.parse::<Uri>() {
            *request.uri_mut() = uri;
            request.extensions_mut().insert(ByToken);
        }
    }
}

impl std::fmt::Debug for WebhookToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookToken")
    }
}

/// The first part of a path, and what follows it.
fn split(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    Some(path.find('/').map_or((path, ""), |slash| path.split_at(slash)))
}

/// The path of a request for logs and answers, without what is, was or may be meant as a token.
pub(super) fn shown(token: Option<&WebhookToken>, uri: &Uri, by_token: bool) -> String {
    let path = uri.path();
    let Some(token) = token else { return path.to_owned() };
    if by_token {
        return format!("/{HIDDEN}{}", token.scrub(path));
    }
    match split(path) {
        Some((first, rest)) if first.len() >= SHORTEST => format!("/{HIDDEN}{}", token.scrub(rest)),
        _ => token.scrub(path),
    }
}

/// A digest of fixed length, by which texts are compared in constant time.
pub(super) fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    const TEXT: &str = "0123456789abcdef";

    fn arrives(target: &str) -> (Request, String) {
        let token = WebhookToken::new(TEXT).unwrap();
        let mut request = Request::builder().uri(target).body(Body::empty()).unwrap();
        token.take_off(&mut request);
        let shown = shown(Some(&token), request.uri(), is_brought(&request));
        (request, shown)
    }

    #[test]
    fn a_token_is_long_and_plain() {
        for bad in ["", "0123456789abcde", "0123456789abcde/", "0123456789abcdé", &"x".repeat(129)]
        {
            assert!(WebhookToken::new(bad).is_err(), "{bad}");
        }
        assert!(!TokenError.to_string().contains(TEXT));
        assert!(!format!("{:?}", WebhookToken::new(TEXT)).contains(TEXT));
    }

    #[test]
    fn it_is_taken_off_the_path() {
        for (target, left) in [
            ("/0123456789abcdef", "/"),
            ("/0123456789abcdef/", "/"),
            ("/0123456789abcdef/webhook?a=1", "/webhook?a=1"),
            ("http://h:1/0123456789abcdef/jobs/1/log", "/jobs/1/log"),
        ] {
            let (request, _) = arrives(target);
            assert_eq!(request.uri().to_string(), left);
            assert!(request.extensions().get::<ByToken>().is_some());
        }
        for other in ["/webhook", "/0123456789abcdeF/webhook", "/x/0123456789abcdef/webhook", "*"] {
            let (request, _) = arrives(other);
            assert!(request.extensions().get::<ByToken>().is_none(), "{other}");
        }
    }

    #[test]
    fn no_shown_path_has_it_or_one_like_it() {
        for (target, seen) in [
            ("/0123456789abcdef/webhook", "/…/webhook"),
            ("/0123456789abcdeF/webhook", "/…/webhook"),
            ("/x/0123456789abcdef", "/x/…"),
            ("/0123456789abcdef/0123456789abcdef", "/…/…"),
            ("/health", "/health"),
        ] {
            assert_eq!(arrives(target).1, seen, "{target}");
        }
    }

    #[test]
    fn a_token_has_sixteen_to_a_hundred_and_twenty_eight_plain_characters() {
        for (length, is_good) in [(15, false), (16, true), (17, true), (127, true), (128, true)] {
            assert_eq!(WebhookToken::new(&"x".repeat(length)).is_ok(), is_good, "{length}");
        }
        assert!(WebhookToken::new(&"x".repeat(129)).is_err());
        for byte in 0..=127_u8 {
            let letter = char::from(byte);
            let is_plain = letter.is_ascii_alphanumeric() || "-_".contains(letter);
            let text = format!("{}{letter}", "x".repeat(15));
            assert_eq!(WebhookToken::new(&text).is_ok(), is_plain, "{letter:?}");
        }
        let long = "y".repeat(128);
        assert_eq!(WebhookToken::new(&long).unwrap().reveal(), long);
    }

    #[test]
    fn what_may_be_meant_as_a_token_is_as_long_as_one() {
        for (target, seen) in [
            ("/0123456789abcde/webhook", "/0123456789abcde/webhook"),
            ("/0123456789abcdeg/webhook", "/…/webhook"),
            ("/0123456789abcdeg", "/…"),
            ("/0123456789abcdef/x0123456789abcdefx/", "/…/x…x/"),
            ("*", "*"),
        ] {
            assert_eq!(arrives(target).1, seen, "{target}");
        }
        let uri: Uri = "/0123456789abcdef/x".parse().unwrap();
        assert_eq!(shown(None, &uri, false), "/0123456789abcdef/x", "there is no token");
        let token = WebhookToken::new(TEXT).unwrap();
        assert!(token.is_in("a0123456789abcdefb") && !token.is_in("0123456789abcde"));
    }

    #[test]
    fn the_query_stays_and_the_token_in_it_is_none() {
        let (request, shown) = arrives("/0123456789abcdef?a=0123456789abcdef");
        assert_eq!(request.uri().to_string(), "/?a=0123456789abcdef");
        assert_eq!(shown, "/…/");
        let (request, _) = arrives("/webhook?0123456789abcdef");
        assert!(!is_brought(&request));
    }
}
