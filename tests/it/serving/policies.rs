//! CORS, retries, mirrors, sessions, added listeners and the PROXY protocol, from documents to the wire.

use std::collections::BTreeSet;

use super::{TO_A, World};
use crate::support::{
    backend::Backend,
    http::{self, Connection},
    manifest, wait,
};

#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    wait::eventually(wait::SOON, what, || wait::check((), |()| holds(), |()| "not yet".to_owned()));
}

fn with_backend(world: &World, backend: &Backend) {
    world.documents.write("more.yaml", &manifest::backend(&backend.name, backend.address));
}

#[test]
fn a_preflight_is_answered_without_the_backend_and_an_answer_says_who_may_read_it() {
    let world = World::new(
        "[{filters: [{type: CORS, cors: {allowOrigins: ['https://*.shop.test'], allowMethods: [PUT], allowCredentials: true}}], \
          backendRefs: [{name: a, port: 80}]}]",
    );
    let before = world.a.count();
    let ask = |line: &str, origin: &str| {
        let request = format!(
            "{line} HTTP/1.1\r\nHost: shop.test\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: PUT\r\nConnection: close\r\n\r\n"
        );
        http::ask(world.portolan.http, &request).unwrap()
    };
    let answer = ask("OPTIONS /", "https://web.shop.test");
    assert_eq!(answer.status, 204, "{answer}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://web.shop.test"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("PUT"));
    assert_eq!(answer.header("access-control-max-age"), Some("5"));
    assert_eq!(ask("OPTIONS /", "https://evil.test").header("access-control-allow-origin"), None);
    assert_eq!(world.a.count(), before, "no preflight reaches the backend");
    let foreign = ask("GET /respond?header=Access-Control-Allow-Origin:*", "https://evil.test");
    assert_eq!((foreign.backend(), foreign.header("access-control-allow-origin")), (Some("a"), None));
}

#[test]
fn a_listed_code_is_tried_again_and_the_last_answer_is_passed_on() {
    let world = World::new(
        "[{retry: {codes: [503], attempts: 3, backoff: 1ms}, backendRefs: [{name: a, port: 80}]}]",
    );
    for (line, status, tries) in
        [("GET /status/503", 503, 4), ("POST /status/503", 503, 4), ("GET /status/500", 500, 1)]
    {
        let before = world.a.count();
        let request =
            format!("{line} HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        let answer = http::ask(world.portolan.http, &request).unwrap();
        assert_eq!((answer.status, world.a.count() - before), (status, tries), "{line}");
    }
}

#[test]
fn a_copy_goes_to_the_mirror_and_a_mirror_that_is_missing_is_only_told_of() {
    let world = World::new(TO_A);
    let copy = Backend::start("copy");
    with_backend(&world, &copy);
    let rules = |mirror: &str| {
        format!(
            "[{{filters: [{{type: RequestMirror, requestMirror: {{backendRef: {{name: {mirror}, port: 80}}}}}}], backendRefs: [{{name: a, port: 80}}]}}]"
        )
    };
    world.documents.write("mirror.yaml", &manifest::route("m", "m.test", &rules("copy")));
    world.portolan.reaches("m.test", "/", "a");
    let request = "POST /x HTTP/1.1\r\nHost: m.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let before = copy.count();
    assert_eq!(http::ask(world.portolan.http, request).unwrap().backend(), Some("a"));
    until("the copy has come", || copy.count() > before);

    world.documents.write("mirror.yaml", &manifest::route("m", "m.test", &rules("nobody")));
    until("the status tells of it", || {
        world.portolan.shows(&["describe", "route", "m"]).contains("BackendNotFound")
    });
    assert_eq!(http::ask(world.portolan.http, request).unwrap().backend(), Some("a"), "it is unharmed");
}

#[test]
fn a_client_comes_back_to_its_endpoint_also_after_a_restart() {
    let world = World::new(TO_A);
    let (b, c) = (Backend::start("b"), Backend::start("c"));
    let endpoint =
        |address: std::net::SocketAddr| format!("{{address: {}, port: {}}}", address.ip(), address.port());
    let text = format!(
        "apiVersion: portolan.dev/v1alpha1\nkind: Backend\nmetadata: {{name: pool}}\nspec:\n  endpoints: [{}, {}, {}]\n---\n",
        endpoint(world.a.address),
        endpoint(b.address),
        endpoint(c.address)
    );
    let rules = "[{sessionPersistence: {sessionName: desk}, backendRefs: [{name: pool, port: 80}]}]";
    world.documents.write("pool.yaml", &(text + &manifest::route("pool", "pool.test", rules)));
    let first = world.portolan.answers("pool.test", "/", "200", |answer| answer.status == 200);
    let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("desk=") && !cookie.contains("127.0.0.1"), "{cookie}");
    let home = first.backend().unwrap().to_owned();
    let request =
        format!("GET / HTTP/1.1\r\nHost: pool.test\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    let back = |address| {
        let answer = http::ask(address, &request).unwrap();
        assert_eq!(answer.header("set-cookie"), None, "{answer}");
        answer.backend().unwrap().to_owned()
    };
    for _ in 0..9 {
        assert_eq!(back(world.portolan.http), home);
    }
    let World { mut portolan, documents, a: _a } = world;
    portolan.kill();
    let portolan =
        crate::support::portolan::Portolan::builder().config(documents.path()).after(portolan).start();
    portolan.answers("pool.test", "/", "200", |answer| answer.status == 200);
    for _ in 0..9 {
        assert_eq!(back(portolan.http), home, "the key outlives the process");
    }
    let mut others = BTreeSet::new();
    for _ in 0..12 {
        others.extend(portolan.get("pool.test", "/").unwrap().backend().map(str::to_owned));
    }
    assert_eq!(others.len(), 3, "who carries nothing is balanced");
}

#[test]
fn a_listener_set_adds_a_port_to_a_gateway_that_lets_it() {
    let world = World::new(TO_A);
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (own, added) = (free(), free());
    let gateway = |allowed: &str| {
        let listeners = format!("[{{name: web, protocol: HTTP, port: {}}}]", own.port());
        manifest::gateway_with("edge", own, &listeners).replace(
            "  listeners:",
            &format!("  allowedListeners: {{namespaces: {{from: {allowed}}}}}\n  listeners:"),
        )
    };
    let rest = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {{name: more}}\nspec:\n  parentRef: {{name: edge}}\n  listeners: [{{name: extra, protocol: HTTP, port: {}}}]\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: extra}}\nspec:\n  parentRefs: [{{kind: ListenerSet, name: more}}]\n  rules: {TO_A}\n---\n",
        added.port()
    );
    world.documents.write("set.yaml", &(gateway("Same") + &rest));
    let reaches = || http::get(added, "any.test", "/").is_ok_and(|answer| answer.backend() == Some("a"));
    until("the added listener serves", reaches);
    assert_eq!(http::get(own, "any.test", "/").unwrap().status, 404, "the route is not the Gateway's");

    world.documents.write("set.yaml", &(gateway("None") + &rest));
    until("the added listener is gone", || http::get(added, "any.test", "/").is_err());
    assert!(world.portolan.shows(&["describe", "listenerset", "more"]).contains("NotAllowed"));
}

#[test]
fn behind_a_balancer_the_backend_hears_of_the_client() {
    let arguments = ["--proxy-protocol", "8080", "--trusted-proxies", "127.0.0.0/8"];
    let world = World::with(TO_A, |builder| builder.arguments(arguments));
    let address = world.portolan.http;
    let introduced = || {
        let mut connection = Connection::open(address).ok()?;
        connection.send("PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n").ok()?;
        let answer = connection.get("shop.test", "/").ok()?;
        (answer.status == 200).then(|| answer.received("x-forwarded-for").join(","))
    };
    until("the backend hears of the client", || introduced().as_deref() == Some("192.0.2.7"));
    assert!(http::get(address, "shop.test", "/").is_err(), "nobody comes in without an introduction");
    assert_eq!(
        world.portolan.metric(r#"portolan_proxy_protocol_refused_total{reason="missing"}"#),
        Some(1.0)
    );
}
