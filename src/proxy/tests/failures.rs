//! Requests that endpoints fail are remembered, with what the client got.

use super::*;
use crate::model::{Fault, LastFailure, Timeouts};

fn of(proxy: &Proxy, address: SocketAddr) -> Option<LastFailure> {
    Some(proxy.failures.load().0.get(&*address.to_string())?.get(&address.to_string())?.clone())
}

async fn told(proxy: &Proxy, address: SocketAddr, holds: impl Fn(&LastFailure) -> bool) -> LastFailure {
    until("it is told", || of(proxy, address).is_some_and(|failure| holds(&failure))).await;
    of(proxy, address).unwrap()
}

async fn closed() -> SocketAddr {
    TcpListener::bind(asked()).await.unwrap().local_addr().unwrap()
}

/// Does with the first request of each connection what `answer` says: nothing is a connection that is closed.
async fn answering_once(answer: &'static str) -> Server {
    Server::start(move |mut client, _, _| async move {
        if client.request().await.is_some() && !answer.is_empty() {
            client.send(answer).await;
            client.rest().await;
        }
    })
    .await
}

/// Answers at this address, each request on a connection of its own.
async fn serve(address: SocketAddr) -> Tasks {
    let listener = TcpListener::bind(address).await.unwrap();
    let mut tasks = Tasks::new();
    tasks.spawn("backend", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut client = Client { stream, read: Vec::new() };
            if client.request().await.is_some() {
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
            }
        }
    });
    tasks
}

#[tokio::test]
async fn each_way_to_fail_is_told_with_what_the_client_got() {
    let silent = Server::start(|mut client, _, _| async move { drop(client.rest().await) }).await;
    let garbled = answering_once("SSH-2.0-x\r\n\r\n").await;
    let hangs_up = answering_once("").await;
    let one = Some(Duration::from_millis(40));
    for (address, timeouts, status, fault, words) in [
        (closed().await, (None, None), 502, Fault::ConnectionRefused, "cannot connect: Connection refused"),
        (hangs_up.address, (None, None), 502, Fault::Reset, "the connection"),
        (garbled.address, (None, None), 502, Fault::InvalidResponse, "the response is not valid HTTP"),
        (silent.address, (None, one), 504, Fault::Timeout, "within 40ms (`timeouts.backendRequest`"),
        (silent.address, (one, None), 504, Fault::Timeout, "longer than 40ms (`timeouts.request`"),
    ] {
        let timeouts = Timeouts { request: timeouts.0, backend_request: timeouts.1 };
        let rule = Rule { timeouts, ..rule(backend(vec![endpoint(address)])) };
        let proxy = Proxy::start(config(), table(vec![("/", rule)]));
        assert_eq!(proxy.status("/").await, status, "{fault:?}");
        let failure = told(&proxy, address, |failure| failure.status.is_some()).await;
        assert_eq!((failure.fault, failure.status), (fault, Some(status)), "{failure:?}");
        assert!(failure.message.contains(words), "{failure:?}");
        assert!(!failure.answered_since, "{failure:?}");
    }
}

#[tokio::test]
async fn a_failure_that_no_client_noticed_says_so_and_an_answer_makes_it_past() {
    let (address, good) = (closed().await, Server::echo().await);
    let proxy = Proxy::start(config(), serving(&[address, good.address]));
    for _ in 0..4 {
        assert_eq!(proxy.status("/").await, 200);
    }
    assert_eq!(told(&proxy, address, |_| true).await.status, None);
    assert_eq!(of(&proxy, good.address), None, "it has failed nothing");
    let _serves = serve(address).await;
    let deadline = tokio::time::Instant::now() + LONG;
    while !of(&proxy, address).is_some_and(|failure| failure.answered_since) {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", of(&proxy, address));
        assert_eq!(proxy.status("/").await, 200);
    }
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_a_failure_of_the_endpoint() {
    let server =
        answering_once("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n").await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    assert_eq!(proxy.status("/").await, 502);
    let failure = told(&proxy, server.address, |failure| failure.status.is_some()).await;
    assert_eq!(failure.fault, Fault::InvalidResponse, "{failure:?}");
}
