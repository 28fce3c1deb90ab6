//! What an object is called and where it came from.

use std::{fmt, sync::Arc};

/// A kind of resource that Portolan reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    GatewayClass,
    Gateway,
    ListenerSet,
    HttpRoute,
    GrpcRoute,
    TlsRoute,
    TcpRoute,
    UdpRoute,
    BackendTlsPolicy,
    ReferenceGrant,
    Secret,
    ConfigMap,
    Service,
    Namespace,
    Backend,
    Filter,
    Certificate,
    Rollout,
    ControllerConfig,
}

/// Kind, namespace and name: unique in a configuration. Cluster-scoped kinds have the namespace `""`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    pub kind: Kind,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// Where an object was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A document of a file; line and column count from 1 and point at the document's first key. Both are 0 where the
    /// file itself is meant.
    File { path: Arc<str>, line: u32, column: u32 },
    /// A container, and the label if one label says it all.
    Container { id: Arc<str>, name: Arc<str>, label: Option<Arc<str>> },
    /// Portolan itself, such as the implicit Gateway; the text says why it exists.
    BuiltIn(&'static str),
}

/// What every resource has beside its spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub id: ResourceId,
    pub origin: Origin,
    /// `metadata.creationTimestamp` (or the container's creation), in seconds since 1970. `None` sorts as the youngest:
    /// files have no age, and equal input must give equal output.
    pub created: Option<i64>,
    /// Counts the changes of this object's spec since the controller started, from 1.
    pub generation: u64,
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something was left out or is refused.
    Error,
    /// Everything is served, but probably not as meant.
    Warning,
}

/// Something that the operator should know about one object: what, where, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub severity: Severity,
    /// A condition reason in `CamelCase`, such as `AmbiguousPort`.
    pub reason: &'static str,
    /// One sentence that names the object, without a full stop.
    pub message: String,
    /// What to do about it, if there is something better to say than the message.
    pub hint: Option<String>,
    pub origin: Origin,
}

// === impl Kind ===

impl Kind {
    /// All kinds, in the order in which they are listed to people.
    pub const ALL: [Self; 19] = [
        Self::GatewayClass,
        Self::Gateway,
        Self::ListenerSet,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::TlsRoute,
        Self::TcpRoute,
        Self::UdpRoute,
        Self::BackendTlsPolicy,
        Self::ReferenceGrant,
        Self::Secret,
        Self::ConfigMap,
        Self::Service,
        Self::Namespace,
        Self::Backend,
        Self::Filter,
        Self::Certificate,
        Self::Rollout,
        Self::ControllerConfig,
    ];

    /// The word in a document's `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GatewayClass => "GatewayClass",
            Self::Gateway => "Gateway",
            Self::ListenerSet => "ListenerSet",
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::TlsRoute => "TLSRoute",
            Self::TcpRoute => "TCPRoute",
            Self::UdpRoute => "UDPRoute",
            Self::BackendTlsPolicy => "BackendTLSPolicy",
            Self::ReferenceGrant => "ReferenceGrant",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::Namespace => "Namespace",
            Self::Backend => "Backend",
            Self::Filter => "Filter",
            Self::Certificate => "Certificate",
            Self::Rollout => "Rollout",
            Self::ControllerConfig => "ControllerConfig",
        }
    }

    /// The API group: the part of `apiVersion` before the slash, empty for `v1`.
    pub fn group(self) -> &'static str {
        match self {
            Self::GatewayClass
            | Self::Gateway
            | Self::ListenerSet
            | Self::HttpRoute
            | Self::GrpcRoute
            | Self::TlsRoute
            | Self::TcpRoute
            | Self::UdpRoute
            | Self::BackendTlsPolicy
            | Self::ReferenceGrant => "gateway.networking.k8s.io",
            Self::Secret | Self::ConfigMap | Self::Service | Self::Namespace => "",
            Self::Backend | Self::Filter | Self::Certificate | Self::Rollout | Self::ControllerConfig => {
                "portolan.dev"
            }
        }
    }

    /// The `apiVersion` that Portolan writes for this kind.
    pub fn api_version(self) -> &'static str {
        match self.group() {
            "" => "v1",
            "portolan.dev" => "portolan.dev/v1alpha1",
            _ => "gateway.networking.k8s.io/v1",
        }
    }

    /// Whether objects of this kind have no namespace.
    pub fn is_cluster_scoped(self) -> bool {
        matches!(self, Self::GatewayClass | Self::Namespace | Self::ControllerConfig)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl ResourceId ===

impl ResourceId {
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        let namespace = if kind.is_cluster_scoped() { "" } else { namespace };
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    /// Sorts before every object of this kind, and after those of the kinds before it.
    pub fn first(kind: Kind) -> Self {
        Self::new(kind, "", "")
    }
}

/// `HTTPRoute shop/books`, or `GatewayClass edge` without a namespace.
impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

// === impl Origin ===

/// `routes/shop.yaml:3:1`, or ``container `web` (label `portolan.host`)``.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: 0, .. } => f.write_str(path),
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Container { name, label: Some(label), .. } => {
                write!(f, "container `{name}` (label `{label}`)")
            }
            Self::Container { name, label: None, .. } => write!(f, "container `{name}`"),
            Self::BuiltIn(why) => f.write_str(why),
        }
    }
}

// === impl Meta ===

impl Meta {
    /// The order in which the standard settles ties: the older first, then by namespace and name. What an operator
    /// has written comes before what containers ask for, whatever their age: whoever may start a container must not
    /// take over a host by that.
    pub fn age_order(&self) -> (bool, i64, &str, &str) {
        (self.is_asked_for(), self.created.unwrap_or(i64::MAX), &self.id.namespace, &self.id.name)
    }

    /// Whether a container's labels or name asked for it.
    pub fn is_asked_for(&self) -> bool {
        matches!(self.origin, Origin::Container { .. })
    }
}

// === impl Problem ===

/// `origin: error[Reason]: message; hint`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}: {severity}[{}]: {}", self.origin, self.reason, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}
