//! Sockets that one set of workers hands to another.

use super::*;
use crate::proxy::Opened;

/// Workers for the table of `server`, on these sockets.
fn successor(opened: Opened, workers: usize, server: &Server) -> (Workers, SocketAddr, Publisher<Table>) {
    let (mut publisher, reader) = live(Table::default());
    publisher.publish(serving(&[server.address]));
    let config = Config { workers: NonZeroUsize::new(workers).unwrap(), ..config() };
    let (mut successor, _) = Workers::start(config, &reader, &Metrics::new(), None).unwrap();
    successor.adopt(opened);
    let address = *successor.open(&[asked()])[&asked()].as_ref().unwrap();
    (successor, address, publisher)
}

async fn asks(address: SocketAddr) -> u16 {
    let mut client = Client { stream: soon(TcpStream::connect(address)).await.unwrap(), read: Vec::new() };
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await;
    client.reply().await.status
}

#[tokio::test]
async fn fewer_and_more_workers_take_over_every_socket() {
    let server = Server::echo().await;
    let mut proxy = Proxy::start(
        Config { workers: NonZeroUsize::new(3).unwrap(), ..config() },
        serving(&[server.address]),
    );
    let mut workers = Vec::new();
    let mut opened = proxy.workers.lend().unwrap();
    for (number, sockets) in [(1, 3), (2, 3), (5, 5)] {
        let (mut next, address, publisher) = successor(opened, number, &server);
        assert_eq!(address, proxy.address);
        opened = next.lend().unwrap();
        assert_eq!(opened.by_address[&asked()].len(), sockets);
        workers.push((next, publisher));
    }
    drop(opened);
    soon(proxy.workers.retire()).await;
    while workers.len() > 1 {
        soon(workers.remove(0).0.retire()).await;
    }
    for _ in 0..60 {
        assert_eq!(asks(proxy.address).await, 200);
    }
    drop(workers);
}

#[tokio::test]
async fn who_is_connected_to_the_one_that_retires_is_told_by_its_next_answer() {
    let server = Server::echo().await;
    let mut proxy = Proxy::start(config(), serving(&[server.address]));
    let mut kept = proxy.connect().await;
    kept.send(get("/")).await;
    assert_eq!(kept.reply().await.status, 200);
    let mut fresh = proxy.connect().await;
    until("both are accepted", || {
        let text = proxy.metrics.render();
        let open = text.lines().filter(|line| line.starts_with("portolan_connections{"));
        open.filter_map(|line| line.rsplit(' ').next()?.parse::<u32>().ok()).sum::<u32>() == 2
    })
    .await;
    let opened = proxy.workers.lend().unwrap();
    let (next, address, _publisher) = successor(opened, 1, &server);
    let retiring = async {
        let drained = soon(proxy.workers.retire()).await;
        // It may still accept one.
        assert!(drained.finished >= 2 && drained.aborted == 0, "{drained:?}");
    };
    let clients = async {
        assert_eq!(asks(address).await, 200, "the other one accepts");
        for client in [&mut kept, &mut fresh] {
            client.send(get("/last")).await;
            let reply = client.reply().await;
            assert_eq!((reply.status, field(&reply.head, "connection")), (200, Some("close")));
            assert!(client.rest().await.is_empty());
        }
    };
    tokio::join!(retiring, clients);
    drop(next);
}

#[tokio::test]
async fn a_supervisors_socket_serves_all_workers_and_outlives_its_listener() {
    let given = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = given.local_addr().unwrap();
    let (mut publisher, reader) = live(Table::default());
    publisher.publish(Table::default());
    let config = Config { workers: NonZeroUsize::new(3).unwrap(), ..config() };
    let (mut workers, _) = Workers::start(config, &reader, &Metrics::new(), None).unwrap();
    workers.adopt(Opened { activated: vec![given], ..Opened::default() });
    assert_eq!(workers.unused(), [address]);
    for _ in 0..3 {
        // It blocks when it is opened.
        assert!(workers.open(&[address])[&address].is_ok());
        assert_eq!(workers.unused(), []);
        publisher.publish(lifecycle::listening(&[address]));
        assert_eq!(asks(address).await, 503);
        workers.close(&[address]);
        publisher.publish(Table::default());
        assert!(TcpStream::connect(address).await.is_ok(), "it is the supervisor's");
    }
}

#[tokio::test]
async fn nothing_is_opened_while_another_takes_over() {
    let mut proxy = Proxy::start(config(), Table::default());
    let lent = proxy.workers.lend().unwrap();
    let free = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    assert!(proxy.workers.open(&[free])[&free].is_err());
    drop(lent);
    proxy.workers.keep();
    assert!(proxy.workers.open(&[free])[&free].is_ok());
}
