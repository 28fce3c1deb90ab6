//! Compiles listeners and the routes attached to them into a table.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU16,
    sync::Arc,
};

use super::{
    Listener, Rule, Socket, Table, Tls,
    index::HostIndex,
    path,
    table::{Entry, HostRoutes, Members},
};
use crate::model::{CertifiedKey, HostPattern, HttpMatch, Kind, Meta, PathMatch};

/// Collects listeners and routes, then compiles them. The order in which they are added shows nowhere but in ties
/// between rules of one route, which the first wins.
///
/// It may be kept: routes come and go, and the next table shares with the last all hosts that none of them touched.
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
    /// See [`Listener::client`].
    pub client: Option<Arc<CertifiedKey>>,
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
    hosts: BTreeMap<Option<HostPattern>, HostBuilder>,
    matches: usize,
    /// What was compiled last, if nothing has come or gone since.
    compiled: Option<Arc<Listener>>,
}

#[derive(Debug, Default)]
struct HostBuilder {
    /// In order.
    entries: Vec<Arc<Entry>>,
    /// See [`ListenerBuilder::compiled`].
    compiled: Option<Arc<HostRoutes>>,
}

/// The standard's order of precedence after host and path: the smallest wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
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
    kind: Kind,
}

/// Positions of listeners.
type ByHost = BTreeMap<Option<HostPattern>, usize>;

// === impl TableBuilder ===

impl TableBuilder {
    pub fn listener(&mut self, spec: ListenerSpec) -> ListenerKey {
        self.listeners.push(ListenerBuilder { spec, hosts: BTreeMap::new(), matches: 0, compiled: None });
        ListenerKey(self.listeners.len() - 1)
    }

    pub fn attach(&mut self, key: ListenerKey, route: &Attachment<'_>) {
        let Some(listener) = self.listeners.get_mut(key.0) else { return };
        for (index, (matches, rule)) in route.rules.iter().enumerate() {
            for one in *matches {
                let order = Order::new(route.meta, index, one);
                let entry = Arc::new(Entry { order, matches: canonical(one), rule: rule.clone() });
                listener.matches += 1;
                for host in places(&route.hostnames) {
                    listener.hosts.entry(host.cloned()).or_default().add(entry.clone());
                }
            }
        }
        listener.compiled = None;
    }

    /// Takes a route away that was attached with these hostnames.
    pub fn detach(&mut self, key: ListenerKey, meta: &Meta, hostnames: &[HostPattern]) {
        let Some(listener) = self.listeners.get_mut(key.0) else { return };
        let hostnames: Vec<&HostPattern> = hostnames.iter().collect();
        let mut removed = 0;
        for host in places(&hostnames) {
            let host = host.cloned();
            let Some(builder) = listener.hosts.get_mut(&host) else { continue };
            removed = builder.remove(meta);
            if builder.entries.is_empty() {
                listener.hosts.remove(&host);
            }
        }
        listener.matches = listener.matches.saturating_sub(removed);
        listener.compiled = None;
    }

    /// Of two listeners with the same socket and hostname the one that was added first is kept. A socket also has the
    /// listeners of the wider ones that cover it, for it takes their connections.
    pub fn build(&mut self) -> Table {
        let mut by_socket: BTreeMap<SocketAddr, ByHost> = BTreeMap::new();
        for (index, listener) in self.listeners.iter().enumerate() {
            for socket in &listener.spec.sockets {
                let hosts = by_socket.entry(*socket).or_default();
                hosts.entry(listener.spec.hostname.clone()).or_insert(index);
            }
        }
        inherit(&mut by_socket, |index| self.listeners[index].spec.tls.is_some());
        let compiled: Vec<Arc<Listener>> = self.listeners.iter_mut().map(ListenerBuilder::compile).collect();
        let socket = |hosts: ByHost| {
            let listeners = hosts.into_iter().map(|(host, index)| (host, compiled[index].clone()));
            Arc::new(Socket { listeners: HostIndex::new(listeners) })
        };
        let used: BTreeSet<usize> = by_socket.values().flat_map(BTreeMap::values).copied().collect();
        let members = Members::of(used.into_iter().map(|index| &compiled[index]));
        let sockets = by_socket.into_iter().map(|(address, hosts)| (address, socket(hosts))).collect();
        Table { sockets, members }
    }
}

/// Where a route is found: at each of its hostnames, or where nothing is said of the host.
fn places<'h>(hostnames: &[&'h HostPattern]) -> Vec<Option<&'h HostPattern>> {
    if hostnames.is_empty() {
        return vec![None];
    }
    let is_first = |(index, host): &(usize, &&HostPattern)| !hostnames[..*index].contains(host);
    hostnames.iter().enumerate().filter(is_first).map(|(_, host)| Some(*host)).collect()
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

/// Paths are compared in canonical form and decoded, so a route's own gets it too.
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
    if let Ok(canonical) = path::canonical(path)
        && let decoded = path::decoded(&canonical)
        && *decoded != **path
    {
        *path = decoded.into();
    }
}

// === impl ListenerBuilder ===

impl ListenerBuilder {
    fn compile(&mut self) -> Arc<Listener> {
        if let Some(compiled) = &self.compiled {
            return compiled.clone();
        }
        let hosts = self.hosts.iter_mut().map(|(host, builder)| (host.clone(), builder.compile()));
        let compiled = Arc::new(Listener {
            hosts: HostIndex::new(hosts),
            matches: self.matches,
            name: self.spec.name.clone(),
            port: self.spec.port,
            tls: self.spec.tls.clone(),
            client: self.spec.client.clone(),
        });
        self.compiled.insert(compiled).clone()
    }
}

// === impl HostBuilder ===

impl HostBuilder {
    fn add(&mut self, entry: Arc<Entry>) {
        self.compiled = None;
        let at = self.entries.partition_point(|other| other.order <= entry.order);
        self.entries.insert(at, entry);
    }

    /// Says how many entries that were.
    fn remove(&mut self, meta: &Meta) -> usize {
        self.compiled = None;
        let before = self.entries.len();
        self.entries.retain(|entry| !entry.order.is_of(meta));
        before - self.entries.len()
    }

    fn compile(&mut self) -> Arc<HostRoutes> {
        let entries = &self.entries;
        self.compiled.get_or_insert_with(|| Arc::new(HostRoutes::new(entries.clone()))).clone()
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
            kind: meta.id.kind,
        }
    }

    /// Whether it is of the route with this name.
    fn is_of(&self, meta: &Meta) -> bool {
        self.name == meta.id.name && self.namespace == meta.id.namespace && self.kind == meta.id.kind
    }
}
