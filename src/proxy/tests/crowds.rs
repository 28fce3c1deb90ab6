//! Who gets requests where several could: by chance, while others are busy, gone, left out or not asked yet.

use std::num::NonZeroU32;

use super::{
    watched::{Moody, check, state, target, watched},
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
