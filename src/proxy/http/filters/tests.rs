//! One row for each sentence of the standard.

use http::StatusCode;

use super::*;
use crate::model::Host;

fn facts<'a>(path: &'a str, prefix: Option<&'a str>) -> Facts<'a> {
    Facts { scheme: "http", host: "a.test", port: NonZeroU16::new(80).unwrap(), path, query: None, prefix }
}

fn to() -> Redirect {
    Redirect { scheme: None, hostname: None, path: None, port: None, status: StatusCode::FOUND }
}

fn location_of(redirect: Redirect, facts: &Facts<'_>) -> String {
    let filters = [HttpFilter::Redirect(redirect)];
    let (_, location) = super::redirect(&filters, facts).unwrap().unwrap();
    location.to_str().unwrap().to_owned()
}

fn host(name: &str) -> Host {
    Host::parse(name).unwrap()
}

fn replace_prefix(text: &str) -> PathEdit {
    PathEdit::ReplacePrefix(text.into())
}

#[test]
fn the_port_of_a_redirect() {
    let port = NonZeroU16::new;
    for (given, scheme, listener, location) in [
        // Given.
        (port(8443), None, 80, "http://a.test:8443/x"),
        (port(8443), Some("https"), 80, "https://a.test:8443/x"),
        // The scheme's own, whatever the listener's is.
        (None, Some("https"), 80, "https://a.test/x"),
        (None, Some("https"), 8080, "https://a.test/x"),
        (None, Some("http"), 8080, "http://a.test/x"),
        // The listener's.
        (None, None, 8080, "http://a.test:8080/x"),
        (None, None, 80, "http://a.test/x"),
        // 80 with http and 443 with https are left out, and only those.
        (port(80), Some("http"), 8080, "http://a.test/x"),
        (port(443), Some("https"), 8080, "https://a.test/x"),
        (port(443), Some("http"), 80, "http://a.test:443/x"),
        (port(80), Some("https"), 80, "https://a.test:80/x"),
    ] {
        let facts = Facts { port: port(listener).unwrap(), ..facts("/x", None) };
        assert_eq!(location_of(Redirect { port: given, scheme, ..to() }, &facts), location);
    }
}

#[test]
fn a_redirect_without_a_scheme_stays_with_that_of_the_request() {
    let port = NonZeroU16::new;
    for (listener, scheme, location) in [
        (443, None, "https://a.test/x"),
        (8443, None, "https://a.test:8443/x"),
        (443, Some("http"), "http://a.test/x"),
        (8443, Some("https"), "https://a.test/x"),
    ] {
        let facts = Facts { scheme: "https", port: port(listener).unwrap(), ..facts("/x", None) };
        assert_eq!(location_of(Redirect { scheme, ..to() }, &facts), location, "{listener}");
    }
}

#[test]
fn the_host_of_a_redirect_is_the_one_given_or_that_of_the_request() {
    assert_eq!(location_of(to(), &facts("/x", None)), "http://a.test/x");
    let redirect = Redirect { hostname: Some(host("b.test")), ..to() };
    assert_eq!(location_of(redirect, &facts("/x", None)), "http://b.test/x");
}

#[test]
fn a_redirect_keeps_the_query() {
    let facts = Facts { query: Some("a=1&b=%2F"), ..facts("/x", Some("/x")) };
    assert_eq!(location_of(to(), &facts), "http://a.test/x?a=1&b=%2F");
    let redirect = Redirect { path: Some(replace_prefix("/y")), ..to() };
    assert_eq!(location_of(redirect, &facts), "http://a.test/y?a=1&b=%2F");
}

#[test]
fn a_prefix_is_replaced_by_whole_elements_without_doubled_slashes() {
    for (prefix, replacement, path, result) in [
        ("/foo", "/xyz", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz/", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz", "/foo", "/xyz"),
        ("/foo", "/xyz", "/foo/", "/xyz/"),
        ("/foo", "", "/foo/bar", "/bar"),
        ("/foo", "/", "/foo/bar", "/bar"),
        ("/foo", "", "/foo", "/"),
        ("/foo", "/", "/foo", "/"),
        ("/foo", "", "/foo/", "/"),
        ("/foo", "/", "/foo/", "/"),
        ("", "/xyz", "/bar", "/xyz/bar"),
        ("", "/xyz", "/", "/xyz/"),
        ("", "/", "/bar", "/bar"),
    ] {
        let facts = facts(path, Some(prefix));
        let redirect = Redirect { path: Some(replace_prefix(replacement)), ..to() };
        assert_eq!(location_of(redirect, &facts), format!("http://a.test{result}"), "{prefix} {replacement}");
        let filters =
            [HttpFilter::Rewrite(Rewrite { hostname: None, path: Some(replace_prefix(replacement)) })];
        let rewritten = rewrite(filters.iter(), &facts).unwrap().unwrap();
        assert_eq!(rewritten.uri.unwrap().path(), result, "{prefix} {replacement}");
    }
}

#[test]
fn a_full_path_replaces_all_of_it() {
    for (full, result) in [("/one/two", "/one/two"), ("", "/"), ("/", "/")] {
        let path = Some(PathEdit::ReplaceFull(full.into()));
        let facts = Facts { query: Some("q"), ..facts("/a/b", Some("/a")) };
        assert_eq!(
            location_of(Redirect { path: path.clone(), ..to() }, &facts),
            format!("http://a.test{result}?q")
        );
        let filters = [HttpFilter::Rewrite(Rewrite { hostname: None, path })];
        let uri = rewrite(filters.iter(), &facts).unwrap().unwrap().uri.unwrap();
        assert_eq!(uri.to_string(), format!("{result}?q"));
    }
}

#[test]
fn what_a_rewrite_makes_is_checked_again() {
    let rewritten = |full: &str| {
        let path = Some(PathEdit::ReplaceFull(full.into()));
        let filters = [HttpFilter::Rewrite(Rewrite { hostname: None, path })];
        rewrite(filters.iter(), &facts("/", None))
            .map(|rewritten| rewritten.unwrap().uri.unwrap().to_string())
    };
    assert_eq!(rewritten("/a/../b").unwrap(), "/b");
    assert_eq!(rewritten("/a?b").unwrap(), "/a%3Fb");
    assert!(matches!(rewritten("/a%2fb"), Err(Refusal::Rewritten)));
    assert!(matches!(rewritten("a"), Err(Refusal::Rewritten)));
    let path = Some(PathEdit::ReplacePrefix("/x".into()));
    let filters = [HttpFilter::Rewrite(Rewrite { hostname: None, path })];
    let allowed = rewrite(filters.iter(), &facts("/v2/a%2Fb", Some("/v2"))).unwrap().unwrap();
    assert_eq!(allowed.uri.unwrap(), "/x/a%2Fb", "the request was let through with it");
}

#[test]
fn a_rewritten_host_goes_to_the_backend_without_a_path_change() {
    let filters = [HttpFilter::Rewrite(Rewrite { hostname: Some(host("b.test")), path: None })];
    let rewritten = rewrite(filters.iter(), &facts("/", None)).unwrap().unwrap();
    assert_eq!((rewritten.host.unwrap(), rewritten.uri), (HeaderValue::from_static("b.test"), None));
    assert_eq!(rewrite([].iter(), &facts("/", None)).unwrap(), None);
}

#[test]
fn fields_are_set_then_added_then_removed() {
    let field = |name: &'static str, value: &'static str| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let edits = HeaderEdit {
        set: vec![field("x-set", "new"), field("x-fresh", "1")],
        add: vec![field("x-add", "2")],
        remove: vec![HeaderName::from_static("x-remove")],
    };
    let before = [("x-set", "a"), ("x-set", "b"), ("x-add", "1"), ("x-remove", "x"), ("x-other", "y")];
    let mut headers: HeaderMap = HeaderMap::new();
    for (name, value) in before {
        headers.append(name, HeaderValue::from_static(value));
    }
    let mut response = Received::new(StatusCode::OK, headers.clone());
    let filters = [HttpFilter::RequestHeaders(edits.clone())];
    request_headers(filters.iter(), &mut headers);
    let values = |name: &str| headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(values("x-set"), ["new"]);
    assert_eq!(values("x-fresh"), ["1"]);
    assert_eq!(values("x-add"), ["1", "2"]);
    assert!(values("x-remove").is_empty());
    assert_eq!(values("x-other"), ["y"]);
    response_headers(filters.iter(), &mut response);
    assert!(response.headers_mut().contains_key("x-remove"), "an edit of requests is not one of responses");
    response_headers([HttpFilter::ResponseHeaders(edits)].iter(), &mut response);
    assert_eq!(*response.headers_mut(), headers);
}

#[test]
fn no_edit_changes_how_a_message_is_framed() {
    let field = |name: &'static str| (HeaderName::from_static(name), HeaderValue::from_static("9"));
    let edits = HeaderEdit {
        set: vec![field("content-length"), field("transfer-encoding")],
        add: vec![field("connection"), field("host")],
        remove: vec![HeaderName::from_static("host")],
    };
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("a"));
    request_headers([HttpFilter::RequestHeaders(edits)].iter(), &mut headers);
    assert_eq!(headers.len(), 1);
    assert_eq!(headers["host"], "a");
}

#[test]
fn rewrites_of_rule_and_backend_follow_each_other() {
    let rewrite_of =
        |hostname: Option<&str>, path| HttpFilter::Rewrite(Rewrite { hostname: hostname.map(host), path });
    let full = |text: &str| Some(PathEdit::ReplaceFull(text.into()));
    let prefix = |text: &str| Some(replace_prefix(text));
    for (first, second, host, path) in [
        ((Some("one.test"), None), (None, full("/z")), Some("one.test"), Some("/z")),
        ((Some("one.test"), None), (Some("two.test"), None), Some("two.test"), None),
        ((None, prefix("/x")), (None, full("/z")), None, Some("/z")),
        ((None, prefix("/x")), (None, prefix("/y/w")), None, Some("/y/w/b/c")),
        ((None, prefix("/x/y")), (None, prefix("/")), None, Some("/b/c")),
        ((None, prefix("/")), (None, prefix("/q")), None, Some("/q/b/c")),
        // What a full path leaves has no prefix that matched.
        ((None, full("/z/w")), (None, prefix("/x")), None, Some("/z/w")),
    ] {
        let filters = [rewrite_of(first.0, first.1), rewrite_of(second.0, second.1)];
        let facts = facts("/a/b/c", Some("/a"));
        let made = rewrite(filters.iter(), &facts).unwrap().unwrap();
        let made = (made.host.as_ref().map(|host| host.to_str().unwrap()), made.uri.as_ref().map(Uri::path));
        assert_eq!(made, (host, path), "{filters:?}");
        let redirect = [HttpFilter::Redirect(to())];
        let (_, location) = redirect_after(&filters, &redirect, &facts).unwrap().unwrap();
        let wanted = format!("http://{}{}", host.unwrap_or("a.test"), path.unwrap_or("/a/b/c"));
        assert_eq!(location, wanted, "{filters:?}");
    }
}
