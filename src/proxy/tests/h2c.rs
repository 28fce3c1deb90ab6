//! HTTP/2 towards backends: many requests on few connections, and what may be sent again.

use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use http::{HeaderMap, Method, Request, Response};

use super::{
    http2::{Multi, answer, request},
    *,
};

/// A backend that speaks HTTP/2: what it heard and how often it was connected to.
pub(super) struct Backend2 {
    pub(super) address: SocketAddr,
    pub(super) heard: Arc<Mutex<Vec<Request<()>>>>,
    pub(super) connections: Arc<AtomicUsize>,
    _tasks: Tasks,
}

/// A request that a backend answers.
pub(super) struct Call {
    pub(super) head: Request<()>,
    pub(super) body: RecvStream,
    pub(super) reply: SendResponse<Bytes>,
    /// Number of its connection.
    pub(super) connection: usize,
}

// === impl Backend2 ===

impl Backend2 {
    pub(super) async fn start<F>(serve: impl Fn(Call) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_with(h2::server::Builder::new(), serve).await
    }

    pub(super) async fn start_with<F>(
        builder: h2::server::Builder,
        serve: impl Fn(Call) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_at(TcpListener::bind(asked()).await.unwrap(), builder, serve)
    }

    pub(super) fn start_at<F>(
        listener: TcpListener,
        builder: h2::server::Builder,
        serve: impl Fn(Call) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let (heard, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let mut tasks = Tasks::new();
        let (log, count) = (heard.clone(), connections.clone());
        tasks.spawn("backend", async move {
            let mut tasks = Tasks::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let connection = count.fetch_add(1, Ordering::SeqCst);
                let (builder, serve, log) = (builder.clone(), serve.clone(), log.clone());
                tasks.spawn("connection", async move {
                    let mut tasks = Tasks::new();
                    let Ok(mut server) = builder.handshake(stream).await else { return };
                    while let Some(Ok((request, reply))) = server.accept().await {
                        let (parts, body) = request.into_parts();
                        log.lock().unwrap().push(Request::from_parts(parts.clone(), ()));
                        let call = Call { head: Request::from_parts(parts, ()), body, reply, connection };
                        if call.head.uri().path() == "/goodbye" {
                            server.graceful_shutdown();
                        }
                        tasks.spawn("call", serve(call));
                    }
                });
            }
        });
        Self { address, heard, connections, _tasks: tasks }
    }

    /// Answers with the body that came and trailers.
    pub(super) async fn echo() -> Self {
        Self::start(Call::echo).await
    }

    pub(super) fn heard(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Call {
    pub(super) async fn echo(mut self) {
        let mut stream = self.reply.send_response(Response::new(()), false).unwrap();
        while let Some(Ok(data)) = self.body.data().await {
            self.body.flow_control().release_capacity(data.len()).unwrap();
            if stream.send_data(data, false).is_err() {
                return;
            }
        }
        let mut trailers = self.body.trailers().await.ok().flatten().unwrap_or_default();
        trailers.insert("x-connection", self.connection.into());
        let _ = stream.send_trailers(trailers);
    }
}

/// Behind `/`, by HTTP/2.
pub(super) fn serving_h2c(addresses: &[SocketAddr]) -> Table {
    let endpoint = |address: &SocketAddr| Endpoint { scheme: Scheme::H2c, ..endpoint(*address) };
    table(vec![("/", rule(backend(addresses.iter().map(endpoint).collect())))])
}

fn get(path: &str) -> Request<()> {
    request(Method::GET, path).body(()).unwrap()
}

#[tokio::test]
async fn a_backend_gets_a_request_of_its_own_protocol() {
    let server = Backend2::echo().await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    let request = request(Method::GET, "/x?y=z").header("te", "trailers").header("x-a", "b");
    assert_eq!(client.ask(request.body(()).unwrap()).await.status, 200);
    let sent = &server.heard.lock().unwrap()[0];
    assert_eq!(sent.uri(), "http://a.test/x?y=z");
    for (name, value) in [("te", "trailers"), ("x-a", "b"), ("x-forwarded-for", "127.0.0.1")] {
        assert_eq!(sent.headers()[name], value);
    }
    assert!(!sent.headers().contains_key("host"), "{sent:?}");
}

#[tokio::test]
async fn an_old_client_reaches_a_new_backend() {
    let server = Backend2::echo().await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.body), (200, b"5\r\nhello\r\n0\r\n\r\n".to_vec()));
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn bytes_and_trailers_stream_both_ways_at_the_same_time() {
    let server = Backend2::echo().await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    let (response, mut up) = client.open(request(Method::POST, "/").body(()).unwrap(), false).await;
    let mut down = soon(response).await.unwrap().into_body();
    for piece in ["one", "two", "three"] {
        up.send_data(piece.into(), false).unwrap();
        assert_eq!(soon(down.data()).await.unwrap().unwrap(), piece);
    }
    up.send_trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), "3".parse().unwrap())])).unwrap();
    assert!(soon(down.data()).await.is_none());
    assert_eq!(soon(down.trailers()).await.unwrap().unwrap()["x-sum"], "3");
}

#[tokio::test]
async fn requests_share_a_connection_up_to_what_the_backend_takes() {
    let wait = Arc::new(AtomicBool::new(true));
    let gate = wait.clone();
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(2);
    let server = Backend2::start_with(builder, move |call| {
        let gate = gate.clone();
        async move {
            while gate.load(Ordering::SeqCst) && call.head.uri().path() == "/wait" {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            call.echo().await;
        }
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    // By now it is known how many the backend takes.
    assert_eq!(client.ask(get("/")).await.status, 200);
    let mut waiting = Vec::new();
    for number in 1..=5 {
        waiting.push(client.open(get("/wait"), true).await.0);
        until("it is there", || server.heard() == number + 1).await;
    }
    assert_eq!(server.connections(), 3, "two on each");
    wait.store(false, Ordering::SeqCst);
    for response in waiting {
        assert_eq!(answer(soon(response).await.unwrap()).await.status, 200);
    }
}

#[tokio::test]
async fn who_comes_while_somebody_connects_uses_that_connection() {
    let server = Backend2::echo().await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    let mut responses = Vec::new();
    for _ in 0..20 {
        responses.push(client.open(get("/"), true).await.0);
    }
    for response in responses {
        assert_eq!(answer(soon(response).await.unwrap()).await.status, 200);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_whatever_its_method() {
    let server = Backend2::start(|mut call| async move {
        if call.connection == 0 && call.head.uri().path() == "/refused" {
            return call.reply.send_reset(Reason::REFUSED_STREAM);
        }
        call.echo().await;
    })
    .await;
    let other = Backend2::echo().await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address, other.address]));
    let mut client = Multi::connect(proxy.address).await;
    for _ in 0..4 {
        let post = request(Method::POST, "/refused").body(()).unwrap();
        assert_eq!(client.ask(post).await.status, 200);
    }
    assert!(server.heard() > 0);
    let errors = proxy.metric(r#"portolan_upstream_errors_total{backend="default/b",kind="refused"}"#);
    assert!(errors > Some(0.0), "{errors:?}");
}

#[tokio::test]
async fn what_a_backend_may_have_done_is_not_sent_again() {
    let server = Backend2::start(|mut call| async move {
        if call.head.uri().path() == "/broken" {
            return call.reply.send_reset(Reason::INTERNAL_ERROR);
        }
        call.echo().await;
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    let post = request(Method::POST, "/broken").body(()).unwrap();
    assert_eq!((client.ask(post).await.status, server.heard()), (502, 1));
    assert_eq!(client.ask(get("/")).await.status, 200);
    assert_eq!(server.connections(), 1, "the others on the connection go on");
}

#[tokio::test]
async fn a_backend_that_says_goodbye_finishes_and_gets_no_more_on_that_connection() {
    let server = Backend2::echo().await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    let (response, mut up) = client.open(request(Method::POST, "/").body(()).unwrap(), false).await;
    let under_way = soon(response).await.unwrap();
    assert_eq!(client.ask(get("/goodbye")).await.status, 200);
    for _ in 0..5 {
        assert_eq!(client.ask(get("/")).await.status, 200);
    }
    up.send_data("still".into(), true).unwrap();
    let answer = answer(under_way).await;
    assert_eq!((&*answer.body, &answer.trailers.unwrap()["x-connection"]), ("still", &"0".parse().unwrap()));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_request_that_was_taken_back_is_reset_and_its_connection_goes_on() {
    let gone = Arc::new(AtomicBool::new(false));
    let seen = gone.clone();
    let server = Backend2::start(move |mut call| {
        let seen = seen.clone();
        async move {
            if call.head.uri().path() == "/slow" {
                let reason = std::future::poll_fn(|cx| call.reply.poll_reset(cx)).await;
                return seen.store(reason.ok() == Some(Reason::CANCEL), Ordering::SeqCst);
            }
            call.echo().await;
        }
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    let (response, mut stream) = client.open(get("/slow"), true).await;
    until("it is there", || server.heard() == 1).await;
    stream.send_reset(Reason::CANCEL);
    drop((stream, response));
    until("it is reset", || gone.load(Ordering::SeqCst)).await;
    assert_eq!(client.ask(get("/")).await.status, 200);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody_else() {
    let server = Backend2::start(|mut call| async move {
        if call.head.uri().path() != "/big" {
            return call.echo().await;
        }
        let mut stream = call.reply.send_response(Response::new(()), false).unwrap();
        stream.send_data(vec![b'x'; 4 << 20].into(), true).unwrap();
        let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut lazy = Multi::connect(proxy.address).await;
    let mut held = Vec::new();
    for _ in 0..50 {
        let (response, _) = lazy.open(get("/big"), true).await;
        held.push(soon(response).await.unwrap());
    }
    let mut other = Multi::connect(proxy.address).await;
    assert_eq!(other.ask(get("/")).await.status, 200);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_backend_that_speaks_something_else_is_told_of() {
    let server = Server::start(|mut client, _, _| async move {
        client.more().await;
        client.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    assert_eq!(proxy.status("/").await, 502);
}

#[tokio::test]
async fn a_websocket_goes_by_http_1_all_the_same() {
    let server = Server::start(|mut client, _, _| async move {
        assert!(client.request().await.unwrap().starts_with("GET /chat HTTP/1.1\r\n"));
        client
            .send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            .await;
        client.more().await;
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = proxy.connect().await;
    client.send("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
}

#[tokio::test]
async fn a_backend_that_cannot_be_reached_is_told_of_to_all_who_waited() {
    let address = TcpListener::bind(asked()).await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start(config(), serving_h2c(&[address]));
    let mut client = Multi::connect(proxy.address).await;
    let mut responses = Vec::new();
    for _ in 0..10 {
        responses.push(client.open(get("/"), true).await.0);
    }
    for response in responses {
        assert_eq!(answer(soon(response).await.unwrap()).await.status, 502);
    }
}

/// More than any window on the way.
const LARGE: usize = 4 << 20;

/// Sends a large answer, then reads the request, of which it tells how much has come.
async fn counting() -> (Backend2, Arc<AtomicUsize>) {
    let count = Arc::<AtomicUsize>::default();
    let counted = count.clone();
    let server = Backend2::start(move |mut call: Call| {
        let count = counted.clone();
        async move {
            let mut stream = call.reply.send_response(Response::new(()), false).unwrap();
            stream.send_data(vec![b'x'; LARGE].into(), true).unwrap();
            while let Some(Ok(data)) = call.body.data().await {
                call.body.flow_control().release_capacity(data.len()).unwrap();
                count.fetch_add(data.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    (server, count)
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_an_answer_sends_its_body_all_the_same() {
    let (server, count) = counting().await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    let (response, mut up) = client.open(request(Method::POST, "/").body(()).unwrap(), false).await;
    let response = soon(response).await.unwrap();
    up.send_data(vec![b'y'; LARGE].into(), true).unwrap();
    until("all of it has come", || count.load(Ordering::SeqCst) == LARGE).await;
    assert_eq!(answer(response).await.body.len(), LARGE);
}
