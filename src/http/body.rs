//! Request bodies: reading them within bounds, and the fields that the server itself needs.
//!
//! Out comes the body as it was sent; the server looks only at what it must know to pass it on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, StatusCode, Uri};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::error::ApiError;
use crate::workers::model::Request;
use crate::workers::protocol::HttpHead;

/// A client that sends nothing for this long is given up.
const STALL: Duration = Duration::from_secs(30);
/// How long the rest of a refused body is read.
const DISCARD: Duration = Duration::from_secs(5);
/// Capacity is reserved ahead for at most this much of an announced length.
const RESERVE: usize = 8 << 20;

/// Reads a JSON body of at most `limit` bytes.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
) -> Result<Bytes, ApiError> {
    require_json(headers)?;
    let too_large = || {
        let detail = format!("the body is larger than the limit of {limit} bytes (--max-body)");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let announced: usize = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    if announced > limit {
        if !headers.contains_key(EXPECT) {
            discard(&mut body).await;
        }
        return Err(too_large());
    }
    let mut received = BytesMut::with_capacity(announced.min(RESERVE));
    loop {
        let frame = timeout(STALL, body.frame()).await.map_err(|_| {
            let detail = format!("the rest of the body did not come within {} s", STALL.as_secs());
            ApiError::new(StatusCode::REQUEST_TIMEOUT, detail)
        })?;
        match frame {
            None => return Ok(received.freeze()),
            Some(Err(error)) => {
                let detail = format!("the body could not be read: {error}");
                return Err(ApiError::new(StatusCode::BAD_REQUEST, detail));
            }
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                if received.len() + data.len() > limit {
                    drop(received);
                    discard(&mut body).await;
                    return Err(too_large());
                }
                received.extend_from_slice(&data);
            }
        }
    }
}

/// Reads on without keeping anything. A client that still sends when the connection is closed sees
/// a broken connection instead of the answer.
async fn discard(body: &mut Body) {
    let all = async { while let Some(Ok(_)) = body.frame().await {} };
    // Whoever sends for longer than this gets the broken connection.
    let _ = timeout(DISCARD, all).await;
}

fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let json = media == "application/json"
        || (media.starts_with("application/") && media.ends_with("+json"));
    if json {
        return Ok(());
    }
    let detail = format!("the content type must be application/json, not {given:?}");
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

/// A request as user code may look at it.
pub(super) fn request(uri: &Uri, headers: &HeaderMap, body: Bytes) -> Request {
    let target = uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string);
    let headers = headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    Request { head: HttpHead { target, headers }, body }
}

/// The top-level fields of a request, unparsed. Of a key that occurs twice the last value counts,
/// and null is the same as absent, as in the original.
#[derive(Debug)]
pub(super) struct Fields<'a>(HashMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Fields<'a> {
    /// 400 for what is no JSON, 422 for JSON that is no object.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(body).map(Self).map_err(|error| {
            if error.is_data() {
                let detail = "the body must be a JSON object";
                ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
            } else {
                let detail = format!("the body is no valid JSON: {error}");
                ApiError::new(StatusCode::BAD_REQUEST, detail)
            }
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|raw| raw.get() != "null")
    }

    /// The project key: a string, an integer, or nothing, which is one default project.
    pub(super) fn project(&self) -> Result<String, ApiError> {
        let Some(raw) = self.get("project") else {
            return Ok(String::new());
        };
        match serde_json::from_str(raw.get()) {
            Ok(Value::String(key)) => Ok(key),
            Ok(Value::Number(key)) if !key.is_f64() => Ok(key.to_string()),
            _ => Err(ApiError::field("project", "must be a string or an integer")),
        }
    }

    /// A field that is a string or absent.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        let Some(raw) = self.get(name) else {
            return Ok(None);
        };
        let text = serde_json::from_str(raw.get()).map(Some);
        text.map_err(|_| ApiError::field(name, "must be a string"))
    }

    /// A field that is true, false or absent.
    pub(super) fn flag(&self, name: &str, absent: bool) -> Result<bool, ApiError> {
        let Some(raw) = self.get(name) else {
            return Ok(absent);
        };
        let flag = serde_json::from_str(raw.get());
        flag.map_err(|_| ApiError::field(name, "must be true or false"))
    }

    /// A field that must be there and be a list.
    pub(super) fn list(&self, name: &str) -> Result<&'a RawValue, ApiError> {
        match self.get(name) {
            Some(raw) if raw.get().starts_with('[') => Ok(raw),
            Some(_) => Err(ApiError::field(name, "must be a list")),
            None => Err(ApiError::field(name, "is missing; it must be a list")),
        }
    }

    /// A field that is an object or absent.
    pub(super) fn object(&self, name: &str) -> Result<Option<&'a RawValue>, ApiError> {
        match self.get(name) {
            Some(raw) if !raw.get().starts_with('{') => {
                Err(ApiError::field(name, "must be an object"))
            }
            raw => Ok(raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        headers
    }

    #[test]
    fn only_json_is_taken() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/x+json"] {
            assert!(require_json(&headers(good)).is_ok(), "{good}");
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", "json"] {
            assert_eq!(
                require_json(&headers(bad)).unwrap_err().status,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "{bad}"
            );
        }
        assert!(require_json(&HeaderMap::new()).is_err());
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_announced_or_not() {
        let mut announced = headers("application/json");
        announced.insert(CONTENT_LENGTH, "11".parse().unwrap());
        let unread = read(&announced, Body::empty(), 10).await.unwrap_err();
        assert_eq!(unread.status, StatusCode::PAYLOAD_TOO_LARGE);
        let json = headers("application/json");
        let counted = read(&json, Body::from("x".repeat(11)), 10).await.unwrap_err();
        assert_eq!(counted.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(read(&json, Body::from("[1, 2, 3]"), 10).await.unwrap(), "[1, 2, 3]");
    }

    fn project(body: &str) -> Result<String, ApiError> {
        Fields::read(body.as_bytes()).unwrap().project()
    }

    #[test]
    fn a_project_is_a_string_an_integer_or_absent() {
        assert_eq!(project("{}").unwrap(), "");
        assert_eq!(project(r#"{"project": null}"#).unwrap(), "");
        assert_eq!(project(r#"{"project": 7}"#).unwrap(), "7");
        assert_eq!(project(r#"{"project": 1, "project": "2.179"}"#).unwrap(), "2.179");
        for bad in ["2.5", "true", "[]", "{}"] {
            let error = project(&format!(r#"{{"project": {bad}}}"#)).unwrap_err();
            assert_eq!(error.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert!(error.detail.contains("`project`"), "{}", error.detail);
        }
    }

    #[test]
    fn no_json_and_no_object_are_told_apart() {
        let status = |body: &[u8]| Fields::read(body).unwrap_err().status;
        for bad in ["", "{", "{\"a\": NaN}", "{\"a\": 1,}", "{} x"] {
            assert_eq!(status(bad.as_bytes()), StatusCode::BAD_REQUEST, "{bad}");
        }
        assert_eq!(status(b"{\"a\": \"\xff\"}"), StatusCode::BAD_REQUEST);
        for bad in ["[]", "1", "null", "\"a\""] {
            assert_eq!(status(bad.as_bytes()), StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
        }
    }
}
