//! Bodies stream both ways, with back-pressure, and leave no connection in doubt.

use super::*;

#[tokio::test]
async fn a_chunked_body_and_its_trailers_pass() {
    let server = Server::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n".to_owned()
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .await;
    let head = client.head().await;
    assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
    let mut body = Vec::new();
    while find(&body, b"\r\n\r\n").is_none() {
        body.extend(client.bytes(1).await);
    }
    assert_eq!(String::from_utf8(body).unwrap(), "2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n");
    assert!(server.heard()[0].ends_with("\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), "{}", server.heard()[0]);
}

#[tokio::test]
async fn a_body_of_a_get_is_not_lost() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    proxy.request("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok").await;
    proxy
        .request("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        .await;
    proxy.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    let heard = server.heard();
    assert!(heard[0].ends_with("\r\n\r\nok"), "{}", heard[0]);
    assert!(heard[1].ends_with("\r\n\r\n2\r\nok\r\n0\r\n\r\n"), "{}", heard[1]);
    assert_eq!(field(&heard[2], "content-length"), Some("0"));
}

#[tokio::test]
async fn pieces_arrive_as_they_are_sent() {
    // Sends a piece for each byte that it gets: neither side waits for the whole of the other.
    let server = Server::start(|mut client, _, _| async move {
        client.head().await;
        client.stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
        for _ in 0..3 {
            let chunk = client.bytes(6).await;
            client.stream.write_all(&chunk).await.unwrap();
        }
        client.bytes(5).await;
        client.stream.write_all(b"0\r\n\r\n").await.unwrap();
        client.rest().await;
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.head().await;
    for piece in ["1\r\na\r\n", "1\r\nb\r\n", "1\r\nc\r\n"] {
        client.send(piece).await;
        assert_eq!(client.bytes(6).await, piece.as_bytes());
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.bytes(5).await, b"0\r\n\r\n");
}

#[tokio::test]
async fn a_large_body_passes_whole_in_both_directions() {
    const SIZE: usize = 24 << 20;
    let server = Server::start(|mut client, _, _| async move {
        client.head().await;
        let mut left = SIZE;
        let mut sum = 0_u64;
        while left > 0 {
            client.more().await;
            left -= client.read.len();
            sum += client.read.drain(..).map(u64::from).sum::<u64>();
        }
        let head = format!("HTTP/1.1 200 OK\r\nX-Sum: {sum}\r\nContent-Length: {SIZE}\r\n\r\n");
        client.stream.write_all(head.as_bytes()).await.unwrap();
        client.stream.write_all(&vec![7; SIZE]).await.unwrap();
        client.rest().await;
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n")).await;
    client.send(vec![3; SIZE]).await;
    let reply = client.reply().await;
    assert_eq!(field(&reply.head, "x-sum"), Some(&*(SIZE * 3).to_string()));
    assert!(reply.body.len() == SIZE && reply.body.iter().all(|byte| *byte == 7));
}

/// Writes until the other side takes no more, and tells how much that was.
async fn fill(stream: &mut TcpStream) -> usize {
    let block = vec![0; 64 << 10];
    let mut written = 0;
    // The one wait that has to be long enough rather than until something: that nothing happens.
    while let Ok(Ok(more)) = tokio::time::timeout(Duration::from_millis(300), stream.write(&block)).await {
        written += more;
    }
    written
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_backend() {
    const ENDLESS: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
    let (sender, mut filled) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut client, _, _| {
        let sender = sender.clone();
        async move {
            client.head().await;
            client.stream.write_all(ENDLESS.as_bytes()).await.unwrap();
            sender.send(fill(&mut client.stream).await).unwrap();
            client.rest().await;
        }
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(get("/")).await;
    let written = soon(filled.recv()).await.unwrap();
    // The kernel's buffers of two connections hold some megabytes; the proxy's are below one.
    assert!(written < 32 << 20, "{written} bytes went into a client that reads nothing");
}

#[tokio::test]
async fn a_backend_that_does_not_read_stops_the_client() {
    let server = Server::start(|mut client, _, _| async move {
        client.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n").await;
    let written = soon(fill(&mut client.stream)).await;
    assert!(written < 32 << 20, "{written} bytes went to a backend that reads nothing");
}

#[tokio::test]
async fn an_upload_goes_on_while_the_client_takes_nothing_of_the_answer() {
    const SIZE: usize = 24 << 20;
    // Takes the whole request, and answers meanwhile with more than any buffer holds.
    let server = Server::start(|mut client, heard, _| async move {
        client.head().await;
        let (mut read, mut write) = client.stream.into_split();
        let mut tasks = Tasks::new();
        tasks.spawn("answer", async move {
            write
                .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes())
                .await
                .unwrap();
            write.write_all(&vec![7; SIZE]).await.unwrap();
            std::future::pending::<()>().await;
        });
        let (mut left, mut block) = (SIZE - client.read.len(), vec![0; 64 << 10]);
        while left > 0 {
            left -= read.read(&mut block).await.unwrap();
        }
        heard.lock().unwrap().push("all of it".to_owned());
        std::future::pending::<()>().await;
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n")).await;
    client.send(vec![3; SIZE]).await;
    until("the backend has it", || server.heard().len() == 1).await;
    assert_eq!(client.reply().await.body.len(), SIZE);
}

#[tokio::test]
async fn an_answer_to_an_upload_that_is_not_read_says_that_it_is_the_last() {
    let proxy = Proxy::start(config(), serving(&[]));
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, field(&reply.head, "connection")), (503, Some("close")));
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, field(&reply.head, "connection")), (503, None), "{}", reply.head);
}

#[tokio::test]
async fn a_client_that_goes_away_frees_the_backend() {
    let (sender, mut closed) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut client, heard, _| {
        let sender = sender.clone();
        async move {
            let head = client.head().await;
            heard.lock().unwrap().push(head);
            client.rest().await;
            sender.send(()).unwrap();
        }
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(get("/")).await;
    until("the backend was asked", || server.heard().len() == 1).await;
    drop(client);
    soon(closed.recv()).await.unwrap();
    let series = r#"portolan_http_requests_total{backend="default/b",code="499",listener="default/web/http",method="GET",route="default/r"}"#;
    until("it is counted", || proxy.metric(series) == Some(1.0)).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_client_too() {
    let server = Server::start(|mut client, _, _| async move {
        client.request().await;
        client.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(get("/")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(client.rest().await, b"half");
}

#[tokio::test]
async fn an_early_answer_leaves_no_body_on_a_connection_that_is_used_again() {
    // Answers before it has read the body, and goes on as if nothing were.
    let server = Server::start(|mut client, heard, _| async move {
        loop {
            if client.read.is_empty() && client.more().await == 0 {
                return;
            }
            let head = client.head().await;
            heard.lock().unwrap().push(head);
            client.stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 413"));
    client.send("x".repeat(1000)).await;
    drop(client);
    assert_eq!(proxy.status("/2").await, 413);
    let heard = server.heard();
    assert!(heard[1].starts_with("GET /2 "), "{heard:?}");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn our_own_answer_to_an_upload_arrives_before_the_connection_is_closed() {
    let proxy = Proxy::start(config(), table(Vec::new()));
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n").await;
    client.send(vec![b'x'; 400_000]).await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 404);
    // Small bodies are read to their end, and the connection goes on.
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!(client.reply().await.status, 404);
    client.send(get("/")).await;
    assert_eq!(client.reply().await.status, 404);
}

#[tokio::test]
async fn a_client_that_expects_to_continue_is_told_when_the_backend_says_so() {
    let server = Server::start(|mut client, heard, _| async move {
        let head = client.head().await;
        heard.lock().unwrap().push(head.clone());
        if head.contains("/refused") {
            client.stream.write_all(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            client.rest().await;
            return;
        }
        client.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        let body = client.bytes(2).await;
        assert_eq!(body, b"ok");
        let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        client.stream.write_all(answer).await.unwrap();
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let ask = |path: &str| {
        format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    };
    let mut client = proxy.connect().await;
    client.send(ask("/")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 100 "));
    client.send("ok").await;
    assert_eq!(client.reply().await.status, 200);
    let mut client = proxy.connect().await;
    client.send(ask("/refused")).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 417 "), "asked for a body that nobody wants: {head}");
    assert!(server.heard().iter().all(|head| field(head, "expect").is_some()));
}

#[tokio::test]
async fn a_timeout_of_the_whole_request_ends_a_body_too() {
    let server = Server::start(|mut client, _, _| async move {
        client.head().await;
        client.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
        client.rest().await;
    })
    .await;
    let timeouts = Timeouts { request: Some(Duration::from_millis(200)), backend_request: None };
    let one = Rule { timeouts, ..rule(backend(vec![endpoint(server.address)])) };
    let proxy = Proxy::start(config(), table(vec![("/", one)]));
    let mut client = proxy.connect().await;
    client.send(get("/")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(client.rest().await, b"half");
}
