//! Bodies at the edges of their limits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;

use hyper::body::Frame;
use proptest::prelude::*;

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
async fn a_long_body_lies_in_a_file_and_a_short_one_does_not() {
    for (sizes, in_file) in [
        (&[INLINE_LIMIT][..], false),
        (&[INLINE_LIMIT - 5, 5], false),
        (&[INLINE_LIMIT - 5, 6], true),
        (&[INLINE_LIMIT + 1], true),
        (&[1, INLINE_LIMIT, 7, 0], true),
    ] {
        let length: usize = sizes.iter().sum();
        let mut coming = Coming::InMemory(BytesMut::new());
        for size in sizes {
            coming.take(&vec![b'x'; *size], length).unwrap();
        }
        assert_eq!(matches!(coming, Coming::InFile(..)), in_file, "{sizes:?}");
        assert_eq!(coming.len(), length);
        let budget = Budget::shared(length);
        let mut held = budget.hold();
        assert!(held.grow(length));
        let whole = coming.finish(held).unwrap();
        assert!(whole.len() == length && whole.iter().all(|byte| *byte == b'x'), "{sizes:?}");
        assert!(!budget.hold().grow(1), "its room is taken");
        drop(whole);
        assert!(budget.hold().grow(length));
    }
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
fn a_client_has_the_time_of_two_pauses_and_a_second_for_every_kilobyte() {
    let limits = limits(1, 1);
    let pause = limits.pause;
    let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
    for (began, received, left, is_slow) in [
        (0, 0, 30, false),
        (29, 0, 30, false),
        (31, 0, 29, true),
        (59, 0, 1, true),
        (31, 1023, 29, true),
        (31, 1024, 30, true),
        (31, 2048, 30, false),
        (100, 64 << 10, 24, true),
    ] {
        let (deadline, late) = limits.deadline(ago(began), received);
        let given = deadline.saturating_duration_since(Instant::now()).as_secs_f64();
        let case = format!("{began} s, {received} bytes: {given}, {late}");
        assert!((given - f64::from(left)).abs() < 0.9, "{case}");
        assert_eq!(late.contains("slower than 1024 bytes a second"), is_slow, "{case}");
        assert!(deadline <= Instant::now() + pause, "{case}");
    }
}

#[test]
fn a_request_is_shown_as_it_came() {
    let mut headers = HeaderMap::new();
    headers.insert("x-a", "1".parse().unwrap());
    headers.append("x-a", "2".parse().unwrap());
    headers.insert("x-b", axum::http::HeaderValue::from_bytes(b"\xff").unwrap());
    let body = || SharedBody::from(Bytes::from_static(b"{}"));
    let shown = request(&"/predict?a=1".parse().unwrap(), &headers, body());
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
        prop_assert!(limits.all.hold().grow(1_000), "all room is given back");
    }
}

#[tokio::test]
async fn what_does_not_say_that_it_is_json_is_not_read() {
    let limits = limits(10, 10);
    let (body, asked) = pieces(&[2], true);
    let refused = read(&limits, &headers("text/plain"), body).await.unwrap_err();
    assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[test]
fn room_is_made_as_bytes_come_and_never_for_more_than_was_announced() {
    let mut coming = Coming::InMemory(BytesMut::new());
    for _ in 0..100 {
        coming.take(b"0123456789", 1_000).unwrap();
        let Coming::InMemory(bytes) = &coming else { panic!("it is short") };
        assert!(bytes.capacity() <= (bytes.len() * 3).max(ROOM), "{}", bytes.capacity());
    }
    assert_eq!(coming.len(), 1_000);
}
