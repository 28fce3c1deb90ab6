//! Finds out in which container this very process runs.
//!
//! Its files only suggest ids; one counts when the engine knows it. Containers in containers, and hosts whose own
//! mounts name other containers, are why.

use std::{collections::BTreeMap, sync::Arc};

use super::endpoint::Locality;
use crate::model::{NetworkMode, Placement, Workload, WorkloadId};

/// What this process can see of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Ids of containers, the likelier first.
    candidates: Vec<String>,
    hostname: String,
}

/// Where Portolan runs, seen from the engine whose containers these are. Cheap: ask again whenever they change.
pub fn placement(
    own: &Own,
    locality: Locality,
    workloads: &BTreeMap<WorkloadId, Arc<Workload>>,
) -> Placement {
    let found = own.find(workloads);
    if let Some(workload) = found {
        return inside(workload, workloads);
    }
    match locality {
        Locality::Local => Placement::Host,
        // The engine's address is a container's: a socket proxy, which is reached as any container is.
        Locality::Remote(address) if workloads.values().any(|workload| has_address(workload, address)) => {
            Placement::Host
        }
        Locality::Remote(address) => Placement::Remote { address },
    }
}

fn inside(own: &Workload, workloads: &BTreeMap<WorkloadId, Arc<Workload>>) -> Placement {
    let shared = match &own.network_mode {
        NetworkMode::Host => return Placement::Host,
        NetworkMode::Container(other) => workloads.get(other).map(|other| &**other),
        NetworkMode::Networks | NetworkMode::None => None,
    };
    if shared.is_some_and(|shared| shared.network_mode == NetworkMode::Host) {
        return Placement::Host;
    }
    let networks = shared.unwrap_or(own).networks.iter();
    Placement::Container {
        id: own.id.clone(),
        networks: networks.map(|network| (network.network_id.clone(), network.network.clone())).collect(),
    }
}

fn has_address(workload: &Workload, address: std::net::IpAddr) -> bool {
    workload.networks.iter().any(|network| network.ipv4 == Some(address) || network.ipv6 == Some(address))
}

// === impl Own ===

impl Own {
    /// Reads `/proc`. What is not there suggests nothing.
    pub fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self::new(
            &text("/proc/self/cgroup"),
            &text("/proc/self/mountinfo"),
            text("/proc/sys/kernel/hostname").trim(),
        )
    }

    /// `cgroup` names the container with cgroups v1, and v2 in the host's namespace; `mountinfo` where the engine mounts
    /// its own `/etc/hostname`, `hosts` and `resolv.conf`; the host name is by default the short id.
    pub fn new(cgroup: &str, mountinfo: &str, hostname: &str) -> Self {
        // An inner container's id comes after the outer one's.
        let cgroup = cgroup.lines().flat_map(|line| ids(line).into_iter().rev());
        let mounts = mountinfo.lines().filter_map(mounted).flat_map(|root| ids(root).into_iter().rev());
        let mut candidates: Vec<String> = Vec::new();
        for id in cgroup.chain(mounts) {
            if !candidates.iter().any(|known| known == id) {
                candidates.push(id.to_owned());
            }
        }
        Self { candidates, hostname: hostname.to_owned() }
    }

    /// What this machine, or this container, calls itself; empty where `/proc` does not say.
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    fn find<'a>(&self, workloads: &'a BTreeMap<WorkloadId, Arc<Workload>>) -> Option<&'a Workload> {
        let by_id = self.candidates.iter().find_map(|id| workloads.get(&WorkloadId(id.as_str().into())));
        let short = self.hostname.len() == 12 && self.hostname.bytes().all(is_hex);
        let by_name = || {
            let named =
                |w: &&Arc<Workload>| w.id.0.starts_with(&self.hostname) && *w.hostname == *self.hostname;
            workloads.values().filter(|_| short).find(named)
        };
        by_id.or_else(by_name).map(|workload| &**workload)
    }
}

/// The source of a mount that only a container has.
fn mounted(line: &str) -> Option<&str> {
    let mut fields = line.split(' ').skip(3);
    let (root, target) = (fields.next()?, fields.next()?);
    matches!(target, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf").then_some(root)
}

/// The words of exactly 64 hexadecimal digits.
fn ids(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|w| w.len() == 64 && w.bytes().all(is_hex))
        .collect()
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests;
