//! Which listeners are served.

use super::*;

const REFUSED: [(Protocol, &str); 3] =
    [(Protocol::Tls, "TLS"), (Protocol::Tcp, "TCP"), (Protocol::Udp, "UDP")];

#[test]
fn a_gateway_without_addresses_binds_all_of_both_families() {
    let plan = plan(&world![edge()]);
    assert_eq!(plan.table.sockets().map(ToString::to_string).collect::<Vec<_>>(), ["[::]:80"]);
    let status = plan.status(Kind::Gateway, "edge");
    assert_eq!(status.addresses, ["[::]:80"]);
    assert_eq!(
        all_said(&status.conditions),
        ["Accepted: True Accepted", "Programmed: True Programmed: listening on [::]:80"]
    );
    assert_eq!(
        all_said(&status.listeners[0].conditions),
        [
            "Accepted: True Accepted",
            "Programmed: True Programmed: listening on [::]:80",
            "ResolvedRefs: True ResolvedRefs",
            "Conflicted: False NoConflicts",
        ]
    );
    let kinds = ["HTTPRoute", "GRPCRoute"].map(|kind| (GATEWAY_GROUP.into(), kind.into()));
    assert_eq!(status.listeners[0].supported_kinds, kinds);
}

#[test]
fn a_gateway_binds_each_of_its_addresses_once() {
    let plan = plan(&world![edge().at(&["10.0.0.2", "::1", "10.0.0.1", "10.0.0.2"])]);
    assert_eq!(plan.status(Kind::Gateway, "edge").addresses, ["10.0.0.1:80", "10.0.0.2:80", "[::1]:80"]);
}

#[test]
fn a_gateway_that_asks_for_addresses_is_bound_to_no_others() {
    let asked = |usable: &[&str]| {
        let mut gateway = edge().listener(http("more", 81)).at(usable);
        gateway.unsupported_addresses.push(unsupported("spec.addresses[0]", "no such type"));
        plan(&world![gateway, route("r").to(service_ref("web:80")), container("web")])
    };
    let none = asked(&[]);
    assert_eq!(none.table.sockets().count(), 0);
    let status = none.status(Kind::Gateway, "edge");
    assert_eq!(status.addresses, [""; 0]);
    let why = "spec.addresses[0]: no such type; not served: listeners `http`, `more`";
    assert_eq!(
        all_said(&status.conditions),
        [
            format!("Accepted: False UnsupportedAddress: {why}"),
            format!("Programmed: False AddressNotUsable: {why}")
        ]
    );
    let why = "Gateway default/edge asks for addresses, and none of them can be used, so nothing listens: \
               spec.addresses[0]: no such type";
    assert_eq!(
        [none.listener_says("http", "Accepted"), none.listener_says("http", "Programmed")],
        [format!("Accepted: False UnsupportedValue: {why}"), format!("Programmed: False Invalid: {why}")]
    );
    assert!(none.route_says("r", "Programmed").starts_with("Programmed: False"));
    let one = asked(&["10.0.0.1"]);
    assert_eq!(
        all_said(&one.status(Kind::Gateway, "edge").conditions),
        [
            "Accepted: False UnsupportedAddress: spec.addresses[0]: no such type; the rest is served",
            "Programmed: True Programmed: listening on 10.0.0.1:80, 10.0.0.1:81"
        ]
    );
}

#[test]
fn listeners_of_one_port_are_told_apart_by_hostname() {
    let gateway = gateway("edge")
        .listener(http("a", 80).host("a.test"))
        .listener(http("wild", 80).host("*.test"))
        .listener(http("any", 80));
    let one = |name: &str, listener: &str| {
        detached(name).parent(parent("default/edge").section(listener)).rule(rule("/"))
    };
    let plan = plan(&world![gateway, one("exact", "a"), one("wild", "wild"), one("any", "any")]);
    for listener in ["a", "wild", "any"] {
        assert_eq!(plan.listener_says(listener, "Conflicted"), "Conflicted: False NoConflicts");
    }
    assert_eq!(plan.answers("a.test", "/"), Some("default/exact"));
    assert_eq!(plan.answers("b.test", "/"), Some("default/wild"));
    assert_eq!(plan.answers("test", "/"), Some("default/any"));
}

#[test]
fn protocols_of_one_port_that_cannot_be_told_apart_take_the_whole_port_down() {
    for (protocol, words) in [
        (Protocol::Https, "HTTP and HTTPS"),
        (Protocol::Tls, "HTTP and TLS"),
        (Protocol::Tcp, "HTTP and TCP"),
    ] {
        let gateway = gateway("edge")
            .listener(http("a", 80).host("a.test"))
            .listener(http("b", 80).host("b.test"))
            .listener(listener("other", 80, protocol))
            .listener(http("good", 8080));
        let plan = plan(&world![gateway]);
        let message = format!(
            "port 80 is used with the protocols {words}, which cannot be told apart: give each a port of its own"
        );
        for name in ["a", "b", "other"] {
            assert_eq!(
                plan.listener_says(name, "Conflicted"),
                format!("Conflicted: True ProtocolConflict: {message}")
            );
        }
        assert_eq!(
            plan.listener_says("a", "Accepted"),
            format!("Accepted: False ProtocolConflict: {message}")
        );
        assert_eq!(plan.listener_says("a", "Programmed"), format!("Programmed: False Invalid: {message}"));
        assert_eq!(plan.listener_says("good", "Accepted"), "Accepted: True Accepted");
        assert_eq!(plan.status(Kind::Gateway, "edge").addresses, ["[::]:8080"]);
    }
}

#[test]
fn a_udp_port_is_another_port() {
    let gateway = edge().listener(listener("dns", 80, Protocol::Udp));
    let plan = plan(&world![gateway]);
    assert_eq!(plan.listener_says("http", "Accepted"), "Accepted: True Accepted");
    assert_eq!(plan.listener_says("dns", "Conflicted"), "Conflicted: False NoConflicts");
}

#[test]
fn protocols_that_are_not_served_yet_say_so_and_leave_the_others_served() {
    for (protocol, name) in REFUSED {
        let plan =
            plan(&world![edge().listener(listener("other", 443, protocol)), route("r").rule(rule("/"))]);
        let why = format!(
            "protocol {name} is not served yet: nothing listens for it on port 443; only HTTP and HTTPS are served"
        );
        assert_eq!(
            plan.listener_says("other", "Accepted"),
            format!("Accepted: False UnsupportedValue: {why}")
        );
        assert_eq!(plan.listener_says("other", "Programmed"), format!("Programmed: False Invalid: {why}"));
        assert_eq!(
            plan.says(Kind::Gateway, "edge", "Accepted"),
            "Accepted: True ListenersNotValid: not served: listener `other`"
        );
        assert_eq!(plan.answers("a.test", "/"), Some("default/r"));
        assert_eq!(plan.table.sockets().count(), 1);
    }
}

#[test]
fn an_unknown_protocol_leaves_the_others_served() {
    let plan = plan(&world![edge().listener(listener("odd", 80, Protocol::Other("acme.io/quic".into())))]);
    assert_eq!(
        plan.listener_says("odd", "Accepted"),
        "Accepted: False UnsupportedProtocol: protocol `acme.io/quic` is unknown: write `protocol: HTTP` or `HTTPS`"
    );
    assert_eq!(plan.listener_says("http", "Accepted"), "Accepted: True Accepted");
}

#[test]
fn a_gateway_of_which_nothing_is_served_is_not_accepted() {
    let plan = plan(&world![gateway("edge").listener(listener("tls", 443, Protocol::Https))]);
    assert_eq!(
        all_said(&plan.status(Kind::Gateway, "edge").conditions),
        [
            "Accepted: False ListenersNotValid: not served: listener `tls`",
            "Programmed: False Invalid: not served: listener `tls`",
        ]
    );
    assert!(plan.status(Kind::Gateway, "edge").addresses.is_empty());
}

#[test]
fn fields_that_are_not_served_refuse_their_listener_or_are_named_at_the_gateway() {
    let mut odd = http("odd", 8080);
    odd.unsupported.push(unsupported("spec.listeners[1].tls", "TLS is not served yet"));
    let mut gateway = edge().listener(odd);
    gateway.unsupported_parameters = Some(unsupported("spec.infrastructure", "it has no meaning here"));
    let plan = plan(&world![gateway]);
    assert_eq!(
        plan.listener_says("odd", "Accepted"),
        "Accepted: False UnsupportedValue: spec.listeners[1].tls: TLS is not served yet; the listener is served once they \
         are removed"
    );
    assert_eq!(
        plan.says(Kind::Gateway, "edge", "Accepted"),
        "Accepted: False InvalidParameters: spec.infrastructure: it has no meaning here; not served: listener `odd`"
    );
    assert!(plan.says(Kind::Gateway, "edge", "Programmed").starts_with("Programmed: True"));
}

#[test]
fn of_two_gateways_with_one_socket_and_hostname_the_older_wins() {
    for (old, young) in [("b-old", "a-young"), ("a-old", "b-young")] {
        let plan = plan(&world![
            gateway(old).created(1).listener(http("http", 80).host("a.test")),
            gateway(young).created(2).listener(http("web", 80).host("a.test")),
        ]);
        assert_eq!(plan.listener_of_says(old, "http", "Conflicted"), "Conflicted: False NoConflicts");
        let why = format!(
            "listener `http` of Gateway default/{old} has [::]:80 with hostname `a.test`, and is older or first by name: \
             give this one another port or hostname, or its Gateway another address"
        );
        assert_eq!(
            plan.listener_of_says(young, "web", "Conflicted"),
            format!("Conflicted: True HostnameConflict: {why}")
        );
        assert_eq!(
            plan.says(Kind::Gateway, young, "Programmed"),
            "Programmed: False Invalid: not served: listener `web`"
        );
    }
}

#[test]
fn of_two_gateways_without_age_the_first_by_name_wins() {
    let plan =
        plan(&world![gateway("b").listener(http("http", 80)), gateway("a").listener(http("http", 80)),]);
    assert!(plan.listener_of_says("a", "http", "Accepted").starts_with("Accepted: True"));
    assert!(plan.listener_of_says("b", "http", "Conflicted").contains("has [::]:80 without a hostname"));
}

#[test]
fn two_gateways_share_a_socket_where_hostname_or_address_tells_them_apart() {
    let on = |name: &str, gateway: &str| {
        detached(name).parent(parent(&format!("default/{gateway}"))).rule(rule("/"))
    };
    let plan = plan(&world![
        gateway("all").listener(http("http", 80).host("all.test")).listener(http("any", 80)),
        gateway("more").listener(http("http", 80).host("more.test")),
        gateway("one").at(&["10.0.0.1"]).listener(http("http", 80).host("one.test")),
        gateway("four").at(&["0.0.0.0"]).listener(http("http", 80).host("four.test")),
        on("all", "all"),
        on("more", "more"),
        on("one", "one"),
        on("four", "four"),
    ]);
    for name in ["all", "more", "one", "four"] {
        assert_eq!(plan.says(Kind::Gateway, name, "Accepted"), "Accepted: True Accepted");
    }
    let answers = |socket: &str, host: &str| plan.answer_on(socket, host, "/").map(|rule| &*rule.route);
    // The narrowest socket takes the connection, and serves what the wider ones would.
    for socket in ["[::]:80", "0.0.0.0:80", "10.0.0.1:80"] {
        assert_eq!(answers(socket, "all.test"), Some("default/all"), "{socket}");
        assert_eq!(answers(socket, "more.test"), Some("default/more"), "{socket}");
    }
    assert_eq!(answers("10.0.0.1:80", "one.test"), Some("default/one"));
    assert_eq!(answers("10.0.0.1:80", "four.test"), Some("default/four"));
    assert_eq!(answers("0.0.0.0:80", "four.test"), Some("default/four"));
    assert_eq!(answers("[::]:80", "one.test"), Some("default/all"));
    assert_eq!(answers("[::]:80", "four.test"), Some("default/all"));
}

#[test]
fn on_its_own_address_a_gateway_wins_over_one_on_all_addresses() {
    let plan = plan(&world![
        gateway("a-all").listener(http("http", 80)),
        gateway("b-one").at(&["10.0.0.1", "::1"]).listener(http("http", 80)),
        detached("all").parent(parent("default/a-all")).rule(rule("/")),
        detached("one").parent(parent("default/b-one")).rule(rule("/")),
    ]);
    let answers = |socket: &str| plan.answer_on(socket, "a.test", "/").map(|rule| &*rule.route);
    assert_eq!(answers("[::]:80"), Some("default/all"));
    assert_eq!(answers("10.0.0.1:80"), Some("default/one"));
    assert_eq!(answers("[::1]:80"), Some("default/one"));
}

#[test]
fn a_class_of_another_controller_is_left_alone() {
    let class = |name: &str, controller: &str| GatewayClass {
        meta: meta(Kind::GatewayClass, name),
        controller: controller.into(),
    };
    let plan = plan(&world![
        class("nginx", "nginx.org/controller"),
        class("portolan", "portolan.dev/controller"),
        Gateway { class: "nginx".into(), ..gateway("foreign").created(1).listener(http("http", 80)) },
        edge().created(2),
        Gateway { class: "never-written".into(), ..gateway("own").listener(http("http", 8080)) },
        detached("r").parent(parent("default/foreign")).rule(rule("/")),
    ]);
    let why = "its GatewayClass `nginx` names the controller `nginx.org/controller`, not `portolan.dev/controller`: \
               Portolan leaves it alone";
    assert_eq!(
        all_said(&plan.status(Kind::Gateway, "foreign").conditions),
        [format!("Accepted: Unknown Pending: {why}"), format!("Programmed: Unknown Pending: {why}")]
    );
    assert_eq!(
        plan.says(Kind::GatewayClass, "nginx", "Accepted"),
        "Accepted: Unknown Pending: Gateways of this class belong to the controller `nginx.org/controller`; \
         `portolan.dev/controller` would make them Portolan's"
    );
    assert_eq!(
        plan.says(Kind::GatewayClass, "portolan", "Accepted"),
        "Accepted: True Accepted: Gateways of this class are served"
    );
    // It takes no place from a Gateway of Portolan's, and its routes wait for their own controller.
    assert_eq!(plan.listener_says("http", "Accepted"), "Accepted: True Accepted");
    assert_eq!(plan.says(Kind::Gateway, "own", "Accepted"), "Accepted: True Accepted");
    assert_eq!(
        plan.route_says("r", "Accepted"),
        "Accepted: Unknown Pending: Gateway default/foreign belongs to the controller `nginx.org/controller`: Portolan \
         leaves it alone"
    );
    assert!(plan.route_says("r", "Programmed").starts_with("Programmed: Unknown Pending"));
    assert_eq!(plan.answers("a.test", "/"), None);
}

#[test]
fn a_socket_that_cannot_be_bound_is_the_status_of_its_listener() {
    let mut world = world![edge().listener(http("alt", 8080)), route("r").rule(rule("/"))];
    world.unbound.insert("[::]:80".parse().unwrap(), "address in use".into());
    let plan = plan(&world);
    let why = "cannot listen on [::]:80: address in use";
    assert_eq!(plan.listener_says("http", "Accepted"), format!("Accepted: False PortUnavailable: {why}"));
    assert_eq!(plan.listener_says("http", "Programmed"), format!("Programmed: False Invalid: {why}"));
    assert_eq!(
        plan.listener_says("alt", "Programmed"),
        "Programmed: True Programmed: listening on [::]:8080"
    );
    assert_eq!(plan.status(Kind::Gateway, "edge").addresses, ["[::]:8080"]);
    // It stays in the table, so that it is tried again.
    assert_eq!(plan.table.sockets().count(), 2);
    assert_eq!(
        plan.route_says("r", "Programmed"),
        format!("Programmed: True Programmed: listener `http` of Gateway default/edge is not served: {why}")
    );
}

#[test]
fn a_route_whose_every_listener_is_not_bound_is_not_programmed() {
    let mut world = world![edge(), route("r").to(service_ref("web")), container("web")];
    world.unbound.insert("[::]:80".parse().unwrap(), "address in use".into());
    let plan = plan(&world);
    assert_eq!(
        plan.route_says("r", "Programmed"),
        "Programmed: False Invalid: listener `http` of Gateway default/edge is not served: cannot listen on [::]:80: \
         address in use"
    );
    assert_eq!(plan.route_says("r", "Accepted"), "Accepted: True Accepted");
    assert_eq!(plan.workload("web"), WorkloadPlan::default());
    assert_eq!(
        plan.says(Kind::Gateway, "edge", "Programmed"),
        "Programmed: False Invalid: not served: listener `http`"
    );
}

#[test]
fn a_listener_is_served_on_the_addresses_that_could_be_bound() {
    let mut world = world![edge().at(&["10.0.0.1", "10.0.0.2"]), route("r").rule(rule("/"))];
    world.unbound.insert("10.0.0.2:80".parse().unwrap(), "this machine does not have it".into());
    let plan = plan(&world);
    let why = "cannot listen on 10.0.0.2:80: this machine does not have it";
    assert_eq!(plan.listener_says("http", "Accepted"), "Accepted: True Accepted");
    assert_eq!(
        plan.listener_says("http", "Programmed"),
        format!("Programmed: True Programmed: listening on 10.0.0.1:80; {why}")
    );
    assert_eq!(
        plan.says(Kind::Gateway, "edge", "Programmed"),
        format!("Programmed: False AddressNotUsable: {why}; the other addresses are served")
    );
    assert_eq!(plan.status(Kind::Gateway, "edge").addresses, ["10.0.0.1:80"]);
    assert_eq!(plan.route_says("r", "Programmed"), "Programmed: True Programmed");
}

#[test]
fn route_kinds_that_cannot_attach_are_named() {
    let gateway = gateway("edge")
        .listener(http("grpc", 80).kinds(&[(GATEWAY_GROUP, "GRPCRoute"), (GATEWAY_GROUP, "HTTPRoute")]))
        .listener(http("odd", 81).kinds(&[(GATEWAY_GROUP, "TCPRoute"), ("", "HTTPRoute")]))
        .listener(listener("tcp", 82, Protocol::Tcp).kinds(&[(GATEWAY_GROUP, "TCPRoute")]));
    let plan = plan(&world![gateway, route("r").rule(rule("/"))]);
    assert_eq!(plan.listener_says("grpc", "ResolvedRefs"), "ResolvedRefs: True ResolvedRefs");
    assert_eq!(
        plan.listener_says("odd", "ResolvedRefs"),
        "ResolvedRefs: False InvalidRouteKinds: allowedRoutes.kinds: `TCPRoute` of group `gateway.networking.k8s.io` \
         cannot attach to HTTP; `HTTPRoute` of group `\"\"` cannot attach to HTTP; remove it there"
    );
    assert_eq!(plan.listener_says("tcp", "ResolvedRefs"), "ResolvedRefs: True ResolvedRefs");
    assert_eq!(plan.attached_routes("edge"), [1, 0, 0]);
    let kinds = |index: usize| plan.status(Kind::Gateway, "edge").listeners[index].supported_kinds.len();
    assert_eq!([kinds(0), kinds(1), kinds(2)], [2, 0, 0]);
}
