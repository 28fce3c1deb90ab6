//! WebSockets pass, and nothing else is smuggled through a switch of protocols.

use http::{HeaderName, HeaderValue};

use super::*;
use crate::model::{HeaderEdit, Session, SessionCarrier};

pub(super) const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: x\r\n\r\n";
const AGREE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Accept: y\r\n\r\n";

/// Agrees to switch, says `early` at once, and sends back what it gets.
pub(super) async fn websocket(early: &'static [u8]) -> Server {
    Server::start(move |mut client, heard, _| async move {
        let head = client.head().await;
        heard.lock().unwrap().push(head);
        client.stream.write_all(&[AGREE, early].concat()).await.unwrap();
        while client.more().await > 0 {
            let bytes = std::mem::take(&mut client.read);
            heard.lock().unwrap().push(String::from_utf8(bytes.clone()).unwrap());
            if client.stream.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // The client's end is passed on; ours comes after a last word.
        let _ = client.stream.write_all(b"bye").await;
    })
    .await
}

#[tokio::test]
async fn a_websocket_passes_in_both_directions() {
    let server = websocket(b"early").await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(ASK).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(field(&head, "upgrade"), Some("websocket"));
    assert_eq!(field(&head, "connection"), Some("upgrade"));
    assert_eq!(field(&head, "sec-websocket-accept"), Some("y"));
    assert_eq!(client.bytes(5).await, b"early");
    let asked = server.heard()[0].clone();
    assert_eq!((field(&asked, "upgrade"), field(&asked, "connection")), (Some("websocket"), Some("upgrade")));
    assert_eq!(field(&asked, "sec-websocket-key"), Some("x"));
    client.send("\x01\n\0ping").await;
    assert_eq!(client.bytes(7).await, b"\x01\n\0ping");
    until("the tunnel is counted", || {
        proxy.metric(r#"portolan_connections{listener="127.0.0.1:0",state="tunnel"}"#) == Some(1.0)
    })
    .await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b"bye");
    until("it is gone", || {
        proxy.metric(r#"portolan_connections{listener="127.0.0.1:0",state="tunnel"}"#) == Some(0.0)
    })
    .await;
}

#[tokio::test]
async fn bytes_that_come_before_the_answer_wait_for_it() {
    let server = Server::start(|mut client, heard, _| async move {
        let head = client.head().await;
        heard.lock().unwrap().push(head);
        // Whatever of the early bytes had been sent would be here by the time that the next request is.
        client.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
        let rest = client.rest().await;
        heard.lock().unwrap().push(String::from_utf8(rest).unwrap());
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(ASK.to_owned() + &get("/smuggled")).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, &*reply.body), (200, &b"no"[..]));
    assert_eq!(field(&reply.head, "connection"), Some("close"));
    assert!(client.rest().await.is_empty());
    drop(proxy);
    until("the backend's connection has ended", || server.heard().len() == 2).await;
    assert_eq!(server.heard()[1], "");
}

#[tokio::test]
async fn early_bytes_follow_the_switch() {
    let server = websocket(b"").await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(ASK.to_owned() + "first").await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.bytes(5).await, b"first");
}

#[tokio::test]
async fn only_what_was_asked_for_is_switched_to() {
    let server = Server::start(|mut client, _, _| async move {
        client.head().await;
        client.stream.write_all(AGREE).await.unwrap();
        client.rest().await;
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    assert_eq!(proxy.status("/").await, 502, "nobody asked");
    let h2c = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
               HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    assert_eq!(proxy.request(h2c).await.status, 502, "the backend was not asked");
    let with_body = ASK.replace("Host: a\r\n", "Host: a\r\nContent-Length: 2\r\n") + "xx";
    assert_eq!(proxy.request(&with_body).await.status, 400);
    let without_connection = ASK.replace("keep-alive, Upgrade", "keep-alive");
    assert_eq!(proxy.request(&without_connection).await.status, 502);
}

#[tokio::test]
async fn a_switch_to_something_else_is_refused() {
    let server = Server::start(|mut client, _, _| async move {
        client.head().await;
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tls\r\n\r\n";
        client.stream.write_all(answer).await.unwrap();
        client.rest().await;
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    assert_eq!(proxy.request(ASK).await.status, 502);
}

#[tokio::test]
async fn a_tunnel_lives_through_new_tables() {
    let server = websocket(b"").await;
    let mut proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(ASK).await;
    client.head().await;
    let other = Server::echo().await;
    for _ in 0..20 {
        proxy.publisher.publish(serving(&[other.address]));
        proxy.publisher.publish(Table::default());
    }
    client.send("still").await;
    assert_eq!(client.bytes(5).await, b"still");
}

#[tokio::test]
async fn a_switch_is_edited_and_remembered_like_any_answer() {
    let server = websocket(b"").await;
    let edit = HeaderEdit {
        set: vec![(HeaderName::from_static("x-set"), HeaderValue::from_static("new"))],
        add: vec![(HeaderName::from_static("x-add"), HeaderValue::from_static("1"))],
        remove: vec![HeaderName::from_static("upgrade")],
    };
    let carrier = SessionCarrier::Cookie { name: "s".into(), path: "/".into(), is_permanent: false };
    let one = Rule {
        filters: vec![HttpFilter::ResponseHeaders(edit)],
        session: Some(Arc::new(Session { carrier, lifetime: None })),
        ..rule(backend(vec![endpoint(server.address)]))
    };
    let proxy = Proxy::start(config(), table(vec![("/", one)]));
    let mut client = proxy.connect().await;
    client.send(ASK).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!((field(&head, "x-set"), field(&head, "x-add")), (Some("new"), Some("1")), "{head}");
    assert_eq!((field(&head, "upgrade"), field(&head, "connection")), (Some("websocket"), Some("upgrade")));
    assert!(field(&head, "set-cookie").is_some_and(|cookie| cookie.starts_with("s=")), "{head}");
    client.send("ping").await;
    assert_eq!(client.bytes(4).await, b"ping");
}
