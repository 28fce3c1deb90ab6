//! Routes of gRPC as routes of HTTP.

use super::*;
use crate::model::HttpMatch;

fn grpc(spec: &str) -> model::HttpRoute {
    let resource = convert("GRPCRoute", spec);
    let Resource::HttpRoute(route) = resource else { panic!("{resource:?}") };
    Arc::unwrap_or_clone(route)
}

fn paths(spec: &str) -> Vec<String> {
    let shown = |one: &HttpMatch| match &one.path {
        PathMatch::Exact(path) => format!("={path}"),
        PathMatch::Prefix(prefix) => format!("{prefix}/"),
        PathMatch::Regex(pattern) => format!("~{}", pattern.as_str()),
        PathMatch::Method(method) => format!("*/{method}"),
    };
    grpc(spec).rules.iter().flat_map(|rule| &rule.matches).map(shown).collect()
}

#[test]
fn services_and_methods_are_paths() {
    let found = paths(
        "{rules: [
          {matches: [{method: {service: shop.v1.Books, method: List}}, {method: {service: shop.v1.Books}}]},
          {matches: [{method: {method: List}}]},
          {matches: [
            {method: {type: RegularExpression, service: 'shop\\..*', method: 'Get|List'}},
            {method: {type: RegularExpression, method: 'Get.*'}}, {headers: [{name: a, value: b}]}]},
          {}]}",
    );
    assert_eq!(
        found,
        [
            "=/shop.v1.Books/List",
            "/shop.v1.Books/",
            "*/List",
            "~/(?:shop\\..*)/(?:Get|List)",
            "~/[^/]+/(?:Get.*)",
            "/",
            "/"
        ]
    );
}

#[test]
fn only_calls_of_grpc_fit() {
    let route = grpc("{rules: [{matches: [{headers: [{name: A, value: b}, {name: a, value: c}]}]}, {}]}");
    let counts: Vec<usize> = route.rules.iter().map(|rule| rule.matches[0].headers.len()).collect();
    assert_eq!(counts, [2, 1], "the content type is one more");
    assert!(route.rules.iter().flat_map(|rule| &rule.matches).all(HttpMatch::is_grpc));
}

#[test]
fn without_rules_nothing_is_routed() {
    assert!(grpc("{}").rules.is_empty());
    assert!(grpc("{}").uses_default_gateways);
}

#[test]
fn the_rest_is_as_in_http() {
    let route = grpc(
        "{hostnames: [a.test], parentRefs: [{name: edge}], rules: [{name: all,
          filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: b}]}},
                    {type: ExtensionRef, extensionRef: {group: portolan.dev, kind: Filter, name: a}}],
          backendRefs: [{name: web, port: 80, weight: 7}]}]}",
    );
    assert_eq!((route.meta.id.kind, route.parents.len(), route.hostnames.len()), (Kind::GrpcRoute, 1, 1));
    let rule = &route.rules[0];
    assert_eq!((rule.name.as_deref(), rule.backends[0].weight), (Some("all"), 7));
    assert!(matches!(rule.filters[0], HttpFilter::RequestHeaders(_)));
    assert_eq!(fields(&rule.unsupported), ["spec.rules[0].filters[1].extensionRef"]);
}

#[test]
fn a_pattern_that_does_not_compile_is_refused() {
    let spec = "{rules: [{matches: [{method: {type: RegularExpression, service: 'a)('}}]}]}";
    assert!(resource(&object("GRPCRoute", spec), origin(), 1).is_err());
}
