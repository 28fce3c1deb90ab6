//! What runs: a container as its engine describes it.

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU16, sync::Arc};

use serde::{Deserialize, Serialize};

/// A container's full id, or another source's stable name for an instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkloadId(pub Arc<str>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    pub id: WorkloadId,
    /// Without the leading slash.
    pub name: Arc<str>,
    /// `Config.Hostname`, joined with `Config.Domainname` if there is one.
    pub hostname: Arc<str>,
    pub image: Arc<str>,
    /// Seconds since 1970.
    pub created: i64,
    pub phase: Phase,
    pub health: Health,
    /// Whether it ends again and again within seconds of each start, and the engine goes on starting it.
    #[serde(default)]
    pub is_crash_looping: bool,
    /// When its `HEALTHCHECK` asks, as long as that keeps it from getting requests.
    #[serde(default)]
    pub checks: Option<CheckTimes>,
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// `Config.ExposedPorts`, sorted.
    pub exposed: Vec<(NonZeroU16, Transport)>,
    /// `NetworkSettings.Ports` with a host binding, sorted.
    pub published: Vec<Published>,
    pub network_mode: NetworkMode,
    /// Sorted by network name.
    pub networks: Vec<Attachment>,
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    Created,
    Running,
    Paused,
    /// The engine is about to start it again.
    Restarting,
    /// Its stop signal has been sent: no new requests, those under way finish.
    Terminating,
    /// An operator asked for it to be drained: no new requests, those under way finish, and it runs on.
    Draining,
    Exited,
    Dead,
    /// Removed from the engine, remembered for the removal delay.
    Gone,
}

/// What the container's `HEALTHCHECK` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Health {
    /// It has none.
    Unchecked,
    Starting,
    Healthy,
    Unhealthy,
}

/// The rhythm of a `HEALTHCHECK`, from which follows when it asks next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CheckTimes {
    /// Seconds from the end of a check to the next one.
    pub interval: u32,
    /// The end of the last one that is known of, else the container's start; in seconds since 1970.
    pub last: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Transport {
    Tcp,
    Udp,
    Sctp,
}

/// A port of the container that the host forwards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Published {
    pub port: NonZeroU16,
    pub transport: Transport,
    pub host_ip: IpAddr,
    pub host_port: NonZeroU16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    /// Attached to `networks`.
    Networks,
    Host,
    None,
    /// Shares the network of another container.
    Container(WorkloadId),
}

/// An attachment to a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub network: Arc<str>,
    /// Networks are compared by this.
    pub network_id: Arc<str>,
    pub ipv4: Option<IpAddr>,
    pub ipv6: Option<IpAddr>,
    pub gateway: Option<IpAddr>,
    pub aliases: Vec<Arc<str>>,
}

/// A container's place in a Compose project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compose<'a> {
    pub project: &'a Arc<str>,
    pub service: &'a Arc<str>,
}

// === impl Workload ===

impl Workload {
    /// The Compose project and service, if Compose made this container.
    pub fn compose(&self) -> Option<Compose<'_>> {
        Some(Compose {
            project: self.labels.get("com.docker.compose.project")?,
            service: self.labels.get("com.docker.compose.service")?,
        })
    }

    /// Whether `docker compose run` made this container: it never gets traffic.
    pub fn is_one_off(&self) -> bool {
        self.labels.get("com.docker.compose.oneoff").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The project, or `default`.
    pub fn namespace(&self) -> &str {
        self.compose().map_or("default", |compose| compose.project)
    }

    /// Whether it may get new requests now.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && matches!(self.health, Health::Unchecked | Health::Healthy)
    }
}
