//! Connections: accepting them, bounding their number, and letting them end at shutdown.

mod connection;
mod connection_state;
mod refusal;
mod registry;
mod stream;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::registry::{ConnectionPermit, ConnectionRegistry, NoPermit};
use super::error::{ApiError, ErrorCode};
use super::router::HttpService;
use super::user_app::Client;

/// Pause after the system refused a connection, for instance for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Pause between two looks for a free permit.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// Time for sending the answers that only the end of the grace period decides.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Maximum number of refused connections that get a 503 at a time; further ones are closed silently.
const MAX_REFUSALS: usize = 64;
/// Maximum number of headers of a request.
const MAX_HEADERS: usize = 100;

/// How many connections there may be, and how large and slow their requests and answers.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Maximum number at a time.
    pub connections: usize,
    /// Longest time from the first byte of a request until its head is whole.
    pub header_timeout: Duration,
    /// Largest head in bytes.
    pub header_size: usize,
    /// Longest time that a connection without a request is kept.
    pub idle_timeout: Duration,
    /// How long a client may read nothing of its answer.
    pub write_timeout: Duration,
}

/// Serves until `stop` resolves, then lets running requests end for at most `grace`; `end` must make those
/// end that still run then.
pub async fn serve(
    listener: TcpListener,
    service: HttpService,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
    grace: Duration,
    end: impl FnOnce(),
) {
    let mut http = http1::Builder::new();
    // `connection` watches the time, since it can answer.
    http.header_read_timeout(None);
    http.max_headers(MAX_HEADERS).max_header_size(limits.header_size);
    let limits = Arc::new(limits);
    let registry = ConnectionRegistry::new(limits.connections);
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => match admit(&registry).await {
                    Some(permit) => {
                        let limits = Arc::clone(&limits);
                        let service = service.clone();
                        connections.spawn(connection::run(
                            http.clone(), stream, Client(client), service, permit, limits,
                        ));
                    }
                    None => refuse(stream, &refusals, limits.connections),
                },
                Err(error) => pause(&error).await,
            },
            Some(_) = connections.join_next() => {}
            () = &mut stop => break,
        }
    }
    drop(listener);
    registry.drain();
    let finished = async { while connections.join_next().await.is_some() {} };
    tokio::pin!(finished);
    if timeout(grace, &mut finished).await.is_err() {
        let seconds = grace.as_secs_f64();
        tracing::warn!("requests still run after {seconds} s and are given up (--drain-timeout)");
        end();
        let _ = timeout(LAST_ANSWERS, finished).await;
    }
}

/// A permit for a new connection; none if all others are busy. Waits while some of them have only just come,
/// since they may turn out not to be.
async fn admit(registry: &ConnectionRegistry) -> Option<ConnectionPermit> {
    loop {
        match registry.admit() {
            Ok(permit) => return Some(permit),
            Err(NoPermit::AllBusy) => return None,
            Err(NoPermit::NotYet) => sleep(RETRY_PAUSE).await,
        }
    }
}

/// Answers that there are too many connections. At once: Label Studio waits one second, and a connection that
/// merely waits looks like a broken network.
fn refuse(stream: TcpStream, refusals: &Arc<Semaphore>, most: usize) {
    let Ok(permit) = Arc::clone(refusals).try_acquire_owned() else { return };
    let detail = format!(
        "{most} connections are open, and all are busy: no more are taken (--max-connections)"
    );
    tracing::warn!("a connection was refused: {detail}");
    tokio::spawn(async move {
        let error = ApiError::new(ErrorCode::TooManyConnections, detail);
        connection::answer(stream, &refusal::bytes(&error)).await;
        drop(permit);
    });
}

async fn pause(error: &io::Error) {
    tracing::warn!("a connection could not be accepted: {error}");
    sleep(ACCEPT_PAUSE).await;
}
