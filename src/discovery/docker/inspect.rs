//! What the engine's answers mean: pure functions from its JSON to our words.
//!
//! No field is taken for granted: engines from API 1.24 on, and Podman, leave out or leave empty what they do not have.

use std::{collections::BTreeSet, net::IpAddr, num::NonZeroU16, sync::Arc};

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerSummary, EndpointSettings, HealthConfig, PortMap,
};

use super::signal::Signal;
use crate::model::{
    Attachment, CheckTimes, Health, NetworkMode, Phase, Published, Transport, Workload, WorkloadId,
};

/// One container as `GET /containers/{id}/json` (API 1.24) tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    pub workload: Workload,
    /// `Config.StopSignal`, or SIGTERM.
    pub stop_signal: Signal,
    /// `State.StartedAt` in nanoseconds since 1970, the clock of the events' `timeNano`.
    pub started: i128,
}

/// What `GET /containers/json` (API 1.24) tells of a container: enough to notice that something was missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub id: WorkloadId,
    names: Vec<Arc<str>>,
    state: Option<Phase>,
    health: Option<Health>,
    addresses: BTreeSet<(Arc<str>, IpAddr)>,
}

/// Turns an inspected container into a workload. `None` without an id.
pub fn inspected(container: ContainerInspectResponse) -> Option<Inspected> {
    let id: Arc<str> = container.id.filter(|id| !id.is_empty())?.into();
    let config = container.config.unwrap_or_default();
    let state = container.state.unwrap_or_default();
    let host = container.host_config.unwrap_or_default();
    let settings = container.network_settings.unwrap_or_default();
    let name = container.name.unwrap_or_default();
    let mut networks: Vec<_> = settings.networks.unwrap_or_default().into_iter().map(attachment).collect();
    networks.sort_by(|a, b| a.network.cmp(&b.network));
    let workload = Workload {
        id: WorkloadId(id),
        name: name.strip_prefix('/').unwrap_or(&name).into(),
        hostname: hostname(config.hostname.as_deref(), config.domainname.as_deref()),
        image: config.image.or(container.image).unwrap_or_default().into(),
        created: container.created.as_deref().and_then(timestamp).map_or(0, jiff::Timestamp::as_second),
        phase: phase(&state),
        health: health(&state),
        is_crash_looping: is_crash_looping(&state, container.restart_count),
        checks: check_times(&state, config.healthcheck.as_ref()),
        labels: config.labels.unwrap_or_default().into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
        exposed: exposed(&config.exposed_ports.unwrap_or_default()),
        published: published(settings.ports.unwrap_or_default()),
        network_mode: network_mode(host.network_mode.as_deref().unwrap_or_default()),
        networks,
    };
    Some(Inspected {
        workload,
        stop_signal: config.stop_signal.as_deref().and_then(Signal::parse).unwrap_or(Signal::TERM),
        started: state
            .started_at
            .as_deref()
            .and_then(timestamp)
            .map_or(i128::MIN, jiff::Timestamp::as_nanosecond),
    })
}

/// One that an engine has told of, for tests: `tests/fixtures/docker` has them.
///
/// # Panics
/// Where there is no such fixture.
#[cfg(test)]
pub fn recorded(name: &str) -> Inspected {
    let path = format!("{}/tests/fixtures/docker/inspect-{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    inspected(serde_json::from_str(&text).unwrap()).unwrap()
}

/// Reads one entry of the list. `None` without an id.
pub fn sighting(summary: ContainerSummary) -> Option<Sighting> {
    let id: Arc<str> = summary.id.filter(|id| !id.is_empty())?.into();
    let names = summary.names.unwrap_or_default();
    let state = summary.state.and_then(|state| phase_of(state.as_ref()));
    let networks = summary.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    Some(Sighting {
        id: WorkloadId(id),
        // Links add names of the form `/other/alias`.
        names: names.iter().map(|name| name.strip_prefix('/').unwrap_or(name).into()).collect(),
        state,
        health: summary.status.as_deref().filter(|_| state == Some(Phase::Running)).map(health_in_words),
        addresses: networks.into_iter().map(attachment).flat_map(|network| addresses(&network)).collect(),
    })
}

/// `Config.Hostname` and `Config.Domainname`.
fn hostname(host: Option<&str>, domain: Option<&str>) -> Arc<str> {
    let host = host.unwrap_or_default();
    match domain.filter(|domain| !domain.is_empty()) {
        Some(domain) => format!("{host}.{domain}").into(),
        None => host.into(),
    }
}

/// `State.Status` (API 1.21); the flags beside it say the same where it is empty.
fn phase(state: &ContainerState) -> Phase {
    if let Some(phase) = state.status.and_then(|status| phase_of(status.as_ref())) {
        return phase;
    }
    let set = |flag: Option<bool>| flag == Some(true);
    if set(state.paused) {
        Phase::Paused
    } else if set(state.restarting) {
        Phase::Restarting
    } else if set(state.running) {
        Phase::Running
    } else if set(state.dead) {
        Phase::Dead
    } else {
        Phase::Exited
    }
}

/// The engine counts restarts over a container's whole life; only one whose last life was short is in a loop.
fn is_crash_looping(state: &ContainerState, restarts: Option<i64>) -> bool {
    const RESTARTS: i64 = 3;
    const SHORT: i64 = 10;
    let time = |text: &Option<String>| text.as_deref().and_then(timestamp).map(jiff::Timestamp::as_second);
    let (Some(started), Some(finished)) = (time(&state.started_at), time(&state.finished_at)) else {
        return false;
    };
    phase(state) == Phase::Restarting
        && restarts.is_some_and(|restarts| restarts >= RESTARTS)
        && (0..SHORT).contains(&(finished - started))
}

fn phase_of(status: &str) -> Option<Phase> {
    match status {
        "created" => Some(Phase::Created),
        "running" => Some(Phase::Running),
        "paused" => Some(Phase::Paused),
        "restarting" => Some(Phase::Restarting),
        // Podman's word between the stop signal and the end.
        "stopping" => Some(Phase::Terminating),
        "exited" => Some(Phase::Exited),
        "removing" | "dead" => Some(Phase::Dead),
        _ => None,
    }
}

/// `State.Health.Status` (API 1.24). Podman says "" where there is no check.
fn health(state: &ContainerState) -> Health {
    match state.health.as_ref().and_then(|health| health.status).map(|status| status.to_string()).as_deref() {
        Some("starting") => Health::Starting,
        Some("healthy") => Health::Healthy,
        Some("unhealthy") => Health::Unhealthy,
        Some(_) | None => Health::Unchecked,
    }
}

/// `Config.Healthcheck` and `State.Health.Log` (API 1.24), for one that is waited for. While a container starts, newer
/// engines (API 1.44) may check at another rhythm.
fn check_times(state: &ContainerState, check: Option<&HealthConfig>) -> Option<CheckTimes> {
    const DEFAULT: i64 = 30_000_000_000;
    let health = health(state);
    if phase(state) != Phase::Running || !matches!(health, Health::Starting | Health::Unhealthy) {
        return None;
    }
    let set = |nanos: Option<i64>| nanos.filter(|nanos| *nanos > 0);
    let usual = set(check.and_then(|check| check.interval)).unwrap_or(DEFAULT);
    let first = check.filter(|check| health == Health::Starting && set(check.start_period).is_some());
    let nanos = set(first.and_then(|check| check.start_interval)).unwrap_or(usual);
    let ends = state.health.iter().flat_map(|health| health.log.iter().flatten());
    let last = ends.filter_map(|result| result.end.as_deref()).filter_map(timestamp).next_back();
    let last = last.or_else(|| state.started_at.as_deref().and_then(timestamp))?;
    let seconds = (nanos / 1_000_000_000).max(1);
    let interval = u32::try_from(seconds).unwrap_or(u32::MAX);
    Some(CheckTimes { interval, last: last.as_second() })
}

/// The end of the list's `Status`, such as `Up 2 hours (healthy)`.
fn health_in_words(status: &str) -> Health {
    if status.ends_with("(healthy)") {
        Health::Healthy
    } else if status.ends_with("(unhealthy)") {
        Health::Unhealthy
    } else if status.ends_with("(health: starting)") || status.ends_with("(starting)") {
        Health::Starting
    } else {
        Health::Unchecked
    }
}

/// `HostConfig.NetworkMode` (API 1.24).
fn network_mode(mode: &str) -> NetworkMode {
    match mode.split_once(':') {
        Some(("container", id)) => NetworkMode::Container(WorkloadId(id.into())),
        None if mode == "host" => NetworkMode::Host,
        None if mode == "none" => NetworkMode::None,
        Some(_) | None => NetworkMode::Networks,
    }
}

/// An entry of `NetworkSettings.Networks` (API 1.21). Addresses are empty while the container does not run.
fn attachment((network, settings): (String, EndpointSettings)) -> Attachment {
    let network: Arc<str> = network.into();
    let id = settings.network_id.filter(|id| !id.is_empty());
    let mut aliases: Vec<Arc<str>> =
        settings.aliases.unwrap_or_default().into_iter().map(Arc::from).collect();
    aliases.sort();
    Attachment {
        // Empty until the first start, and in old Podman; the name is unique enough among those.
        network_id: id.map_or_else(|| network.clone(), Arc::from),
        network,
        ipv4: address(settings.ip_address.as_deref()),
        ipv6: address(settings.global_ipv6_address.as_deref()),
        gateway: address(settings.gateway.as_deref()).or_else(|| address(settings.ipv6_gateway.as_deref())),
        aliases,
    }
}

fn address(text: Option<&str>) -> Option<IpAddr> {
    let text = text?;
    let bare = text.split_once('/').map_or(text, |(address, _prefix)| address);
    bare.parse().ok().filter(|address: &IpAddr| !address.is_unspecified())
}

fn addresses(network: &Attachment) -> Vec<(Arc<str>, IpAddr)> {
    let both = network.ipv4.into_iter().chain(network.ipv6);
    both.map(|address| (network.network_id.clone(), address)).collect()
}

/// `Config.ExposedPorts` (API 1.24): keys such as `80/tcp`, `53/udp`, `80`, `7000-7003/tcp`.
fn exposed(keys: &[String]) -> Vec<(NonZeroU16, Transport)> {
    let all: BTreeSet<_> = keys.iter().filter_map(|key| ports(key)).flatten().collect();
    all.into_iter().collect()
}

/// `NetworkSettings.Ports` (API 1.24): a port without bindings is `null`, an address that is not set is "".
fn published(ports_map: PortMap) -> Vec<Published> {
    let mut published = BTreeSet::new();
    for (key, bindings) in ports_map {
        let Some((port, transport)) = ports(&key).and_then(|mut all| all.next()) else { continue };
        for binding in bindings.unwrap_or_default() {
            let host_ip = binding.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0");
            let host_port = binding.host_port.as_deref().unwrap_or_default();
            if let (Ok(host_ip), Ok(host_port)) = (host_ip.parse(), host_port.parse()) {
                published.insert(Published { port, transport, host_ip, host_port });
            }
        }
    }
    published.into_iter().collect()
}

fn ports(key: &str) -> Option<impl Iterator<Item = (NonZeroU16, Transport)>> {
    let (range, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let transport = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        "sctp" => Transport::Sctp,
        _ => return None,
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    Some((first..=last).filter_map(NonZeroU16::new).map(move |port| (port, transport)))
}

fn timestamp(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok()
}

// === impl Sighting ===

impl Sighting {
    /// Whether the list says nothing that the last inspection of this container did not say. Labels and exposed ports
    /// never change, so they are not compared.
    pub fn agrees(&self, known: &Workload) -> bool {
        let known_addresses: BTreeSet<_> = known.networks.iter().flat_map(addresses).collect();
        self.names.contains(&known.name)
            && self.state == Some(known.phase)
            && self.health.is_none_or(|health| health == known.health)
            && (known.phase != Phase::Running || self.addresses == known_addresses)
    }
}

#[cfg(test)]
mod tests;
