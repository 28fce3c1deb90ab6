//! One connection of a client: what is known of it, and the future that serves it.
//!
//! Why no timer for each connection: arming one costs more than looking at a thousand. A worker's tick looks at all of
//! its connections and tells the late ones by [`Connection::tell`].

mod cancelled;
mod http1;
mod http2;
mod incoming;
mod interim;
mod io;
mod pace;
pub(super) mod preamble;
mod transport;

use std::{
    cell::{Cell, OnceCell, RefCell},
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

use ::http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, net::TcpStream, time::Instant};

use super::{
    config::Limits,
    http,
    http1::fields::write_number,
    tls::{self, Spoken},
    upgrade::Tunnel,
    worker::{Guest, Worker},
};
use crate::{route::Handshake, telemetry::metrics::sharded::Count};
use cancelled::Cancelled;
pub(super) use http2::Lane;
pub(super) use incoming::Incoming;
use interim::Interim;
use io::ClientIo;
use pace::Pace;
use transport::Transport;

pub(super) struct Connection {
    /// Of the client, as IPv4 where it came by IPv4.
    pub(super) peer: IpAddr,
    /// The address that was asked for when the listener was opened: the key in the table.
    pub(super) socket: SocketAddr,
    /// `peer` as text.
    pub(super) peer_text: HeaderValue,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// What was settled before the first request; absent on a connection in plaintext.
    pub(super) handshake: OnceCell<Handshake>,
    /// Whether the peer's word about the client is believed.
    pub(super) trust: Trust,
    /// Its place among the connections of its client; absent for those who stand for many.
    pub(super) guest: OnceCell<Guest>,
    /// Bytes that follow are not HTTP any more: this connection cannot be kept for another request.
    pub(super) opaque: Cell<bool>,
    /// What this connection becomes when the answer was a switch of protocols.
    pub(super) tunnel: RefCell<Option<Tunnel>>,
    /// Heads that go before the one of the answer, as they are written.
    interim: Interim,
    pace: Pace,
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// Requests under way: more than one is HTTP/2.
    requests: Cell<u32>,
    cancelled: Cancelled,
    /// The client has begun as HTTP/2 does.
    speaks_http2: Cell<bool>,
    said: Cell<Option<Word>>,
    waker: RefCell<Option<Waker>>,
    pub(super) counts: Rc<SocketCounts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    Trusted,
    Untrusted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Accepted, and no request yet.
    Fresh,
    /// Between requests.
    Idle,
    /// A head has begun.
    Head,
    /// A request is being answered.
    Active,
    /// Bytes go both ways.
    Tunnel,
    Closed,
}

/// What a connection may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Word {
    /// Close after the request under way, at once if there is none.
    Finish,
    /// Close at once.
    Abort,
}

/// The gauges and counters of a listening address.
#[derive(Debug)]
pub(super) struct SocketCounts {
    pub(super) idle: Arc<Count>,
    pub(super) active: Arc<Count>,
    pub(super) tunnel: Arc<Count>,
    pub(super) bytes_in: Arc<Count>,
    pub(super) bytes_out: Arc<Count>,
}

/// Something under way on a connection. Dropping it is its end.
pub(super) struct Busy(Rc<Connection>);

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Answered,
    /// The client took it back before there was an answer.
    Cancelled,
    /// The connection is a tunnel now.
    Tunnel,
}

/// How serving HTTP ended.
enum Ended {
    Closed,
    Aborted,
    /// What came is not HTTP, or too much of it; it was answered so.
    Refused(StatusCode),
    /// The client speaks HTTP/2.
    Other,
}

// === impl Connection ===

impl Connection {
    pub(super) fn new(
        worker: &Worker,
        peer: SocketAddr,
        socket: SocketAddr,
        counts: Rc<SocketCounts>,
    ) -> Self {
        let peer = peer.ip().to_canonical();
        let is_trusted = worker.config.trusted_proxies.iter().any(|network| network.contains(peer));
        counts.idle.add(1);
        Self {
            peer,
            socket,
            peer_text: address_text(peer),
            scheme: if worker.is_secure(&socket) { "https" } else { "http" },
            handshake: OnceCell::new(),
            trust: if is_trusted { Trust::Trusted } else { Trust::Untrusted },
            guest: OnceCell::new(),
            opaque: Cell::new(false),
            tunnel: RefCell::new(None),
            interim: Interim::default(),
            pace: Pace::default(),
            phase: Cell::new(Phase::Fresh),
            since: Cell::new(worker.now()),
            requests: Cell::new(0),
            cancelled: Cancelled::new(worker.now()),
            speaks_http2: Cell::new(false),
            said: Cell::new(None),
            waker: RefCell::new(None),
            counts,
        }
    }

    /// The same where nobody says who the client is, and what it says itself is not believed.
    pub(super) fn unnamed(&self, worker: &Worker) -> Self {
        let peer = SocketAddr::new(self.peer, 0);
        let mut unnamed = Self::new(worker, peer, self.socket, self.counts.clone());
        unnamed.trust = Trust::Untrusted;
        unnamed
    }

    pub(super) fn is_http2(&self) -> bool {
        self.speaks_http2.get()
    }

    /// Tells the client something before its answer (RFC 9110 section 15.2), without what is between the backend and us.
    pub(super) fn inform(&self, lane: Option<&Lane>, status: StatusCode, mut headers: HeaderMap) {
        http::strip_response(&mut headers);
        headers.remove(header::CONTENT_LENGTH);
        match lane {
            Some(lane) => lane.inform(status, headers),
            None => self.interim.add(status, &headers),
        }
    }

    /// A request begins.
    pub(super) fn begin(&self, now: Instant) {
        let before = self.requests.get();
        self.requests.set(before + 1);
        if before == 0 {
            self.enter(Phase::Active, now);
        }
    }

    /// A request has ended.
    pub(super) fn end(&self, end: End, now: Instant) {
        let left = self.requests.get().saturating_sub(1);
        self.requests.set(left);
        match end {
            End::Tunnel => return self.enter(Phase::Tunnel, now),
            End::Answered => {}
            End::Cancelled => self.cancelled.add(now),
        }
        if left == 0 {
            self.enter(Phase::Idle, now);
        }
    }

    fn enter(&self, phase: Phase, now: Instant) {
        let (before, after) = (self.gauge(self.phase.replace(phase)), self.gauge(phase));
        self.since.set(now);
        if let Some(gauge) = before {
            gauge.subtract(1);
        }
        if let Some(gauge) = after {
            gauge.add(1);
        }
    }

    fn gauge(&self, phase: Phase) -> Option<&Count> {
        match phase {
            Phase::Fresh | Phase::Idle | Phase::Head => Some(&self.counts.idle),
            Phase::Active => Some(&self.counts.active),
            Phase::Tunnel => Some(&self.counts.tunnel),
            Phase::Closed => None,
        }
    }

    /// A head has begun, or some more of it has come.
    fn head_comes(&self) {
        match self.phase.get() {
            Phase::Idle => self.enter(Phase::Head, Instant::now()),
            // The time that is allowed for the first head began when the connection was accepted.
            Phase::Fresh | Phase::Head | Phase::Active | Phase::Tunnel | Phase::Closed => {}
        }
    }

    /// What to tell a client that takes longer than is allowed for what it should do now, and the limit that it missed.
    pub(super) fn late(&self, now: Instant, limits: &Limits) -> Option<(Word, &'static str)> {
        if self.cancelled.level() > limits.http2.cancelled {
            return Some((Word::Abort, "resets"));
        }
        let elapsed = now.duration_since(self.since.get());
        let after = |limit: Duration, word, name| (elapsed >= limit).then_some((word, name));
        match self.phase.get() {
            Phase::Fresh | Phase::Head => after(limits.head_timeout, Word::Abort, "head_time"),
            // A client of HTTP/2 has to say that it has heard that this is the end.
            Phase::Idle if elapsed >= limits.idle_timeout + limits.head_timeout => {
                Some((Word::Abort, "idle_time"))
            }
            Phase::Idle => after(limits.idle_timeout, Word::Finish, "idle_time"),
            Phase::Active => self.pace.missed(now, limits).map(|limit| (Word::Abort, limit)),
            Phase::Tunnel | Phase::Closed => None,
        }
    }

    /// Tells the future that serves this connection; a stronger word replaces a weaker one.
    pub(super) fn tell(&self, word: Word) {
        self.said.set(self.said.get().max(Some(word)));
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// What was said since the last call; `waker` is woken by the next word.
    pub(super) fn hear(&self, waker: &Waker) -> Option<Word> {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        self.said.take()
    }

    /// Pends until this connection is told to abort.
    pub(super) async fn aborted(&self) {
        poll_fn(|cx| match self.hear(cx.waker()) {
            Some(Word::Abort) => Poll::Ready(()),
            Some(Word::Finish) | None => Poll::Pending,
        })
        .await;
    }
}

/// An address as text. That of the standard library pads and aligns, for which every connection would pay.
fn address_text(address: IpAddr) -> HeaderValue {
    let mut text = Vec::with_capacity(15);
    match address {
        IpAddr::V4(address) => {
            for (index, part) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    text.push(b'.');
                }
                write_number(part.into(), &mut text);
            }
        }
        IpAddr::V6(address) => text = address.to_string().into(),
    }
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"))
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.enter(Phase::Closed, self.since.get());
    }
}

// === impl Busy ===

impl Busy {
    fn new(connection: Rc<Connection>) -> Self {
        connection.begin(Instant::now());
        Self(connection)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end(End::Answered, Instant::now());
    }
}

// === serving ===

/// Serves one connection to its end.
pub(super) async fn serve(worker: Rc<Worker>, connection: Rc<Connection>, stream: TcpStream) {
    let (transport, spoken) = if connection.scheme == "https" {
        // In a box: a connection in plaintext must not be as large as a handshake.
        let Some((stream, spoken)) = Box::pin(tls::accept(&worker, &connection, stream)).await else {
            return;
        };
        connection.enter(Phase::Fresh, Instant::now());
        (Transport::Tls(Box::new(stream)), spoken)
    } else {
        (Transport::Plain(stream), Spoken::Http1)
    };
    let mut io = ClientIo::new(transport, connection.clone());
    match spoken {
        Spoken::Http1 => {
            if let Some(io) = http1::serve(&worker, &connection, io).await {
                serve_http2(&worker, &connection, io).await;
            }
        }
        Spoken::Http2 => {
            io.ignore_framing();
            connection.speaks_http2.set(true);
            serve_http2(&worker, &connection, io).await;
        }
    }
}

/// Serves a client that has begun with the preface of HTTP/2, or has chosen `h2` by ALPN.
async fn serve_http2(worker: &Rc<Worker>, connection: &Rc<Connection>, io: ClientIo) {
    // In a box: a connection of HTTP/1 must not be as large as one of HTTP/2.
    let (io, ended) = Box::pin(http2::serve(worker, connection, io)).await;
    let Some(mut io) = io else { return };
    match ended {
        Ended::Aborted => {}
        Ended::Closed | Ended::Other => linger(connection, &mut io).await,
        Ended::Refused(status) => {
            http::unreadable(worker, connection, status);
            linger(connection, &mut io).await;
        }
    }
}

/// Closes so that the client gets all of the answer: closing while it still sends would make the kernel throw away
/// what it has not read yet.
async fn linger(connection: &Connection, io: &mut ClientIo) {
    const TIME: Duration = Duration::from_secs(2);
    const BYTES: usize = 1 << 20;
    if io.is_between_requests() {
        return;
    }
    io.ignore_framing();
    let discard = async {
        if io.shutdown().await.is_err() {
            return;
        }
        // Not in the future: every connection would have room for it.
        let mut buffer = vec![0; 4096];
        let mut left = BYTES;
        while let Ok(read @ 1..) = io.read(&mut buffer).await {
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    };
    // Whichever ends first drops the others: nothing of the connection is needed any more.
    tokio::select! {
        () = discard => {}
        () = connection.aborted() => {}
        () = tokio::time::sleep(TIME) => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::address_text;

    proptest! {
        #[test]
        fn an_address_is_written_as_everywhere(v4: [u8; 4], v6: [u16; 8]) {
            let (v4, v6) = (std::net::IpAddr::from(v4), std::net::IpAddr::from(v6));
            prop_assert_eq!(address_text(v4), v4.to_string());
            prop_assert_eq!(address_text(v6), v6.to_string());
        }
    }
}
