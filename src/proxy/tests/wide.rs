//! WebSockets to backends that speak HTTP/2 (RFC 8441), and to those of them that do not let clients open any so.

use http::{Response, StatusCode};

use super::{
    h2c::{Backend2, Call, serving_h2c},
    upgrades::ASK,
    *,
};

/// The key of RFC 6455's example instead of the usual one.
fn ask() -> String {
    ASK.replace("Sec-WebSocket-Key: x", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
}

/// Takes WebSockets under `/ws`, and sends back what comes by them.
async fn server() -> Backend2 {
    server_at(TcpListener::bind(asked()).await.unwrap())
}

fn server_at(listener: TcpListener) -> Backend2 {
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol();
    Backend2::start_at(listener, builder, |mut call: Call| async move {
        if call.head.uri().path() == "/ws" {
            let mut stream = call.reply.send_response(Response::new(()), false).unwrap();
            stream.send_data("early".into(), false).unwrap();
            while let Some(Ok(data)) = call.body.data().await {
                call.body.flow_control().release_capacity(data.len()).unwrap();
                if stream.send_data(data, false).is_err() {
                    return;
                }
            }
            let _ = stream.send_data("bye".into(), true);
        } else {
            let refused = Response::builder().status(StatusCode::FORBIDDEN).body(()).unwrap();
            let mut stream = call.reply.send_response(refused, false).unwrap();
            let _ = stream.send_data("not here".into(), true);
        }
    })
}

#[tokio::test]
async fn a_websocket_passes_by_http2_in_both_directions() {
    let server = server().await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(ask()).await;
    let answer = client.head().await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert_eq!(field(&answer, "upgrade"), Some("websocket"));
    assert_eq!(field(&answer, "connection"), Some("upgrade"));
    assert_eq!(field(&answer, "sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(client.bytes(5).await, b"early");
    {
        let heard = server.heard.lock().unwrap();
        let asked = &heard[0];
        assert_eq!((asked.method(), asked.uri().path()), (&http::Method::CONNECT, "/ws"));
        assert_eq!(asked.uri().authority().unwrap(), "a");
        assert_eq!(asked.extensions().get::<h2::ext::Protocol>().unwrap().as_str(), "websocket");
        for absent in ["sec-websocket-key", "upgrade", "connection", "host"] {
            assert_eq!(asked.headers().get(absent), None, "{asked:?}");
        }
        assert!(asked.headers().contains_key("x-forwarded-for"));
    }
    // More than any window.
    let much: Vec<u8> = (0..1_000_000_u32).map(|index| index.to_le_bytes()[0]).collect();
    let mut got = Vec::new();
    let (mut read, mut write) = tokio::io::split(client.stream);
    let (sent, ()) = soon(async {
        tokio::join!(write.write_all(&much), async {
            while got.len() < much.len() {
                assert!(tokio::io::AsyncReadExt::read_buf(&mut read, &mut got).await.unwrap() > 0);
            }
        })
    })
    .await;
    sent.unwrap();
    assert!(got == much, "it comes back as it was");
    until("the tunnel is counted", || {
        proxy.metric(r#"portolan_connections{listener="127.0.0.1:0",state="tunnel"}"#) == Some(1.0)
    })
    .await;
    write.shutdown().await.unwrap();
    let mut last = Vec::new();
    soon(tokio::io::AsyncReadExt::read_to_end(&mut read, &mut last)).await.unwrap();
    assert_eq!(last, b"bye");
    until("it is gone", || {
        proxy.metric(r#"portolan_connections{listener="127.0.0.1:0",state="tunnel"}"#) == Some(0.0)
    })
    .await;
}

#[tokio::test]
async fn a_refusal_is_an_answer_like_any_other() {
    let server = server().await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let reply = proxy.request(&ask().replace("/ws", "/no")).await;
    assert_eq!((reply.status, &*reply.body), (403, &b"8\r\nnot here\r\n0\r\n\r\n"[..]));
    let mut client = proxy.connect().await;
    client.send(ask()).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "), "another one is let through");
}

#[tokio::test]
async fn a_connection_that_breaks_says_nothing_of_the_next_one() {
    let listener = TcpListener::bind(asked()).await.unwrap();
    let proxy = Proxy::start(config(), serving_h2c(&[listener.local_addr().unwrap()]));
    let mut client = proxy.connect().await;
    client.send(ask()).await;
    // Whatever is tried: nobody is there yet.
    let refused = async {
        loop {
            drop(listener.accept().await.unwrap());
        }
    };
    let answer = tokio::select! {
        answer = client.head() => answer,
        () = refused => unreachable!("it never ends"),
    };
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    let _server = server_at(listener);
    let mut client = proxy.connect().await;
    client.send(ask()).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.bytes(5).await, b"early");
}

#[tokio::test]
async fn a_backend_that_announces_nothing_is_asked_by_http1() {
    let agree = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    // Speaks both, like many a server with prior knowledge of HTTP/2, or HTTP/1 only.
    for speaks_both in [true, false] {
        let server = Server::start(move |mut client, heard, _| async move {
            while client.read.len() < 3 {
                if client.more().await == 0 {
                    return;
                }
            }
            if !client.read.starts_with(b"PRI") {
                let asked = client.head().await;
                heard.lock().unwrap().push(asked);
                client.stream.write_all(agree.as_bytes()).await.unwrap();
            } else if speaks_both {
                // Empty settings, and the answer to a ping.
                client.bytes(24).await;
                client.stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
                loop {
                    let frame = client.bytes(9).await;
                    let body = client.bytes(usize::from(frame[2])).await;
                    if frame[3] == 6 {
                        let pong = [&[0, 0, 8, 6, 1, 0, 0, 0, 0], &body[..]].concat();
                        client.stream.write_all(&pong).await.unwrap();
                        break;
                    }
                }
            } else {
                let refusal = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
                client.stream.write_all(refusal).await.unwrap();
                return;
            }
            client.rest().await;
        })
        .await;
        let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
        for connections in [2, 3] {
            let mut client = proxy.connect().await;
            client.send(ask()).await;
            assert!(client.head().await.starts_with("HTTP/1.1 101 "));
            // What was found out is not asked for again.
            assert_eq!(server.connections(), connections, "speaks both: {speaks_both}");
        }
        let asked = server.heard().remove(0);
        assert_eq!(field(&asked, "sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    }
}
