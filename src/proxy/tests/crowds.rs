//! Who gets requests where several could: by chance, while others are busy, gone, left out or not asked yet.

use std::num::NonZeroU32;

use super::{
    watched::{Moody, check, gated, limited, state, target, watched},
    *,
};
use crate::model::{BackendPolicy, Balancing, Ejection, EndpointState};

fn ejecting(consecutive_errors: u32) -> BackendPolicy {
    let consecutive_errors = NonZeroU32::new(consecutive_errors).unwrap();
    let ejection = Ejection { consecutive_errors, eject_for: LONG * 9, max_percent: 50 };
    BackendPolicy { ejection: Some(ejection), ..BackendPolicy::default() }
}

#[tokio::test]
async fn every_endpoint_of_every_backend_of_a_rule_gets_its_share() {
    for balancing in [Balancing::LeastRequest, Balancing::Random] {
        let mut servers = Vec::new();
        for _ in 0..4 {
            servers.push(Server::echo().await);
        }
        let choice = |(index, pair): (usize, &[Server])| {
            let endpoints = pair.iter().map(|server| endpoint(server.address)).collect();
            let policy = BackendPolicy { balancing: balancing.clone(), ..BackendPolicy::default() };
            let name = format!("default/{index}").into();
            let backend = Backend { name, endpoints, policy: Arc::new(policy), reason: "".into() };
            Choice::new(1, Target::Backend(Arc::new(backend)), Vec::new())
        };
        let backends = Weighted::new(servers.chunks(2).enumerate().map(choice).collect());
        let proxy =
            Proxy::start(config(), table(vec![("/", Rule { backends, ..rule(backend(Vec::new())) })]));
        let mut client = proxy.connect().await;
        for _ in 0..200 {
            client.send(get("/")).await;
            assert_eq!(client.reply().await.status, 200);
        }
        let heard: Vec<usize> = servers.iter().map(|server| server.heard().len()).collect();
        assert!(heard.iter().all(|heard| (20..=80).contains(heard)), "{balancing:?}: {heard:?}");
    }
}

#[tokio::test]
async fn a_request_waits_for_a_busy_endpoint_although_another_refuses() {
    let (open, busy) = gated().await;
    let closed = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start(config(), watched(&[busy.address, closed], &limited(1, 9)));
    let (mut first, mut second) = (proxy.connect().await, proxy.connect().await);
    first.send(get("/1")).await;
    until("it is under way", || busy.heard().len() == 1).await;
    let refused = r#"portolan_upstream_errors_total{backend="default/b",kind="connect"}"#;
    let before = proxy.metric(refused);
    second.send(get("/2")).await;
    until("it was refused", || proxy.metric(refused) > before).await;
    open.send(true).unwrap();
    assert_eq!(second.reply().await.status, 200);
    assert_eq!(first.reply().await.status, 200);
}

#[tokio::test]
async fn who_waits_for_a_place_has_the_one_that_a_new_table_brings() {
    let (_closed, busy) = gated().await;
    let free = Server::echo().await;
    let addresses = [busy.address, free.address];
    for table in [watched(&addresses, &limited(1, 1)), watched(&addresses, &BackendPolicy::default())] {
        let mut proxy = Proxy::start(config(), watched(&addresses[..1], &limited(1, 1)));
        let [mut first, mut second, mut third] =
            [proxy.connect().await, proxy.connect().await, proxy.connect().await];
        let before = (busy.heard().len(), free.heard().len());
        first.send(get("/1")).await;
        until("it is under way", || busy.heard().len() > before.0).await;
        second.send(get("/2")).await;
        third.send(get("/3")).await;
        // One of them waits, and so the other one may not.
        let (refused, mut waiting) = tokio::select! {
            reply = second.reply() => (reply, third),
            reply = third.reply() => (reply, second),
        };
        assert_eq!(refused.status, 503);
        proxy.publisher.publish(table);
        // Without a limit it may go to the busy one too.
        until("it is served", || busy.heard().len() + free.heard().len() > before.0 + before.1 + 1).await;
        if free.heard().len() > before.1 {
            assert_eq!(waiting.reply().await.status, 200);
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_is_left_out_serves_when_no_other_is_left() {
    let (good, bad) = (Moody::new().await, Moody::new().await);
    let addresses = [good.server.address, bad.server.address];
    bad.is(false);
    let mut proxy = Proxy::start(config(), watched(&addresses, &ejecting(1)));
    for _ in 0..2 {
        proxy.status("/").await;
    }
    until("it is left out", || state(&proxy.health, addresses[1]) == Some(EndpointState::Ejected)).await;
    bad.is(true);
    proxy.publisher.publish(watched(&addresses[1..], &ejecting(1)));
    until("the new table is there", || state(&proxy.health, addresses[0]).is_none()).await;
    assert_eq!(proxy.status("/").await, 200);
    until("people are told", || state(&proxy.health, addresses[1]) == Some(EndpointState::Ready)).await;
}

#[tokio::test]
async fn an_endpoint_that_serves_goes_on_when_it_begins_to_be_checked() {
    let server = Server::start(|mut client, heard, _| async move {
        while let Some(request) = client.request().await {
            // Its health is not told.
            if !request.starts_with("GET /health ") {
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
            heard.lock().unwrap().push(request);
        }
    })
    .await;
    let mut proxy = Proxy::start(config(), serving(&[server.address]));
    assert_eq!(proxy.status("/").await, 200);
    let checked = BackendPolicy { check: Some(check(LONG * 9)), ..BackendPolicy::default() };
    let both = Server::echo().await;
    proxy.publisher.publish(watched(&[server.address, both.address], &checked));
    until("it is asked", || server.heard().iter().any(|request| request.starts_with("GET /health "))).await;
    assert_eq!(proxy.status("/").await, 200);
    assert_eq!(state(&proxy.health, server.address), Some(EndpointState::Ready));
    // One that was not there before has to answer first.
    let proxy = Proxy::start(config(), watched(&[server.address], &checked));
    assert_eq!(proxy.status("/").await, 503);
}

#[tokio::test]
async fn a_client_that_is_slow_to_send_its_body_costs_no_endpoint_anything() {
    let (one, two) = (Server::echo().await, Server::echo().await);
    let timeouts = [(Some(100), None), (Some(9_000), Some(100))].map(|(request, backend_request)| Timeouts {
        request: request.map(Duration::from_millis),
        backend_request: backend_request.map(Duration::from_millis),
    });
    for timeouts in timeouts {
        let target = target(&[one.address, two.address], &ejecting(1));
        let proxy = Proxy::start(config(), table(vec![("/", Rule { timeouts, ..rule(target) })]));
        let mut slow = proxy.connect().await;
        slow.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf").await;
        let reply = slow.reply().await;
        assert_eq!((reply.status, field(&reply.head, "connection")), (504, Some("close")));
        let before = (one.heard().len(), two.heard().len());
        for _ in 0..4 {
            assert_eq!(proxy.status("/").await, 200);
        }
        assert_eq!((one.heard().len(), two.heard().len()), (before.0 + 2, before.1 + 2));
        assert_eq!(proxy.metric("portolan_upstream_errors_total"), None);
    }
}
