//! What is under way at an endpoint is known from its first byte to its last, also when the endpoint has left the table.

use std::collections::BTreeSet;

use tokio::sync::Notify;

use super::{
    h2c::{Backend2, serving_h2c},
    upgrades::{ASK, websocket},
    *,
};

async fn under_way(proxy: &Proxy, addresses: &[SocketAddr]) -> u64 {
    let addresses: BTreeSet<SocketAddr> = addresses.iter().copied().collect();
    soon(proxy.workers.under_way(&Arc::new(addresses))).await
}

async fn until_under_way(proxy: &Proxy, address: SocketAddr, wanted: u64) {
    let deadline = tokio::time::Instant::now() + LONG;
    loop {
        let number = under_way(proxy, &[address]).await;
        if number == wanted {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{number} are under way, not {wanted}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Sends half of an answer, and the rest when told.
async fn halting(go: Arc<Notify>) -> Server {
    Server::start(move |mut client, _, _| {
        let go = go.clone();
        async move {
            client.head().await;
            client.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").await.unwrap();
            go.notified().await;
            client.stream.write_all(b"half").await.unwrap();
            // The connection waits for another request.
            client.rest().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_download_counts_to_its_end_and_a_connection_that_waits_does_not() {
    let go = Arc::new(Notify::new());
    let server = halting(go.clone()).await;
    let mut proxy = Proxy::start(config(), serving(&[server.address]));
    assert_eq!(under_way(&proxy, &[server.address]).await, 0);
    let mut clients = [proxy.connect().await, proxy.connect().await];
    for client in &mut clients {
        client.send(get("/")).await;
        client.head().await;
    }
    until_under_way(&proxy, server.address, 2).await;
    assert_eq!(under_way(&proxy, &["127.0.0.1:1".parse().unwrap()]).await, 0, "elsewhere");
    go.notify_one();
    until_under_way(&proxy, server.address, 1).await;
    proxy.publisher.publish(Table::default());
    assert_eq!(under_way(&proxy, &[server.address]).await, 1, "it has left the table");
    go.notify_one();
    for client in &mut clients {
        assert_eq!(client.bytes(8).await, b"halfhalf");
    }
    until_under_way(&proxy, server.address, 0).await;
}

#[tokio::test]
async fn a_tunnel_counts_as_long_as_it_is_open() {
    let server = websocket(b"").await;
    let mut proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(ASK).await;
    client.head().await;
    until_under_way(&proxy, server.address, 1).await;
    proxy.publisher.publish(Table::default());
    client.send("still").await;
    assert_eq!(client.bytes(5).await, b"still");
    assert_eq!(under_way(&proxy, &[server.address]).await, 1);
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b"bye");
    until_under_way(&proxy, server.address, 0).await;
}

#[tokio::test]
async fn each_stream_of_a_shared_connection_counts() {
    let go = Arc::new(Notify::new());
    let told = go.clone();
    let server = Backend2::start(move |mut call| {
        let go = go.clone();
        async move {
            go.notified().await;
            let _ = call.reply.send_response(http::Response::new(()), true);
        }
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut clients = [proxy.connect().await, proxy.connect().await, proxy.connect().await];
    for client in &mut clients {
        client.send(get("/")).await;
    }
    until_under_way(&proxy, server.address, 3).await;
    told.notify_one();
    until_under_way(&proxy, server.address, 2).await;
    drop(clients);
    until_under_way(&proxy, server.address, 0).await;
}
