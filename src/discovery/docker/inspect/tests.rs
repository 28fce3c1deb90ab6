//! Answers recorded from Docker 20.10 (API 1.41), and odd ones as other engines give them.

use serde_json::json;

use super::*;

fn read(value: serde_json::Value) -> Inspected {
    inspected(serde_json::from_value(value).unwrap()).unwrap()
}

fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_running_container_is_read_in_full() {
    let Inspected { workload, stop_signal, started } = recorded("plain");
    assert_eq!(&*workload.id.0, "eccc08eada469cefbea14a3a9eff49ac4660bf5fc21a4950f4593f062dbd062e");
    assert_eq!((&*workload.name, &*workload.hostname, &*workload.image), ("plain", "eccc08eada46", "shop:1"));
    assert_eq!((workload.phase, workload.health), (Phase::Running, Health::Unchecked));
    assert_eq!(workload.labels.get("portolan.host").map(|value| &**value), Some("shop.test"));
    assert_eq!(workload.exposed, [(port(8080), Transport::Tcp), (port(9090), Transport::Udp)]);
    let published = |host: &str, host_port| Published {
        port: port(8080),
        transport: Transport::Tcp,
        host_ip: ip(host),
        host_port: port(host_port),
    };
    let expected = [published("0.0.0.0", 18081), published("127.0.0.1", 32768), published("::", 18081)];
    assert_eq!(workload.published, expected);
    assert_eq!(workload.network_mode, NetworkMode::Networks);
    let bridge = &workload.networks[0];
    assert_eq!((&*bridge.network, bridge.ipv4, bridge.ipv6), ("bridge", Some(ip("172.17.0.2")), None));
    assert!(bridge.network_id.starts_with("8ebc31c1368c") && bridge.gateway == Some(ip("172.17.0.1")));
    assert_eq!((stop_signal, started), (Signal::TERM, 1_795_257_436_742_194_674));
    assert_eq!(workload.created, 1_795_257_436);
}

#[test]
fn the_rhythm_of_a_check_is_read_while_it_is_waited_for() {
    let at = |status: &str, check: serde_json::Value, log: serde_json::Value| {
        let health = json!({ "Status": status, "Log": log });
        let state = json!({ "Status": "running", "StartedAt": "2026-01-01T00:00:10.5Z", "Health": health });
        read(json!({ "Id": "a", "State": state, "Config": { "Healthcheck": check } })).workload.checks
    };
    let log = json!([{ "End": "2026-01-01T00:00:40Z" }, { "End": "2026-01-01T00:01:12.9Z" }]);
    let second = 1_000_000_000_i64;
    let times = |interval, last: &str| {
        let last = last.parse::<jiff::Timestamp>().unwrap().as_second();
        Some(CheckTimes { interval, last })
    };
    let every = json!({ "Interval": 5 * second });
    assert_eq!(at("unhealthy", every.clone(), log), times(5, "2026-01-01T00:01:12Z"));
    assert_eq!(at("starting", json!({}), json!([])), times(30, "2026-01-01T00:00:10Z"));
    let quick = json!({ "Interval": 300 * second, "StartPeriod": 60 * second, "StartInterval": second });
    assert_eq!(at("starting", quick.clone(), json!(null)), times(1, "2026-01-01T00:00:10Z"));
    assert_eq!(at("unhealthy", quick, json!(null)), times(300, "2026-01-01T00:00:10Z"));
    assert_eq!(at("healthy", every, json!([])), None);
}

#[test]
fn health_stop_signal_domain_and_ipv6_are_read() {
    let Inspected { workload, stop_signal, .. } = recorded("health");
    assert_eq!((workload.health, workload.is_ready()), (Health::Unhealthy, false));
    assert_eq!(Some(stop_signal), Signal::parse("SIGQUIT"));
    assert_eq!(&*workload.hostname, "app.shop.example");
    let names: Vec<_> = workload.networks.iter().map(|network| &*network.network).collect();
    assert_eq!(names, ["net", "v6"]);
    assert!(workload.networks[0].aliases.contains(&"web".into()));
    assert_eq!(workload.networks[1].ipv6, Some(ip("fd00:db::2")));
    assert_eq!(workload.published, []);
}

#[test]
fn each_recorded_state_and_network_mode_is_told_apart() {
    let plain = recorded("plain").workload.id;
    for (name, phase, mode) in [
        ("host", Phase::Exited, NetworkMode::Host),
        ("none", Phase::Running, NetworkMode::None),
        ("joined", Phase::Exited, NetworkMode::Container(plain)),
        ("crash", Phase::Restarting, NetworkMode::Networks),
        ("paused", Phase::Paused, NetworkMode::Networks),
        ("created", Phase::Created, NetworkMode::Networks),
    ] {
        let workload = recorded(name).workload;
        assert_eq!((workload.phase, workload.network_mode), (phase, mode), "{name}");
    }
    assert_eq!(recorded("created").workload.networks[0].ipv4, None);
}

#[test]
fn only_a_container_that_ends_soon_again_and_again_is_in_a_loop() {
    let loops = |restarts: i64, finished: &str, status: &str| {
        let state = json!({ "Status": status, "StartedAt": "2026-11-21T10:00:00Z", "FinishedAt": finished });
        read(json!({ "Id": "a", "State": state, "RestartCount": restarts })).workload.is_crash_looping
    };
    assert!(recorded("crash").workload.is_crash_looping);
    assert!(!recorded("plain").workload.is_crash_looping);
    assert!(loops(3, "2026-11-21T10:00:09Z", "restarting"));
    assert!(!loops(2, "2026-11-21T10:00:09Z", "restarting"), "a few times is no loop");
    assert!(!loops(99, "2026-11-21T10:01:00Z", "restarting"), "it had lived for a while");
    assert!(!loops(99, "0001-01-01T00:00:00Z", "running"));
}

#[test]
fn the_recorded_list_agrees_with_the_inspections() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/docker/list.json");
    let list: Vec<ContainerSummary> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let sightings: Vec<_> = list.into_iter().filter_map(sighting).collect();
    assert_eq!(sightings.len(), 8);
    for name in ["plain", "health", "host", "none", "joined", "crash", "paused", "created"] {
        let mut known = recorded(name).workload;
        let seen = sightings.iter().find(|seen| seen.id == known.id).unwrap();
        assert!(seen.agrees(&known), "{name}: {seen:?}");
        known.name = "other".into();
        assert!(!seen.agrees(&known), "{name} after a rename");
    }
}

#[test]
fn the_list_notices_what_can_change() {
    let known = recorded("health").workload;
    let seen = |state: &str, status: &str, address: &str| {
        let networks = json!({ "net": {
            "NetworkID": known.networks[0].network_id, "IPAddress": address, "GlobalIPv6Address": "" },
            "v6": { "NetworkID": known.networks[1].network_id, "IPAddress": "172.19.0.2",
                "GlobalIPv6Address": "fd00:db::2" } });
        let summary = json!({ "Id": known.id.0, "Names": ["/other/link", "/health"], "State": state,
            "Status": status, "NetworkSettings": { "Networks": networks } });
        sighting(serde_json::from_value(summary).unwrap()).unwrap().agrees(&known)
    };
    assert!(seen("running", "Up 5 minutes (unhealthy)", "172.18.0.2"));
    assert!(!seen("running", "Up 5 minutes (healthy)", "172.18.0.2"));
    assert!(!seen("running", "Up 5 minutes (health: starting)", "172.18.0.2"));
    assert!(!seen("running", "Up 5 minutes (unhealthy)", "172.18.0.9"));
    assert!(!seen("paused", "Up 5 minutes (Paused)", "172.18.0.2"));
}

#[test]
fn fields_that_other_engines_leave_out_cost_nothing() {
    let bare = read(json!({ "Id": "abc" }));
    assert_eq!((bare.workload.phase, bare.workload.network_mode), (Phase::Exited, NetworkMode::Networks));
    let nulls = read(json!({
        "Id": "abc", "Name": "shop", "Created": "yesterday", "Image": "sha256:1",
        "State": { "Running": true, "Health": { "Status": "", "FailingStreak": 0, "Log": null } },
        "Config": { "Labels": null, "ExposedPorts": null, "Hostname": "shop", "StopSignal": "bogus" },
        "HostConfig": { "NetworkMode": "slirp4netns" },
        "NetworkSettings": { "Ports": null, "Networks": { "podman": { "NetworkID": "podman", "Aliases": null,
            "IPAddress": "10.88.0.3" } } },
    }));
    assert_eq!((nulls.workload.phase, nulls.workload.health), (Phase::Running, Health::Unchecked));
    assert_eq!((&*nulls.workload.image, nulls.stop_signal), ("sha256:1", Signal::TERM));
    assert_eq!(nulls.workload.networks[0].ipv4, Some(ip("10.88.0.3")));
    assert!(inspected(serde_json::from_value(json!({ "Name": "/x" })).unwrap()).is_none());
}

#[test]
fn the_flags_tell_the_phase_where_there_is_no_word() {
    for (flags, phase) in [
        (json!({ "Running": true, "Paused": true }), Phase::Paused),
        (json!({ "Running": true, "Restarting": true }), Phase::Restarting),
        (json!({ "Dead": true }), Phase::Dead),
        (json!({ "Status": "removing", "Running": true }), Phase::Dead),
        (json!({ "Status": "stopping", "Running": true }), Phase::Terminating),
        (json!({ "Status": "", "Running": true }), Phase::Running),
    ] {
        assert_eq!(read(json!({ "Id": "a", "State": flags })).workload.phase, phase, "{flags}");
    }
}

#[test]
fn odd_ports_are_read_or_left_out() {
    let workload = read(json!({
        "Id": "a",
        "Config": { "ExposedPorts": { "80": {}, "7000-7002/udp": {}, "0/tcp": {}, "x/tcp": {}, "1/icmp": {} } },
        "NetworkSettings": { "Ports": {
            "80/tcp": [{ "HostIp": "", "HostPort": "8080" }, { "HostIp": "::1", "HostPort": "" }],
            "81/tcp": null, "82/tcp": [{ "HostIp": "nowhere", "HostPort": "9" }],
        } },
    }))
    .workload;
    let udp = |number| (port(number), Transport::Udp);
    assert_eq!(workload.exposed, [(port(80), Transport::Tcp), udp(7000), udp(7001), udp(7002)]);
    let published: Vec<_> = workload.published.iter().map(|p| (p.port, p.host_ip, p.host_port)).collect();
    assert_eq!(published, [(port(80), ip("0.0.0.0"), port(8080))]);
}
