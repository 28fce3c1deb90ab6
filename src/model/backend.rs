//! Where traffic goes: backends, services and their endpoints, before addresses are chosen.

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU16, path::Path, sync::Arc};

use super::{BackendPolicy, BackendTls, Host, LabelSelector, Meta, Unsupported, WorkloadId};

/// Portolan's own `Backend`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    pub meta: Meta,
    pub endpoints: Vec<Endpoint>,
    pub policy: Arc<BackendPolicy>,
    /// For endpoints that speak TLS.
    pub tls: BackendTls,
    pub unsupported: Vec<Unsupported>,
}

/// One entry of a backend; may stand for many addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub target: EndpointTarget,
    /// The port to connect to; where absent the reference's port, else the container's own choice.
    pub port: Option<NonZeroU16>,
    /// 1 to 1,000,000; 0 takes the endpoint out.
    pub weight: u32,
    pub scheme: Scheme,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointTarget {
    Address(IpAddr),
    /// Every address that the name resolves to.
    Hostname(Host),
    Unix(Arc<Path>),
    /// Every container whose labels fit.
    Containers {
        selector: LabelSelector,
        network: Option<Arc<str>>,
    },
    /// The container of this name, as a person writes it.
    ContainerNamed {
        name: Arc<str>,
        network: Option<Arc<str>>,
    },
    /// One container.
    Container {
        id: WorkloadId,
        network: Option<Arc<str>>,
    },
}

/// How to speak to an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    #[default]
    Http,
    Https,
    H2c,
}

/// The core `Service`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub meta: Meta,
    pub kind: ServiceKind,
    pub ports: Vec<ServicePort>,
    pub policy: Arc<BackendPolicy>,
    pub unsupported: Vec<Unsupported>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// Containers whose labels all fit; an empty map selects nothing.
    Selector(BTreeMap<Arc<str>, Arc<str>>),
    ExternalName(Host),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    pub name: Option<Arc<str>>,
    pub port: NonZeroU16,
    /// The container's port; the same as `port` where not written.
    pub target: NonZeroU16,
    pub scheme: Scheme,
}

// === impl Scheme ===

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }
}
