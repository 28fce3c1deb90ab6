//! A thousand new tables: what is open stays open, and goes on.

use bytes::Bytes;
use http::Method;

use super::{
    h2c::Backend2,
    http2::{Multi, request},
    upgrades::{ASK, websocket},
    *,
};

const SWAPS: usize = 1_000;
/// Of the download, read between two tables.
const PIECE: usize = 8 << 10;

/// `/` goes to the endpoint as ever; another route has this number.
fn numbered(endpoint: Endpoint, number: usize) -> Table {
    let elsewhere = format!("/{number}");
    table(vec![("/", rule(backend(vec![endpoint]))), (&elsewhere, rule(backend(Vec::new())))])
}

/// Publishes a thousand tables, each of which is used before the next one comes; `between` is done after each.
async fn swap(proxy: &mut Proxy, endpoint: Endpoint, mut between: impl AsyncFnMut(usize)) {
    let mut client = proxy.connect().await;
    for number in 0..SWAPS {
        assert!(proxy.publisher.publish(numbered(endpoint.clone(), number)));
        client.send(get(&format!("/{number}"))).await;
        assert_eq!(client.reply().await.status, 503, "the table {number} is served");
        between(number).await;
    }
}

#[tokio::test]
async fn idle_websockets_live_through_a_thousand_tables() {
    let server = websocket(b"").await;
    let mut proxy = Proxy::start(config(), serving(&[server.address]));
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = proxy.connect().await;
        client.send(ASK).await;
        assert!(client.head().await.starts_with("HTTP/1.1 101 "));
        clients.push(client);
    }
    swap(&mut proxy, endpoint(server.address), async |_| {}).await;
    for client in &mut clients {
        client.send("still").await;
        assert_eq!(client.bytes(5).await, b"still");
    }
    assert_eq!(server.connections(), 100, "over the connections that they had");
}

#[tokio::test]
async fn a_slow_download_and_the_pool_live_through_a_thousand_tables() {
    let server = Server::answering(|request| {
        let length = if request.starts_with("GET /download ") { SWAPS * PIECE } else { 2 };
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "o".repeat(length))
    })
    .await;
    let mut proxy = Proxy::start(config(), serving(&[server.address]));
    let (mut slow, mut quick) = (proxy.connect().await, proxy.connect().await);
    slow.send(get("/download")).await;
    assert!(slow.head().await.starts_with("HTTP/1.1 200 "));
    swap(&mut proxy, endpoint(server.address), async |_| {
        assert_eq!(slow.bytes(PIECE).await.len(), PIECE);
        quick.send(get("/quick")).await;
        assert_eq!(quick.reply().await.body, b"oo");
    })
    .await;
    assert_eq!(server.connections(), 2, "one for the download, one that is used again and again");
}

#[tokio::test]
async fn streams_of_http_2_live_through_a_thousand_tables_on_both_sides() {
    const STREAMS: usize = 20;
    let server = Backend2::echo().await;
    let main = Endpoint { scheme: Scheme::H2c, ..endpoint(server.address) };
    let mut proxy = Proxy::start(config(), numbered(main.clone(), SWAPS));
    let mut client = Multi::connect(proxy.address).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let (response, upload) = client.open(request(Method::POST, "/").body(()).unwrap(), false).await;
        streams.push((upload, soon(response).await.unwrap().into_body()));
    }
    swap(&mut proxy, main, async |number| {
        let (upload, download) = &mut streams[number % STREAMS];
        let sent = Bytes::from(number.to_string());
        upload.send_data(sent.clone(), false).unwrap();
        assert_eq!(soon(download.data()).await.unwrap().unwrap(), sent);
        download.flow_control().release_capacity(sent.len()).unwrap();
    })
    .await;
    for (mut upload, mut download) in streams {
        upload.send_data(Bytes::new(), true).unwrap();
        assert!(soon(download.data()).await.is_none_or(|last| last.unwrap().is_empty()));
        let trailers = soon(download.trailers()).await.unwrap().unwrap();
        assert_eq!(trailers["x-connection"], "0", "over the connection that it had");
    }
    assert_eq!(server.heard(), STREAMS);
}

#[tokio::test]
async fn an_equal_table_is_no_new_table() {
    let server = Server::echo().await;
    let mut proxy = Proxy::start(config(), numbered(endpoint(server.address), 1));
    let version = proxy.publisher.version();
    for _ in 0..10 {
        assert!(!proxy.publisher.publish(numbered(endpoint(server.address), 1)));
    }
    assert_eq!(proxy.publisher.version(), version);
    assert!(proxy.publisher.publish(numbered(endpoint(server.address), 2)));
}
