//! What a drain marks, when it ends, and what it would empty.

use super::*;
use crate::model::{EndpointReport, Health, NetworkMode};

fn container(id: &str, name: &str, phase: Phase) -> (WorkloadId, Arc<Workload>) {
    let workload = Workload {
        id: WorkloadId(id.into()),
        name: name.into(),
        hostname: "".into(),
        image: "".into(),
        created: 0,
        phase,
        health: Health::Unchecked,
        checks: None,
        is_crash_looping: false,
        labels: BTreeMap::new(),
        exposed: Vec::new(),
        published: Vec::new(),
        network_mode: NetworkMode::Networks,
        networks: Vec::new(),
    };
    (workload.id.clone(), Arc::new(workload))
}

fn backend(endpoints: &[(&str, EndpointState)]) -> Arc<BackendReport> {
    let endpoint = |(name, state): &(&str, EndpointState)| EndpointReport {
        name: (*name).into(),
        address: None,
        state: *state,
        message: String::new(),
        checks: None,
        weight: 1,
        last_failure: None,
    };
    let endpoints = endpoints.iter().map(endpoint).collect();
    Arc::new(BackendReport { name: "shop/b".into(), resolved: String::new(), endpoints })
}

#[test]
fn a_container_goes_by_its_name_its_id_and_the_beginning_of_that() {
    let all = Workloads::from([
        container("abcd1111", "web", Phase::Running),
        container("abcd2222", "api", Phase::Running),
        container("ffff0000", "abcd1", Phase::Running),
    ]);
    let found = |text: &str| find(&all, text).map(|workload| workload.id.0.to_string());
    let why = |text: &str| find(&all, text).unwrap_err().why;
    assert_eq!(found("web").unwrap(), "abcd1111");
    assert_eq!(found("abcd2222").unwrap(), "abcd2222");
    assert_eq!(found("abcd2").unwrap(), "abcd2222");
    assert_eq!(found("abcd1").unwrap(), "ffff0000", "a whole name comes first");
    assert_eq!((why("abcd"), why("abc"), why("nope")), (Why::Conflict, Why::Unknown, Why::Unknown));
}

#[test]
fn what_is_asked_for_is_marked_while_it_runs_and_forgotten_when_it_stops() {
    let (id, running) = container("a", "web", Phase::Running);
    let all = |phase| Workloads::from([container("a", "web", phase), container("b", "api", Phase::Running)]);
    let mut drains = Drains::default();
    drains.asked.insert(id.clone());
    let mut workloads = Workloads::from([(id.clone(), running)]);
    drains.mark(&mut workloads);
    assert_eq!(workloads[&id].phase, Phase::Draining);

    for phase in [Phase::Running, Phase::Paused, Phase::Terminating] {
        drains.keep_living(&all(phase));
        assert!(drains.asked.contains(&id), "{phase:?}");
    }
    let mut terminating = all(Phase::Terminating);
    drains.mark(&mut terminating);
    assert_eq!(terminating[&id].phase, Phase::Terminating, "what the engine says is more");
    drains.keep_living(&all(Phase::Exited));
    assert!(drains.asked.is_empty());
}

#[test]
fn where_requests_were_sent_is_remembered_until_it_stops() {
    let (id, _) = container("a", "web", Phase::Running);
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let plan = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|text| address(text)).collect();
        BTreeMap::from([(id.clone(), WorkloadPlan { addresses, ..WorkloadPlan::default() })])
    };
    let mut drains = Drains::default();
    drains.note(&plan(&["10.0.0.2:80"]));
    drains.note(&plan(&[]));
    drains.note(&plan(&["10.0.0.2:8080"]));
    let known = ["10.0.0.2:80", "10.0.0.2:8080"].map(address);
    assert_eq!(*drains.addresses[&id], known.into());
    drains.keep_living(&Workloads::from([container("a", "web", Phase::Restarting)]));
    assert!(drains.addresses.is_empty());
}

#[test]
fn the_last_ready_endpoint_is_missed_and_a_containers_own_name_only_where_it_has_no_other() {
    use EndpointState::{Draining, Ready, Unhealthy};
    let (_, web) = container("a", "web-1", Phase::Running);
    let personal = BTreeSet::from(["shop/web-1".to_owned()]);
    let missed = |before: &[(&str, &[(&'static str, EndpointState)])]| {
        let after = |endpoints: &[(&'static str, EndpointState)]| -> Vec<_> {
            endpoints
                .iter()
                .map(|(name, state)| (*name, if *name == "web-1" { Draining } else { *state }))
                .collect()
        };
        let then: Backends =
            before.iter().map(|(name, endpoints)| (Arc::from(*name), backend(&after(endpoints)))).collect();
        let now: Backends =
            before.iter().map(|(name, endpoints)| (Arc::from(*name), backend(endpoints))).collect();
        missed(&web, &personal, &now, &then).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let own: (&str, &[_]) = ("shop/web-1", &[("web-1", Ready)]);
    assert_eq!(missed(&[own]), ["shop/web-1"], "it has no other name");
    assert_eq!(missed(&[own, ("shop/web", &[("web-1", Ready), ("web-2", Ready)])]), Vec::<String>::new());
    assert_eq!(missed(&[own, ("shop/web", &[("web-1", Ready)])]), ["shop/web"]);
    assert_eq!(missed(&[own, ("shop/web", &[("web-1", Ready), ("web-2", Unhealthy)])]), ["shop/web"]);
    assert_eq!(missed(&[("shop/web", &[("web-1", Unhealthy)])]), Vec::<String>::new(), "it was not ready");
    assert_eq!(missed(&[("shop/api", &[("api-1", Ready)])]), Vec::<String>::new(), "it is another's");
}
