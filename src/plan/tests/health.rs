//! What health means for the table, and what is told of it.

use super::*;

/// `web` and `db` behind one Backend.
fn two(policy: BackendPolicy, health: [Health; 2]) -> Snapshot {
    let [one, other] = ["one", "two"]
        .map(|name| endpoint(EndpointTarget::ContainerNamed { name: name.into(), network: None }).port(80));
    let mut both = backend("both").endpoint(one).endpoint(other);
    both.policy = Arc::new(policy);
    let [one, two] = [("one", "10.0.0.1", health[0]), ("two", "10.0.0.2", health[1])]
        .map(|(name, address, health)| container(name).health(health).on(&[("n", address)]));
    world![edge(), route("r").to(service_ref("both")), both, one, two]
}

fn prefer() -> BackendPolicy {
    BackendPolicy { health: HealthUse::Prefer, ..BackendPolicy::default() }
}

fn checked() -> BackendPolicy {
    let check = HealthCheck {
        probe: Probe::Tcp,
        port: None,
        interval: std::time::Duration::from_secs(1),
        timeout: std::time::Duration::from_secs(1),
        unhealthy_after: std::num::NonZeroU32::MIN,
        healthy_after: std::num::NonZeroU32::MIN,
    };
    BackendPolicy { check: Some(check), ..BackendPolicy::default() }
}

#[test]
fn where_health_is_only_preferred_unhealthy_containers_serve_once_no_other_is_left() {
    let leads = |health| plan(&two(prefer(), health)).leads_to("a.test");
    assert_eq!(leads([Health::Healthy, Health::Unhealthy]), "10.0.0.1:80");
    assert_eq!(leads([Health::Unhealthy, Health::Starting]), "10.0.0.1:80, 10.0.0.2:80");
    let plan = plan(&two(prefer(), [Health::Unhealthy, Health::Unhealthy]));
    let report = plan.backends.values().next().unwrap();
    assert_eq!(report.counts(), "0 of 2 endpoints are ready, 2 unhealthy", "nobody is told otherwise");
    assert!(report.endpoints[0].message.ends_with("is used all the same (`health: prefer`)"), "{report:?}");
    assert!(plan.workloads.values().all(|workload| workload.routed));
}

#[test]
fn what_the_data_plane_finds_out_is_told_and_changes_no_table() {
    let mut snapshot = two(checked(), [Health::Unchecked, Health::Unchecked]);
    let before = plan(&snapshot);
    let counts = |plan: &Plan| plan.backends.values().next().unwrap().counts();
    assert_eq!(counts(&before), "0 of 2 endpoints are ready, 2 starting", "nobody has asked them yet");
    let state = |state, reason, message: &str| EndpointHealth { state, reason, message: message.to_owned() };
    let name = before.backends.keys().next().unwrap().clone();
    let found = BTreeMap::from([
        ("10.0.0.1:80".to_owned(), state(EndpointState::Ready, "", "")),
        ("10.0.0.2:80".to_owned(), state(EndpointState::Unhealthy, "Unhealthy", "answered 503")),
    ]);
    snapshot.health = Arc::new(HealthReport(BTreeMap::from([(name, found)])));
    let after = plan(&snapshot);
    assert_eq!(before.table, after.table);
    assert_eq!(counts(&after), "1 of 2 endpoints are ready, 1 unhealthy");
    let two = &after.workloads[&WorkloadId("id-two".into())];
    assert_eq!((two.routed, &*two.problems[0].message), (false, "container `two` answered 503"));
    let id = ResourceId::new(Kind::Backend, "default", "both");
    let ready = after.statuses[&id].conditions.iter().find(|condition| condition.kind == "Ready").unwrap();
    assert_eq!((ready.truth, &*ready.message), (Truth::True, "1 of 2 endpoints are ready, 1 unhealthy"));
}
