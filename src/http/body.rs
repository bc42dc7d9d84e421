//! Request bodies: reading them within bounds, and the fields that the server itself needs.
//!
//! Out comes the body as it was sent; the server looks only at what it must know to pass it on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::timeout_at;

pub use super::budget::Budget;
use super::budget::Held;
use super::error::ApiError;
use crate::label_config::MAX_CONFIG_BYTES;
use crate::workers::model::Request;
use crate::workers::protocol::HttpHead;

/// Slower than this in bytes a second, on average, no client may send once it had the time of two pauses.
const SLOWEST: usize = 1 << 10;
/// Room that is made at first. More is made as bytes come, since a length is soon announced.
const ROOM: usize = 1 << 10;

/// How much and how slowly clients may send.
#[derive(Debug, Clone)]
pub struct BodyLimits {
    /// Largest body in bytes. Label Studio sends all selected tasks in one POST.
    pub each: usize,
    /// Longest pause of a client that sends.
    pub pause: Duration,
    /// Room for all bodies together.
    pub all: Arc<Budget>,
}

impl BodyLimits {
    fn too_large(&self) -> ApiError {
        let detail =
            format!("the body is larger than the limit of {} bytes (--max-body)", self.each);
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// Room for `more` bytes of a body that holds `held`.
    fn make_room(&self, held: &mut Held, more: usize) -> Result<(), ApiError> {
        if held.grow(more) {
            return Ok(());
        }
        let detail = format!(
            "the bodies of all requests together are larger than the limit of {} bytes (--max-bodies): try \
             again",
            self.all.limit()
        );
        Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail))
    }

    /// When the next bytes must be there, and what is wrong if they are not.
    fn deadline(&self, began: Instant, received: usize) -> (Instant, String) {
        let pause = self.pause.as_secs_f64();
        let halt = Instant::now() + self.pause;
        let earned = Duration::from_secs(u64::try_from(received / SLOWEST).unwrap_or(u64::MAX));
        let slow = began + self.pause * 2 + earned;
        if halt <= slow {
            (halt, format!("nothing of the body came for {pause} s (--body-timeout)"))
        } else {
            let rate =
                format!("the body comes slower than {SLOWEST} bytes a second (--body-timeout)");
            (slow, rate)
        }
    }
}

/// Reads a JSON body within limits.
pub(super) async fn read(
    limits: &BodyLimits,
    headers: &HeaderMap,
    mut body: Body,
) -> Result<Bytes, ApiError> {
    require_json(headers)?;
    let announced: usize = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    if announced > limits.each {
        return Err(limits.too_large());
    }
    // Nothing is set aside for what was only announced, but nothing is read either that cannot fit now.
    limits.make_room(&mut limits.all.hold(), announced)?;
    let mut held = limits.all.hold();
    let mut received = BytesMut::new();
    let began = Instant::now();
    loop {
        let (deadline, late) = limits.deadline(began, received.len());
        let frame = timeout_at(deadline.into(), body.frame())
            .await
            .map_err(|_| ApiError::new(StatusCode::REQUEST_TIMEOUT, late))?;
        match frame {
            None => return Ok(held.keep(received.freeze())),
            Some(Err(error)) => {
                let detail = format!("the body could not be read: {error}");
                return Err(ApiError::new(StatusCode::BAD_REQUEST, detail));
            }
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                if received.len() + data.len() > limits.each {
                    return Err(limits.too_large());
                }
                limits.make_room(&mut held, data.len())?;
                if received.capacity() - received.len() < data.len() {
                    let rest = announced.saturating_sub(received.len());
                    received.reserve(rest.min(received.len().max(ROOM)).max(data.len()));
                }
                received.extend_from_slice(&data);
            }
        }
    }
}

/// Refuses a labelling config that is too long for the parser, before anybody keeps it.
pub(super) fn readable(name: &str, config: Option<&str>) -> Result<(), ApiError> {
    if config.is_some_and(|config| config.len() > MAX_CONFIG_BYTES) {
        return Err(ApiError::field(name, &format!("is longer than {MAX_CONFIG_BYTES} bytes")));
    }
    Ok(())
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

    /// A labelling config, within the length that can be read at all.
    pub(super) fn config(&self, name: &str) -> Result<Option<String>, ApiError> {
        let config = self.text(name)?;
        readable(name, config.as_deref())?;
        Ok(config)
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

    fn limits(each: usize, all: usize) -> BodyLimits {
        BodyLimits { each, pause: Duration::from_secs(30), all: Budget::shared(all) }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_announced_or_not() {
        let limits = limits(10, 20);
        let mut announced = headers("application/json");
        announced.insert(CONTENT_LENGTH, "11".parse().unwrap());
        let unread = read(&limits, &announced, Body::empty()).await.unwrap_err();
        assert_eq!(unread.status, StatusCode::PAYLOAD_TOO_LARGE);
        let json = headers("application/json");
        let counted = read(&limits, &json, Body::from("x".repeat(11))).await.unwrap_err();
        assert_eq!(counted.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(read(&limits, &json, Body::from("[1, 2, 3]")).await.unwrap(), "[1, 2, 3]");
    }

    #[tokio::test]
    async fn bodies_that_are_held_leave_less_room() {
        let limits = limits(10, 15);
        let json = headers("application/json");
        let body = || Body::from("x".repeat(10));
        let first = read(&limits, &json, body()).await.unwrap();
        let refused = read(&limits, &json, body()).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.detail.contains("--max-bodies"), "{}", refused.detail);
        let copy = first.clone();
        drop(first);
        assert!(read(&limits, &json, body()).await.is_err());
        drop(copy);
        assert!(read(&limits, &json, body()).await.is_ok());
    }

    #[test]
    fn whoever_goes_on_sending_gets_time() {
        let limits = limits(1, 1);
        let long_ago = Instant::now().checked_sub(Duration::from_secs(600)).unwrap();
        let (deadline, _) = limits.deadline(long_ago, 1 << 20);
        assert!(deadline > Instant::now() + Duration::from_secs(29));
        let (deadline, late) = limits.deadline(long_ago, 1 << 10);
        assert!(deadline < Instant::now());
        assert!(late.contains("slower"), "{late}");
    }

    #[test]
    fn a_config_has_its_limit() {
        let body = |length| format!(r#"{{"schema": "{}"}}"#, "x".repeat(length));
        let config = |body: &str| Fields::read(body.as_bytes()).unwrap().config("schema");
        assert!(config(&body(MAX_CONFIG_BYTES)).is_ok());
        let error = config(&body(MAX_CONFIG_BYTES + 1)).unwrap_err();
        assert_eq!(error.status, StatusCode::UNPROCESSABLE_ENTITY);
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
