//! The PROXY protocol in front of HTTP: who is believed, what the backend hears, and who is shown the door.

use super::*;
use crate::model::{BackendPolicy, Connections, ProxyProtocol};

fn introduced_by(trusted: &str) -> Config {
    let trusted_proxies = vec![trusted.parse().unwrap()];
    Config { proxy_protocol: vec![asked().port()], trusted_proxies, ..config() }
}

fn binary(command: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, 0x11], &length, body].concat()
}

const V4: [u8; 12] = [192, 0, 2, 7, 127, 0, 0, 1, 1, 0, 0, 80];

#[tokio::test]
async fn the_backend_hears_of_the_client_and_not_of_the_balancer() {
    let server = Server::echo().await;
    let proxy = Proxy::start(introduced_by("127.0.0.0/8"), serving(&[server.address]));
    let with_extension = [&V4[..], &[0xea, 0, 2, 1, 2]].concat();
    for (header, client) in [
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 1 80\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 1 80\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (binary(0x21, &V4), "192.0.2.7"),
        (binary(0x21, &with_extension), "192.0.2.7"),
        (binary(0x20, &[]), "127.0.0.1"),
    ] {
        // Whole, and in the smallest pieces that a network can make of it.
        for pieces in [header.len(), 1] {
            let mut one = proxy.connect().await;
            one.stream.set_nodelay(true).unwrap();
            for piece in header.chunks(pieces) {
                one.send(piece).await;
                tokio::task::yield_now().await;
            }
            one.send(get("/") + &get("/again")).await;
            for _ in 0..2 {
                let reply = one.reply().await;
                assert_eq!(reply.status, 200);
                let heard = String::from_utf8(reply.body).unwrap();
                assert_eq!(field(&heard, "x-real-ip"), Some(client), "{heard}");
                assert_eq!(field(&heard, "x-forwarded-for"), Some(client), "{heard}");
            }
        }
    }
}

#[tokio::test]
async fn where_a_header_names_nobody_the_client_cannot_name_itself() {
    let server = Server::echo().await;
    let proxy = Proxy::start(introduced_by("127.0.0.1"), serving(&[server.address]));
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
        // LOCAL, unspecified, Unix.
        [&signature[..], &[0x20, 0, 0, 0]].concat(),
        [&signature[..], &[0x21, 0, 0, 0]].concat(),
        [&signature[..], &[0x21, 0x31, 0, 216], &[b'/'; 216]].concat(),
    ] {
        let mut one = proxy.connect().await;
        one.send(header).await;
        one.send(
            "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 8.8.8.8\r\nX-Forwarded-Proto: https\r\n\
             Forwarded: for=8.8.8.8\r\nX-Request-Id: mine\r\n\r\n",
        )
        .await;
        let heard = String::from_utf8(one.reply().await.body).unwrap();
        for (name, value) in [
            ("x-real-ip", Some("127.0.0.1")),
            ("x-forwarded-for", Some("127.0.0.1")),
            ("x-forwarded-proto", Some("http")),
            ("forwarded", None),
        ] {
            assert_eq!(field(&heard, name), value, "{name} in {heard}");
        }
        assert_ne!(field(&heard, "x-request-id"), Some("mine"));
    }
}

#[tokio::test]
async fn header_and_request_in_one_piece_are_told_apart() {
    let server = Server::echo().await;
    let proxy = Proxy::start(introduced_by("127.0.0.1"), serving(&[server.address]));
    for header in [b"PROXY TCP4 192.0.2.7 127.0.0.1 1 80\r\n".to_vec(), binary(0x21, &V4)] {
        let mut one = proxy.connect().await;
        one.send([&header[..], get("/").as_bytes()].concat()).await;
        assert_eq!(one.reply().await.status, 200);
    }
}

#[tokio::test]
async fn whoever_is_not_introduced_is_closed_and_counted() {
    let server = Server::echo().await;
    let proxy = Proxy::start(introduced_by("127.0.0.1"), serving(&[server.address]));
    let refused = |reason: &str| {
        proxy.metric(&format!(r#"portolan_proxy_protocol_refused_total{{reason="{reason}"}}"#))
    };
    for (bytes, reason) in [
        (get("/").into_bytes(), "missing"),
        (b"PROXY TCP4 nonsense\r\n".to_vec(), "invalid"),
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 1 80\n".to_vec(), "invalid"),
        ([b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(), "invalid"),
        (binary(0x31, &V4), "invalid"),
        (binary(0x21, &V4[..5]), "invalid"),
        ([binary(0x21, &[])[..14].to_vec(), vec![0xff, 0xff], vec![0; 5000]].concat(), "invalid"),
    ] {
        let before = refused(reason).unwrap_or_default();
        let mut one = proxy.connect().await;
        // It may be closed before it has heard all.
        let _ = one.stream.write_all(&bytes).await;
        assert_eq!(one.rest().await, b"", "{reason}");
        until("it is counted", || refused(reason) == Some(before + 1.0)).await;
    }
    assert_eq!(server.heard().len(), 0);

    let stranger = Proxy::start(introduced_by("10.0.0.0/8"), serving(&[server.address]));
    let mut one = stranger.connect().await;
    let _ = one.stream.write_all(b"PROXY TCP4 192.0.2.7 127.0.0.1 1 80\r\n").await;
    assert_eq!(one.rest().await, b"");
    let untrusted = r#"portolan_proxy_protocol_refused_total{reason="untrusted"}"#;
    until("it is counted", || stranger.metric(untrusted) == Some(1.0)).await;
}

#[tokio::test]
async fn a_header_that_does_not_come_is_not_waited_for_for_ever() {
    let server = Server::echo().await;
    let limits = crate::proxy::Limits { head_timeout: Duration::from_millis(100), ..config().limits };
    let proxy = Proxy::start(Config { limits, ..introduced_by("127.0.0.1") }, serving(&[server.address]));
    for start in [&b""[..], b"PROXY TC", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c123"] {
        let mut one = proxy.connect().await;
        one.send(start).await;
        assert_eq!(one.rest().await, b"");
    }
    let late = r#"portolan_proxy_protocol_refused_total{reason="late"}"#;
    until("they are counted", || proxy.metric(late) == Some(3.0)).await;
}

#[tokio::test]
async fn a_backend_that_asks_for_it_is_told_of_each_client_by_a_connection_of_its_own() {
    for (version, start) in [
        (ProxyProtocol::V1, &b"PROXY TCP4 127.0.0.1 0.0.0.0 0 80\r\n"[..]),
        (ProxyProtocol::V2, &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\0\0\0\0\0\0\0\x50"[..]),
    ] {
        let server = Server::start(move |mut client, heard, _| async move {
            while client.read.len() < start.len() && client.more().await > 0 {}
            let header: Vec<u8> = client.read.drain(..start.len().min(client.read.len())).collect();
            assert_eq!(header, start);
            while let Some(request) = client.request().await {
                heard.lock().unwrap().push(request);
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
        })
        .await;
        let connections = Connections { proxy_protocol: Some(version), ..Connections::default() };
        let policy = Arc::new(BackendPolicy { connections, ..BackendPolicy::default() });
        let endpoints = vec![endpoint(server.address)];
        let told = Backend { name: "default/b".into(), endpoints, policy, reason: "".into() };
        let told = rule(Target::Backend(Arc::new(told)));
        let proxy = Proxy::start(config(), table(vec![("/", told)]));
        let mut one = proxy.connect().await;
        for _ in 0..3 {
            one.send(get("/")).await;
            assert_eq!(one.reply().await.status, 200);
        }
        assert_eq!((server.heard().len(), server.connections()), (3, 3));
    }
}

#[tokio::test]
async fn another_port_takes_no_such_header() {
    let server = Server::echo().await;
    let proxy = Proxy::start(
        Config { proxy_protocol: vec![1], ..introduced_by("127.0.0.1") },
        serving(&[server.address]),
    );
    let mut one = proxy.connect().await;
    one.send("PROXY TCP4 192.0.2.7 127.0.0.1 1 80\r\n".to_owned() + &get("/")).await;
    assert_eq!(one.reply().await.status, 400);
    assert_eq!(proxy.status("/").await, 200);
}
