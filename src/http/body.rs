//! Request bodies: reading them within bounds of size and time.
//!
//! Out comes the body as it was sent, a large one in a file that a worker can be given.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;
use tokio::time::timeout_at;

pub use super::budget::Budget;
use super::budget::Held;
use super::error::ApiError;
use crate::wire::frame::INLINE_LIMIT;
use crate::wire::protocol::HttpHead;
use crate::wire::shared_body::{BodyWriter, SharedBody};
use crate::workers::model::ForwardedRequest;

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

/// The bytes of a body that have come.
enum Coming {
    /// Few enough to send them to a worker as they are.
    InMemory(BytesMut),
    InFile(BodyWriter, usize),
}

impl Coming {
    fn len(&self) -> usize {
        match self {
            Self::InMemory(bytes) => bytes.len(),
            Self::InFile(_, length) => *length,
        }
    }

    /// Takes more; `announced` is how many there will be in all.
    fn take(&mut self, data: &[u8], announced: usize) -> io::Result<()> {
        match self {
            Self::InFile(spool, length) => {
                spool.write(data)?;
                *length += data.len();
            }
            Self::InMemory(bytes) if bytes.len() + data.len() > INLINE_LIMIT => {
                let mut spool = BodyWriter::new()?;
                spool.write(bytes)?;
                spool.write(data)?;
                *self = Self::InFile(spool, bytes.len() + data.len());
            }
            Self::InMemory(bytes) => {
                if bytes.capacity() - bytes.len() < data.len() {
                    let rest = announced.saturating_sub(bytes.len());
                    bytes.reserve(rest.min(bytes.len().max(ROOM)).max(data.len()));
                }
                bytes.extend_from_slice(data);
            }
        }
        Ok(())
    }

    fn finish(self, held: Held) -> io::Result<SharedBody> {
        Ok(match self {
            Self::InMemory(bytes) => held.keep(bytes.freeze()).into(),
            Self::InFile(spool, _) => {
                SharedBody::in_file(spool.finish()?, |bytes| held.keep(bytes))
            }
        })
    }
}

/// Reads a JSON body within limits.
pub(super) async fn read(
    limits: &BodyLimits,
    headers: &HeaderMap,
    mut body: Body,
) -> Result<SharedBody, ApiError> {
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
    let mut received = Coming::InMemory(BytesMut::new());
    let began = Instant::now();
    loop {
        let Some(data) = next(limits, &mut body, began, received.len()).await? else {
            return received.finish(held).map_err(not_kept);
        };
        if received.len() + data.len() > limits.each {
            return Err(limits.too_large());
        }
        limits.make_room(&mut held, data.len())?;
        // Most bodies come in one piece, and stay where they are. An empty piece is not a body yet.
        if data.len() == announced && (1..=INLINE_LIMIT).contains(&announced) {
            return Ok(held.keep(data).into());
        }
        received.take(&data, announced).map_err(not_kept)?;
    }
}

/// The next bytes of a body, within the time that they may take; none at its end.
async fn next(
    limits: &BodyLimits,
    body: &mut Body,
    began: Instant,
    received: usize,
) -> Result<Option<Bytes>, ApiError> {
    loop {
        // No clock is set for what is there already.
        let at_once = poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx))).await;
        let frame = match at_once {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let (deadline, late) = limits.deadline(began, received);
                timeout_at(deadline.into(), body.frame())
                    .await
                    .map_err(|_| ApiError::new(StatusCode::REQUEST_TIMEOUT, late))?
            }
        };
        match frame.transpose() {
            Ok(None) => return Ok(None),
            Ok(Some(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Err(error) => {
                let detail = format!("the body could not be read: {error}");
                return Err(ApiError::new(StatusCode::BAD_REQUEST, detail));
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn not_kept(error: io::Error) -> ApiError {
    let detail = format!("there is no room for the body: {error}");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

/// Runs what takes long for a long body where it holds up nobody else.
pub(super) fn aside<T>(length: usize, work: impl FnOnce() -> T) -> T {
    let has_others = Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if length > INLINE_LIMIT && has_others { block_in_place(work) } else { work() }
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
pub(super) fn request(uri: &Uri, headers: &HeaderMap, body: SharedBody) -> ForwardedRequest {
    let target = uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string);
    let mut lines = String::with_capacity(headers.len() * 48);
    for (name, value) in headers {
        // A value that is a text has no line end.
        if let Ok(value) = value.to_str() {
            for part in [name.as_str(), ": ", value, "\n"] {
                lines.push_str(part);
            }
        }
    }
    ForwardedRequest { head: HttpHead { target, headers: lines }, body, batch: None }
}

#[cfg(test)]
mod tests;
