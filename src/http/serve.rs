//! Connections: accepting them, bounding them, and letting them end at shutdown.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tower_service::Service;

/// A client must send the head of a request within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after the system refused a connection, for instance for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// After that the answers that are known then are still written.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Serves `router` until `stop` resolves, then lets running requests end for at most `grace`; `end` is
/// to have those answered that still run then.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    grace: Duration,
    end: impl FnOnce(),
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(&http, stream, &router);
                    let connection = graceful.watch(connection);
                    tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!("connection: {error}");
                        }
                    });
                }
                Err(error) => pause(&error).await,
            },
            () = &mut stop => break,
        }
    }
    drop(listener);
    let finished = graceful.shutdown();
    tokio::pin!(finished);
    if timeout(grace, &mut finished).await.is_err() {
        let seconds = grace.as_secs_f64();
        tracing::warn!("requests that still run after {seconds} s are given up (--drain-timeout)");
        end();
        let _ = timeout(LAST_ANSWERS, finished).await;
    }
}

fn connection(
    http: &http1::Builder,
    stream: TcpStream,
    router: &Router,
) -> http1::Connection<
    TokioIo<TcpStream>,
    impl hyper::service::HttpService<
        Incoming,
        ResBody = axum::body::Body,
        Error = std::convert::Infallible,
        Future: Send,
    > + use<>,
> {
    // Answers are written whole, so waiting for more bytes only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("TCP_NODELAY: {error}");
    }
    let router = router.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        async move { Service::call(&mut router, request).await }
    });
    http.serve_connection(TokioIo::new(stream), service)
}

async fn pause(error: &io::Error) {
    tracing::warn!("a connection could not be accepted: {error}");
    sleep(ACCEPT_PAUSE).await;
}
