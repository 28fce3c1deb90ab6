//! Answers of Portolan's own: pages, redirects, time limits, shares.

use std::time::Duration;

use super::{TO_A, World};
use crate::support::{backend::Backend, http, manifest, wait};

#[test]
fn each_error_is_a_page_in_the_form_that_the_client_likes() {
    let world = World::with(
        "[{matches: [{path: {value: /shop}}], backendRefs: [{name: a, port: 80}]}, \
          {matches: [{path: {value: /broken}}], backendRefs: [{name: missing, port: 80}]}, \
          {matches: [{path: {value: /none}}]}, \
          {matches: [{path: {value: /close}}], backendRefs: [{name: a, port: 80}]}, \
          {matches: [{path: {value: /garbage}}], backendRefs: [{name: a, port: 80}]}, \
          {matches: [{path: {value: /refused}}], backendRefs: [{name: refused, port: 80}]}, \
          {matches: [{path: {value: /empty}}], backendRefs: [{name: empty, port: 80}]}, \
          {matches: [{path: {value: /zero}}], backendRefs: [{name: a, port: 80, weight: 0}]}, \
          {matches: [{path: {value: /hang}}], backendRefs: [{name: a, port: 80}], timeouts: {request: 150ms}}]",
        |builder| builder.arguments(["--hold", "0s"]),
    );
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let empty = "apiVersion: v1\nkind: Service\nmetadata: {name: empty}\nspec: {selector: {app: nothing}, ports: [{port: 80}]}\n";
    world.documents.write("more.yaml", &(manifest::backend("refused", closed) + empty));
    world.portolan.says("shop.test", "/empty", 503);
    world.portolan.says("shop.test", "/refused", 502);
    let cases = [
        ("shop.test", "/nothing", 404, "Not Found"),
        ("other.test", "/shop", 404, "Not Found"),
        ("shop.test", "/broken", 500, "Internal Server Error"),
        ("shop.test", "/none", 500, "Internal Server Error"),
        ("shop.test", "/zero", 500, "Internal Server Error"),
        ("shop.test", "/close", 502, "Bad Gateway"),
        ("shop.test", "/garbage", 502, "Bad Gateway"),
        ("shop.test", "/refused", 502, "Bad Gateway"),
        ("shop.test", "/empty", 503, "Service Unavailable"),
        ("shop.test", "/hang", 504, "Gateway Timeout"),
    ];
    for (host, path, status, title) in cases {
        for (accept, media) in [
            ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
            ("application/json", "application/json"),
            ("*/*", "text/plain; charset=utf-8"),
        ] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
            );
            let answer = http::ask(world.portolan.http, &request).unwrap();
            assert_eq!(answer.status, status, "{host}{path}: {answer}");
            assert_eq!(answer.header("content-type"), Some(media), "{host}{path}: {answer}");
            let id = answer.header("x-request-id").unwrap_or_else(|| panic!("no request id: {answer}"));
            let text = answer.text();
            assert!(text.contains(id) && text.contains(title), "{host}{path}: {answer}");
            assert!(!text.contains("127.0.0.1") && !text.contains("missing"), "a stranger learns: {answer}");
            if media == "application/json" {
                assert_eq!(
                    (&answer.json()["status"], &answer.json()["requestId"]),
                    (&status.into(), &id.into())
                );
            }
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
            assert_eq!(answer.header("retry-after").is_some(), status == 503, "{answer}");
        }
    }
}

#[test]
fn a_redirect_is_answered_alone_and_says_where_to_go() {
    let world = World::new(
        "[{matches: [{path: {value: /secure}}], filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]}, \
          {matches: [{path: {value: /moved}}], filters: [{type: RequestRedirect, requestRedirect: {hostname: new.test, path: {type: ReplacePrefixMatch, replacePrefixMatch: /to}}}]}, \
          {matches: [{path: {value: /whole}}], filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /x/y}}}]}, \
          {matches: [{path: {value: /port}}], filters: [{type: RequestRedirect, requestRedirect: {port: 8090, scheme: http}}]}, \
          {matches: [{path: {value: /eighty}}], filters: [{type: RequestRedirect, requestRedirect: {port: 80, scheme: http}}]}]",
    );
    let port = world.portolan.http.port();
    let cases = [
        ("/secure/a?b=c", 301, "https://shop.test/secure/a?b=c".to_owned()),
        ("/moved/a/b?c=d", 302, format!("http://new.test:{port}/to/a/b?c=d")),
        ("/moved", 302, format!("http://new.test:{port}/to")),
        ("/whole/thing", 302, format!("http://shop.test:{port}/x/y")),
        ("/port/", 302, "http://shop.test:8090/port/".to_owned()),
        ("/eighty", 302, "http://shop.test/eighty".to_owned()),
    ];
    for (path, status, location) in cases {
        let answer = world.portolan.get(&format!("shop.test:{port}"), path).unwrap();
        assert_eq!(
            (answer.status, answer.header("location")),
            (status, Some(&*location)),
            "{path}: {answer}"
        );
    }
    assert_eq!(world.a.count(), 0);
}

#[test]
fn shares_are_as_the_weights_say() {
    let world = World::new(
        "[{backendRefs: [{name: a, port: 80, weight: 70}, {name: b, port: 80, weight: 30}, {name: c, port: 80, weight: 0}]}]",
    );
    let (b, c) = (Backend::start("b"), Backend::start("c"));
    world
        .documents
        .write("more.yaml", &(manifest::backend("b", b.address) + &manifest::backend("c", c.address)));
    world.portolan.reaches("shop.test", "/", "b");
    let before = (world.a.count(), b.count());
    let mut connection = world.portolan.connect();
    for _ in 0..500 {
        assert_eq!(connection.get("shop.test", "/").unwrap().status, 200);
    }
    let (to_a, to_b) = (world.a.count() - before.0, b.count() - before.1);
    assert_eq!((to_a + to_b, c.count()), (500, 0));
    assert!((325..=375).contains(&to_a), "{to_a} of 500 to the backend with weight 70");
}

#[test]
fn the_share_of_an_invalid_backend_is_an_error_and_not_given_to_others() {
    let world = World::new("[{backendRefs: [{name: a, port: 80}, {name: missing, port: 80}]}]");
    let mut connection = world.portolan.connect();
    let errors = (0..200).filter(|_| connection.get("shop.test", "/").unwrap().status == 500).count();
    assert!((80..=120).contains(&errors), "{errors} of 200");
}

#[test]
fn a_time_limit_ends_a_slow_exchange_and_none_does_not() {
    let world = World::new(
        "[{matches: [{path: {value: /slow}, queryParams: [{name: of, value: request}]}], timeouts: {request: 200ms}, backendRefs: [{name: a, port: 80}]}, \
          {matches: [{path: {value: /slow}, queryParams: [{name: of, value: try}]}], timeouts: {request: 5s, backendRequest: 200ms}, backendRefs: [{name: a, port: 80}]}, \
          {matches: [{path: {value: /slow}, queryParams: [{name: of, value: none}]}], timeouts: {request: 0s}, backendRefs: [{name: a, port: 80}]}]",
    );
    for (of, wanted) in [("request", 504), ("try", 504), ("none", 200)] {
        let begun = wait::now();
        let answer = world.portolan.get("shop.test", &format!("/slow?ms=900&of={of}")).unwrap();
        assert_eq!(answer.status, wanted, "{of}: {answer}");
        let least = if wanted == 504 { 200 } else { 900 };
        assert!(begun.elapsed() >= Duration::from_millis(least), "{of}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_request_waits_for_a_backend_that_is_about_to_come() {
    let world = World::with(TO_A, |builder| builder.arguments(["--hold", "15s"]));
    let late = Backend::start("late");
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: late}\nspec: {selector: {app: nothing}, ports: [{port: 80}]}\n";
    let route = manifest::simple("late", "late.test", "late");
    world.documents.write("late.yaml", &format!("{route}{service}"));
    wait::eventually(wait::SOON, "the route is live", || {
        let text = world.portolan.client(&["get", "routes", "late"])?;
        wait::check(text, |text| text.contains("late"), String::clone)
    });
    let mut connection = world.portolan.connect();
    connection.send("GET / HTTP/1.1\r\nHost: late.test\r\n\r\n").unwrap();
    wait::eventually(wait::SOON, "the request waits", || {
        let held = world.portolan.metric("portolan_held_requests");
        wait::check(held, |held| *held == Some(1.0), |held| format!("{held:?}"))
    });
    world.documents.write("late.yaml", &(route + &manifest::backend("late", late.address)));
    let answer = connection.response("GET").unwrap();
    assert_eq!((answer.status, answer.backend()), (200, Some("late")), "{answer}");
}
