//! A client that takes all it can get, where there are few files to be had: others are served, and Portolan keeps its own.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
};

use tokio::{net::TcpSocket, runtime::Builder};

use super::{TO_A, World};
use crate::support::{manifest, wait};

/// Few, but more than Portolan needs for itself and a few clients.
const FILES: u32 = 300;

/// Connections from an address that the others do not have. Some may be closed at once.
fn connect(proxy: SocketAddr, number: usize) -> Vec<TcpStream> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut all = Vec::new();
        for _ in 0..number {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((Ipv4Addr::new(127, 0, 2, 1), 0).into()).unwrap();
            if let Ok(stream) = socket.connect(proxy).await {
                let stream = stream.into_std().unwrap();
                stream.set_nonblocking(false).unwrap();
                all.push(stream);
            }
        }
        all
    })
}

/// A hundred requests for `slow.test` over HTTP/2.
fn hundred() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let head = [&[0x82, 0x86, 0x84, 0x41, 9][..], b"slow.test"].concat();
    for stream in (1..200_u8).step_by(2) {
        bytes.extend([0, 0, u8::try_from(head.len()).unwrap(), 1, 5, 0, 0, 0, stream]);
        bytes.extend(&head);
    }
    bytes
}

fn open_files(world: &World) -> usize {
    fs::read_dir(format!("/proc/{}/fd", world.portolan.process.id())).unwrap().count()
}

fn others_are_served(world: &World) {
    for _ in 0..20 {
        world.portolan.reaches("shop.test", "/", "a");
        let ready = world.portolan.admin("/readyz").expect("an answer of the admin API");
        assert_eq!(ready.status, 200, "{ready}");
        assert!(open_files(world) < FILES as usize, "{}", open_files(world));
    }
}

fn counted(world: &World, limit: &str) {
    let series = format!(r#"portolan_limits_reached_total{{limit="{limit}"}}"#);
    wait::eventually(wait::SOON, "the limit is counted", || {
        wait::check(
            world.portolan.metric(&series),
            |count| *count >= Some(1.0),
            |count| format!("{limit}: {count:?}"),
        )
    });
}

#[test]
fn a_client_that_opens_all_it_can_leaves_others_and_portolan_theirs() {
    let world = World::with(TO_A, |builder| builder.files(FILES));
    // It takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = manifest::backend("silent", silent.local_addr().unwrap());
    world.documents.write("slow.yaml", &(slow + &manifest::simple("slow", "slow.test", "silent")));
    world.portolan.says("none.test", "/", 404);
    wait::eventually(wait::SOON, "the route of the silent backend is there", || {
        let routes = world.portolan.client(&["get", "routes"])?;
        wait::check(routes, |routes| routes.contains("slow"), String::clone)
    });
    assert!(world.portolan.log().contains("LimitNOFILE"), "{}", world.portolan.log());

    let mut greedy = connect(world.portolan.http, 10);
    for stream in &mut greedy {
        // It may be closed.
        let _ = stream.write_all(&hundred());
    }
    counted(&world, "endpoint_connections_per_client");
    others_are_served(&world);
    let idle = connect(world.portolan.http, 400);
    counted(&world, "connections_per_client");
    others_are_served(&world);
    let more = manifest::backend("b", world.a.address) + &manifest::simple("more", "more.test", "b");
    world.documents.write("more.yaml", &more);
    world.portolan.says("more.test", "/", 200);
    drop((greedy, idle));
}
