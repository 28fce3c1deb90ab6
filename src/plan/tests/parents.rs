//! To which listeners a route attaches.

use super::*;

/// Two listeners on port 80, told apart by hostname, and one on 8080.
fn three_listeners() -> Gateway {
    gateway("edge")
        .listener(http("a", 80).host("a.test"))
        .listener(http("any", 80))
        .listener(http("alt", 8080))
}

fn attached_by(parent: ParentRef) -> Vec<u32> {
    let route = detached("r").parent(parent).rule(rule("/"));
    plan(&world![three_listeners(), route]).attached_routes("edge")
}

#[test]
fn section_and_port_choose_listeners() {
    let edge = || parent("default/edge");
    assert_eq!(attached_by(edge()), [1, 1, 1]);
    assert_eq!(attached_by(edge().section("any")), [0, 1, 0]);
    assert_eq!(attached_by(edge().on_port(80)), [1, 1, 0]);
    assert_eq!(attached_by(edge().section("alt").on_port(8080)), [0, 0, 1]);
    assert_eq!(attached_by(edge().section("alt").on_port(80)), [0, 0, 0]);
}

#[test]
fn a_parent_without_such_a_listener_says_what_it_has() {
    let edge = || parent("default/edge");
    for (parent, words) in [
        (edge().section("b"), "named `b`"),
        (edge().on_port(81), "on port 81"),
        (edge().section("alt").on_port(80), "named `alt` on port 80"),
    ] {
        let plan = plan(&world![three_listeners(), detached("r").parent(parent).rule(rule("/"))]);
        assert_eq!(
            plan.route_says("r", "Accepted"),
            format!(
                "Accepted: False NoMatchingParent: Gateway default/edge has no listener {words}; it has `a` on port 80, \
                 `any` on port 80, `alt` on port 8080"
            )
        );
        assert_eq!(
            plan.route_says("r", "Programmed"),
            "Programmed: False Invalid: it is attached to no listener"
        );
    }
}

#[test]
fn a_parent_that_is_no_gateway_says_so() {
    let edge = || parent("default/edge");
    for (parent, words) in [
        (parent("shop/edge"), "NoMatchingParent: there is no Gateway `shop/edge`; there is `default/edge`"),
        (
            edge().of_kind("", "Service"),
            "NoMatchingParent: parentRef `edge`: a route cannot attach to a `Service` of group `\"\"`, only to a Gateway \
             or a ListenerSet",
        ),
        (
            edge().of_kind("acme.io", "Gateway"),
            "NoMatchingParent: parentRef `edge`: a route cannot attach to a `Gateway` of group `acme.io`, only to a \
             Gateway or a ListenerSet",
        ),
        (
            edge().of_kind(GATEWAY_GROUP, "ListenerSet"),
            "NoMatchingParent: there is no ListenerSet default/edge",
        ),
    ] {
        let plan = plan(&world![three_listeners(), detached("r").parent(parent).rule(rule("/"))]);
        assert_eq!(plan.route_says("r", "Accepted"), format!("Accepted: False {words}"));
        assert_eq!(plan.answers("a.test", "/"), None);
    }
    let plan = plan(&world![route("r").rule(rule("/"))]);
    assert!(plan.route_says("r", "Accepted").ends_with("there is no Gateway `default/edge`; there is none"));
}

#[test]
fn a_listener_that_takes_no_http_routes_allows_none() {
    let gateway = gateway("edge")
        .listener(listener("tcp", 81, Protocol::Tcp))
        .listener(http("grpc", 82).kinds(&[(GATEWAY_GROUP, "GRPCRoute")]));
    let plan = plan(&world![gateway, route("r").rule(rule("/"))]);
    assert_eq!(
        plan.route_says("r", "Accepted"),
        "Accepted: False NotAllowedByListeners: Gateway default/edge: listener `tcp` (TCP), `grpc` (HTTP) takes no \
         HTTPRoute; attach to one with protocol HTTP whose `allowedRoutes.kinds` has HTTPRoute or is left out"
    );
}

#[test]
fn namespaces_are_allowed_by_all_same_or_selector() {
    let named = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).into()).collect();
        let requirement = ("kubernetes.io/metadata.name".into(), Requirement::In(names));
        FromNamespaces::Selector(LabelSelector {
            requirements: vec![requirement],
            ..LabelSelector::default()
        })
    };
    for (from, default, shop) in [
        (FromNamespaces::Same, true, false),
        (FromNamespaces::All, true, true),
        (FromNamespaces::None, false, false),
        (named(&["shop", "bank"]), false, true),
        (FromNamespaces::Selector(selector(&[("kubernetes.io/metadata.name", "default")])), true, false),
        (FromNamespaces::Selector(selector(&[("team", "a")])), false, false),
    ] {
        let plan = plan(&world![
            gateway("edge").listener(http("http", 80).from(from.clone())),
            route("near").rule(rule("/near")),
            route("shop/far").rule(rule("/far")),
        ]);
        assert_eq!(plan.answers("a.test", "/near").is_some(), default, "{from:?}");
        assert_eq!(plan.answers("a.test", "/far").is_some(), shop, "{from:?}");
    }
}

#[test]
fn a_refused_namespace_is_told_what_the_listeners_allow() {
    let gateway = gateway("edge").listener(http("a", 80)).listener(http("b", 81).from(FromNamespaces::None));
    let plan = plan(&world![gateway, route("shop/r").rule(rule("/"))]);
    assert_eq!(
        plan.route_says("shop/r", "Accepted"),
        "Accepted: False NotAllowedByListeners: Gateway default/edge takes no routes of namespace `shop`: of its listeners' \
         `allowedRoutes.namespaces.from`, `a` has `Same`, `b` has `Selector` without a `selector`; `All` lets them attach"
    );
}

#[test]
fn hostnames_of_route_and_listener_have_to_intersect() {
    // Listener, route, a host that is served, a host that is not.
    for (listener, route_hosts, served, refused) in [
        (None, &[][..], &["a.test"][..], &[][..]),
        (None, &["a.test"], &["a.test"], &["b.test"]),
        (Some("a.test"), &[], &["a.test"], &["b.test"]),
        (Some("a.test"), &["a.test"], &["a.test"], &["b.test"]),
        (Some("a.test"), &["*.test"], &["a.test"], &["b.test"]),
        (Some("*.test"), &["a.test"], &["a.test"], &["b.test", "test"]),
        (Some("*.test"), &["*.a.test"], &["x.a.test", "y.x.a.test"], &["a.test", "b.test"]),
        (Some("*.a.test"), &["*.test"], &["x.a.test"], &["a.test", "b.test"]),
        (Some("*.test"), &["*.test"], &["a.test"], &["test"]),
        (Some("*.test"), &["a.test", "a.other"], &["a.test"], &["a.other"]),
    ] {
        let mut http = http("http", 80);
        http.hostname = listener.map(|host| HostPattern::parse(host).unwrap());
        let r = route_hosts.iter().fold(route("r").rule(rule("/")), |route, host| route.host(host));
        let plan = plan(&world![gateway("edge").listener(http), r]);
        for host in served {
            assert_eq!(plan.answers(host, "/"), Some("default/r"), "{listener:?} {route_hosts:?} {host}");
        }
        for host in refused {
            assert_eq!(plan.answers(host, "/"), None, "{listener:?} {route_hosts:?} {host}");
        }
    }
}

#[test]
fn hostnames_without_intersection_do_not_attach() {
    for (listener, host) in
        [("a.test", "b.test"), ("*.a.test", "a.test"), ("a.test", "*.a.test"), ("*.a.test", "*.b.test")]
    {
        let plan = plan(&world![
            gateway("edge").listener(http("http", 80).host(listener)),
            route("r").host(host).rule(rule("/")),
        ]);
        assert_eq!(
            plan.route_says("r", "Accepted"),
            format!(
                "Accepted: False NoMatchingListenerHostname: none of the route's hostnames (`{host}`) fits a listener of \
                 Gateway default/edge (`{listener}`): correct one of them"
            )
        );
        assert_eq!(plan.attached_routes("edge"), [0]);
    }
}

#[test]
fn precedence_goes_by_what_route_and_listener_have_in_common() {
    // On this listener all three are for `a.test` only, so the longer path wins, however the hostname is written.
    let plan = plan(&world![
        gateway("edge").listener(http("http", 80).host("a.test")),
        route("exact").host("a.test").rule(rule("/")),
        route("open").rule(rule("/open")),
        route("wild").host("*.test").rule(rule("/wild")),
    ]);
    assert_eq!(plan.answers("a.test", "/"), Some("default/exact"));
    assert_eq!(plan.answers("a.test", "/open"), Some("default/open"));
    assert_eq!(plan.answers("a.test", "/wild"), Some("default/wild"));
}

#[test]
fn parents_are_judged_one_by_one() {
    let route = route("r")
        .parent(parent("default/missing"))
        .parent(parent("default/edge").section("missing"))
        .parent(parent("default/other"))
        .rule(rule("/"));
    let other = gateway("other").listener(http("http", 81).from(FromNamespaces::None));
    let plan = plan(&world![edge(), other, route]);
    let accepted: Vec<String> = plan
        .status(Kind::HttpRoute, "r")
        .parents
        .iter()
        .map(|parent| {
            let condition = find(&parent.conditions, "Accepted").unwrap();
            format!("{} {}", condition.truth.as_str(), condition.reason)
        })
        .collect();
    assert_eq!(
        accepted,
        ["True Accepted", "False NoMatchingParent", "False NoMatchingParent", "False NotAllowedByListeners"]
    );
    assert_eq!(plan.answers("a.test", "/"), Some("default/r"));
}

#[test]
fn routes_without_parents_attach_to_gateways_of_default_scope() {
    let mut route = detached("r").rule(rule("/"));
    route.uses_default_gateways = true;
    let other = gateway("other").listener(http("http", 81));
    let found = plan(&world![edge().default_scope(), other.clone(), route.clone()]);
    assert_eq!(found.attached_routes("edge"), [1]);
    assert_eq!(found.attached_routes("other"), [0]);
    assert_eq!(*found.status(Kind::HttpRoute, "r").parents[0].parent.name, *"edge");

    route.uses_default_gateways = false;
    let out = plan(&world![edge().default_scope(), route.clone()]);
    assert_eq!(
        out.says(Kind::HttpRoute, "r", "Accepted"),
        "Accepted: False NoMatchingParent: the route names no Gateway in `spec.parentRefs`, and `spec.useDefaultGateways: \
         None` keeps it from those with `spec.defaultScope: All`: add one, or remove that"
    );

    route.uses_default_gateways = true;
    let missing = plan(&world![edge(), other, route]);
    assert_eq!(
        all_said(&missing.status(Kind::HttpRoute, "r").conditions),
        [
            "Accepted: False NoMatchingParent: the route names no Gateway in `spec.parentRefs`, and no Gateway has \
             `spec.defaultScope: All`: add one of them",
            "ResolvedRefs: True ResolvedRefs",
            "Programmed: False Invalid: it is attached to no listener",
        ]
    );
}

#[test]
fn a_parent_that_is_named_is_not_joined_again_by_default() {
    let mut route = detached("r").parent(parent("default/edge").section("alt")).rule(rule("/"));
    route.uses_default_gateways = true;
    let plan = plan(&world![edge().listener(http("alt", 81)).default_scope(), route]);
    assert_eq!(plan.attached_routes("edge"), [0, 1]);
    assert_eq!(plan.status(Kind::HttpRoute, "r").parents.len(), 1);
}

#[test]
fn routes_of_labels_attach_to_default_gateways_or_else_to_all() {
    let labelled = || detached("shop/web").host("web.test").rule(rule("/")).of_labels();
    let other = || gateway("other").listener(http("http", 81));
    let chosen = plan(&world![edge().default_scope(), other(), labelled()]);
    assert_eq!([chosen.attached_routes("edge"), chosen.attached_routes("other")], [[1], [0]]);
    let all = plan(&world![edge(), other(), labelled()]);
    assert_eq!([all.attached_routes("edge"), all.attached_routes("other")], [[1], [1]]);
    let none = plan(&world![labelled()]);
    assert!(none.route_says("shop/web", "Accepted").starts_with("Accepted: False NoMatchingParent"));
}

#[test]
fn a_gateway_that_does_not_take_a_route_of_labels_is_no_mistake_of_it() {
    let closed = gateway("closed").listener(http("http", 81).host("*.example.com"));
    let labelled = detached("shop/web").host("web.test").rule(rule("/")).of_labels();
    let taken = plan(&world![edge(), closed.clone(), labelled.clone()]);
    assert_eq!(taken.status(Kind::HttpRoute, "shop/web").parents.len(), 1);
    let refused = plan(&world![closed, labelled]);
    assert!(refused.route_says("shop/web", "Accepted").contains("NoMatchingListenerHostname"));
}

#[test]
fn a_selector_keeps_routes_of_labels_out() {
    let selected = FromNamespaces::Selector(selector(&[("kubernetes.io/metadata.name", "default")]));
    let plan = plan(&world![
        gateway("edge").listener(http("http", 80).from(selected)),
        detached("shop/web").rule(rule("/")).of_labels(),
    ]);
    assert!(plan.route_says("shop/web", "Accepted").starts_with("Accepted: False NotAllowedByListeners"));
}
