//! What a service is told, and what of its answer a backend is.

use super::*;
use crate::model::BackendRef;

fn spec(told: &[&'static str], passed: &[&'static str]) -> ExternalAuth {
    let names = |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect();
    let backend = BackendRef {
        group: "".into(),
        kind: "Service".into(),
        namespace: "default".into(),
        name: "auth".into(),
        port: None,
        weight: 1,
        filters: Vec::new(),
    };
    ExternalAuth { backend, path: "".into(), told: names(told), passed: names(passed) }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    pairs.iter().map(pair).collect()
}

fn shown(headers: &HeaderMap) -> Vec<String> {
    let mut shown: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    shown.sort();
    shown
}

#[test]
fn the_service_is_told_what_it_is_allowed_to_know_and_nothing_of_a_body() {
    let spec = spec(&["cookie", "content-length", "x-a"], &[]);
    for (name, told) in [
        ("host", true),
        ("authorization", true),
        ("cookie", true),
        ("x-a", true),
        ("x-b", false),
        ("x_a", false),
        ("x-forwarded-for", true),
        ("x-real-ip", true),
        ("x-request-id", true),
        ("content-length", false),
        ("content-type", false),
        ("transfer-encoding", false),
        ("expect", false),
    ] {
        assert_eq!(is_told(&spec, &HeaderName::from_static(name)), told, "{name}");
    }
}

#[test]
fn the_backend_is_told_what_fits_a_request() {
    let answer = headers(&[
        ("x-user", "ann"),
        ("x-group", "one"),
        ("x-group", "two"),
        ("authorization", "Bearer x"),
        ("content-length", "5"),
        ("content-type", "text/html"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("host", "auth"),
        ("set-cookie", "a=b"),
        ("date", "today"),
        ("server", "auth"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-request-id", "mine"),
        ("proxy-authorization", "x"),
    ]);
    let all = ["authorization: Bearer x", "x-group: one", "x-group: two", "x-user: ann"];
    assert_eq!(shown(&passed(&spec(&[], &[]), &answer)), all);
    let some = passed(&spec(&[], &["x-user", "x-absent", "content-length", "x-forwarded-for"]), &answer);
    assert_eq!(shown(&some), ["x-user: ann"]);
}

#[test]
fn a_client_cannot_write_what_the_service_says() {
    let spec = Arc::new(spec(&[], &["x-user", "x-user-group"]));
    let fields = passed(&spec, &headers(&[("x-user", "ann")]));
    let permits = Permits(RefCell::new(vec![Permit { by: spec, fields }]));
    let mut request = headers(&[
        ("x-user", "root"),
        ("x_user", "root"),
        ("x-user-group", "wheel"),
        ("x_user-group", "wheel"),
        ("x_user_group", "wheel"),
        ("x-users", "stays"),
        ("x_other", "stays"),
    ]);
    permits.write(&mut request);
    assert_eq!(shown(&request), ["x-user: ann", "x-users: stays", "x_other: stays"]);
}
