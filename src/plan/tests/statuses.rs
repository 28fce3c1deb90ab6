//! What is said of objects that are not Gateways or HTTPRoutes.

use super::*;

#[test]
fn a_backend_counts_its_endpoints_by_state() {
    let selected = EndpointTarget::Containers { selector: selector(&[("app", "s")]), network: None };
    let replica = |index: u8, health| {
        container(&format!("s{index}"))
            .labels(&[("app", "s")])
            .health(health)
            .on(&[("n", &format!("10.0.0.{index}"))])
    };
    let plan = plan(&world![
        backend("b").endpoint(endpoint(selected)),
        replica(1, Health::Healthy),
        replica(2, Health::Unchecked),
        replica(3, Health::Starting),
        replica(4, Health::Unhealthy).phase(Phase::Paused),
    ]);
    assert_eq!(
        all_said(&plan.status(Kind::Backend, "b").conditions),
        ["Accepted: True Accepted", "Ready: True Ready: 2 of 4 endpoints are ready, 1 starting, 1 paused"]
    );
    // Nobody refers to it.
    assert!(plan.backends.is_empty());
}

#[test]
fn a_backend_is_judged_by_the_ports_that_routes_ask_for() {
    let named = EndpointTarget::ContainerNamed { name: "web".into(), network: None };
    let things = |routes: Vec<HttpRoute>| {
        let web = container("web").exposing(&[8080, 9090]);
        let mut things =
            vec![edge().into(), backend("b").endpoint(endpoint(named.clone())).into(), web.into()];
        things.extend(routes.into_iter().map(Thing::from));
        plan(&assembled(things))
    };
    let one = things(vec![route("r").to(backend_ref("b:8080"))]);
    assert_eq!(
        one.says(Kind::Backend, "b", "Ready"),
        "Ready: True Ready: port 8080: 1 of 1 endpoints are ready"
    );
    let two = things(vec![route("r").to(backend_ref("b:8080")), route("s").to(service_ref("b"))]);
    let why = "1 unreachable (AmbiguousPort: container `web` exposes the TCP ports 8080, 9090; choose one with the label \
               `portolan.port=8080`)";
    assert_eq!(
        two.says(Kind::Backend, "b", "Ready"),
        format!("Ready: False NoReadyEndpoint: {why}; port 8080: 1 of 1 endpoints are ready")
    );
    let none = things(vec![]);
    assert_eq!(none.says(Kind::Backend, "b", "Ready"), format!("Ready: False NoReadyEndpoint: {why}"));
}

#[test]
fn a_service_counts_the_endpoints_of_each_port() {
    let selected = |labels| ServiceKind::Selector(strings(labels));
    let plan = plan(&world![
        service("good", selected(&[("app", "s")])).port(80, 8080).port(81, 8081),
        service("empty", selected(&[("app", "x")])).port(80, 8080),
        service("portless", selected(&[("app", "s")])),
        service("open", selected(&[])).port(80, 80),
        service("external", ServiceKind::ExternalName(Host::parse("a.test").unwrap())),
        container("s").labels(&[("app", "s")]),
    ]);
    let ready = |name: &str| plan.says(Kind::Service, name, "Ready");
    assert_eq!(
        ready("good"),
        "Ready: True Ready: port 80: 1 of 1 endpoints are ready; port 81: 1 of 1 endpoints are ready"
    );
    assert_eq!(
        ready("empty"),
        "Ready: False NoReadyEndpoint: port 80: no endpoint fits: start a container that it selects, write an address, or give one a weight above 0"
    );
    assert_eq!(
        ready("portless"),
        "Ready: False NoReadyEndpoint: it has no ports, so no backendRef can name one: write `spec.ports`"
    );
    assert_eq!(
        ready("open"),
        "Ready: False NoReadyEndpoint: it has no selector, so it has no endpoints: write `spec.selector`, or use a Backend"
    );
    assert_eq!(ready("external"), "");
}

#[test]
fn fields_that_are_not_served_yet_are_named() {
    let mut b = backend("b").address("10.0.0.1:80");
    b.unsupported.push(unsupported("spec.healthCheck", "active health checks are not served yet"));
    let plan = plan(&world![b]);
    assert_eq!(
        plan.says(Kind::Backend, "b", "Accepted"),
        "Accepted: False UnsupportedValue: spec.healthCheck: active health checks are not served yet; the rest is served"
    );
    assert_eq!(plan.says(Kind::Backend, "b", "Ready"), "Ready: True Ready: 1 of 1 endpoints are ready");
}

fn unserved(kind: Kind, parents: Vec<ParentRef>) -> Resource {
    Resource::Unserved(Arc::new(UnservedRoute { meta: meta(kind, "x"), parents }))
}

#[test]
fn kinds_that_are_not_served_yet_say_so() {
    for (kind, words) in [
        (Kind::TlsRoute, "TLSRoute is not served yet: no traffic follows it"),
        (Kind::TcpRoute, "TCPRoute is not served yet: no traffic follows it"),
        (Kind::UdpRoute, "UDPRoute is not served yet: no traffic follows it"),
        (Kind::Rollout, "Rollout is not served yet: it has no effect"),
    ] {
        let plan = plan(&world![edge(), unserved(kind, Vec::new())]);
        assert_eq!(plan.says(kind, "x", "Accepted"), format!("Accepted: False UnsupportedValue: {words}"));
    }
}

#[test]
fn a_route_kind_that_is_not_served_yet_says_so_to_each_parent() {
    let parents = vec![parent("default/edge"), parent("default/other")];
    let plan = plan(&world![edge(), unserved(Kind::TlsRoute, parents)]);
    let status = plan.status(Kind::TlsRoute, "x");
    assert_eq!(status.parents.len(), 2);
    for parent in &status.parents {
        assert_eq!(
            all_said(&parent.conditions),
            ["Accepted: False UnsupportedValue: TLSRoute is not served yet: no traffic follows it"]
        );
    }
    assert_eq!(plan.attached_routes("edge"), [0]);
}

#[test]
fn every_object_has_a_condition() {
    let passive = Resource::Passive(Arc::new(meta(Kind::Secret, "s")));
    let world = world![
        edge(),
        route("r").rule(rule("/")),
        detached("d"),
        backend("b"),
        service("s", ServiceKind::Selector(BTreeMap::new())),
        unserved(Kind::Filter, Vec::new()),
        passive,
    ];
    let plan = plan(&world);
    assert_eq!(plan.statuses.keys().collect::<Vec<_>>(), world.resources.keys().collect::<Vec<_>>());
    for (id, status) in &plan.statuses {
        let parents = status.parents.iter().flat_map(|parent| &parent.conditions);
        assert!(
            status.conditions.iter().chain(parents).any(|condition| condition.kind == "Accepted"),
            "{id}"
        );
    }
}
