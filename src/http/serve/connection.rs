//! One connection: its requests are handed to the router, and it ends when it takes too long.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use super::super::error::ApiError;
use super::super::router::Front;
use super::super::target::Malformed;
use super::ConnectionLimits;
use super::phase::{Late, Shared};
use super::refusal;
use super::registry::Place;
use super::wire::Wire;

/// How long the rest of a refused request is read. A client that still sends when the connection is closed
/// sees a broken connection instead of the answer.
const LINGER: Duration = Duration::from_secs(5);

/// Answers to a request whose body is given up.
const ENDING: [StatusCode; 3] =
    [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::REQUEST_TIMEOUT, StatusCode::SERVICE_UNAVAILABLE];

/// How a connection came to its end.
enum End {
    Done(hyper::Result<()>),
    Late(Late),
    /// Its place was needed, or the server stops and it had no request.
    Closed,
}

pub(super) async fn run(
    http: http1::Builder,
    stream: TcpStream,
    front: Front,
    place: Place,
    limits: Arc<ConnectionLimits>,
) {
    // Answers are written whole, so waiting for more bytes only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("TCP_NODELAY: {error}");
    }
    let shared = &place.shared;
    let service = service_fn(|request: Request<Incoming>| {
        let request = begin(request, shared);
        let front = &front;
        async move {
            let mut response = front.answer(request.map(axum::body::Body::new)).await;
            // The rest of such a body is not waited for: a next request would find the connection closed.
            if shared.unread() && ENDING.contains(&response.status()) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(
                response.map(|body| Outgoing { body, _end: Answered(Arc::clone(shared)) }),
            )
        }
    });
    let wire = TokioIo::new(Wire::new(stream, Arc::clone(shared)));
    let mut connection = http.serve_connection(wire, service);
    let end = drive(&mut connection, shared, &limits).await;
    let stream = connection.into_parts().io.into_inner().into_stream();
    wind_up(stream, end, shared, &limits).await;
}

/// Marks the connection as busy, and the request as what it is.
fn begin(request: Request<Incoming>, shared: &Arc<Shared>) -> Request<Received> {
    let head = shared.begin();
    let mut request =
        request.map(|body| Received { body, ended: false, shared: Arc::clone(shared) });
    if refusal::has_two_lengths(&head) {
        request.extensions_mut().insert(Malformed(
            "Content-Length and Transfer-Encoding contradict each other: send one of them",
        ));
    }
    request
}

/// Runs the connection until it ends, or has to.
async fn drive<S>(
    connection: &mut http1::Connection<TokioIo<Wire>, S>,
    shared: &Shared,
    limits: &ConnectionLimits,
) -> End
where
    S: HttpService<Incoming, ResBody = Outgoing, Error = Infallible>,
{
    let mut told = pin!(shared.told.notified());
    let mut timer = pin!(sleep_until(Instant::now().into()));
    // When the timer goes off. What it was set for may be over by then, which costs less than setting it
    // with each request.
    let mut armed: Option<Instant> = None;
    let mut leaving = false;
    poll_fn(|cx| {
        while told.as_mut().poll(cx).is_ready() {
            told.set(shared.told.notified());
        }
        if shared.is_closed() {
            return Poll::Ready(End::Closed);
        }
        if shared.is_leaving() && !leaving {
            leaving = true;
            Pin::new(&mut *connection).graceful_shutdown();
        }
        if let Poll::Ready(result) = Pin::new(&mut *connection).poll(cx) {
            return Poll::Ready(End::Done(result));
        }
        while let Some((deadline, late)) = shared.deadline(limits) {
            if armed.is_none_or(|armed| deadline < armed) {
                timer.as_mut().reset(deadline.into());
                armed = Some(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                break;
            }
            armed = None;
            if deadline <= Instant::now() {
                return Poll::Ready(End::Late(late));
            }
        }
        Poll::Pending
    })
    .await
}

async fn wind_up(stream: TcpStream, end: End, shared: &Shared, limits: &ConnectionLimits) {
    match end {
        End::Done(Err(error)) if shared.kept_back() || error.is_parse_version_h2() => {
            let refused = refusal::of(&error, &shared.head(), limits.header_size);
            tracing::debug!("a connection was refused: {}", refused.detail);
            answer(stream, &refusal::bytes(&refused)).await;
        }
        End::Late(Late::Head) => {
            let detail = format!(
                "the head of the request did not come within {} s (--header-timeout)",
                limits.header_timeout.as_secs_f64()
            );
            tracing::debug!("a connection was given up: {detail}");
            let late = ApiError::new(StatusCode::REQUEST_TIMEOUT, detail);
            answer(stream, &refusal::bytes(&late)).await;
        }
        End::Late(Late::Write) => {
            let seconds = limits.write_timeout.as_secs_f64();
            tracing::warn!(
                "a client took no byte of its answer for {seconds} s and was given up (--write-timeout)"
            );
            // Else the system goes on offering what it holds.
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        }
        End::Done(Ok(())) if shared.unread() => linger(stream).await,
        End::Done(Err(error)) => {
            tracing::debug!("connection: {error}");
            if shared.unread() {
                linger(stream).await;
            }
        }
        End::Done(Ok(())) | End::Late(Late::Silent) | End::Closed => {}
    }
}

/// Gives a last answer and closes.
pub(super) async fn answer(mut stream: TcpStream, bytes: &[u8]) {
    let written = async {
        stream.write_all(bytes).await?;
        stream.shutdown().await
    };
    if matches!(timeout(LINGER, written).await, Ok(Ok(()))) {
        linger(stream).await;
    }
}

/// Reads on for a while without keeping anything, so that the client gets to see its answer.
async fn linger(mut stream: TcpStream) {
    let mut waste = vec![0; 4 << 10];
    let all = async { while matches!(stream.read(&mut waste).await, Ok(1..)) {} };
    // Whoever sends for longer than this gets the broken connection.
    let _ = timeout(LINGER, all).await;
}

/// The body of a request; notes whether it was read to its end.
struct Received {
    body: Incoming,
    ended: bool,
    shared: Arc<Shared>,
}

impl Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            self.shared.left_unread();
        }
    }
}

/// The body of an answer; its end is noted.
pub(super) struct Outgoing {
    body: axum::body::Body,
    _end: Answered,
}

struct Answered(Arc<Shared>);

impl Drop for Answered {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
