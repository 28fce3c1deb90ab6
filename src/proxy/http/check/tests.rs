//! Heads that pass and heads that do not.

use http::Request;

use super::*;

fn target_of(head: &Parts) -> Result<Target, Refusal> {
    Target::of(head, Allowed::NOTHING)
}

fn parts(method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn host_of(value: &str) -> Result<String, ()> {
    target_of(&parts("GET", "/", &[("host", value)])).map(|target| target.host().to_owned()).map_err(drop)
}

#[test]
fn a_host_loses_its_port_case_and_one_trailing_dot() {
    for (value, host) in [
        ("a.test", "a.test"),
        ("A.Test", "a.test"),
        ("a.test:8080", "a.test"),
        ("a.test.", "a.test"),
        ("a.test.:80", "a.test"),
        ("a.test:", "a.test"),
        ("web_1", "web_1"),
        ("10.0.0.1:80", "10.0.0.1"),
        ("[::1]:80", "[::1]"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
    ] {
        assert_eq!(host_of(value).as_deref(), Ok(host), "{value}");
    }
}

#[test]
fn a_host_that_is_no_name_is_refused() {
    for value in [
        "",
        ".",
        "a..b",
        ".a",
        "a.test..",
        "a b",
        "a,b",
        "a/b",
        "user@a",
        "a:b",
        "a:80:80",
        "a:65536",
        "a:+80",
        "[::1",
        "[::1]x",
        "[a]",
        "::1",
        "a%2eb",
        "a#",
        "a?",
        "ä.test",
        "a\\b",
        "*.a",
        "a'b",
        "[::1%25eth0]",
    ] {
        assert_eq!(host_of(value), Err(()), "{value}");
    }
    assert!(host_of(&"a.".repeat(130)).is_err());
}

#[test]
fn exactly_one_host_is_needed_from_http_1_1_on() {
    assert!(target_of(&parts("GET", "/", &[])).is_err());
    assert!(target_of(&parts("GET", "/", &[("host", "a"), ("host", "a")])).is_err());
    assert!(target_of(&parts("GET", "http://a/", &[])).is_err());
    let mut old = parts("GET", "/", &[]);
    old.version = Version::HTTP_10;
    assert_eq!(target_of(&old).unwrap().host(), "");
    old.uri = Uri::from_static("http://A.test/x");
    assert_eq!(target_of(&old).unwrap().host(), "a.test");
}

#[test]
fn an_absolute_target_must_agree_with_the_host() {
    for (target, host, agrees) in [
        ("http://a.test/x", "a.test", true),
        ("http://A.TEST/x", "a.test", true),
        ("http://a.test:80/x", "a.test", true),
        ("http://a.test:81/x", "a.test", false),
        ("https://a.test:443/x", "a.test", true),
        ("http://b.test/x", "a.test", false),
        ("http://user@a.test/x", "a.test", false),
        ("http://user:pw@a.test/x", "a.test", false),
    ] {
        let result = target_of(&parts("GET", target, &[("host", host)]));
        assert_eq!(result.is_ok(), agrees, "{target} with {host}");
        if let Ok(target) = result {
            assert_eq!(target.path(), "/x");
        }
    }
}

#[test]
fn a_path_is_taken_in_its_canonical_form_or_not_at_all() {
    let path = |target: &str| {
        target_of(&parts("GET", target, &[("host", "a")]))
            .map(|target| target.path().to_owned())
            .map_err(drop)
    };
    assert_eq!(path("/a/b?c=/../d").as_deref(), Ok("/a/b"));
    assert_eq!(path("/a/%2e%2e//b").as_deref(), Ok("/b"));
    assert_eq!(path("/a%2fb"), Err(()));
    assert_eq!(path("/a%00"), Err(()));
    assert_eq!(path("*"), Err(()));
}

#[test]
fn only_options_is_about_the_server() {
    let target = target_of(&parts("OPTIONS", "*", &[("host", "a")])).unwrap();
    assert_eq!(target.scope, Scope::Server);
    assert_eq!(target_of(&parts("OPTIONS", "/", &[("host", "a")])).unwrap().scope, Scope::Resource);
}

#[test]
fn tunnels_and_mirrors_are_not_allowed() {
    for (method, target) in [("CONNECT", "a:443"), ("TRACE", "/")] {
        assert!(matches!(target_of(&parts(method, target, &[("host", "a:443")])), Err(Refusal::Method)));
    }
    assert!(target_of(&parts("PURGE", "/", &[("host", "a")])).is_ok());
}

#[test]
fn only_a_websocket_is_an_upgrade_that_is_let_through() {
    for (method, upgrade, connection, expected) in [
        ("GET", "websocket", "Upgrade", true),
        ("GET", "WebSocket", "keep-alive, upgrade", true),
        ("GET", "h2c", "Upgrade, HTTP2-Settings", false),
        ("GET", "websocket, h2c", "Upgrade", false),
        ("GET", "websocket", "keep-alive", false),
        ("POST", "websocket", "Upgrade", false),
    ] {
        let head = parts(method, "/", &[("host", "a"), ("upgrade", upgrade), ("connection", connection)]);
        assert_eq!(asks_for_websocket(&head), expected, "{method} {upgrade} {connection}");
    }
}
