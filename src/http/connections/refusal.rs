//! Answers to what never becomes a request: bytes that are not HTTP, a head that is too large, one
//! connection too many.

use axum::http::StatusCode;
use memchr::memmem;

use crate::http::error::{ApiError, ErrorBody, ErrorCode, reason_line};

/// What is wrong with bytes that the HTTP library gave up on. `head`: their beginning; `largest`: maximum
/// size of a head, in bytes.
pub(super) fn of(error: &hyper::Error, head: &[u8], largest: usize) -> ApiError {
    if is_tls(head) {
        let detail = "this port speaks plain HTTP, not TLS: use http://, or put a proxy that speaks TLS in front";
        return ApiError::new(ErrorCode::TlsNotSupported, detail);
    }
    if error.is_parse_version_h2() || head.starts_with(b"PRI * HTTP/2") {
        let detail = "this port does not speak HTTP/2: use HTTP/1.1";
        return ApiError::new(ErrorCode::HttpVersionNotSupported, detail);
    }
    let said = error.to_string();
    if error.is_parse_too_large() {
        // The library tells a target that is too long by its words alone.
        if said.contains("URI") {
            return ApiError::new(ErrorCode::TargetTooLong, "the request target is too long");
        }
        let detail = format!(
            "the request's head is larger than {largest} bytes (--max-header-size), or has over {} headers",
            super::MAX_HEADERS
        );
        return ApiError::new(ErrorCode::HeadersTooLarge, detail);
    }
    ApiError::new(ErrorCode::InvalidHttp, format!("this is not a valid HTTP request: {said}"))
}

/// A whole answer, after which the connection closes.
pub(super) fn bytes(error: &ApiError) -> Vec<u8> {
    let body = ErrorBody::bare(error).into_bytes();
    let reason = reason_line(&error.detail);
    let retry =
        if error.status == StatusCode::SERVICE_UNAVAILABLE { "retry-after: 1\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n{retry}\
         content-length: {}\r\nconnection: close\r\n\r\n",
        error.status.as_u16(),
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// Whether the bytes are a TLS record that begins a handshake.
fn is_tls(head: &[u8]) -> bool {
    matches!(head, [0x16, 0x03, ..])
}

/// Whether a head gives the length of its body in two ways, so that a proxy may have read another one. The
/// HTTP library follows one and drops the other.
pub(super) fn has_two_lengths(head: &[u8]) -> bool {
    let end = memmem::find(head, b"\r\n\r\n").unwrap_or(head.len());
    let mut names = head[..end].split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        Some(&line[..colon])
    });
    let mut length = false;
    let mut coding = false;
    for name in &mut names {
        length |= name.eq_ignore_ascii_case(b"content-length");
        coding |= name.eq_ignore_ascii_case(b"transfer-encoding");
    }
    length && coding
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lengths_are_seen_in_the_head_alone() {
        let both = b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTRANSFER-encoding: chunked\r\n\r\nabc";
        assert!(has_two_lengths(both));
        let one =
            b"POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(!has_two_lengths(one));
    }

    #[test]
    fn a_refusal_is_a_whole_answer() {
        let error = ApiError::new(ErrorCode::TooManyConnections, "too many: é");
        let text = String::from_utf8(bytes(&error)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 too many: \\u00e9\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(head.contains("retry-after: 1") && body.contains("too many: é"), "{text}");
    }
}
