//! Portolan's `Backend`: where traffic goes when a name alone is not enough.

use std::{collections::BTreeMap, num::NonZeroU16};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Document, Duration, HeaderName, Hostname, LocalObjectReference, PreciseHostname, SecretObjectReference,
    SubjectAltName,
    names::{DnsName, WellKnownCaCertificates},
};

pub type Backend = Document<BackendSpec>;

/// Endpoints, how they are chosen among, watched and spoken to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendSpec {
    /// Any mix; one entry may stand for many addresses.
    #[schemars(length(max = 1024))]
    pub endpoints: Vec<BackendEndpoint>,
    /// For every endpoint that does not say otherwise.
    #[schemars(extend("default" = "http"))]
    pub scheme: Option<BackendScheme>,
    pub load_balancing: Option<LoadBalancing>,
    pub health_check: Option<HealthCheck>,
    /// What is done where no endpoint is healthy, by `healthCheck` or by the `HEALTHCHECK` of its container.
    #[schemars(extend("default" = "require"))]
    pub health: Option<HealthUse>,
    pub outlier_detection: Option<OutlierDetection>,
    pub connections: Option<Connections>,
    pub tls: Option<BackendTls>,
}

/// Exactly one of `address`, `hostname`, `unix`, `docker`, `swarm` and `consul`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendEndpoint {
    /// An IP address.
    pub address: Option<String>,
    /// A DNS name; every address that it resolves to is an endpoint.
    pub hostname: Option<DnsName>,
    /// The path of a Unix socket.
    #[schemars(length(min = 1, max = 107))]
    pub unix: Option<String>,
    pub docker: Option<DockerEndpoint>,
    pub swarm: Option<SwarmEndpoint>,
    pub consul: Option<ConsulEndpoint>,
    /// Where absent the reference's port, else the container's own choice.
    pub port: Option<NonZeroU16>,
    #[schemars(range(max = 1_000_000), extend("default" = 1))]
    pub weight: Option<u32>,
    /// The backend's where absent.
    pub scheme: Option<BackendScheme>,
    /// For `docker` and `swarm`: the network whose address is used.
    #[schemars(length(min = 1, max = 253))]
    pub network: Option<String>,
    /// For `hostname`: how it is resolved.
    pub resolve: Option<Resolve>,
}

/// How an endpoint is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackendScheme {
    #[default]
    Http,
    Https,
    H2c,
}

/// Containers: either by their labels or one by its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DockerEndpoint {
    /// Labels that a container must have, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<BTreeMap<String, String>>,
    /// A container's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-zA-Z0-9][-a-zA-Z0-9_.]*$"))]
    pub container: Option<String>,
}

/// The tasks of a Swarm service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwarmEndpoint {
    #[schemars(length(min = 1, max = 253))]
    pub service: String,
}

/// The healthy instances of a Consul service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsulEndpoint {
    #[schemars(length(min = 1, max = 253))]
    pub service: String,
    #[schemars(length(min = 1, max = 253))]
    pub tag: Option<String>,
    #[schemars(length(min = 1, max = 253))]
    pub datacenter: Option<String>,
}

/// How a name is resolved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// How often; by the records' time to live where absent.
    pub every: Option<Duration>,
    /// Both `A` and `AAAA` where absent.
    pub record: Option<DnsRecord>,
}

/// Which records of a name are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsRecord {
    A,
    Aaaa,
    Srv,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBalancing {
    #[schemars(extend("default" = "RoundRobin"))]
    pub policy: Option<LoadBalancingPolicy>,
    /// For `RingHash` and `Maglev`: what is hashed; the client's address where absent, or where a request lacks it.
    pub hash_on: Option<HashOn>,
    /// How long a new endpoint takes to get its full share. Without effect on `RingHash`, `Maglev` and `SourceIP`.
    pub slow_start: Option<Duration>,
}

/// The way in which an endpoint is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum LoadBalancingPolicy {
    #[default]
    RoundRobin,
    LeastRequest,
    Random,
    RingHash,
    Maglev,
    #[serde(rename = "SourceIP")]
    SourceIp,
}

/// What of a request is hashed; exactly one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HashOn {
    pub header: Option<HeaderName>,
    #[schemars(length(min = 1, max = 128))]
    pub cookie: Option<String>,
    #[schemars(length(min = 1, max = 256))]
    pub query_param: Option<String>,
}

/// How endpoints are asked whether they live; exactly one of `http`, `tcp` and `grpc`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    pub http: Option<HttpHealthCheck>,
    pub tcp: Option<TcpHealthCheck>,
    pub grpc: Option<GrpcHealthCheck>,
    /// The port to ask; the endpoint's own where absent.
    pub port: Option<NonZeroU16>,
    #[schemars(extend("default" = "5s"))]
    pub interval: Option<Duration>,
    #[schemars(extend("default" = "1s"))]
    pub timeout: Option<Duration>,
    /// Failures in a row that take an endpoint out.
    #[schemars(range(min = 1, max = 1000), extend("default" = 2))]
    pub unhealthy_after: Option<u32>,
    /// Successes in a row that bring it back.
    #[schemars(range(min = 1, max = 1000), extend("default" = 1))]
    pub healthy_after: Option<u32>,
}

/// What health means for requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthUse {
    /// Requests are answered 503 where no endpoint is healthy.
    #[default]
    Require,
    /// Where no endpoint is healthy, all are used as if they were.
    Prefer,
}

/// A request whose answer must be good.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpHealthCheck {
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"), extend("default" = "/"))]
    pub path: Option<String>,
    /// The `Host` to send; the endpoint's address where absent.
    pub host: Option<Hostname>,
    /// Answers that count as good; 200 to 399 where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("uniqueItems" = true), inner(range(min = 100, max = 599)))]
    pub statuses: Vec<u16>,
}

/// A connection that must be accepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpHealthCheck {}

/// A call of the standard gRPC health service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrpcHealthCheck {
    /// The service to ask about; the whole server where absent.
    #[schemars(length(max = 1024))]
    pub service: Option<String>,
}

/// When an endpoint that answers badly is left out for a while.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutlierDetection {
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 5))]
    pub consecutive_errors: Option<u32>,
    #[schemars(extend("default" = "30s"))]
    pub eject_for: Option<Duration>,
    #[schemars(range(max = 100), extend("default" = 50))]
    pub max_ejected_percent: Option<u32>,
}

/// Limits of the connections to endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connections {
    pub connect_timeout: Option<Duration>,
    /// How long a connection is kept without a request.
    pub idle_timeout: Option<Duration>,
    /// Requests under way at each endpoint, of all workers.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_per_endpoint: Option<u32>,
    /// With `maxPerEndpoint`: requests that may wait because every endpoint has as many. More are answered 503.
    #[schemars(range(max = 1_000_000), extend("default" = 1024))]
    pub max_pending: Option<u32>,
    /// A connection is closed after this many requests.
    #[schemars(range(min = 1))]
    pub max_requests_per_connection: Option<u32>,
    /// Every connection begins with a PROXY header that tells of the client, and is used for one request. Not for `h2c`.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// The version of a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    V1,
    V2,
}

/// How TLS is spoken with endpoints whose scheme is `https`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendTls {
    /// Sent as the server name (SNI), and verified unless there are `subjectAltNames`.
    pub hostname: Option<PreciseHostname>,
    /// `ConfigMap`s with the key `ca.crt`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub ca_certificate_refs: Vec<LocalObjectReference>,
    #[serde(rename = "wellKnownCACertificates")]
    pub well_known_ca_certificates: Option<WellKnownCaCertificates>,
    /// One of these must be in the certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub subject_alt_names: Vec<SubjectAltName>,
    /// The certificate that endpoints see.
    pub client_certificate_ref: Option<SecretObjectReference>,
    /// Takes any certificate: for development only.
    pub insecure_skip_verify: Option<bool>,
}
