//! Requests that endpoints have failed, as they are told to people.

use std::{collections::BTreeMap, sync::Arc};

/// The last request that each endpoint has failed: by the endpoint's name, and its address as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureReport(pub BTreeMap<Arc<str>, BTreeMap<String, LastFailure>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LastFailure {
    /// Seconds since 1970.
    pub time: i64,
    pub fault: Fault,
    /// What happened, in the words of the log.
    pub message: Arc<str>,
    /// What the client got; absent where the request was tried again.
    pub status: Option<u16>,
    /// Whether the endpoint has answered a request since.
    pub answered_since: bool,
}

/// How an endpoint fails a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    ConnectionRefused,
    ConnectTimeout,
    /// Any other reason why there is no connection.
    NoConnection,
    /// It took the connection and not the request.
    RequestRefused,
    Reset,
    InvalidResponse,
    Timeout,
}

// === impl LastFailure ===

impl LastFailure {
    /// For so long what was found is worth acting on, in seconds. After that it is history.
    pub const RECENT: i64 = 5 * 60;

    /// Whether it is the last that is known of the endpoint, and not long ago.
    pub fn is_current(&self, now: i64) -> bool {
        !self.answered_since && now.saturating_sub(self.time) < Self::RECENT
    }
}

// === impl Fault ===

impl Fault {
    pub const ALL: [Self; 7] = [
        Self::ConnectionRefused,
        Self::ConnectTimeout,
        Self::NoConnection,
        Self::RequestRefused,
        Self::Reset,
        Self::InvalidResponse,
        Self::Timeout,
    ];

    /// In the form of a condition's reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::ConnectionRefused => "ConnectionRefused",
            Self::ConnectTimeout => "ConnectTimeout",
            Self::NoConnection => "NoConnection",
            Self::RequestRefused => "RequestRefused",
            Self::Reset => "Reset",
            Self::InvalidResponse => "InvalidResponse",
            Self::Timeout => "Timeout",
        }
    }

    /// The value of the label `kind` of `portolan_upstream_errors_total`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::ConnectionRefused | Self::NoConnection => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::RequestRefused => "refused",
            Self::Reset => "reset",
            Self::InvalidResponse => "invalid",
            Self::Timeout => "timeout",
        }
    }

    /// What clients get where nothing else can be tried.
    pub fn status(self) -> u16 {
        match self {
            Self::ConnectTimeout | Self::Timeout => 504,
            Self::ConnectionRefused
            | Self::NoConnection
            | Self::RequestRefused
            | Self::Reset
            | Self::InvalidResponse => 502,
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::ConnectionRefused => {
                "nothing listens there: the program must listen on this port and on all addresses (`0.0.0.0`), not only \
                 on `127.0.0.1`"
            }
            Self::ConnectTimeout => {
                "nothing answers there: look for a firewall, a wrong address or a host that is down"
            }
            Self::NoConnection => "the address, and TLS where it is spoken, must be right",
            Self::RequestRefused => {
                "the program takes no more requests at the moment: its own limits say why"
            }
            Self::Reset => "the program closed the connection before it answered: its log says why",
            Self::InvalidResponse => {
                "the program must speak HTTP on this port; for HTTP/2 or TLS say so (`appProtocol`, `portolan.scheme`)"
            }
            Self::Timeout => {
                "the program takes longer than `timeouts` of the rule allow: make it faster, or raise them"
            }
        }
    }
}
