//! Connections that live through changes, and the end of the program.

use std::time::Duration;

use super::{TO_A, World};
use crate::support::{
    backend::Backend,
    http::{self, Connection},
    manifest, wait,
};

/// A short text frame of a client, its mask all zero, and the frame that the echo makes of it.
fn frames(text: &str) -> (Vec<u8>, Vec<u8>) {
    let length = u8::try_from(text.len()).unwrap();
    let sent = [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat();
    (sent, [&[0x81, length], text.as_bytes()].concat())
}

#[track_caller]
pub(crate) fn echoes(socket: &mut Connection, text: &str) {
    let (sent, expected) = frames(text);
    socket.send(sent).unwrap();
    let mut got = Vec::new();
    while got.len() < expected.len() {
        let more = socket.some().unwrap();
        assert!(!more.is_empty(), "closed after {got:?}");
        got.extend(more);
    }
    assert_eq!(got, expected);
}

pub(crate) const WEBSOCKET: &str = "GET /ws HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn a_websocket_and_an_idle_connection_live_through_every_change_of_the_table() {
    let world = World::new(TO_A);
    let mut socket = world.portolan.connect();
    let answer = socket.ask(WEBSOCKET).unwrap();
    assert_eq!(answer.status, 101, "{answer}");
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let mut idle = world.portolan.connect();
    assert_eq!(idle.get("shop.test", "/").unwrap().status, 200);
    echoes(&mut socket, "before");
    for round in 0..5 {
        let host = format!("new{round}.test");
        world.documents.write("new.yaml", &manifest::simple("new", &host, "a"));
        world.portolan.reaches(&host, "/", "a");
        echoes(&mut socket, &format!("round {round}"));
        assert_eq!(idle.get("shop.test", "/").unwrap().status, 200);
    }
    // Even when its own route goes.
    world.documents.remove("shop.yaml");
    world.portolan.says("shop.test", "/", 404);
    echoes(&mut socket, "after");
    assert_eq!(idle.get("shop.test", "/").unwrap().status, 404);
}

#[test]
fn sigterm_finishes_what_is_under_way_and_exits_0() {
    let mut world = World::new(TO_A);
    let mut slow = world.portolan.connect();
    slow.send("GET /slow?ms=2000 HTTP/1.1\r\nHost: shop.test\r\n\r\n").unwrap();
    wait::eventually(wait::SOON, "the request has begun", || {
        wait::check(world.a.count(), |count| *count == 1, u64::to_string)
    });
    world.portolan.process.signal("TERM");
    wait::eventually(wait::SOON, "`/readyz` answers 503", || {
        let answer = world.portolan.admin("/readyz").map_err(|error| error.to_string())?;
        wait::check(answer, |answer| answer.status == 503, ToString::to_string)
    });
    wait::eventually(wait::SOON, "a second connection is refused", || {
        match Connection::open(world.portolan.http) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
            other => Err(format!("{:?}", other.map(|_| "a connection"))),
        }
    });
    assert!(world.portolan.process.exited().is_none(), "it waits for the request");
    let answer = slow.response("GET").unwrap();
    assert_eq!((answer.status, answer.backend()), (200, Some("a")), "{answer}");
    assert_eq!(
        answer.header("connection").map(str::to_ascii_lowercase).as_deref(),
        Some("close"),
        "{answer}"
    );
    let status = world.portolan.process.wait(wait::SOON);
    assert_eq!(status.code(), Some(0));
    assert!(world.portolan.log().contains("stopped"), "{}", world.portolan.log());
}

#[test]
fn the_drain_delay_goes_on_taking_connections_while_not_ready() {
    let mut world = World::with(TO_A, |builder| builder.arguments(["--drain-delay", "1500ms"]));
    world.portolan.process.signal("TERM");
    wait::eventually(wait::SOON, "`/readyz` answers 503", || {
        let answer = world.portolan.admin("/readyz").map_err(|error| error.to_string())?;
        wait::check(answer, |answer| answer.status == 503, ToString::to_string)
    });
    assert_eq!(world.portolan.get("shop.test", "/").unwrap().status, 200, "still served");
    assert_eq!(world.portolan.process.wait(wait::SOON).code(), Some(0));
}

#[test]
fn the_drain_timeout_ends_what_would_never_end() {
    let mut world = World::with(TO_A, |builder| builder.arguments(["--drain-timeout", "300ms"]));
    let mut socket = world.portolan.connect();
    assert_eq!(socket.ask(WEBSOCKET).unwrap().status, 101);
    let mut hanging = world.portolan.connect();
    hanging.send("GET /hang HTTP/1.1\r\nHost: shop.test\r\n\r\n").unwrap();
    wait::eventually(wait::SOON, "the request has begun", || {
        wait::check(world.a.count(), |count| *count == 2, u64::to_string)
    });
    world.portolan.process.signal("TERM");
    assert_eq!(world.portolan.process.wait(Duration::from_secs(10)).code(), Some(0));
}

#[test]
fn no_request_fails_while_the_table_changes_all_the_time() {
    let world = World::new(TO_A);
    let other = Backend::start("b");
    let address = world.portolan.http;
    let load = std::thread::spawn(move || {
        let mut connection = Connection::open(address).unwrap();
        let mut seen = std::collections::BTreeMap::new();
        for round in 0..600 {
            let answer = if round % 10 == 0 {
                http::get(address, "shop.test", "/").unwrap()
            } else {
                connection.get("shop.test", "/").unwrap()
            };
            assert_eq!(answer.status, 200, "{answer}");
            *seen.entry(answer.backend().unwrap().to_owned()).or_insert(0) += 1;
        }
        seen
    });
    let mut round = 0;
    while !load.is_finished() {
        let target = if round % 2 == 0 { other.address } else { world.a.address };
        let text = manifest::backend("a", target) + &manifest::route("shop", "shop.test", TO_A);
        world.documents.write("shop.yaml", &text);
        let name = if round % 2 == 0 { "b" } else { "a" };
        world.portolan.reaches("shop.test", "/", name);
        round += 1;
    }
    let seen = load.join().expect("no request fails");
    assert_eq!(seen.values().sum::<i32>(), 600);
    assert!(round > 2, "{round} changes");
}
