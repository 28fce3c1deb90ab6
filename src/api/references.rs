//! How objects name each other: parents, backends, secrets, targets.

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Group, KindName, Namespace, ObjectName, SectionName};

/// The Gateway, `ListenerSet` or Service that a route attaches to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParentReference {
    #[schemars(extend("default" = "gateway.networking.k8s.io"))]
    pub group: Option<Group>,
    #[schemars(extend("default" = "Gateway"))]
    pub kind: Option<KindName>,
    /// The route's own namespace where absent.
    pub namespace: Option<Namespace>,
    pub name: ObjectName,
    /// One listener of the parent; all that fit where absent.
    pub section_name: Option<SectionName>,
    /// Only the listeners on this port.
    pub port: Option<NonZeroU16>,
}

/// An object that takes requests, without a weight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendObjectReference {
    #[schemars(extend("default" = ""))]
    pub group: Option<Group>,
    #[schemars(extend("default" = "Service"))]
    pub kind: Option<KindName>,
    pub name: ObjectName,
    /// The route's own namespace where absent. A Compose project is a namespace.
    pub namespace: Option<Namespace>,
    /// The port of the service or container; required for a `Service`.
    pub port: Option<NonZeroU16>,
}

/// A weighted backend of a TLS, TCP or UDP route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendRef {
    #[schemars(extend("default" = ""))]
    pub group: Option<Group>,
    #[schemars(extend("default" = "Service"))]
    pub kind: Option<KindName>,
    pub name: ObjectName,
    /// The route's own namespace where absent. A Compose project is a namespace.
    pub namespace: Option<Namespace>,
    /// The port of the service or container; required for a `Service`.
    pub port: Option<NonZeroU16>,
    /// The share of this backend is its weight divided by the sum of all; 0 gets nothing.
    #[schemars(range(max = 1_000_000), extend("default" = 1))]
    pub weight: Option<u32>,
}

/// A `Secret` with a certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretObjectReference {
    #[schemars(extend("default" = ""))]
    pub group: Option<Group>,
    #[schemars(extend("default" = "Secret"))]
    pub kind: Option<KindName>,
    pub name: ObjectName,
    /// The referring object's own namespace where absent.
    pub namespace: Option<Namespace>,
}

/// Any object, maybe of another namespace. `group` must be written out, `""` for core kinds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectReference {
    pub group: Group,
    pub kind: KindName,
    pub name: ObjectName,
    /// The referring object's own namespace where absent.
    pub namespace: Option<Namespace>,
}

/// An object of the same namespace. `group` must be written out, `""` for core kinds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalObjectReference {
    pub group: Group,
    pub kind: KindName,
    pub name: ObjectName,
}

/// What a policy applies to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyTargetReference {
    /// Must be written out, `""` for a `Service`.
    pub group: Group,
    pub kind: KindName,
    pub name: ObjectName,
    /// One section of the target, such as a port's name.
    pub section_name: Option<SectionName>,
}

/// Whether a route attaches to the default Gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DefaultScope {
    All,
    None,
}
