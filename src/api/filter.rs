//! Portolan's `Filter`: what the standard's filters lack.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BackendObjectReference, Document, Duration, HeaderName, ObjectName};

pub type Filter = Document<FilterSpec>;

/// Exactly one filter. An `HTTPRoute` uses it by `type: ExtensionRef`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilterSpec {
    pub basic_auth: Option<BasicAuth>,
    pub forward_auth: Option<ForwardAuth>,
    pub jwt: Option<Jwt>,
    pub ip_allow: Option<IpAllow>,
    pub rate_limit: Option<RateLimit>,
    pub compress: Option<Compress>,
    pub buffer: Option<Buffer>,
    pub size_limit: Option<SizeLimit>,
    pub error_pages: Option<ErrorPages>,
    pub in_flight_limit: Option<InFlightLimit>,
}

/// A `Secret` of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretReference {
    pub name: ObjectName,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// Asks for a name and password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuth {
    /// Lines of `name:hash` as `htpasswd` writes them, under the key `auth` unless another is named.
    pub secret_ref: SecretReference,
    #[schemars(length(min = 1, max = 256), extend("default" = "Restricted"))]
    pub realm: Option<String>,
    /// A request header that tells the backend who it is.
    pub user_header: Option<HeaderName>,
}

/// Asks another service whether a request may pass; exactly one of `url` and `backendRef`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForwardAuth {
    #[schemars(length(min = 1, max = 2048), regex(pattern = "^https?://"))]
    pub url: Option<String>,
    pub backend_ref: Option<BackendObjectReference>,
    /// With `backendRef`: the path to ask.
    #[schemars(length(max = 1024), regex(pattern = "^/"))]
    pub path: Option<String>,
    /// Headers of the request that are sent along; all where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("uniqueItems" = true))]
    pub request_headers: Vec<HeaderName>,
    /// Headers of the answer that are passed to the backend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("uniqueItems" = true))]
    pub response_headers: Vec<HeaderName>,
    #[schemars(extend("default" = "5s"))]
    pub timeout: Option<Duration>,
}

/// Asks for a signed token; exactly one of `jwksUrl` and `secretRef`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Jwt {
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 2048)))]
    pub audiences: Vec<String>,
    #[schemars(length(min = 1, max = 2048), regex(pattern = "^https?://"))]
    pub jwks_url: Option<String>,
    /// A key set in JSON, under the key `jwks.json` unless another is named.
    pub secret_ref: Option<SecretReference>,
    /// Claims that are passed to the backend as headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claim_headers: BTreeMap<String, HeaderName>,
}

/// Lets only some clients in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IpAllow {
    /// Addresses and networks, such as `10.0.0.0/8`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("uniqueItems" = true))]
    pub allow: Vec<String>,
    /// Taken out of `allow`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("uniqueItems" = true))]
    pub deny: Vec<String>,
}

/// Answers 429 when there are too many requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    #[schemars(range(min = 1))]
    pub requests: u32,
    #[schemars(extend("default" = "1s"))]
    pub per: Option<Duration>,
    /// How many may come at once; `requests` where absent.
    #[schemars(range(min = 1))]
    pub burst: Option<u32>,
    /// Each value of this header has a rate of its own; each client address where absent.
    pub header: Option<HeaderName>,
}

/// Compresses answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compress {
    /// The best one that the client takes, in this order; all where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("uniqueItems" = true))]
    pub algorithms: Vec<CompressAlgorithm>,
    /// Media types that are compressed; texts where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub types: Vec<String>,
    /// Answers that are shorter are left alone.
    #[schemars(extend("default" = 1024))]
    pub min_bytes: Option<u64>,
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CompressAlgorithm {
    Zstd,
    Br,
    Gzip,
    Deflate,
}

/// Reads bodies as a whole before they are passed on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Buffer {
    #[schemars(range(min = 1))]
    pub request_bytes: Option<u64>,
    #[schemars(range(min = 1))]
    pub response_bytes: Option<u64>,
}

/// Answers 413 where a body is too long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SizeLimit {
    #[schemars(range(min = 1))]
    pub request_bytes: u64,
}

/// Replaces the bodies of error answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorPages {
    /// Codes and ranges, such as `404` or `500-599`.
    #[schemars(length(min = 1, max = 64), inner(regex(pattern = "^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$")))]
    pub statuses: Vec<String>,
    /// Who makes the page.
    pub backend_ref: BackendObjectReference,
    /// The path to ask for; `{status}` stands for the code.
    #[schemars(length(max = 1024), regex(pattern = "^/"), extend("default" = "/{status}.html"))]
    pub path: Option<String>,
}

/// Answers 503 where too many requests are under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InFlightLimit {
    #[schemars(range(min = 1))]
    pub requests: u32,
    /// Counts each client address on its own.
    pub per_client: Option<bool>,
}
