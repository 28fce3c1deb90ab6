//! What is told of a request: the access log.

use std::io::{self, Write};

use super::*;
use crate::telemetry::access::{self, Format};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn values(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A proxy with an access log.
fn logging(table: Table) -> (Proxy, Lines) {
    logging_as(Format::Json, table)
}

fn logging_as(format: Format, table: Table) -> (Proxy, Lines) {
    let lines = Lines::default();
    let metrics = Metrics::new();
    let (log, _writer) = access::start(format, Box::new(lines.clone()), &metrics).unwrap();
    (Proxy::start_with(config(), table, metrics, Some(&log)), lines)
}

#[tokio::test]
async fn a_line_tells_where_a_request_went() {
    let server =
        Server::answering(|_| "HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nnew".to_owned()).await;
    let (proxy, lines) = logging(serving(&[server.address]));
    proxy
        .request(
            "POST /x?y=z HTTP/1.1\r\nHost: A.test\r\nContent-Length: 2\r\nUser-Agent: me\r\nReferer: there\r\n\r\nok",
        )
        .await;
    until("the line is written", || lines.values().len() == 1).await;
    let line = &lines.values()[0];
    for (name, value) in [
        ("client", "127.0.0.1"),
        ("method", "POST"),
        ("host", "A.test"),
        ("path", "/x?y=z"),
        ("protocol", "HTTP/1.1"),
        ("listener", "default/web/http"),
        ("route", "default/r"),
        ("rule", "0"),
        ("backend", "default/b"),
        ("endpoint", &*server.address.to_string()),
        ("userAgent", "me"),
        ("referer", "there"),
        ("requestId", field(&server.heard()[0], "x-request-id").unwrap()),
    ] {
        assert_eq!(line[name], value, "{name} in {line}");
    }
    assert_eq!((&line["status"], &line["bytesIn"], &line["bytesOut"]), (&201.into(), &2.into(), &3.into()));
    assert!(line["upstreamDuration"].as_f64() <= line["duration"].as_f64(), "{line}");
}

#[tokio::test]
async fn a_line_tells_why_the_answer_is_ours() {
    let (proxy, lines) = logging(table(vec![("/empty", rule(backend(Vec::new())))]));
    let reply = proxy.request(&get("/empty")).await;
    proxy.request(&get("/other")).await;
    let mut broken = proxy.connect().await;
    broken.send("nonsense\r\n\r\n").await;
    until("the line is written", || lines.values().len() == 3).await;
    proxy.request(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(105))).await;
    until("the lines are written", || lines.values().len() == 4).await;
    let lines = lines.values();
    assert_eq!(lines[0]["reason"], "backend: the backend has no endpoint: `b` is not running");
    assert_eq!(lines[0]["requestId"], field(&reply.head, "x-request-id").unwrap());
    assert_eq!(lines[1]["reason"], "configuration: no route of listener `default/web/http` matches");
    assert_eq!(
        (&lines[2]["status"], &lines[2]["reason"]),
        (&400.into(), &"client: the request is not valid HTTP".into())
    );
    assert_eq!(
        (&lines[3]["status"], &lines[3]["reason"]),
        (&431.into(), &"client: the head has too many fields or bytes".into())
    );
}

#[tokio::test]
async fn a_client_can_neither_forge_a_line_nor_steer_the_terminal_of_who_reads_it() {
    let server = Server::echo().await;
    for format in [Format::Text, Format::Json] {
        let (proxy, lines) = logging_as(format, serving(&[server.address]));
        // A quote, a backslash, the start of an ANSI sequence in eight bits, a reversal of the text's direction, and a tab.
        let agent = "me\" 200 5 \"\\\u{9b}31m\u{202e}\tx";
        let told = "GET / HTTP/1.1\r\nHost: a.test\r\n";
        proxy.request(&format!("{told}User-Agent: {agent}\r\nReferer: {agent}\r\n\r\n")).await;
        for refused in ["User-Agent: \x1b[31m", "User-Agent: a\r9.9.9.9 - - GET /forged"] {
            assert_eq!(proxy.request(&format!("{told}{refused}\r\n\r\n")).await.status, 400);
        }
        assert_eq!(proxy.status("/\x1b[31m").await, 400);
        until("the lines are written", || lines.text().lines().count() == 4).await;
        let text = lines.text();
        let steers = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(steers) && !text.contains("forged"), "{text:?}");
        assert!(text.contains(r#"me\" 200 5 \"\\\u009b31m\u202e\u0009x"#), "{text}");
    }
}

#[tokio::test]
async fn trusted_clients_are_told_the_reason_of_an_error_and_nobody_else_is() {
    let closed = asked_closed().await;
    let broken = Rule { invalid: Some("`spec.x`: not served yet".into()), ..rule(backend(Vec::new())) };
    let rules = || {
        table(vec![
            ("/empty", rule(backend(Vec::new()))),
            ("/broken", broken.clone()),
            ("/closed", rule(backend(vec![endpoint(closed)]))),
        ])
    };
    let trusted_proxies: Vec<crate::model::Cidr> = vec!["127.0.0.0/8".parse().unwrap()];
    let trusting = Proxy::start(Config { trusted_proxies, ..config() }, rules());
    let strange = Proxy::start(config(), rules());
    for (path, status, reason) in [
        ("/nothing", 404, "configuration: no route of listener `default/web/http` matches"),
        ("/broken", 500, "configuration: the rule cannot be served: `spec.x`: not served yet"),
        ("/closed", 502, "backend: "),
        ("/empty", 503, "backend: the backend has no endpoint: `b` is not running"),
        ("/%2f", 400, "client: "),
    ] {
        let reply = trusting.request(&get(path)).await;
        let said = field(&reply.head, "portolan-reason").unwrap_or_default();
        assert!(reply.status == status && said.starts_with(reason), "{path}: {}", reply.head);
        // A trusted proxy hands answers on to those that it speaks for.
        let relayed = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
        for reply in [trusting.request(&relayed).await, strange.request(&get(path)).await] {
            assert_eq!((reply.status, field(&reply.head, "portolan-reason")), (status, None), "{path}");
        }
    }
    let call =
        "POST /a.B/C HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n";
    let reply = trusting.request(call).await;
    assert!(field(&reply.head, "portolan-reason").is_some(), "{}", reply.head);
}

#[tokio::test]
async fn a_backend_cannot_give_a_reason_in_our_name() {
    let server = Server::answering(|_| {
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nPortolan-Reason: forged\r\n\r\n".to_owned()
    })
    .await;
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let proxy = Proxy::start(Config { trusted_proxies, ..config() }, serving(&[server.address]));
    let reply = proxy.request(&get("/")).await;
    assert_eq!((reply.status, field(&reply.head, "portolan-reason")), (503, None));
}

/// An address at which nothing listens.
async fn asked_closed() -> SocketAddr {
    TcpListener::bind(asked()).await.unwrap().local_addr().unwrap()
}
