//! One connection: hands its requests to the router, and ends when it takes too long.

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
use hyper::service::{HttpService as HyperService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use super::connection_state::{ConnectionState, Timeout};
use super::registry::ConnectionPermit;
use super::stream::ReportingStream;
use super::{ConnectionLimits, refusal};
use crate::http::error::{ApiError, ErrorCode};
use crate::http::normalize::Ambiguous;
use crate::http::router::HttpService;
use crate::http::user_app::Client;

/// Longest time in which the rest of a refused request is read. A client that still sends when the connection
/// is closed sees a broken connection instead of the answer.
const LINGER: Duration = Duration::from_secs(5);

/// Statuses of answers to a request whose body is given up.
const ENDING: [StatusCode; 3] =
    [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::REQUEST_TIMEOUT, StatusCode::SERVICE_UNAVAILABLE];

/// Why a connection ended.
enum ConnectionEnd {
    Done(hyper::Result<()>),
    Timeout(Timeout),
    /// Another connection needs the room, or the server stops and this one has no request.
    Closed,
}

pub(super) async fn run(
    http: http1::Builder,
    stream: TcpStream,
    client: Client,
    service: HttpService,
    permit: ConnectionPermit,
    limits: Arc<ConnectionLimits>,
) {
    // Answers are written whole, so waiting for more bytes only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("TCP_NODELAY: {error}");
    }
    let state = &permit.state;
    let service = &service;
    let answering = service_fn(|request: Request<Incoming>| {
        let mut request = begin(request, state);
        request.extensions_mut().insert(client);
        async move {
            let mut response = service.answer(request.map(axum::body::Body::new)).await;
            // The rest of such a body is not waited for: a next request would find the connection closed.
            if state.has_unread() && ENDING.contains(&response.status()) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(
                response.map(|body| AnswerBody { body, _end: EndOfAnswer(Arc::clone(state)) }),
            )
        }
    });
    let stream = TokioIo::new(ReportingStream::new(stream, Arc::clone(state)));
    let mut connection = http.serve_connection(stream, answering);
    let end = drive(&mut connection, state, &limits).await;
    let stream = connection.into_parts().io.into_inner().into_stream();
    wind_up(stream, end, state, &limits).await;
}

/// Marks the connection as busy, and a request that is ambiguous as such.
fn begin(request: Request<Incoming>, state: &Arc<ConnectionState>) -> Request<RequestBody> {
    let head = state.begin();
    let mut request =
        request.map(|body| RequestBody { body, ended: false, state: Arc::clone(state) });
    if refusal::has_two_lengths(&head) {
        request.extensions_mut().insert(Ambiguous(
            "Content-Length and Transfer-Encoding contradict each other: send one of them",
        ));
    }
    request
}

/// Runs the connection until it ends, or must end.
async fn drive<S>(
    connection: &mut http1::Connection<TokioIo<ReportingStream>, S>,
    state: &ConnectionState,
    limits: &ConnectionLimits,
) -> ConnectionEnd
where
    S: HyperService<Incoming, ResBody = AnswerBody, Error = Infallible>,
{
    let mut changed = pin!(state.changed.notified());
    let mut timer = pin!(sleep_until(Instant::now().into()));
    // When the timer fires. Its deadline may be out of date by then, which costs less than setting it with
    // each request.
    let mut armed: Option<Instant> = None;
    let mut is_draining = false;
    poll_fn(|cx| {
        while changed.as_mut().poll(cx).is_ready() {
            changed.set(state.changed.notified());
        }
        if state.is_closed() {
            return Poll::Ready(ConnectionEnd::Closed);
        }
        if state.is_draining() && !is_draining {
            is_draining = true;
            Pin::new(&mut *connection).graceful_shutdown();
        }
        if let Poll::Ready(result) = Pin::new(&mut *connection).poll(cx) {
            return Poll::Ready(ConnectionEnd::Done(result));
        }
        while let Some((deadline, timeout)) = state.deadline(limits) {
            if armed.is_none_or(|armed| deadline < armed) {
                timer.as_mut().reset(deadline.into());
                armed = Some(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                break;
            }
            armed = None;
            if deadline <= Instant::now() {
                return Poll::Ready(ConnectionEnd::Timeout(timeout));
            }
        }
        Poll::Pending
    })
    .await
}

async fn wind_up(
    stream: TcpStream,
    end: ConnectionEnd,
    state: &ConnectionState,
    limits: &ConnectionLimits,
) {
    match end {
        ConnectionEnd::Done(Err(error))
            if state.has_suppressed() || error.is_parse_version_h2() =>
        {
            let refused = refusal::of(&error, &state.take_head(), limits.header_size);
            tracing::debug!("a connection was refused: {}", refused.detail);
            answer(stream, &refusal::bytes(&refused)).await;
        }
        ConnectionEnd::Timeout(Timeout::Head) => {
            let detail = format!(
                "the head of the request did not come within {} s (--header-timeout)",
                limits.header_timeout.as_secs_f64()
            );
            tracing::debug!("a connection was given up: {detail}");
            let late = ApiError::new(ErrorCode::HeaderTimeout, detail);
            answer(stream, &refusal::bytes(&late)).await;
        }
        ConnectionEnd::Timeout(Timeout::Write) => {
            let seconds = limits.write_timeout.as_secs_f64();
            tracing::warn!(
                "a client took no byte of its answer for {seconds} s and was given up (--write-timeout)"
            );
            // Else the system goes on sending what it holds.
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        }
        ConnectionEnd::Done(Ok(())) if state.has_unread() => linger(stream).await,
        ConnectionEnd::Done(Err(error)) => {
            tracing::debug!("connection: {error}");
            if state.has_unread() {
                linger(stream).await;
            }
        }
        ConnectionEnd::Done(Ok(()))
        | ConnectionEnd::Timeout(Timeout::Idle)
        | ConnectionEnd::Closed => {}
    }
}

/// Sends a last answer and closes.
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
    // A client that sends for longer gets the broken connection.
    let _ = timeout(LINGER, all).await;
}

/// The body of a request, which reports when it is left unread.
struct RequestBody {
    body: Incoming,
    ended: bool,
    state: Arc<ConnectionState>,
}

impl Body for RequestBody {
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

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            self.state.left_unread();
        }
    }
}

/// The body of an answer, which reports its end.
struct AnswerBody {
    body: axum::body::Body,
    _end: EndOfAnswer,
}

struct EndOfAnswer(Arc<ConnectionState>);

impl Drop for EndOfAnswer {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Body for AnswerBody {
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
