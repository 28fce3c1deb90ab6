//! Backends that ask for more than turns: health checks, ejection, limits, as an operator and a client see them.

use super::{TO_A, World};
use crate::support::{
    backend::Backend,
    http, manifest,
    portolan::{Documents, Portolan},
    wait,
};

/// A `Backend` called `a` at these addresses; `more` is YAML of its spec in block style.
fn backend(addresses: &[&Backend], more: &str) -> String {
    let endpoints: Vec<String> = addresses
        .iter()
        .map(|backend| format!("{{address: {}, port: {}}}", backend.address.ip(), backend.address.port()))
        .collect();
    format!(
        "apiVersion: portolan.dev/v1alpha1\nkind: Backend\nmetadata: {{name: a}}\nspec:\n  endpoints: [{}]\n  {more}\n---\n",
        endpoints.join(", ")
    )
}

const CHECK: &str = "healthCheck: {http: {path: /health}, interval: 50ms, timeout: 50ms}";

fn turn(backend: &Backend, to: &str) {
    let request = format!("POST /health/{to} HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n");
    let answer = http::Connection::open(backend.address).unwrap().ask(&request).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
}

struct Two {
    portolan: Portolan,
    documents: Documents,
    a: Backend,
    b: Backend,
}

impl Two {
    #[track_caller]
    fn new(more: &str) -> Self {
        let (a, b, documents) = (Backend::start("a"), Backend::start("b"), Documents::new());
        documents
            .write("shop.yaml", &(backend(&[&a, &b], more) + &manifest::route("shop", "shop.test", TO_A)));
        let portolan = Portolan::builder().config(documents.path()).start();
        Self { portolan, documents, a, b }
    }

    /// Which backends answer so many requests.
    #[track_caller]
    fn answering(&self, requests: usize) -> std::collections::BTreeSet<String> {
        let answer = |_| {
            let answer = self.portolan.get("shop.test", "/").unwrap();
            assert_eq!(answer.status, 200, "{answer}");
            answer.backend().unwrap().to_owned()
        };
        (0..requests).map(answer).collect()
    }

    #[track_caller]
    fn shows(&self, arguments: &[&str], wanted: &str) {
        wait::eventually(wait::SOON, &format!("`portolan {}` shows `{wanted}`", arguments.join(" ")), || {
            let shown = self.portolan.shows(arguments);
            wait::check(shown, |shown| shown.contains(wanted), Clone::clone)
        });
    }
}

#[test]
fn an_unhealthy_endpoint_gets_no_traffic_and_everybody_is_told() {
    let world = Two::new(CHECK);
    world.shows(&["get", "backends"], "2/2");
    assert_eq!(world.answering(20).len(), 2);
    turn(&world.b, "off");
    world.shows(&["get", "endpoints"], "unhealthy");
    world.shows(
        &["get", "endpoints"],
        "fails its health check: GET `/health` answered 503; it is asked again every 50ms",
    );
    assert_eq!(world.answering(20), ["a".to_owned()].into());
    let metric = |state: &str| {
        let name = format!("portolan_endpoints{{backend=\"default/a:80\",state=\"{state}\"}}");
        world.portolan.metric(&name)
    };
    assert_eq!((metric("ready"), metric("unhealthy")), (Some(1.0), Some(1.0)));
    turn(&world.a, "off");
    let answer = world.portolan.says("shop.test", "/", 503);
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer}");
    world.shows(&["describe", "backend", "a"], "2 unhealthy");
    turn(&world.b, "on");
    world.portolan.reaches("shop.test", "/", "b");
    world.shows(&["get", "endpoints"], "ready");
}

#[test]
fn unrelated_changes_neither_reset_health_nor_ask_once_more() {
    let world = Two::new("healthCheck: {http: {path: /health}, interval: 1h}");
    world.shows(&["get", "backends"], "2/2");
    let asked = || world.a.count() + world.b.count();
    assert_eq!(asked(), 2, "each once");
    for round in 0..100 {
        let host = format!("new{round}.test");
        world.documents.write("new.yaml", &manifest::simple("new", &host, "a"));
    }
    world.portolan.says("new99.test", "/", 200);
    assert_eq!(world.answering(20).len(), 2);
    assert_eq!(asked(), 2 + 1 + 20, "only clients have asked since");
}

#[test]
fn least_request_and_limits_are_served_and_say_nothing_else() {
    let world =
        Two::new("loadBalancing: {policy: LeastRequest}\n  connections: {maxPerEndpoint: 1, maxPending: 0}");
    let mut hanging = Vec::new();
    for path in ["/slow?ms=3000", "/slow?ms=3000"] {
        let mut connection = world.portolan.connect();
        let before = world.a.count() + world.b.count();
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n")).unwrap();
        wait::eventually(wait::SOON, "the request has begun", || {
            wait::check(world.a.count() + world.b.count(), |count| *count > before, u64::to_string)
        });
        hanging.push(connection);
    }
    assert_eq!((world.a.count(), world.b.count()), (1, 1), "each where the fewest are");
    let answer = world.portolan.get("shop.test", "/").unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer}");
    let overflow = "portolan_upstream_errors_total{backend=\"default/a:80\",kind=\"overflow\"}";
    assert_eq!(world.portolan.metric(overflow), Some(1.0));
    for mut connection in hanging {
        assert_eq!(connection.response("GET").unwrap().status, 200);
    }
    let described = world.portolan.shows(&["describe", "backend", "a"]);
    assert!(!described.contains("not served yet"), "{described}");
}

#[test]
fn a_plain_backend_is_asked_nothing() {
    let world = World::new(TO_A);
    world.portolan.reaches("shop.test", "/", "a");
    assert_eq!(world.a.count(), 1);
}
