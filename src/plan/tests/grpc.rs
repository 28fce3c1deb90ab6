//! Routes of gRPC: like those of HTTP, but for what is said of them and what is spoken behind them.

use super::*;

fn grpc(name: &str) -> HttpRoute {
    let mut route = route(name);
    route.meta = meta(Kind::GrpcRoute, name);
    route
}

fn calls(reference: BackendRef) -> HttpRule {
    let matches = vec![HttpMatch::grpc(PathMatch::Prefix("".into()), Vec::new())];
    HttpRule { matches, backends: vec![reference], ..rule("/") }
}

/// Where calls of gRPC for a host go, with what is spoken there.
fn called(plan: &Plan, host: &str) -> Vec<(String, Scheme)> {
    let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, "application/grpc".parse().unwrap())]);
    let request = Request { host, path: "/a.B/C", query: None, method: &Method::POST, headers: &headers };
    let Found::Rule { rule, .. } = plan.table.socket(&"[::]:80".parse().unwrap()).unwrap().find(&request)
    else {
        return Vec::new();
    };
    let Target::Backend(backend) = &rule.backends.choices()[0].target else { return Vec::new() };
    backend.endpoints.iter().map(|endpoint| (endpoint.address.to_string(), endpoint.scheme)).collect()
}

#[test]
fn what_becomes_of_calls_that_are_not_served_yet_is_said_in_words_of_grpc() {
    let odd =
        calls(service_ref("web")).unsupported("spec.rules[0].filters[0].extensionRef", "not served yet");
    let plan = plan(&world![edge(), container("web"), grpc("g").rule(odd)]);
    assert_eq!(
        plan.says(Kind::GrpcRoute, "g", "Accepted"),
        "Accepted: False UnsupportedValue: spec.rules[0].filters[0].extensionRef: not served yet; its calls are answered \
         INTERNAL until that is removed"
    );
}

#[test]
fn a_backend_of_calls_is_spoken_to_by_h2c_and_of_others_as_before() {
    let plan = plan(&world![
        edge(),
        container("web").on(&[("n", "10.0.0.1")]),
        grpc("g").host("g.test").rule(calls(service_ref("web:80"))),
        route("h").host("h.test").to(service_ref("web:80")),
    ]);
    assert_eq!(called(&plan, "g.test"), [("10.0.0.1:80".to_owned(), Scheme::H2c)]);
    assert_eq!(called(&plan, "h.test"), [("10.0.0.1:80".to_owned(), Scheme::Http)]);
    assert!(plan.workload("web").routed);
    assert_eq!(plan.backends.len(), 1, "it is one backend");
}

#[test]
fn a_service_that_names_h2c_gets_it_from_http_routes_too() {
    let mut h2c = service("h2c", ServiceKind::Selector(strings(&[("app", "s")]))).port(80, 80);
    h2c.ports[0].scheme = Scheme::H2c;
    let plan = plan(&world![
        edge(),
        container("s").labels(&[("app", "s")]).on(&[("n", "10.0.0.1")]),
        h2c,
        route("h").host("h.test").to(service_ref("h2c:80")),
    ]);
    assert_eq!(called(&plan, "h.test"), [("10.0.0.1:80".to_owned(), Scheme::H2c)]);
}

#[test]
fn both_kinds_serve_one_host_under_one_name() {
    let plan = plan(&world![
        edge(),
        backend("b").address("10.0.0.1:80"),
        backend("c").address("10.0.0.2:80"),
        grpc("r").host("a.test").rule(calls(backend_ref("b"))),
        route("r").host("a.test").to(backend_ref("c")),
    ]);
    assert_eq!(called(&plan, "a.test"), [("10.0.0.1:80".to_owned(), Scheme::H2c)]);
    assert_eq!(plan.leads_to("a.test"), "10.0.0.2:80");
    for kind in [Kind::HttpRoute, Kind::GrpcRoute] {
        assert_eq!(plan.says(kind, "r", "Accepted"), "Accepted: True Accepted");
        assert_eq!(plan.says(kind, "r", "Conflicted"), "");
    }
    assert_eq!(plan.attached_routes("edge"), [2]);
}

#[test]
fn two_that_claim_the_same_calls_are_told_of_by_kind() {
    let plan = plan(&world![
        edge(),
        backend("b").address("10.0.0.1:80"),
        backend("c").address("10.0.0.2:80"),
        grpc("one").host("a.test").rule(calls(backend_ref("b"))),
        grpc("two").host("a.test").rule(calls(backend_ref("c"))),
    ]);
    let said = plan.says(Kind::GrpcRoute, "two", "Conflicted");
    assert!(said.contains("is served by GRPCRoute default/one"), "{said}");
    assert_eq!(plan.says(Kind::GrpcRoute, "one", "Conflicted"), "");
}

#[test]
fn a_listener_may_take_only_one_of_both_kinds() {
    let gateway = gateway("edge")
        .listener(http("grpc", 80).kinds(&[(GATEWAY_GROUP, "GRPCRoute")]))
        .listener(http("http", 81).kinds(&[(GATEWAY_GROUP, "HTTPRoute")]));
    let plan = plan(&world![
        gateway,
        backend("b").address("10.0.0.1:80"),
        grpc("g").parent(parent("default/edge").section("http")).rule(calls(backend_ref("b"))),
        route("h").rule(rule("/")),
    ]);
    assert_eq!(plan.attached_routes("edge"), [1, 1]);
    let refused = &plan.status(Kind::GrpcRoute, "g").parents[1];
    assert_eq!(
        all_said(&refused.conditions)[0],
        "Accepted: False NotAllowedByListeners: Gateway default/edge: listener `http` (HTTP) takes no GRPCRoute; \
         attach to one with protocol HTTP whose `allowedRoutes.kinds` has GRPCRoute or is left out"
    );
}

#[test]
fn a_grant_is_for_a_kind() {
    let grant = |kind: &str| {
        Resource::ReferenceGrant(Arc::new(ReferenceGrant {
            meta: meta(Kind::ReferenceGrant, "shop/g"),
            from: vec![GrantFrom {
                group: GATEWAY_GROUP.into(),
                kind: kind.into(),
                namespace: "default".into(),
            }],
            to: vec![GrantTo { group: "".into(), kind: "Service".into(), name: None }],
        }))
    };
    for (kind, says) in [("GRPCRoute", "True"), ("HTTPRoute", "False")] {
        let plan = plan(&world![
            edge(),
            grpc("g").rule(calls(service_ref("shop/web:80"))),
            backend("shop/web").address("10.0.0.1:80"),
            grant(kind),
        ]);
        let said = plan.says(Kind::GrpcRoute, "g", "ResolvedRefs");
        assert!(said.starts_with(&format!("ResolvedRefs: {says}")), "{kind}: {said}");
    }
}

#[test]
fn a_route_without_rules_is_accepted_and_takes_nothing() {
    let plan = plan(&world![edge(), grpc("g").host("a.test")]);
    assert_eq!(plan.says(Kind::GrpcRoute, "g", "Accepted"), "Accepted: True Accepted");
    assert!(called(&plan, "a.test").is_empty());
}
