//! The whole world at one moment: what is desired and what is observed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::{
    Backend, BackendTlsPolicy, Certificate, CertificateOrders, CertificateSource, ConfigMap, EndpointTarget,
    Gateway, GatewayClass, HealthReport, HttpRoute, Issued, Kind, ListenerSet, Meta, Namespace, ParentRef,
    ReferenceGrant, ResourceId, Secret, Service, ServiceKind, Workload, WorkloadId,
};

/// Everything that [`crate::plan::plan`] may look at.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub settings: Settings,
    pub resources: BTreeMap<ResourceId, Resource>,
    pub workloads: BTreeMap<WorkloadId, Arc<Workload>>,
    /// What the names of endpoints resolved to: addresses, or why not. A name that is not here is not known yet.
    pub names: BTreeMap<Arc<str>, Result<Vec<IpAddr>, Arc<str>>>,
    /// What the data plane knows of endpoints that are watched.
    pub health: Arc<HealthReport>,
    /// What became of the certificates that were asked for. One that is not here is on its way.
    pub issued: BTreeMap<ResourceId, Issued>,
    /// The time, in seconds since 1970: only for saying what has expired.
    pub now: i64,
    /// Objects that are written and not valid, with where and why: those that others want to know of.
    pub refused: BTreeMap<ResourceId, Arc<str>>,
    /// What is the target of policies for TLS that are written and not valid, by namespace and name, with why: nothing is
    /// sent there, as it might be in plaintext.
    pub unsecured: BTreeMap<(Arc<str>, Arc<str>), Arc<str>>,
    /// Addresses that could not be bound, with the reason.
    pub unbound: BTreeMap<SocketAddr, Arc<str>>,
}

/// A resource that the plan reads. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    GatewayClass(Arc<GatewayClass>),
    Gateway(Arc<Gateway>),
    ListenerSet(Arc<ListenerSet>),
    HttpRoute(Arc<HttpRoute>),
    ReferenceGrant(Arc<ReferenceGrant>),
    BackendTlsPolicy(Arc<BackendTlsPolicy>),
    Service(Arc<Service>),
    Namespace(Arc<Namespace>),
    Backend(Arc<Backend>),
    /// A valid object of a kind that is not served yet.
    Unserved(Arc<UnservedRoute>),
    Secret(Arc<Secret>),
    ConfigMap(Arc<ConfigMap>),
    Certificate(Arc<Certificate>),
    /// A valid object that others refer to and that has no status of its own (`ControllerConfig`).
    Passive(Arc<Meta>),
}

/// A valid object of a kind that is not served yet; its status says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnservedRoute {
    pub meta: Meta,
    pub parents: Vec<ParentRef>,
}

/// What a policy applies to; always in the policy's own namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTarget {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    pub name: Arc<str>,
    /// The name of one port.
    pub section: Option<Arc<str>>,
}

/// What flags and `ControllerConfig` say about planning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the implicit Gateway listens for HTTP; `None` turns it off.
    pub http: Option<SocketAddr>,
    /// Where Portolan itself runs, seen from the engine.
    pub placement: Placement,
    /// How long a request waits for an endpoint where its route has none.
    pub hold: Duration,
}

/// Where Portolan runs, which decides how it reaches containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Directly on the engine's host (or in a container with the host's network).
    #[default]
    Host,
    /// In a container on these networks (id → name).
    Container { id: WorkloadId, networks: BTreeMap<Arc<str>, Arc<str>> },
    /// On another machine than the engine: only published ports can be reached, at this address.
    Remote { address: IpAddr },
}

// === impl Resource ===

impl Resource {
    pub fn meta(&self) -> &Meta {
        match self {
            Self::GatewayClass(class) => &class.meta,
            Self::Gateway(gateway) => &gateway.meta,
            Self::ListenerSet(set) => &set.meta,
            Self::HttpRoute(route) => &route.meta,
            Self::ReferenceGrant(grant) => &grant.meta,
            Self::BackendTlsPolicy(policy) => &policy.meta,
            Self::Service(service) => &service.meta,
            Self::Namespace(namespace) => &namespace.meta,
            Self::Backend(backend) => &backend.meta,
            Self::Unserved(object) => &object.meta,
            Self::Secret(secret) => &secret.meta,
            Self::ConfigMap(map) => &map.meta,
            Self::Certificate(certificate) => &certificate.meta,
            Self::Passive(meta) => meta,
        }
    }
}

impl Resource {
    /// Changes what it shares with nobody else; a shared one is copied first.
    pub fn meta_mut(&mut self) -> &mut Meta {
        match self {
            Self::GatewayClass(class) => &mut Arc::make_mut(class).meta,
            Self::Gateway(gateway) => &mut Arc::make_mut(gateway).meta,
            Self::ListenerSet(set) => &mut Arc::make_mut(set).meta,
            Self::HttpRoute(route) => &mut Arc::make_mut(route).meta,
            Self::ReferenceGrant(grant) => &mut Arc::make_mut(grant).meta,
            Self::BackendTlsPolicy(policy) => &mut Arc::make_mut(policy).meta,
            Self::Service(service) => &mut Arc::make_mut(service).meta,
            Self::Namespace(namespace) => &mut Arc::make_mut(namespace).meta,
            Self::Backend(backend) => &mut Arc::make_mut(backend).meta,
            Self::Unserved(object) => &mut Arc::make_mut(object).meta,
            Self::Secret(secret) => &mut Arc::make_mut(secret).meta,
            Self::ConfigMap(map) => &mut Arc::make_mut(map).meta,
            Self::Certificate(certificate) => &mut Arc::make_mut(certificate).meta,
            Self::Passive(meta) => Arc::make_mut(meta),
        }
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// The resources of one kind, by namespace and name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&ResourceId, &Resource)> {
        self.resources.range(ResourceId::first(kind)..).take_while(move |(id, _)| id.kind == kind)
    }

    /// The names of endpoints that have to be resolved.
    pub fn names_to_resolve(&self) -> BTreeSet<Arc<str>> {
        let mut names = BTreeSet::new();
        for (_, resource) in self.of_kind(Kind::Backend) {
            let Resource::Backend(backend) = resource else { continue };
            names.extend(backend.endpoints.iter().filter_map(|endpoint| match &endpoint.target {
                EndpointTarget::Hostname(host) => Some(host.as_str().into()),
                EndpointTarget::Address(_)
                | EndpointTarget::Unix(_)
                | EndpointTarget::Containers { .. }
                | EndpointTarget::ContainerNamed { .. }
                | EndpointTarget::Container { .. } => None,
            }));
        }
        for (_, resource) in self.of_kind(Kind::Service) {
            if let Resource::Service(service) = resource
                && let ServiceKind::ExternalName(host) = &service.kind
            {
                names.insert(host.as_str().into());
            }
        }
        names
    }

    /// The certificates that have to be read or made.
    pub fn certificates_to_issue(&self) -> CertificateOrders {
        let mut orders = CertificateOrders::new();
        for (id, resource) in self.of_kind(Kind::Certificate) {
            let Resource::Certificate(certificate) = resource else { continue };
            match &certificate.source {
                source @ (CertificateSource::Files { .. } | CertificateSource::SelfSigned { .. }) => {
                    orders.insert(id.clone(), source.clone());
                }
                CertificateSource::Secret(_) | CertificateSource::Acme => {}
            }
        }
        orders
    }
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self { http: None, placement: Placement::Host, hold: Duration::from_secs(5) }
    }
}
