//! HTTP/2 from clients: the same way through the proxy, and what is its own.

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::SendRequest};
use http::{HeaderMap, Method, Request, Response, Version};

use super::*;

/// A client's connection that speaks HTTP/2.
pub(super) struct Multi {
    sender: SendRequest<Bytes>,
    _tasks: Tasks,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) trailers: Option<HeaderMap>,
}

// === impl Multi ===

impl Multi {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self::over(soon(TcpStream::connect(address)).await.unwrap()).await
    }

    pub(super) async fn over<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = soon(h2::client::Builder::new().handshake(stream)).await.unwrap();
        let mut tasks = Tasks::new();
        tasks.spawn("client", async move {
            let _ = connection.await;
        });
        Self { sender, _tasks: tasks }
    }

    pub(super) async fn open(
        &mut self,
        request: Request<()>,
        is_whole: bool,
    ) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let sender = std::future::poll_fn(|cx| self.sender.poll_ready(cx));
        soon(sender).await.unwrap();
        self.sender.send_request(request, is_whole).unwrap()
    }

    pub(super) async fn ask(&mut self, request: Request<()>) -> Answer {
        let (response, _) = self.open(request, true).await;
        answer(soon(response).await.unwrap()).await
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.ask(get(path)).await
    }

    /// Pends until the connection is over.
    pub(super) async fn closed(mut self) {
        soon(async {
            while std::future::poll_fn(|cx| self.sender.poll_ready(cx)).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
}

pub(super) fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://a.test{path}")).version(Version::HTTP_2)
}

fn get(path: &str) -> Request<()> {
    request(Method::GET, path).body(()).unwrap()
}

pub(super) async fn answer(response: Response<RecvStream>) -> Answer {
    let (head, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(data) = soon(stream.data()).await {
        let data = data.unwrap();
        stream.flow_control().release_capacity(data.len()).unwrap();
        body.extend_from_slice(&data);
    }
    let trailers = soon(stream.trailers()).await.unwrap();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8(body).unwrap(),
        trailers,
    }
}

async fn start(server: &Server) -> (Proxy, Multi) {
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let client = Multi::connect(proxy.address).await;
    (proxy, client)
}

#[tokio::test]
async fn a_request_takes_the_same_way_as_in_http_1() {
    let server = Server::echo().await;
    let (proxy, mut client) = start(&server).await;
    let request = request(Method::GET, "/x?y=z").header("x-a", "b").header("te", "trailers");
    let answer = client.ask(request.body(()).unwrap()).await;
    assert_eq!(answer.status, 200);
    let heard = &server.heard()[0];
    assert!(heard.starts_with("GET /x?y=z HTTP/1.1\r\n"), "{heard}");
    for (name, value) in [
        ("host", "a.test"),
        ("x-a", "b"),
        ("te", "trailers"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "a.test"),
        ("x-forwarded-proto", "http"),
    ] {
        assert_eq!(field(heard, name), Some(value), "{heard}");
    }
    assert_eq!(answer.body, *heard);
    assert_eq!(proxy.metric(r#"portolan_http_protocol_requests_total{protocol="HTTP/2"}"#), Some(1.0));
    assert_eq!(proxy.metric(r#"portolan_http_protocol_requests_total{protocol="HTTP/1.1"}"#), Some(0.0));
}

#[tokio::test]
async fn parts_of_a_cookie_reach_an_old_backend_as_one() {
    let server = Server::echo().await;
    let (_proxy, mut client) = start(&server).await;
    let request = request(Method::GET, "/").header("cookie", "a=b").header("cookie", "c=d");
    client.ask(request.body(()).unwrap()).await;
    assert_eq!(field(&server.heard()[0], "cookie"), Some("a=b; c=d"));
}

#[tokio::test]
async fn a_body_goes_up_and_comes_down() {
    let server = Server::echo().await;
    let (_proxy, mut client) = start(&server).await;
    let (response, mut body) = client.open(request(Method::POST, "/").body(()).unwrap(), false).await;
    for piece in ["one ", "two"] {
        body.send_data(piece.into(), piece == "two").unwrap();
    }
    let answer = answer(soon(response).await.unwrap()).await;
    assert!(answer.body.contains("transfer-encoding: chunked"), "{}", answer.body);
    let sent: String = answer.body.lines().filter(|line| ["one ", "two"].contains(line)).collect();
    assert_eq!(sent, "one two");
}

#[tokio::test]
async fn a_large_answer_waits_for_the_clients_room_and_comes_whole() {
    let server = Server::answering(|_| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", 3 << 20, "x".repeat(3 << 20))
    })
    .await;
    let (_proxy, mut client) = start(&server).await;
    let answer = client.get("/").await;
    assert_eq!((answer.status, answer.body.len()), (200, 3 << 20));
}

#[tokio::test]
async fn trailers_of_an_answer_arrive() {
    let server = Server::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n".into()
    })
    .await;
    let (_proxy, mut client) = start(&server).await;
    let answer = client.get("/").await;
    assert_eq!((&*answer.body, &answer.trailers.unwrap()["x-sum"]), ("ok", &"7".parse().unwrap()));
}

#[tokio::test]
async fn answers_without_a_body_keep_what_they_say_of_it() {
    let server = Server::answering(|request| match request.split(' ').nth(1) {
        Some("/304") => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".into(),
        Some("/204") => "HTTP/1.1 204 No Content\r\n\r\n".into(),
        // What HTTP does not allow, or what is no length.
        Some("/204-long") => "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n".into(),
        Some("/304-empty") => "HTTP/1.1 304 Not Modified\r\nContent-Length:\r\n\r\n".into(),
        Some("/200-empty") => "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n".into(),
        Some("/200-huge") => "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n".into(),
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n".into(),
    })
    .await;
    let (_proxy, mut client) = start(&server).await;
    let head = client.ask(request(Method::HEAD, "/").body(()).unwrap()).await;
    assert_eq!((head.status, &head.headers["content-length"]), (200, &"7".parse().unwrap()));
    assert_eq!((client.get("/204").await.status, client.get("/304").await.status), (204, 304));
    for path in ["/204-long", "/304-empty", "/200-empty", "/200-huge"] {
        let method = if path.starts_with("/200") { Method::HEAD } else { Method::GET };
        let answer = client.ask(request(method, path).body(()).unwrap()).await;
        assert_eq!(answer.status.to_string(), path[1..4]);
        assert_eq!(answer.headers.get("content-length"), None, "{path}");
    }
    assert_eq!(server.connections(), 1, "each answer was known to have ended");
}

#[tokio::test]
async fn requests_do_not_wait_for_each_other() {
    let server = Server::start(|mut client, heard, _| async move {
        while let Some(request) = client.request().await {
            let is_slow = request.starts_with("GET /slow");
            heard.lock().unwrap().push(request);
            if is_slow {
                client.more().await;
            }
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let (proxy, mut client) = start(&server).await;
    let (slow, _) = client.open(get("/slow"), true).await;
    until("the slow one is there", || server.heard().len() == 1).await;
    for _ in 0..3 {
        assert_eq!(client.get("/fast").await.body, "ok");
    }
    let active = format!("portolan_connections{{listener=\"{}\",state=\"active\"}}", asked());
    assert_eq!(proxy.metric(&active), Some(1.0));
    drop(slow);
    until("it is idle", || proxy.metric(&active) == Some(0.0)).await;
}

#[tokio::test]
async fn a_request_that_was_taken_back_closes_its_connection_to_the_backend() {
    let (sender, mut gone) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut client, heard, _| {
        let sender = sender.clone();
        async move {
            if let Some(request) = client.request().await {
                heard.lock().unwrap().push(request);
                client.more().await;
                let _ = sender.send(());
            }
        }
    })
    .await;
    let (_proxy, mut client) = start(&server).await;
    let (response, mut stream) = client.open(get("/"), true).await;
    until("it is there", || server.heard().len() == 1).await;
    stream.send_reset(h2::Reason::CANCEL);
    drop((stream, response));
    soon(gone.recv()).await.unwrap();
}

#[tokio::test]
async fn a_preface_may_come_in_parts() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.stream.set_nodelay(true).unwrap();
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".chunks(1) {
        client.send(byte).await;
        tokio::task::yield_now().await;
    }
    client.send([0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
    let settings = client.bytes(9).await;
    assert_eq!(settings[3], 4, "the first frame is SETTINGS: {settings:?}");
}

#[tokio::test]
async fn what_only_looks_like_a_preface_is_refused() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") || answer.is_empty(), "{answer}");
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn an_authority_that_differs_from_host_is_refused() {
    let server = Server::echo().await;
    let (_proxy, mut client) = start(&server).await;
    for (host, status) in [("a.test", 200), ("A.test:80", 200), ("b.test", 400), ("a.test:81", 400)] {
        let request = request(Method::GET, "/").header("host", host).body(()).unwrap();
        assert_eq!(client.ask(request).await.status, status, "{host}");
    }
    assert_eq!(server.heard().len(), 2);
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_whoever_gives_it() {
    let server = Server::answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n".to_owned()).await;
    let proxy = Proxy::start(config(), table(vec![("/a", rule(backend(vec![endpoint(server.address)])))]));
    let mut client = Multi::connect(proxy.address).await;
    for (path, status, length) in [("/a", 200, Some("7")), ("/b", 404, None)] {
        let answer = client.ask(request(Method::HEAD, path).body(()).unwrap()).await;
        assert_eq!((answer.status, &*answer.body), (status, ""), "{path}");
        let told = answer.headers.get("content-length").map(|length| length.to_str().unwrap());
        assert!(length.is_none() || told == length, "{path} {told:?}");
        assert!(answer.headers.contains_key("date"), "{path}");
    }
}

#[tokio::test]
async fn a_body_that_a_client_breaks_off_is_not_taken_for_whole() {
    let server = Server::start(|mut client, heard, _| async move {
        let mut bytes = client.head().await.into_bytes();
        bytes.extend(client.rest().await);
        heard.lock().unwrap().push(String::from_utf8(bytes).unwrap());
    })
    .await;
    let (_proxy, mut client) = start(&server).await;
    for (number, reason) in [h2::Reason::CANCEL, h2::Reason::NO_ERROR].into_iter().enumerate() {
        let (response, mut stream) = client.open(request(Method::POST, "/").body(()).unwrap(), false).await;
        stream.send_data("half".into(), false).unwrap();
        until("it is on its way", || server.connections() > number).await;
        stream.send_reset(reason);
        until("it was closed", || server.heard().len() > number).await;
        assert!(!server.heard()[number].contains("\r\n0\r\n"), "{:?}", server.heard()[number]);
        drop(response);
    }
}

#[tokio::test]
async fn connect_and_trace_are_not_allowed_and_the_connection_goes_on() {
    let server = Server::echo().await;
    let (_proxy, mut client) = start(&server).await;
    let connect = Request::builder().method(Method::CONNECT).uri("a.test:80").body(()).unwrap();
    let (response, _stream) = client.open(connect, false).await;
    assert_eq!(soon(response).await.unwrap().status(), 405);
    let trace = request(Method::TRACE, "/").body(()).unwrap();
    assert_eq!(client.ask(trace).await.status, 405);
    assert!(server.heard().is_empty());
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn streams_outlive_tables_and_a_drain_lets_them_finish() {
    let server = Server::start(|mut client, heard, _| async move {
        let Some(request) = client.request().await else { return };
        heard.lock().unwrap().push(request);
        while heard.lock().unwrap().len() == 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    })
    .await;
    let (mut proxy, mut client) = start(&server).await;
    let (response, _) = client.open(get("/"), true).await;
    until("it is there", || server.heard().len() == 1).await;
    proxy.publisher.publish(Table::default());
    assert_eq!(client.get("/").await.status, 404);
    let heard = server.heard.clone();
    let (drained, answer) = tokio::join!(proxy.workers.drain(), async {
        // The answer comes only after the drain has begun.
        tokio::task::yield_now().await;
        heard.lock().unwrap().push("go on".into());
        answer(soon(response).await.unwrap()).await
    });
    assert_eq!((drained.finished, drained.aborted, &*answer.body), (1, 0, "ok"));
    client.closed().await;
}

#[tokio::test]
async fn an_idle_client_is_told_to_go() {
    let server = Server::echo().await;
    let mut config = config();
    config.limits.idle_timeout = Duration::from_millis(100);
    let proxy = Proxy::start(config, serving(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    assert_eq!(client.get("/").await.status, 200);
    client.closed().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_loses_it() {
    let server = Server::answering(|request| {
        let length = if request.starts_with("GET /big") { 1 << 20 } else { 2 };
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
    })
    .await;
    let mut config = config();
    config.limits.http2.unread = Duration::from_millis(300);
    let proxy = Proxy::start(config, serving(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    let (response, _) = client.open(get("/big"), true).await;
    let mut body = soon(response).await.unwrap().into_body();
    let mut taken = 0;
    // What is taken is not said to be taken: there is no more room.
    let error = loop {
        match soon(body.data()).await {
            Some(Ok(data)) => taken += data.len(),
            Some(Err(error)) => break error,
            None => panic!("it came whole"),
        }
    };
    assert_eq!((error.reason(), taken <= 128 << 10), (Some(h2::Reason::CANCEL), true), "{taken}");
    drop(body);
    assert_eq!(client.get("/small").await.status, 200);
}

#[tokio::test]
async fn a_websocket_crosses_from_http_2_to_http_1() {
    let server = Server::start(|mut client, heard, _| async move {
        let Some(request) = client.request().await else { return };
        heard.lock().unwrap().push(request);
        let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello";
        client.send(switch).await;
        let ping = client.bytes(4).await;
        assert_eq!(ping, b"ping");
        client.send("pong").await;
        client.more().await;
    })
    .await;
    let (proxy, mut client) = start(&server).await;
    // The permission to connect comes with the settings.
    client.get("/none").await;
    let mut request =
        request(Method::CONNECT, "/chat?x").header("sec-websocket-version", "13").body(()).unwrap();
    request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    let (response, mut up) = client.open(request, false).await;
    let response = soon(response).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["sec-websocket-protocol"]),
        (http::StatusCode::OK, &"chat".parse().unwrap())
    );
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    let mut down = response.into_body();
    assert_eq!(soon(down.data()).await.unwrap().unwrap(), "hello");
    up.send_data("ping".into(), false).unwrap();
    assert_eq!(soon(down.data()).await.unwrap().unwrap(), "pong");
    up.send_data(Bytes::new(), true).unwrap();
    while let Some(Ok(_)) = soon(down.data()).await {}
    let heard = server.heard();
    let heard = heard.last().unwrap();
    assert!(heard.starts_with("GET /chat?x HTTP/1.1\r\n"), "{heard}");
    assert_eq!(
        (field(heard, "upgrade"), field(heard, "sec-websocket-key").map(str::len)),
        (Some("websocket"), Some(24))
    );
    let active = format!("portolan_connections{{listener=\"{}\",state=\"active\"}}", asked());
    until("it is idle", || proxy.metric(&active) == Some(0.0)).await;
}

#[tokio::test]
async fn a_websocket_that_is_refused_is_an_answer() {
    let server = Server::answering(|request| {
        let status = if request.starts_with("GET /ok") { "200 OK" } else { "403 Forbidden" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno")
    })
    .await;
    let (_proxy, mut client) = start(&server).await;
    client.get("/none").await;
    for (path, status) in [("/chat", 403), ("/ok", 502)] {
        let mut request = request(Method::CONNECT, path).body(()).unwrap();
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        let (response, _stream) = client.open(request, false).await;
        assert_eq!(soon(response).await.unwrap().status().as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn a_stream_that_does_not_send_its_body_is_reset_and_the_others_go_on() {
    let server = Server::echo().await;
    let mut config = config();
    config.limits.send_window = Duration::from_secs(1);
    config.limits.least_rate = 20;
    let proxy = Proxy::start(config, serving(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    let upload = || request(Method::POST, "/").body(()).unwrap();
    let (stalled, mut stalled_body) = client.open(upload(), false).await;
    stalled_body.send_data(Bytes::from_static(b"begun"), false).unwrap();
    let (moving, mut moving_body) = client.open(upload(), false).await;
    // A thousand bytes a second, for longer than two windows.
    for _ in 0..25 {
        moving_body.send_data(Bytes::from_static(&[b'x'; 100]), false).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    moving_body.send_data(Bytes::new(), true).unwrap();
    let error = soon(stalled).await.unwrap_err();
    assert_eq!(error.reason(), Some(h2::Reason::CANCEL), "{error}");
    assert_eq!(soon(moving).await.unwrap().status(), 200);
    let cut = || proxy.metric(r#"portolan_limits_reached_total{limit="send_rate"}"#);
    until("it is counted", || cut() == Some(1.0)).await;
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn a_stream_that_holds_up_no_connection_of_its_own_may_be_silent() {
    let backend = h2c::Backend2::echo().await;
    let mut config = config();
    config.limits.send_window = Duration::from_millis(500);
    let proxy = Proxy::start(config, h2c::serving_h2c(&[backend.address]));
    let mut client = Multi::connect(proxy.address).await;
    let (response, mut body) = client.open(request(Method::POST, "/").body(()).unwrap(), false).await;
    body.send_data(Bytes::from_static(b"one"), false).unwrap();
    // Longer than two windows.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    body.send_data(Bytes::from_static(b" two"), true).unwrap();
    assert_eq!(answer(soon(response).await.unwrap()).await.body, "one two");
}
