//! Filters, as the backend and the client see their work.

use super::World;
use crate::support::http::{self, Response};

fn target(answer: &Response) -> String {
    answer.json()["target"].as_str().unwrap_or_else(|| panic!("not an echo: {answer}")).to_owned()
}

#[test]
fn a_rewrite_changes_what_the_backend_sees() {
    let world = World::new(
        "[{matches: [{path: {value: /prefix/one}}], filters: [{type: URLRewrite, urlRewrite: {hostname: in.test, path: {type: ReplacePrefixMatch, replacePrefixMatch: /two}}}], backendRefs: [{name: a, port: 80}]}, \
          {matches: [{path: {value: /root}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}], backendRefs: [{name: a, port: 80}]}, \
          {matches: [{path: {value: /full}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /whole}}}], backendRefs: [{name: a, port: 80}]}, \
          {backendRefs: [{name: a, port: 80}]}]",
    );
    let port = world.portolan.http.port();
    let host = format!("shop.test:{port}");
    for (path, seen, seen_host) in [
        ("/prefix/one/x?y=z", "/two/x?y=z", "in.test"),
        ("/prefix/one", "/two", "in.test"),
        ("/prefix/one/", "/two/", "in.test"),
        ("/prefix/onemore", "/prefix/onemore", &*host),
        ("/root", "/", &*host),
        ("/root/", "/", &*host),
        ("/root/a//b", "/a/b", &*host),
        ("/full/a?q", "/whole?q", &*host),
        ("/as/it%20is?a=%2F&b", "/as/it%20is?a=%2F&b", &*host),
    ] {
        let answer = world.portolan.get(&host, path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer}");
        assert_eq!(
            (target(&answer), answer.received("host")),
            (seen.to_owned(), vec![seen_host.to_owned()]),
            "{path}"
        );
    }
}

#[test]
fn headers_are_set_added_and_removed_on_both_ways_by_rule_and_by_backend() {
    let world = World::new(
        "[{filters: [\
            {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: rule}], add: [{name: X-Add, value: rule}], remove: [X-Gone]}}, \
            {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Answer, value: rule}], add: [{name: X-More, value: rule}], remove: [X-Secret]}}], \
          backendRefs: [{name: a, port: 80, filters: [\
            {type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: X-Add, value: backend}], set: [{name: X-Own, value: backend}]}}, \
            {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: X-More, value: backend}]}}]}]}]",
    );
    let answer = http::ask(
        world.portolan.http,
        "GET /respond?header=X-Secret:s&header=X-Answer:own&header=X-More:own HTTP/1.1\r\nHost: shop.test\r\n\
         X-Set: client\r\nX-Add: client\r\nx-gone: client\r\nX-Kept: client\r\nConnection: close\r\n\r\n",
    )
    .unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    let joined = |name: &str| answer.received(name).join(",").replace(", ", ",");
    assert_eq!(joined("x-set"), "rule");
    assert_eq!(joined("x-add"), "client,rule,backend");
    assert_eq!(joined("x-own"), "backend");
    assert_eq!(joined("x-kept"), "client");
    assert!(answer.received("x-gone").is_empty());
    assert_eq!(answer.all("x-answer"), ["rule"]);
    assert_eq!(answer.all("x-more").join(",").replace(", ", ","), "own,rule,backend");
    assert_eq!(answer.header("x-secret"), None);
}

#[test]
fn only_the_chosen_backend_gets_its_own_filters() {
    let world = World::new(
        "[{backendRefs: [\
            {name: a, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Ref, value: one}]}}]}, \
            {name: a, port: 81, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Ref, value: two}]}}]}]}]",
    );
    let mut seen = std::collections::BTreeSet::new();
    let mut connection = world.portolan.connect();
    for _ in 0..60 {
        let values = connection.get("shop.test", "/").unwrap().received("x-ref");
        assert_eq!(values.len(), 1, "{values:?}");
        seen.extend(values);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn a_match_looks_at_path_method_headers_and_query_together() {
    let world = World::new(
        "[{matches: [{path: {type: Exact, value: /m}, method: POST, headers: [{name: X-V, value: '2'}], queryParams: [{name: q, value: yes}]}], \
           filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Rule, value: all}]}}], backendRefs: [{name: a, port: 80}]}, \
          {matches: [{path: {value: /m}, method: POST}], \
           filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Rule, value: post}]}}], backendRefs: [{name: a, port: 80}]}, \
          {matches: [{path: {type: RegularExpression, value: '/r[0-9]+'}}], \
           filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Rule, value: regex}]}}], backendRefs: [{name: a, port: 80}]}]",
    );
    for (line, header, rule) in [
        ("POST /m?q=yes", "x-v: 2", Some("all")),
        ("POST /m?q=no", "x-v: 2", Some("post")),
        ("POST /m?q=yes", "x-v: 3", Some("post")),
        ("POST /m/?q=yes", "x-v: 2", Some("post")),
        ("GET /m?q=yes", "x-v: 2", None),
        ("GET /r12", "a: b", Some("regex")),
        ("GET /rx", "a: b", None),
        ("POST /%6d?q=yes", "x-v: 2", Some("all")),
        ("POST /x/../m?q=yes", "x-v: 2", Some("all")),
    ] {
        let request = format!(
            "{line} HTTP/1.1\r\nHost: SHOP.test\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let answer = http::ask(world.portolan.http, &request).unwrap();
        assert_eq!(answer.header("x-rule"), rule, "{line} {header}: {answer}");
    }
}
