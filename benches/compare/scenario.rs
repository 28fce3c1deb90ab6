//! What is measured.

/// One kind of load.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) path: &'static str,
    /// Host names that the proxy serves; the load goes over all of them in turn.
    pub(crate) hosts: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    KeepAlive,
    NewConnection,
    TlsKeepAlive,
    TlsNewConnection,
    /// Over TLS.
    Http2,
    /// Nothing is asked: memory for each connection that was used once and waits.
    Idle,
}

/// In the order of the report.
pub(crate) fn all() -> Vec<Scenario> {
    let scenario = |name, protocol, path, hosts| Scenario { name, protocol, path, hosts };
    vec![
        scenario("small keep-alive", Protocol::KeepAlive, "/small", 1),
        scenario("10 KB keep-alive", Protocol::KeepAlive, "/10k", 1),
        scenario("1 MB keep-alive", Protocol::KeepAlive, "/1m", 1),
        scenario("new connection", Protocol::NewConnection, "/small", 1),
        scenario("TLS keep-alive", Protocol::TlsKeepAlive, "/small", 1),
        scenario("TLS new connection", Protocol::TlsNewConnection, "/small", 1),
        scenario("HTTP/2", Protocol::Http2, "/small", 1),
        scenario("1,000 hosts", Protocol::KeepAlive, "/small", 1_000),
        scenario("10,000 hosts", Protocol::KeepAlive, "/small", 10_000),
        scenario("100,000 hosts", Protocol::KeepAlive, "/small", 100_000),
        scenario("idle connections", Protocol::Idle, "/small", 1),
    ]
}

pub(crate) fn names() -> String {
    all().iter().map(|scenario| format!("`{}`", scenario.name)).collect::<Vec<_>>().join(", ")
}

// === impl Protocol ===

impl Protocol {
    /// Whether each request has a connection of its own.
    pub(crate) fn is_new(self) -> bool {
        match self {
            Self::NewConnection | Self::TlsNewConnection => true,
            Self::KeepAlive | Self::TlsKeepAlive | Self::Http2 | Self::Idle => false,
        }
    }

    pub(crate) fn is_tls(self) -> bool {
        match self {
            Self::TlsKeepAlive | Self::TlsNewConnection | Self::Http2 => true,
            Self::KeepAlive | Self::NewConnection | Self::Idle => false,
        }
    }
}
