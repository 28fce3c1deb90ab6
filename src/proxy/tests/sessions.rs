//! Sessions, as a browser and the backends see them.

use super::*;
use crate::model::{Session, SessionCarrier};

fn sticky(addresses: &[SocketAddr]) -> Rule {
    let carrier = SessionCarrier::Cookie { name: "s".into(), path: "/".into(), is_permanent: false };
    let endpoints = addresses.iter().copied().map(endpoint).collect();
    let session = Some(Arc::new(Session { carrier, lifetime: None }));
    Rule { session, ..rule(backend(endpoints)) }
}

fn start(config: Config, addresses: &[SocketAddr]) -> Proxy {
    Proxy::start(config, table(vec![("/", sticky(addresses))]))
}

fn with_cookie(cookie: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: theme=dark; {cookie}\r\n\r\n")
}

/// Name and value of the cookie that an answer sets.
fn cookie(reply: &Reply) -> Option<&str> {
    field(&reply.head, "set-cookie")?.split(';').next()
}

#[tokio::test]
async fn a_client_stays_where_it_was_over_new_tables_and_restarts() {
    let servers = [Server::echo().await, Server::echo().await, Server::echo().await];
    let addresses = servers.each_ref().map(|server| server.address);
    let config = config();
    let mut proxy = start(config.clone(), &addresses);
    let first = proxy.request(&get("/")).await;
    let carried = cookie(&first).unwrap().to_owned();
    let home = servers.iter().position(|server| !server.heard().is_empty()).unwrap();
    assert!(!carried.contains("127.0.0.1") && !carried.contains(&addresses[home].port().to_string()));
    for round in 0..3 {
        for _ in 0..5 {
            let reply = proxy.request(&with_cookie(&carried)).await;
            assert_eq!((reply.status, cookie(&reply)), (200, None), "it has one already");
        }
        match round {
            0 => {
                proxy.publisher.publish(table(vec![("/x", sticky(&addresses)), ("/", sticky(&addresses))]));
            }
            _ => proxy = start(config.clone(), &addresses),
        }
    }
    assert_eq!(servers[home].heard().len(), 16);
    let others = proxy.request(&get("/")).await;
    assert!(cookie(&others).is_some(), "who carries none gets one");
}

#[tokio::test]
async fn a_client_whose_endpoint_is_gone_or_refuses_gets_another() {
    let servers = [Server::echo().await, Server::echo().await];
    let addresses = servers.each_ref().map(|server| server.address);
    let mut proxy = start(config(), &addresses);
    let carried = cookie(&proxy.request(&get("/")).await).unwrap().to_owned();
    let home = servers.iter().position(|server| !server.heard().is_empty()).unwrap();
    proxy.publisher.publish(table(vec![("/", sticky(&addresses[1 - home..2 - home]))]));
    let reply = proxy.request(&with_cookie(&carried)).await;
    assert_eq!(reply.status, 200);
    assert_ne!(cookie(&reply).unwrap(), carried);

    let closed = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    let [server, _] = servers;
    let proxy = start(config(), &[closed, server.address]);
    let reply = proxy.request(&get("/")).await;
    assert_eq!(reply.status, 200);
    let again = proxy.request(&with_cookie(cookie(&reply).unwrap())).await;
    assert_eq!((again.status, cookie(&again)), (200, None), "it is told where it went, not where it should");
    for nonsense in ["s=", "s=zz", "s=1-1-1", "s=ffffffffffffffffffff"] {
        let reply = proxy.request(&with_cookie(nonsense)).await;
        assert_eq!((reply.status, cookie(&reply).is_some()), (200, true), "{nonsense}");
    }
}
