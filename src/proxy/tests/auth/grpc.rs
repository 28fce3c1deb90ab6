//! By gRPC, as Envoy asks. Messages are put together by hand here: a mistake in ours would not be seen by ours.

use bytes::Bytes;
use h2::server::SendResponse;
use http::Response;

use super::*;
use crate::proxy::tests::h2c::{Backend2, Call};

/// A field of a message that is text, bytes or a message.
fn field_of(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap());
    bytes.extend(value);
    bytes
}

fn framed(message: &[u8]) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend(message);
    bytes.into()
}

/// `HeaderValueOption`.
fn header_of(key: &str, value: &str) -> Vec<u8> {
    field_of(1, &[field_of(1, key.as_bytes()), field_of(2, value.as_bytes())].concat())
}

/// `CheckResponse` with the status OK.
fn yes() -> Bytes {
    let headers = field_of(2, &header_of("x-user", "ann"));
    let gone = field_of(5, b"cookie");
    let told = field_of(6, &header_of("x-told", "yes"));
    framed(&[field_of(1, &[]), field_of(3, &[headers, gone, told].concat())].concat())
}

/// `CheckResponse` with the status `UNAUTHENTICATED` and a page.
fn no() -> Bytes {
    let denied = [
        // `HttpStatus { code: 401 }`.
        field_of(1, &[0x08, 0x91, 0x03]),
        field_of(2, &header_of("www-authenticate", "Basic")),
        field_of(3, b"who"),
    ];
    framed(&[field_of(1, &[0x08, 16]), field_of(2, &denied.concat())].concat())
}

fn answer(mut reply: SendResponse<Bytes>, message: Bytes, status: &'static str) {
    let response = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = reply.send_response(response, false).unwrap();
    stream.send_data(message, false).unwrap();
    let status = [("grpc-status".parse().unwrap(), status.parse().unwrap())];
    stream.send_trailers(status.into_iter().collect()).unwrap();
}

/// Says yes to whoever shows the cookie; keeps the questions as text with what is not text between it.
async fn doorkeeper() -> (Backend2, Arc<Mutex<Vec<String>>>) {
    let questions = Arc::<Mutex<Vec<String>>>::default();
    let heard = questions.clone();
    let backend = Backend2::start(move |mut call: Call| {
        let heard = heard.clone();
        async move {
            let mut question = Vec::new();
            while let Some(data) = call.body.data().await {
                let data = data.unwrap();
                call.body.flow_control().release_capacity(data.len()).unwrap();
                question.extend_from_slice(&data);
            }
            assert_eq!(call.head.headers()["content-type"], "application/grpc");
            assert_eq!(call.head.headers()["te"], "trailers");
            assert_eq!(call.head.uri().path(), "/envoy.service.auth.v3.Authorization/Check");
            assert_eq!(question[0], 0);
            assert_eq!(u32::from_be_bytes(question[1..5].try_into().unwrap()) as usize, question.len() - 5);
            let question = String::from_utf8_lossy(&question).into_owned();
            let is_good = question.contains("good");
            heard.lock().unwrap().push(question);
            answer(call.reply, if is_good { yes() } else { no() }, "0");
        }
    })
    .await;
    (backend, questions)
}

fn by_grpc(body: u32, address: SocketAddr) -> Auth {
    auth_by(AuthProtocol::Grpc { told: Vec::new() }, body, vec![endpoint(address)])
}

#[tokio::test]
async fn who_is_let_in_is_named_by_the_service_and_told_so() {
    let (server, (keeper, questions)) = (Server::echo().await, doorkeeper().await);
    let proxy = proxy(guarded(vec![by_grpc(0, keeper.address)], &server));
    let reply = proxy
        .request(
            "POST /a/../b?c=d HTTP/1.1\r\nHost: a.test\r\nCookie: good\r\nX-User: root\r\nX_User: root\r\nX-A: 1\r\nX-A: 2\r\n\
             Content-Length: 4\r\n\r\nbody",
        )
        .await;
    let got = String::from_utf8(reply.body).unwrap();
    assert_eq!((reply.status, field(&reply.head, "x-told")), (200, Some("yes")), "{got}");
    assert!(got.starts_with("POST /b?c=d HTTP/1.1\r\n") && got.ends_with("\r\n\r\nbody"), "{got}");
    assert_eq!(
        (field(&got, "x-user"), field(&got, "cookie"), field(&got, "x_user")),
        (Some("ann"), None, None)
    );
    let question = questions.lock().unwrap().remove(0);
    // `HttpRequest`: method, path and host, the entry of a map, and the version.
    for part in [
        "\u{12}\u{4}POST",
        "\u{22}\u{6}/b?c=d",
        "\u{2a}\u{6}a.test",
        "\u{a}\u{3}x-a\u{12}\u{3}1,2",
        "\u{a}\u{5}:path\u{12}\u{6}/b?c=d",
        "\u{32}\u{4}http",
        "\u{52}\u{8}HTTP/1.1",
        "\u{12}\u{9}127.0.0.1",
    ] {
        assert!(question.contains(part), "{part:?} in {question:?}");
    }
    assert!(!question.contains("body"), "{question:?}");
}

#[tokio::test]
async fn who_is_not_let_in_gets_what_the_service_says() {
    let (server, (keeper, _)) = (Server::echo().await, doorkeeper().await);
    let proxy = proxy(guarded(vec![by_grpc(0, keeper.address)], &server));
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client.send(get("/")).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, &*reply.body), (401, &b"who"[..]));
        assert_eq!(field(&reply.head, "www-authenticate"), Some("Basic"));
    }
    assert_eq!(server.connections(), 0);
    assert_eq!(keeper.connections.load(Ordering::SeqCst), 1, "its connection is used again");
}

#[tokio::test]
async fn what_is_no_answer_lets_nobody_in() {
    let server = Server::echo().await;
    for (message, status) in [
        (yes(), "13"),
        (Bytes::new(), "0"),
        (framed(b"\xff\xff"), "0"),
        (yes().slice(..7), "0"),
        (Bytes::from([&[1][..], &yes()[1..]].concat()), "0"),
    ] {
        let wrong = message.clone();
        let keeper = Backend2::start(move |call: Call| {
            answer(call.reply, wrong.clone(), status);
            std::future::ready(())
        })
        .await;
        let proxy = proxy(guarded(vec![by_grpc(0, keeper.address)], &server));
        assert_eq!(proxy.status("/").await, 503, "{status} {message:?}");
    }
    // One that speaks HTTP only.
    let old = super::doorkeeper().await;
    let proxy = proxy(guarded(vec![by_grpc(0, old.address)], &server));
    assert_eq!(proxy.status("/").await, 503);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_body_is_shown_and_one_that_is_too_long_does_not_pass() {
    let (server, (keeper, questions)) = (Server::echo().await, doorkeeper().await);
    let proxy = proxy(guarded(vec![by_grpc(8, keeper.address)], &server));
    let ask = |body: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nCookie: good\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        )
    };
    let reply = proxy.request(&ask("eight by")).await;
    let got = String::from_utf8(reply.body).unwrap();
    assert!(reply.status == 200 && got.ends_with("\r\n\r\neight by"), "{got}");
    let question = questions.lock().unwrap().remove(0);
    assert!(question.contains("\u{5a}\u{8}eight by"), "{question:?}");
    assert_eq!(proxy.request(&ask("nine byte")).await.status, 413);
    assert_eq!((questions.lock().unwrap().len(), server.connections()), (0, 1));
}

/// A body is read before anybody is asked, and sent on as it was: in one piece or many, with trailers, and again.
#[tokio::test]
async fn a_body_that_was_shown_goes_on_as_it_came() {
    let refusing = Backend2::start(|mut call: Call| async move {
        call.reply.send_reset(h2::Reason::REFUSED_STREAM);
    })
    .await;
    let server = Backend2::echo().await;
    let (keeper, questions) = doorkeeper().await;
    let by_http2 = |address| Endpoint { scheme: Scheme::H2c, ..endpoint(address) };
    let target = backend(vec![by_http2(refusing.address), by_http2(server.address)]);
    let proxy = proxy(Rule { auths: vec![by_grpc(64, keeper.address)], ..rule(target) });
    let mut client = http2::Multi::connect(proxy.address).await;
    for number in 0..2 {
        let request = http2::request(http::Method::POST, "/").header("cookie", "good").body(()).unwrap();
        let (response, mut stream) = client.open(request, false).await;
        stream.send_data("one ".into(), false).unwrap();
        stream.send_data("two".into(), false).unwrap();
        stream
            .send_trailers([("x-sum".parse().unwrap(), "7".parse().unwrap())].into_iter().collect())
            .unwrap();
        let answer = http2::answer(soon(response).await.unwrap()).await;
        assert_eq!((answer.status, &*answer.body), (200, "one two"));
        assert_eq!(answer.trailers.unwrap()["x-sum"], "7");
        assert!(questions.lock().unwrap()[number].contains("one two"));
    }
    assert!(refusing.heard() > 0);
}
