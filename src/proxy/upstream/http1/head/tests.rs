//! What is written, and what is made of what comes.

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
    write(request, length, &mut out);
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

fn read_all(text: &str, asked: &Method) -> Result<Option<Head>, &'static str> {
    read(&mut BytesMut::from(text), 0, asked)
}

fn framing_of(fields: &str) -> Result<(String, Keeps), &'static str> {
    let head = read_all(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), &Method::GET)?.unwrap();
    Ok((format!("{:?}", head.body), head.keeps))
}

#[test]
fn a_head_is_found_wherever_the_bytes_are_cut() {
    let text = "HTTP/1.1 204 No Content\r\nServer: x\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n";
    for cut in 0..text.len() {
        let mut input = BytesMut::from(&text[..cut]);
        assert!(read(&mut input, 0, &Method::GET).unwrap().is_none(), "{cut}");
        let new = input.len();
        input.extend_from_slice(&text.as_bytes()[cut..]);
        input.extend_from_slice(b"rest");
        let head = read(&mut input, new, &Method::GET).unwrap().unwrap();
        let cookies: Vec<_> = head.response.headers().get_all("set-cookie").iter().collect();
        assert_eq!((head.response.status().as_u16(), cookies.len(), &input[..]), (204, 2, &b"rest"[..]));
    }
}

#[test]
fn the_length_of_a_body_is_where_the_standard_says() {
    let told = |fields| framing_of(fields).unwrap();
    let chunked = format!("{:?}", Decoder::chunked());
    let until_close = format!("{:?}", Decoder::until_close());
    assert_eq!(told("Content-Length: 5\r\n"), (format!("{:?}", Decoder::sized(5)), Keeps::Open));
    assert_eq!(told("Content-Length: 5, 5\r\n").0, format!("{:?}", Decoder::sized(5)));
    assert_eq!(told("Content-Length: 0\r\n"), (format!("{:?}", Decoder::none()), Keeps::Open));
    assert_eq!(told("Transfer-Encoding: chunked\r\n"), (chunked.clone(), Keeps::Open));
    assert_eq!(told("Transfer-Encoding: gzip, Chunked\r\n"), (chunked.clone(), Keeps::Open));
    assert_eq!(told("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), (chunked, Keeps::Closes));
    assert_eq!(told("Transfer-Encoding: gzip\r\n"), (until_close.clone(), Keeps::Closes));
    assert_eq!(told(""), (until_close, Keeps::Closes));
    for bad in
        ["Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: +5\r\n", "Content-Length: \r\n"]
    {
        assert!(framing_of(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn some_answers_never_have_a_body() {
    for (line, asked) in [
        ("HTTP/1.1 200 OK", Method::HEAD),
        ("HTTP/1.1 204 No Content", Method::GET),
        ("HTTP/1.1 304 Not Modified", Method::GET),
    ] {
        let head = read_all(&format!("{line}\r\nContent-Length: 9\r\n\r\n"), &asked).unwrap().unwrap();
        assert!(head.body.is_done(), "{line}");
        assert_eq!(head.keeps, Keeps::Open);
    }
}

#[test]
fn a_connection_is_kept_where_both_versions_say_so() {
    for (version, connection, keeps) in [
        ("1.1", "", Keeps::Open),
        ("1.1", "Connection: foo, Close\r\n", Keeps::Closes),
        ("1.0", "", Keeps::Closes),
        ("1.0", "Connection: Keep-Alive\r\n", Keeps::Open),
        ("1.0", "Connection: keep-alive, close\r\n", Keeps::Closes),
    ] {
        let text = format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{connection}\r\n");
        assert_eq!(read_all(&text, &Method::GET).unwrap().unwrap().keeps, keeps, "{text:?}");
    }
}

#[test]
fn what_is_no_head_is_refused_in_words() {
    let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n", "x".repeat(BYTES));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(FIELDS + 1));
    for (text, reason) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "its version is not HTTP/1"),
        ("HTTP/2 200 OK\r\n\r\n", "its version is not HTTP/1"),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "its head cannot be read"),
        (&long, "its head is too long"),
        (&many, "its head has too many fields"),
    ] {
        assert_eq!(read_all(text, &Method::GET).unwrap_err(), reason, "{text:.40}");
    }
}
