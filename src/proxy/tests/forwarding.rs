//! What a backend and a client get to see of an ordinary exchange.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use super::*;
use crate::model::{HeaderEdit, Redirect, Rewrite};

#[tokio::test]
async fn a_request_reaches_the_backend_and_its_answer_the_client() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let reply = proxy
        .request("POST /a/../b?q=%20 HTTP/1.1\r\nHost: A.test:81\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello")
        .await;
    assert_eq!(reply.status, 200);
    let heard = &server.heard()[0];
    assert!(heard.starts_with("POST /b?q=%20 HTTP/1.1\r\n"), "{heard}");
    assert!(heard.ends_with("\r\n\r\nhello"), "{heard}");
    for line in [
        "host: A.test:81",
        "content-length: 5",
        "x-a: b",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: A.test:81",
        "x-forwarded-port: 80",
        "x-forwarded-proto: http",
        "x-real-ip: 127.0.0.1",
    ] {
        assert!(heard.contains(&format!("\r\n{line}\r\n")), "{line} is missing in {heard}");
    }
    assert_eq!(field(heard, "x-request-id").unwrap().len(), 32);
    assert_eq!(reply.body, heard.as_bytes());
}

#[tokio::test]
async fn connections_are_used_again_on_both_sides() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    for _ in 0..5 {
        client.send(get("/")).await;
        assert_eq!(client.reply().await.status, 200);
    }
    assert_eq!(proxy.status("/").await, 200);
    assert_eq!((server.heard().len(), server.connections()), (6, 1));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(get("/1") + &get("/2") + &get("/3")).await;
    for path in ["/1", "/2", "/3"] {
        let body = client.reply().await.body;
        assert!(body.starts_with(format!("GET {path} ").as_bytes()));
    }
}

#[tokio::test]
async fn fields_of_one_hop_reach_neither_side() {
    let server = Server::answering(|_| {
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         Content-Length: 0\r\nX-End: 2\r\n\r\n"
            .to_owned()
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let reply = proxy
        .request(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Mine, X-Forwarded-For\r\nX-Mine: 1\r\n\
             X-Forwarded-For: 6.6.6.6\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nProxy: y\r\n\r\n",
        )
        .await;
    assert!(
        field(&reply.head, "x-hop").is_none() && field(&reply.head, "keep-alive").is_none(),
        "{}",
        reply.head
    );
    assert_eq!(field(&reply.head, "x-end"), Some("2"));
    let heard = &server.heard()[0];
    for name in ["x-mine", "upgrade", "http2-settings", "proxy", "connection"] {
        assert!(field(heard, name).is_none(), "{name} in {heard}");
    }
    assert_eq!(field(heard, "te"), Some("trailers"));
    assert_eq!(field(heard, "x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let server = Server::echo().await;
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let proxy = Proxy::start(Config { trusted_proxies, ..config() }, serving(&[server.address]));
    proxy
        .request(
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
             X-Request-Id: mine\r\n\r\n",
        )
        .await;
    let heard = &server.heard()[0];
    assert_eq!(field(heard, "x-forwarded-for"), Some("192.0.2.1, 127.0.0.1"));
    assert_eq!(field(heard, "x-real-ip"), Some("192.0.2.1"));
    assert_eq!(field(heard, "x-forwarded-proto"), Some("https"));
    assert_eq!(field(heard, "x-request-id"), Some("mine"));
}

#[tokio::test]
async fn filters_of_the_rule_and_of_the_backend_are_applied() {
    let server = Server::echo().await;
    let set = |name: &'static str, value: &'static str| HeaderEdit {
        set: vec![(HeaderName::from_static(name), HeaderValue::from_static(value))],
        ..HeaderEdit::default()
    };
    let filters = vec![
        HttpFilter::RequestHeaders(set("x-both", "rule")),
        HttpFilter::Rewrite(Rewrite {
            hostname: Some(crate::model::Host::parse("inside.test").unwrap()),
            path: Some(crate::model::PathEdit::ReplacePrefix("/new".into())),
        }),
        HttpFilter::ResponseHeaders(set("x-out", "rule")),
    ];
    let inner = vec![HttpFilter::RequestHeaders(set("x-both", "backend"))];
    let mut one = rule(backend(Vec::new()));
    one.filters = filters;
    one.backends = Weighted::new(vec![Choice::new(1, backend(vec![endpoint(server.address)]), inner)]);
    let proxy = Proxy::start(config(), table(vec![("/old", one)]));
    let reply = proxy.request(&get("/old/x?y=z")).await;
    assert_eq!(field(&reply.head, "x-out"), Some("rule"));
    let heard = &server.heard()[0];
    assert!(heard.starts_with("GET /new/x?y=z HTTP/1.1\r\n"), "{heard}");
    assert_eq!(field(heard, "host"), Some("inside.test"));
    assert_eq!(field(heard, "x-forwarded-host"), Some("a.test"));
    assert_eq!(field(heard, "x-both"), Some("backend"));
}

#[tokio::test]
async fn a_redirect_asks_no_backend() {
    let server = Server::echo().await;
    let redirect = Redirect {
        scheme: Some("https"),
        hostname: None,
        path: None,
        port: None,
        status: StatusCode::MOVED_PERMANENTLY,
    };
    let proxy = Proxy::start(config(), filtered(server.address, vec![HttpFilter::Redirect(redirect)]));
    let reply = proxy.request(&get("/x?y")).await;
    assert_eq!((reply.status, field(&reply.head, "location")), (301, Some("https://a.test/x?y")));
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn each_mistake_has_its_status() {
    let invalid = Rule { invalid: Some("`x` is unknown".into()), ..rule(backend(Vec::new())) };
    let none = Rule { backends: Weighted::default(), ..rule(backend(Vec::new())) };
    let weightless = Rule {
        backends: Weighted::new(vec![Choice::new(0, backend(Vec::new()), Vec::new())]),
        ..none.clone()
    };
    let closed = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start(
        config(),
        table(vec![
            ("/invalid", invalid),
            ("/reference", rule(Target::Invalid("there is no `x`".into()))),
            ("/none", none),
            ("/weightless", weightless),
            ("/empty", rule(backend(Vec::new()))),
            ("/closed", rule(backend(vec![endpoint(closed)]))),
        ]),
    );
    for (path, status) in [
        ("/invalid", 500),
        ("/reference", 500),
        ("/none", 500),
        ("/weightless", 500),
        ("/empty", 503),
        ("/closed", 502),
        ("/other", 404),
        ("/a%2Fb", 400),
    ] {
        assert_eq!(proxy.status(path).await, status, "{path}");
    }
    let reply = proxy.request(&get("/empty")).await;
    assert_eq!(field(&reply.head, "retry-after"), Some("1"));
    assert_eq!(field(&reply.head, "cache-control"), Some("no-store"));
    let page = String::from_utf8(reply.body).unwrap();
    assert!(page.contains(field(&reply.head, "x-request-id").unwrap()) && !page.contains('`'), "{page}");
}

#[tokio::test]
async fn weights_decide_and_an_invalid_backend_keeps_its_share() {
    let server = Server::echo().await;
    let choices = vec![
        Choice::new(3, backend(vec![endpoint(server.address)]), Vec::new()),
        Choice::new(1, Target::Invalid("there is no `x`".into()), Vec::new()),
    ];
    let one = Rule { backends: Weighted::new(choices), ..rule(backend(Vec::new())) };
    let proxy = Proxy::start(config(), table(vec![("/", one)]));
    let mut client = proxy.connect().await;
    let mut failed = 0;
    for _ in 0..1000 {
        client.send(get("/")).await;
        failed += usize::from(client.reply().await.status == 500);
    }
    assert!((180..320).contains(&failed), "{failed} of 1000");
}

#[tokio::test]
async fn endpoints_take_turns() {
    let servers = [Server::echo().await, Server::echo().await, Server::echo().await];
    let proxy = Proxy::start(config(), serving(&servers.each_ref().map(|server| server.address)));
    for _ in 0..9 {
        assert_eq!(proxy.status("/").await, 200);
    }
    assert_eq!(servers.map(|server| server.heard().len()), [3, 3, 3]);
}

#[tokio::test]
async fn an_endpoint_that_refuses_costs_nothing_but_a_retry() {
    let server = Server::echo().await;
    let closed = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start(config(), serving(&[closed, server.address]));
    for _ in 0..4 {
        let reply = proxy.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok").await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!(server.heard().len(), 4);
    assert_eq!(proxy.metric(r#"portolan_retries_total{backend="default/b"}"#), Some(2.0));
}

#[tokio::test]
async fn a_pooled_connection_that_has_died_is_replaced_without_a_trace() {
    // Closes each connection right after its first answer, without saying so.
    let server = Server::start(|mut client, heard, _| async move {
        if let Some(request) = client.request().await {
            heard.lock().unwrap().push(request);
            client.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    for method in ["GET", "GET", "PUT", "DELETE", "GET", "HEAD", "GET"] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(client.reply().await.status, 200, "{method}");
    }
    assert_eq!(server.heard().len(), 7);
}

#[tokio::test]
async fn a_pooled_connection_is_closed_as_soon_as_the_backend_has_closed_it() {
    // Says goodbye after its answer, and then how long it took to be answered.
    let server = Server::start(|mut client, heard, _| async move {
        if client.request().await.is_some() {
            client.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            client.stream.shutdown().await.unwrap();
            let closed = tokio::time::Instant::now();
            assert_eq!(client.stream.read(&mut [0]).await.unwrap(), 0);
            heard.lock().unwrap().push(closed.elapsed().as_millis().to_string());
        }
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    for round in 1..=7 {
        assert_eq!(proxy.status("/").await, 200);
        until("closed", || server.heard().len() == round).await;
    }
    let mut times: Vec<u64> = server.heard().iter().map(|time| time.parse().unwrap()).collect();
    times.sort_unstable();
    // A worker's tick, which would find it too, is 250 ms long.
    assert!(times[3] < 60, "{times:?}");
}

#[tokio::test]
async fn what_may_not_be_repeated_is_not() {
    // Reads the request and hangs up.
    let server = Server::start(|mut client, heard, _| async move {
        if let Some(request) = client.request().await {
            heard.lock().unwrap().push(request);
        }
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let reply = proxy.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!((reply.status, server.heard().len()), (502, 1));
    assert_eq!(proxy.status("/").await, 502);
    assert_eq!(server.heard().len(), 4, "a GET is tried three times");
    assert_eq!(
        proxy.metric(r#"portolan_upstream_errors_total{backend="default/b",kind="reset"}"#),
        Some(4.0)
    );
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_bad_gateway() {
    for answer in
        ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 2x OK\r\n\r\n"]
    {
        let server = Server::answering(|_| answer.to_owned()).await;
        let proxy = Proxy::start(config(), serving(&[server.address]));
        assert_eq!(proxy.status("/").await, 502, "{answer}");
    }
}

#[tokio::test]
async fn a_backend_that_takes_too_long_is_a_gateway_timeout() {
    let server = Server::start(|mut client, _, _| async move {
        client.request().await;
        client.rest().await;
    })
    .await;
    let limit = Some(Duration::from_millis(30));
    let long = Some(Duration::from_mins(1));
    let timed = |request, backend_request| {
        let timeouts = Timeouts { request, backend_request };
        Rule { timeouts, ..rule(backend(vec![endpoint(server.address)])) }
    };
    let proxy =
        Proxy::start(config(), table(vec![("/request", timed(limit, None)), ("/try", timed(long, limit))]));
    assert_eq!(proxy.status("/request").await, 504);
    assert_eq!(proxy.status("/try").await, 504);
}

#[tokio::test]
async fn answers_without_a_body_are_told_as_such() {
    let server = Server::answering(|request| {
        let status = if request.contains("/204") { "204 No Content" } else { "304 Not Modified" };
        let status = if request.starts_with("HEAD") { "200 OK" } else { status };
        let length = if request.starts_with("HEAD") { "Content-Length: 1234\r\n" } else { "" };
        format!("HTTP/1.1 {status}\r\nETag: x\r\n{length}\r\n")
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    for (request, status) in [("GET /204", 204), ("GET /304", 304), ("HEAD /", 200), ("GET /204", 204)] {
        client.send(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let head = client.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(field(&head, "etag"), Some("x"));
        assert!(field(&head, "transfer-encoding").is_none(), "{head}");
        assert_eq!(field(&head, "content-length"), (status == 200).then_some("1234"), "{head}");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_old_client_gets_an_answer_it_understands() {
    let server = Server::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_owned()
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
    assert!(field(&server.heard()[0], "host").is_some());
}

#[tokio::test]
async fn metrics_count_by_route_backend_status_and_method() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    proxy.request(&get("/")).await;
    proxy.request("BREW / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let series = |method: &str| {
        format!(
            r#"portolan_http_requests_total{{backend="default/b",code="200",listener="default/web/http",method="{method}",route="default/r"}}"#
        )
    };
    until("both are counted", || {
        proxy.metric(&series("GET")) == Some(1.0) && proxy.metric(&series("OTHER")) == Some(1.0)
    })
    .await;
    assert!(proxy.metric(r#"portolan_bytes_total{direction="in"}"#).unwrap() > 50.0);
}

#[tokio::test]
async fn the_series_of_a_route_that_is_gone_are_forgotten() {
    let server = Server::echo().await;
    let mut proxy = Proxy::start(config(), serving(&[server.address]));
    assert_eq!(proxy.status("/").await, 200);
    let is_known = |proxy: &Proxy| proxy.metrics.render().contains(r#"route="default/r""#);
    until("it is counted", || is_known(&proxy)).await;
    proxy.publisher.publish(Table::default());
    proxy.metrics.retain(&crate::telemetry::metrics::LiveNames::default());
    assert!(!is_known(&proxy));
    assert_eq!(proxy.status("/").await, 404);
}
