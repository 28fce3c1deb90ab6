//! Bodies of many small pieces over HTTP/2, as streams of gRPC are: they pass in bursts, and floods of nothing do not.

use super::{
    frames::wire::{
        ACK, DATA, END_HEADERS, Frames, HEADERS, SETTINGS, WHOLE, block, frame, getting, posting,
    },
    h2c::{Backend2, Call, serving_h2c},
    http2::Multi,
    *,
};

/// As many messages of 10 bytes as the window of a stream has room for.
const MESSAGES: usize = (256 << 10) / 10;

/// Takes nothing of a body, but for requests that ask for an echo.
async fn stalled() -> Backend2 {
    Backend2::start(async |call: Call| match call.head.uri().path() {
        "/echo" => call.echo().await,
        _ => std::future::pending().await,
    })
    .await
}

#[tokio::test]
async fn a_client_may_fill_the_window_with_small_pieces_whether_they_are_read_or_not() {
    let server = stalled().await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = Frames::connect(&proxy).await;
    // From here on the windows are what is set.
    assert!(client.send(frame(SETTINGS, ACK, 0, &[])).await && client.settle().await);
    // A quarter of as many may wait beside the first ones, however slowly they are read.
    for (stream, path, messages) in [(1, "/stalled", MESSAGES), (3, "/echo", MESSAGES / 4)] {
        client.send(frame(HEADERS, END_HEADERS, stream, &block(&posting(path)))).await;
        let burst = frame(DATA, 0, stream, b"0123456789").repeat(messages);
        assert!(client.send(burst).await && client.settle().await, "{path}");
    }
    client.send(frame(HEADERS, WHOLE, 5, &block(&getting("/echo")))).await;
    assert_eq!(client.fate(5).await, "200");
}

#[tokio::test]
async fn a_flood_of_empty_pieces_ends_the_connection() {
    let server = Backend2::echo().await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = Frames::connect(&proxy).await;
    client.send(frame(HEADERS, END_HEADERS, 1, &block(&posting("/")))).await;
    let mut sent = 0;
    while client.send(frame(DATA, 0, 1, b"").repeat(100)).await {
        sent += 1;
        assert!(sent < 100_000, "it never ends");
    }
    let counted = r#"portolan_limits_reached_total{limit="frames"}"#;
    until("it is counted", || proxy.metric(counted) == Some(1.0)).await;
}

#[tokio::test]
async fn clients_that_do_not_read_small_pieces_cost_others_nothing() {
    let server = Backend2::start(async |mut call: Call| {
        if call.head.uri().path() != "/pieces" {
            return call.echo().await;
        }
        let mut body = call.reply.send_response(http::Response::new(()), false).unwrap();
        for _ in 0..MESSAGES + 7_000 {
            body.send_data(bytes::Bytes::from_static(b"0123456789"), false).unwrap();
        }
        std::future::poll_fn(|cx| body.poll_reset(cx)).await.unwrap();
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut idle = Frames::connect(&proxy).await;
    for stream in [1, 3, 5] {
        idle.send(frame(HEADERS, WHOLE, stream, &block(&getting("/pieces")))).await;
        assert_eq!(idle.fate(stream).await, "200");
    }
    let mut other = Multi::connect(proxy.address).await;
    for _ in 0..100 {
        let answer = other.get("/").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.trailers.unwrap()["x-connection"], "0", "another connection");
    }
}

#[tokio::test]
async fn a_backend_that_floods_with_empty_pieces_loses_its_connection() {
    let server = Server::start(|mut client, heard, _| async move {
        let has_head = |read: &[u8]| {
            let mut rest = read.get(24..).unwrap_or_default();
            while let Some((head, behind)) = rest.split_first_chunk::<9>() {
                if head[3] == HEADERS {
                    return true;
                }
                rest = behind.get(usize::from(head[2])..).unwrap_or_default();
            }
            false
        };
        client.send(frame(SETTINGS, 0, 0, &[])).await;
        while !has_head(&client.read) {
            if client.more().await == 0 {
                return;
            }
        }
        client.send(frame(HEADERS, END_HEADERS, 1, &[0x88])).await;
        let flood = frame(DATA, 0, 1, b"").repeat(100);
        for _ in 0..100_000 {
            if soon(client.stream.write_all(&flood)).await.is_err() {
                heard.lock().unwrap().push("closed".to_owned());
                return;
            }
        }
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(get("/")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    until("it is closed", || server.heard() == ["closed"]).await;
}
