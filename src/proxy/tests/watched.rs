//! Backends whose endpoints are watched: who gets requests, and who does not.

use std::{num::NonZeroU32, sync::atomic::AtomicBool};

use super::{h2c::Backend2, *};
use crate::model::{
    BackendPolicy, Balancing, Connections, Ejection, EndpointState, HealthCheck, HealthUse, Probe,
};

/// A backend that answers `/health` and everything else as it is told to.
pub(super) struct Moody {
    pub(super) server: Server,
    well: Arc<AtomicBool>,
}

impl Moody {
    pub(super) async fn new() -> Self {
        let well = Arc::new(AtomicBool::new(true));
        let mood = well.clone();
        let server = Server::answering(move |_| {
            let status = if mood.load(Ordering::SeqCst) { "200 OK" } else { "503 Service Unavailable" };
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
        })
        .await;
        Self { server, well }
    }

    pub(super) fn is(&self, well: bool) {
        self.well.store(well, Ordering::SeqCst);
    }

    /// How many requests of clients it has heard.
    pub(super) fn served(&self) -> usize {
        self.server.heard().iter().filter(|request| !request.starts_with("GET /health ")).count()
    }

    fn checks(&self) -> usize {
        self.server.heard().len() - self.served()
    }
}

pub(super) fn check(interval: Duration) -> HealthCheck {
    HealthCheck {
        probe: Probe::Http { path: "/health".into(), host: None, statuses: Vec::new() },
        port: None,
        interval,
        timeout: interval,
        unhealthy_after: NonZeroU32::new(2).unwrap(),
        healthy_after: NonZeroU32::MIN,
    }
}

fn checked(interval: Duration) -> BackendPolicy {
    BackendPolicy { check: Some(check(interval)), ..BackendPolicy::default() }
}

pub(super) fn limited(most: u32, pending: u32) -> BackendPolicy {
    let connections = Connections {
        max_per_endpoint: NonZeroU32::new(most),
        max_pending: Some(pending),
        ..Connections::default()
    };
    BackendPolicy { connections, ..BackendPolicy::default() }
}

/// A table with one backend of that policy.
pub(super) fn watched(addresses: &[SocketAddr], policy: &BackendPolicy) -> Table {
    table(vec![("/", rule(target(addresses, policy)))])
}

pub(super) fn target(addresses: &[SocketAddr], policy: &BackendPolicy) -> Target {
    let endpoints = addresses.iter().copied().map(endpoint).collect();
    let policy = Arc::new(policy.clone());
    Target::Backend(Arc::new(Backend { name: "default/b".into(), endpoints, policy, reason: "".into() }))
}

pub(super) fn state(health: &Live<HealthReport>, address: SocketAddr) -> Option<EndpointState> {
    Some(health.load().0.get("default/b")?.get(&address.to_string())?.state)
}

const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn an_endpoint_that_turns_bad_gets_nothing_until_it_is_good_again() {
    let (one, two) = (Moody::new().await, Moody::new().await);
    let addresses = [one.server.address, two.server.address];
    let proxy = Proxy::start(holding(LONG), watched(&addresses, &checked(SHORT)));
    assert_eq!(proxy.status("/").await, 200, "a request waits for the first success");
    until("both are ready", || {
        addresses.iter().all(|address| state(&proxy.health, *address) == Some(EndpointState::Ready))
    })
    .await;
    one.is(false);
    until("it is unhealthy", || state(&proxy.health, addresses[0]) == Some(EndpointState::Unhealthy)).await;
    let before = one.served();
    for _ in 0..6 {
        assert_eq!(proxy.status("/").await, 200);
    }
    assert_eq!(one.served(), before);
    one.is(true);
    until("it is ready", || state(&proxy.health, addresses[0]) == Some(EndpointState::Ready)).await;
    for _ in 0..4 {
        assert_eq!(proxy.status("/").await, 200);
    }
    assert!(one.served() > before);
}

#[tokio::test]
async fn where_all_are_unhealthy_the_answer_is_503_and_a_request_that_waits_is_served_by_the_first_that_recovers()
 {
    let only = Moody::new().await;
    only.is(false);
    let table = watched(&[only.server.address], &checked(SHORT));
    let proxy = Proxy::start(config(), table.clone());
    let reply = proxy.request(&get("/")).await;
    assert_eq!((reply.status, field(&reply.head, "retry-after")), (503, Some("1")));
    assert_eq!(only.served(), 0);
    drop(proxy);
    let proxy = Proxy::start(holding(LONG), table);
    let mut client = proxy.connect().await;
    client.send(get("/")).await;
    until("it is held", || proxy.metric("portolan_held_requests") == Some(1.0)).await;
    only.is(true);
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn a_check_fails_where_nothing_listens_and_where_the_answer_takes_too_long() {
    let silent = Server::start(|mut client, _, _| async move { drop(client.rest().await) }).await;
    let closed = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    for (address, words) in
        [(silent.address, "GET `/health` took longer than 20ms"), (closed, "cannot connect")]
    {
        let proxy = Proxy::start(config(), watched(&[address], &checked(SHORT)));
        until(words, || {
            let report = proxy.health.load();
            let endpoint = report.0.get("default/b").and_then(|backend| backend.get(&address.to_string()));
            endpoint.is_some_and(|endpoint| endpoint.message.contains(words))
        })
        .await;
    }
}

#[tokio::test]
async fn a_check_of_a_port_asks_that_port_and_only_connects() {
    let (server, other) = (Server::echo().await, Server::echo().await);
    let check =
        HealthCheck { probe: Probe::Tcp, port: NonZeroU16::new(other.address.port()), ..check(SHORT) };
    let policy = BackendPolicy { check: Some(check), ..BackendPolicy::default() };
    let proxy = Proxy::start(holding(LONG), watched(&[server.address], &policy));
    assert_eq!(proxy.status("/").await, 200);
    assert!(other.connections() > 0 && other.heard().is_empty());
    assert_eq!(server.connections(), 1, "the request's own");
}

#[tokio::test]
async fn a_hundred_unrelated_tables_cause_not_one_check_more() {
    let only = Moody::new().await;
    let address = only.server.address;
    let policy = checked(Duration::from_hours(1));
    let mut proxy = Proxy::start(holding(LONG), watched(&[address], &policy));
    assert_eq!(proxy.status("/").await, 200);
    for round in 0..100 {
        let path = format!("/{round}");
        let rules = vec![("/", rule(target(&[address], &policy))), (&*path, rule(backend(Vec::new())))];
        proxy.publisher.publish(table(rules));
        assert_eq!(proxy.status("/").await, 200, "it stays fit");
    }
    assert_eq!(only.checks(), 1);
}

#[tokio::test]
async fn an_endpoint_that_answers_with_errors_is_left_out() {
    let (good, bad) = (Moody::new().await, Moody::new().await);
    bad.is(false);
    let consecutive_errors = NonZeroU32::new(3).unwrap();
    let ejection = Ejection { consecutive_errors, eject_for: LONG, max_percent: 50 };
    let policy = BackendPolicy { ejection: Some(ejection), ..BackendPolicy::default() };
    let proxy = Proxy::start(config(), watched(&[good.server.address, bad.server.address], &policy));
    let mut bad_answers = 0;
    for _ in 0..20 {
        bad_answers += usize::from(proxy.status("/").await == 503);
    }
    assert_eq!((bad_answers, bad.served()), (3, 3));
    until("people are told", || state(&proxy.health, bad.server.address) == Some(EndpointState::Ejected))
        .await;
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_is_left_out_too() {
    let good = Moody::new().await;
    let closed = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    let ejection = Ejection { consecutive_errors: NonZeroU32::MIN, eject_for: LONG, max_percent: 50 };
    let policy = BackendPolicy { ejection: Some(ejection), ..BackendPolicy::default() };
    let proxy = Proxy::start(config(), watched(&[good.server.address, closed], &policy));
    for _ in 0..10 {
        assert_eq!(proxy.status("/").await, 200);
    }
    assert_eq!(proxy.metric(r#"portolan_retries_total{backend="default/b"}"#), Some(1.0));
}

#[tokio::test]
async fn the_next_request_goes_where_fewest_are_under_way() {
    let hang = Server::start(|mut client, heard, _| async move {
        while let Some(request) = client.request().await {
            heard.lock().unwrap().push(request);
        }
    })
    .await;
    let quick = Moody::new().await;
    let policy = BackendPolicy { balancing: Balancing::LeastRequest, ..BackendPolicy::default() };
    let proxy = Proxy::start(config(), watched(&[hang.address, quick.server.address], &policy));
    let mut clients = Vec::new();
    while hang.heard().is_empty() {
        let mut client = proxy.connect().await;
        client.send(get("/")).await;
        let answered = tokio::select! {
            reply = client.reply() => reply.status == 200,
            () = until("it hangs", || !hang.heard().is_empty()) => false,
        };
        assert_eq!(answered, hang.heard().is_empty());
        clients.push(client);
    }
    for _ in 0..20 {
        assert_eq!(proxy.status("/").await, 200);
    }
    assert_eq!(hang.heard().len(), 1);
    drop(clients);
}

/// Answers when the sender says so.
pub(super) async fn gated() -> (tokio::sync::watch::Sender<bool>, Server) {
    let (sender, gate) = tokio::sync::watch::channel(false);
    let server = Server::start(move |mut client, heard, _| {
        let mut gate = gate.clone();
        async move {
            while let Some(request) = client.request().await {
                heard.lock().unwrap().push(request);
                gate.wait_for(|open| *open).await.unwrap();
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
        }
    })
    .await;
    (sender, server)
}

#[tokio::test]
async fn beyond_the_limit_a_request_waits_and_beyond_that_it_is_refused_and_counted() {
    let (sender, slow) = gated().await;
    let proxy = Proxy::start(config(), watched(&[slow.address], &limited(1, 1)));
    let (mut first, mut second) = (proxy.connect().await, proxy.connect().await);
    first.send(get("/1")).await;
    until("it is under way", || slow.heard().len() == 1).await;
    second.send(get("/2")).await;
    let overflow = || proxy.metric(r#"portolan_upstream_errors_total{backend="default/b",kind="overflow"}"#);
    let mut refused = 0;
    // The second may not wait yet when this one comes: then it waits itself, until its client has gone.
    while overflow().is_none() {
        let mut third = proxy.connect().await;
        third.send(get("/3")).await;
        tokio::select! {
            reply = third.reply() => refused = reply.status,
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
    assert_eq!((refused, slow.heard().len()), (503, 1));
    sender.send(true).unwrap();
    assert_eq!(first.reply().await.status, 200);
    assert_eq!(second.reply().await.status, 200);
    assert_eq!(slow.connections(), 1, "one after the other");
}

#[tokio::test]
async fn a_connection_is_kept_no_longer_than_its_backend_says() {
    let server = Server::echo().await;
    let connections = Connections { idle_timeout: Some(Duration::ZERO), ..Connections::default() };
    let policy = BackendPolicy { connections, ..BackendPolicy::default() };
    let proxy = Proxy::start(config(), watched(&[server.address], &policy));
    for number in 1..4 {
        assert_eq!(proxy.status("/").await, 200);
        assert_eq!(server.connections(), number);
    }
}

#[tokio::test]
async fn a_connection_takes_no_more_requests_than_its_backend_says() {
    let server = Server::echo().await;
    let connections = Connections { max_requests: NonZeroU32::new(2), ..Connections::default() };
    let policy = BackendPolicy { connections, ..BackendPolicy::default() };
    let proxy = Proxy::start(config(), watched(&[server.address], &policy));
    for number in [1, 1, 2, 2, 3] {
        assert_eq!(proxy.status("/").await, 200);
        assert_eq!(server.connections(), number);
    }
}

#[tokio::test]
async fn a_connection_of_http2_takes_no_more_requests_either() {
    let server = Backend2::echo().await;
    let connections = Connections { max_requests: NonZeroU32::new(2), ..Connections::default() };
    let policy = BackendPolicy { connections, ..BackendPolicy::default() };
    let proxy = Proxy::start(config(), speaking_h2c(server.address, &policy));
    for number in [1, 1, 2, 2, 3] {
        assert_eq!(proxy.status("/").await, 200);
        assert_eq!(server.connections.load(Ordering::SeqCst), number);
    }
}

#[tokio::test]
async fn a_backend_of_grpc_is_asked_by_its_own_protocol() {
    let well = Arc::new(AtomicBool::new(true));
    let mood = well.clone();
    let server = Backend2::start(move |mut call| {
        let status = if mood.load(Ordering::SeqCst) { 1 } else { 2 };
        async move {
            if call.head.uri().path() != "/grpc.health.v1.Health/Check" {
                return call.echo().await;
            }
            assert_eq!(&call.body.data().await.unwrap().unwrap()[..], b"\0\0\0\0\x05\x0a\x03a.B");
            let mut stream = call.reply.send_response(http::Response::new(()), false).unwrap();
            stream.send_data(vec![0, 0, 0, 0, 2, 8, status].into(), false).unwrap();
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
            stream.send_trailers(trailers).unwrap();
        }
    })
    .await;
    let probe = Probe::Grpc { service: "a.B".into() };
    let policy =
        BackendPolicy { check: Some(HealthCheck { probe, ..check(SHORT) }), ..BackendPolicy::default() };
    let proxy = Proxy::start(holding(LONG), speaking_h2c(server.address, &policy));
    assert_eq!(proxy.status("/").await, 200);
    well.store(false, Ordering::SeqCst);
    until("it is unhealthy", || state(&proxy.health, server.address) == Some(EndpointState::Unhealthy)).await;
    let message = proxy.health.load().0["default/b"][&server.address.to_string()].message.clone();
    assert!(message.contains("gRPC health of `a.B` answered `NOT_SERVING`"), "{message}");
}

#[tokio::test]
async fn a_path_of_a_backend_that_speaks_http2_is_asked_by_http2() {
    let server = Backend2::echo().await;
    let proxy = Proxy::start(holding(LONG), speaking_h2c(server.address, &checked(SHORT)));
    assert_eq!(proxy.status("/").await, 200);
    let heard = server.heard.lock().unwrap();
    assert_eq!(heard[0].uri().to_string(), format!("http://{}/health", server.address));
}

fn speaking_h2c(address: SocketAddr, policy: &BackendPolicy) -> Table {
    let endpoints = vec![Endpoint { scheme: Scheme::H2c, ..endpoint(address) }];
    let policy = Arc::new(policy.clone());
    let backend = Backend { name: "default/b".into(), endpoints, policy, reason: "".into() };
    table(vec![("/", rule(Target::Backend(Arc::new(backend))))])
}

#[tokio::test]
async fn where_health_is_only_preferred_all_are_used_once_none_is_healthy() {
    let (one, two) = (Moody::new().await, Moody::new().await);
    let addresses = [one.server.address, two.server.address];
    one.is(false);
    let policy = BackendPolicy { health: HealthUse::Prefer, ..checked(SHORT) };
    let proxy = Proxy::start(config(), watched(&addresses, &policy));
    until("one is ready", || state(&proxy.health, addresses[1]) == Some(EndpointState::Ready)).await;
    for _ in 0..4 {
        assert_eq!(proxy.status("/").await, 200);
    }
    assert_eq!(one.served(), 0, "the healthy one comes first");
    two.is(false);
    until("none is", || state(&proxy.health, addresses[1]) == Some(EndpointState::Unhealthy)).await;
    let before = (one.served(), two.served());
    for _ in 0..4 {
        assert_eq!(proxy.status("/").await, 503);
    }
    assert_eq!((one.served() - before.0, two.served() - before.1), (2, 2), "their own answers");
}

#[tokio::test]
async fn a_websocket_keeps_its_place_to_its_end() {
    let server = Server::start(|mut client, _, _| async move {
        client.request().await;
        client
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        client.rest().await;
    })
    .await;
    let proxy = Proxy::start(config(), watched(&[server.address], &limited(1, 0)));
    let upgrade = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut socket = proxy.connect().await;
    socket.send(upgrade).await;
    assert_eq!(socket.reply().await.status, 101);
    assert_eq!(proxy.request(upgrade).await.status, 503);
    drop(socket);
    let deadline = tokio::time::Instant::now() + LONG;
    while proxy.request(upgrade).await.status != 101 {
        assert!(tokio::time::Instant::now() < deadline, "its place is never free");
    }
}
