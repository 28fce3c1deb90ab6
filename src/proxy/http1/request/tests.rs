//! What is read of clients, and what is written for endpoints.

use super::*;

fn request(method: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri("/a?b=c");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

fn written(request: &Request<()>, length: Length) -> String {
    let mut out = Vec::new();
    let target = request.uri().path_and_query().unwrap().as_str();
    write(request.method(), target, length, &mut out, |put| {
        request.headers().iter().for_each(|(name, value)| put(name, value));
    });
    String::from_utf8(out).unwrap()
}

#[test]
fn framing_is_told_by_the_body_and_not_by_the_fields() {
    let fields = [("host", "a"), ("content-length", "7"), ("transfer-encoding", "gzip, chunked")];
    let request = request("POST", &fields);
    for (length, told) in [
        (Length::None, ""),
        (Length::Known(5), "content-length: 5\r\n"),
        (Length::Unknown, "transfer-encoding: chunked\r\n"),
    ] {
        assert_eq!(written(&request, length), format!("POST /a?b=c HTTP/1.1\r\nhost: a\r\n{told}\r\n"));
    }
}

#[test]
fn an_empty_body_is_told_where_the_client_has_told_it() {
    assert!(
        written(&request("POST", &[("content-length", "0")]), Length::None).contains("content-length: 0\r\n")
    );
    assert!(!written(&request("GET", &[]), Length::None).contains("content-length"));
}

fn head_of(text: &str) -> Result<Option<Head>, StatusCode> {
    read(&mut BytesMut::from(text), 0, 1 << 16)
}

#[test]
fn a_head_is_found_wherever_the_bytes_are_cut() {
    let text = "POST /a?b HTTP/1.1\r\nHost: a\r\nCookie: x\r\nX-Empty:\r\nContent-Length: 3\r\n\r\n";
    for cut in 0..text.len() {
        let mut input = BytesMut::from(&text[..cut]);
        assert!(read(&mut input, 0, 1 << 16).unwrap().is_none(), "{cut}");
        let new = input.len();
        input.extend_from_slice(&text.as_bytes()[cut..]);
        input.extend_from_slice(b"abc");
        let Head { parts, body, keeps, expects, .. } = read(&mut input, new, 1 << 16).unwrap().unwrap();
        assert_eq!((&parts.method, parts.uri.to_string()), (&Method::POST, "/a?b".to_owned()));
        assert_eq!(
            (&parts.headers["host"], &parts.headers["x-empty"]),
            (&"a".parse().unwrap(), &"".parse().unwrap())
        );
        assert_eq!(
            (body.size_hint().exact(), keeps, expects, &input[..]),
            (Some(3), Keeps::Open, false, &b"abc"[..])
        );
    }
}

#[test]
fn a_body_is_told_in_one_way_or_refused() {
    let body = |version: &str, fields: &str| {
        head_of(&format!("POST / HTTP/{version}\r\n{fields}\r\n"))
            .map(|head| format!("{:?}", head.unwrap().body))
    };
    let told = |decoder: Decoder| Ok(format!("{decoder:?}"));
    assert_eq!(body("1.1", ""), told(Decoder::none()));
    assert_eq!(body("1.1", "Content-Length: 0\r\n"), told(Decoder::none()));
    assert_eq!(body("1.0", "Content-Length: 7\r\n"), told(Decoder::sized(7)));
    assert_eq!(body("1.1", "Transfer-Encoding: Chunked\r\n"), told(Decoder::chunked()));
    for (version, fields) in [
        ("1.0", "Transfer-Encoding: chunked\r\n"),
        ("1.1", "Transfer-Encoding: gzip\r\n"),
        ("1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("1.1", "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"),
        ("1.1", "Content-Length: 1\r\nContent-Length: 2\r\n"),
        ("1.1", "Content-Length: x\r\n"),
    ] {
        assert_eq!(body(version, fields), Err(StatusCode::BAD_REQUEST), "{version} {fields:?}");
    }
}

#[test]
fn a_connection_is_kept_as_the_client_and_its_version_want() {
    for (version, connection, keeps) in [
        ("1.1", "", Keeps::Open),
        ("1.1", "Connection: foo, Close\r\n", Keeps::Closes),
        ("1.0", "", Keeps::Closes),
        ("1.0", "Connection: Keep-Alive\r\n", Keeps::Open),
    ] {
        let head = head_of(&format!("GET / HTTP/{version}\r\n{connection}\r\n")).unwrap().unwrap();
        assert_eq!(head.keeps, keeps, "{version} {connection:?}");
    }
}

#[test]
fn a_body_is_asked_for_where_the_client_waits_for_that() {
    let expects = |version: &str| {
        let text = format!("POST / HTTP/{version}\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
        head_of(&text).unwrap().unwrap().expects
    };
    assert_eq!((expects("1.1"), expects("1.0")), (true, false));
}

#[test]
fn what_is_no_head_is_refused() {
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(FIELDS + 1));
    let long = format!("GET / HTTP/1.1\r\nA: {}\r\n", "x".repeat(1 << 16));
    for (text, status) in [
        ("GET / HTTP/2\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("G T / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nA : b\r\n\r\n", 400),
        (&many, 431),
        (&long, 431),
    ] {
        assert_eq!(head_of(text).unwrap_err().as_u16(), status, "{text:.40}");
    }
}
