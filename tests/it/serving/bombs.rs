//! Clients of HTTP/2 that mean harm: what they cost the whole program.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::{TO_A, World};
use crate::support::wait;

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const WHOLE: u8 = 5;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// `GET /count` of `shop.test`, which has a short answer.
fn head() -> Vec<u8> {
    [&[0x82, 0x86, 0x04, 6][..], b"/count", &[0x41, 9], b"shop.test"].concat()
}

/// The same with one long field, and that field again and again, for a byte each.
fn bomb(references: usize) -> Vec<u8> {
    let value = vec![b'y'; 3000];
    // 3000 as an integer of seven bits (section 5.1): 127 + 57 + 22 * 128.
    let length = [127, 0b1011_1001, 22];
    [&*head(), &[0x40, 1, b'x'], &length, &value, &vec![0xbe; references]].concat()
}

/// A connection that gives no room for answers.
fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).unwrap();
    stream
}

/// Ten clients do it; memory stays bounded, and others are served.
fn survives(world: &World, what: &str, attack: impl Fn(&mut TcpStream)) {
    world.portolan.reaches("shop.test", "/", "a");
    let before = world.portolan.memory("VmRSS");
    let mut clients: Vec<TcpStream> = (0..10).map(|_| connect(world.portolan.http)).collect();
    for client in &mut clients {
        attack(client);
        let begun = wait::now();
        assert_eq!(world.portolan.get("shop.test", "/").unwrap().status, 200);
        assert!(begun.elapsed() < Duration::from_secs(1), "{what}: {:?}", begun.elapsed());
    }
    let after = world.portolan.memory("VmRSS");
    assert!(after < before + (50 << 10), "{what}: {before} kB, then {after} kB");
    for client in &mut clients {
        // It was told something, or hung up on.
        let _ = client.read(&mut [0; 1024]);
    }
}

#[test]
fn few_clients_with_short_frames_cost_little_memory() {
    let world = World::new(TO_A);
    survives(&world, "heads that unfold to much more than is allowed", |client| {
        for stream in 0..100 {
            // It may be hung up on at any time.
            let _ = client.write_all(&frame(HEADERS, WHOLE, stream * 2 + 1, &bomb(12_000)));
        }
    });
    survives(&world, "heads that unfold to what is just allowed", |client| {
        for stream in 0..100 {
            let _ = client.write_all(&frame(HEADERS, WHOLE, stream * 2 + 1, &bomb(18)));
        }
    });
    survives(&world, "requests that are reset at once", |client| {
        let one = |stream: u32| {
            [frame(HEADERS, WHOLE, stream, &head()), frame(RESET, 0, stream, &[0, 0, 0, 8])].concat()
        };
        for batch in 0..50 {
            let many: Vec<u8> = (0..100).flat_map(|index| one((batch * 100 + index) * 2 + 1)).collect();
            if client.write_all(&many).is_err() {
                break;
            }
        }
    });
    world.portolan.reaches("shop.test", "/", "a");
}
