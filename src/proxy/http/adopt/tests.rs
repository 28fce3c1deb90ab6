//! Heads of HTTP/2 as the pipeline sees them.

use http::Request;

use super::*;

fn head(uri: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn the_authority_becomes_host_and_the_target_is_a_path() {
    let mut head = head("https://a.test:8443/x?y", &[]);
    assert!(matches!(adopt(&mut head, 200), Ok(Wants::Http)));
    to_origin_form(&mut head);
    assert_eq!(head.headers[header::HOST], "a.test:8443");
    assert_eq!(head.uri, "/x?y");
}

#[test]
fn a_host_that_was_sent_stays() {
    let mut head = head("http://a.test/", &[("host", "b.test")]);
    assert!(adopt(&mut head, 200).is_ok());
    assert_eq!(head.headers[header::HOST], "b.test");
}

#[test]
fn parts_of_a_cookie_are_joined() {
    let parts = [("cookie", "a=b"), ("x", "y"), ("cookie", "c=d; e=f"), ("cookie", "g=h")];
    let mut head = head("http://a/", &parts);
    assert!(adopt(&mut head, 200).is_ok());
    let cookies: Vec<&HeaderValue> = head.headers.get_all(header::COOKIE).iter().collect();
    assert_eq!(cookies, ["a=b; c=d; e=f; g=h"]);
}

#[test]
fn fields_are_counted_with_the_parts_of_cookies() {
    let crumbs = vec![("cookie", "a=b"); 5];
    assert!(adopt(&mut head("http://a/", &crumbs), 5).is_ok());
    assert!(matches!(adopt(&mut head("http://a/", &crumbs), 4), Err(Refusal::Fields)));
}

#[test]
fn a_length_is_one_number() {
    for lengths in [&["1", "1"][..], &["+1"], &["1, 1"], &["-1"], &[""]] {
        let fields: Vec<(&str, &str)> = lengths.iter().map(|length| ("content-length", *length)).collect();
        assert!(matches!(adopt(&mut head("http://a/", &fields), 200), Err(Refusal::Length)), "{lengths:?}");
    }
}

#[test]
fn a_field_is_one_that_http_1_reads_alike() {
    for value in [" b", "b ", "\tb", "b\t"] {
        let mut head = head("http://a/", &[("x-a", value)]);
        assert!(matches!(adopt(&mut head, 200), Err(Refusal::Field)), "{value:?}");
    }
    for value in ["", "b", "b c", "\"b\""] {
        assert!(adopt(&mut head("http://a/", &[("x-a", value)]), 200).is_ok(), "{value:?}");
    }
}

#[test]
fn only_websockets_may_connect() {
    let connect = |protocol: Option<&'static str>| {
        let mut head = head("http://a.test/chat", &[]);
        head.method = Method::CONNECT;
        if let Some(protocol) = protocol {
            head.extensions.insert(Protocol::from_static(protocol));
        }
        let wants = adopt(&mut head, 200);
        (wants.ok(), head.method)
    };
    assert_eq!(connect(Some("websocket")), (Some(Wants::WebSocket), Method::GET));
    assert_eq!(connect(Some("connect-udp")).0, None);
    assert_eq!(connect(None).0, None);
}

#[test]
fn keys_are_sixteen_bytes_in_base64() {
    // The example of RFC 6455 section 1.3.
    assert_eq!(&base64(*b"the sample nonce"), b"dGhlIHNhbXBsZSBub25jZQ==");
}

#[test]
fn a_tunnel_has_no_length() {
    for (length, wants) in [("0", Some(Wants::WebSocket)), ("5", None)] {
        let mut head = head("http://a.test/", &[("content-length", length)]);
        head.method = Method::CONNECT;
        head.extensions.insert(Protocol::from_static("websocket"));
        assert_eq!(adopt(&mut head, 200).ok(), wants, "{length}");
    }
}
