//! `ControllerConfig`: the settings that are also flags of `run`.

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, Duration};

pub type ControllerConfig = Document<ControllerConfigSpec>;

/// Every field is a flag too; a flag wins over the environment, which wins over this.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControllerConfigSpec {
    /// Files and directories to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("uniqueItems" = true), inner(length(min = 1, max = 4096)))]
    pub config: Vec<String>,
    /// The engine: `unix:///var/run/docker.sock`, `tcp://host:2376`, or `off`.
    #[schemars(length(min = 1, max = 4096))]
    pub docker: Option<String>,
    /// Certificates for an engine that is reached by TLS: a directory with `ca.pem`, `cert.pem` and `key.pem`.
    #[schemars(length(min = 1, max = 4096))]
    pub docker_cert_path: Option<String>,
    /// Where the implicit Gateway listens for HTTP, such as `0.0.0.0:80`; `off` turns it off.
    #[schemars(length(min = 1, max = 64), extend("default" = "0.0.0.0:80"))]
    pub http: Option<String>,
    /// Where the implicit Gateway listens for HTTPS, such as `0.0.0.0:443`; `off` turns it off.
    #[schemars(length(min = 1, max = 64), extend("default" = "0.0.0.0:443"))]
    pub https: Option<String>,
    /// Health, metrics and the API: an address, `unix:PATH`, or `off`.
    #[schemars(length(min = 1, max = 4096), extend("default" = "127.0.0.1:9080"))]
    pub admin: Option<String>,
    /// A file with the token that actions need.
    #[schemars(length(min = 1, max = 4096))]
    pub admin_token_file: Option<String>,
    /// Whether the API may start, stop and restart containers.
    pub allow_container_actions: Option<bool>,
    /// Where certificates and the last known state are kept.
    #[schemars(length(min = 1, max = 4096))]
    pub state_dir: Option<String>,
    /// Threads that serve requests; one a core where absent.
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<u16>,
    #[schemars(extend("default" = "text"))]
    pub log_format: Option<LogFormat>,
    /// What is logged, such as `info` or `portolan=debug`.
    #[schemars(length(min = 1, max = 1024), extend("default" = "info"))]
    pub log_level: Option<String>,
    pub access_log: Option<AccessLog>,
    /// Labels and variables of others that are read as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true))]
    pub compat: Vec<Dialect>,
    /// How long a request waits for an endpoint where its route has none; `0s` does not wait.
    #[schemars(extend("default" = "5s"))]
    pub hold: Option<Duration>,
    /// How long a route stays after its last endpoint went.
    #[schemars(extend("default" = "10s"))]
    pub removal_delay: Option<Duration>,
    /// How long connections are still accepted after SIGTERM.
    #[schemars(extend("default" = "0s"))]
    pub drain_delay: Option<Duration>,
    /// How long work under way may take to end.
    #[schemars(extend("default" = "30s"))]
    pub drain_timeout: Option<Duration>,
    /// How often everything is listed again.
    #[schemars(extend("default" = "60s"))]
    pub resync: Option<Duration>,
    /// The host names of containers without labels, such as `{name}.docker.localhost`; several are separated by commas.
    #[schemars(length(max = 1024))]
    pub default_host_template: Option<String>,
    /// Whether containers are served that do not ask for it.
    #[schemars(extend("default" = true))]
    pub expose_by_default: Option<bool>,
    /// Addresses and networks whose `X-Forwarded-…` headers are believed. A client with such an address is told by the
    /// header `Portolan-Reason` why Portolan answered instead of a backend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("uniqueItems" = true))]
    pub trusted_proxies: Vec<String>,
    /// Ports on which every connection has to begin with a PROXY header (version 1 or 2) from one of `trustedProxies`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("uniqueItems" = true))]
    pub proxy_protocol: Vec<NonZeroU16>,
    /// What is refused in requests, or left out of them, otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), extend("uniqueItems" = true))]
    pub allow: Vec<Oddity>,
}

/// Something in a request that is usual for some programs and a way around the rules of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Oddity {
    /// `%2F` in paths, which routes take for a part of its element. Who has it without being allowed gets 400.
    EncodedSlash,
    /// `_` in names of header fields. Those of clients that are no trusted proxies are left out otherwise, but for gRPC.
    Underscore,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// What is written of each request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    #[schemars(extend("default" = "text"))]
    pub format: Option<AccessLogFormat>,
    /// A file; standard output where absent.
    #[schemars(length(min = 1, max = 4096))]
    pub path: Option<String>,
}

/// The form of the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessLogFormat {
    #[default]
    Text,
    Json,
    Off,
}

/// Whose labels or variables are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    Traefik,
    NginxProxy,
    Caddy,
    DockerFlow,
}
