//! Connections: accepting them, bounding their number, and letting them end at shutdown.

mod connection;
mod phase;
mod refusal;
mod registry;
mod wire;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use hyper::server::conn::http1;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::registry::{Full, Place, Registry};
use super::error::ApiError;
use super::router::Front;

/// Pause after the system refused a connection, for instance for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked for a place.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long the answers that are known at the very end may take.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// So many connections too many are told so at a time; others are closed without a word.
const TURNED_AWAY: usize = 64;
/// Most headers that a request may have.
const MAX_HEADERS: usize = 100;

/// What connections may take, of room and of time.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Connections at a time.
    pub connections: usize,
    /// From the first byte of a request until its head is whole.
    pub header_timeout: Duration,
    /// Largest head in bytes.
    pub header_size: usize,
    /// How long a connection without a request is kept.
    pub idle_timeout: Duration,
    /// How long a client may take no byte of an answer.
    pub write_timeout: Duration,
}

/// Serves until `stop` resolves, then lets running requests end for at most `grace`; `end` is to
/// have those answered that still run then.
pub async fn serve(
    listener: TcpListener,
    front: Front,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
    grace: Duration,
    end: impl FnOnce(),
) {
    let mut http = http1::Builder::new();
    // Both are watched from outside, where an answer can be given.
    http.header_read_timeout(None);
    http.max_headers(MAX_HEADERS).max_header_size(limits.header_size);
    let limits = Arc::new(limits);
    let registry = Registry::new(limits.connections);
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match enter(&registry).await {
                    Some(place) => {
                        let limits = Arc::clone(&limits);
                        let front = front.clone();
                        connections.spawn(connection::run(
                            http.clone(), stream, front, place, limits,
                        ));
                    }
                    None => turn_away(stream, &turned_away, limits.connections),
                },
                Err(error) => pause(&error).await,
            },
            Some(_) = connections.join_next() => {}
            () = &mut stop => break,
        }
    }
    drop(listener);
    registry.leave();
    let finished = async { while connections.join_next().await.is_some() {} };
    tokio::pin!(finished);
    if timeout(grace, &mut finished).await.is_err() {
        let seconds = grace.as_secs_f64();
        tracing::warn!("requests that still run after {seconds} s are given up (--drain-timeout)");
        end();
        let _ = timeout(LAST_ANSWERS, finished).await;
    }
}

/// A place for a new connection; none if all others are busy. While some of them have only just come, it is
/// soon known which of them are.
async fn enter(registry: &Registry) -> Option<Place> {
    loop {
        match registry.enter() {
            Ok(place) => return Some(place),
            Err(Full::Busy) => return None,
            Err(Full::Soon) => sleep(LOOK_AGAIN).await,
        }
    }
}

/// Says that there are too many. At once: Label Studio waits one second, and a connection that merely
/// waits looks like a broken network.
fn turn_away(stream: TcpStream, turned_away: &Arc<Semaphore>, most: usize) {
    let Ok(permit) = Arc::clone(turned_away).try_acquire_owned() else { return };
    let detail = format!(
        "{most} connections are open, and all are busy: no more are taken (--max-connections)"
    );
    tracing::warn!("a connection was refused: {detail}");
    tokio::spawn(async move {
        let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        connection::answer(stream, &refusal::bytes(&error)).await;
        drop(permit);
    });
}

async fn pause(error: &io::Error) {
    tracing::warn!("a connection could not be accepted: {error}");
    sleep(ACCEPT_PAUSE).await;
}
