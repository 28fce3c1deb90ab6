//! `HTTPRoute`: which requests go where. Its filters have a file of their own.

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DefaultScope, Document, Duration, Group, HeaderName, HeaderValue, Hostname, HttpRouteFilter, KindName,
    Namespace, ObjectName, ParentReference, QueryParamName, SectionName,
};

pub type HttpRoute = Document<HttpRouteSpec>;

/// Requests by host, path, headers, query and method, and where they go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRouteSpec {
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
    /// Without rules every request is answered with 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 16),
        extend("default" = [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}])
    )]
    pub rules: Vec<HttpRouteRule>,
}

/// Matches, what happens to the request, and the backends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRouteRule {
    /// For people, statuses and policies.
    pub name: Option<SectionName>,
    /// One of these must fit; at most 128 in a route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("default" = [{"path": {"type": "PathPrefix", "value": "/"}}])
    )]
    pub matches: Vec<HttpRouteMatch>,
    /// Applied in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub filters: Vec<HttpRouteFilter>,
    /// Chosen by weight. Without backends, and without a redirect, the answer is 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub backend_refs: Vec<HttpBackendRef>,
    pub timeouts: Option<HttpRouteTimeouts>,
    pub retry: Option<HttpRouteRetry>,
    pub session_persistence: Option<SessionPersistence>,
}

/// All parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRouteMatch {
    #[schemars(extend("default" = {"type": "PathPrefix", "value": "/"}))]
    pub path: Option<HttpPathMatch>,
    /// All must hold; names are unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<HttpHeaderMatch>,
    /// All must hold; names are unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub query_params: Vec<HttpQueryParamMatch>,
    pub method: Option<HttpMethod>,
}

/// The path of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpPathMatch {
    #[serde(rename = "type")]
    #[schemars(extend("default" = "PathPrefix"))]
    pub kind: Option<PathMatchType>,
    #[schemars(length(max = 1024), extend("default" = "/"))]
    pub value: Option<String>,
}

/// How a path is compared: `PathPrefix` by whole elements, `Exact` as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PathMatchType {
    Exact,
    #[default]
    PathPrefix,
    RegularExpression,
}

/// How a value is compared; a regular expression must match the whole value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MatchType {
    #[default]
    Exact,
    RegularExpression,
}

/// A header that the request must have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpHeaderMatch {
    #[serde(rename = "type")]
    #[schemars(extend("default" = "Exact"))]
    pub kind: Option<MatchType>,
    pub name: HeaderName,
    pub value: HeaderValue,
}

/// A query parameter that the request must have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpQueryParamMatch {
    #[serde(rename = "type")]
    #[schemars(extend("default" = "Exact"))]
    pub kind: Option<MatchType>,
    pub name: QueryParamName,
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

/// A weighted backend, with filters of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpBackendRef {
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
    /// Applied after those of the rule, to what goes to this backend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub filters: Vec<HttpRouteFilter>,
}

/// Limits in time; `0s` is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRouteTimeouts {
    /// For the whole exchange, retries included.
    pub request: Option<Duration>,
    /// For one try; not more than `request`.
    pub backend_request: Option<Duration>,
}

/// What is tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRouteRetry {
    /// Answers that are worth another try, whatever the method.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true), inner(range(min = 400, max = 599)))]
    pub codes: Vec<u16>,
    /// Tries after the first; 2 where absent.
    #[schemars(range(min = 1))]
    pub attempts: Option<u32>,
    /// The least time before the second try, 25 ms where absent; it doubles with each further one.
    pub backoff: Option<Duration>,
}

/// Keeps a client at one backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionPersistence {
    /// The name of the cookie or header.
    #[schemars(length(max = 128))]
    pub session_name: Option<String>,
    pub absolute_timeout: Option<Duration>,
    #[serde(rename = "type")]
    #[schemars(extend("default" = "Cookie"))]
    pub kind: Option<SessionPersistenceType>,
    pub cookie_config: Option<CookieConfig>,
    /// The newer form of `sessionName` and `cookieConfig`.
    pub cookie: Option<SessionCookie>,
    /// The newer form of `sessionName`, for `type: Header`.
    pub header: Option<SessionHeader>,
}

/// What carries the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SessionPersistenceType {
    #[default]
    Cookie,
    Header,
}

/// How long the cookie lives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CookieConfig {
    #[schemars(extend("default" = "Session"))]
    pub lifetime_type: Option<CookieLifetime>,
}

/// The session's cookie.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionCookie {
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,
    #[schemars(length(max = 1024))]
    pub path: Option<String>,
    #[schemars(extend("default" = "Session"))]
    pub lifetime_type: Option<CookieLifetime>,
}

/// The session's header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionHeader {
    pub name: Option<HeaderName>,
}

/// `Session` ends with the browser, `Permanent` with `absoluteTimeout`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CookieLifetime {
    Permanent,
    #[default]
    Session,
}
