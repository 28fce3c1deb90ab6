//! One request on its way to an endpoint: on a connection of its own, or on a shared one.
//!
//! Why no task for each connection: whoever waits for the response polls the connection itself, so a request is one
//! task from the client's socket to the endpoint's and back. A connection that waits to be used again wakes its
//! endpoint, which closes it.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{super::http::RequestBody, Endpoint, Place, Stream, credentials, multiplex::Ticket};
use crate::proxy::config::Limits;

pub(in crate::proxy) enum Exchange {
    Own(Box<Own>),
    Shared(Ticket),
}

/// How an endpoint is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Protocol {
    Http1,
    Http2,
}

/// A connection of HTTP/1, and the request that is on it.
pub(in crate::proxy) struct Own {
    sender: SendRequest<RequestBody>,
    /// Gone when it broke.
    connection: Option<Driver>,
    /// Weak: the endpoint owns the connections that wait.
    endpoint: Weak<Endpoint>,
    state: State,
    /// Whether a response came over it before.
    is_reused: bool,
    /// It is one client's: it is not kept for others.
    pub(super) is_private: bool,
    /// Of the request that is on it, where those are counted.
    place: Option<Place>,
    /// Requests that were answered over it.
    pub(super) served: u32,
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
    /// Nothing was done about it.
    #[error("the endpoint refused the request: {0}")]
    Refused(hyper::Error),
    #[error("the connection broke before the response: {0}")]
    Broken(hyper::Error),
    #[error("the response is not valid HTTP: {0}")]
    Invalid(hyper::Error),
}

// === impl Exchange ===

impl Exchange {
    /// On a new connection, or on one that is being opened for others too. One that begins with an introduction is not
    /// for others.
    pub(in crate::proxy) async fn connect(
        endpoint: &Rc<Endpoint>,
        protocol: Protocol,
        limits: &Limits,
        introduction: &[u8],
    ) -> Result<Self, Failure> {
        let connect = async || {
            tokio::time::timeout(limits.connect_timeout, endpoint.connect(protocol, introduction))
                .await
                .map_err(|_| Failure::ConnectTimeout)?
                .map_err(Failure::Connect)
        };
        match protocol {
            Protocol::Http1 => {
                let mut own = Own::start(connect().await?, endpoint).await?;
                own.is_private = !introduction.is_empty();
                Ok(Self::Own(own))
            }
            Protocol::Http2 => {
                let ticket = endpoint.shared.open(&endpoint.tasks, connect).await?;
                Ok(Self::Shared(endpoint.marked(ticket)))
            }
        }
    }

    /// Whether others were on its connection before: it may have been closed since.
    pub(in crate::proxy) fn is_reused(&self) -> bool {
        match self {
            Self::Own(own) => own.is_reused,
            Self::Shared(ticket) => ticket.is_reused,
        }
    }

    /// Sends a request and waits for the head of the response. Dropping the future gives the request up.
    pub(in crate::proxy) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Failure> {
        match self {
            Self::Own(own) => own.send(request).await,
            Self::Shared(ticket) => ticket.send(request).await,
        }
    }

    /// Holds the request's place at the endpoint as long as it is under way.
    pub(in crate::proxy) fn enter(&mut self, place: Option<Place>) {
        match self {
            Self::Own(own) => own.place = place,
            Self::Shared(ticket) => ticket.place = place,
        }
    }

    /// The place of the request that is on it: for what the connection becomes.
    pub(in crate::proxy) fn leave(&mut self) -> Option<Place> {
        match self {
            Self::Own(own) => own.place.take(),
            Self::Shared(ticket) => ticket.place.take(),
        }
    }

    /// The next piece of the response.
    pub(in crate::proxy) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self {
            Self::Own(own) => {
                own.poll(cx);
                // Only the connection could wake it, and it was polled just now.
                Pin::new(incoming).poll_frame(&mut Context::from_waker(Waker::noop()))
            }
            Self::Shared(_) => Pin::new(incoming).poll_frame(cx),
        }
    }

    /// Gives the connection back, if the exchange on it is complete; else closes it, or resets its stream.
    pub(in crate::proxy) fn finish(self, now: Instant) {
        match self {
            Self::Own(own) => own.finish(now),
            Self::Shared(ticket) => drop(ticket),
        }
    }

    /// After a switch of protocols: the socket, and what has come over it since.
    pub(in crate::proxy) fn into_stream(self) -> Option<(Stream, Bytes)> {
        match self {
            Self::Own(own) => own.into_stream(),
            Self::Shared(_) => None,
        }
    }
}

// === impl Own ===

impl Own {
    async fn start(stream: Stream, endpoint: &Rc<Endpoint>) -> Result<Box<Self>, Failure> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(Self::BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::Broken)?;
        let endpoint = Rc::downgrade(endpoint);
        let connection = Some(connection);
        Ok(Box::new(Self {
            sender,
            connection,
            endpoint,
            state: State::Open,
            is_reused: false,
            is_private: false,
            place: None,
            served: 0,
        }))
    }

    /// What a response may be ahead of the client that reads it, and a head may have.
    const BUFFER: usize = 256 << 10;

    /// Sends a request and waits for the head of the response. Dropping the future closes the connection.
    async fn send(&mut self, request: Request<RequestBody>) -> Result<Response<Incoming>, Failure> {
        self.is_private |= credentials::are_shown(request.headers());
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
        let response = result.map_err(|mut error| {
            *state = State::Closed;
            if let Some(request) = error.take_message() {
                return Failure::NotSent(Box::new(request));
            }
            let error = error.into_error();
            if error.is_parse() { Failure::Invalid(error) } else { Failure::Broken(error) }
        })?;
        self.is_private |= credentials::are_asked_for(response.headers());
        Ok(response)
    }

    /// Moves bytes. Whoever waits for a body calls this before it asks for the next piece.
    fn poll(&mut self, cx: &mut Context<'_>) {
        poll(&mut self.connection, &mut self.state, cx);
    }

    fn finish(mut self: Box<Self>, now: Instant) {
        self.is_reused = true;
        self.place = None;
        self.served = self.served.saturating_add(1);
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

    fn into_stream(self: Box<Self>) -> Option<(Stream, Bytes)> {
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
