//! What an operator is told of requests that endpoints have failed: why clients get 502 and 504.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::{
    backend::Backend,
    manifest,
    portolan::{Documents, Portolan},
    wait,
};

/// A route of `shop.test` to endpoints that fail: `/refuses`, `/close` and `/hang`.
struct Failing {
    portolan: Portolan,
    _a: Backend,
    _late: Backend,
    _documents: Documents,
}

const RULES: &str = "
  - {matches: [{path: {value: /refuses}}], backendRefs: [{name: refusing, port: 80}]}
  - {matches: [{path: {value: /hang}}], timeouts: {request: 10s, backendRequest: 100ms}, backendRefs: [{name: late, port: 80}]}
  - {backendRefs: [{name: a, port: 80}]}";

impl Failing {
    #[track_caller]
    fn new() -> Self {
        let (a, late, documents) = (Backend::start("a"), Backend::start("late"), Documents::new());
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let backends = [("a", a.address), ("late", late.address), ("refusing", closed)];
        let backends: String = backends.map(|(name, address)| manifest::backend(name, address)).concat();
        documents.write("shop.yaml", &(backends + &manifest::route("shop", "shop.test", RULES)));
        let arguments = ["--trusted-proxies", "127.0.0.0/8"];
        let portolan = Portolan::builder().config(documents.path()).arguments(arguments).start();
        Self { portolan, _a: a, _late: late, _documents: documents }
    }

    /// Waits until `portolan ARGUMENTS` shows all of this.
    #[track_caller]
    fn shows(&self, arguments: &[&str], wanted: &[&str]) -> String {
        wait::eventually(wait::SOON, &format!("`portolan {}` shows {wanted:?}", arguments.join(" ")), || {
            let shown = self.portolan.shows(arguments);
            wait::check(shown, |shown| wanted.iter().all(|words| shown.contains(words)), Clone::clone)
        })
    }

    fn failure(&self, endpoints_of: &str) -> Value {
        let endpoint = self.portolan.client(&["get", "endpoints", endpoints_of, "-o=json"]).unwrap();
        let endpoint: Value = serde_json::from_str(&endpoint).unwrap();
        endpoint["status"]["lastFailure"].clone()
    }
}

#[test]
fn explain_and_the_api_tell_why_clients_get_502_and_504() {
    let world = Failing::new();
    let generation = || world.portolan.metric("portolan_route_table_generation");
    let before = generation();
    for (path, backend, status, reason, hint) in [
        ("/refuses", "refusing", 502, "ConnectionRefused", "nothing listens there"),
        ("/close", "a", 502, "Reset", "its log says why"),
        ("/hang", "late", 504, "Timeout", "raise them"),
    ] {
        let url = format!("http://shop.test{path}");
        let answer = world.portolan.says("shop.test", path, status);
        let header = answer.header("portolan-reason").unwrap_or_default();
        let message = header.strip_prefix("backend: ").unwrap_or_else(|| panic!("{answer}")).to_owned();
        let (lately, got) = (format!("{status} lately, "), format!("the client got {status}"));
        let wanted = ["the last request to it failed ", &*message, &*got, hint];
        let explained = world.shows(&["explain", &url], &[&wanted[..], &[&*lately]].concat());
        assert!(world.portolan.client(&["explain", &url]).is_err(), "it is not served: {explained}");
        for arguments in [&["get", "endpoints", backend, "-o=wide"][..], &["describe", "backend", backend]] {
            world.shows(arguments, &wanted);
        }
        let failure = world.failure(backend);
        assert_eq!(failure["reason"], reason, "{failure}");
        assert_eq!((&failure["status"], &failure["message"]), (&status.into(), &message.into()), "{failure}");
        assert_eq!(failure["answeredSince"], false, "{failure}");
    }
    assert_eq!(generation(), before, "what is told changes nothing about what is served");
}

#[test]
fn a_failure_that_is_followed_by_answers_is_told_as_past() {
    let world = Failing::new();
    world.portolan.says("shop.test", "/close", 502);
    world.shows(&["explain", "http://shop.test/"], &["502 lately"]);
    world.portolan.reaches("shop.test", "/", "a");
    let explained = world.shows(
        &["explain", "http://shop.test/"],
        &["a request to it failed ", "the client got 502), later ones were answered"],
    );
    assert!(!explained.contains("lately"), "{explained}");
    world.portolan.client(&["explain", "http://shop.test/"]).expect("it is served");
    assert_eq!(world.failure("a")["answeredSince"], true);
}

#[test]
fn explain_says_after_how_long_a_client_would_get_504() {
    let world = Failing::new();
    let connection = "2s for a connection to an endpoint (connections.connectTimeout, by default)";
    for (path, limits) in [
        ("/", format!("504 after: {connection}\n")),
        (
            "/hang",
            format!(
                "504 after: 10s for the whole request (timeouts.request), 100ms for the answer of an endpoint \
                 (timeouts.backendRequest), {connection}\n"
            ),
        ),
    ] {
        world.shows(&["explain", &format!("http://shop.test{path}")], &[&limits]);
    }
}
