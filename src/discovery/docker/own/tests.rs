//! Texts of `/proc` from containers and hosts.

use super::*;
use crate::model::{Attachment, Health, Phase};

const OWN: &str = "6fec64257f313e06c1e409112ef62003fbf7754266edafd75e44845acf6f458f";
const OTHER: &str = "eccc08eada469cefbea14a3a9eff49ac4660bf5fc21a4950f4593f062dbd062e";

fn workload(id: &str, mode: NetworkMode) -> Arc<Workload> {
    let attachment = Attachment {
        network: "edge".into(),
        network_id: format!("net-{}", &id[..4]).into(),
        ipv4: Some(std::net::IpAddr::from([172, 18, 0, u8::from(id == OWN)])),
        ipv6: None,
        gateway: None,
        aliases: Vec::new(),
    };
    Arc::new(Workload {
        id: WorkloadId(id.into()),
        name: "x".into(),
        hostname: id[..12].into(),
        image: "x".into(),
        created: 0,
        phase: Phase::Running,
        health: Health::Unchecked,
        is_crash_looping: false,
        checks: None,
        labels: BTreeMap::new(),
        exposed: Vec::new(),
        published: Vec::new(),
        networks: if mode == NetworkMode::Networks { vec![attachment] } else { Vec::new() },
        network_mode: mode,
    })
}

fn engine(own: NetworkMode) -> BTreeMap<WorkloadId, Arc<Workload>> {
    let all = [workload(OWN, own), workload(OTHER, NetworkMode::Networks)];
    all.into_iter().map(|workload| (workload.id.clone(), workload)).collect()
}

fn id(placement: &Placement) -> Option<&str> {
    match placement {
        Placement::Container { id, .. } => Some(&id.0),
        Placement::Host | Placement::Remote { .. } => None,
    }
}

fn mount(root: &str, target: &str) -> String {
    format!("1045 1036 8:1 {root} {target} rw,relatime - ext4 /dev/sda1 rw")
}

#[test]
fn the_container_is_found_by_cgroup_mounts_or_host_name() {
    let mounts = mount(&format!("/var/lib/docker/containers/{OWN}/hostname"), "/etc/hostname");
    let podman = mount(&format!("/containers/storage/overlay-containers/{OWN}/userdata/hosts"), "/etc/hosts");
    for (why, own) in [
        ("cgroups v1", Own::new(&format!("12:pids:/docker/{OWN}\n0::/system.slice\n"), "", "shop")),
        ("systemd's driver", Own::new(&format!("0::/system.slice/docker-{OWN}.scope"), "", "shop")),
        ("a container in a container", Own::new(&format!("1:cpu:/docker/{OTHER}x/docker/{OWN}"), "", "")),
        ("the inner one counts", Own::new(&format!("1:cpu:/docker/{OTHER}/docker/{OWN}"), "", "")),
        ("cgroups v2, private", Own::new("0::/\n", &mounts, "shop")),
        ("Podman", Own::new("0::/\n", &podman, "shop")),
        ("only the host name", Own::new("0::/\n", "", &OWN[..12])),
    ] {
        let placement = placement(&own, Locality::Local, &engine(NetworkMode::Networks));
        assert_eq!(id(&placement), Some(OWN), "{why}: {own:?}");
    }
}

#[test]
fn its_networks_come_with_it() {
    let own = Own::new(&format!("1:cpu:/docker/{OWN}"), "", "");
    let found = |mode| placement(&own, Locality::Local, &engine(mode));
    let on = |id: &str| Placement::Container {
        id: WorkloadId(OWN.into()),
        networks: BTreeMap::from([(id.into(), "edge".into())]),
    };
    assert_eq!(found(NetworkMode::Networks), on("net-6fec"));
    assert_eq!(found(NetworkMode::Container(WorkloadId(OTHER.into()))), on("net-eccc"));
    assert_eq!(found(NetworkMode::Host), Placement::Host);
}

#[test]
fn a_host_is_not_taken_for_a_container_that_it_mounts() {
    let shm = mount("/", &format!("/var/lib/docker/containers/{OTHER}/mounts/shm"));
    let layer = mount("/", &format!("/var/lib/docker/overlay2/{OTHER}/merged"));
    let own = Own::new("0::/user.slice/session-1.scope", &format!("{shm}\n{layer}"), "workstation");
    let found = placement(&own, Locality::Local, &engine(NetworkMode::Networks));
    assert_eq!(found, Placement::Host);
}

#[test]
fn an_id_that_the_engine_does_not_know_does_not_count() {
    let own = Own::new(&format!("0::/docker/{}", OWN.replace('6', "7")), "", "777777777777");
    let address = "192.0.2.7".parse().unwrap();
    let far = placement(&own, Locality::Remote(address), &engine(NetworkMode::Networks));
    assert_eq!(far, Placement::Remote { address });
}

#[test]
fn an_engine_behind_a_container_is_near() {
    let proxy = Locality::Remote("172.18.0.1".parse().unwrap());
    assert_eq!(placement(&Own::default(), proxy, &engine(NetworkMode::Networks)), Placement::Host);
}
