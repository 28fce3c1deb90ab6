//! What comes before an answer, between all versions of HTTP (RFC 9110 section 15.2).

use std::future::poll_fn;

use bytes::Bytes;
use h2::{SendStream, client::ResponseFuture};
use http::{Method, Response, StatusCode};

use super::{
    h2c::{Backend2, Call, serving_h2c},
    http2::{Multi, answer, request},
    *,
};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x-one\r\nX-One: 1\r\n\r\n";
const EXPECTING: &str =
    "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

/// Gives hints, waits for a word, answers.
async fn old(word: Arc<tokio::sync::Notify>) -> Server {
    Server::start(move |mut client, _, _| {
        let word = word.clone();
        async move {
            while client.request().await.is_some() {
                client.stream.write_all(HINTS.as_bytes()).await.unwrap();
                word.notified().await;
                client.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            }
        }
    })
    .await
}

async fn new(word: Arc<tokio::sync::Notify>) -> Backend2 {
    Backend2::start(move |mut call: Call| {
        let word = word.clone();
        async move {
            let hints = Response::builder().status(103).header("link", "</a>").body(()).unwrap();
            call.reply.send_informational(hints).unwrap();
            word.notified().await;
            call.reply.send_response(Response::new(()), true).unwrap();
        }
    })
    .await
}

/// The next head before that of the answer.
async fn before(response: &mut ResponseFuture) -> Response<()> {
    soon(poll_fn(|cx| response.poll_informational(cx))).await.unwrap().unwrap()
}

async fn hinted(proxy: &Proxy, word: &tokio::sync::Notify) {
    let mut client = Multi::connect(proxy.address).await;
    let (mut response, _) = client.open(request(Method::GET, "/").body(()).unwrap(), true).await;
    // The answer waits for what the client has been told before.
    let hints = before(&mut response).await;
    assert_eq!(
        (hints.status(), &hints.headers()["link"]),
        (StatusCode::EARLY_HINTS, &"</a>".parse().unwrap())
    );
    assert_eq!(hints.headers().len(), 1, "{hints:?}");
    word.notify_one();
    assert_eq!(answer(soon(response).await.unwrap()).await.status, 200);
}

#[tokio::test]
async fn hints_of_an_old_backend_reach_a_new_client() {
    let word = Arc::<tokio::sync::Notify>::default();
    let server = old(word.clone()).await;
    hinted(&Proxy::start(config(), serving(&[server.address])), &word).await;
}

#[tokio::test]
async fn hints_of_a_new_backend_reach_clients_new_and_old() {
    let word = Arc::<tokio::sync::Notify>::default();
    let server = new(word.clone()).await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    hinted(&proxy, &word).await;
    let mut client = proxy.connect().await;
    client.send(get("/")).await;
    assert_eq!(client.head().await, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    word.notify_one();
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn hints_without_end_are_no_answer() {
    let server = Backend2::start(|mut call: Call| async move {
        for _ in 0..1000 {
            let hints = Response::builder().status(103).body(()).unwrap();
            call.reply.send_informational(hints).unwrap();
        }
        call.reply.send_response(Response::new(()), true).unwrap();
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    assert_eq!(client.ask(request(Method::GET, "/").body(()).unwrap()).await.status, 502);
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_no_answer_and_nothing_comes_before_it() {
    let server = Backend2::start(|mut call: Call| async move {
        let switch = Response::builder().status(101).body(()).unwrap();
        call.reply.send_informational(switch).unwrap();
        call.reply.send_response(Response::new(()), true).unwrap();
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(get("/")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 502 "));
    let mut client = Multi::connect(proxy.address).await;
    let (mut response, _) = client.open(request(Method::GET, "/").body(()).unwrap(), true).await;
    assert!(soon(poll_fn(|cx| response.poll_informational(cx))).await.is_none());
    assert_eq!(soon(response).await.unwrap().status(), 502);
}

/// So many hints of so many bytes at once, and the answer when it is time for it.
async fn hinting(count: usize, length: usize, word: Arc<tokio::sync::Notify>) -> Server {
    Server::start(move |mut client, _, _| {
        let word = word.clone();
        async move {
            while client.request().await.is_some() {
                let hints = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(length));
                client.send(hints.repeat(count)).await;
                client.send("HTTP/1.1 103 Early Hints\r\nX-Last: 1\r\n\r\n").await;
                word.notified().await;
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_hint_that_is_too_long_is_left_out_and_the_next_one_is_not() {
    let word = Arc::<tokio::sync::Notify>::default();
    let server = hinting(1, 100_000, word.clone()).await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(get("/")).await;
    assert_eq!(client.head().await, "HTTP/1.1 103 Early Hints\r\nx-last: 1\r\n\r\n");
    word.notify_one();
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    let mut client = Multi::connect(proxy.address).await;
    let (mut response, _) = client.open(request(Method::GET, "/").body(()).unwrap(), true).await;
    assert!(before(&mut response).await.headers().contains_key("x-last"));
    word.notify_one();
    assert_eq!(soon(response).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_stream_has_so_many_bytes_of_hints_and_no_more() {
    let word = Arc::<tokio::sync::Notify>::default();
    let server = hinting(20, 10_000, word.clone()).await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = Multi::connect(proxy.address).await;
    let (mut response, _) = client.open(request(Method::GET, "/").body(()).unwrap(), true).await;
    let mut long = 0;
    while before(&mut response).await.headers().contains_key("link") {
        long += 1;
    }
    assert_eq!(long, 6, "of 20");
    word.notify_one();
    assert_eq!(soon(response).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_client_that_reads_late_gets_whole_hints_and_the_answer() {
    let word = Arc::<tokio::sync::Notify>::default();
    let server = hinting(60, 60_000, word.clone()).await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(get("/")).await;
    word.notify_one();
    // It does not read before the answer has been given.
    let answered = r#"portolan_http_requests_total{backend="default/b",code="200""#;
    until("it is answered", || proxy.metrics.render().contains(answered)).await;
    let mut hints = 0;
    let head = loop {
        let head = client.head().await;
        if !head.starts_with("HTTP/1.1 103 ") {
            break head;
        }
        assert!(head.ends_with("x\r\n\r\n") || head.contains("x-last"), "{head:.40}");
        hints += 1;
    };
    assert!(head.starts_with("HTTP/1.1 200 ") && hints > 0, "{hints} {head}");
}

/// Sends a body that the backend has to ask for.
async fn expecting(proxy: &Proxy) -> (ResponseFuture, SendStream<Bytes>, Multi) {
    let mut client = Multi::connect(proxy.address).await;
    let request = request(Method::POST, "/").header("expect", "100-continue").body(()).unwrap();
    let (response, stream) = client.open(request, false).await;
    (response, stream, client)
}

#[tokio::test]
async fn a_new_client_sends_its_body_when_an_old_backend_asks_for_it() {
    let word = Arc::<tokio::sync::Notify>::default();
    let told = word.clone();
    let server = Server::start(move |mut client, _, _| {
        let word = told.clone();
        async move {
            let head = client.head().await;
            assert_eq!(field(&head, "expect"), Some("100-continue"), "{head}");
            word.notified().await;
            client.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            assert_eq!(client.chunked().await, b"5\r\nhello\r\n0\r\n\r\n");
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            client.more().await;
        }
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let (mut response, mut stream, _client) = expecting(&proxy).await;
    word.notify_one();
    assert_eq!(before(&mut response).await.status(), StatusCode::CONTINUE);
    stream.send_data("hello".into(), true).unwrap();
    assert_eq!(soon(response).await.unwrap().status(), 200);
}

#[tokio::test]
async fn clients_send_their_body_when_a_new_backend_asks_for_it() {
    let server = Backend2::start(|mut call: Call| async move {
        assert_eq!(call.head.headers()["expect"], "100-continue");
        let ask = Response::builder().status(100).body(()).unwrap();
        call.reply.send_informational(ask).unwrap();
        call.echo().await;
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let (mut response, mut stream, _client) = expecting(&proxy).await;
    assert_eq!(before(&mut response).await.status(), StatusCode::CONTINUE);
    stream.send_data("hello".into(), true).unwrap();
    assert_eq!(answer(soon(response).await.unwrap()).await.body, "hello");
    let mut client = proxy.connect().await;
    client.send(EXPECTING).await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello").await;
    assert_eq!(client.reply().await.body, b"5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_backend_may_answer_instead_of_asking_for_the_body() {
    let server = Backend2::start(|mut call: Call| async move {
        let no = Response::builder().status(413).body(()).unwrap();
        call.reply.send_response(no, true).unwrap();
    })
    .await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let (response, _stream, _client) = expecting(&proxy).await;
    assert_eq!(soon(response).await.unwrap().status(), 413);
}
