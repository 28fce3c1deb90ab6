//! The core kinds: `Secret`, `ConfigMap` and `Service`, to which routes refer, and `Namespace`.

use std::{collections::BTreeMap, fmt, num::NonZeroU16};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use super::{Document, ObjectMeta, names::DataKey};

pub type Service = Document<ServiceSpec>;

/// Certificates, keys and passwords.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secret {
    pub metadata: ObjectMeta,
    /// `kubernetes.io/tls` has the keys `tls.crt` and `tls.key`; `Opaque` where absent.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Values in Base64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<DataKey, SecretText>,
    /// Values as they are; they win over `data`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub string_data: BTreeMap<DataKey, SecretText>,
    pub immutable: Option<bool>,
}

/// A text that is never shown: not by `Debug`, not when its object is printed.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct SecretText(String);

/// Texts and files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMap {
    pub metadata: ObjectMeta,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<DataKey, String>,
    /// Values in Base64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub binary_data: BTreeMap<DataKey, String>,
    pub immutable: Option<bool>,
}

/// The labels of a namespace. There are namespaces without one of these too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceObject {
    pub metadata: ObjectMeta,
    /// What only a cluster needs; it has no effect here.
    pub spec: Option<NamespaceSpec>,
}

/// What only a cluster needs of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceSpec {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
}

/// Containers by their labels, or a name outside. What only a cluster needs is accepted and has no effect here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    #[serde(rename = "type")]
    #[schemars(extend("default" = "ClusterIP"))]
    pub kind: Option<ServiceType>,
    /// Labels that a container must have, all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    /// For `type: ExternalName`: a DNS name.
    #[schemars(length(max = 253))]
    pub external_name: Option<String>,
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    #[serde(default, rename = "clusterIPs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub cluster_ips: Vec<String>,
    #[serde(default, rename = "externalIPs", skip_serializing_if = "Vec::is_empty")]
    pub external_ips: Vec<String>,
    pub external_traffic_policy: Option<String>,
    pub internal_traffic_policy: Option<String>,
    pub traffic_distribution: Option<String>,
    pub health_check_node_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_families: Vec<String>,
    pub ip_family_policy: Option<String>,
    #[serde(rename = "loadBalancerIP")]
    pub load_balancer_ip: Option<String>,
    pub load_balancer_class: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_balancer_source_ranges: Vec<String>,
    pub allocate_load_balancer_node_ports: Option<bool>,
    pub publish_not_ready_addresses: Option<bool>,
    pub session_affinity: Option<SessionAffinity>,
    pub session_affinity_config: Option<SessionAffinityConfig>,
}

/// What a service is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePort {
    /// Required where there are several ports.
    #[schemars(length(max = 63))]
    pub name: Option<String>,
    /// What routes refer to.
    pub port: NonZeroU16,
    /// The container's port; the same as `port` where absent.
    pub target_port: Option<IntOrString>,
    #[schemars(extend("default" = "TCP"))]
    pub protocol: Option<ServiceProtocol>,
    /// `kubernetes.io/h2c`, `kubernetes.io/ws`, `kubernetes.io/wss`, `http` or `https`.
    pub app_protocol: Option<String>,
    pub node_port: Option<u16>,
}

/// The transport of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ServiceProtocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

/// A port's number, or its name in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    Int(NonZeroU16),
    String(String),
}

/// Whether a client stays at one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SessionAffinity {
    #[serde(rename = "ClientIP")]
    ClientIp,
    None,
}

/// How a client stays at one container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionAffinityConfig {
    #[serde(rename = "clientIP")]
    pub client_ip: Option<ClientIpConfig>,
}

/// How long a client stays at one container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientIpConfig {
    #[schemars(range(min = 1, max = 86400))]
    pub timeout_seconds: Option<u32>,
}

// === impl SecretText ===

impl SecretText {
    /// The text itself; do not print it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Writes `(hidden)`: an object that is shown must not give its secrets away.
impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

// === impl IntOrString ===

impl JsonSchema for IntOrString {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "IntOrString".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "minimum": 1, "maximum": 65535, "minLength": 1 })
    }
}
