//! Gateways, their listeners, and who may refer to what.

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU16, sync::Arc};

use super::{FrontendTls, HostPattern, ListenerTls, Meta, ObjectRef, ParentRef, Unsupported};

/// Names the controller that owns the Gateways of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayClass {
    pub meta: Meta,
    pub controller: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    pub meta: Meta,
    pub class: Arc<str>,
    pub addresses: Addresses,
    pub listeners: Vec<Listener>,
    /// Whose `ListenerSet`s may add listeners.
    pub allowed_listeners: FromNamespaces,
    /// `defaultScope: All`: routes without `parentRefs` attach here.
    pub is_default: bool,
    /// Which client certificates its HTTPS listeners ask for.
    pub frontend: FrontendTls,
    /// The certificate that backends are shown where TLS is spoken to them and they name none themselves.
    pub client: Option<ObjectRef>,
    /// Addresses of types that cannot be bound.
    pub unsupported_addresses: Vec<Unsupported>,
    /// `infrastructure.parametersRef`, which leads nowhere.
    pub unsupported_parameters: Option<Unsupported>,
}

/// What the listeners of a Gateway are bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Every address, of both families.
    All,
    /// These and no others; none where none of those that were asked for can be bound.
    Only(Vec<IpAddr>),
}

/// Listeners for somebody else's Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSet {
    pub meta: Meta,
    pub parent: ParentRef,
    pub listeners: Vec<Listener>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub name: Arc<str>,
    pub hostname: Option<HostPattern>,
    pub port: NonZeroU16,
    pub protocol: Protocol,
    pub allowed: AllowedRoutes,
    /// For HTTPS and TLS.
    pub tls: ListenerTls,
    /// Fields of this listener that are valid but not served yet.
    pub unsupported: Vec<Unsupported>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    Http,
    Https,
    Tls,
    Tcp,
    Udp,
    /// Valid by the standard's pattern, unknown to Portolan.
    Other(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedRoutes {
    pub namespaces: FromNamespaces,
    /// Group and kind pairs as written; `None` means every kind that fits the protocol.
    pub kinds: Option<Vec<(Arc<str>, Arc<str>)>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromNamespaces {
    All,
    Same,
    /// Matches on the labels of a namespace; every namespace has `kubernetes.io/metadata.name`.
    Selector(LabelSelector),
    None,
}

/// A Kubernetes label selector; all parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    pub requirements: Vec<(Arc<str>, Requirement)>,
}

/// What a label must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    In(Vec<Arc<str>>),
    NotIn(Vec<Arc<str>>),
    Exists,
    DoesNotExist,
}

/// The labels of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    pub meta: Meta,
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

/// Lets objects of other namespaces refer to objects of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceGrant {
    pub meta: Meta,
    pub from: Vec<GrantFrom>,
    pub to: Vec<GrantTo>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantFrom {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    pub namespace: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTo {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    /// `None` grants every name.
    pub name: Option<Arc<str>>,
}

// === impl Protocol ===

impl Protocol {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Other(name) => name,
        }
    }
}

// === impl LabelSelector ===

impl LabelSelector {
    /// Whether an object with these labels is selected. An empty selector selects everything.
    pub fn matches(&self, labels: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.requirements.iter().all(|(key, requirement)| requirement.holds(labels.get(key)))
    }
}

impl Requirement {
    fn holds(&self, value: Option<&Arc<str>>) -> bool {
        match self {
            Self::In(values) => value.is_some_and(|value| values.contains(value)),
            Self::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
        }
    }
}
