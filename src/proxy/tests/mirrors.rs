//! Mirrors: what the copy's backend hears, and that the request itself never notices.

use super::*;
use crate::{
    model::{HeaderEdit, Retry, Share},
    route::Mirror,
};

fn mirror(share: Share, address: SocketAddr) -> Mirror {
    Mirror { share, target: backend(vec![endpoint(address)]) }
}

fn mirroring(main: SocketAddr, mirrors: Vec<Mirror>) -> Rule {
    Rule { mirrors, ..rule(backend(vec![endpoint(main)])) }
}

fn start(rule: Rule) -> Proxy {
    Proxy::start(config(), table(vec![("/", rule)]))
}

fn post(body: &str) -> String {
    format!("POST /p?q=1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn every_mirror_gets_the_request_as_the_backend_does() {
    let (main, one, two) = (Server::echo().await, Server::echo().await, Server::echo().await);
    let edit = HeaderEdit {
        set: vec![(http::HeaderName::from_static("x-set"), http::HeaderValue::from_static("1"))],
        ..HeaderEdit::default()
    };
    let mut one_rule = mirroring(main.address, vec![mirror(Share::ALL, one.address)]);
    let mut choice = Choice::new(1, backend(vec![endpoint(main.address)]), Vec::new());
    choice.mirrors = vec![mirror(Share::ALL, two.address)];
    one_rule.backends = Weighted::new(vec![choice]);
    one_rule.filters = vec![HttpFilter::RequestHeaders(edit)];
    let proxy = start(one_rule);
    for request in [
        get("/g"),
        post("hello"),
        "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".into(),
    ] {
        let reply = proxy.request(&request).await;
        assert_eq!(reply.status, 200);
    }
    until("both have heard all", || one.heard().len() == 3 && two.heard().len() == 3).await;
    assert_eq!(main.heard().len(), 3);
    for mirror in [one, two] {
        let heard = mirror.heard();
        let find = |start: &str| heard.iter().find(|request| request.starts_with(start)).unwrap().clone();
        assert_eq!(field(&find("GET /g "), "host"), Some("a.test"));
        assert_eq!(field(&find("GET /g "), "x-set"), Some("1"));
        assert!(find("POST /p?q=1 ").ends_with("\r\n\r\nhello"));
        assert!(find("PUT / ").contains("abc"), "{}", find("PUT / "));
    }
    let sent = r#"portolan_mirrored_requests_total{backend="default/b",result="sent"}"#;
    until("they are counted", || proxy.metric(sent) == Some(6.0)).await;
}

#[tokio::test]
async fn a_share_of_the_requests_is_copied() {
    let (main, copy) = (Server::echo().await, Server::echo().await);
    let half = Share::new(25, 50).unwrap();
    let proxy = start(mirroring(main.address, vec![mirror(half, copy.address)]));
    let mut client = proxy.connect().await;
    for number in 1..=400 {
        client.send(get("/")).await;
        assert_eq!(client.reply().await.status, 200, "{number}");
    }
    let result = |result: &str| {
        let series = format!(r#"portolan_mirrored_requests_total{{backend="default/b",result="{result}"}}"#);
        proxy.metric(&series).unwrap_or_default()
    };
    let counted = || result("sent") + result("dropped");
    until("about half is copied", || (140.0..260.0).contains(&counted())).await;
    let never = Share::new(0, 100).unwrap();
    let idle = Server::echo().await;
    let proxy = start(mirroring(main.address, vec![mirror(never, idle.address)]));
    assert_eq!(proxy.status("/").await, 200);
    assert_eq!((idle.connections(), proxy.metric("portolan_mirrored_requests_total")), (0, None));
}

#[tokio::test]
async fn a_mirror_that_fails_or_hangs_is_not_noticed() {
    let main = Server::echo().await;
    let silent = Server::start(|mut client, _, _| async move {
        client.rest().await;
    })
    .await;
    let closed = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    let nowhere = Mirror { share: Share::ALL, target: Target::Invalid("there is no `x`".into()) };
    let nobody = Mirror { share: Share::ALL, target: backend(Vec::new()) };
    let mirrors = vec![mirror(Share::ALL, silent.address), mirror(Share::ALL, closed), nowhere, nobody];
    let proxy = start(mirroring(main.address, mirrors));
    let mut client = proxy.connect().await;
    // More than may be under way at once.
    for _ in 0..200 {
        client.send(post("x")).await;
        assert_eq!(client.reply().await.status, 200);
    }
    assert_eq!(main.heard().len(), 200);
    let dropped = r#"portolan_mirrored_requests_total{backend="default/b",result="dropped"}"#;
    assert!(proxy.metric(dropped).is_some_and(|dropped| dropped > 100.0), "they are bounded");
    assert!(silent.connections() <= 64, "{}", silent.connections());
}

#[tokio::test]
async fn a_long_body_is_not_copied_and_a_retry_makes_no_second_copy() {
    let (main, copy) = (Server::echo().await, Server::echo().await);
    let proxy = start(mirroring(main.address, vec![mirror(Share::ALL, copy.address)]));
    for framing in ["length", "chunks"] {
        let body = "x".repeat((256 << 10) + 1);
        let request = match framing {
            "length" => post(&body),
            _ => format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            ),
        };
        assert_eq!(proxy.request(&request).await.status, 200, "{framing}");
    }
    let dropped = r#"portolan_mirrored_requests_total{backend="default/b",result="dropped"}"#;
    until("both are dropped", || proxy.metric(dropped) == Some(2.0)).await;
    assert_eq!(copy.connections(), 0);

    let failing = Server::answering(|_| "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n".to_owned()).await;
    let retry = Retry { codes: vec![500], attempts: 2, backoff: Duration::ZERO };
    let retry = Some(Arc::new(retry));
    let proxy = start(Rule { retry, ..mirroring(failing.address, vec![mirror(Share::ALL, copy.address)]) });
    assert_eq!(proxy.request(&post("hello")).await.status, 500);
    assert_eq!(failing.heard().len(), 3);
    let sent = r#"portolan_mirrored_requests_total{backend="default/b",result="sent"}"#;
    until("one is sent", || proxy.metric(sent) == Some(1.0)).await;
    assert_eq!(copy.heard().len(), 1);
}
