//! One listener: whether it is served, where, and what may attach to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use super::{
    certificates::{self, Certificates},
    namespaces::Namespaces,
    tls::{Closed, Secured},
    words,
};
use crate::{
    model::{
        Addresses, CertifiedKey, Condition, FromNamespaces, Gateway, HostPattern, Kind, Listener,
        ListenerStatus, Protocol, ResourceId,
    },
    route::{ListenerKey, Tls},
};

/// A listener of one of Portolan's Gateways.
pub(super) struct ServedListener<'a> {
    /// The Gateway, or the ListenerSet that adds it.
    pub(super) owner: &'a ResourceId,
    pub(super) listener: &'a Listener,
    /// Where it is in the table; `None` if it is refused.
    pub(super) key: Option<ListenerKey>,
    pub(super) sockets: Vec<SocketAddr>,
    /// Sockets that could not be bound, with the reason.
    unbound: Vec<(SocketAddr, &'a Arc<str>)>,
    /// Why it is not accepted: reason and words.
    refused: Option<(&'static str, String)>,
    conflict: Option<(&'static str, String)>,
    /// Whose connections clients may use for its hosts too: reason and words.
    pub(super) overlap: Option<(&'static str, String)>,
    /// Why routes of no namespace attach, as far as can be told.
    selects_nothing: Option<String>,
    kinds: Kinds,
    /// For HTTPS.
    secured: Option<Secured>,
    /// How many accepted routes are attached.
    pub(super) attached: u32,
}

/// What `allowedRoutes.kinds` comes to.
struct Kinds {
    taken: Vec<Kind>,
    /// What cannot attach here, in words.
    refused: Vec<String>,
}

/// The sockets and hostnames that are given away, oldest Gateway first.
#[derive(Default)]
pub(super) struct Taken<'a> {
    by: BTreeMap<Place<'a>, (&'a ResourceId, &'a Arc<str>)>,
    /// The first listener of each socket: the others must speak its protocol.
    first: BTreeMap<SocketAddr, (&'a ResourceId, &'a Listener)>,
}

/// What tells listeners apart.
type Place<'a> = (SocketAddr, Option<&'a HostPattern>);

// === impl ServedListener ===

impl<'a> ServedListener<'a> {
    pub(super) fn new(
        gateway: &Gateway,
        (owner, listener): (&'a ResourceId, &'a Listener),
        unbound: &'a BTreeMap<SocketAddr, Arc<str>>,
        certificates: &Certificates<'_>,
    ) -> Self {
        let sockets = sockets(gateway, listener);
        let failed = sockets.iter().filter_map(|socket| Some((*socket, unbound.get(socket)?)));
        Self {
            owner,
            listener,
            key: None,
            unbound: failed.collect(),
            sockets,
            refused: refusal(listener).or_else(|| no_address(gateway)),
            conflict: None,
            overlap: None,
            selects_nothing: None,
            kinds: Kinds::of(listener),
            secured: (listener.protocol == Protocol::Https)
                .then(|| Secured::new(gateway, (owner, listener), certificates)),
            attached: 0,
        }
    }

    /// Takes note of a choice of namespaces that none fits.
    pub(super) fn note_selector(&mut self, namespaces: &Namespaces<'_>) {
        self.selects_nothing = match &self.listener.allowed.namespaces {
            FromNamespaces::All | FromNamespaces::Same => None,
            FromNamespaces::Selector(selector) => namespaces.none_fits(selector).map(|known| {
                format!(
                    "the labels of no namespace fit `allowedRoutes.namespaces.selector`: there is {}; write a `Namespace` \
                     (`v1`) with such labels",
                    words::listed(known)
                )
            }),
            FromNamespaces::None => {
                Some("`allowedRoutes.namespaces` has `from: Selector` and no `selector`: no route attaches".into())
            }
        };
    }

    /// Whether it belongs into the table. One whose sockets could not be bound does: that is tried again. So does one
    /// that has no certificate: its clients must not be taken by a listener that is less particular.
    pub(super) fn is_valid(&self) -> bool {
        self.refused.is_none() && self.conflict.is_none()
    }

    /// Whether requests reach it.
    pub(super) fn is_served(&self) -> bool {
        self.is_valid() && self.unbound.len() < self.sockets.len() && self.closed().is_none()
    }

    /// Why all its handshakes are refused.
    fn closed(&self) -> Option<&Closed> {
        self.secured.as_ref()?.closed.as_ref()
    }

    /// The certificates of one that ends TLS.
    pub(super) fn certificates(&self) -> Option<&[Arc<CertifiedKey>]> {
        Some(self.secured.as_ref()?.tls.certificates())
    }

    /// How it ends TLS, for the table.
    pub(super) fn tls(&self) -> Option<Arc<Tls>> {
        self.secured.as_ref().map(|secured| secured.tls.clone())
    }

    /// Whether routes of this kind may attach.
    pub(super) fn takes(&self, kind: Kind) -> bool {
        self.kinds.taken.contains(&kind)
    }

    /// Why it is not served, in words.
    pub(super) fn why_not(&self) -> Option<String> {
        match self.refused.as_ref().or(self.conflict.as_ref()) {
            Some((_, message)) => Some(message.clone()),
            None if self.is_served() => None,
            None => match self.closed() {
                Some(closed) => Some(closed.message.clone()),
                None => Some(self.bind_failures()),
            },
        }
    }

    /// The sockets that are bound.
    pub(super) fn bound(&self) -> impl Iterator<Item = &SocketAddr> {
        let is_served = self.is_valid() && self.closed().is_none();
        let sockets = if is_served { &*self.sockets } else { &[] };
        sockets.iter().filter(|socket| !self.unbound.iter().any(|(failed, _)| failed == *socket))
    }

    /// Why not all of its sockets are bound; `None` if they are, or none is.
    pub(super) fn partly_bound(&self) -> Option<String> {
        (self.is_served() && !self.unbound.is_empty()).then(|| self.bind_failures())
    }

    fn bind_failures(&self) -> String {
        words::joined(self.unbound.iter().map(|(socket, why)| format!("cannot listen on {socket}: {why}")))
    }

    pub(super) fn status(&self) -> ListenerStatus {
        let refused = self.refused.as_ref().or(self.conflict.as_ref());
        let (accepted, programmed) = match refused {
            Some((reason, message)) => {
                (Condition::no("Accepted", reason, message), Condition::no("Programmed", "Invalid", message))
            }
            None if !self.is_served() => {
                let message = self.why_not().unwrap_or_default();
                let accepted = match self.closed() {
                    Some(closed) => closed.accepted(),
                    None => Condition::no("Accepted", "PortUnavailable", &message),
                };
                (accepted, Condition::no("Programmed", "Invalid", message))
            }
            None => {
                let bound: Vec<String> = self.bound().map(ToString::to_string).collect();
                let bound = format!("listening on {}", bound.join(", "));
                let sentences = std::iter::once(bound).chain(self.partly_bound());
                (
                    Condition::yes("Accepted", "Accepted", self.selects_nothing.clone().unwrap_or_default()),
                    Condition::yes("Programmed", "Programmed", words::joined(sentences)),
                )
            }
        };
        let conflicted = match &self.conflict {
            Some((reason, message)) => Condition::yes("Conflicted", reason, message),
            None => Condition::no("Conflicted", "NoConflicts", ""),
        };
        let overlap = self.overlap.as_ref();
        let overlap =
            overlap.map(|(reason, message)| Condition::yes("OverlappingTLSConfig", reason, message));
        ListenerStatus {
            name: self.listener.name.clone(),
            attached_routes: self.attached,
            supported_kinds: self.kinds.names(),
            conditions: [accepted, programmed, self.resolved_refs(), conflicted]
                .into_iter()
                .chain(overlap)
                .collect(),
        }
    }
}

impl ServedListener<'_> {
    fn resolved_refs(&self) -> Condition {
        let unusable = self.secured.as_ref().and_then(|secured| certificates::summed_up(&secured.unusable));
        match (self.kinds.refusal(), unusable) {
            (Some(message), _) => Condition::no("ResolvedRefs", "InvalidRouteKinds", message),
            (None, Some((reason, message))) => Condition::no("ResolvedRefs", reason, message),
            (None, None) => Condition::yes("ResolvedRefs", "ResolvedRefs", ""),
        }
    }
}

/// Why a listener cannot be served whatever the rest of the world is.
fn refusal(listener: &Listener) -> Option<(&'static str, String)> {
    match &listener.protocol {
        Protocol::Http | Protocol::Https => {}
        Protocol::Tls | Protocol::Tcp | Protocol::Udp => {
            let message = format!(
                "protocol {} is not served yet: nothing listens for it on port {}; only HTTP and HTTPS are served",
                listener.protocol.as_str(),
                listener.port
            );
            return Some(("UnsupportedValue", message));
        }
        Protocol::Other(name) => {
            let message = format!("protocol `{name}` is unknown: write `protocol: HTTP` or `HTTPS`");
            return Some(("UnsupportedProtocol", message));
        }
    }
    if listener.unsupported.is_empty() {
        return None;
    }
    let fields = words::joined(words::fields(&listener.unsupported));
    Some(("UnsupportedValue", format!("{fields}; the listener is served once they are removed")))
}

/// Why nothing can be bound for a Gateway that asks for addresses.
fn no_address(gateway: &Gateway) -> Option<(&'static str, String)> {
    if !matches!(&gateway.addresses, Addresses::Only(addresses) if addresses.is_empty()) {
        return None;
    }
    let fields = words::joined(words::fields(&gateway.unsupported_addresses));
    let id = &gateway.meta.id;
    let message =
        format!("{id} asks for addresses, and none of them can be used, so nothing listens: {fields}");
    Some(("UnsupportedValue", message))
}

/// The addresses to bind. `[::]` stands for all addresses of both families.
fn sockets(gateway: &Gateway, listener: &Listener) -> Vec<SocketAddr> {
    let port = listener.port.get();
    let addresses: &[IpAddr] = match &gateway.addresses {
        Addresses::All => &[IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
        Addresses::Only(addresses) => addresses,
    };
    let mut sockets: Vec<SocketAddr> =
        addresses.iter().map(|address| SocketAddr::new(*address, port)).collect();
    sockets.sort();
    sockets.dedup();
    sockets
}

// === impl Kinds ===

impl Kinds {
    const SERVED: [Kind; 2] = [Kind::HttpRoute, Kind::GrpcRoute];

    /// Group and kind of each.
    fn names(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.taken.iter().map(|kind| (kind.group().into(), kind.as_str().into())).collect()
    }

    fn of(listener: &Listener) -> Self {
        // What the standard lets attach to the protocol, whether it is served yet or not.
        let fitting: &[Kind] = match listener.protocol {
            Protocol::Http | Protocol::Https => &[Kind::HttpRoute, Kind::GrpcRoute],
            Protocol::Tls => &[Kind::TlsRoute, Kind::TcpRoute],
            Protocol::Tcp => &[Kind::TcpRoute],
            Protocol::Udp => &[Kind::UdpRoute],
            Protocol::Other(_) => &[],
        };
        let Some(allowed) = &listener.allowed.kinds else {
            let taken = fitting.iter().copied().filter(|kind| Self::SERVED.contains(kind)).collect();
            return Self { taken, refused: Vec::new() };
        };
        let mut kinds = Self { taken: Vec::new(), refused: Vec::new() };
        let protocol = listener.protocol.as_str();
        let is_served = matches!(listener.protocol, Protocol::Http | Protocol::Https);
        for (group, name) in allowed {
            let kind = fitting.iter().find(|kind| kind.group() == &**group && kind.as_str() == &**name);
            match kind {
                Some(kind) if Self::SERVED.contains(kind) => kinds.taken.push(*kind),
                Some(kind) if is_served => kinds.refused.push(format!("{kind} is not served yet")),
                // The protocol is refused already.
                Some(_) => {}
                None => {
                    let group = words::group(group);
                    kinds.refused.push(format!("`{name}` of group `{group}` cannot attach to {protocol}"));
                }
            }
        }
        kinds
    }

    /// What is wrong with them, in words.
    fn refusal(&self) -> Option<String> {
        let refused = || words::joined(self.refused.iter().cloned());
        (!self.refused.is_empty()).then(|| format!("allowedRoutes.kinds: {}; remove it there", refused()))
    }
}

// === conflicts ===

/// Two protocols on one port cannot be told apart: no listener of that port wins.
pub(super) fn conflicts_within(listeners: &mut [ServedListener<'_>]) {
    let mut ports: BTreeMap<u16, BTreeMap<u8, &str>> = BTreeMap::new();
    for listener in listeners.iter().map(|served| served.listener) {
        let layer = layer(&listener.protocol);
        if layer > 0 {
            ports.entry(listener.port.get()).or_default().insert(layer, listener.protocol.as_str());
        }
    }
    for served in listeners.iter_mut().filter(|served| layer(&served.listener.protocol) > 0) {
        let port = served.listener.port.get();
        if let Some(protocols) = ports.get(&port).filter(|protocols| protocols.len() > 1) {
            let protocols: BTreeSet<&str> = protocols.values().copied().collect();
            let protocols: Vec<&str> = protocols.into_iter().collect();
            let message = format!(
                "port {port} is used with the protocols {}, which cannot be told apart: give each a port of its own",
                protocols.join(" and ")
            );
            served.conflict = Some(("ProtocolConflict", message));
        }
    }
}

/// Listeners of different layers cannot share a port.
fn layer(protocol: &Protocol) -> u8 {
    match protocol {
        Protocol::Http => 1,
        Protocol::Https | Protocol::Tls => 2,
        Protocol::Tcp => 3,
        // A UDP port is another port.
        Protocol::Udp | Protocol::Other(_) => 0,
    }
}

// === impl Taken ===

impl<'a> Taken<'a> {
    /// Gives the listener its places, or marks it as the loser if one of them is taken.
    pub(super) fn claim(&mut self, served: &mut ServedListener<'a>) {
        let hostname = served.listener.hostname.as_ref();
        let listener = served.listener;
        let other = served.sockets.iter().find_map(|socket| {
            let first = self.first.get(socket)?;
            (layer(&first.1.protocol) != layer(&listener.protocol)).then_some((socket, first))
        });
        if let Some((socket, (winner, first))) = other {
            let message = format!(
                "listener `{}` of {} has {socket} for {}, and is older or first by name: give this one another port, or \
                 its Gateway another address",
                first.name,
                winner,
                first.protocol.as_str()
            );
            served.conflict = Some(("ProtocolConflict", message));
            return;
        }
        let taken =
            served.sockets.iter().find_map(|socket| Some((socket, self.by.get(&(*socket, hostname))?)));
        if let Some((socket, (winner, listener))) = taken {
            let host = hostname
                .map_or_else(|| "without a hostname".into(), |host| format!("with hostname `{host}`"));
            let message = format!(
                "listener `{listener}` of {winner} has {socket} {host}, and is older or first by name: give this one \
                 another port or hostname, or its Gateway another address"
            );
            served.conflict = Some(("HostnameConflict", message));
            return;
        }
        for socket in &served.sockets {
            self.by.insert((*socket, hostname), (served.owner, &listener.name));
            self.first.entry(*socket).or_insert((served.owner, listener));
        }
    }
}
