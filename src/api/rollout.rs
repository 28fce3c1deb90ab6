//! Portolan's `Rollout`: replaces containers without losing a request.

use std::{collections::BTreeMap, num::NonZeroU16};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, Duration};

pub type Rollout = Document<RolloutSpec>;

/// When a newer container takes over, and what becomes of the older.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSpec {
    pub selector: RolloutSelector,
    pub readiness: Option<Readiness>,
    /// How long the older containers finish their requests.
    #[schemars(extend("default" = "10s"))]
    pub grace_period: Option<Duration>,
    /// `Remove` is `docker rm -f`.
    #[schemars(extend("default" = "Remove"))]
    pub superseded: Option<Superseded>,
}

/// Which containers replace each other; at least one part, all must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSelector {
    /// An image without its tag, or with it.
    #[schemars(length(min = 1, max = 512))]
    pub tag: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[schemars(length(min = 1, max = 253))]
    pub compose_service: Option<String>,
    #[schemars(length(min = 1, max = 253))]
    pub name_prefix: Option<String>,
}

/// When a container counts as ready; at most one of `http` and `tcp`. Its own `HEALTHCHECK` counts in any case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Readiness {
    pub http: Option<HttpReadiness>,
    pub tcp: Option<TcpReadiness>,
    /// A container that is not ready by then is given up.
    #[schemars(extend("default" = "10s"))]
    pub timeout: Option<Duration>,
    #[schemars(extend("default" = "100ms"))]
    pub interval: Option<Duration>,
}

/// A request that must be answered with 200 to 399.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpReadiness {
    pub port: Option<NonZeroU16>,
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"), extend("default" = "/"))]
    pub path: Option<String>,
}

/// A connection that must be accepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpReadiness {
    pub port: Option<NonZeroU16>,
}

/// What becomes of the older containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Superseded {
    #[default]
    Remove,
    Stop,
    Keep,
}
