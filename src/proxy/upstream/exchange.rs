//! One request on its way to an endpoint: on a connection of its own, or on a shared one.

use std::{
    io,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::{super::http::Message, Endpoint, Own, Stream, Visit, multiplex::Ticket, wide::Answered};
use crate::proxy::{config::Limits, received::Received};

pub(in crate::proxy) enum Exchange {
    Own(Box<Own>),
    /// In a box: what is moved from hand to hand is small.
    Shared(Box<Ticket>),
    /// On a stream that has its answer: a WebSocket over HTTP/2, or why there is none.
    Wide(Box<Answered>),
}

/// How an endpoint is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Protocol {
    Http1,
    Http2,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum Failure {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("connecting took too long")]
    ConnectTimeout,
    /// It is no fault of the endpoint's.
    #[error("there are as many connections to endpoints as the limit of open files has room for")]
    Full,
    /// It is as it was.
    #[error("the connection was closed before the request was sent")]
    NotSent,
    /// Nothing was done about it.
    #[error("the endpoint refused the request: {0}")]
    Refused(io::Error),
    #[error("the connection broke before the response: {0}")]
    Broken(io::Error),
    #[error("the response is not valid HTTP: {0}")]
    Invalid(io::Error),
}

/// Heads that may come before the one that counts.
pub(super) const MOST_INFORMATIONAL: u32 = 64;
/// What is wrong with a response that has more.
pub(super) const NO_BEGINNING: &str = "its response does not begin";

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
        };
        match protocol {
            Protocol::Http1 => {
                let mut own = Own::new(connect().await?, endpoint);
                own.is_private = !introduction.is_empty();
                Ok(Self::Own(own))
            }
            Protocol::Http2 => {
                let most = endpoint.keeping.get().max_requests;
                let ticket = endpoint.shared.open((&endpoint.means.tasks, most), connect).await?;
                Ok(Self::Shared(Box::new(endpoint.marked(ticket))))
            }
        }
    }

    /// Whether others were on its connection before: it may have been closed since.
    pub(in crate::proxy) fn is_reused(&self) -> bool {
        match self {
            Self::Own(own) => own.is_reused,
            Self::Shared(ticket) => ticket.is_reused,
            Self::Wide(_) => false,
        }
    }

    /// Sends a request and waits for the head of the response. Dropping the future gives the request up.
    pub(in crate::proxy) async fn send(&mut self, message: &mut Message<'_>) -> Result<Received, Failure> {
        match self {
            Self::Own(own) => own.send(message).await,
            // In a box: most requests would have room for it and not need it.
            Self::Shared(ticket) => Box::pin(ticket.send(message)).await,
            Self::Wide(_) => Err(Failure::NotSent),
        }
    }

    /// Counts the request at the endpoint as long as it is under way.
    pub(in crate::proxy) fn enter(&mut self, visit: Visit) {
        match self {
            Self::Own(own) => own.visit = Some(visit),
            Self::Shared(ticket) => ticket.visit = Some(visit),
            Self::Wide(answered) => answered.visit = Some(visit),
        }
    }

    /// The request that is on it: for what the connection becomes.
    pub(in crate::proxy) fn leave(&mut self) -> Option<Visit> {
        match self {
            Self::Own(own) => own.visit.take(),
            Self::Shared(ticket) => ticket.visit.take(),
            Self::Wide(answered) => answered.visit.take(),
        }
    }

    /// The next piece of the response's body.
    pub(in crate::proxy) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self {
            Self::Own(own) => own.poll_frame(cx),
            Self::Shared(ticket) => ticket.poll_frame(cx),
            Self::Wide(answered) => answered.poll_frame(cx),
        }
    }

    /// Sends on what is left of the request, while nothing of the response is asked for.
    pub(in crate::proxy) fn poll_upload(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Own(own) => own.poll_rest(cx),
            Self::Shared(ticket) => ticket.poll_upload(cx),
            Self::Wide(_) => {}
        }
    }

    /// Whether all of the response's body was taken.
    pub(in crate::proxy) fn is_done(&self) -> bool {
        match self {
            Self::Own(own) => own.is_done(),
            Self::Shared(ticket) => ticket.is_done(),
            Self::Wide(answered) => answered.is_done(),
        }
    }

    /// What is known of the length of what is still to come.
    pub(in crate::proxy) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(own) => own.size_hint(),
            Self::Shared(ticket) => ticket.size_hint(),
            Self::Wide(answered) => answered.size_hint(),
        }
    }

    /// Gives the connection back, if the exchange on it is complete; else closes it, or resets its stream.
    pub(in crate::proxy) fn finish(self, now: Instant) {
        match self {
            Self::Own(own) => own.finish(now),
            Self::Shared(ticket) => drop(ticket),
            Self::Wide(answered) => drop(answered),
        }
    }

    /// After a switch of protocols: the socket, and what has come over it since.
    pub(in crate::proxy) fn into_stream(self) -> Option<(Stream, Bytes)> {
        match self {
            Self::Own(own) => Some(own.into_stream()),
            Self::Shared(_) => None,
            Self::Wide(answered) => Some((Stream::wide(answered.duplex), Bytes::new())),
        }
    }
}
