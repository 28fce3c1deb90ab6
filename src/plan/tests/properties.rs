//! What holds for every world.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

const NAMES: [&str; 5] = ["a", "b", "web", "shop/web", "shop/c"];
const HOSTS: [&str; 6] = ["a.test", "b.test", "*.test", "*.a.test", "x.a.test", "other"];

fn any_port() -> impl Strategy<Value = u16> {
    select(vec![80, 81, 443, 8080])
}

fn any_protocol() -> impl Strategy<Value = Protocol> {
    select(vec![
        Protocol::Http,
        Protocol::Http,
        Protocol::Http,
        Protocol::Https,
        Protocol::Tls,
        Protocol::Tcp,
        Protocol::Udp,
        Protocol::Other("odd".into()),
    ])
}

fn any_namespaces() -> impl Strategy<Value = FromNamespaces> {
    let shop = FromNamespaces::Selector(selector(&[("kubernetes.io/metadata.name", "shop")]));
    select(vec![FromNamespaces::All, FromNamespaces::All, FromNamespaces::Same, FromNamespaces::None, shop])
}

fn any_listener() -> impl Strategy<Value = Listener> {
    let kinds = option::weighted(0.2, select(vec!["HTTPRoute", "GRPCRoute", "Odd"]));
    (any_port(), any_protocol(), option::of(select(HOSTS.to_vec())), any_namespaces(), kinds).prop_map(
        |(port, protocol, host, from, kind)| {
            let name = format!("{}-{port}", protocol.as_str().to_lowercase());
            let listener = listener(&name, port, protocol).from(from);
            let listener = host.map_or(listener.clone(), |host| listener.host(host));
            kind.map_or(listener.clone(), |kind| listener.kinds(&[(GATEWAY_GROUP, kind)]))
        },
    )
}

fn any_gateway() -> impl Strategy<Value = Thing> {
    let addresses = select(vec![&[][..], &["10.0.0.1"], &["0.0.0.0"], &["::1", "10.0.0.1"]]);
    let listeners = vec(any_listener(), 1..4);
    (select(NAMES.to_vec()), addresses, listeners, any::<bool>(), option::of(0..3_i64)).prop_map(
        |(name, addresses, listeners, is_default, created)| {
            let mut gateway = gateway(name).at(addresses);
            gateway.meta.created = created;
            gateway.is_default = is_default;
            gateway.listeners = listeners;
            gateway.into()
        },
    )
}

fn any_reference() -> impl Strategy<Value = BackendRef> {
    let kinds = select(vec![("", "Service"), ("", "Service"), ("portolan.dev", "Backend"), ("", "Odd")]);
    (select(NAMES.to_vec()), option::of(any_port()), 0..3_u32, kinds).prop_map(
        |(name, number, weight, (group, kind))| {
            let reference = service_ref(name).weight(weight);
            BackendRef { group: group.into(), kind: kind.into(), port: number.map(port), ..reference }
        },
    )
}

fn any_rule() -> impl Strategy<Value = HttpRule> {
    let paths = select(vec!["/", "/a", "/a/b"]);
    (paths, vec(any_reference(), 0..3), prop::bool::weighted(0.1)).prop_map(|(path, backends, is_refused)| {
        let rule = HttpRule { backends, ..rule(path) };
        if is_refused { rule.unsupported("field", "not served yet") } else { rule }
    })
}

fn any_parent() -> impl Strategy<Value = ParentRef> {
    let sections = option::weighted(0.2, select(vec!["http-80", "missing"]));
    let kinds = select(vec!["Gateway", "Gateway", "Gateway", "ListenerSet", "Odd"]);
    (select(NAMES.to_vec()), sections, option::weighted(0.2, any_port()), kinds).prop_map(
        |(name, section, number, kind)| {
            let name = if name.contains('/') { name.to_owned() } else { format!("default/{name}") };
            let parent = parent(&name).of_kind(GATEWAY_GROUP, kind);
            ParentRef { section: section.map(Into::into), port: number.map(port), ..parent }
        },
    )
}

fn any_route() -> impl Strategy<Value = Thing> {
    let hosts = vec(select(HOSTS.to_vec()), 0..3);
    let flags = (any::<bool>(), any::<bool>());
    let rules = vec(any_rule(), 0..3);
    (select(NAMES.to_vec()), vec(any_parent(), 0..3), hosts, rules, flags, option::of(0..3_i64)).prop_map(
        |(name, parents, hosts, rules, (by_default, anywhere), created)| {
            let mut route = hosts.into_iter().fold(detached(name), HttpRoute::host);
            (route.parents, route.rules, route.meta.created) = (parents, rules, created);
            (route.uses_default_gateways, route.attaches_anywhere) = (by_default, anywhere);
            route.into()
        },
    )
}

fn any_backend() -> impl Strategy<Value = Thing> {
    let targets = select(vec![
        EndpointTarget::Address(ip("10.0.0.7")),
        EndpointTarget::Hostname(Host::parse("legacy").unwrap()),
        EndpointTarget::Containers { selector: LabelSelector::default(), network: None },
        EndpointTarget::ContainerNamed { name: "web".into(), network: Some("n".into()) },
        EndpointTarget::Container { id: WorkloadId("id-a".into()), network: None },
        EndpointTarget::Unix(std::path::Path::new("/run/a.sock").into()),
    ]);
    let schemes = select(vec![Scheme::Http, Scheme::Http, Scheme::Https]);
    let endpoint =
        (targets, option::of(any_port()), 0..3_u32, schemes).prop_map(|(target, number, weight, scheme)| {
            Endpoint { target, port: number.map(port), weight, scheme }
        });
    (select(NAMES.to_vec()), vec(endpoint, 0..4))
        .prop_map(|(name, endpoints)| Backend { endpoints, ..backend(name) }.into())
}

fn any_service() -> impl Strategy<Value = Thing> {
    let kinds = select(vec![
        ServiceKind::Selector(BTreeMap::new()),
        ServiceKind::Selector(strings(&[("app", "s")])),
        ServiceKind::ExternalName(Host::parse("legacy").unwrap()),
    ]);
    (select(NAMES.to_vec()), kinds, vec(any_port(), 0..2)).prop_map(|(name, kind, ports)| {
        ports.into_iter().fold(service(name, kind), |service, port| service.port(port, port)).into()
    })
}

fn any_workload() -> impl Strategy<Value = Thing> {
    let phases = select(vec![Phase::Running, Phase::Running, Phase::Paused, Phase::Gone, Phase::Exited]);
    let healths = select(vec![Health::Unchecked, Health::Starting, Health::Unhealthy]);
    let modes = select(vec![
        NetworkMode::Networks,
        NetworkMode::Networks,
        NetworkMode::Host,
        NetworkMode::None,
        NetworkMode::Container(WorkloadId("web".into())),
        NetworkMode::Container(WorkloadId("id-a".into())),
    ]);
    let labels = vec(
        select(vec![
            ("app", "s"),
            ("com.docker.compose.project", "shop"),
            ("com.docker.compose.service", "web"),
            ("com.docker.compose.oneoff", "True"),
        ]),
        0..3,
    );
    let shape = (vec(any_port(), 0..3), option::of(any_port()), 0..250_u8);
    (
        select(vec!["a", "b", "web", "c"]),
        select(vec!["id-a", "id-b", "id-c"]),
        phases,
        healths,
        modes,
        labels,
        shape,
    )
        .prop_map(|(name, id, phase, health, mode, labels, (exposed, published, last))| {
            let workload =
                container(name).id(id).phase(phase).health(health).labels(&labels).exposing(&exposed);
            let workload = workload.on(&[("n", &format!("10.0.0.{last}"))]).alias("b").mode(mode);
            match published {
                Some(port) => workload.publishing(port, "0.0.0.0", 8000).into(),
                None => workload.into(),
            }
        })
}

fn any_thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        any_gateway(),
        any_route(),
        any_route(),
        any_backend(),
        any_service(),
        any_workload(),
        any_workload(),
    ]
}

fn any_placement() -> impl Strategy<Value = Placement> {
    let networks = [("id-n".into(), "n".into())].into();
    select(vec![
        Placement::Host,
        Placement::Remote { address: ip("192.0.2.10") },
        Placement::Container { id: WorkloadId("id-a".into()), networks },
        Placement::Container { id: WorkloadId("missing".into()), networks: BTreeMap::new() },
    ])
}

fn any_world() -> impl Strategy<Value = Snapshot> {
    let unbound = vec(select(vec!["[::]:80", "10.0.0.1:80"]), 0..2);
    (vec(any_thing(), 0..12), any_placement(), unbound).prop_map(|(things, placement, unbound)| {
        let mut snapshot = assembled(things);
        snapshot.settings.placement = placement;
        for socket in unbound {
            snapshot.unbound.insert(socket.parse().unwrap(), "in use".into());
        }
        snapshot
    })
}

/// The same world, put together in another order, with nothing shared.
fn turned(snapshot: &Snapshot) -> Snapshot {
    let mut turned = Snapshot { settings: snapshot.settings.clone(), ..Snapshot::default() };
    for (id, resource) in snapshot.resources.iter().rev() {
        let mut copy = resource.clone();
        copy.meta_mut();
        turned.resources.insert(id.clone(), copy);
    }
    for (id, workload) in snapshot.workloads.iter().rev() {
        turned.workloads.insert(id.clone(), Arc::new(Workload::clone(workload)));
    }
    turned.unbound.extend(snapshot.unbound.iter().rev().map(|(socket, why)| (*socket, why.clone())));
    turned
}

/// Routes and containers that work, on hosts that nobody else claims.
fn good() -> Vec<Thing> {
    vec![
        edge().created(-1).into(),
        route("good-1").host("one.good").to(service_ref("good-web:80")).into(),
        route("good-2").host("*.good").rule(rule("/x").to(backend_ref("good-b"))).into(),
        container("good-web").id("id-good").into(),
        backend("good-b").address("10.9.9.9:80").into(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_world_is_planned_and_every_object_has_a_status(world in any_world()) {
        let plan = plan(&world);
        prop_assert!(world.resources.keys().eq(plan.statuses.keys()));
        for (id, status) in &plan.statuses {
            let parents = status.parents.iter().map(|parent| &parent.conditions);
            let listeners = status.listeners.iter().map(|listener| &listener.conditions);
            let lists = std::iter::once(&status.conditions).chain(parents).chain(listeners);
            for condition in lists.flatten() {
                let must_explain = condition.truth != Truth::True && condition.reason != "NoConflicts";
                prop_assert!(!must_explain || !condition.message.is_empty(), "{id}: {condition:?}");
                prop_assert!(!condition.message.ends_with('.'), "{id}: {condition:?}");
            }
        }
    }

    #[test]
    fn equal_worlds_give_equal_plans(world in any_world()) {
        let (one, other) = (plan(&world), plan(&turned(&world)));
        prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
        prop_assert!(one == other);
    }

    #[test]
    fn nothing_that_is_added_changes_what_works(things in vec(any_thing(), 0..8)) {
        let before = plan(&assembled(good()));
        let after = plan(&assembled(things.into_iter().chain(good()).collect()));
        for id in ["good-1", "good-2"] {
            let id = meta(Kind::HttpRoute, id).id;
            prop_assert_eq!(&before.statuses[&id], &after.statuses[&id]);
        }
        for (host, path) in [("one.good", "/"), ("two.good", "/x"), ("one.good", "/x")] {
            prop_assert_eq!(
                before.answer(host, path).map(|rule| format!("{rule:?}")),
                after.answer(host, path).map(|rule| format!("{rule:?}"))
            );
        }
        let id = WorkloadId("id-good".into());
        prop_assert!(before.workloads[&id].routed && after.workloads[&id].routed);
    }

    #[test]
    fn what_is_kept_up_step_by_step_is_what_is_planned_anew(
        mut world in any_world(),
        steps in vec((vec(any_thing(), 0..3), vec(any::<prop::sample::Index>(), 0..3), 0..8_u8), 1..6)
    ) {
        let mut planner = Planner::default();
        for (things, gone, odd) in steps {
            for index in gone {
                let id = world.resources.keys().nth(index.index(world.resources.len().max(1))).cloned();
                id.map(|id| world.resources.remove(&id));
            }
            let added = assembled(things);
            world.resources.extend(added.resources);
            match odd {
                0 => world.workloads.extend(added.workloads),
                1 => drop(world.unbound.insert("[::]:80".parse().unwrap(), "in use".into())),
                2 => world.unbound.clear(),
                3 => drop(world.workloads.pop_first()),
                4..6 => {
                    let workloads = world.workloads.values_mut();
                    for workload in workloads.skip(usize::from(odd) - 4).step_by(2).take(2) {
                        let phase = if workload.phase == Phase::Running { Phase::Exited } else { Phase::Running };
                        *workload = Arc::new(Workload { phase, ..(**workload).clone() });
                    }
                    world.workloads.extend(added.workloads);
                }
                6 => {
                    let found = plan(&world).backends.into_iter().map(|(name, backend)| {
                        let addresses = backend.endpoints.iter().filter_map(|endpoint| endpoint.address.clone());
                        let (state, reason, message) = (EndpointState::Unhealthy, "Unhealthy", "is slow".to_owned());
                        let health = EndpointHealth { state, reason, message };
                        (name, addresses.map(|address| (address, health.clone())).collect())
                    });
                    world.health = Arc::new(HealthReport(found.collect()));
                }
                _ => {}
            }
            let (kept, anew) = (planner.plan(&world), plan(&world));
            prop_assert_eq!(format!("{kept:?}"), format!("{anew:?}"));
            prop_assert!(kept == anew);
            // What has not changed is shared with the plan before.
            let again = planner.plan(&world);
            prop_assert!(again == anew);
        }
    }
}
