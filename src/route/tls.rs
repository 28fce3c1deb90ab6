//! How a listener ends TLS: which certificate is shown to whom, and who may come in.

use std::{collections::BTreeMap, sync::Arc};

use super::{Listener, Socket, index::HostIndex};
use crate::model::{CertifiedKey, Der, HostPattern, TlsVersion, ValidationMode};

/// The certificates and demands of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// None of them is usable where empty: every handshake is refused.
    certificates: Vec<Arc<CertifiedKey>>,
    /// Positions by name.
    by_name: HostIndex<Vec<usize>>,
    pub unknown: Unknown,
    pub minimum: TlsVersion,
    pub clients: Option<Arc<Clients>>,
}

/// What a client gets whose name no certificate of the listener has, or who names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The listener's first certificate.
    First,
    /// An alert.
    Refuse,
}

/// Which client certificates are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    pub authorities: Vec<Der>,
    pub mode: ValidationMode,
}

/// What a handshake has settled for its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The name that the client asked for (SNI): lower case, without trailing dot.
    pub server_name: Option<Box<str>>,
    pub clients: Option<Arc<Clients>>,
}

// === impl Tls ===

impl Tls {
    pub fn new(
        certificates: Vec<Arc<CertifiedKey>>,
        unknown: Unknown,
        minimum: TlsVersion,
        clients: Option<Arc<Clients>>,
    ) -> Self {
        let mut by_name: BTreeMap<&HostPattern, Vec<usize>> = BTreeMap::new();
        for (position, certificate) in certificates.iter().enumerate() {
            for name in &certificate.names {
                let positions = by_name.entry(name).or_default();
                if positions.last() != Some(&position) {
                    positions.push(position);
                }
            }
        }
        let by_name = by_name.into_iter().map(|(name, positions)| (Some(name.clone()), positions));
        let by_name = HostIndex::new(by_name.collect::<Vec<_>>());
        Self { certificates, by_name, unknown, minimum, clients }
    }

    /// In the order in which they were written.
    pub fn certificates(&self) -> &[Arc<CertifiedKey>] {
        &self.certificates
    }

    /// The positions of the certificates for a name, the closest first; of equals the one that was written first.
    pub fn fitting<'t>(&'t self, server_name: Option<&'t str>) -> impl Iterator<Item = usize> + 't {
        let name = server_name.unwrap_or_default();
        let fits = move |position: &usize| self.certificates[*position].closeness(name).is_some();
        let mut fitting = self.by_name.candidates(name).flatten().copied().filter(fits).peekable();
        let others = match (fitting.peek(), self.unknown) {
            (None, Unknown::First) => 0..self.certificates.len(),
            (Some(_), _) | (None, Unknown::Refuse) => 0..0,
        };
        fitting.chain(others)
    }
}

// === impl Socket ===

impl Socket {
    /// Whether its connections begin with a handshake.
    pub fn is_secure(&self) -> bool {
        self.listeners().next().is_some_and(|listener| listener.tls.is_some())
    }

    /// The listener that ends the TLS of a client who asks for this name.
    pub fn secures(&self, server_name: Option<&str>) -> Option<&Arc<Tls>> {
        self.listeners.candidates(server_name.unwrap_or_default()).next()?.tls.as_ref()
    }

    /// Whether a request for `host`, which `listener` takes, came over the wrong connection: one that was opened in
    /// plaintext, by another listener's handshake, or when other client certificates were asked for.
    pub fn is_misdirected(&self, listener: &Listener, host: &str, handshake: Option<&Handshake>) -> bool {
        match (&listener.tls, handshake) {
            (None, None) => false,
            (None, Some(_)) | (Some(_), None) => true,
            (Some(tls), Some(handshake)) => {
                let name = handshake.server_name.as_deref().unwrap_or_default();
                let is_same = name == host
                    || self
                        .listeners
                        .candidates(name)
                        .next()
                        .is_some_and(|by| std::ptr::eq(by.as_ref(), listener));
                !is_same || tls.clients != handshake.clients
            }
        }
    }
}
