//! Containers in a few words.

use std::{collections::BTreeMap, net::IpAddr};

use super::{ip, port, strings};
use crate::model::*;

/// A running container on the network `bridge`, at an address that follows from its name, exposing port 80. Its id is
/// `id-` and its name.
pub(in crate::plan) fn container(name: &str) -> Workload {
    let last = name.bytes().map(u32::from).sum::<u32>() % 250 + 2;
    Workload {
        id: WorkloadId(format!("id-{name}").into()),
        name: name.into(),
        hostname: "0123456789ab".into(),
        image: "acme/app".into(),
        created: 1,
        phase: Phase::Running,
        health: Health::Unchecked,
        is_crash_looping: false,
        checks: None,
        labels: BTreeMap::new(),
        exposed: vec![(port(80), Transport::Tcp)],
        published: Vec::new(),
        network_mode: NetworkMode::Networks,
        networks: vec![attachment("bridge", &format!("172.17.0.{last}"))],
    }
}

/// A network's id is `id-` and its name.
pub(in crate::plan) fn attachment(network: &str, address: &str) -> Attachment {
    let address = Some(address).filter(|address| !address.is_empty()).map(ip);
    Attachment {
        network: network.into(),
        network_id: format!("id-{network}").into(),
        ipv4: address.filter(IpAddr::is_ipv4),
        ipv6: address.filter(IpAddr::is_ipv6),
        gateway: None,
        aliases: Vec::new(),
    }
}

impl Workload {
    pub(in crate::plan) fn labels(mut self, labels: &[(&str, &str)]) -> Self {
        self.labels.extend(strings(labels));
        self
    }

    pub(in crate::plan) fn in_compose(self, project: &str, service: &str) -> Self {
        self.labels(&[("com.docker.compose.project", project), ("com.docker.compose.service", service)])
    }

    pub(in crate::plan) fn on(mut self, networks: &[(&str, &str)]) -> Self {
        self.networks = networks.iter().map(|(network, address)| attachment(network, address)).collect();
        self
    }

    pub(in crate::plan) fn alias(mut self, alias: &str) -> Self {
        self.networks[0].aliases.push(alias.into());
        self
    }

    pub(in crate::plan) fn exposing(mut self, ports: &[u16]) -> Self {
        self.exposed = ports.iter().map(|number| (port(*number), Transport::Tcp)).collect();
        self
    }

    pub(in crate::plan) fn publishing(mut self, number: u16, host_ip: &str, host_port: u16) -> Self {
        self.published.push(Published {
            port: port(number),
            transport: Transport::Tcp,
            host_ip: ip(host_ip),
            host_port: port(host_port),
        });
        self
    }

    pub(in crate::plan) fn mode(mut self, mode: NetworkMode) -> Self {
        if mode != NetworkMode::Networks {
            self.networks.clear();
        }
        self.network_mode = mode;
        self
    }

    pub(in crate::plan) fn phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        self
    }

    pub(in crate::plan) fn health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    pub(in crate::plan) fn id(mut self, id: &str) -> Self {
        self.id = WorkloadId(id.into());
        self
    }
}
