//! Bodies at the edges of their limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;
use std::time::Duration;

use axum::http::StatusCode;
use hyper::body::Frame;
use proptest::prelude::*;

use super::super::body_budget::BodyBudget;
use super::*;
use crate::testing::run_in_time;

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
    BodyLimits { each, pause: Duration::from_secs(30), all: BodyBudget::shared(all) }
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
    assert_eq!(*read(&limits, &json, Body::from("[1, 2, 3]")).await.unwrap(), *b"[1, 2, 3]");
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

/// A body in pieces that counts how often it is asked for one.
struct Pieces {
    left: std::vec::IntoIter<Bytes>,
    asked: Arc<AtomicUsize>,
    /// What comes after them: the end, or nothing at all.
    ends: bool,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.left.next() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

fn pieces(sizes: &[usize], ends: bool) -> (Body, Arc<AtomicUsize>) {
    let asked = Arc::default();
    let pieces: Vec<Bytes> = sizes.iter().map(|size| Bytes::from(vec![b'x'; *size])).collect();
    let left = pieces.into_iter();
    (Body::new(Pieces { left, asked: Arc::clone(&asked), ends }), asked)
}

fn announcing(length: usize) -> HeaderMap {
    let mut headers = headers("application/json");
    headers.insert(CONTENT_LENGTH, length.into());
    headers
}

#[tokio::test]
async fn a_body_of_the_largest_size_is_taken_and_one_byte_more_is_not() {
    let json = || headers("application/json");
    for (size, is_taken) in [(0, true), (9, true), (10, true), (11, false)] {
        for sizes in [vec![size], vec![size / 2, size - size / 2], vec![1; size]] {
            for head in [json(), announcing(size)] {
                let limits = limits(10, 100);
                let read = read(&limits, &head, pieces(&sizes, true).0).await;
                match (is_taken, read) {
                    (true, Ok(read)) => assert_eq!(read.len(), size),
                    (false, Err(error)) => {
                        assert_eq!(error.status, StatusCode::PAYLOAD_TOO_LARGE);
                        assert!(error.detail.contains("10 bytes (--max-body)"), "{}", error.detail);
                    }
                    (_, read) => panic!("{size} in {sizes:?}: {read:?}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn nothing_is_read_of_a_body_that_is_refused_for_what_it_announces() {
    let limits = limits(10, 15);
    let (body, asked) = pieces(&[11], true);
    let refused = read(&limits, &announcing(11), body).await.unwrap_err();
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let _held = read(&limits, &announcing(6), pieces(&[6], true).0).await.unwrap();
    let (body, asked) = pieces(&[10], true);
    let refused = read(&limits, &announcing(10), body).await.unwrap_err();
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.detail.contains("15 bytes (--max-bodies)"), "{}", refused.detail);
    assert_eq!(asked.load(Ordering::Relaxed), 0, "there is no room for it now");
    // What fits exactly does, and what was only announced takes no room.
    let _other = read(&limits, &announcing(9), pieces(&[9], true).0).await.unwrap();
    assert!(read(&limits, &announcing(1), pieces(&[1], true).0).await.is_err());
}

#[tokio::test]
async fn a_body_that_is_refused_half_read_gives_its_room_back() {
    let limits = limits(10, 10);
    let json = headers("application/json");
    assert!(read(&limits, &json, pieces(&[6, 6], true).0).await.is_err());
    assert!(read(&limits, &json, pieces(&[6, 4], true).0).await.is_ok());
    assert!(read(&limits, &json, pieces(&[10], true).0).await.is_ok());
}

#[tokio::test]
async fn long_bodies_have_the_same_limits() {
    let each = INLINE_LIMIT + 10;
    let limits = limits(each, each * 2);
    for head in [headers("application/json"), announcing(each)] {
        let _one = read(&limits, &head, pieces(&[each], true).0).await.unwrap();
        let _two = read(&limits, &head, pieces(&[each - 1, 1], true).0).await.unwrap();
        let json = headers("application/json");
        let full = read(&limits, &json, pieces(&[1], true).0).await.unwrap_err();
        assert_eq!(full.status, StatusCode::SERVICE_UNAVAILABLE);
        let large = read(&limits, &json, pieces(&[0, 0, 1, each], true).0).await;
        assert!(large.is_err());
    }
    let json = headers("application/json");
    let large = read(&limits, &json, pieces(&[each, 1], true).0).await.unwrap_err();
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[test]
fn a_client_that_stops_sending_is_told_so() {
    run_in_time(|| async {
        let limits = BodyLimits { pause: Duration::from_millis(50), ..limits(100, 100) };
        let json = headers("application/json");
        let late = read(&limits, &json, pieces(&[5], false).0).await.unwrap_err();
        assert_eq!(late.status, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(late.detail, "nothing of the body came for 0.05 s (--body-timeout)");
    });
}

#[test]
fn a_request_is_shown_as_it_came() {
    let mut headers = HeaderMap::new();
    headers.insert("x-a", "1".parse().unwrap());
    headers.append("x-a", "2".parse().unwrap());
    headers.insert("x-b", axum::http::HeaderValue::from_bytes(b"\xff").unwrap());
    let body = JsonBody {
        uri: "/predict?a=1".parse().unwrap(),
        headers,
        payload: SharedBody::from(Bytes::from_static(b"{}")),
    };
    let shown = body.forwarded_request();
    assert_eq!((shown.head.target.as_str(), &shown.body[..]), ("/predict?a=1", &b"{}"[..]));
    assert_eq!(shown.head.headers, "x-a: 1\nx-a: 2\n", "what is not text is left out");
    assert!(shown.batch.is_none());
}

proptest! {
    /// Whatever a body comes in, it is whole, or refused for its size alone.
    #[test]
    fn pieces_make_one_body(
        sizes in prop::collection::vec(0..40usize, 0..8),
        each in 0..120usize,
        announced: bool,
    ) {
        let length: usize = sizes.iter().sum();
        let head = if announced { announcing(length) } else { headers("application/json") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let limits = limits(each, 1_000);
        let read = runtime.block_on(read(&limits, &head, pieces(&sizes, true).0));
        prop_assert_eq!(read.is_ok(), length <= each);
        if let Ok(read) = read {
            prop_assert_eq!(read.len(), length);
        }
        prop_assert!(limits.all.reserve().grow(1_000), "all room is given back");
    }
}

#[tokio::test]
async fn what_does_not_say_that_it_is_json_is_not_read() {
    let limits = limits(10, 10);
    let (body, asked) = pieces(&[2], true);
    let refused = read_json(&limits, &headers("text/plain"), None, body).await.unwrap_err();
    assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let was_read = Some(SharedBody::from(b"{}".to_vec()));
    let refused = read_json(&limits, &headers("text/plain"), was_read, Body::empty()).await;
    assert_eq!(refused.unwrap_err().status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn what_was_read_before_is_the_body() {
    let was_read = Some(SharedBody::from(b"{}".to_vec()));
    let json = headers("application/json");
    let body = read_json(&limits(10, 10), &json, was_read, Body::empty()).await.unwrap();
    assert_eq!(*body, *b"{}");
}
