//! The table: sockets, their listeners, and the rules of their routes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    num::NonZeroU16,
    path::Path,
    sync::Arc,
};

use http::{HeaderMap, Method, header};

use super::{
    Auth, Mirror, Target, Tls, Weighted, builder::Order, index::HostIndex, matching::tells_of_client,
    tree::PathTree,
};
use crate::model::{
    BackendPolicy, CertifiedKey, EndpointTls, HttpFilter, HttpMatch, PathMatch, Retry, Scheme, Session,
    Timeouts, ValueMatch,
};

/// Everything that is served, at one moment. Immutable; a change makes a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub(super) sockets: BTreeMap<SocketAddr, Arc<Socket>>,
    pub(super) members: Members,
}

/// All that a table leads to: known beforehand, so that nobody has to look at every rule to find out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    backends: BTreeSet<Arc<str>>,
    endpoints: BTreeSet<Identity>,
    /// See [`Table::reads_client`].
    reads_client: bool,
}

/// What makes connections to an endpoint interchangeable: where they go, and who is believed at the other end.
pub type Identity = (Address, Option<Arc<EndpointTls>>);

/// One bound address and the listeners that share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    pub(super) listeners: HostIndex<Arc<Listener>>,
}

/// A listener of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `namespace/gateway/listener`: the name in metrics and logs.
    pub name: Arc<str>,
    pub port: NonZeroU16,
    /// How it ends TLS; plaintext where absent.
    pub tls: Option<Arc<Tls>>,
    /// What endpoints that are spoken to by TLS are shown for its requests, where they have no certificate of their own.
    pub client: Option<Arc<CertifiedKey>>,
    pub(super) hosts: HostIndex<Arc<HostRoutes>>,
    /// How many matches there are; one may be served for many hosts.
    pub(super) matches: usize,
}

/// What is served for one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostRoutes {
    /// In order of precedence, as far as it does not depend on the path.
    pub(super) entries: Vec<Arc<Entry>>,
    tree: PathTree,
    /// Whether some path is claimed more than once.
    is_contested: bool,
}

/// One match of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) order: Order,
    pub(super) matches: HttpMatch,
    pub(super) rule: Arc<Rule>,
}

/// What is known of a request when its route is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Lower case, without port and trailing dot.
    pub host: &'a str,
    /// In canonical form, decoded ([`super::path::canonical`], [`super::path::decoded`]).
    pub path: &'a str,
    /// Without the question mark.
    pub query: Option<&'a str>,
    pub method: &'a Method,
    /// What tells of the client ([`super::tells_of_client`]) as a backend gets it, not as anybody may have sent it.
    pub headers: &'a HeaderMap,
}

/// The answer to a lookup.
#[derive(Clone, Copy, Debug)]
pub enum Found<'t> {
    Rule {
        listener: &'t Listener,
        rule: &'t Arc<Rule>,
        path: &'t PathMatch,
    },
    /// A listener takes this host, but no rule matches.
    NoRoute {
        listener: &'t Listener,
    },
    /// No listener takes this host.
    NoListener,
}

/// Two routes claim the same host, path and conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict<'t> {
    /// Host and path.
    pub at: String,
    /// `namespace/name` of the routes.
    pub winner: &'t Arc<str>,
    pub loser: &'t Arc<str>,
    /// Both are of kind `GRPCRoute`; one of those and an `HTTPRoute` never claim the same.
    pub is_grpc: bool,
}

/// What makes two matches the same: everything but the order of their conditions.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Claim<'m> {
    path: (u8, &'m str),
    method: Option<&'m str>,
    conditions: Vec<(u8, &'m str, (u8, &'m str))>,
}

/// A rule of a route, ready to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `namespace/name` of the route: its name in metrics and logs.
    pub route: Arc<str>,
    /// Name of the rule, else its index.
    pub rule: Arc<str>,
    pub filters: Vec<HttpFilter>,
    pub backends: Weighted,
    pub timeouts: Timeouts,
    pub retry: Option<Arc<Retry>>,
    pub session: Option<Arc<Session>>,
    pub mirrors: Vec<Mirror>,
    /// Who has to allow its requests, in this order.
    pub auths: Vec<Auth>,
    /// Why this rule can only answer 500.
    pub invalid: Option<Arc<str>>,
}

/// A backend with the endpoints that may get requests now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// `namespace/name[:port]`: its identity, and its name in metrics and logs.
    pub name: Arc<str>,
    /// Sorted; may be empty.
    pub endpoints: Vec<Endpoint>,
    pub policy: Arc<BackendPolicy>,
    /// Why there is no endpoint, for logs and `explain`; empty if there is one.
    pub reason: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    pub address: Address,
    pub scheme: Scheme,
    /// At least 1.
    pub weight: u32,
    /// The container's name, or the address as text.
    pub name: Arc<str>,
    /// How TLS is spoken to it; plaintext where absent.
    pub tls: Option<Arc<EndpointTls>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(Arc<Path>),
}

// === impl Table ===

impl Table {
    /// The addresses that must be bound. `[::]` stands for all addresses of both families, `0.0.0.0` for those of IPv4.
    pub fn sockets(&self) -> impl Iterator<Item = &SocketAddr> {
        self.sockets.keys()
    }

    pub fn socket(&self, address: &SocketAddr) -> Option<&Socket> {
        self.sockets.get(address).map(|socket| &**socket)
    }

    /// Whether some rule leads to this endpoint.
    pub fn has_endpoint(&self, identity: &Identity) -> bool {
        self.members.endpoints.contains(identity)
    }

    /// Whether some endpoint is at this address, however it is spoken to.
    pub fn has_address(&self, address: &Address) -> bool {
        let first = (address.clone(), None);
        self.members.endpoints.range(first..).next().is_some_and(|(found, _)| found == address)
    }

    /// Whether some match looks at a field that tells of the client.
    pub fn reads_client(&self) -> bool {
        self.members.reads_client
    }

    /// Whether some rule leads to a backend of this name.
    pub fn has_backend(&self, name: &str) -> bool {
        self.members.backends.contains(name)
    }
}

// === impl Members ===

impl Members {
    pub(super) fn of<'t>(listeners: impl Iterator<Item = &'t Arc<Listener>>) -> Self {
        let mut members = Self::default();
        let mut met = BTreeSet::new();
        for listener in listeners {
            let (mut last, client) = (None, listener.client.as_ref());
            for (matches, rule) in listener.rules() {
                let mut names = matches.headers.iter().map(|header| header.name.as_str());
                members.reads_client |= names.any(tells_of_client);
                for target in rule.targets() {
                    let Target::Backend(backend) = target else { continue };
                    // Most rules lead where the one before does.
                    if last.replace(Arc::as_ptr(backend)) != Some(Arc::as_ptr(backend))
                        && met.insert((&backend.name, client))
                    {
                        members.backends.insert(backend.name.clone());
                        members.endpoints.extend(backend.endpoints.iter().map(|one| one.identity(client)));
                    }
                }
            }
        }
        members
    }
}

// === impl Socket ===

impl Socket {
    /// Finds the rule that serves `request`: the most specific listener for its host, then the standard's precedence
    /// over all rules of all routes of that listener. The standard leaves the place of regular expressions open: here
    /// they come after exact paths and before prefixes, so that a rule for `/` does not hide them.
    pub fn find(&self, request: &Request<'_>) -> Found<'_> {
        let Some(listener) = self.listeners.candidates(request.host).next() else {
            return Found::NoListener;
        };
        let entry = match request.asked_for_by_preflight() {
            None => listener.first(request),
            Some(method) => listener.first_for_preflight(request, &method).0,
        };
        entry.map_or(Found::NoRoute { listener }, |entry| Found::Rule {
            listener,
            rule: &entry.rule,
            path: &entry.matches.path,
        })
    }

    pub fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.values().map(|listener| &**listener)
    }
}

// === impl Request ===

impl Request<'_> {
    /// The method of the request that a browser asks about with this one, if it is a CORS preflight.
    pub fn asked_for_by_preflight(&self) -> Option<Method> {
        if self.method != Method::OPTIONS || !self.headers.contains_key(header::ORIGIN) {
            return None;
        }
        let method = self.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        Method::from_bytes(method.as_bytes()).ok()
    }
}

// === impl Listener ===

impl Listener {
    /// The first entry that fits.
    fn first(&self, request: &Request<'_>) -> Option<&Arc<Entry>> {
        let routes = self.hosts.candidates(request.host);
        routes.flat_map(|routes| routes.candidates(request.path)).find(|entry| entry.fits(request))
    }

    /// Where a CORS preflight for a request of `method` goes, and the method that it is matched by: that one where a CORS
    /// filter of that rule answers; else it is a request like any other.
    pub(super) fn first_for_preflight<'m>(
        &self,
        request: &Request<'m>,
        method: &'m Method,
    ) -> (Option<&Arc<Entry>>, &'m Method) {
        match self.first(&Request { method, ..*request }) {
            Some(actual) if actual.rule.has_cors() => (Some(actual), method),
            Some(_) | None => (self.first(request), request.method),
        }
    }

    /// Every match of every rule, once for each host.
    pub fn rules(&self) -> impl Iterator<Item = (&HttpMatch, &Arc<Rule>)> {
        let entries = self.hosts.values().flat_map(|routes| &routes.entries);
        entries.map(|entry| (&entry.matches, &entry.rule))
    }

    /// The matches that can never win, because another route has the same one and does something else.
    pub fn conflicts(&self) -> Vec<Conflict<'_>> {
        let mut conflicts = Vec::new();
        for (host, routes) in self.hosts.iter().filter(|(_, routes)| routes.is_contested) {
            for group in routes.tree.groups().filter(|group| group.len() > 1) {
                routes.conflicts_among(group, &host, &mut conflicts);
            }
        }
        conflicts
    }
}

// === impl HostRoutes ===

impl HostRoutes {
    /// `entries` are in order of precedence.
    pub(super) fn new(entries: Vec<Arc<Entry>>) -> Self {
        let tree = PathTree::new((0..).zip(entries.iter().map(|entry| &entry.matches.path)));
        let is_contested = tree.groups().any(|group| group.len() > 1);
        Self { entries, tree, is_contested }
    }

    /// What to try for `path`, in order of precedence.
    pub(super) fn candidates(&self, path: &str) -> impl Iterator<Item = &Arc<Entry>> {
        self.tree.candidates(path).filter_map(|index| self.entries.get(index as usize))
    }

    fn conflicts_among<'t>(
        &'t self,
        group: &[u32],
        host: &dyn std::fmt::Display,
        conflicts: &mut Vec<Conflict<'t>>,
    ) {
        let mut winners: BTreeMap<Claim<'_>, &Entry> = BTreeMap::new();
        for entry in group.iter().filter_map(|index| self.entries.get(*index as usize)) {
            let winner = *winners.entry(Claim::of(&entry.matches)).or_insert(entry);
            if winner.rule.route != entry.rule.route && !winner.rule.does_the_same(&entry.rule) {
                let path = match &entry.matches.path {
                    PathMatch::Prefix(prefix) if prefix.is_empty() => "/",
                    PathMatch::Prefix(path) | PathMatch::Exact(path) => path,
                    PathMatch::Regex(pattern) => pattern.as_str(),
                    PathMatch::Method(method) => method,
                };
                conflicts.push(Conflict {
                    at: format!("{host}{path}"),
                    winner: &winner.rule.route,
                    loser: &entry.rule.route,
                    is_grpc: entry.matches.is_grpc(),
                });
            }
        }
    }
}

// === impl Rule ===

impl Rule {
    /// Everything that requests of this rule, copies of them or questions about them are sent to.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let choices = self.backends.choices().iter();
        let mirrors = choices.clone().flat_map(|choice| &choice.mirrors).chain(&self.mirrors);
        let auths = choices.clone().flat_map(|choice| &choice.auths).chain(&self.auths);
        let beside = mirrors.map(|mirror| &mirror.target).chain(auths.map(|auth| &auth.target));
        choices.map(|choice| &choice.target).chain(beside)
    }

    /// Whether it, or one of its backends, has a CORS filter.
    pub fn has_cors(&self) -> bool {
        let choices = self.backends.choices().iter();
        let mut filters = choices.flat_map(|choice| &choice.filters).chain(&self.filters);
        filters.any(|filter| matches!(filter, HttpFilter::Cors(_)))
    }

    /// Whether it makes no difference which of both serves a request.
    fn does_the_same(&self, other: &Self) -> bool {
        self.backends.leads_where(&other.backends)
            && self.filters == other.filters
            && self.timeouts == other.timeouts
            && self.retry == other.retry
            && self.session == other.session
            && self.mirrors == other.mirrors
            && self.auths == other.auths
            && self.invalid == other.invalid
    }
}

// === impl Claim ===

impl<'m> Claim<'m> {
    fn of(matches: &'m HttpMatch) -> Self {
        let path = match &matches.path {
            PathMatch::Exact(path) => (0, &**path),
            PathMatch::Prefix(path) => (1, &**path),
            PathMatch::Regex(pattern) => (2, pattern.as_str()),
            PathMatch::Method(method) => (3, &**method),
        };
        let value = |value: &'m ValueMatch| match value {
            ValueMatch::Exact(value) => (0, &**value),
            ValueMatch::Regex(pattern) => (1, pattern.as_str()),
            ValueMatch::MediaType(media) => (2, *media),
        };
        let headers = matches.headers.iter().map(|header| (0, header.name.as_str(), value(&header.value)));
        let query = matches.query.iter().map(|param| (1, &*param.name, value(&param.value)));
        let mut conditions: Vec<(u8, &str, (u8, &str))> = headers.chain(query).collect();
        conditions.sort_unstable();
        Self { path, method: matches.method.as_ref().map(Method::as_str), conditions }
    }
}

// === impl Entry ===

impl Entry {
    /// Holds everything but host and exact or prefix path against the request: those led here.
    fn fits(&self, request: &Request<'_>) -> bool {
        let matches = &self.matches;
        matches.method.as_ref().is_none_or(|method| method == request.method)
            && matches.headers.iter().all(|header| super::matching::header(header, request.headers))
            && matches.query.iter().all(|param| super::matching::query(param, request.query))
            && match &matches.path {
                PathMatch::Exact(_) | PathMatch::Prefix(_) => true,
                PathMatch::Regex(pattern) => pattern.matches(request.path),
                PathMatch::Method(method) => PathMatch::is_method(method, request.path),
            }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// What it is for a listener that shows backends this certificate.
    pub fn identity(&self, client: Option<&Arc<CertifiedKey>>) -> Identity {
        let tls = self.tls.as_ref().map(|tls| match client {
            Some(client) if tls.client.is_none() => {
                Arc::new(EndpointTls { client: Some(client.clone()), ..(**tls).clone() })
            }
            Some(_) | None => tls.clone(),
        });
        (self.address.clone(), tls)
    }
}

// === impl Address ===

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
