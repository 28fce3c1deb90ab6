//! Who may add listeners to a Gateway, who wins, what attaches to them, and what is said.

use super::*;

fn open_edge() -> Gateway {
    Gateway { allowed_listeners: FromNamespaces::All, ..edge() }
}

fn to_set(name: &str) -> ParentRef {
    parent(name).of_kind(GATEWAY_GROUP, "ListenerSet")
}

fn set_says(plan: &Plan, name: &str, condition: &str) -> String {
    plan.says(Kind::ListenerSet, name, condition)
}

fn set_listener_says(plan: &Plan, name: &str, listener: &str, condition: &str) -> String {
    let status = plan.status(Kind::ListenerSet, name);
    let listener = status.listeners.iter().find(|status| *status.name == *listener).unwrap();
    find(&listener.conditions, condition).map(said).unwrap_or_default()
}

#[test]
fn a_gateway_lets_in_the_sets_of_the_namespaces_that_it_names() {
    let shop = LabelSelector {
        labels: strings(&[("kubernetes.io/metadata.name", "shop")]),
        requirements: Vec::new(),
    };
    for (from, default, shop) in [
        (FromNamespaces::None, false, false),
        (FromNamespaces::Same, true, false),
        (FromNamespaces::All, true, true),
        (FromNamespaces::Selector(shop), false, true),
    ] {
        let gateway = Gateway { allowed_listeners: from, ..edge() };
        for (name, expected) in [("default/s", default), ("shop/s", shop)] {
            let route = detached("default/r").parent(to_set(name)).to(service_ref("web"));
            let listener = http("extra", 81).from(FromNamespaces::All);
            let plan = plan(&world![gateway.clone(), set(name).listener(listener), route, container("web")]);
            let word = if expected { "Accepted: True Accepted" } else { "Accepted: False NotAllowed" };
            let said = set_says(&plan, name, "Accepted");
            assert_eq!(
                said.contains("; `Same` or `All` there lets"),
                !expected && name == "default/s",
                "{said}"
            );
            assert!(set_says(&plan, name, "Accepted").starts_with(word), "{name} {gateway:?}");
            let is_served = plan.answer_on("[::]:81", "a.test", "/").is_some();
            assert_eq!(is_served, expected, "{name}");
            assert_eq!(plan.route_says("r", "Accepted").starts_with("Accepted: True"), expected);
        }
    }
}

#[test]
fn a_route_is_told_whose_listener_is_not_served() {
    let set = set("default/s").listener(http("own", 80));
    let route = detached("default/r").parent(to_set("default/s")).to(service_ref("web"));
    let plan = plan(&world![open_edge(), set, route, container("web")]);
    let said = plan.route_says("r", "Programmed");
    let words = "Programmed: False Invalid: listener `own` of ListenerSet default/s is not served: listener `http` of Gateway";
    assert!(said.starts_with(words), "{said}");
}

#[test]
fn a_set_without_a_gateway_of_ours_says_so() {
    let class = GatewayClass { meta: meta(Kind::GatewayClass, "other"), controller: "acme.io/x".into() };
    let foreign = Gateway { class: "other".into(), ..gateway("foreign") };
    for (parent, words) in [
        (
            parent("default/none"),
            "False ParentNotAccepted: there is no Gateway `default/none`; there is `default/edge`",
        ),
        (
            parent("default/foreign"),
            "Unknown Pending: Gateway default/foreign belongs to the controller `acme.io/x`: Portolan leaves it alone",
        ),
        (
            parent("default/edge").of_kind("", "Service"),
            "False Invalid: parentRef `edge` has kind `Service` of group `\"\"`; listeners can only be added to a Gateway",
        ),
    ] {
        let set = ListenerSet { parent, ..set("s").listener(http("extra", 81)) };
        let route = detached("r").parent(to_set("default/s")).rule(rule("/"));
        let plan = plan(&world![open_edge(), class.clone(), foreign.clone(), set, route]);
        assert_eq!(set_says(&plan, "s", "Accepted"), format!("Accepted: {words}"));
        let (_, why) = words.split_once(": ").unwrap();
        assert_eq!(
            plan.route_says("r", "Accepted"),
            format!("Accepted: False NoMatchingParent: ListenerSet default/s adds no listeners: {why}")
        );
    }
}

#[test]
fn a_route_attaches_to_the_listeners_of_the_parent_that_it_names_and_to_no_others() {
    let world = |parent: ParentRef| {
        let set = set("s").listener(http("http", 81)).listener(http("alt", 82));
        plan(&world![open_edge(), set, detached("r").parent(parent).rule(rule("/"))])
    };
    let attached = |plan: &Plan| {
        let of_set = &plan.status(Kind::ListenerSet, "s").listeners;
        let of_set = of_set.iter().map(|listener| listener.attached_routes);
        plan.attached_routes("edge").into_iter().chain(of_set).collect::<Vec<_>>()
    };
    let (edge, set) = (|| parent("default/edge"), || to_set("default/s"));
    for (parent, expected) in [
        (edge(), [1, 0, 0]),
        (edge().section("http"), [1, 0, 0]),
        (edge().section("alt"), [0, 0, 0]),
        (edge().on_port(82), [0, 0, 0]),
        (set(), [0, 1, 1]),
        (set().section("http"), [0, 1, 0]),
        (set().section("alt").on_port(82), [0, 0, 1]),
        (set().on_port(80), [0, 0, 0]),
        (to_set("default/t"), [0, 0, 0]),
    ] {
        assert_eq!(attached(&world(parent.clone())), expected, "{parent:?}");
    }
    let plan = world(edge().section("alt"));
    assert_eq!(
        plan.route_says("r", "Accepted"),
        "Accepted: False NoMatchingParent: Gateway default/edge has no listener named `alt`; it has `http` on port 80"
    );
}

#[test]
fn parents_are_judged_one_by_one() {
    let route = detached("r").parent(parent("default/edge")).parent(to_set("default/none")).rule(rule("/"));
    let plan = plan(&world![open_edge(), route]);
    let accepted: Vec<String> = plan
        .status(Kind::HttpRoute, "r")
        .parents
        .iter()
        .map(|parent| find(&parent.conditions, "Accepted").map(said).unwrap_or_default())
        .collect();
    assert_eq!(
        accepted,
        ["Accepted: True Accepted", "Accepted: False NoMatchingParent: there is no ListenerSet default/none"]
    );
}

#[test]
fn of_two_with_one_host_the_gateway_wins_then_the_older_set_then_the_first_by_name() {
    let claims = |name: &str| set(name).listener(http("l", 80).host("a.test"));
    let owner = |plan: &Plan| -> Vec<&str> {
        ["default/b", "default/c", "shop/a"]
            .into_iter()
            .filter(|name| {
                let id = &meta(Kind::ListenerSet, name).id;
                let status = plan.statuses.get(id);
                status.is_some_and(|status| status.conditions[0].truth == Truth::True)
            })
            .collect()
    };
    let gateway =
        || Gateway { allowed_listeners: FromNamespaces::All, ..gateway("edge") }.listener(http("own", 80));
    let by_name = plan(&world![gateway(), claims("c"), claims("b"), claims("shop/a")]);
    assert_eq!(owner(&by_name), ["default/b"]);
    let by_age = plan(&world![gateway(), claims("c").created(1), claims("b").created(2), claims("shop/a")]);
    assert_eq!(owner(&by_age), ["default/c"]);
    assert_eq!(
        set_listener_says(&by_age, "b", "l", "Conflicted"),
        "Conflicted: True HostnameConflict: listener `l` of ListenerSet default/c has [::]:80 with hostname `a.test`, \
         and is older or first by name: give this one another port or hostname, or its Gateway another address"
    );
    assert_eq!(
        set_says(&by_age, "b", "Accepted"),
        "Accepted: False ListenersNotValid: not served: listener `l`"
    );
    let taken = gateway().listener(http("taken", 80).host("a.test"));
    let by_gateway = plan(&world![taken, claims("c").created(1), claims("b")]);
    assert_eq!(owner(&by_gateway), [""; 0]);
    assert_eq!(by_gateway.says(Kind::Gateway, "edge", "Accepted"), "Accepted: True Accepted");
    // A set must not take a host from another Gateway either, not even from a younger one.
    let other = super::gateway("later").listener(http("mine", 80).host("a.test"));
    let by_other = plan(&world![gateway(), other, claims("c").created(1)]);
    assert_eq!(owner(&by_other), [""; 0]);
}

#[test]
fn another_protocol_on_a_port_loses_to_the_one_that_was_there() {
    let tls = listener("secure", 80, Protocol::Https);
    let plan = plan(&world![open_edge(), set("s").listener(tls).listener(http("extra", 81))]);
    assert!(
        set_listener_says(&plan, "s", "secure", "Conflicted")
            .starts_with("Conflicted: True ProtocolConflict"),
    );
    assert_eq!(
        set_says(&plan, "s", "Accepted"),
        "Accepted: True ListenersNotValid: not served: listener `secure`"
    );
    assert_eq!(set_says(&plan, "s", "Programmed"), "Programmed: True Programmed: listening on [::]:81");
    assert_eq!(plan.listener_says("http", "Conflicted"), "Conflicted: False NoConflicts");
}

#[test]
fn kinds_and_namespaces_are_those_of_the_set() {
    let of_shop = detached("shop/r").parent(to_set("shop/s")).to(service_ref("shop/web"));
    let of_default = detached("r").parent(to_set("shop/s")).rule(rule("/"));
    let set = || set("shop/s");
    let plan_of = |listener: Listener| {
        plan(&world![
            open_edge(),
            set().listener(listener),
            of_shop.clone(),
            of_default.clone(),
            container("web").in_compose("shop", "web"),
        ])
    };
    let plan = plan_of(http("extra", 81));
    assert!(plan.route_says("shop/r", "Accepted").starts_with("Accepted: True"));
    assert!(plan.route_says("r", "Accepted").starts_with(
        "Accepted: False NotAllowedByListeners: ListenerSet shop/s takes no routes of namespace `default`"
    ));
    let plan = plan_of(http("extra", 81).kinds(&[(GATEWAY_GROUP, "TLSRoute")]));
    assert!(plan.route_says("shop/r", "Accepted").starts_with("Accepted: False NotAllowedByListeners"));
}

#[test]
fn the_most_specific_listener_takes_a_host_whoever_added_it() {
    let route = |name: &str, parent: ParentRef| detached(name).parent(parent).rule(rule("/"));
    let plan = plan(&world![
        open_edge(),
        set("s").listener(http("wild", 80).host("*.a.test")).listener(http("exact", 80).host("x.a.test")),
        route("own", parent("default/edge")),
        route("wild", to_set("default/s").section("wild")),
        route("exact", to_set("default/s").section("exact")),
    ]);
    for (host, expected) in [
        ("b.test", "own"),
        ("a.test", "own"),
        ("y.a.test", "wild"),
        ("z.y.a.test", "wild"),
        ("x.a.test", "exact"),
    ] {
        assert_eq!(plan.answers(host, "/"), Some(&*format!("default/{expected}")), "{host}");
    }
}

#[test]
fn a_gateway_counts_the_sets_that_it_has_let_in() {
    let one = set("default/one").listener(http("one", 81));
    let two = set("default/two").listener(http("two", 82));
    let invalid = set("default/invalid").listener(http("x", 81));
    let counted = |gateway: Gateway| {
        let plan = plan(&world![gateway, one.clone(), two.clone(), invalid.clone()]);
        plan.status(Kind::Gateway, "edge").attached_sets
    };
    assert_eq!(counted(open_edge()), Some(2), "one listener is a set that has lost its only place");
    assert_eq!(counted(edge()), Some(0));
}
