//! The CORS filter, as a browser and a backend see it.

use super::*;
use crate::model::{Cors, CorsList, OriginPattern};

pub(super) const PREFLIGHT: &str =
    "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\nAccess-Control-Request-Method: PUT\r\n\r\n";

pub(super) fn cors(origin: &str) -> HttpFilter {
    HttpFilter::Cors(Cors {
        origins: vec![OriginPattern::parse(origin).unwrap()],
        methods: CorsList::of(["PUT"]).unwrap(),
        headers: CorsList::None,
        expose: CorsList::of(["x-e"]).unwrap(),
        max_age: 5,
        credentials: false,
    })
}

#[tokio::test]
async fn a_preflight_never_reaches_the_backend_whether_its_origin_is_allowed_or_not() {
    let server = Server::echo().await;
    for (origin, allowed) in
        [("https://a.test", Some("https://a.test")), ("*", Some("*")), ("https://b.test", None)]
    {
        let inner = Choice::new(1, backend(vec![endpoint(server.address)]), vec![cors(origin)]);
        for one in [
            Rule { filters: vec![cors(origin)], ..rule(backend(vec![endpoint(server.address)])) },
            Rule { backends: Weighted::new(vec![inner]), ..rule(backend(Vec::new())) },
        ] {
            let proxy = Proxy::start(config(), table(vec![("/", one)]));
            let reply = proxy.request(PREFLIGHT).await;
            assert_eq!(reply.status, 204);
            assert_eq!(field(&reply.head, "access-control-allow-origin"), allowed, "{origin}");
            assert_eq!(field(&reply.head, "access-control-allow-methods"), allowed.map(|_| "PUT"));
            assert_eq!(field(&reply.head, "access-control-expose-headers"), allowed.map(|_| "x-e"));
        }
    }
    assert_eq!(server.heard().len(), 0);
}

#[tokio::test]
async fn actual_requests_reach_the_backend_and_the_filter_has_the_last_word_on_their_answers() {
    let server = Server::answering(|_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: https://evil.test\r\nX-E: 1\r\n\r\n"
            .to_owned()
    })
    .await;
    let proxy = Proxy::start(config(), filtered(server.address, vec![cors("https://*.test")]));
    for (origin, allowed) in [("https://a.test", Some("https://a.test")), ("https://evil.example", None)] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\r\n");
        let reply = proxy.request(&request).await;
        assert_eq!(reply.status, 200);
        assert_eq!(field(&reply.head, "access-control-allow-origin"), allowed, "{origin}");
        assert_eq!(field(&reply.head, "x-e"), Some("1"));
    }
    assert_eq!(server.heard().len(), 2);
    let options = "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\n\r\n";
    assert_eq!(proxy.request(options).await.status, 200, "not every OPTIONS is a preflight");
    assert_eq!(server.heard().len(), 3);
}

#[tokio::test]
async fn a_preflight_is_answered_for_the_rule_that_gets_the_request_which_it_asks_about() {
    let server = Server::echo().await;
    let to = |name: &str, filters| Rule {
        rule: name.into(),
        filters,
        ..rule(backend(vec![endpoint(server.address)]))
    };
    // As in the order of precedence: what names a method comes first.
    let rules = vec![
        ("PUT", to("put", vec![cors("https://a.test")])),
        ("POST", to("post", Vec::new())),
        ("OPTIONS", to("options", Vec::new())),
    ];
    let proxy = Proxy::start(config(), by_method(rules));
    for (method, status) in [("PUT", 204), ("POST", 200), ("DELETE", 200), ("no method", 200)] {
        let asked = PREFLIGHT.replace("PUT", method);
        let reply = proxy.request(&asked).await;
        assert_eq!(reply.status, status, "{method}: {}", reply.head);
        let allowed = field(&reply.head, "access-control-allow-methods");
        assert_eq!(allowed, (status == 204).then_some("PUT"), "{method}");
    }
    assert_eq!(server.heard().len(), 3, "without a filter a preflight is a request like any other");
    let plain = "OPTIONS / HTTP/1.1\r\nHost: a\r\nAccess-Control-Request-Method: PUT\r\n\r\n";
    assert_eq!(proxy.request(plain).await.status, 200, "a browser names the origin");
    assert_eq!(server.heard().len(), 4);
}

/// Rules for everything of one method.
fn by_method(rules: Vec<(&str, Rule)>) -> Table {
    let method = |name: &str| http::Method::from_bytes(name.as_bytes()).unwrap();
    let one = |name: &str| [HttpMatch { method: Some(method(name)), ..prefix_match("/") }];
    let matches: Vec<[HttpMatch; 1]> = rules.iter().map(|(name, _)| one(name)).collect();
    table_of(rules.into_iter().zip(&matches).map(|((_, rule), one)| (&one[..], Arc::new(rule))).collect())
}

#[tokio::test]
async fn a_script_may_read_that_the_backend_is_down() {
    let one = Rule { filters: vec![cors("*")], ..rule(backend(Vec::new())) };
    let proxy = Proxy::start(config(), table(vec![("/", one)]));
    let reply = proxy.request("GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\n\r\n").await;
    assert_eq!((reply.status, field(&reply.head, "access-control-allow-origin")), (503, Some("*")));
}

#[tokio::test]
async fn of_two_filters_the_rules_own_has_the_word_about_preflight_and_request() {
    let server = Server::echo().await;
    let inner = Choice::new(1, backend(vec![endpoint(server.address)]), vec![cors("https://b.test")]);
    let backends = Weighted::new(vec![inner]);
    let both = Rule { filters: vec![cors("https://a.test")], backends, ..rule(backend(Vec::new())) };
    let proxy = Proxy::start(config(), table(vec![("/", both)]));
    for (origin, allowed) in [("https://a.test", Some("https://a.test")), ("https://b.test", None)] {
        for request in [
            PREFLIGHT.replace("https://a.test", origin),
            format!("GET / HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\r\n"),
        ] {
            let reply = proxy.request(&request).await;
            assert_eq!(field(&reply.head, "access-control-allow-origin"), allowed, "{request}");
        }
    }
}
