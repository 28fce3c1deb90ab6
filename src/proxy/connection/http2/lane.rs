//! What a request and the stream that it came by have to tell each other.

use std::{
    cell::{Cell, RefCell},
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use ::http::{HeaderMap, StatusCode};
use tokio::time::{Instant, Sleep};

use super::super::{
    super::{config::Limits, upgrade::Tunnel},
    interim, pace,
};

/// What the pipeline needs to know of the stream that a request came by.
#[derive(Default)]
pub(in crate::proxy) struct Lane {
    /// What the stream becomes when the answer is sent.
    tunnel: RefCell<Option<Tunnel>>,
    /// Heads that go before the one of the answer.
    interim: RefCell<Vec<(StatusCode, HeaderMap)>>,
    /// How much of them there was: whether the client has taken it, the library does not say.
    informed: Cell<usize>,
    /// Since when the client has been owing room for what was read for it.
    unread: Cell<Option<Instant>>,
    /// How it sends its body, while that holds up a connection to an endpoint.
    pub(in crate::proxy::connection) sending: pace::Lane,
    missed: Cell<Option<Missed>>,
}

/// What a client has not done in time, so that its stream was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Missed {
    Sending,
    Taking,
}

/// How long a client may take for what only it can do.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// Until it takes something of its answer.
    unread: Duration,
    /// In which it sends so many bytes a second.
    sending: (Duration, u64),
}

// === impl Lane ===

impl Lane {
    /// Of a body at most this much is handed over at a time: it is kept until the client has room for it.
    pub(in crate::proxy) const PIECE: usize = 64 << 10;

    /// Something was handed over (`Some`), or was asked for.
    pub(in crate::proxy) fn unread(&self, since: Option<Instant>) {
        self.unread.set(since);
    }

    /// Why the stream was reset, if it was by us.
    pub(in crate::proxy) fn missed(&self) -> Option<Missed> {
        self.missed.get()
    }

    /// Once the answer is sent, this stream carries the tunnel's bytes.
    pub(in crate::proxy) fn become_tunnel(&self, tunnel: Tunnel) {
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    pub(super) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.take()
    }

    /// The client is told this before its answer.
    pub(in crate::proxy::connection) fn inform(&self, status: StatusCode, headers: HeaderMap) {
        if let Some(informed) = interim::beside(self.informed.get(), &headers) {
            self.informed.set(informed);
            self.interim.borrow_mut().push((status, headers));
        }
    }

    pub(super) fn take_interim(&self) -> Vec<(StatusCode, HeaderMap)> {
        self.interim.take()
    }

    /// Ready when the client has not done in time what only it can do.
    pub(super) fn poll_patience(
        &self,
        patience: &Patience,
        sleep: &mut Option<Pin<Box<Sleep>>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        // Armed once and moved on only when it fires: most pieces come, and are taken, at once.
        while self.unread.get().is_some() || self.sending.is_waiting() {
            let new = || Box::pin(tokio::time::sleep(patience.pause()));
            let sleep = sleep.get_or_insert_with(new);
            ready!(sleep.as_mut().poll(cx));
            let now = Instant::now();
            let (window, rate) = patience.sending;
            if self.unread.get().is_some_and(|since| now >= since + patience.unread) {
                self.missed.set(Some(Missed::Taking));
                return Poll::Ready(());
            }
            if self.sending.is_slow(now, window, rate) {
                self.missed.set(Some(Missed::Sending));
                return Poll::Ready(());
            }
            sleep.as_mut().reset(now + patience.pause());
        }
        Poll::Pending
    }
}

// === impl Missed ===

impl Missed {
    /// As the metrics call it.
    pub(in crate::proxy) fn limit(self) -> &'static str {
        match self {
            Self::Sending => "send_rate",
            Self::Taking => "take_rate",
        }
    }

    pub(in crate::proxy) fn words(self) -> &'static str {
        match self {
            Self::Sending => "client: it sent too little of its body for too long",
            Self::Taking => "client: it took nothing of its answer for too long",
        }
    }
}

// === impl Patience ===

impl Patience {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { unread: limits.http2.unread, sending: (limits.send_window, limits.least_rate) }
    }

    /// Between two looks at a client that is waited for.
    fn pause(&self) -> Duration {
        (self.unread.min(self.sending.0) / 4).min(Duration::from_secs(1))
    }
}
