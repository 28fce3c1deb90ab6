//! What a backend reference leads to.

use super::*;

fn grant(name: &str, from: &str, to: (&str, &str, Option<&str>)) -> Resource {
    let (group, kind, target) = to;
    let from = GrantFrom { group: GATEWAY_GROUP.into(), kind: "HTTPRoute".into(), namespace: from.into() };
    let to = GrantTo { group: group.into(), kind: kind.into(), name: target.map(Into::into) };
    let meta = meta(Kind::ReferenceGrant, name);
    Resource::ReferenceGrant(Arc::new(ReferenceGrant { meta, from: vec![from], to: vec![to] }))
}

#[test]
fn a_kind_that_is_no_backend_is_answered_500() {
    for (group, kind, shown) in
        [("", "ConfigMap", "\"\""), ("acme.io", "Service", "acme.io"), ("", "Backend", "\"\"")]
    {
        let reference = BackendRef { group: group.into(), kind: kind.into(), ..service_ref("web:80") };
        let plan = plan(&world![edge(), route("r").to(reference), container("web")]);
        let why = format!(
            "backendRef `web` has kind `{kind}` of group `{shown}`; it must be `Service`, or `Backend` of group \
             `portolan.dev`"
        );
        assert_eq!(plan.leads_to("a.test"), format!("invalid: {why}"));
        assert_eq!(plan.route_says("r", "ResolvedRefs"), format!("ResolvedRefs: False InvalidKind: {why}"));
        assert_eq!(plan.route_says("r", "Accepted"), "Accepted: True Accepted");
    }
}

#[test]
fn a_missing_backend_is_answered_500_and_says_where_it_was_looked_for() {
    let plan = plan(&world![
        edge(),
        route("r").to(service_ref("web:80")),
        route("b").host("b.test").to(backend_ref("x"))
    ]);
    let why = "backendRef `web`: namespace `default` has no Backend, Service, Compose service, container or network alias \
               of that name: correct it, or start a container or write a Backend of that name";
    assert_eq!(plan.leads_to("a.test"), format!("invalid: {why}"));
    assert_eq!(plan.route_says("r", "ResolvedRefs"), format!("ResolvedRefs: False BackendNotFound: {why}"));
    assert_eq!(
        plan.route_says("b", "ResolvedRefs"),
        "ResolvedRefs: False BackendNotFound: backendRef `x`: namespace `default` has no Backend of that name: correct it, \
         or write one"
    );
}

#[test]
fn a_name_of_another_namespace_is_pointed_at() {
    for (thing, name) in [
        (Thing::from(container("c").in_compose("shop", "web")), "web"),
        (Thing::from(container("web").in_compose("shop", "c")), "web"),
        (Thing::from(container("c").in_compose("shop", "d").alias("web")), "web"),
        (Thing::from(backend("shop/web")), "web"),
        (Thing::from(service("shop/web", ServiceKind::Selector(BTreeMap::new()))), "web"),
    ] {
        let plan = plan(&assembled(vec![edge().into(), route("r").to(service_ref(name)).into(), thing]));
        assert!(
            plan.route_says("r", "ResolvedRefs").ends_with(
                "of that name; there is one in namespace `shop`: write `namespace: shop` and allow it with a \
                 ReferenceGrant"
            ),
            "{}",
            plan.route_says("r", "ResolvedRefs")
        );
    }
}

#[test]
fn another_namespace_has_to_be_granted() {
    let reached = |grants: Vec<Resource>, reference: BackendRef| {
        let mut things: Vec<Thing> = grants.into_iter().map(Thing::from).collect();
        things.extend([
            edge().into(),
            route("r").to(reference).into(),
            backend("shop/web").address("10.0.0.7:80").into(),
        ]);
        plan(&assembled(things)).leads_to("a.test")
    };
    let any = ("", "Service", None);
    for (grants, is_granted) in [
        (vec![], false),
        (vec![grant("shop/g", "default", any)], true),
        (vec![grant("shop/g", "default", ("", "Service", Some("web")))], true),
        (vec![grant("shop/g", "default", ("", "Service", Some("other")))], false),
        (vec![grant("shop/g", "default", ("portolan.dev", "Backend", None))], false),
        (vec![grant("shop/g", "elsewhere", any)], false),
        (vec![grant("default/g", "default", any)], false),
        (vec![grant("shop/a", "elsewhere", any), grant("shop/b", "default", any)], true),
    ] {
        let found = reached(grants.clone(), service_ref("shop/web:80"));
        let why = "invalid: backendRef `shop/web` is in another namespace than the route (`default`), and no \
                   ReferenceGrant in namespace `shop` lets HTTPRoutes of `default` refer to that Service: write one there";
        assert_eq!(found, if is_granted { "10.0.0.7:80" } else { why }, "{grants:?}");
    }
    let grants = vec![grant("shop/g", "default", ("portolan.dev", "Backend", Some("web")))];
    assert_eq!(reached(grants, backend_ref("shop/web:80")), "10.0.0.7:80");
}

#[test]
fn a_grant_for_other_kinds_of_routes_does_not_count() {
    let Resource::ReferenceGrant(grant) = grant("shop/g", "default", ("", "Service", None)) else {
        unreachable!()
    };
    let mut grant = ReferenceGrant::clone(&grant);
    grant.from[0].kind = "GRPCRoute".into();
    let plan = plan(&world![
        edge(),
        route("r").to(service_ref("shop/web:80")),
        backend("shop/web"),
        Resource::ReferenceGrant(Arc::new(grant)),
    ]);
    assert!(plan.route_says("r", "ResolvedRefs").starts_with("ResolvedRefs: False RefNotPermitted"));
}

#[test]
fn a_name_means_the_first_of_backend_service_compose_service_container_and_alias() {
    let things = || -> Vec<(Thing, &str, &str)> {
        let selected = service("web", ServiceKind::Selector(strings(&[("app", "s")]))).port(80, 80);
        vec![
            (backend("web").address("10.0.0.1:80").into(), "10.0.0.1:80", "Backend default/web"),
            (selected.into(), "10.0.0.2:80", "Service default/web"),
            (
                container("c").in_compose("default", "web").on(&[("n", "10.0.0.3")]).into(),
                "10.0.0.3:80",
                "Compose service",
            ),
            (container("web").on(&[("n", "10.0.0.4")]).into(), "10.0.0.4:80", "container"),
            (container("d").on(&[("n", "10.0.0.5")]).alias("web").into(), "10.0.0.5:80", "network alias"),
        ]
    };
    for first in 0..things().len() {
        let selected = container("s").labels(&[("app", "s")]).on(&[("n", "10.0.0.2")]);
        let mut world = vec![edge().into(), route("r").to(service_ref("web:80")).into(), selected.into()];
        world.extend(things().into_iter().skip(first).map(|(thing, _, _)| thing));
        let plan = plan(&assembled(world));
        let (_, address, words) = &things()[first];
        assert_eq!(plan.leads_to("a.test"), *address);
        assert_eq!(
            plan.route_says("r", "ResolvedRefs"),
            format!("ResolvedRefs: True ResolvedRefs: `default/web:80`: {words}")
        );
    }
}

#[test]
fn a_backend_of_the_same_name_takes_the_references_of_a_service() {
    let plan = plan(&world![
        backend("web").address("10.0.0.1:80"),
        service("web", ServiceKind::Selector(strings(&[("app", "s")]))).port(80, 80),
    ]);
    assert_eq!(
        plan.says(Kind::Service, "web", "Accepted"),
        "Accepted: True Accepted: it is not used: Backend default/web has the same name and takes its references"
    );
}

#[test]
fn replicas_and_aliases_balance_and_one_off_containers_are_left_out() {
    let replica = |name: &str, address: &str| container(name).in_compose("shop", "web").on(&[("n", address)]);
    let plan = plan(&world![
        edge().default_scope(),
        detached("shop/r").of_labels().to(service_ref("shop/web")),
        replica("web-1", "10.0.0.1"),
        replica("web-2", "10.0.0.2"),
        replica("web-run", "10.0.0.3").labels(&[("com.docker.compose.oneoff", "True")]),
    ]);
    assert_eq!(plan.leads_to("a.test"), "10.0.0.1:80, 10.0.0.2:80");
}

#[test]
fn of_two_containers_of_one_name_the_one_that_is_there_is_meant() {
    // A container was made anew: the one before is remembered for a while, and ids have no order.
    for (old, new) in [("1", "2"), ("2", "1")] {
        let named =
            |phase, id: &str| container("web").phase(phase).id(id).on(&[("n", &format!("10.0.0.{id}"))]);
        let target = EndpointTarget::ContainerNamed { name: "web".into(), network: None };
        let plan = plan(&world![
            edge(),
            route("name").host("name.test").to(service_ref("web")),
            route("backend").host("backend.test").to(backend_ref("b")),
            route("shared").host("shared.test").to(service_ref("side:80")),
            backend("b").endpoint(endpoint(target)),
            named(Phase::Gone, old),
            named(Phase::Running, new),
            container("side").mode(NetworkMode::Container(WorkloadId("web".into()))),
        ]);
        let address = format!("10.0.0.{new}:80");
        assert_eq!(plan.leads_to("name.test"), address);
        assert_eq!(plan.leads_to("backend.test"), address);
        assert_eq!(plan.leads_to("shared.test"), address);
    }
}

#[test]
fn the_port_of_a_reference_is_the_containers_unless_a_service_maps_it() {
    let selected = || ServiceKind::Selector(strings(&[("app", "s")]));
    let plan = plan(&world![
        edge(),
        container("s").labels(&[("app", "s")]).on(&[("n", "10.0.0.2")]),
        service("mapped", selected()).port(80, 8080).port(81, 8081),
        service("single", selected()).port(80, 9090),
        route("plain").host("plain.test").to(service_ref("s:3000")),
        route("mapped").host("mapped.test").to(service_ref("mapped:81")),
        route("single").host("single.test").to(service_ref("single")),
        route("none").host("none.test").to(service_ref("mapped")),
        route("wrong").host("wrong.test").to(service_ref("mapped:82")),
    ]);
    assert_eq!(plan.leads_to("plain.test"), "10.0.0.2:3000");
    assert_eq!(plan.leads_to("mapped.test"), "10.0.0.2:8081");
    assert_eq!(plan.leads_to("single.test"), "10.0.0.2:9090");
    assert_eq!(
        plan.leads_to("none.test"),
        "invalid: backendRef `mapped` asks for no port of Service default/mapped, which has `80`, `81`: write one that it \
         has"
    );
    assert_eq!(
        plan.route_says("wrong", "ResolvedRefs"),
        "ResolvedRefs: False BackendNotFound: backendRef `mapped` asks for port 82 of Service default/mapped, which has \
         `80`, `81`: write one that it has"
    );
}

#[test]
fn an_external_name_is_every_address_that_it_resolves_to() {
    let external = |name: &str| {
        service(name, ServiceKind::ExternalName(Host::parse(&format!("{name}.example.com")).unwrap()))
    };
    let mut world = world![
        edge(),
        external("good").port(443, 443),
        external("portless"),
        external("empty"),
        external("broken"),
        external("unknown"),
        route("good").host("good.test").to(service_ref("good:443")),
        route("portless").host("portless.test").to(service_ref("portless:8080")),
        route("empty").host("empty.test").to(service_ref("empty:80")),
        route("broken").host("broken.test").to(service_ref("broken:80")),
        route("unknown").host("unknown.test").to(service_ref("unknown:80")),
    ];
    let two = vec![ip("192.0.2.2"), ip("2001:db8::1")];
    world.names.insert("good.example.com".into(), Ok(two));
    world.names.insert("portless.example.com".into(), Ok(vec![ip("192.0.2.3")]));
    world.names.insert("empty.example.com".into(), Ok(Vec::new()));
    world.names.insert("broken.example.com".into(), Err("no such name".into()));
    let plan = plan(&world);
    assert_eq!(plan.leads_to("good.test"), "192.0.2.2:443, [2001:db8::1]:443");
    assert_eq!(plan.leads_to("portless.test"), "192.0.2.3:8080");
    let check = "check the spelling and the name server that Portolan uses";
    assert_eq!(
        plan.leads_to("empty.test"),
        format!("empty: 1 down (NoAddress: `empty.example.com` resolves to no address; {check})")
    );
    assert_eq!(
        plan.leads_to("broken.test"),
        format!(
            "empty: 1 down (NameNotResolved: `broken.example.com` does not resolve: no such name; {check})"
        )
    );
    assert_eq!(
        plan.leads_to("unknown.test"),
        "empty: 1 starting (Resolving: `unknown.example.com` is being resolved)"
    );
}

#[test]
fn a_service_without_a_selector_selects_nothing() {
    let plan = plan(&world![
        edge(),
        container("web"),
        service("none", ServiceKind::Selector(BTreeMap::new())).port(80, 80),
        route("r").to(service_ref("none:80")),
    ]);
    assert_eq!(
        plan.leads_to("a.test"),
        "empty: no endpoint fits: start a container that it selects, write an address, or give one a weight above 0"
    );
}

#[test]
fn a_backend_mixes_endpoints_with_weights_and_ports_of_their_own() {
    let selected = EndpointTarget::Containers { selector: selector(&[("app", "s")]), network: None };
    let named = EndpointTarget::Hostname(Host::parse("legacy").unwrap());
    let mixed = backend("mixed")
        .endpoint(endpoint(EndpointTarget::Address(ip("10.0.0.7"))).weight(2))
        .endpoint(endpoint(EndpointTarget::Unix(std::path::Path::new("/run/app.sock").into())))
        .endpoint(endpoint(selected).port(3000).weight(5))
        .endpoint(endpoint(named))
        .endpoint(endpoint(EndpointTarget::Address(ip("10.0.0.8"))).port(80).weight(0));
    let mut world = world![
        edge(),
        mixed,
        container("s").labels(&[("app", "s")]).on(&[("n", "10.0.0.2")]),
        route("r").to(backend_ref("mixed:8080")),
    ];
    world.names.insert("legacy".into(), Ok(vec![ip("10.0.0.9")]));
    let plan = plan(&world);
    assert_eq!(plan.leads_to("a.test"), "10.0.0.2:3000, 10.0.0.7:8080, 10.0.0.9:8080, unix:/run/app.sock");
    let rule = plan.answer("a.test", "/").unwrap();
    let Target::Backend(backend) = &rule.backends.choices()[0].target else { panic!("invalid") };
    assert_eq!(backend.endpoints.iter().map(|endpoint| endpoint.weight).collect::<Vec<_>>(), [5, 2, 1, 1]);
    assert_eq!(*backend.name, *"default/mixed:8080");
}

#[test]
fn one_address_is_one_endpoint_with_the_heavier_weight() {
    let selected = |label: &str, weight| {
        let target = EndpointTarget::Containers { selector: selector(&[(label, "1")]), network: None };
        endpoint(target).weight(weight)
    };
    let plan = plan(&world![
        edge(),
        backend("twice").endpoint(selected("a", 2)).endpoint(selected("b", 3)).endpoint(selected("a", 1)),
        container("s").labels(&[("a", "1"), ("b", "1")]).on(&[("n", "10.0.0.2")]),
        route("r").to(backend_ref("twice")),
    ]);
    let rule = plan.answer("a.test", "/").unwrap();
    let Target::Backend(backend) = &rule.backends.choices()[0].target else { panic!("invalid") };
    assert_eq!(backend.endpoints.iter().map(|endpoint| endpoint.weight).collect::<Vec<_>>(), [3]);
}

#[test]
fn endpoints_without_port_or_container_say_what_to_write() {
    let named = |name: &str| EndpointTarget::ContainerNamed { name: name.into(), network: None };
    let missing = EndpointTarget::Container { id: WorkloadId("f00".into()), network: None };
    let plan = plan(&world![
        edge(),
        backend("a").endpoint(endpoint(EndpointTarget::Address(ip("10.0.0.7")))),
        backend("b").endpoint(endpoint(named("x"))),
        backend("c").endpoint(endpoint(missing)),
        route("a").host("a.test").to(backend_ref("a")),
        route("b").host("b.test").to(backend_ref("b")),
        route("c").host("c.test").to(backend_ref("c")),
    ]);
    assert_eq!(
        plan.leads_to("a.test"),
        "empty: 1 unreachable (NoPort: endpoint `10.0.0.7` has no port, and the reference to the backend names none; \
         write `port:` at the endpoint)"
    );
    assert_eq!(
        plan.leads_to("b.test"),
        "empty: 1 down (NoSuchContainer: there is no container `x`; `docker run --name x …` makes one)"
    );
    assert_eq!(plan.leads_to("c.test"), "empty: 1 down (NoSuchContainer: there is no container `f00`)");
}

#[test]
fn who_is_asked_whether_requests_may_pass_is_a_reference_like_any_other() {
    let asking = |reference| {
        let spec =
            ExternalAuth { backend: reference, protocol: AuthProtocol::Grpc { told: Vec::new() }, body: 0 };
        let mut rule = rule("/").to(service_ref("web:80"));
        rule.filters.push(HttpFilter::Auth(Arc::new(spec)));
        route("r").rule(rule)
    };
    let asked = |plan: &Plan| shown(&plan.answer("a.test", "/").unwrap().auths[0].target);
    let keeper = || backend("far/keeper").address("10.0.0.9:80");
    let near = plan(&world![edge(), container("web"), container("keeper"), asking(service_ref("keeper:80"))]);
    assert_eq!(near.route_says("r", "ResolvedRefs").split(':').nth(1), Some(" True ResolvedRefs"));
    assert!(near.workload("keeper").problems.is_empty() && !asked(&near).contains("invalid"));
    for (reference, reason) in [
        (service_ref("nobody:80"), "BackendNotFound"),
        (service_ref("far/keeper:80"), "RefNotPermitted"),
        (BackendRef { kind: "ConfigMap".into(), ..service_ref("keeper:80") }, "InvalidKind"),
    ] {
        let plan = plan(&world![edge(), container("web"), keeper(), asking(reference)]);
        let said = plan.route_says("r", "ResolvedRefs");
        assert!(said.starts_with(&format!("ResolvedRefs: False {reason}: ")), "{said}");
        assert!(asked(&plan).starts_with("invalid: "), "{}", asked(&plan));
        assert!(!plan.leads_to("a.test").starts_with("invalid"), "the backend itself is there");
    }
    let grant = grant("far/g", "default", ("", "Service", None));
    let granted =
        plan(&world![edge(), container("web"), keeper(), grant, asking(service_ref("far/keeper:80"))]);
    assert_eq!(asked(&granted), "10.0.0.9:80");
}
