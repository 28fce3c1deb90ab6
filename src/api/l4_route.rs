//! `TLSRoute`, `TCPRoute` and `UDPRoute`: which connections and flows go where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BackendRef, DefaultScope, Document, Hostname, ParentReference, SectionName};

pub type TlsRoute = Document<TlsRouteSpec>;
pub type TcpRoute = Document<StreamRouteSpec>;
pub type UdpRoute = Document<StreamRouteSpec>;

/// TLS connections by the name that the client asks for, and where they go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsRouteSpec {
    /// What to attach to; the Gateways with `defaultScope: All` where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentReference>,
    /// `All`: attaches to the Gateways with `defaultScope: All` as well.
    pub use_default_gateways: Option<DefaultScope>,
    /// The names in the client's greeting (SNI); no IP addresses.
    #[schemars(length(min = 1, max = 1024))]
    pub hostnames: Vec<Hostname>,
    /// Exactly one.
    #[schemars(length(min = 1, max = 1))]
    pub rules: Vec<StreamRouteRule>,
}

/// Connections or flows of a listener, and where they go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamRouteSpec {
    /// What to attach to; the Gateways with `defaultScope: All` where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentReference>,
    /// `All`: attaches to the Gateways with `defaultScope: All` as well.
    pub use_default_gateways: Option<DefaultScope>,
    /// Exactly one.
    #[schemars(length(min = 1, max = 1))]
    pub rules: Vec<StreamRouteRule>,
}

/// The backends, chosen by weight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamRouteRule {
    pub name: Option<SectionName>,
    #[schemars(length(min = 1, max = 16))]
    pub backend_refs: Vec<BackendRef>,
}
