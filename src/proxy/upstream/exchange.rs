//! One connection to an endpoint, and the request that is on it.
//!
//! Why no task for each connection: whoever waits for the response polls the connection itself, so a request is one
//! task from the client's socket to the endpoint's and back. A connection that waits to be used again wakes its
//! endpoint, which closes it.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{super::http::RequestBody, Endpoint, Stream};
use crate::proxy::config::Limits;

pub(in crate::proxy) struct Exchange {
    sender: SendRequest<RequestBody>,
    /// Gone when it broke.
    connection: Option<Driver>,
    /// Weak: the endpoint owns the connections that wait.
    endpoint: Weak<Endpoint>,
    state: State,
    /// Whether a response came over it before.
    pub(in crate::proxy) is_reused: bool,
}

type Driver = http1::Connection<TokioIo<Stream>, RequestBody>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Must not be polled any more.
    Closed,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum Failure {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("connecting took too long")]
    ConnectTimeout,
    /// Here it is again.
    #[error("the connection was closed before the request was sent")]
    NotSent(Box<Request<RequestBody>>),
    #[error("the connection broke before the response: {0}")]
    Broken(hyper::Error),
    #[error("the response is not valid HTTP: {0}")]
    Invalid(hyper::Error),
}

// === impl Exchange ===

impl Exchange {
    pub(in crate::proxy) async fn connect(
        endpoint: &Rc<Endpoint>,
        limits: &Limits,
    ) -> Result<Box<Self>, Failure> {
        let stream = tokio::time::timeout(limits.connect_timeout, Stream::connect(&endpoint.address))
            .await
            .map_err(|_| Failure::ConnectTimeout)?
            .map_err(Failure::Connect)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(Self::BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::Broken)?;
        let endpoint = Rc::downgrade(endpoint);
        let connection = Some(connection);
        Ok(Box::new(Self { sender, connection, endpoint, state: State::Open, is_reused: false }))
    }

    /// What a response may be ahead of the client that reads it, and a head may have.
    const BUFFER: usize = 256 << 10;

    /// Sends a request and waits for the head of the response. Dropping the future closes the connection.
    pub(in crate::proxy) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut response = pin!(self.sender.try_send_request(request));
        let (connection, state) = (&mut self.connection, &mut self.state);
        let result = poll_fn(|cx| {
            poll(connection, state, cx);
            // Only the connection could wake it, and it was polled just now: a waker would wake this task for nothing.
            let unwoken = &mut Context::from_waker(Waker::noop());
            let result = response.as_mut().poll(unwoken);
            if result.is_pending() && *state == State::Closed {
                // It gives the request back when it is dropped.
                *connection = None;
                return response.as_mut().poll(unwoken);
            }
            result
        })
        .await;
        result.map_err(|mut error| {
            *state = State::Closed;
            if let Some(request) = error.take_message() {
                return Failure::NotSent(Box::new(request));
            }
            let error = error.into_error();
            if error.is_parse() { Failure::Invalid(error) } else { Failure::Broken(error) }
        })
    }

    /// Moves bytes. Whoever waits for a body calls this before it asks for the next piece.
    pub(in crate::proxy) fn poll(&mut self, cx: &mut Context<'_>) {
        poll(&mut self.connection, &mut self.state, cx);
    }

    /// Gives the connection back, if the exchange on it is complete; else closes it.
    pub(in crate::proxy) fn finish(mut self: Box<Self>, now: Instant) {
        self.is_reused = true;
        if let Some(endpoint) = self.endpoint.upgrade()
            && self.is_reusable(&endpoint.waker)
        {
            endpoint.keep(self, now);
        }
    }

    /// `waker` is woken when something happens on it: never the waker of the task that used it last, which the next
    /// request on it would wake.
    pub(super) fn is_reusable(&mut self, waker: &Waker) -> bool {
        poll(&mut self.connection, &mut self.state, &mut Context::from_waker(waker));
        self.state == State::Open && self.sender.is_ready()
    }

    /// After a switch of protocols: the socket, and what has come over it since.
    pub(in crate::proxy) fn into_stream(self: Box<Self>) -> Option<(Stream, Bytes)> {
        let parts = self.connection?.into_parts();
        Some((parts.io.into_inner(), parts.read_buf))
    }
}

fn poll(connection: &mut Option<Driver>, state: &mut State, cx: &mut Context<'_>) {
    if *state == State::Open
        && let Some(connection) = connection
        && let Poll::Ready(_) = connection.poll_without_shutdown(cx)
    {
        // An error was handed to whoever waits for the response.
        *state = State::Closed;
    }
}
