//! What a `Backend` asks for beside its endpoints: how they are chosen among, watched and limited.

use std::{
    fmt,
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
    time::Duration,
};

use http::HeaderName;

/// The default is what a backend gets that asks for nothing: endpoints take turns, and nobody watches them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendPolicy {
    pub balancing: Balancing,
    /// How long an endpoint that has just become available takes to get its full share. The policies that hash know
    /// no shares that change.
    pub slow_start: Option<Duration>,
    pub check: Option<HealthCheck>,
    pub health: HealthUse,
    pub ejection: Option<Ejection>,
    pub connections: Connections,
}

/// How an endpoint is chosen, each by its weight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balancing {
    /// They take turns.
    #[default]
    RoundRobin,
    /// The one of many with the fewest requests under way.
    LeastRequest,
    /// The one of two, chosen by chance, with fewer requests under way.
    Random,
    RingHash(HashKey),
    Maglev(HashKey),
}

/// What of a request is hashed. Where the request lacks it, the client's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    ClientAddress,
    Header(HeaderName),
    Cookie(Arc<str>),
    QueryParam(Arc<str>),
}

/// What is done where no endpoint is healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthUse {
    /// Requests are answered 503.
    #[default]
    Require,
    /// All are used as if they were.
    Prefer,
}

/// How endpoints are asked whether they live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    pub probe: Probe,
    /// The endpoint's own where absent.
    pub port: Option<NonZeroU16>,
    pub interval: Duration,
    /// At most the interval.
    pub timeout: Duration,
    /// Failures in a row that take an endpoint out.
    pub unhealthy_after: NonZeroU32,
    /// Successes in a row that bring it back.
    pub healthy_after: NonZeroU32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    Http {
        path: Arc<str>,
        /// The endpoint's address where absent.
        host: Option<Arc<str>>,
        /// Answers that count as good; 200 to 399 where empty.
        statuses: Vec<u16>,
    },
    Tcp,
    /// The standard gRPC health service.
    Grpc {
        /// The service to ask about; the whole server where empty.
        service: Arc<str>,
    },
}

/// When an endpoint that answers badly is left out for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejection {
    pub consecutive_errors: NonZeroU32,
    /// The first time; as much more each time that follows soon.
    pub eject_for: Duration,
    /// Of a backend's endpoints, at the same time; 0 to 100.
    pub max_percent: u32,
}

/// Limits of the connections to endpoints. What is absent is left to the proxy's own limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    pub connect_timeout: Option<Duration>,
    /// How long a connection is kept without a request; zero keeps none.
    pub idle_timeout: Option<Duration>,
    /// Connections with a request on them, to each endpoint.
    pub max_per_endpoint: Option<NonZeroU32>,
    /// Requests that may wait for one of those.
    pub max_pending: Option<u32>,
    /// A connection is closed after this many requests.
    pub max_requests: Option<NonZeroU32>,
    /// Whether each connection begins by telling of its client.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// The version of a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    V1,
    V2,
}

// === impl Connections ===

impl Connections {
    /// For an endpoint to accept a connection, where nobody says how long.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
}

// === impl BackendPolicy ===

impl BackendPolicy {
    /// Whether it asks for something that is known of endpoints while they serve.
    pub fn is_watchful(&self) -> bool {
        self.balancing != Balancing::RoundRobin
            || self.slow_start.is_some()
            || self.check.is_some()
            || self.ejection.is_some()
            || self.connections.max_per_endpoint.is_some()
    }
}

// === impl Balancing ===

impl Balancing {
    /// What of a request is hashed, if anything is.
    pub fn hash_key(&self) -> Option<&HashKey> {
        match self {
            Self::RingHash(key) | Self::Maglev(key) => Some(key),
            Self::RoundRobin | Self::LeastRequest | Self::Random => None,
        }
    }
}

// === impl Probe ===

/// ``GET `/healthz` ``, or `a connection`: what an endpoint is asked for.
impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { path, .. } => write!(f, "GET `{path}`"),
            Self::Tcp => f.write_str("a connection"),
            Self::Grpc { service } if service.is_empty() => f.write_str("gRPC health"),
            Self::Grpc { service } => write!(f, "gRPC health of `{service}`"),
        }
    }
}
