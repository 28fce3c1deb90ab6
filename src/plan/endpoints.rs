//! The address and port at which a container is reached.
//!
//! Why so particular: the wrong network is the most frequent failure of proxies beside Docker. An address is only
//! chosen where Portolan can get to it, always the same one for the same input, and a refusal names the remedy.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU16,
    sync::Arc,
};

use crate::model::{
    Attachment, EndpointState, Health, NetworkMode, Origin, Phase, Placement, Problem, Published, Severity,
    Snapshot, Transport, Workload, WorkloadId,
};

/// Why a container gets no traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) state: EndpointState,
    /// A condition reason.
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// What labels or a reference say about reaching a container.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wish<'a> {
    pub(super) port: Option<NonZeroU16>,
    pub(super) network: Option<&'a str>,
}

/// Portolan's own container and its networks (id → name).
type Own<'o> = (&'o WorkloadId, &'o BTreeMap<Arc<str>, Arc<str>>);

/// Finds the address of one container.
struct Locator<'a> {
    snapshot: &'a Snapshot,
    workload: &'a Workload,
    port: NonZeroU16,
}

// === impl Refusal ===

/// `Reason: message; hint`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Where to send requests for `workload`, or why there is no such place now.
pub(super) fn locate(
    snapshot: &Snapshot,
    workload: &Workload,
    wish: Wish<'_>,
) -> Result<SocketAddr, Refusal> {
    let address = address(snapshot, workload, wish)?;
    // An address without its readiness would be of use to nobody, but the other way round the operator would fix the
    // network only after the health check.
    is_healthy(workload)?;
    Ok(address)
}

/// Says so where `address`, at which requests are sent to a container, is also reached by everybody past the proxy.
pub(super) fn bypass(workload: &Workload, address: SocketAddr) -> Option<Problem> {
    let is_own = |one: &Attachment| [one.ipv4, one.ipv6].contains(&Some(address.ip()));
    if !workload.networks.iter().any(is_own) {
        return None;
    }
    let is_it = |one: &&Published| {
        one.port.get() == address.port() && one.transport == Transport::Tcp && !one.host_ip.is_loopback()
    };
    let published = workload.published.iter().find(is_it)?;
    let (name, port, host_port) = (&workload.name, address.port(), published.host_port);
    let host = SocketAddr::new(published.host_ip, host_port.get());
    Some(Problem {
        severity: Severity::Warning,
        reason: "PublishedPort",
        message: format!(
            "port {port} of container `{name}` is also published on the host at {host}: clients may bypass the proxy there"
        ),
        hint: Some(format!(
            "publish no port of it, or for this machine only: `-p 127.0.0.1:{host_port}:{port}`"
        )),
        origin: Origin::Container { id: workload.id.0.clone(), name: name.clone(), label: None },
    })
}

/// Where `workload` is reached, healthy or not.
pub(super) fn address(
    snapshot: &Snapshot,
    workload: &Workload,
    wish: Wish<'_>,
) -> Result<SocketAddr, Refusal> {
    is_running(workload)?;
    let port = match wish.port {
        Some(port) => port,
        None => only_port(workload)?,
    };
    let locator = Locator { snapshot, workload, port };
    locator.address(wish.network)
}

fn is_running(workload: &Workload) -> Result<(), Refusal> {
    let name = &workload.name;
    let (state, reason, message) = match workload.phase {
        Phase::Running => return Ok(()),
        Phase::Paused => (EndpointState::Paused, "Paused", format!("container `{name}` is paused")),
        Phase::Draining => (
            EndpointState::Draining,
            "Draining",
            format!("container `{name}` is being drained: no new requests, those under way finish"),
        ),
        Phase::Terminating => {
            (EndpointState::Terminating, "Terminating", format!("container `{name}` has been told to stop"))
        }
        Phase::Restarting if workload.is_crash_looping => {
            let words = "keeps ending within seconds of its start, and the engine keeps restarting it";
            (EndpointState::Down, "CrashLooping", format!("container `{name}` {words}"))
        }
        Phase::Restarting => {
            (EndpointState::Down, "Restarting", format!("container `{name}` is being restarted"))
        }
        Phase::Created => {
            (EndpointState::Down, "NotStarted", format!("container `{name}` has not been started"))
        }
        Phase::Exited => (EndpointState::Down, "Exited", format!("container `{name}` has exited")),
        Phase::Dead => (EndpointState::Down, "Dead", format!("container `{name}` is dead or being removed")),
        Phase::Gone => (EndpointState::Down, "Removed", format!("container `{name}` has been removed")),
    };
    let hint = match workload.phase {
        Phase::Paused => Some(format!("`docker unpause {name}` lets it serve again")),
        Phase::Created | Phase::Exited => Some(format!("`docker start {name}` starts it")),
        Phase::Restarting => Some(format!("`docker logs {name}` shows why it ends")),
        Phase::Draining => Some(format!("`portolan drain --cancel {name}` lets it serve again")),
        Phase::Terminating => Some(format!("`docker start {name}` starts it again once it has ended")),
        Phase::Dead => Some(format!("`docker rm --force {name}` removes what is left of it")),
        Phase::Gone => Some(format!(
            "`docker run --name {name} …`, or `docker compose up --detach` where Compose made it, makes it again"
        )),
        Phase::Running => None,
    };
    Err(Refusal { state, reason, message, hint })
}

fn is_healthy(workload: &Workload) -> Result<(), Refusal> {
    let name = &workload.name;
    let rhythm =
        workload.checks.map_or_else(String::new, |checks| format!("; it runs every {} s", checks.interval));
    let (state, reason, message) = match workload.health {
        Health::Unchecked | Health::Healthy => return Ok(()),
        Health::Starting => (
            EndpointState::Starting,
            "Starting",
            format!("container `{name}` is starting: its HEALTHCHECK has not succeeded yet{rhythm}"),
        ),
        Health::Unhealthy => (
            EndpointState::Unhealthy,
            "Unhealthy",
            format!("container `{name}` is unhealthy: its HEALTHCHECK fails{rhythm}"),
        ),
    };
    let hint = format!(
        "`docker inspect --format '{{{{json .State.Health}}}}' {name}` shows what the check answered"
    );
    Err(Refusal { state, reason, message, hint: Some(hint) })
}

/// The port where nobody names one: the only exposed TCP port, or 80 where several include it.
fn only_port(workload: &Workload) -> Result<NonZeroU16, Refusal> {
    const HTTP: u16 = 80;
    let ports: Vec<NonZeroU16> = workload
        .exposed
        .iter()
        .filter(|(_, transport)| *transport == Transport::Tcp)
        .map(|(port, _)| *port)
        .collect();
    let name = &workload.name;
    match (&*ports, ports.iter().find(|port| port.get() == HTTP)) {
        ([only], _) => Ok(*only),
        (_, Some(http)) => Ok(*http),
        ([], None) => Err(unreachable(
            "NoPort",
            format!("container `{name}` exposes no TCP port"),
            "name it with the label `portolan.port=8080` (the port inside the container), or `EXPOSE` it in the image",
        )),
        (several, None) => {
            let list: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(unreachable(
                "AmbiguousPort",
                format!("container `{name}` exposes the TCP ports {}", list.join(", ")),
                format!("choose one with the label `portolan.port={}`", list[0]),
            ))
        }
    }
}

fn unreachable(reason: &'static str, message: String, hint: impl Into<String>) -> Refusal {
    Refusal { state: EndpointState::Unreachable, reason, message, hint: Some(hint.into()) }
}

// === impl Locator ===

impl<'a> Locator<'a> {
    /// A chain of containers that share a network is followed this far.
    const MAX_HOPS: usize = 8;

    fn address(&self, network: Option<&str>) -> Result<SocketAddr, Refusal> {
        let owner = self.network_owner()?;
        match &owner.network_mode {
            NetworkMode::Host => self.on_host_network(),
            NetworkMode::None => Err(unreachable(
                "NoNetwork",
                format!("container `{}` has no network (`network_mode: none`)", self.workload.name),
                "recreate it without that, on a network that Portolan can reach",
            )),
            NetworkMode::Networks | NetworkMode::Container(_) => {
                match (network, &self.snapshot.settings.placement) {
                    // No network of the engine leads to another machine.
                    (_, Placement::Remote { address }) => self.over_host(owner, *address),
                    (Some(network), Placement::Host | Placement::Container { .. }) => {
                        self.on_named_network(owner, network)
                    }
                    (None, Placement::Host) => self.on_any_network(owner),
                    (None, Placement::Container { id, networks }) => {
                        self.on_shared_network(owner, (id, networks))
                    }
                }
            }
        }
    }

    /// The container whose network this one uses: itself, unless it is `network_mode: container:X`.
    fn network_owner(&self) -> Result<&'a Workload, Refusal> {
        let name = &self.workload.name;
        let mut owner = self.workload;
        for _ in 0..Self::MAX_HOPS {
            let NetworkMode::Container(id) = &owner.network_mode else { return Ok(owner) };
            let Some(next) = find(self.snapshot, id) else {
                return Err(unreachable(
                    "NetworkOwnerMissing",
                    format!("container `{name}` uses the network of container `{}`, which is gone", id.0),
                    format!("start that container again, then recreate `{name}`"),
                ));
            };
            if !has_network(next) {
                return Err(unreachable(
                    "NetworkOwnerMissing",
                    format!(
                        "container `{name}` uses the network of container `{}`, which does not run",
                        next.name
                    ),
                    format!("`docker start {}`, then `docker restart {name}`", next.name),
                ));
            }
            owner = next;
        }
        Err(unreachable(
            "NetworkOwnerMissing",
            format!(
                "container `{name}` uses the network of a container that uses another's, and so on without end"
            ),
            "give one of them a network of its own",
        ))
    }

    fn on_host_network(&self) -> Result<SocketAddr, Refusal> {
        match &self.snapshot.settings.placement {
            Placement::Host => Ok(self.at(IpAddr::V4(Ipv4Addr::LOCALHOST))),
            Placement::Remote { address } => Ok(self.at(*address)),
            Placement::Container { id, .. } => self.host_address(id).map(|host| self.at(host)).ok_or_else(|| {
                unreachable(
                    "NoGateway",
                    format!(
                        "container `{}` is on the host's network, and none of Portolan's networks leads to the host",
                        self.workload.name
                    ),
                    "attach Portolan's container to a network with a gateway, such as a bridge network",
                )
            }),
        }
    }

    /// The host as Portolan's own container sees it.
    fn host_address(&self, own: &WorkloadId) -> Option<IpAddr> {
        find(self.snapshot, own)?.networks.iter().find_map(|attachment| attachment.gateway)
    }

    fn on_named_network(&self, owner: &Workload, name: &str) -> Result<SocketAddr, Refusal> {
        let project = self.workload.compose().map(|compose| format!("{}_{name}", compose.project));
        let is_it = |attachment: &&Attachment| {
            *attachment.network == *name
                || *attachment.network_id == *name
                || project.as_deref() == Some(&*attachment.network)
        };
        let Some(attachment) = owner.networks.iter().find(is_it) else {
            return Err(unreachable(
                "NoSuchNetwork",
                format!(
                    "container `{}` is not on network `{name}`, but on {}",
                    self.workload.name,
                    names(owner)
                ),
                format!(
                    "correct the label `portolan.network`, or `docker network connect {name} {}`",
                    owner.name
                ),
            ));
        };
        if let Placement::Container { id, networks } = &self.snapshot.settings.placement
            && !networks.contains_key(&attachment.network_id)
        {
            // The network was asked for, so it is Portolan that has to join.
            let hint = format!("`docker network connect {} {}`", attachment.network, self.own_name(id));
            return Err(self.no_shared_network(owner, networks, hint));
        }
        self.attached(attachment).ok_or_else(|| self.no_address(owner))
    }

    fn on_any_network(&self, owner: &Workload) -> Result<SocketAddr, Refusal> {
        reachable(owner)
            .find_map(|attachment| self.attached(attachment))
            .or_else(|| self.published(owner, IpAddr::V4(Ipv4Addr::LOCALHOST)))
            .ok_or_else(|| self.no_address(owner))
    }

    fn on_shared_network(&self, owner: &Workload, (id, networks): Own<'_>) -> Result<SocketAddr, Refusal> {
        reachable(owner)
            .filter(|attachment| networks.contains_key(&attachment.network_id))
            .find_map(|attachment| self.attached(attachment))
            .or_else(|| self.host_address(id).and_then(|host| self.published(owner, host)))
            .ok_or_else(|| {
                let connect = networks
                    .values()
                    .find(|name| !matches!(&***name, "bridge" | "host" | "none" | "ingress"));
                let hint = if let Some(network) = connect {
                    format!("`docker network connect {network} {}`", owner.name)
                } else {
                    let network = reachable(owner).next().map_or("NETWORK", |attachment| &attachment.network);
                    format!("`docker network connect {network} {}`", self.own_name(id))
                };
                self.no_shared_network(owner, networks, hint)
            })
    }

    fn over_host(&self, owner: &Workload, engine: IpAddr) -> Result<SocketAddr, Refusal> {
        self.published(owner, engine).ok_or_else(|| {
            let (name, port) = (&self.workload.name, self.port);
            let elsewhere = owner.published.iter().find(|published| self.forwards_to_port(published));
            let how = match elsewhere {
                Some(published) => format!("publishes its port {port} only on {}", published.host_ip),
                None => format!("does not publish its port {port}"),
            };
            unreachable(
                "NotPublished",
                format!("the engine is on another machine ({engine}) and container `{name}` {how}"),
                format!("publish it for all addresses (`-p {port}`), or run Portolan beside the engine"),
            )
        })
    }

    fn at(&self, address: IpAddr) -> SocketAddr {
        SocketAddr::new(address, self.port.get())
    }

    fn attached(&self, attachment: &Attachment) -> Option<SocketAddr> {
        attachment.ipv4.or(attachment.ipv6).map(|address| self.at(address))
    }

    /// The host's port that is forwarded to the container's, seen from where the host is `host`.
    fn published(&self, owner: &Workload, host: IpAddr) -> Option<SocketAddr> {
        let published = owner.published.iter().filter(|published| self.forwards_to_port(published));
        let mut addresses = published
            .filter_map(|published| Some((seen_from(published.host_ip, host)?, published.host_port.get())));
        addresses.next().map(SocketAddr::from)
    }

    fn forwards_to_port(&self, published: &Published) -> bool {
        published.port == self.port && published.transport == Transport::Tcp
    }

    fn no_address(&self, owner: &Workload) -> Refusal {
        let name = &self.workload.name;
        let message = if owner.networks.is_empty() {
            format!("container `{name}` is on no network")
        } else {
            format!("container `{name}` has no address on {}", names(owner))
        };
        unreachable("NoAddress", message, "attach it to a bridge or overlay network, or publish its port")
    }

    fn no_shared_network(
        &self,
        owner: &Workload,
        own: &BTreeMap<Arc<str>, Arc<str>>,
        hint: String,
    ) -> Refusal {
        let ours: Vec<String> = own.values().map(|name| format!("`{name}`")).collect();
        let ours = if ours.is_empty() { "no network".to_owned() } else { ours.join(", ") };
        unreachable(
            "NoSharedNetwork",
            format!("container `{}` is on {}, Portolan on {ours}", self.workload.name, names(owner)),
            hint,
        )
    }

    /// What Portolan's own container is called.
    fn own_name(&self, id: &WorkloadId) -> Arc<str> {
        find(self.snapshot, id).map_or_else(|| id.0.clone(), |own| own.name.clone())
    }
}

/// The container of this id or name that the engine has.
fn find<'a>(snapshot: &'a Snapshot, id: &WorkloadId) -> Option<&'a Workload> {
    let is_there = |workload: &&Workload| workload.phase != Phase::Gone;
    let by_id = snapshot.workloads.get(id).map(|workload| &**workload).filter(is_there);
    by_id.or_else(|| {
        snapshot
            .workloads
            .values()
            .map(|workload| &**workload)
            .filter(is_there)
            .find(|other| other.name == id.0)
    })
}

/// Whether the network of a container exists, so that others can use it.
fn has_network(workload: &Workload) -> bool {
    match workload.phase {
        Phase::Running | Phase::Paused | Phase::Draining | Phase::Terminating => true,
        Phase::Created | Phase::Restarting | Phase::Exited | Phase::Dead | Phase::Gone => false,
    }
}

/// The networks over which containers talk to each other; `ingress` is for what Swarm publishes.
fn reachable(workload: &Workload) -> impl Iterator<Item = &Attachment> {
    workload.networks.iter().filter(|attachment| &*attachment.network != "ingress")
}

/// Where a port that is published on `bound` is found from a place that reaches the host as `host`.
fn seen_from(bound: IpAddr, host: IpAddr) -> Option<IpAddr> {
    if !bound.is_unspecified() {
        // From the host itself all its addresses can be reached.
        return (bound == host || host.is_loopback()).then_some(bound);
    }
    match (bound, host) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => Some(host),
        (IpAddr::V4(_), IpAddr::V6(_)) => host.is_loopback().then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        (IpAddr::V6(_), IpAddr::V4(_)) => host.is_loopback().then_some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    }
}

fn names(workload: &Workload) -> String {
    if workload.networks.is_empty() {
        return "no network".into();
    }
    let names: Vec<String> =
        workload.networks.iter().map(|attachment| format!("`{}`", attachment.network)).collect();
    names.join(", ")
}
