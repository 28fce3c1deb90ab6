//! The rules of the protocol, on the wire.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
};

use super::{TO_A, World};
use crate::support::{http, wait};

#[test]
fn forwarded_headers_come_from_the_proxy() {
    let lies = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\n\
                X-Forwarded-Port: 1\r\nX-Forwarded-Server: evil\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n";
    let request =
        format!("GET / HTTP/1.1\r\nHost: shop.test:8080\r\n{lies}Connection: close, X-Forwarded-For\r\n\r\n");
    let world = World::new(TO_A);
    let answer = http::ask(world.portolan.http, &request).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    let client = answer.received("x-forwarded-for");
    assert!(client.len() == 1 && client[0].starts_with("127."), "{client:?}");
    assert_eq!(answer.received("x-forwarded-proto"), ["http"]);
    assert_eq!(answer.received("x-forwarded-host"), ["shop.test:8080"]);
    assert_eq!(answer.received("x-forwarded-port"), ["8080"]);
    assert!(!answer.text().contains("6.6.6.6") && !answer.text().contains("evil"), "{answer}");

    let world = World::with(TO_A, |builder| builder.arguments(["--trusted-proxies", "127.0.0.0/8"]));
    let answer = http::ask(world.portolan.http, &request).unwrap();
    let chain = answer.received("x-forwarded-for").join(", ");
    assert!(chain.starts_with("6.6.6.6, 127."), "{chain}");
    assert_eq!(answer.received("x-forwarded-proto"), ["https"]);
    assert_eq!(answer.received("x-forwarded-host"), ["evil.test"]);
}

#[test]
fn a_request_id_is_made_and_passed_on_and_a_given_one_is_kept() {
    let world = World::new(TO_A);
    let made = world.portolan.get("shop.test", "/").unwrap();
    let id = made.received("x-request-id");
    assert!(id.len() == 1 && id[0].len() >= 16, "{id:?}");
    let other = world.portolan.get("shop.test", "/").unwrap().received("x-request-id");
    assert_ne!(id, other);
}

#[test]
fn what_belongs_to_one_connection_stays_on_it() {
    let world = World::new(TO_A);
    let answer = http::ask(
        world.portolan.http,
        "GET /respond?header=Keep-Alive:timeout=5&header=Proxy-Authenticate:x&header=X-Kept:1 HTTP/1.1\r\nHost: shop.test\r\n\
         Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\nProxy-Connection: keep-alive\r\nX-Kept: 1\r\n\r\n",
    )
    .unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    for name in ["x-mine", "keep-alive", "te", "proxy-connection", "connection", "upgrade"] {
        assert!(answer.received(name).is_empty(), "{name} reached the backend: {answer}");
    }
    assert_eq!((answer.received("x-kept").len(), answer.header("x-kept")), (1, Some("1")));
    assert_eq!(answer.header("keep-alive"), None, "{answer}");
}

#[test]
fn a_connection_is_used_again_on_both_sides() {
    let world = World::with(TO_A, |builder| builder.arguments(["--workers", "1"]));
    let mut connection = world.portolan.connect();
    let mut backends = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let answer = connection.get("shop.test", "/").unwrap();
        backends.insert(answer.json()["connection"].to_string());
    }
    assert_eq!(backends.len(), 1, "connections to the backend: {backends:?}");
}

#[test]
fn expect_continue_is_answered_before_the_body_is_sent() {
    let world = World::new(TO_A);
    let mut connection = world.portolan.connect();
    connection
        .send("POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .unwrap();
    let line = connection.line().unwrap();
    assert!(line.starts_with("HTTP/1.1 100"), "{line}");
    while !connection.line().unwrap().is_empty() {}
    connection.send("hello").unwrap();
    let answer = connection.response("POST").unwrap();
    assert_eq!((answer.status, &answer.json()["body_bytes"]), (200, &5.into()), "{answer}");
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let world = World::new(TO_A);
    let mut connection = world.portolan.connect();
    let head = connection.ask("HEAD / HTTP/1.1\r\nHost: shop.test\r\n\r\n").unwrap();
    let length = head.header("content-length").map(str::to_owned);
    assert!(head.status == 200 && length.is_some_and(|length| length != "0"), "{head}");
    let missing = connection.ask("HEAD / HTTP/1.1\r\nHost: other.test\r\n\r\n").unwrap();
    assert_eq!(missing.status, 404);
    // The connection is still in step: no body of either came.
    assert_eq!(connection.get("shop.test", "/").unwrap().status, 200);
}

#[test]
fn bodiless_and_odd_statuses_keep_the_connection_in_step() {
    let world = World::new(TO_A);
    let mut connection = world.portolan.connect();
    for status in [204, 304, 200, 418, 503, 599] {
        let answer = connection.get("shop.test", &format!("/status/{status}")).unwrap();
        assert_eq!((answer.status, answer.backend()), (status, Some("a")), "{answer}");
    }
    let early = connection.get("shop.test", "/interim").unwrap();
    assert_eq!(early.status, 200, "{early}");
    let chunked = connection.get("shop.test", "/bytes?n=100000&chunked=1").unwrap();
    assert_eq!(chunked.body.len(), 100_000);
}

/// Bytes that show when any is lost, doubled or moved.
fn pattern(from: usize, buffer: &mut [u8]) {
    for (index, byte) in buffer.iter_mut().enumerate() {
        let at = from + index;
        *byte = (at ^ (at >> 8) ^ (at >> 17)).to_le_bytes()[0];
    }
}

#[test]
fn large_bodies_pass_byte_for_byte_in_little_memory() {
    const SIZE: usize = 64 << 20;
    const PIECE: usize = 1 << 16;
    let world = World::new(TO_A);
    world.portolan.reaches("shop.test", "/", "a");
    let before = world.portolan.memory("VmHWM");
    let mut stream = TcpStream::connect(world.portolan.http).unwrap();
    stream.set_read_timeout(Some(wait::SOON)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let upload = thread::spawn(move || {
        let head = format!(
            "POST /echo HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {SIZE}\r\nConnection: close\r\n\r\n"
        );
        writer.write_all(head.as_bytes()).unwrap();
        let mut piece = vec![0; PIECE];
        for from in (0..SIZE).step_by(PIECE) {
            pattern(from, &mut piece);
            writer.write_all(&piece).unwrap();
        }
    });
    let (mut body, head) = body(&mut stream);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut expected = vec![0; PIECE];
    let mut got = 0;
    let mut piece = vec![0; PIECE];
    loop {
        let length = body.read(&mut piece).unwrap();
        if length == 0 {
            break;
        }
        pattern(got, &mut expected[..length]);
        assert!(piece[..length] == expected[..length], "other bytes after {got}");
        got += length;
    }
    upload.join().unwrap();
    assert_eq!(got, SIZE);
    let grown = world.portolan.memory("VmHWM").saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB more memory for a body of 64 MiB");
}

/// The decoded body and the head of an answer.
fn body(stream: &mut TcpStream) -> (Box<dyn std::io::Read + '_>, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return (Box::new(Chunks { input: std::io::BufReader::new(stream), left: 0, first: true }), head);
    }
    (Box::new(stream), head)
}

struct Chunks<R> {
    input: std::io::BufReader<R>,
    left: usize,
    first: bool,
}

impl<R: std::io::Read> std::io::Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        use std::io::BufRead as _;
        if self.left == 0 {
            let mut line = String::new();
            if !std::mem::take(&mut self.first) {
                self.input.read_line(&mut line)?;
                line.clear();
            }
            self.input.read_line(&mut line)?;
            self.left = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let most = self.left.min(buffer.len());
        let length = self.input.read(&mut buffer[..most])?;
        self.left -= length;
        Ok(length)
    }
}

#[test]
fn a_request_that_two_parsers_could_read_differently_is_refused() {
    let world = World::new(TO_A);
    for request in [
        "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "GET / HTTP/1.1\r\nHost: shop.test\r\nHost: other.test\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : shop.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: shop.test\r\nA: b\r\n c\r\n\r\n",
        "GET http://other.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "GET /a%00b HTTP/1.1\r\nHost: shop.test\r\n\r\n",
    ] {
        let mut connection = world.portolan.connect();
        let answer = connection.ask(request).unwrap();
        assert_eq!(answer.status, 400, "{request:?}: {answer}");
        assert!(connection.rest().unwrap().is_empty(), "the connection is closed after {request:?}");
    }
    assert_eq!(world.a.count(), 0);
}
