//! The page that people read.

use serde_json::json;

use super::*;

#[test]
fn the_page_says_who_answers_and_why_the_others_do_not() {
    let explanation = json!({
        "request": {"method": "GET", "scheme": "http", "host": "shop.test", "port": 80, "path": "/blog", "query": "a=1"},
        "note": null,
        "listeners": [{"name": "default/web/http", "port": 80, "verdict": "wins", "why": ""}],
        "candidates": [
            {"route": "default/shop", "rule": "0", "hostname": "shop.test", "match": "prefix /blog", "verdict": "wins", "why": ""},
            {"route": "default/shop", "rule": "1", "hostname": "shop.test", "match": "prefix /", "verdict": "loses", "why": "a longer prefix comes first"},
        ],
        "more": 0,
        "elsewhere": 3,
        "answer": {"route": "default/shop", "rule": "0", "backends": [
            {"weight": 9, "name": "default/blog:80", "endpoints": [{"name": "blog-1", "address": "10.0.0.2:80", "weight": 1, "state": "ready"}]},
            {"weight": 1, "name": "default/new:80", "status": 503, "why": "1 starting", "endpoints": []},
        ]},
    });
    insta::assert_snapshot!(page(&explanation, 0), @r"
    GET http://shop.test:80/blog?a=1
    route: default/shop rule 0
    backend: default/blog:80 (weight 9)
      blog-1   10.0.0.2:80   ready
    backend: default/new:80 (weight 1): 503, 1 starting

    Listeners:
      default/web/http   port 80   wins

    Matches:
      default/shop rule 0   shop.test   prefix /blog   wins
      default/shop rule 1   shop.test   prefix /       fits, but loses: a longer prefix comes first
      and 3 for other hosts
    ");
    assert!(is_served(&explanation["answer"]));
}

#[test]
fn what_is_not_served_is_a_no() {
    for (answer, served) in [
        (json!({"status": 404, "why": "x"}), false),
        (json!({"status": 301, "why": "the rule redirects"}), true),
        (json!({"status": null, "why": "nothing listens"}), false),
        (json!({"backends": [{"weight": 1, "status": 503, "why": "x"}]}), false),
        (json!({"backends": [{"weight": 0}, {"weight": 1, "status": 500, "why": "x"}]}), false),
        (json!({"backends": [{"weight": 1, "lately": {"status": 502}}]}), false),
        (json!({"backends": [{"weight": 1, "lately": {"status": 502}}, {"weight": 1}]}), true),
    ] {
        assert_eq!(is_served(&answer), served, "{answer}");
    }
}

#[test]
fn the_page_says_how_the_last_requests_went_and_what_is_not_waited_for() {
    let failure = |since: bool| {
        json!({
            "time": "2026-01-01T00:00:00Z", "reason": "ConnectionRefused", "message": "cannot connect", "hint": "start it",
            "status": 502, "answeredSince": since,
        })
    };
    let explanation = json!({
        "request": {"method": "GET", "scheme": "http", "host": "shop.test", "port": 80, "path": "/", "query": null},
        "answer": {
            "route": "default/shop", "rule": "0",
            "backends": [
                {"weight": 1, "name": "default/a:80", "lately": {
                    "status": 502, "time": "2026-01-01T00:00:00Z", "why": "the last request to its endpoint failed: cannot connect",
                }, "endpoints": [{"name": "a-1", "address": "10.0.0.2:80", "state": "ready", "lastFailure": failure(false)}]},
                {"weight": 1, "name": "default/b:80", "endpoints": [
                    {"name": "b-1", "address": "10.0.0.3:80", "state": "ready", "lastFailure": failure(true)},
                ]},
            ],
            "timeouts": [
                {"after": "10s", "field": "timeouts.request", "of": "the whole request"},
                {"after": "2s", "field": "connections.connectTimeout, by default", "of": "a connection to an endpoint"},
            ],
        },
    });
    let now = "2026-01-01T00:00:03Z".parse::<jiff::Timestamp>().unwrap().as_second();
    insta::assert_snapshot!(page(&explanation, now), @r"
    GET http://shop.test:80/
    route: default/shop rule 0
    backend: default/a:80 (weight 1): 502 lately, 3s ago: the last request to its endpoint failed: cannot connect
      a-1   10.0.0.2:80   ready   the last request to it failed 3s ago: cannot connect; the client got 502; start it
    backend: default/b:80 (weight 1)
      b-1   10.0.0.3:80   ready   a request to it failed 3s ago (cannot connect; the client got 502), later ones were answered
    504 after: 10s for the whole request (timeouts.request), 2s for a connection to an endpoint (connections.connectTimeout, by default)
    ");
}
