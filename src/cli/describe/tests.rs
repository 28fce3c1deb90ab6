//! The page of an object.

use serde_json::json;

use super::*;

fn now() -> i64 {
    "2024-01-01T01:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second()
}

#[test]
fn who_names_several_is_told_what_tells_them_apart() {
    let item = |namespace: &str, name: &str| json!({"metadata": {"namespace": namespace, "name": name}});
    assert_eq!(
        which(&[item("default", "s:80"), item("default", "s:81")]),
        "name one of them with its port, such as `default/s:80`"
    );
    assert_eq!(
        which(&[item("default", "s"), item("shop", "s")]),
        "name one of them with its namespace, such as `default/s`"
    );
}

#[test]
fn a_route_is_described_with_all_that_belongs_to_it() {
    let object = json!({
        "kind": "HTTPRoute",
        "metadata": {
            "namespace": "shop", "name": "books", "generation": 3,
            "annotations": {"portolan.dev/origin": "shop.yaml:3:1", "portolan.dev/stale": "true"},
        },
        "spec": {"hostnames": ["books.test"], "rules": [{"backendRefs": [{"name": "books", "port": 8080}]}]},
        "status": {"parents": [{
            "parentRef": {"kind": "Gateway", "namespace": "shop", "name": "edge", "sectionName": "http"},
            "conditions": [
                {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "the route is served",
                    "lastTransitionTime": "2024-01-01T00:30:00Z"},
                {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound",
                    "message": "there is no `books`", "lastTransitionTime": "2024-01-01T00:59:30Z"},
            ],
        }]},
    });
    assert_eq!(backends(&object), [("shop".to_owned(), "books:8080".to_owned())]);
    let endpoint = json!({"metadata": {"name": "shop-books-1"}, "status": {
        "backend": "books:8080", "address": "10.0.0.7:8080", "state": "ready", "message": "", "weight": 1}});
    let event =
        json!({"time": "2024-01-01T00:58:00Z", "reason": "Accepted", "message": "the route is served"});
    let described = Described { object, endpoints: vec![endpoint], events: vec![event], now: now() };
    insta::assert_snapshot!(page(&described), @r###"
    Name:         books
    Namespace:    shop
    Kind:         HTTPRoute
    Origin:       shop.yaml:3:1
    Stale:        the file now holds something invalid; this is the last good version
    Generation:   3

    Spec:
      hostnames:
      - books.test
      rules:
      - backendRefs:
        - name: books
          port: 8080

    Parent Gateway shop/edge listener http:
      Accepted       True    Accepted          30m   the route is served
      ResolvedRefs   False   BackendNotFound   30s   there is no `books`

    Endpoints:
      books:8080   shop-books-1   10.0.0.7:8080   ready

    Events:
      2m   Accepted   the route is served
    "###);
}

#[test]
fn a_container_is_described_with_what_to_do() {
    let object = json!({
        "kind": "Container",
        "metadata": {"namespace": "default", "name": "db", "uid": "c0ffee"},
        "spec": {"image": "postgres:17", "labels": {}},
        "status": {"phase": "running", "health": "healthy", "routed": false, "urls": [], "resources": [],
            "problems": [{"severity": "error", "reason": "NoPort", "message": "container `db` exposes no port",
                "hint": "set the label `portolan.port`"}]},
    });
    insta::assert_snapshot!(page(&Described { object, now: now(), ..Described::default() }), @r###"
    Name:        db
    Namespace:   default
    Kind:        Container
    Id:          c0ffee
    State:       running
    Health:      healthy

    Spec:
      image: postgres:17
      labels: {}

    Problems:
      error[NoPort]: container `db` exposes no port
        hint: set the label `portolan.port`

    Events:
      none
    "###);
}
