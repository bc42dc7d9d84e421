//! The first step of every request: its path gets one spelling and loses the webhook token, and a request
//! that servers and proxies may understand differently is refused.

use axum::extract::Request;
use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue, Version};
use axum::response::{IntoResponse, Response};

use super::error::{ApiError, ErrorCode};
use super::webhook_token::WebhookToken;

/// Mark of a request that must be refused, with what is wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ambiguous(pub(super) &'static str);

/// Gives the path its one spelling, without the token.
pub(super) fn normalize(token: Option<&WebhookToken>, request: &mut Request) {
    if let Some(path) = respelled(request.uri().path()) {
        let target = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        if let Ok(uri) = target.parse() {
            *request.uri_mut() = uri;
        }
    }
    if let Some(token) = token {
        token.take_off(request);
    }
}

/// Refuses a request that servers and proxies may understand differently.
pub(super) fn refusal(request: &Request) -> Option<Response> {
    let hosts = request.headers().get_all(HOST).iter().count();
    let wrong = match request.extensions().get::<Ambiguous>() {
        Some(Ambiguous(wrong)) => Some(*wrong),
        None if !has_plain_coding(request.headers()) => {
            Some("the header Transfer-Encoding may only say `chunked`, and only once")
        }
        None if hosts > 1 => Some("the header Host occurs more than once"),
        None if hosts == 0 && request.version() == Version::HTTP_11 => {
            Some("the header Host is missing")
        }
        None => None,
    };
    let mut refusal = ApiError::new(ErrorCode::AmbiguousRequest, wrong?).into_response();
    // Where the next request would begin is in doubt too.
    refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Some(refusal)
}

/// Whether Transfer-Encoding is absent, or says what every server understands alike.
fn has_plain_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_plain = codings
        .next()
        .is_none_or(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"));
    is_plain && codings.next().is_none()
}

/// A path with `/` for `//`, since the address of a backend is often typed with a slash at its end, and
/// with letters for what needs no `%`; none if the path is spelled so already.
fn respelled(path: &str) -> Option<String> {
    if !path.contains("//") && !path.contains('%') {
        return None;
    }
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        let decoded = if character == '%' { unreserved(rest) } else { None };
        if let Some(letter) = decoded {
            plain.push(letter);
            rest = &rest[2..];
        } else if character != '/' || !plain.ends_with('/') {
            plain.push(character);
        }
    }
    (plain != path).then_some(plain)
}

/// The letter, digit or mark that two hexadecimal digits stand for, if it means the same without `%`.
fn unreserved(digits: &str) -> Option<char> {
    let code = u8::from_str_radix(digits.get(..2)?, 16).ok()?;
    let is_unreserved = code.is_ascii_alphanumeric() || b"-._~".contains(&code);
    is_unreserved.then(|| char::from(code))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;
    use crate::testing::in_time;

    #[test]
    fn a_path_has_one_spelling() {
        in_time(|| {
            for (path, expected) in [
                ("//health", "/health"),
                ("///jobs//1///log", "/jobs/1/log"),
                ("/%68ealth", "/health"),
                ("/%7E%2d", "/~-"),
            ] {
                assert_eq!(respelled(path).as_deref(), Some(expected));
            }
            for same in
                ["/health", "/", "*", "/a%2Fb", "/%", "/%4", "/%zz", "/%+1", "/%é", "/%25%36"]
            {
                let kept = respelled(same).unwrap_or_else(|| same.to_owned());
                assert_eq!(kept, if same == "/%25%36" { "/%256" } else { same });
            }
        });
    }

    #[test]
    fn a_request_arrives_with_a_plain_path_its_query_and_without_the_token() {
        in_time(|| {
            let token = WebhookToken::new("0123456789abcdef").unwrap();
            for (target, by_token, without_one) in [
                ("/a", "/a", "/a"),
                ("//a?b=//c", "/a?b=//c", "/a?b=//c"),
                ("/%61?b=%61", "/a?b=%61", "/a?b=%61"),
                ("//0123456789abcdef//a?b", "/a?b", "/0123456789abcdef/a?b"),
                ("/%30123456789abcdef/a", "/a", "/0123456789abcdef/a"),
            ] {
                for (token, expected) in [(Some(&token), by_token), (None, without_one)] {
                    let mut request =
                        Request::builder().uri(target).body(axum::body::Body::empty()).unwrap();
                    normalize(token, &mut request);
                    assert_eq!(request.uri().to_string(), expected, "{target}");
                }
            }
        });
    }

    fn refused(version: Version, headers: &[(&str, &str)], malformed: bool) -> Option<Response> {
        let mut request = Request::builder().uri("/health").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(axum::body::Body::empty()).unwrap();
        if malformed {
            request.extensions_mut().insert(Ambiguous("two lengths"));
        }
        refusal(&request)
    }

    #[test]
    fn what_may_be_understood_differently_is_refused_and_the_connection_with_it() {
        let host = ("host", "a");
        for (version, headers, is_good) in [
            (Version::HTTP_11, &[host][..], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_10, &[host], true),
            (Version::HTTP_11, &[host, host], false),
            (Version::HTTP_10, &[host, ("host", "b")], false),
            (Version::HTTP_11, &[host, ("transfer-encoding", "chunked")], true),
            (Version::HTTP_11, &[host, ("transfer-encoding", " Chunked ")], true),
            (Version::HTTP_11, &[host, ("transfer-encoding", "gzip, chunked")], false),
            (Version::HTTP_11, &[host, ("transfer-encoding", "identity")], false),
            (Version::HTTP_11, &[host, ("transfer-encoding", "")], false),
            (
                Version::HTTP_11,
                &[host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
                false,
            ),
        ] {
            let refused = refused(version, headers, false);
            assert_eq!(refused.is_none(), is_good, "{version:?} {headers:?}");
            if let Some(refused) = refused {
                assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
                assert_eq!(refused.headers()[CONNECTION], "close");
            }
        }
        assert!(refused(Version::HTTP_11, &[host], true).is_some());
    }

    #[test]
    fn only_what_means_the_same_without_percent_is_written_without_it() {
        in_time(|| {
            for byte in 0..=255_u8 {
                let written = format!("/%{byte:02X}");
                let letter = char::from(byte);
                let is_unreserved = letter.is_ascii_alphanumeric() || "-._~".contains(letter);
                let expected = is_unreserved.then(|| format!("/{letter}"));
                assert_eq!(respelled(&written), expected, "{written}");
            }
        });
    }
}
