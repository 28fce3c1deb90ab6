//! Connections have an end, on both sides: one client cannot take those of others, and what bites is counted.

use std::net::Ipv4Addr;

use super::{
    frames::wire::{Frames, HEADERS, WHOLE, block, frame, getting},
    h2c::Backend2,
    http2::Multi,
    *,
};
use crate::proxy::Limits;

fn limited(connections: usize, endpoint_connections: usize) -> Config {
    let limits = Limits { connections, endpoint_connections, ..Limits::default() };
    Config { limits, ..config() }
}

/// A connection from an address of this machine that others do not have.
async fn from(proxy: &Proxy, last: u8) -> Client {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0)).unwrap();
    Client { stream: soon(socket.connect(proxy.address)).await.unwrap(), read: Vec::new() }
}

/// Takes requests and never answers those for `/slow`.
async fn slow() -> Server {
    Server::start(|mut client, heard, _| async move {
        while let Some(request) = client.request().await {
            let is_slow = request.starts_with("GET /slow ");
            heard.lock().unwrap().push(request);
            if is_slow {
                client.more().await;
                return;
            }
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await
}

fn reached(proxy: &Proxy, limit: &str) -> Option<f64> {
    proxy.metric(&format!(r#"portolan_limits_reached_total{{limit="{limit}"}}"#))
}

async fn served(client: &mut Client) -> u16 {
    client.send(get("/")).await;
    client.reply().await.status
}

#[tokio::test]
async fn a_client_has_no_more_than_three_quarters_of_the_connections() {
    let server = Server::echo().await;
    let proxy = Proxy::start(limited(16, 64), serving(&[server.address]));
    let mut greedy = Vec::new();
    for _ in 0..12 {
        let mut one = proxy.connect().await;
        assert_eq!(served(&mut one).await, 200);
        greedy.push(one);
    }
    assert_eq!(proxy.connect().await.rest().await, b"", "one too many");
    assert_eq!(reached(&proxy, "connections_per_client"), Some(1.0));
    assert_eq!(served(&mut from(&proxy, 2).await).await, 200, "another client");
    drop(greedy.pop());
    let deadline = tokio::time::Instant::now() + LONG;
    loop {
        let mut next = proxy.connect().await;
        let _ = next.stream.write_all(get("/").as_bytes()).await;
        if next.more().await > 0 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "what was closed is never counted as closed");
    }
}

#[tokio::test]
async fn a_trusted_proxy_stands_for_many_clients() {
    let server = slow().await;
    let trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let proxy = Proxy::start(Config { trusted_proxies, ..limited(8, 8) }, serving(&[server.address]));
    let mut all = Vec::new();
    for _ in 0..7 {
        let mut one = proxy.connect().await;
        one.send(get("/slow")).await;
        all.push(one);
    }
    until("all are under way", || server.heard().len() == 7).await;
    assert_eq!(reached(&proxy, "connections_per_client"), None);
}

#[tokio::test]
async fn a_client_that_a_balancer_names_is_counted_and_not_the_balancer() {
    let server = Server::echo().await;
    let trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let introduced = Config { proxy_protocol: vec![0], trusted_proxies, ..limited(4, 64) };
    let proxy = Proxy::start(introduced, serving(&[server.address]));
    let mut all = Vec::new();
    for (client, expected) in [
        ("192.0.2.1", true),
        ("192.0.2.1", true),
        ("192.0.2.1", true),
        ("192.0.2.1", false),
        ("192.0.2.2", true),
    ] {
        let mut one = proxy.connect().await;
        let _ = one
            .stream
            .write_all(format!("PROXY TCP4 {client} 127.0.0.1 1 80\r\n{}", get("/")).as_bytes())
            .await;
        assert_eq!(one.more().await > 0, expected, "{client}");
        all.push(one);
    }
    assert_eq!(reached(&proxy, "connections_per_client"), Some(1.0));
}

#[tokio::test]
async fn where_there_is_no_room_for_more_clients_that_is_counted() {
    let server = Server::echo().await;
    let proxy = Proxy::start(limited(2, 64), serving(&[server.address]));
    let mut both = [from(&proxy, 1).await, from(&proxy, 2).await];
    for one in &mut both {
        assert_eq!(served(one).await, 200);
    }
    until("it is counted", || reached(&proxy, "connections") >= Some(1.0)).await;
    let mut next = from(&proxy, 3).await;
    next.send(get("/")).await;
    drop(both);
    assert_eq!(next.reply().await.status, 200, "it has waited");
}

#[tokio::test]
async fn one_connection_of_http_2_does_not_take_all_connections_to_endpoints() {
    let server = slow().await;
    let proxy = Proxy::start(limited(16, 8), serving(&[server.address]));
    let mut greedy = Frames::connect(&proxy).await;
    for stream in 0..20 {
        greedy.send(frame(HEADERS, WHOLE, stream * 2 + 1, &block(&getting("/slow")))).await;
    }
    assert_eq!(greedy.fate(39).await, "answer", "503");
    until("its share is under way", || server.heard().len() == 6).await;
    assert_eq!(reached(&proxy, "endpoint_connections_per_client"), Some(14.0));
    assert_eq!(served(&mut from(&proxy, 2).await).await, 200, "another client");
    assert_eq!(server.connections(), 7);
}

#[tokio::test]
async fn beyond_the_limit_of_connections_to_endpoints_a_request_is_refused_and_the_endpoint_not_blamed() {
    let server = slow().await;
    let proxy = Proxy::start(limited(64, 4), serving(&[server.address]));
    let mut greedy = Vec::new();
    for number in 0..4 {
        let mut one = from(&proxy, 10 + number / 2).await;
        one.send(get("/slow")).await;
        greedy.push(one);
    }
    until("all are under way", || server.heard().len() == 4).await;
    let refused = proxy.request(&get("/")).await;
    assert_eq!(refused.status, 503, "{}", refused.head);
    assert!(refused.head.to_ascii_lowercase().contains("retry-after"), "{}", refused.head);
    assert_eq!(reached(&proxy, "endpoint_connections"), Some(1.0));
    let blamed = r#"portolan_upstream_errors_total{backend="default/b""#;
    assert!(!proxy.metrics.render().contains(blamed), "{}", proxy.metrics.render());
    drop(greedy);
    let deadline = tokio::time::Instant::now() + LONG;
    while proxy.status("/").await != 200 {
        assert!(tokio::time::Instant::now() < deadline, "what has ended is never counted as ended");
    }
}

#[tokio::test]
async fn what_waits_for_its_next_request_makes_room_for_one_that_is_there() {
    let (one, other) = (Server::echo().await, Server::echo().await);
    let rules = vec![
        ("/one", rule(backend(vec![endpoint(one.address)]))),
        ("/other", rule(backend(vec![endpoint(other.address)]))),
    ];
    let proxy = Proxy::start(limited(64, 1), table(rules));
    for _ in 0..3 {
        assert_eq!((proxy.status("/one").await, proxy.status("/other").await), (200, 200));
    }
    assert_eq!((one.connections(), other.connections()), (3, 3));
    assert_eq!(reached(&proxy, "endpoint_connections"), None);
}

#[tokio::test]
async fn a_connection_that_was_shared_makes_room_too_and_is_one_for_all_of_its_requests() {
    let (shared, own) = (Backend2::echo().await, Server::echo().await);
    let speaking_h2c = Endpoint { scheme: Scheme::H2c, ..endpoint(shared.address) };
    let rules = vec![
        ("/shared", rule(backend(vec![speaking_h2c]))),
        ("/own", rule(backend(vec![endpoint(own.address)]))),
    ];
    let proxy = Proxy::start(limited(64, 1), table(rules));
    let mut client = Multi::connect(proxy.address).await;
    for _ in 0..5 {
        assert_eq!(client.get("/shared").await.status, 200);
    }
    assert_eq!(reached(&proxy, "endpoint_connections"), None);
    let deadline = tokio::time::Instant::now() + LONG;
    while proxy.status("/own").await != 200 {
        assert!(tokio::time::Instant::now() < deadline, "it never makes room");
    }
}
