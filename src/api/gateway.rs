//! `GatewayClass` and `Gateway`: where connections are accepted.

use std::{collections::BTreeMap, num::NonZeroU16};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AnnotationKey, AnnotationValue, ControllerName, DefaultScope, Document, Group, Hostname, KindName,
    LabelSelector, LocalObjectReference, ObjectName, ObjectReference, SecretObjectReference, SectionName,
    meta::Options,
    names::{AddressType, ProtocolType},
};

pub type GatewayClass = Document<GatewayClassSpec>;
pub type Gateway = Document<GatewaySpec>;

/// Names the controller that owns the Gateways of a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayClassSpec {
    pub controller_name: ControllerName,
    pub parameters_ref: Option<ObjectReference>,
    /// For people.
    #[schemars(length(max = 64))]
    pub description: Option<String>,
}

/// Listeners, and the addresses that they are bound to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewaySpec {
    /// Any name is Portolan's own, unless a `GatewayClass` of that name names another controller.
    pub gateway_class_name: ObjectName,
    #[schemars(length(min = 1, max = 64))]
    pub listeners: Vec<Listener>,
    /// Where to bind; all addresses of both families where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub addresses: Vec<GatewayAddress>,
    pub infrastructure: Option<GatewayInfrastructure>,
    pub allowed_listeners: Option<AllowedListeners>,
    pub tls: Option<GatewayTls>,
    /// `All`: routes without `parentRefs` attach to this Gateway.
    pub default_scope: Option<DefaultScope>,
}

/// One port, protocol and hostname.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// Unique in its Gateway.
    pub name: SectionName,
    /// Only requests for this host; all where absent. Not for `TCP` and `UDP`.
    pub hostname: Option<Hostname>,
    pub port: Port,
    pub protocol: ProtocolType,
    pub tls: Option<ListenerTls>,
    #[schemars(extend("default" = {"namespaces": {"from": "Same"}}))]
    pub allowed_routes: Option<AllowedRoutes>,
}

/// A TCP or UDP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Port(pub NonZeroU16);

/// How a listener speaks TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerTls {
    #[schemars(extend("default" = "Terminate"))]
    pub mode: Option<TlsMode>,
    /// The certificates; the one whose name fits longest is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub certificate_refs: Vec<SecretObjectReference>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub options: Options,
}

/// Whether TLS ends here or at the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    Terminate,
    Passthrough,
}

/// Which routes may attach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedRoutes {
    #[schemars(extend("default" = {"from": "Same"}))]
    pub namespaces: Option<RouteNamespaces>,
    /// Every kind that fits the protocol where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub kinds: Vec<RouteGroupKind>,
}

/// The namespaces whose routes may attach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteNamespaces {
    #[schemars(extend("default" = "Same"))]
    pub from: Option<RoutesFrom>,
    /// For `Selector`: the labels of a namespace; each has `kubernetes.io/metadata.name`.
    pub selector: Option<LabelSelector>,
}

/// Where routes may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RoutesFrom {
    All,
    Selector,
    Same,
}

/// A kind of route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteGroupKind {
    #[schemars(extend("default" = "gateway.networking.k8s.io"))]
    pub group: Option<Group>,
    pub kind: KindName,
}

/// An address to bind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayAddress {
    #[serde(rename = "type")]
    #[schemars(extend("default" = "IPAddress"))]
    pub kind: Option<AddressType>,
    #[schemars(length(max = 253))]
    pub value: Option<String>,
}

/// For what a controller makes for a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayInfrastructure {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub labels: BTreeMap<AnnotationKey, AnnotationValue>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub annotations: BTreeMap<AnnotationKey, AnnotationValue>,
    pub parameters_ref: Option<LocalObjectReference>,
}

/// Which `ListenerSet`s may add listeners.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedListeners {
    #[schemars(extend("default" = {"from": "None"}))]
    pub namespaces: Option<ListenerNamespaces>,
}

/// The namespaces whose `ListenerSet`s may attach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerNamespaces {
    #[schemars(extend("default" = "None"))]
    pub from: Option<ListenersFrom>,
    /// For `Selector`: the labels of a namespace.
    pub selector: Option<LabelSelector>,
}

/// Where `ListenerSet`s may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ListenersFrom {
    All,
    Selector,
    Same,
    None,
}

/// TLS for all listeners and towards backends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayTls {
    pub backend: Option<GatewayBackendTls>,
    pub frontend: Option<FrontendTls>,
}

/// The client certificate that backends see.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayBackendTls {
    pub client_certificate_ref: Option<SecretObjectReference>,
}

/// How clients are authenticated, for HTTPS listeners.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrontendTls {
    /// For every port that `perPort` does not name.
    #[serde(rename = "default")]
    pub default_port: FrontendTlsPort,
    /// Replaces `default` for its port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub per_port: Vec<FrontendTlsPerPort>,
}

/// How clients of one port are authenticated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrontendTlsPerPort {
    pub port: Port,
    pub tls: FrontendTlsPort,
}

/// How clients are authenticated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrontendTlsPort {
    pub validation: Option<FrontendTlsValidation>,
}

/// Whose client certificates are valid.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrontendTlsValidation {
    /// `ConfigMap`s with the key `ca.crt`.
    #[schemars(length(min = 1, max = 16))]
    pub ca_certificate_refs: Vec<ObjectReference>,
    #[schemars(extend("default" = "AllowValidOnly"))]
    pub mode: Option<FrontendValidationMode>,
}

/// What happens to a client without a valid certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FrontendValidationMode {
    AllowValidOnly,
    AllowInsecureFallback,
}

// === impl Port ===

/// The usual port of HTTP, so that a listener can be built field by field.
impl Default for Port {
    fn default() -> Self {
        Self(NonZeroU16::MIN.saturating_add(79))
    }
}
