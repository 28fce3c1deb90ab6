//! Worlds in a few words.

mod workloads;

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU16, sync::Arc};

use super::GATEWAY_GROUP;
use crate::model::*;
pub(in crate::plan) use workloads::container;

// === the world ===

/// Something that a world holds.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a world of a test has few")]
pub(super) enum Thing {
    Resource(Resource),
    Workload(Workload),
}

pub(super) fn assembled(things: Vec<Thing>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for thing in things {
        match thing {
            Thing::Resource(resource) => {
                snapshot.resources.insert(resource.meta().id.clone(), resource);
            }
            Thing::Workload(workload) => {
                snapshot.workloads.insert(workload.id.clone(), Arc::new(workload));
            }
        }
    }
    snapshot
}

/// `world![edge(), route("shop")…]`
macro_rules! world {
    ($($thing:expr),* $(,)?) => { assembled(vec![$($thing.into()),*]) };
}
pub(super) use world;

macro_rules! things {
    ($($model:ident),*) => {
        $(impl From<$model> for Thing {
            fn from(thing: $model) -> Self {
                Self::Resource(Resource::$model(thing.into()))
            }
        })*
    };
}
things!(GatewayClass, Gateway, ListenerSet, HttpRoute, Service, Backend, Secret, ConfigMap);
things!(Certificate, BackendTlsPolicy);

impl From<Workload> for Thing {
    fn from(workload: Workload) -> Self {
        Self::Workload(workload)
    }
}

impl From<Resource> for Thing {
    fn from(resource: Resource) -> Self {
        Self::Resource(resource)
    }
}

pub(super) fn port(port: u16) -> NonZeroU16 {
    NonZeroU16::new(port).unwrap()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `shop/books`, or `books` in namespace `default`.
pub(super) fn meta(kind: Kind, name: &str) -> Meta {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let id = ResourceId::new(kind, namespace, name);
    Meta { id, origin: Origin::BuiltIn("test"), created: None, generation: 1 }
}

pub(super) fn strings(pairs: &[(&str, &str)]) -> BTreeMap<Arc<str>, Arc<str>> {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

pub(super) fn selector(labels: &[(&str, &str)]) -> LabelSelector {
    LabelSelector { labels: strings(labels), requirements: Vec::new() }
}

pub(super) fn unsupported(field: &str, why: &str) -> Unsupported {
    Unsupported { field: field.into(), why: why.into() }
}

// === Gateways ===

/// A Gateway without listeners.
pub(super) fn gateway(name: &str) -> Gateway {
    Gateway {
        meta: meta(Kind::Gateway, name),
        class: "portolan".into(),
        addresses: Addresses::All,
        listeners: Vec::new(),
        allowed_listeners: FromNamespaces::None,
        is_default: false,
        frontend: FrontendTls::default(),
        client: None,
        unsupported_addresses: Vec::new(),
        unsupported_parameters: None,
    }
}

/// The Gateway `edge`, with the listener `http` on port 80.
pub(super) fn edge() -> Gateway {
    gateway("edge").listener(http("http", 80))
}

/// A ListenerSet for the Gateway `edge`, without listeners.
pub(super) fn set(name: &str) -> ListenerSet {
    let parent = parent("default/edge");
    ListenerSet { meta: meta(Kind::ListenerSet, name), parent, listeners: Vec::new() }
}

impl ListenerSet {
    pub(super) fn listener(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    pub(super) fn created(mut self, at: i64) -> Self {
        self.meta.created = Some(at);
        self
    }
}

pub(super) fn listener(name: &str, number: u16, protocol: Protocol) -> Listener {
    Listener {
        name: name.into(),
        hostname: None,
        port: port(number),
        protocol,
        allowed: AllowedRoutes { namespaces: FromNamespaces::Same, kinds: None },
        tls: ListenerTls::default(),
        unsupported: Vec::new(),
    }
}

pub(super) fn http(name: &str, port: u16) -> Listener {
    listener(name, port, Protocol::Http)
}

impl Gateway {
    pub(super) fn listener(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    pub(super) fn at(mut self, addresses: &[&str]) -> Self {
        self.addresses = Addresses::Only(addresses.iter().map(|address| ip(address)).collect());
        self
    }

    pub(super) fn default_scope(mut self) -> Self {
        self.is_default = true;
        self
    }

    pub(super) fn created(mut self, at: i64) -> Self {
        self.meta.created = Some(at);
        self
    }
}

impl Listener {
    pub(super) fn host(mut self, host: &str) -> Self {
        self.hostname = Some(HostPattern::parse(host).unwrap());
        self
    }

    pub(super) fn from(mut self, namespaces: FromNamespaces) -> Self {
        self.allowed.namespaces = namespaces;
        self
    }

    pub(super) fn kinds(mut self, kinds: &[(&str, &str)]) -> Self {
        self.allowed.kinds =
            Some(kinds.iter().map(|(group, kind)| ((*group).into(), (*kind).into())).collect());
        self
    }
}

// === routes ===

/// A route without parents and rules.
pub(super) fn detached(name: &str) -> HttpRoute {
    HttpRoute {
        meta: meta(Kind::HttpRoute, name),
        parents: Vec::new(),
        uses_default_gateways: false,
        https: HttpsUse::default(),
        attaches_anywhere: false,
        hostnames: Vec::new(),
        rules: Vec::new(),
        unsupported: Vec::new(),
    }
}

/// A route to the Gateway `default/edge`.
pub(super) fn route(name: &str) -> HttpRoute {
    detached(name).parent(parent("default/edge"))
}

pub(super) fn parent(name: &str) -> ParentRef {
    let (namespace, name) = name.split_once('/').unwrap();
    ParentRef {
        group: GATEWAY_GROUP.into(),
        kind: "Gateway".into(),
        namespace: namespace.into(),
        name: name.into(),
        section: None,
        port: None,
    }
}

impl ParentRef {
    pub(super) fn section(mut self, section: &str) -> Self {
        self.section = Some(section.into());
        self
    }

    pub(super) fn on_port(mut self, number: u16) -> Self {
        self.port = Some(port(number));
        self
    }

    pub(super) fn of_kind(mut self, group: &str, kind: &str) -> Self {
        (self.group, self.kind) = (group.into(), kind.into());
        self
    }
}

pub(super) fn path(path: &str) -> HttpMatch {
    let path = PathMatch::Prefix(path.strip_suffix('/').unwrap_or(path).into());
    HttpMatch { path, method: None, headers: Vec::new(), query: Vec::new() }
}

/// A rule for a path prefix, without backends.
pub(super) fn rule(prefix: &str) -> HttpRule {
    HttpRule {
        name: None,
        matches: vec![path(prefix)],
        filters: Vec::new(),
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        retry: None,
        session: None,
        unsupported: Vec::new(),
        unsupported_backends: BTreeMap::new(),
    }
}

/// `books:8080`, `shop/books`; of kind Service.
pub(super) fn service_ref(name: &str) -> BackendRef {
    let (name, number) = match name.split_once(':') {
        Some((name, number)) => (name, Some(port(number.parse().unwrap()))),
        None => (name, None),
    };
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    BackendRef {
        group: "".into(),
        kind: "Service".into(),
        namespace: namespace.into(),
        name: name.into(),
        port: number,
        weight: 1,
        filters: Vec::new(),
    }
}

/// The same, of kind Backend.
pub(super) fn backend_ref(name: &str) -> BackendRef {
    BackendRef { group: "portolan.dev".into(), kind: "Backend".into(), ..service_ref(name) }
}

impl BackendRef {
    pub(super) fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
}

impl HttpRule {
    pub(super) fn to(mut self, reference: BackendRef) -> Self {
        self.backends.push(reference);
        self
    }

    pub(super) fn unsupported(mut self, field: &str, why: &str) -> Self {
        self.unsupported.push(unsupported(field, why));
        self
    }

    pub(super) fn redirect(mut self) -> Self {
        let redirect = Redirect {
            scheme: Some("https"),
            hostname: None,
            path: None,
            port: None,
            status: http::StatusCode::FOUND,
        };
        self.filters.push(HttpFilter::Redirect(redirect));
        self
    }
}

impl HttpRoute {
    pub(super) fn parent(mut self, parent: ParentRef) -> Self {
        self.parents.push(parent);
        self
    }

    pub(super) fn host(mut self, host: &str) -> Self {
        self.hostnames.push(HostPattern::parse(host).unwrap());
        self
    }

    pub(super) fn rule(mut self, rule: HttpRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// A rule for every path, with one reference.
    pub(super) fn to(self, reference: BackendRef) -> Self {
        self.rule(rule("/").to(reference))
    }

    pub(super) fn created(mut self, at: i64) -> Self {
        self.meta.created = Some(at);
        self
    }

    /// Made from labels.
    pub(super) fn of_labels(mut self) -> Self {
        self.attaches_anywhere = true;
        self.uses_default_gateways = true;
        self
    }
}

// === backends ===

pub(super) fn backend(name: &str) -> Backend {
    Backend {
        meta: meta(Kind::Backend, name),
        endpoints: Vec::new(),
        policy: Arc::default(),
        tls: BackendTls::default(),
        unsupported: Vec::new(),
    }
}

pub(super) fn endpoint(target: EndpointTarget) -> Endpoint {
    Endpoint { target, port: None, weight: 1, scheme: Scheme::Http }
}

impl Backend {
    pub(super) fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    /// `10.0.0.7:8080`
    pub(super) fn address(self, address: &str) -> Self {
        let address: std::net::SocketAddr = address.parse().unwrap();
        self.endpoint(endpoint(EndpointTarget::Address(address.ip())).port(address.port()))
    }
}

impl Endpoint {
    pub(super) fn port(mut self, number: u16) -> Self {
        self.port = Some(port(number));
        self
    }

    pub(super) fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    pub(super) fn scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }
}

pub(super) fn service(name: &str, kind: ServiceKind) -> Service {
    let meta = meta(Kind::Service, name);
    Service { meta, kind, ports: Vec::new(), policy: Arc::default(), unsupported: Vec::new() }
}

impl Service {
    pub(super) fn port(mut self, number: u16, target: u16) -> Self {
        let (port, target) = (port(number), port(target));
        self.ports.push(ServicePort { name: None, port, target, scheme: Scheme::Http });
        self
    }

    pub(super) fn named_port(mut self, name: &str, number: u16) -> Self {
        let port = port(number);
        self.ports.push(ServicePort { name: Some(name.into()), port, target: port, scheme: Scheme::Http });
        self
    }
}
