//! Compiles listeners and the routes attached to them into a table.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU16,
    sync::Arc,
};

use super::{Listener, Rule, Socket, Table, Tls, index::HostIndex, path, table::Entry, tree::PathTree};
use crate::model::{HostPattern, HttpMatch, Meta, PathMatch};

/// Collects listeners and routes, then compiles them. The order in which they are added shows nowhere but in ties
/// between rules of one route, which the first wins.
#[derive(Debug, Default)]
pub struct TableBuilder {
    listeners: Vec<ListenerBuilder>,
}

/// Identifies a listener of a [`TableBuilder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListenerKey(usize);

/// A listener that is to be served.
#[derive(Clone, Debug)]
pub struct ListenerSpec {
    pub sockets: Vec<SocketAddr>,
    /// `namespace/gateway/listener`.
    pub name: Arc<str>,
    pub port: NonZeroU16,
    pub hostname: Option<HostPattern>,
    /// How it ends TLS; plaintext where absent. All listeners of a socket have it, or none.
    pub tls: Option<Arc<Tls>>,
}

/// The rules of one route on one listener.
#[derive(Debug)]
pub struct Attachment<'a> {
    pub meta: &'a Meta,
    /// What the hostnames of the route and of its listener have in common: where one side is narrower, that one, for
    /// precedence goes by it. Empty if neither side has any.
    pub hostnames: Vec<&'a HostPattern>,
    pub rules: Vec<(&'a [HttpMatch], Arc<Rule>)>,
}

#[derive(Debug)]
struct ListenerBuilder {
    spec: ListenerSpec,
    entries: Vec<Pending>,
}

#[derive(Debug)]
struct Pending {
    order: Order,
    hostnames: Arc<[HostPattern]>,
    entry: Entry,
}

/// The standard's order of precedence after host and path: the smallest wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    /// Of a gRPC call, where no service was named. A service is a prefix of the path: the longest comes first anyway.
    called: Reverse<usize>,
    has_method: Reverse<bool>,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    is_asked_for: bool,
    created: i64,
    namespace: Arc<str>,
    name: Arc<str>,
    rule: usize,
}

/// Positions of listeners.
type ByHost = BTreeMap<Option<HostPattern>, usize>;

// === impl TableBuilder ===

impl TableBuilder {
    pub fn listener(&mut self, spec: ListenerSpec) -> ListenerKey {
        self.listeners.push(ListenerBuilder { spec, entries: Vec::new() });
        ListenerKey(self.listeners.len() - 1)
    }

    pub fn attach(&mut self, key: ListenerKey, route: &Attachment<'_>) {
        let Some(listener) = self.listeners.get_mut(key.0) else { return };
        let hostnames: Arc<[HostPattern]> = route.hostnames.iter().copied().cloned().collect();
        for (index, (matches, rule)) in route.rules.iter().enumerate() {
            for one in *matches {
                listener.entries.push(Pending {
                    order: Order::new(route.meta, index, one),
                    hostnames: hostnames.clone(),
                    entry: Entry { matches: canonical(one), rule: rule.clone() },
                });
            }
        }
    }

    /// Of two listeners with the same socket and hostname the one that was added first is kept. A socket also has the
    /// listeners of the wider ones that cover it, for it takes their connections.
    pub fn build(self) -> Table {
        let mut by_socket: BTreeMap<SocketAddr, ByHost> = BTreeMap::new();
        for (index, listener) in self.listeners.iter().enumerate() {
            for socket in &listener.spec.sockets {
                let hosts = by_socket.entry(*socket).or_default();
                hosts.entry(listener.spec.hostname.clone()).or_insert(index);
            }
        }
        inherit(&mut by_socket, |index| self.listeners[index].spec.tls.is_some());
        let compiled: Vec<Arc<Listener>> =
            self.listeners.into_iter().map(|listener| Arc::new(listener.compile())).collect();
        let socket = |hosts: ByHost| {
            let listeners = hosts.into_iter().map(|(host, index)| (host, compiled[index].clone()));
            Arc::new(Socket { listeners: HostIndex::new(listeners) })
        };
        Table { sockets: by_socket.into_iter().map(|(address, hosts)| (address, socket(hosts))).collect() }
    }
}

/// The kernel gives a connection to the most specific socket: without this, a second Gateway on one address would take
/// that address from a first one on all addresses. A socket is secure or it is not: listeners of the other sort stay out.
fn inherit(by_socket: &mut BTreeMap<SocketAddr, ByHost>, is_secure: impl Fn(usize) -> bool) {
    let own = by_socket.clone();
    for (socket, hosts) in by_socket {
        let Some(security) = hosts.values().next().map(|first| is_secure(*first)) else { continue };
        for wider in wider(*socket) {
            let fitting = own.get(&wider).into_iter().flatten();
            for (host, index) in fitting.filter(|(_, index)| is_secure(**index) == security) {
                hosts.entry(host.clone()).or_insert(*index);
            }
        }
    }
}

/// The sockets that cover this one, the narrowest first. `[::]` covers both families.
fn wider(socket: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    let any = |address: IpAddr| SocketAddr::new(address, socket.port());
    let (v4, v6) = (any(Ipv4Addr::UNSPECIFIED.into()), any(Ipv6Addr::UNSPECIFIED.into()));
    let v4 = (socket.is_ipv4() && socket != v4).then_some(v4);
    let v6 = (socket != v6).then_some(v6);
    v4.into_iter().chain(v6)
}

/// Paths are compared in canonical form, so a route's own gets it too.
fn canonical(matches: &HttpMatch) -> HttpMatch {
    let mut matches = matches.clone();
    match &mut matches.path {
        PathMatch::Exact(path) => canonicalize(path),
        PathMatch::Prefix(prefix) if !prefix.is_empty() => canonicalize(prefix),
        PathMatch::Prefix(_) | PathMatch::Regex(_) | PathMatch::Method(_) => {}
    }
    matches
}

fn canonicalize(path: &mut Arc<str>) {
    if let Ok(Cow::Owned(canonical)) = path::canonical(path) {
        *path = canonical.into();
    }
}

// === impl ListenerBuilder ===

impl ListenerBuilder {
    fn compile(mut self) -> Listener {
        self.entries.sort_by(|a, b| a.order.cmp(&b.order));
        let mut by_host: BTreeMap<Option<&HostPattern>, Vec<(u32, &PathMatch)>> = BTreeMap::new();
        for (index, pending) in (0..).zip(&self.entries) {
            let path = &pending.entry.matches.path;
            if pending.hostnames.is_empty() {
                by_host.entry(None).or_default().push((index, path));
            }
            for host in &*pending.hostnames {
                let paths = by_host.entry(Some(host)).or_default();
                if paths.last().is_none_or(|(last, _)| *last != index) {
                    paths.push((index, path));
                }
            }
        }
        let hosts = by_host.into_iter().map(|(host, paths)| (host.cloned(), PathTree::new(paths)));
        Listener {
            hosts: HostIndex::new(hosts.collect::<Vec<(Option<HostPattern>, PathTree)>>()),
            name: self.spec.name,
            port: self.spec.port,
            tls: self.spec.tls,
            entries: self.entries.into_iter().map(|pending| pending.entry).collect(),
        }
    }
}

// === impl Order ===

impl Order {
    fn new(meta: &Meta, rule: usize, matches: &HttpMatch) -> Self {
        let called = match &matches.path {
            PathMatch::Method(method) => method.len(),
            PathMatch::Exact(_) | PathMatch::Prefix(_) | PathMatch::Regex(_) => 0,
        };
        Self {
            called: Reverse(called),
            has_method: Reverse(matches.method.is_some()),
            headers: Reverse(matches.headers.len()),
            query: Reverse(matches.query.len()),
            is_asked_for: meta.is_asked_for(),
            created: meta.created.unwrap_or(i64::MAX),
            namespace: meta.id.namespace.clone(),
            name: meta.id.name.clone(),
            rule,
        }
    }
}
