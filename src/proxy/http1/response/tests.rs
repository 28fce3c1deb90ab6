//! What is made of what endpoints answer, and what is written for clients.

use proptest::prelude::*;

use super::*;
use crate::proxy::http::strip_response;

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
        let mut head = read(&mut input, new, &Method::GET).unwrap().unwrap();
        let cookies: Vec<_> = head.received.headers_mut().get_all("set-cookie").iter().cloned().collect();
        assert_eq!((head.received.status.as_u16(), cookies.len(), &input[..]), (204, 2, &b"rest"[..]));
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
    assert_eq!(told("transfer-encoding:  CHUNKED \r\nTrailer: x\r\n"), (chunked.clone(), Keeps::Open));
    assert_eq!(told("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), (chunked, Keeps::Closes));
    assert_eq!(told(""), (until_close, Keeps::Closes));
    for bad in
        ["Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: +5\r\n", "Content-Length: \r\n"]
    {
        assert!(framing_of(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn nothing_but_chunks_may_be_between_an_endpoint_and_us() {
    for codings in [
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "xchunked",
        "chunked, identity",
        "identity",
        "chunked, chunked",
        "chunked;x=y",
        "chunked\r\nTransfer-Encoding: chunked",
        "gzip\r\nTransfer-Encoding: chunked",
        "",
    ] {
        let reason = framing_of(&format!("Transfer-Encoding: {codings}\r\n")).unwrap_err();
        assert_eq!(reason, "its Transfer-Encoding is not just chunked", "{codings:?}");
        // Where there is no body, nothing of it is coded.
        let text = format!("HTTP/1.1 304 x\r\nTransfer-Encoding: {codings}\r\n\r\n");
        assert!(read_all(&text, &Method::GET).unwrap().unwrap().body.is_done(), "{codings:?}");
    }
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(read_all(old, &Method::GET).is_err(), "there are no chunks in HTTP/1.0");
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

fn answered(
    status: u16,
    fields: &[(&'static str, &'static str)],
    asked: Asked,
    length: Length,
) -> (String, bool, Keeps) {
    let fields = fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let headers: HeaderMap = fields.collect();
    let mut out = Vec::new();
    let status = StatusCode::from_u16(status).unwrap();
    let (encoder, keeps) = write(&mut Received::new(status, headers), asked, length, b"today", &mut out);
    (String::from_utf8(out).unwrap(), encoder.is_some(), keeps)
}

const ASKED: Asked = Asked { version: Version::HTTP_11, is_head: false, keeps: Keeps::Open };

#[test]
fn an_answer_tells_its_own_framing_whatever_the_fields_say() {
    let fields = [("content-length", "7"), ("transfer-encoding", "gzip"), ("x-a", "b")];
    for (length, told, has_body) in [
        (Length::None, "content-length: 0\r\n", false),
        (Length::Known(5), "content-length: 5\r\n", true),
        (Length::Unknown, "transfer-encoding: chunked\r\n", true),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nx-a: b\r\n{told}date: today\r\n\r\n");
        assert_eq!(answered(200, &fields, ASKED, length), (head, has_body, Keeps::Open));
    }
}

#[test]
fn an_old_client_gets_no_chunks_and_is_told_that_it_may_stay() {
    let old = Asked { version: Version::HTTP_10, ..ASKED };
    let (head, has_body, keeps) = answered(200, &[], old, Length::Unknown);
    assert_eq!((has_body, keeps), (true, Keeps::Closes));
    assert!(!head.contains("chunked") && head.contains("connection: close\r\n"), "{head}");
    let (head, _, keeps) = answered(200, &[], old, Length::Known(1));
    assert_eq!(keeps, Keeps::Open);
    assert!(head.contains("connection: keep-alive\r\n"), "{head}");
}

#[test]
fn what_has_no_body_tells_of_the_one_that_it_would_have() {
    let head = Asked { is_head: true, ..ASKED };
    for (status, fields, asked, length, told) in [
        (200, &[("content-length", "9")][..], head, Length::None, "content-length: 9\r\n"),
        (200, &[], head, Length::Known(4), "content-length: 4\r\n"),
        (200, &[], head, Length::None, ""),
        (304, &[("content-length", "9")], ASKED, Length::None, "content-length: 9\r\n"),
        (304, &[], ASKED, Length::None, ""),
        (204, &[("content-length", "9")], ASKED, Length::None, ""),
    ] {
        let (text, has_body, keeps) = answered(status, fields, asked, length);
        let (_, rest) = text.split_once("\r\n").unwrap();
        assert_eq!(rest, format!("{told}date: today\r\n\r\n"), "{status}");
        assert_eq!((has_body, keeps), (false, Keeps::Open), "{status}");
    }
}

#[test]
fn the_end_of_a_connection_is_told_once() {
    for (fields, keeps) in [
        (&[("connection", "close")][..], Keeps::Open),
        (&[], Keeps::Closes),
        (&[("connection", "close")], Keeps::Closes),
    ] {
        let (head, _, kept) = answered(200, fields, Asked { keeps, ..ASKED }, Length::None);
        assert_eq!((head.matches("connection: close\r\n").count(), kept), (1, Keeps::Closes), "{head}");
    }
}

#[test]
fn a_date_of_the_backend_stays() {
    let (head, ..) = answered(200, &[("date", "yesterday")], ASKED, Length::None);
    assert_eq!(head.matches("date: ").count(), 1);
    assert!(head.contains("date: yesterday"));
}

#[test]
fn a_switch_keeps_what_it_switches_to_and_is_the_last_answer() {
    let fields = [("connection", "upgrade"), ("upgrade", "websocket")];
    let (head, has_body, keeps) = answered(101, &fields, ASKED, Length::None);
    assert_eq!((has_body, keeps), (false, Keeps::Closes));
    assert_eq!(head, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
}

/// What endpoints say, plain and not.
const SAID: [&str; 28] = [
    "Content-Type: text/html; charset=utf-8",
    "Server: nginx/1.25",
    "Date: Sat, 21 Nov 2026 22:45:17 GMT",
    "Set-Cookie: a=b; Path=/",
    "Set-Cookie: c=d",
    "X-Empty:",
    "X-Obs: \u{e9}t\u{e9}",
    "ETag:   \"spaces\"  ",
    "Content-Length: 5",
    "content-length: 05",
    "Content-Length: 5, 5",
    "Content-Length: +5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: Chunked",
    "Transfer-Encoding: gzip, chunked",
    "Connection: keep-alive",
    "Connection: Close",
    "Connection: x-own, keep-alive",
    "X-Own: 1",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: close",
    "Upgrade: h2c",
    "Trailer: x-sum",
    "TE: trailers",
    "WWW-Authenticate: NTLM",
    "Proxy-Authenticate: Basic",
    "Portolan-Reason: forged",
    "Vary: accept",
];

/// What a client gets of a head: status line, lines in their order by name, and whether the connection is kept.
fn passed_on(head: &mut Head, asked: Asked) -> (Vec<String>, Keeps, Option<u64>) {
    let mut out = Vec::new();
    let length = match head.body.size_hint().exact() {
        Some(0) => Length::None,
        Some(bytes) => Length::Known(bytes),
        None => Length::Unknown,
    };
    let told = head.received.fields.length();
    let (_, keeps) = write(&mut head.received, asked, length, b"today", &mut out);
    let text = String::from_utf8_lossy(&out).into_owned();
    let mut lines: Vec<String> = text
        .split("\r\n")
        .map(|line| match line.split_once(": ") {
            Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
            None => line.to_owned(),
        })
        .collect();
    // The same name in its order, whatever stands between.
    lines.sort_by_key(|line| line.split(':').next().unwrap_or_default().to_owned());
    (lines, keeps, told)
}

proptest! {
    #[test]
    fn lines_and_fields_one_by_one_come_to_the_same(
        said in proptest::collection::vec(proptest::sample::select(&SAID[..]), 0..8),
        line in proptest::sample::select(&["HTTP/1.1 200 OK", "HTTP/1.0 404 Gone", "HTTP/1.1 304 x", "HTTP/1.1 204"][..]),
        is_head in any::<bool>(),
        is_old in any::<bool>(),
    ) {
        let text = [&[line][..], &said[..], &["", ""][..]].concat().join("\r\n");
        let method = if is_head { Method::HEAD } else { Method::GET };
        let version = if is_old { Version::HTTP_10 } else { Version::HTTP_11 };
        let asked = Asked { version, is_head, keeps: Keeps::Open };
        let (Ok(Some(mut lines)), Ok(Some(mut fields))) = (read_all(&text, &method), read_all(&text, &method)) else {
            return Ok(());
        };
        // As if a filter had looked at them, and as without the short cut.
        strip_response(fields.received.headers_mut());
        if lines.received.fields.lines().is_none() {
            strip_response(lines.received.headers_mut());
        }
        prop_assert_eq!(passed_on(&mut lines, asked), passed_on(&mut fields, asked), "{:?}", text);
        for hidden in ["Upgrade", "Proxy-Connection", "Portolan-Reason", "Keep-Alive"] {
            prop_assert!(!fields.received.headers_mut().contains_key(hidden), "{:?}", text);
        }
    }
}

/// The rule that decides between the two ways, by what must not be overlooked.
#[test]
fn only_what_says_nothing_else_of_the_connection_goes_on_as_lines() {
    let is_plain = |fields: &str| {
        let text = format!("HTTP/1.1 200 OK\r\nServer: x\r\n{fields}\r\n");
        read_all(&text, &Method::GET).unwrap().unwrap().received.fields.lines().is_some()
    };
    for plain in [
        "",
        "Content-Length: 5\r\nDate: x\r\n",
        "transfer-encoding: CHUNKED\r\n",
        "connection: Keep-Alive\r\nKeep-Alive: timeout=5\r\n",
        "Connection: close\r\n",
    ] {
        assert!(is_plain(plain), "{plain:?}");
    }
    for other in [
        "Connection: x-secret, keep-alive\r\nX-Secret: 1\r\n",
        "Connection: keep-alive\r\nConnection: x-secret\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Upgrade: websocket\r\n",
        "Trailer: x\r\n",
        "WWW-Authenticate: Negotiate\r\n",
        "Proxy-Authenticate: NTLM\r\n",
        "Portolan-Reason: forged\r\n",
        "TE: x\r\n",
    ] {
        assert!(!is_plain(other), "{other:?}");
    }
}
