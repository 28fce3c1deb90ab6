//! Each collection as it is seen on a terminal.

use serde_json::json;

use super::*;
use crate::model::Kind;

fn shown(collection: Collection, width: Width, items: &[Value]) -> String {
    let mut table = Table::new(collection, width);
    table.now = "2024-01-01T01:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
    table.render(items)
}

fn route(name: &str, hostnames: &[&str], accepted: &str, reason: &str) -> Value {
    let conditions = json!([
        {"type": "Accepted", "status": accepted, "reason": reason, "message": "listener `http` does not allow it"},
        {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs", "message": ""},
    ]);
    json!({
        "kind": "HTTPRoute",
        "metadata": {
            "namespace": "shop", "name": name, "annotations": {"portolan.dev/origin": "shop.yaml:3:1"},
        },
        "spec": {"hostnames": hostnames, "rules": [{"backendRefs": [
            {"name": "books", "port": 8080, "weight": 9},
            {"name": "canary", "namespace": "other", "port": 8080},
        ]}, {"backendRefs": [{"name": "books", "port": 8080}]}]},
        "status": {"parents": [{"parentRef": {"namespace": "shop", "name": "edge"}, "conditions": conditions}]},
    })
}

#[test]
fn routes_show_what_they_join_and_whether_it_is_served() {
    let items = [
        route("books", &["a.test", "b.test"], "True", "Accepted"),
        route("wide", &["a.test", "b.test", "c.test", "d.test", "e.test"], "False", "NotAllowedByListeners"),
        json!({"metadata": {"namespace": "shop", "name": "bare"}}),
    ];
    insta::assert_snapshot!(shown(Collection::Routes, Width::Usual, &items), @r###"
    NAMESPACE   NAME    HOSTNAMES                 BACKENDS                                      ACCEPTED                        RESOLVED   ORIGIN
    shop        books   a.test,b.test             books:8080=9,other/canary:8080=1,books:8080   True                            True       shop.yaml:3:1
    shop        wide    a.test,b.test,c.test +2   books:8080=9,other/canary:8080=1,books:8080   False (NotAllowedByListeners)   True       shop.yaml:3:1
    shop        bare    -                         -                                             -                               -
    "###);
    insta::assert_snapshot!(shown(Collection::Routes, Width::Wide, &items[1..2]), @r###"
    NAMESPACE   NAME   KIND        HOSTNAMES                            BACKENDS                                      ACCEPTED                        RESOLVED   ORIGIN          PARENTS     MESSAGE
    shop        wide   HTTPRoute   a.test,b.test,c.test,d.test,e.test   books:8080=9,other/canary:8080=1,books:8080   False (NotAllowedByListeners)   True       shop.yaml:3:1   shop/edge   listener `http` does not allow it
    "###);
}

#[test]
fn a_container_shows_its_urls_or_why_it_has_none() {
    let container = |name: &str, health: &str, status: Value| {
        let mut status = status;
        status["phase"] = "running".into();
        status["health"] = health.into();
        json!({"metadata": {"namespace": "default", "name": name, "uid": "c0ffee0123456789"},
            "spec": {"image": "acme/web"}, "status": status})
    };
    let problem = json!({"reason": "NoPort", "message": "container `db` exposes no port",
        "hint": "set the label `portolan.port`"});
    let items = [
        container(
            "web",
            "healthy",
            json!({"routed": true, "urls": ["http://web.docker.localhost", "http://web.localhost"]}),
        ),
        container("db", "unchecked", json!({"routed": false, "urls": [], "problems": [problem]})),
    ];
    insta::assert_snapshot!(shown(Collection::Containers, Width::Usual, &items), @r###"
    NAMESPACE   NAME   STATE               URLS, OR WHY NOT
    default     web    running (healthy)   http://web.docker.localhost,http://web.localhost
    default     db     running             NoPort: container `db` exposes no port; set the label `portolan.port`
    "###);
    insta::assert_snapshot!(shown(Collection::Containers, Width::Wide, &items), @r###"
    NAMESPACE   NAME   STATE               ID             IMAGE      URLS                                               WHY NOT
    default     web    running (healthy)   c0ffee012345   acme/web   http://web.docker.localhost http://web.localhost   -
    default     db     running             c0ffee012345   acme/web   -                                                  NoPort: container `db` exposes no port; set the label `portolan.port`
    "###);
}

#[test]
fn gateways_backends_endpoints_and_events_fit_a_line() {
    let gateway = json!({
        "metadata": {"namespace": "default", "name": "edge", "annotations": {"portolan.dev/origin": "edge.yaml:1:1"}},
        "spec": {"gatewayClassName": "portolan", "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP"}, {"name": "https", "port": 443, "protocol": "HTTPS"},
        ]},
        "status": {
            "addresses": [{"type": "IPAddress", "value": "0.0.0.0"}],
            "listeners": [{"name": "http", "attachedRoutes": 4}],
            "conditions": [{"type": "Accepted", "status": "True"}, {"type": "Programmed", "status": "False", "reason": "Invalid"}],
        },
    });
    let backend = json!({
        "metadata": {"namespace": "shop", "name": "books:8080"},
        "status": {"resolved": "Compose service", "ready": 1, "total": 2},
    });
    let endpoint = json!({
        "metadata": {"namespace": "shop", "name": "shop-books-1"},
        "status": {"backend": "books:8080", "address": null, "state": "unreachable", "weight": 1,
            "message": "no network\nis shared"},
    });
    let event = json!({
        "metadata": {"name": "7"}, "time": "2024-01-01T00:45:00Z", "reason": "Added", "message": "container `web` started",
        "involvedObject": {"kind": "HTTPRoute", "namespace": "shop", "name": "books"},
    });
    let shown = |collection, item| shown(collection, Width::Usual, &[item]);
    let all = [
        shown(Collection::Kind(Kind::Gateway), gateway),
        shown(Collection::Backends, backend),
        shown(Collection::Endpoints, endpoint),
        shown(Collection::Events, event),
    ];
    insta::assert_snapshot!(all.join("\n"), @r###"
    NAMESPACE   NAME   CLASS      ADDRESSES   LISTENERS                      ROUTES   ACCEPTED   PROGRAMMED        ORIGIN
    default     edge   portolan   0.0.0.0     http:80/HTTP,https:443/HTTPS   4        True       False (Invalid)   edge.yaml:1:1

    NAMESPACE   NAME         RESOLVED          READY   ORIGIN
    shop        books:8080   Compose service   1/2     -

    NAMESPACE   BACKEND      ENDPOINT       ADDRESS   STATE         MESSAGE
    shop        books:8080   shop-books-1   -         unreachable   no network is shared

    AGE   REASON   OBJECT                 MESSAGE
    15m   Added    HTTPRoute shop/books   container `web` started
    "###);
}

#[test]
fn followed_lines_stand_under_the_columns_of_the_first_table() {
    let mut table = Table::new(Collection::Backends, Width::Usual);
    let backend = |name: &str, ready: u64| {
        json!({"metadata": {"namespace": "default", "name": name},
            "status": {"resolved": "container", "ready": ready, "total": 1}})
    };
    let mut out = table.render(&[backend("web", 1), backend("a-longer-name", 1)]);
    out.push_str(&table.row(&backend("web", 0)));
    out.push_str(&table.row(&backend("the-longest-name-of-all", 0)));
    out.push_str(&table.gone(&backend("web", 0)));
    insta::assert_snapshot!(out, @r###"
    NAMESPACE   NAME            RESOLVED    READY   ORIGIN
    default     web             container   1/1     -
    default     a-longer-name   container   1/1     -
    default     web             container   0/1     -
    default     the-longest-name-of-all container   0/1     -
    default     web             -           -       - (gone)
    "###);
}

#[test]
fn an_object_whose_file_is_invalid_now_says_so() {
    let mut item = route("books", &["a.test"], "True", "Accepted");
    item["metadata"]["annotations"]["portolan.dev/stale"] = "true".into();
    let text = shown(Collection::Routes, Width::Usual, &[item]);
    assert!(text.contains("shop.yaml:3:1 (invalid now; last good)"), "{text}");
}

#[test]
fn ages_are_short() {
    let now = "2024-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
    for (seconds, expected) in
        [(0, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (172_800, "2d"), (-5, "0s")]
    {
        let then = jiff::Timestamp::from_second(now - seconds).unwrap().to_string();
        assert_eq!(age(&json!(then), now), expected);
    }
    assert_eq!(age(&json!(null), now), "-");
}

#[test]
fn the_next_check_is_told_by_the_time_until_then() {
    let last = "2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
    let endpoint = |interval| json!({"healthCheck": {"interval": interval, "last": "2026-01-01T00:00:00Z"}});
    for (after, told) in [
        (0, " (next check in 30 s)"),
        (8, " (next check in 22 s)"),
        (30, " (next check in 30 s)"),
        (95, " (next check in 25 s)"),
    ] {
        assert_eq!(next_check(&endpoint(30), last + after), told, "{after} s later");
    }
    assert_eq!(next_check(&endpoint(30), last - 5), " (next check in 30 s)", "clocks differ");
    assert_eq!(next_check(&endpoint(0), last), "");
    assert_eq!(next_check(&json!({"healthCheck": null}), last), "");
}
