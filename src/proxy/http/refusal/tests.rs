//! What people and programs get to see.

use std::{io, time::Duration};

use super::*;

fn accepted(value: &str) -> Media {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::try_from(value).unwrap());
    Media::accepted(&headers)
}

#[test]
fn the_form_is_the_one_that_the_client_likes_best() {
    for (accept, media) in [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Media::Html),
        ("application/json", Media::Json),
        ("application/problem+json", Media::Json),
        ("application/vnd.api+json", Media::Json),
        ("application/json;q=0.2, text/html;q=0.9", Media::Html),
        ("application/json, text/html", Media::Json),
        ("text/html;q=0", Media::Text),
        ("text/html;q=x, application/json;q=0.1", Media::Json),
        ("*/*", Media::Text),
        ("image/png", Media::Text),
        ("", Media::Text),
    ] {
        assert_eq!(accepted(accept), media, "{accept}");
    }
    assert_eq!(Media::accepted(&HeaderMap::new()), Media::Text);
}

#[test]
fn each_refusal_has_its_status() {
    let reason: Arc<str> = "`default/b` is unhealthy".into();
    for (refusal, status, side) in [
        (Refusal::Method, 405, Side::Client),
        (Refusal::Host("x"), 400, Side::Client),
        (Refusal::NoListener, 404, Side::Configuration),
        (Refusal::NoRoute("a/b/c".into()), 404, Side::Configuration),
        (Refusal::InvalidRule(reason.clone()), 500, Side::Configuration),
        (Refusal::InvalidBackend(reason.clone()), 500, Side::Configuration),
        (Refusal::NoBackend, 500, Side::Configuration),
        (Refusal::NoEndpoint(reason), 503, Side::Backend),
        (Refusal::Unreachable(Failure::Connect(io::ErrorKind::ConnectionRefused.into())), 502, Side::Backend),
        (Refusal::Unreachable(Failure::ConnectTimeout), 504, Side::Backend),
        (Refusal::TryTimeout(Duration::from_secs(1)), 504, Side::Backend),
        (Refusal::Timeout(Duration::from_secs(1)), 504, Side::Backend),
        (Refusal::Switched, 502, Side::Backend),
    ] {
        assert_eq!((refusal.status().as_u16(), refusal.side()), (status, side), "{refusal}");
    }
}

#[test]
fn a_page_tells_the_id_and_no_name_of_ours() {
    let id = HeaderValue::from_static("id-1");
    for media in [Media::Html, Media::Json, Media::Text] {
        let refusal = Refusal::NoEndpoint("`default/secret` is unhealthy".into());
        let response = refusal.response(media, Some(&id));
        let page = std::str::from_utf8(response.body()).unwrap();
        assert!(page.contains("id-1") && page.contains("503") && !page.contains("secret"), "{page}");
        assert_eq!(response.headers()["x-request-id"], "id-1");
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(!page.contains("{{"), "{page}");
    }
    let json = Refusal::NoRoute("a/b/c".into()).response(Media::Json, Some(&id)).into_body();
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&value["status"], &value["requestId"]), (&404.into(), &"id-1".into()));
}

#[test]
fn a_client_that_breaks_the_rules_is_hung_up_on() {
    let unrouted = Refusal::NoRoute("a/b/c".into());
    for (refusal, closes) in [(Refusal::Host("x"), true), (Refusal::Method, true), (unrouted, false)] {
        let response = refusal.response(Media::Text, None);
        assert_eq!(response.headers().contains_key("connection"), closes, "{refusal}");
    }
}

#[test]
fn a_reason_in_a_header_is_one_plain_line_of_bounded_length() {
    let reason: Arc<str> = format!("`a/b` é\r\nSet-Cookie: x{}", "y".repeat(5_000)).into();
    let value = Refusal::InvalidRule(reason).reason();
    let text = value.to_str().unwrap();
    let start = "configuration: the rule cannot be served: `a/b` ???Set-Cookie: x";
    assert!(text.starts_with(start) && text.len() == 1_000, "{text}");
}
