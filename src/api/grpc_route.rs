//! `GRPCRoute`: which gRPC calls go where.

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DefaultScope, Document, Group, HeaderName, HeaderValue, Hostname, HttpHeaderFilter,
    HttpRequestMirrorFilter, KindName, LocalObjectReference, MatchType, Namespace, ObjectName,
    ParentReference, SectionName, SessionPersistence,
};

pub type GrpcRoute = Document<GrpcRouteSpec>;

/// Calls by host, service, method and metadata, and where they go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcRouteSpec {
    /// What to attach to; the Gateways with `defaultScope: All` where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentReference>,
    /// `All`: attaches to the Gateways with `defaultScope: All` as well.
    pub use_default_gateways: Option<DefaultScope>,
    /// Every host that the listener takes where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hostnames: Vec<Hostname>,
    /// Without rules nothing is routed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub rules: Vec<GrpcRouteRule>,
}

/// Matches, what happens to the call, and the backends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcRouteRule {
    pub name: Option<SectionName>,
    /// One of these must fit; every call where absent. At most 128 in a route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub matches: Vec<GrpcRouteMatch>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub filters: Vec<GrpcRouteFilter>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub backend_refs: Vec<GrpcBackendRef>,
    pub session_persistence: Option<SessionPersistence>,
}

/// All parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrpcRouteMatch {
    pub method: Option<GrpcMethodMatch>,
    /// All must hold; names are unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<GrpcHeaderMatch>,
}

/// The call; a service, a method or both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrpcMethodMatch {
    #[serde(rename = "type")]
    #[schemars(extend("default" = "Exact"))]
    pub kind: Option<MatchType>,
    /// With its package, such as `shop.v1.Books`.
    #[schemars(length(max = 1024))]
    pub service: Option<String>,
    #[schemars(length(max = 1024))]
    pub method: Option<String>,
}

/// Metadata that the call must have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrpcHeaderMatch {
    #[serde(rename = "type")]
    #[schemars(extend("default" = "Exact"))]
    pub kind: Option<MatchType>,
    pub name: HeaderName,
    pub value: HeaderValue,
}

/// One step; `type` names the one field that is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcRouteFilter {
    #[serde(rename = "type")]
    pub kind: GrpcRouteFilterType,
    pub request_header_modifier: Option<HttpHeaderFilter>,
    pub response_header_modifier: Option<HttpHeaderFilter>,
    pub request_mirror: Option<HttpRequestMirrorFilter>,
    pub extension_ref: Option<LocalObjectReference>,
}

/// Which field of a filter is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GrpcRouteFilterType {
    ResponseHeaderModifier,
    RequestHeaderModifier,
    RequestMirror,
    ExtensionRef,
}

/// A weighted backend, with filters of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcBackendRef {
    #[schemars(extend("default" = ""))]
    pub group: Option<Group>,
    #[schemars(extend("default" = "Service"))]
    pub kind: Option<KindName>,
    pub name: ObjectName,
    /// The route's own namespace where absent.
    pub namespace: Option<Namespace>,
    /// The port of the service or container; required for a `Service`.
    pub port: Option<NonZeroU16>,
    #[schemars(range(max = 1_000_000), extend("default" = 1))]
    pub weight: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub filters: Vec<GrpcRouteFilter>,
}
