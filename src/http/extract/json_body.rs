//! The JSON body of a request, read within bounds of size and time.
//!
//! Out comes the body as it was sent, a large one in a file that a worker can be given.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, Uri};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;
use tokio::time::timeout_at;

use super::body_limits::BodyLimits;
use super::fields::Fields;
use super::partial_body::PartialBody;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::state::App;
use crate::wire::frame::INLINE_LIMIT;
use crate::wire::http::HttpHead;
use crate::wire::shared_body::SharedBody;
use crate::workers::model::ForwardedRequest;

/// A request whose body is there, and said to be JSON.
pub(in crate::http) struct JsonBody {
    uri: Uri,
    headers: HeaderMap,
    payload: SharedBody,
}

impl FromRequest<App> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let was_read = parts.extensions.remove();
        let payload = read_json(&app.options.body, &parts.headers, was_read, body).await?;
        Ok(Self { uri: parts.uri, headers: parts.headers, payload })
    }
}

/// None for a request without a body.
impl OptionalFromRequest<App> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Option<Self>, ApiError> {
        let was_read = request.extensions().get::<SharedBody>().map(|body| !body.is_empty());
        if !was_read.unwrap_or(!request.body().is_end_stream()) {
            return Ok(None);
        }
        <Self as FromRequest<App>>::from_request(request, app).await.map(Some)
    }
}

impl JsonBody {
    /// The fields of the object. A long body is parsed off the reactor.
    pub(in crate::http) fn fields(&self) -> Result<Fields<'_>, ApiError> {
        off_the_reactor(self.payload.len(), || Fields::read(&self.payload))
    }

    /// The body as it was sent.
    pub(in crate::http) fn bytes(&self) -> Bytes {
        self.payload.clone().into_bytes()
    }

    /// The request as user code may look at it.
    pub(in crate::http) fn forwarded_request(&self) -> ForwardedRequest {
        let uri = &self.uri;
        let target =
            uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string);
        let mut headers = String::with_capacity(self.headers.len() * 48);
        for (name, value) in &self.headers {
            // A value that is text has no line end.
            if let Ok(value) = value.to_str() {
                for part in [name.as_str(), ": ", value, "\n"] {
                    headers.push_str(part);
                }
            }
        }
        let head = HttpHead { target, headers };
        ForwardedRequest { head, body: self.payload.clone(), batch: None }
    }
}

/// Reads a body that must be JSON, unless it `was_read`.
async fn read_json(
    limits: &BodyLimits,
    headers: &HeaderMap,
    was_read: Option<SharedBody>,
    body: Body,
) -> Result<SharedBody, ApiError> {
    require_json(headers)?;
    match was_read {
        Some(body) => Ok(body),
        None => read(limits, headers, body).await,
    }
}

/// Reads a body of any kind. What is read before a handler asks for it goes into the extensions of the
/// request, as a [`SharedBody`].
pub(in crate::http) async fn read(
    limits: &BodyLimits,
    headers: &HeaderMap,
    mut body: Body,
) -> Result<SharedBody, ApiError> {
    let announced: usize = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    if announced > limits.each {
        return Err(limits.too_large());
    }
    // Nothing is reserved for what was only announced, but nothing is read either that cannot fit now.
    limits.make_room(&mut limits.all.reserve(), announced)?;
    let mut reservation = limits.all.reserve();
    let mut received = PartialBody::new();
    let began = Instant::now();
    loop {
        let Some(data) = next(limits, &mut body, began, received.len()).await? else {
            return received.finish(reservation).map_err(no_room);
        };
        if received.len() + data.len() > limits.each {
            return Err(limits.too_large());
        }
        limits.make_room(&mut reservation, data.len())?;
        // Most bodies come in one piece, and stay where they are. An empty piece is not a body yet.
        if data.len() == announced && (1..=INLINE_LIMIT).contains(&announced) {
            return Ok(reservation.attach(data).into());
        }
        received.append(&data, announced).map_err(no_room)?;
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
                    .map_err(|_| ApiError::new(ErrorCode::BodyTimeout, late))?
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
                return Err(ApiError::new(ErrorCode::BodyUnreadable, detail));
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn no_room(error: io::Error) -> ApiError {
    ApiError::new(ErrorCode::NoRoomForBody, format!("there is no room for the body: {error}"))
}

/// Runs work that takes long for a long body on a thread that serves no other requests meanwhile.
fn off_the_reactor<T>(length: usize, work: impl FnOnce() -> T) -> T {
    let has_others = Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if length > INLINE_LIMIT && has_others { block_in_place(work) } else { work() }
}

fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let is_json = media == "application/json"
        || (media.starts_with("application/") && media.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    let detail = format!("the content type must be application/json, not {given:?}");
    Err(ApiError::new(ErrorCode::UnsupportedMediaType, detail))
}

#[cfg(test)]
mod tests;
