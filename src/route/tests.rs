//! The rules of matching, one per test, and the naive matcher that must agree.

use std::{cmp::Reverse, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::{prelude::*, sample::select};

mod grpc;

use super::*;
use crate::model::{
    HeaderMatch, HostPattern, HttpMatch, Kind, Meta, Origin, PathMatch, Pattern, QueryMatch, ResourceId,
    Timeouts, ValueMatch,
};

/// A route of one listener: hostnames, and one match per rule.
#[derive(Clone, Debug)]
struct Route {
    name: String,
    created: Option<i64>,
    hostnames: Vec<HostPattern>,
    rules: Vec<Vec<HttpMatch>>,
}

fn host(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

fn prefix(path: &str) -> HttpMatch {
    matching(PathMatch::Prefix(path.strip_suffix('/').unwrap_or(path).into()))
}

fn exact(path: &str) -> HttpMatch {
    matching(PathMatch::Exact(path.into()))
}

fn regex(source: &str) -> HttpMatch {
    matching(PathMatch::Regex(Pattern::parse(source).unwrap()))
}

fn matching(path: PathMatch) -> HttpMatch {
    HttpMatch { path, method: None, headers: Vec::new(), query: Vec::new() }
}

impl HttpMatch {
    fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = ValueMatch::Exact(value.into());
        self.headers.push(HeaderMatch { name: HeaderName::from_static(name), value });
        self
    }

    fn param(mut self, name: &str, value: &str) -> Self {
        self.query.push(QueryMatch { name: name.into(), value: ValueMatch::Exact(value.into()) });
        self
    }
}

fn route(name: &str, hostnames: &[&str], rules: Vec<HttpMatch>) -> Route {
    Route {
        name: name.into(),
        created: None,
        hostnames: hostnames.iter().map(|text| host(text)).collect(),
        rules: rules.into_iter().map(|one| vec![one]).collect(),
    }
}

fn meta(route: &Route) -> Meta {
    Meta {
        id: ResourceId::new(Kind::HttpRoute, "default", &route.name),
        origin: Origin::BuiltIn("test"),
        created: route.created,
        generation: 1,
    }
}

fn rule(route: &Route, index: usize) -> Arc<Rule> {
    Arc::new(Rule {
        route: route.name.as_str().into(),
        rule: index.to_string().into(),
        filters: Vec::new(),
        backends: Weighted::default(),
        timeouts: Timeouts::default(),
        retry: None,
        session: None,
        mirrors: Vec::new(),
        auths: Vec::new(),
        invalid: None,
    })
}

const SOCKET: &str = "0.0.0.0:80";

fn table(listeners: &[(&str, Option<&str>, &[Route])]) -> Table {
    let mut builder = TableBuilder::default();
    for (name, hostname, routes) in listeners {
        let key = builder.listener(ListenerSpec {
            sockets: vec![SOCKET.parse().unwrap()],
            name: (*name).into(),
            port: 80.try_into().unwrap(),
            hostname: hostname.map(host),
            tls: None,
            client: None,
        });
        for route in *routes {
            let rules =
                route.rules.iter().enumerate().map(|(index, matches)| (&**matches, rule(route, index)));
            let rules = rules.collect();
            let meta = meta(route);
            builder
                .attach(key, &Attachment { meta: &meta, hostnames: route.hostnames.iter().collect(), rules });
        }
    }
    builder.build()
}

/// `listener route/rule`, `listener -` or `-`.
fn find(table: &Table, request: &Request<'_>) -> String {
    match table.socket(&SOCKET.parse().unwrap()).unwrap().find(request) {
        Found::Rule { listener, rule, .. } => format!("{} {}/{}", listener.name, rule.route, rule.rule),
        Found::NoRoute { listener } => format!("{} -", listener.name),
        Found::NoListener => "-".into(),
    }
}

/// Asks one listener `l` without hostname, and gives what follows its name.
fn ask(routes: &[Route], method: &Method, url: &str, headers: &[(&'static str, &str)]) -> String {
    let (host, path) = url.split_once('/').unwrap();
    let path = format!("/{path}");
    let (path, query) = path.split_once('?').map_or((&*path, None), |(path, query)| (path, Some(query)));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    let request = Request { host, path, query, method, headers: &map };
    find(&table(&[("l", None, routes)]), &request)[2..].to_owned()
}

fn get(routes: &[Route], url: &str) -> String {
    ask(routes, &Method::GET, url, &[])
}

#[test]
fn a_precise_hostname_wins_over_a_wildcard_and_the_longer_wildcard_over_the_shorter() {
    let routes = [
        route("any", &[], vec![prefix("/")]),
        route("wide", &["*.test"], vec![prefix("/")]),
        route("narrow", &["*.a.test"], vec![prefix("/")]),
        route("exact", &["x.a.test"], vec![prefix("/")]),
    ];
    assert_eq!(get(&routes, "x.a.test/"), "exact/0");
    assert_eq!(get(&routes, "y.a.test/"), "narrow/0");
    assert_eq!(get(&routes, "z.y.a.test/"), "narrow/0");
    assert_eq!(get(&routes, "a.test/"), "wide/0");
    assert_eq!(get(&routes, "test/"), "any/0");
}

#[test]
fn the_hostname_decides_before_the_path() {
    let routes = [
        route("exact-path", &["*.test"], vec![exact("/a")]),
        route("precise-host", &["x.test"], vec![prefix("/")]),
    ];
    assert_eq!(get(&routes, "x.test/a"), "precise-host/0");
}

#[test]
fn a_less_specific_hostname_serves_what_the_more_specific_one_does_not_match() {
    let routes =
        [route("wide", &["*.test"], vec![prefix("/")]), route("precise", &["x.test"], vec![prefix("/only")])];
    assert_eq!(get(&routes, "x.test/only"), "precise/0");
    assert_eq!(get(&routes, "x.test/other"), "wide/0");
}

#[test]
fn exact_paths_win_over_prefixes_and_longer_prefixes_over_shorter() {
    let routes = [route(
        "r",
        &[],
        vec![
            prefix("/"),
            prefix("/match"),
            prefix("/match/prefix/one"),
            exact("/match/exact/one"),
            prefix("/match/exact"),
        ],
    )];
    assert_eq!(get(&routes, "h/match/exact/one"), "r/3");
    assert_eq!(get(&routes, "h/match/exact/one/"), "r/4");
    assert_eq!(get(&routes, "h/match/prefix/one/any"), "r/2");
    assert_eq!(get(&routes, "h/match/prefix/on"), "r/1");
    assert_eq!(get(&routes, "h/matching"), "r/0");
}

#[test]
fn a_prefix_matches_whole_elements_with_or_without_a_trailing_slash() {
    let routes = [route("r", &[], vec![prefix("/v2/")])];
    assert_eq!(get(&routes, "h/v2"), "r/0");
    assert_eq!(get(&routes, "h/v2/"), "r/0");
    assert_eq!(get(&routes, "h/v2/x"), "r/0");
    assert_eq!(get(&routes, "h/v2x"), "-");
    assert_eq!(get(&routes, "h/V2"), "-");
}

#[test]
fn an_exact_path_knows_its_trailing_slash_and_case() {
    let routes = [route("r", &[], vec![exact("/one")])];
    assert_eq!(get(&routes, "h/one"), "r/0");
    assert_eq!(get(&routes, "h/one/"), "-");
    assert_eq!(get(&routes, "h/One"), "-");
    assert_eq!(get(&routes, "h/one/two"), "-");
}

#[test]
fn a_regular_expression_matches_the_whole_path_after_exact_paths_and_before_prefixes() {
    let routes = [route("r", &[], vec![prefix("/"), regex("/[a-z]+/[0-9]+"), exact("/a/1"), prefix("/a/2")])];
    assert_eq!(get(&routes, "h/a/1"), "r/2");
    assert_eq!(get(&routes, "h/a/2"), "r/1");
    assert_eq!(get(&routes, "h/a/2/x"), "r/3");
    assert_eq!(get(&routes, "h/x/a/2x"), "r/0");
}

#[test]
fn an_escape_of_a_route_matches_in_any_case() {
    let routes = [route("r", &[], vec![exact("/caf%c3%a9"), prefix("/%7euser")])];
    assert_eq!(get(&routes, "h/caf%C3%A9"), "r/0");
    assert_eq!(get(&routes, "h/~user/x"), "r/1");
}

#[test]
fn a_method_decides_before_headers_and_headers_before_query() {
    let routes = [
        route("query", &[], vec![prefix("/").param("a", "1").param("b", "2").param("c", "3")]),
        route("headers", &[], vec![prefix("/").header("x-a", "1").header("x-b", "2")]),
        route("method", &[], vec![prefix("/").method(Method::GET)]),
        route("plain", &[], vec![prefix("/")]),
    ];
    let headers = [("x-a", "1"), ("x-b", "2")];
    assert_eq!(ask(&routes, &Method::GET, "h/?a=1&b=2&c=3", &headers), "method/0");
    assert_eq!(ask(&routes, &Method::PUT, "h/?a=1&b=2&c=3", &headers), "headers/0");
    assert_eq!(ask(&routes, &Method::PUT, "h/?a=1&b=2&c=3", &[]), "query/0");
    assert_eq!(ask(&routes, &Method::PUT, "h/", &[]), "plain/0");
}

#[test]
fn more_headers_and_more_query_params_win() {
    let routes = [
        route("a-one", &[], vec![prefix("/").header("version", "one")]),
        route("b-two", &[], vec![prefix("/").header("version", "one").header("color", "blue")]),
        route("c-one", &[], vec![prefix("/q").param("animal", "whale")]),
        route("d-two", &[], vec![prefix("/q").param("animal", "whale").param("color", "blue")]),
    ];
    assert_eq!(ask(&routes, &Method::GET, "h/", &[("version", "one"), ("color", "blue")]), "b-two/0");
    assert_eq!(ask(&routes, &Method::GET, "h/", &[("version", "one"), ("color", "red")]), "a-one/0");
    assert_eq!(get(&routes, "h/q?color=blue&animal=whale"), "d-two/0");
    assert_eq!(get(&routes, "h/q?animal=whale"), "c-one/0");
    assert_eq!(get(&routes, "h/q?animal=Whale"), "-");
}

#[test]
fn a_tie_goes_to_the_oldest_then_the_first_name_then_the_first_rule() {
    let mut old = route("z-old", &[], vec![prefix("/age")]);
    old.created = Some(100);
    let mut young = route("a-young", &[], vec![prefix("/age")]);
    young.created = Some(200);
    let routes = [
        route("c", &[], vec![prefix("/name")]),
        route("b", &[], vec![prefix("/age"), prefix("/name"), prefix("/name")]),
        young,
        old,
    ];
    assert_eq!(get(&routes, "h/age"), "z-old/0");
    assert_eq!(get(&routes, "h/name"), "b/1");
}

#[test]
fn a_document_wins_over_a_container_whatever_their_age() {
    let (written, mut asked_for) =
        (route("z-written", &[], vec![prefix("/")]), route("a-asked", &[], vec![prefix("/")]));
    asked_for.created = Some(1);
    let mut builder = TableBuilder::default();
    let key = builder.listener(ListenerSpec {
        sockets: vec![SOCKET.parse().unwrap()],
        name: "l".into(),
        port: 80.try_into().unwrap(),
        hostname: None,
        tls: None,
        client: None,
    });
    for route in [&asked_for, &written] {
        let mut meta = meta(route);
        if route.created.is_some() {
            meta.origin = Origin::Container { id: "1".into(), name: "web".into(), label: None };
        }
        let rules = vec![(&*route.rules[0], rule(route, 0))];
        builder.attach(key, &Attachment { meta: &meta, hostnames: Vec::new(), rules });
    }
    let headers = HeaderMap::new();
    let request = Request { host: "h", path: "/", query: None, method: &Method::GET, headers: &headers };
    assert_eq!(find(&builder.build(), &request), "l z-written/0");
}

#[test]
fn each_match_of_a_rule_is_an_entry_of_its_own() {
    let mut both = route("both", &[], Vec::new());
    both.rules = vec![vec![prefix("/"), exact("/x")]];
    let routes = [both, route("a-middle", &[], vec![prefix("/x")])];
    assert_eq!(get(&routes, "h/x"), "both/0");
    assert_eq!(get(&routes, "h/x/y"), "a-middle/0");
    assert_eq!(get(&routes, "h/z"), "both/0");
}

#[test]
fn a_repeated_header_counts_as_one_joined_by_commas() {
    let routes = [route("r", &[], vec![prefix("/").header("x-tag", "a,b")])];
    assert_eq!(ask(&routes, &Method::GET, "h/", &[("x-tag", "a"), ("x-tag", "b")]), "r/0");
    assert_eq!(ask(&routes, &Method::GET, "h/", &[("x-tag", "a")]), "-");
}

#[test]
fn of_a_repeated_query_param_the_first_counts_and_values_are_compared_decoded() {
    let routes = [route("r", &[], vec![prefix("/").param("q", "a b")])];
    assert_eq!(get(&routes, "h/?q=a%20b"), "r/0");
    assert_eq!(get(&routes, "h/?q=a+b&q=c"), "r/0");
    assert_eq!(get(&routes, "h/?q=c&q=a+b"), "-");
    assert_eq!(get(&routes, "h/?Q=a+b"), "-");
}

#[test]
fn only_the_most_specific_listener_counts() {
    let all = [route("r", &[], vec![prefix("/")])];
    let api = [route("s", &[], vec![prefix("/api")])];
    let table =
        table(&[("open", None, &all), ("wild", Some("*.a.test"), &all), ("exact", Some("x.a.test"), &api)]);
    let ask = |host: &str, path: &str| {
        let headers = HeaderMap::new();
        find(&table, &Request { host, path, query: None, method: &Method::GET, headers: &headers })
    };
    assert_eq!(ask("x.a.test", "/api"), "exact s/0");
    assert_eq!(ask("x.a.test", "/"), "exact -");
    assert_eq!(ask("y.a.test", "/"), "wild r/0");
    assert_eq!(ask("b.test", "/"), "open r/0");
}

#[test]
fn without_a_listener_for_the_host_there_is_none() {
    let table = table(&[("exact", Some("x.test"), &[])]);
    let headers = HeaderMap::new();
    let request = Request { host: "y.test", path: "/", query: None, method: &Method::GET, headers: &headers };
    assert_eq!(find(&table, &request), "-");
}

/// The standard's words, without any index: what matches, then the best of it.
fn naive(routes: &[Route], request: &Request<'_>) -> String {
    let mut best: Option<(_, String)> = None;
    for route in routes {
        let host_rank = if route.hostnames.is_empty() {
            Some((Reverse(0), Reverse(0)))
        } else {
            let fitting = route.hostnames.iter().filter(|pattern| pattern.matches(request.host));
            let rank = |pattern: &HostPattern| match pattern {
                HostPattern::Exact(host) => (Reverse(host.as_str().len()), Reverse(0)),
                HostPattern::Wildcard(suffix) => (Reverse(0), Reverse(suffix.as_str().len() + 2)),
            };
            fitting.map(rank).min()
        };
        let Some(host_rank) = host_rank else { continue };
        for (index, matches) in route.rules.iter().enumerate() {
            for one in matches {
                let path_rank = match &one.path {
                    PathMatch::Exact(path) if **path == *request.path => (0, Reverse(0)),
                    PathMatch::Regex(pattern) if pattern.matches(request.path) => (1, Reverse(0)),
                    PathMatch::Prefix(prefix) if path::has_prefix(request.path, prefix) => {
                        (2, Reverse(prefix.len()))
                    }
                    PathMatch::Method(method) if PathMatch::is_method(method, request.path) => {
                        (2, Reverse(0))
                    }
                    PathMatch::Exact(_)
                    | PathMatch::Regex(_)
                    | PathMatch::Prefix(_)
                    | PathMatch::Method(_) => continue,
                };
                let fits = one.method.as_ref().is_none_or(|method| method == request.method)
                    && one.headers.iter().all(|header| matching::header(header, request.headers))
                    && one.query.iter().all(|param| matching::query(param, request.query));
                if !fits {
                    continue;
                }
                let counts =
                    (Reverse(one.method.is_some()), Reverse(one.headers.len()), Reverse(one.query.len()));
                let age = (route.created.unwrap_or(i64::MAX), route.name.clone(), index);
                let rank = (host_rank, path_rank, counts, age);
                if best.as_ref().is_none_or(|(other, _)| rank < *other) {
                    best = Some((rank, format!("{}/{index}", route.name)));
                }
            }
        }
    }
    best.map_or("-".into(), |(_, name)| name)
}

fn any_path() -> impl Strategy<Value = String> {
    proptest::collection::vec(select(vec!["a", "b", "c"]), 0..4)
        .prop_map(|parts| format!("/{}", parts.join("/")))
}

fn any_match() -> impl Strategy<Value = HttpMatch> {
    let path = (any_path(), 0..5).prop_map(|(path, kind)| match kind {
        0 => exact(&path),
        1 => regex(&format!("{path}.*")),
        _ => prefix(&path),
    });
    let header = proptest::option::of(select(vec![("x-a", "1"), ("x-b", "2")]));
    let param = proptest::option::of(select(vec![("p", "1"), ("q", "2")]));
    (path, proptest::bool::weighted(0.2), header, param).prop_map(|(mut one, method, header, param)| {
        one.method = method.then_some(Method::POST);
        one = header.into_iter().fold(one, |one, (name, value)| one.header(name, value));
        param.into_iter().fold(one, |one, (name, value)| one.param(name, value))
    })
}

fn any_route() -> impl Strategy<Value = Route> {
    let hosts = select(vec!["a.test", "b.a.test", "*.test", "*.a.test", "c.test"]);
    let rules = proptest::collection::vec(proptest::collection::vec(any_match(), 1..3), 1..4);
    (0..1000, proptest::option::of(0..5_i64), proptest::collection::vec(hosts, 0..3), rules).prop_map(
        |(number, created, hostnames, rules)| Route {
            name: format!("r{number:03}"),
            created,
            hostnames: hostnames.into_iter().map(host).collect(),
            rules,
        },
    )
}

fn any_routes() -> impl Strategy<Value = Vec<Route>> {
    proptest::collection::vec(any_route(), 0..12).prop_map(|mut routes| {
        routes.sort_by(|a, b| a.name.cmp(&b.name));
        routes.dedup_by(|a, b| a.name == b.name);
        routes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_index_agrees_with_a_naive_matcher(
        routes in any_routes(),
        host in select(vec!["a.test", "b.a.test", "x.b.a.test", "c.test", "test", "other"]),
        path in any_path(),
        post in any::<bool>(),
        query in select(vec!["", "p=1", "q=2&p=1", "p=2"]),
        header in select(vec![None, Some(("x-a", "1")), Some(("x-b", "2"))]),
    ) {
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))));
        let method = if post { Method::POST } else { Method::GET };
        let request = Request { host, path: &path, query: Some(query), method: &method, headers: &headers };
        let table = table(&[("l", None, &routes)]);
        let found = find(&table, &request);
        prop_assert_eq!(&found[2..], naive(&routes, &request));
        // What is explained is what is done, and tells of every match once.
        let explained = table.socket(&SOCKET.parse().unwrap()).unwrap().explain(&request);
        let mut winners = explained.candidates.iter().filter(|one| one.verdict == explain::Verdict::Wins);
        let winner = winners.next().map_or_else(|| "-".to_owned(), |one| format!("{}/{}", one.rule.route, one.rule.rule));
        prop_assert_eq!((&found[2..], winners.count()), (&*winner, 0));
        let matches: usize = routes.iter().flat_map(|route| &route.rules).map(Vec::len).sum();
        prop_assert_eq!(explained.candidates.len() + explained.elsewhere, matches);
    }

    #[test]
    fn the_order_in_which_routes_are_added_does_not_show(mut routes in any_routes(), seed in any::<u64>()) {
        let before = table(&[("l", None, &routes)]);
        let length = routes.len().max(1);
        routes.rotate_left(usize::try_from(seed % length as u64).unwrap());
        routes.reverse();
        prop_assert_eq!(before, table(&[("l", None, &routes)]));
    }
}
