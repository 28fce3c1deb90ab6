//! Raw bytes that two parsers could read differently: refused, and nothing of them reaches the backend.

use super::*;

/// Sends `bytes` and gives all that comes back until the proxy closes.
async fn until_closed(proxy: &Proxy, bytes: &str) -> String {
    let mut client = proxy.connect().await;
    client.send(bytes).await;
    String::from_utf8(client.rest().await).unwrap()
}

fn statuses(answers: &str) -> Vec<&str> {
    answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect()
}

#[tokio::test]
async fn ambiguous_requests_are_refused_and_the_connection_closed() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for head in [
        "Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Host: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "Host: a\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n",
        "Host: a\r\nContent-Length: 0, 0\r\n\r\n",
        "Host: a\r\nContent-Length: +0\r\n\r\n",
        "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Host: a\r\nTransfer-Encoding: identity\r\n\r\n",
        "Host: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "Host: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Host: a\r\nX: y\r\n folded\r\n\r\n",
        "Host: a\r\nX: y\nZ: w\r\n\r\n",
        "Host: a\n\n",
        "Host: a\r\nX: y\rZ: w\r\n\r\n",
        "Host: a\r\nX: a\0b\r\n\r\n",
        "Host: a\r\nX Y: z\r\n\r\n",
        "Host: a\r\n: z\r\n\r\n",
        "Host: a\r\nHost: b\r\n\r\n",
        "Host: a\r\nHost: a\r\n\r\n",
        "Host: a, b\r\n\r\n",
        "Host: \r\n\r\n",
        "X: y\r\n\r\n",
        "Host : a\r\n\r\n",
    ] {
        let answers = until_closed(&proxy, &format!("POST / HTTP/1.1\r\n{head}{smuggled}")).await;
        assert_eq!(statuses(&answers), ["400"], "{head:?}");
    }
    assert!(server.heard().is_empty(), "{:?}", server.heard());
}

#[tokio::test]
async fn request_lines_that_are_no_such_are_refused() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    for line in [
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /",
        "GET / HTTP/1.2",
        "GET / http/1.1",
        "G@T / HTTP/1.1",
        "GET /#x HTTP/1.1",
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /a%2fb HTTP/1.1",
        "GET /a%5cb HTTP/1.1",
        "GET /a\\b HTTP/1.1",
        "GET /%00 HTTP/1.1",
        "GET /%zz HTTP/1.1",
        "GET http://b/ HTTP/1.1",
        "GET http://u:p@a/ HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        let answers = until_closed(&proxy, &format!("{line}\r\nHost: a\r\n\r\n{}", get("/smuggled"))).await;
        assert!(matches!(&statuses(&answers)[..], ["400"] | []), "{line}: {answers}");
    }
    for (line, status) in [("CONNECT a:80 HTTP/1.1", "405"), ("TRACE / HTTP/1.1", "405")] {
        let host = if status == "405" && line.starts_with('C') { "a:80" } else { "a" };
        let answers =
            until_closed(&proxy, &format!("{line}\r\nHost: {host}\r\n\r\n{}", get("/smuggled"))).await;
        assert_eq!(statuses(&answers), [status], "{line}");
    }
    assert!(server.heard().is_empty(), "{:?}", server.heard());
}

#[tokio::test]
async fn old_http_has_no_chunks() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let request = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answers = until_closed(&proxy, request).await;
    assert!(answers.starts_with("HTTP/1.1 400") || answers.starts_with("HTTP/1.0 400"), "{answers}");
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn a_bad_chunk_ends_the_request_on_both_sides() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    for chunks in [
        "x\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3;\nx\r\nabc\r\n0\r\n\r\n",
        "0\r\nA: b\n\r\n",
        // What follows the size of a last chunk must not be taken for the end of the body.
        "0;\n\r\n",
        "0;\r\r\n",
        "0;a\nb\r\n\r\n",
        "0;\0\r\n\r\n",
        "0;\u{80}\r\n\r\n",
        &format!("0;{}\r\n\r\n", "x".repeat(300)),
        "0\r\0\n\r\n",
    ] {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n{chunks}{}",
            get("/smuggled")
        );
        let answers = until_closed(&proxy, &request).await;
        assert_eq!(statuses(&answers), ["400"], "{chunks:?}");
    }
    assert!(server.heard().is_empty(), "{:?}", server.heard());
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_read_alike() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    for (text, status) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", "200"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: a\nContent-Length: 2\r\n\r\n", "400"),
    ] {
        let mut client = proxy.connect().await;
        client.stream.set_nodelay(true).unwrap();
        for byte in text.as_bytes().chunks(1) {
            // After a refusal the rest may meet a closed connection.
            if client.stream.write_all(byte).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let answers = String::from_utf8(client.rest().await).unwrap();
        assert_eq!(statuses(&answers[..12]), [status], "{text:?}");
    }
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn a_head_has_a_bound() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(70 << 10));
    assert_eq!(statuses(&until_closed(&proxy, &long).await), ["431"]);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101));
    assert_eq!(statuses(&until_closed(&proxy, &many).await), ["431"]);
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(300 << 10));
    assert_eq!(statuses(&until_closed(&proxy, &endless).await), ["431"]);
    assert!(server.heard().is_empty());
    let counted = |series: &str| proxy.metric(series) == Some(3.0);
    until("each is counted", || counted(r#"portolan_limits_reached_total{limit="head_size"}"#)).await;
    let series = r#"portolan_http_requests_total{backend="",code="431",listener="",method="OTHER",route=""}"#;
    until("each is counted as what the client got", || counted(series)).await;
}

#[tokio::test]
async fn a_slow_head_is_hung_up_on_and_an_idle_connection_closed() {
    let server = Server::echo().await;
    let mut config = config();
    config.limits.head_timeout = Duration::from_millis(100);
    config.limits.idle_timeout = Duration::from_millis(100);
    let proxy = Proxy::start(config, serving(&[server.address]));
    let mut slow = proxy.connect().await;
    slow.send("GET / HTTP/1.1\r\nHost").await;
    assert!(slow.rest().await.is_empty());
    let mut idle = proxy.connect().await;
    idle.send(get("/")).await;
    assert_eq!(idle.reply().await.status, 200);
    assert!(idle.rest().await.is_empty());
    let mut silent = proxy.connect().await;
    assert!(silent.rest().await.is_empty());
}

#[tokio::test]
async fn the_server_itself_answers_options() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    assert_eq!(proxy.request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 204);
    assert!(server.heard().is_empty());
    assert_eq!(proxy.request("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn a_refused_request_is_counted() {
    let proxy = Proxy::start(config(), table(Vec::new()));
    until_closed(&proxy, "nonsense\r\n\r\n").await;
    let series = r#"portolan_http_requests_total{backend="",code="400",listener="",method="OTHER",route=""}"#;
    until("the refusal is counted", || proxy.metric(series) == Some(1.0)).await;
}

#[tokio::test]
async fn a_client_that_does_not_send_its_body_or_take_its_answer_is_cut_off() {
    let server = Server::answering(|_| {
        let length = 32 << 20;
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
    })
    .await;
    let mut config = config();
    config.limits.send_window = Duration::from_secs(1);
    config.limits.take_window = Duration::from_secs(1);
    let proxy = Proxy::start(config, serving(&[server.address]));
    let mut sends = proxy.connect().await;
    sends.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nbegun").await;
    let mut takes = proxy.connect().await;
    takes.send(get("/")).await;
    let cut = |limit| proxy.metric(&format!(r#"portolan_limits_reached_total{{limit="{limit}"}}"#));
    until("both are cut off", || cut("send_rate") == Some(1.0) && cut("take_rate") == Some(1.0)).await;
    // What was under way in the kernel still comes, then the end.
    let mut total = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(read @ 1..) = soon(takes.stream.read(&mut buffer)).await {
        total += read;
    }
    assert!(total < 32 << 20, "{total}");
    assert!(sends.rest().await.is_empty());
}

#[tokio::test]
async fn a_slow_client_that_keeps_moving_is_served() {
    let server = Server::echo().await;
    let mut config = config();
    config.limits.send_window = Duration::from_secs(1);
    config.limits.least_rate = 20;
    let proxy = Proxy::start(config, serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n").await;
    // 40 bytes a second, for longer than two windows.
    for _ in 0..25 {
        client.send("abcd").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(client.reply().await.status, 200);
}
