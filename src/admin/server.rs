//! The accept loop: bounded connections, bounded headers, and an end.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
};

use super::{
    Listener, State,
    guard::Reach,
    listener::Connection,
    respond::{self, Failure},
};
use crate::runtime::{
    drain::Watch,
    tasks::{End, Tasks},
};

/// At most this many connections at once; more wait in the queue of the socket.
const MAX_CONNECTIONS: usize = 256;

/// How long the head of a request may take, and how long a connection may wait for the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A request's head has at most this many bytes.
const MAX_HEAD: usize = 32 * 1024;

/// How long to wait before accepting again where the system has no more files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` drains, then ends its streams and lets the answers under way finish. `stop` is the admin API's
/// own: while the data plane drains it has to go on telling so.
pub async fn serve(listener: Listener, state: State, stop: Watch) {
    let reach = listener.reach();
    let router = respond::router(state, stop.clone());
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut tasks = Tasks::new();
    let mut stopping = stop.clone();
    loop {
        // No arm holds anything that would be lost: a connection is accepted or it is not.
        tokio::select! {
            () = stopping.draining() => break,
            ended = tasks.ended() => {
                if let End::Panicked(message) = ended.end {
                    tracing::error!(message, "a request to the admin API panicked");
                }
            }
            accepted = accept(&listener, &permits) => {
                let Some((connection, permit)) = accepted else { continue };
                let (router, stop) = (router.clone(), stop.clone());
                tasks.spawn("admin connection", async move {
                    match connection {
                        Connection::Tcp(stream) => converse(stream, router, reach, stop).await,
                        Connection::Unix(stream) => converse(stream, router, reach, stop).await,
                    }
                    drop(permit);
                });
            }
        }
    }
    drop(listener);
    tasks.finish().await;
}

async fn accept(
    listener: &Listener,
    permits: &Arc<Semaphore>,
) -> Option<(Connection, tokio::sync::OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let permit = permits.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok(connection) => Some((connection, permit)),
        Err(error) => {
            tracing::debug!(%error, "the admin API could not accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: axum::Router,
    reach: Reach,
    mut stop: Watch,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| answer(request, router.clone(), reach));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // Errors are those of the client: it went away, or did not speak HTTP.
    tokio::select! {
        result = connection.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection to the admin API ended");
            }
            return;
        }
        () = stop.draining() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection => {}
        () = stop.forced() => {}
    }
}

async fn answer(
    request: Request<Incoming>,
    router: TowerToHyperService<axum::Router>,
    reach: Reach,
) -> Result<Response<Body>, Infallible> {
    match reach.check(request.uri(), request.headers()) {
        Ok(()) => router.call(request).await,
        Err(refusal) => Ok(Failure::from(refusal).into_response()),
    }
}
