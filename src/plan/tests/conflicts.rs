//! Two routes that claim one place.

use super::*;

fn conditional(mut prefix: HttpMatch, headers: &[(&'static str, &str)], params: &[(&str, &str)]) -> HttpRule {
    prefix.headers = headers
        .iter()
        .map(|(name, value)| HeaderMatch {
            name: http::HeaderName::from_static(name),
            value: ValueMatch::Exact((*value).into()),
        })
        .collect();
    prefix.query = params
        .iter()
        .map(|(name, value)| QueryMatch { name: (*name).into(), value: ValueMatch::Exact((*value).into()) })
        .collect();
    HttpRule { matches: vec![prefix], ..rule("/") }
}

#[test]
fn the_older_route_wins_and_the_loser_names_it() {
    let plan = plan(&world![
        edge(),
        container("a"),
        container("b"),
        route("young").created(2).host("a.test").to(service_ref("a")),
        route("old").created(1).host("a.test").to(service_ref("b")),
    ]);
    assert_eq!(plan.answers("a.test", "/"), Some("default/old"));
    assert_eq!(
        plan.route_says("young", "Conflicted"),
        "Conflicted: True Conflicted: `a.test/` is served by HTTPRoute default/old, which is older or first by name: \
         change the host, path or conditions of one of them"
    );
    assert_eq!(plan.route_says("old", "Conflicted"), "");
    assert_eq!(plan.route_says("young", "Accepted"), "Accepted: True Accepted");
}

#[test]
fn routes_without_age_are_the_youngest_and_go_by_name() {
    let plan = plan(&world![
        edge(),
        backend("b").address("10.0.0.1:80"),
        route("b").to(backend_ref("b")),
        route("a").rule(rule("/")),
        route("z").created(9).rule(rule("/").redirect()),
    ]);
    assert_eq!(plan.answers("a.test", "/"), Some("default/z"));
    assert!(plan.route_says("a", "Conflicted").contains("`*/` is served by HTTPRoute default/z"));
    assert!(plan.route_says("b", "Conflicted").contains("`*/` is served by HTTPRoute default/z"));
}

#[test]
fn two_routes_to_one_service_merge() {
    let plan = plan(&world![
        edge(),
        container("a"),
        route("a").host("a.test").to(service_ref("a")),
        route("b").host("a.test").to(service_ref("a")),
    ]);
    assert_eq!([plan.route_says("a", "Conflicted"), plan.route_says("b", "Conflicted")], ["", ""]);
}

#[test]
fn a_service_is_the_same_under_another_name() {
    let named = EndpointTarget::ContainerNamed { name: "a".into(), network: None };
    let plan = plan(&world![
        edge(),
        container("a"),
        backend("a.containers").endpoint(endpoint(named)),
        backend("empty"),
        backend("nothing"),
        route("a").host("a.test").to(service_ref("a")),
        route("b").host("a.test").to(backend_ref("a.containers")),
        route("c").host("c.test").to(backend_ref("empty")),
        route("d").host("c.test").to(backend_ref("nothing")),
    ]);
    assert_eq!(plan.route_says("b", "Conflicted"), "");
    // Two that have no endpoint now may have different ones soon.
    assert!(plan.route_says("d", "Conflicted").contains("served by HTTPRoute default/c"));
}

#[test]
fn two_routes_that_differ_in_filters_do_not_merge() {
    let plan = plan(&world![edge(), route("a").rule(rule("/")), route("b").rule(rule("/").redirect())]);
    assert!(plan.route_says("b", "Conflicted").contains("served by HTTPRoute default/a"));
}

#[test]
fn other_hosts_paths_and_conditions_are_other_places() {
    let backend = |name: &str| backend_ref(name);
    let plan = plan(&world![
        edge(),
        backend_of("a"),
        backend_of("b"),
        route("a").host("a.test").rule(rule("/x").to(backend("a"))),
        route("b").host("b.test").rule(rule("/x").to(backend("b"))),
        route("c").host("a.test").rule(rule("/y").to(backend("b"))),
        route("d").host("a.test").rule(conditional(path("/x"), &[("x-a", "1")], &[]).to(backend("b"))),
        route("e").host("a.test").rule(conditional(path("/x"), &[], &[("x-a", "1")]).to(backend("a"))),
        route("f").host("*.test").rule(rule("/x").to(backend("b"))),
    ]);
    for name in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(plan.route_says(name, "Conflicted"), "", "{name}");
    }
}

fn backend_of(name: &str) -> Backend {
    backend(name).address(&format!("10.0.0.{}:80", name.len()))
}

#[test]
fn conditions_are_the_same_in_any_order() {
    let headers = [("x-a", "1"), ("x-b", "2")];
    let turned = [("x-b", "2"), ("x-a", "1")];
    let plan = plan(&world![
        edge(),
        backend_of("a"),
        route("a").rule(conditional(path("/x"), &headers, &[("q", "1")]).to(backend_ref("a"))),
        route("b").rule(conditional(path("/x/"), &turned, &[("q", "1")])),
    ]);
    assert!(plan.route_says("b", "Conflicted").contains("`*/x` is served by HTTPRoute default/a"));
}

#[test]
fn a_conflict_on_several_sockets_is_told_once() {
    let plan = plan(&world![
        edge().at(&["10.0.0.1", "10.0.0.2"]),
        backend_of("a"),
        route("a").host("a.test").to(backend_ref("a")),
        route("b").host("a.test").rule(rule("/")),
    ]);
    let conflicts =
        plan.status(Kind::HttpRoute, "b").conditions.iter().filter(|found| found.kind == "Conflicted");
    assert_eq!(conflicts.count(), 1);
    assert_eq!(plan.route_says("b", "Conflicted").matches("is served by").count(), 1);
}
