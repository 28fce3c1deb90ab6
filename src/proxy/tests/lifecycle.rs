//! Tables change, listeners come and go, workers stop: requests under way do not notice.

use super::*;

fn empty() -> Table {
    serving(&[])
}

#[tokio::test]
async fn a_request_waits_for_an_endpoint_that_comes() {
    let server = Server::echo().await;
    let mut proxy = Proxy::start(holding(LONG), empty());
    let mut client = proxy.connect().await;
    client.send(get("/")).await;
    until("it is held", || proxy.metric("portolan_held_requests") == Some(1.0)).await;
    // Changes that do not help are waited through.
    proxy.publisher.publish(table(vec![("/", rule(backend(Vec::new()))), ("/x", rule(backend(Vec::new())))]));
    proxy.publisher.publish(serving(&[server.address]));
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(proxy.metric("portolan_held_requests"), Some(0.0));
}

#[tokio::test]
async fn an_endpoint_that_does_not_listen_yet_is_tried_again() {
    let address = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start(holding(LONG), serving(&[address]));
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok").await;
    let retries = || proxy.metric(r#"portolan_retries_total{backend="default/b"}"#);
    until("it was refused", || retries() >= Some(2.0)).await;
    let listener = TcpListener::bind(address).await.unwrap();
    let (stream, _) = soon(listener.accept()).await.unwrap();
    let mut backend = Client { stream, read: Vec::new() };
    assert!(backend.request().await.unwrap().ends_with("ok"));
    backend.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn an_endpoint_that_never_listens_is_given_up_after_a_moment() {
    let address = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    let mut config = holding(LONG);
    config.limits.unreachable_grace = Duration::from_millis(80);
    let proxy = Proxy::start(config, serving(&[address]));
    let started = tokio::time::Instant::now();
    assert_eq!(proxy.status("/").await, 502);
    assert!(started.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn an_endpoint_that_leaves_while_it_is_connected_to_is_not_waited_for() {
    // A full queue of connections: the next one hangs as if nobody had the address any more.
    let full = tokio::net::TcpSocket::new_v4().unwrap();
    full.bind(asked()).unwrap();
    let full = full.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await
    {
        queued.push(stream.unwrap());
    }
    let mut config = config();
    config.limits.connect_timeout = LONG * 2;
    let mut proxy = Proxy::start(config, serving(&[address]));
    let (mut first, mut second) = (proxy.connect().await, proxy.connect().await);
    let count =
        |proxy: &Proxy| proxy.metric(r#"portolan_connections{listener="127.0.0.1:0",state="active"}"#);
    first.send(get("/")).await;
    until("it is under way", || count(&proxy) == Some(1.0)).await;
    let server = Server::echo().await;
    proxy.publisher.publish(serving(&[server.address]));
    assert_eq!(first.reply().await.status, 200, "another endpoint takes it");
    proxy.publisher.publish(serving(&[address]));
    second.send(get("/")).await;
    until("it is under way", || count(&proxy) == Some(1.0)).await;
    proxy.publisher.publish(empty());
    assert_eq!(second.reply().await.status, 503, "there is none any more");
}

#[tokio::test]
async fn a_request_that_waits_follows_its_route() {
    let mut proxy = Proxy::start(holding(LONG), empty());
    let mut client = proxy.connect().await;
    client.send(get("/")).await;
    until("it is held", || proxy.metric("portolan_held_requests") == Some(1.0)).await;
    proxy.publisher.publish(Table::default());
    assert_eq!(client.reply().await.status, 404);
}

#[tokio::test]
async fn a_request_that_waited_in_vain_is_told_to_come_back() {
    let proxy = Proxy::start(holding(Duration::from_millis(50)), empty());
    let started = tokio::time::Instant::now();
    let reply = proxy.request(&get("/")).await;
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert_eq!((reply.status, field(&reply.head, "retry-after")), (503, Some("1")));
}

#[tokio::test]
async fn only_so_many_requests_wait() {
    let mut config = holding(LONG);
    config.limits.held = 1;
    let proxy = Proxy::start(config, empty());
    let mut first = proxy.connect().await;
    first.send(get("/")).await;
    until("it is held", || proxy.metric("portolan_held_requests") == Some(1.0)).await;
    assert_eq!(proxy.status("/").await, 503);
    drop(first);
    until("its place is free", || proxy.metric("portolan_held_requests") == Some(0.0)).await;
}

#[tokio::test]
async fn a_backend_that_is_replaced_under_load_fails_no_request() {
    let mut old = Server::echo().await;
    let mut proxy = Proxy::start(holding(LONG), serving(&[old.address]));
    let mut client = proxy.connect().await;
    for _ in 0..20 {
        client.send(get("/")).await;
        assert_eq!(client.reply().await.status, 200);
        let new = Server::echo().await;
        // The old one dies first; the word of it comes later.
        old = new;
        client.send(get("/")).await;
        proxy.publisher.publish(serving(&[old.address]));
        assert_eq!(client.reply().await.status, 200);
    }
}

#[tokio::test]
async fn a_connection_to_an_endpoint_that_left_the_table_is_closed() {
    let (sender, mut closed) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut client, _, _| {
        let sender = sender.clone();
        async move {
            client.head().await;
            client.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            client.rest().await;
            sender.send(()).unwrap();
        }
    })
    .await;
    let mut proxy = Proxy::start(config(), serving(&[server.address]));
    assert_eq!(proxy.status("/").await, 200);
    proxy.publisher.publish(empty());
    soon(closed.recv()).await.unwrap();
}

#[tokio::test]
async fn a_kept_connection_sees_the_new_table() {
    let (one, two) = (Server::echo().await, Server::echo().await);
    let mut proxy = Proxy::start(config(), serving(&[one.address]));
    let mut client = proxy.connect().await;
    for (server, count) in [(&one, 1), (&two, 1), (&one, 2)] {
        proxy.publisher.publish(serving(&[server.address]));
        client.send(get("/")).await;
        assert_eq!(client.reply().await.status, 200);
        assert_eq!(server.heard().len(), count);
    }
}

#[tokio::test]
async fn an_address_is_opened_once_and_an_address_in_use_is_reported() {
    let mut proxy = Proxy::start(config(), Table::default());
    let again = proxy.workers.open(&[asked()]);
    assert_eq!(*again[&asked()].as_ref().unwrap(), proxy.address);
    let taken = TcpListener::bind(asked()).await.unwrap();
    let address = taken.local_addr().unwrap();
    let result = proxy.workers.open(&[address]);
    assert_eq!(result[&address].as_ref().unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    // Even another process of the same user that shares its ports is in the way.
    let rival = Workers::start(config(), &live(Table::default()).1, &Metrics::new(), None);
    let result = rival.unwrap().0.open(&[proxy.address]);
    assert_eq!(result[&proxy.address].as_ref().unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    drop(taken);
    assert!(proxy.workers.open(&[address])[&address].is_ok());
}

#[tokio::test]
async fn both_families_can_be_open_on_one_port() {
    let mut proxy = Proxy::start(config(), Table::default());
    let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let port = proxy.workers.open(&[any])[&any].as_ref().unwrap().port();
    let six = SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), port);
    assert!(proxy.workers.open(&[six])[&six].is_ok());
    // Who comes before the table knows the addresses is not told that nothing is here.
    let mut early =
        Client { stream: TcpStream::connect(("127.0.0.1", port)).await.unwrap(), read: Vec::new() };
    early.send(get("/")).await;
    proxy.publisher.publish(listening(&[any, six]));
    assert_eq!(early.reply().await.status, 503);
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        if let Ok(stream) = TcpStream::connect(&address).await {
            let mut client = Client { stream, read: Vec::new() };
            client.send(get("/")).await;
            assert_eq!(client.reply().await.status, 503, "{address}");
        }
    }
}

/// A listener on these addresses, whose one route has no endpoint.
pub(super) fn listening(addresses: &[SocketAddr]) -> Table {
    let matches = [prefix_match("/")];
    table_on(addresses.to_vec(), vec![(&matches, Arc::new(rule(backend(Vec::new()))))])
}

#[tokio::test]
async fn a_closed_listener_takes_no_more_and_finishes_what_it_has() {
    let server = Server::start(|mut client, heard, _| async move {
        let head = client.head().await;
        heard.lock().unwrap().push(head);
        client.bytes(2).await;
        client.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        client.rest().await;
    })
    .await;
    let mut proxy = Proxy::start(config(), serving(&[server.address]));
    let mut busy = proxy.connect().await;
    busy.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n").await;
    until("the backend was asked", || server.heard().len() == 1).await;
    let mut idle = proxy.connect().await;
    proxy.workers.close(&[asked()]);
    assert!(idle.rest().await.is_empty());
    busy.send("ok").await;
    let reply = busy.reply().await;
    assert_eq!((reply.status, field(&reply.head, "connection")), (200, Some("close")));
    assert!(busy.rest().await.is_empty());
    assert!(TcpStream::connect(proxy.address).await.is_err());
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_closes_idle_connections() {
    let server = Server::start(|mut client, heard, _| async move {
        let head = client.head().await;
        heard.lock().unwrap().push(head);
        client.bytes(2).await;
        client.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        client.rest().await;
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let (mut idle, mut busy) = (proxy.connect().await, proxy.connect().await);
    idle.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(idle.reply().await.status, 204);
    busy.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n").await;
    until("the backend was asked", || server.heard().len() == 1).await;
    let address = proxy.address;
    let (drained, ()) = tokio::join!(soon(proxy.workers.drain()), async {
        assert!(idle.rest().await.is_empty());
        assert!(TcpStream::connect(address).await.is_err());
        busy.send("ok").await;
        let reply = busy.reply().await;
        assert_eq!((reply.status, field(&reply.head, "connection")), (200, Some("close")));
    });
    assert_eq!((drained.finished, drained.aborted), (2, 0));
}

#[tokio::test]
async fn a_drain_aborts_what_does_not_end_in_time() {
    let server = Server::start(|mut client, heard, _| async move {
        let head = client.head().await;
        heard.lock().unwrap().push(head);
        client.rest().await;
    })
    .await;
    let config = Config { drain_timeout: Duration::from_millis(50), ..config() };
    let proxy = Proxy::start(config, serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(get("/")).await;
    until("the backend was asked", || server.heard().len() == 1).await;
    let drained = soon(proxy.workers.drain()).await;
    assert_eq!((drained.finished, drained.aborted), (0, 1));
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn several_workers_share_an_address() {
    let server = Server::echo().await;
    let config = Config { workers: NonZeroUsize::new(3).unwrap(), ..config() };
    let proxy = Proxy::start(config, serving(&[server.address]));
    for _ in 0..30 {
        assert_eq!(proxy.status("/").await, 200);
    }
    assert_eq!(soon(proxy.workers.drain()).await.aborted, 0);
}

#[tokio::test]
async fn a_unix_socket_is_an_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backend.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let mut tasks = Tasks::new();
    tasks.spawn("backend", async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        while find(&read, b"\r\n\r\n").is_none() {
            stream.read_buf(&mut read).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix").await.unwrap();
    });
    let one = Endpoint { address: Address::Unix(path.into()), ..endpoint(asked()) };
    let proxy = Proxy::start(config(), table(vec![("/", rule(backend(vec![one])))]));
    assert_eq!(proxy.request(&get("/")).await.body, b"unix");
}

#[tokio::test]
async fn connections_are_counted_by_what_they_do() {
    let server = Server::start(|mut client, _, _| async move {
        client.rest().await;
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let count = |state: &str| {
        proxy.metric(&format!(r#"portolan_connections{{listener="127.0.0.1:0",state="{state}"}}"#))
    };
    let mut client = proxy.connect().await;
    until("it is idle", || count("idle") == Some(1.0)).await;
    client.send(get("/")).await;
    until("it is active", || count("active") == Some(1.0) && count("idle") == Some(0.0)).await;
    drop(client);
    until("it is gone", || count("active") == Some(0.0) && count("idle") == Some(0.0)).await;
}
