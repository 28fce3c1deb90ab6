//! What the data plane is told when it starts: plain values, each with its unit, reason and default.

#[cfg(test)]
mod tests;

use std::{num::NonZeroUsize, time::Duration};

use http::HeaderValue;

use super::http::SessionKey;
use crate::model::{Allowed, Cidr, Connections};

#[derive(Clone, Debug)]
pub struct Config {
    /// Threads; each has its own listeners, connections and pools.
    pub workers: NonZeroUsize,
    /// How long a request waits for an endpoint where its backend has none; zero turns waiting off.
    pub hold: Duration,
    /// Peers whose word about the client is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Ports on which every connection has to begin with a PROXY header, from one of `trusted_proxies`.
    pub proxy_protocol: Vec<u16>,
    /// What requests may hold that is refused, or left out, otherwise.
    pub allowed: Allowed,
    /// `X-Forwarded-Server`; left out where absent.
    pub server_name: Option<HeaderValue>,
    /// How long connections are still accepted after a drain was asked for.
    pub drain_delay: Duration,
    /// How long work under way may take to end.
    pub drain_timeout: Duration,
    /// Names endpoints to clients that are kept at theirs.
    pub session_key: SessionKey,
    pub limits: Limits,
}

/// Bounds, for each worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections of clients; more wait in the kernel's queue. No client has more than three quarters.
    pub connections: usize,
    /// Open connections to endpoints; beyond that, requests are refused. No client has more than three quarters.
    pub endpoint_connections: usize,
    /// Head of a request, in bytes. The number of its fields is limited to 100.
    pub head_bytes: usize,
    /// From the first byte of a request to the end of its head, and from accepting to the first head.
    pub head_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// While it is waited for a client to send its body: this long less than `least_rate`, and it is cut off.
    pub send_window: Duration,
    /// The same while it is waited for a client to take an answer. Longer: a person may pause a film.
    pub take_window: Duration,
    /// Bytes a second.
    pub least_rate: u64,
    /// Requests that wait for an endpoint at the same time.
    pub held: usize,
    /// How long a request waits for a place where all endpoints have as many requests as they may have.
    pub pending_timeout: Duration,
    /// For a backend's endpoint to accept a connection.
    pub connect_timeout: Duration,
    /// How long a request goes on trying endpoints of which none can be reached: long enough for Docker's word that
    /// they are gone, short enough for a person who waits.
    pub unreachable_grace: Duration,
    /// How long a connection to an endpoint stays open unused; below the 60 s to 75 s after which servers close theirs.
    pub pool_idle_timeout: Duration,
    /// Unused connections kept for each endpoint, by each worker: as many as requests that a few clients of HTTP/2 have
    /// under way at a time, or most of them would open a new one.
    pub pool_idle: usize,
    pub http2: Http2,
}

/// Bounds of HTTP/2, for each connection of a client. A head is bounded by [`Limits::head_bytes`] too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2 {
    /// Requests at the same time.
    pub streams: u32,
    /// Fields of a head; each part of a cookie counts.
    pub fields: usize,
    /// Requests that a client takes back before they have begun, and mistakes that cost it a stream; after so many the
    /// connection is closed.
    pub resets: usize,
    /// Requests that a client takes back before they are answered, at once; of those, 50 are forgotten in a second.
    pub cancelled: u32,
    /// What pieces of bodies that wait for the other side may cost beside their bytes: h2 takes 256 bytes for each, less
    /// its length. Messages of 10 bytes that fill the window of a stream take 6.5 MB of it, those of 30 the window of the
    /// connection 8 MB. Empty pieces are limited by h2 itself, to 100.
    pub pieces: usize,
    /// What a client may send ahead of the backend, in bytes: for each request, and in all.
    pub stream_window: u32,
    pub window: u32,
    /// How long a client may take nothing of an answer that is there.
    pub unread: Duration,
    /// How often a silent client is asked whether it lives, and how long it may take to answer.
    pub ping_every: Duration,
    pub ping_timeout: Duration,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            hold: Duration::from_secs(5),
            trusted_proxies: Vec::new(),
            proxy_protocol: Vec::new(),
            allowed: Allowed::NOTHING,
            server_name: None,
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            session_key: SessionKey::random(),
            limits: Limits::default(),
        }
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16 << 10,
            endpoint_connections: 64 << 10,
            head_bytes: 64 << 10,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            send_window: Duration::from_secs(20),
            take_window: Duration::from_mins(1),
            least_rate: 240,
            held: 1024,
            pending_timeout: Duration::from_secs(10),
            connect_timeout: Connections::CONNECT_TIMEOUT,
            unreachable_grace: Duration::from_secs(1),
            pool_idle_timeout: Duration::from_secs(50),
            pool_idle: 1024,
            http2: Http2::default(),
        }
    }
}

impl Limits {
    /// What stays for documents, Docker, the admin API and health checks: an eighth, within these bounds.
    const SPARE_FILES: std::ops::RangeInclusive<u64> = 48..=128;
    /// A thread's own, and its share of the sockets that it listens on.
    const FILES_OF_A_WORKER: u64 = 8;

    /// Lowers the numbers of connections to what a process that may have so many files open has room for. A request over
    /// HTTP/1 takes one connection on each side, so each side may have half.
    #[must_use]
    pub fn within(mut self, files: u64, workers: NonZeroUsize) -> Self {
        let workers = workers.get() as u64;
        let kept = (files / 8).clamp(*Self::SPARE_FILES.start(), *Self::SPARE_FILES.end()).min(files / 2);
        let share = ((files - kept) / workers).saturating_sub(Self::FILES_OF_A_WORKER);
        // Nothing works with less than this, whatever the system says.
        let share = usize::try_from(share).unwrap_or(usize::MAX).max(2);
        self.connections = self.connections.min(share / 2);
        self.endpoint_connections = self.endpoint_connections.min(share - self.connections);
        self
    }

    /// Three quarters: many may share an address whom nobody has named as a trusted proxy (a network's gateway, Docker's own
    /// proxy, the mesh of a Swarm), and a quarter is enough for others to be served.
    pub(super) fn connections_of_a_client(&self) -> usize {
        (self.connections - self.connections / 4).max(1)
    }

    /// The same share, counted on its own: one connection of HTTP/2 has many requests at a time.
    pub(super) fn endpoint_connections_of_a_client(&self) -> usize {
        (self.endpoint_connections - self.endpoint_connections / 4).max(1)
    }
}

// === impl Http2 ===

impl Default for Http2 {
    fn default() -> Self {
        Self {
            streams: 100,
            fields: 200,
            resets: 50,
            cancelled: 200,
            pieces: 8 << 20,
            stream_window: 256 << 10,
            window: 1 << 20,
            unread: Duration::from_secs(50),
            ping_every: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
        }
    }
}
