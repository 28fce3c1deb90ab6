//! What comes after a body: what only a head may say is taken away, whichever versions of HTTP are spoken.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{
    h2c::{Backend2, Call, serving_h2c},
    http2::{Multi, request},
    *,
};

/// What goes on of these is `X-Sum` alone.
const MIXED: [&str; 19] = [
    "Connection: close",
    "Keep-Alive: timeout=5",
    "Transfer-Encoding: chunked",
    "Upgrade: h2c",
    "Proxy-Connection: close",
    "TE: gzip",
    "X-Sum: 7",
    "X-Forwarded-For: 6.6.6.6",
    "X_Forwarded_For: 6.6.6.6",
    "X-Real-IP: 6.6.6.6",
    "X-Request-Id: forged",
    "Forwarded: for=6.6.6.6",
    "Proxy: http://evil",
    "Host: evil.test",
    "Content-Length: 0",
    "Authorization: Bearer evil",
    "Set-Cookie: a=b",
    "Portolan-Reason: forged",
    "Trailer: x-sum",
];

/// Chunks and these trailers.
fn chunks(trailers: &[&str]) -> String {
    let lines: String = trailers.iter().flat_map(|line| [*line, "\r\n"]).collect();
    format!("3\r\nabc\r\n0\r\n{lines}\r\n")
}

/// The fields of a head that announces them, and that the other side takes trailers.
fn announcing(trailers: &[&str]) -> String {
    let names: Vec<&str> = trailers.iter().map(|line| line.split(':').next().unwrap()).collect();
    format!("TE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: {}\r\n", names.join(", "))
}

pub(super) fn posting(fields: &str, trailers: &[&str]) -> String {
    let (announced, chunks) = (announcing(trailers), chunks(trailers));
    format!("POST / HTTP/1.1\r\nHost: a.test\r\n{fields}{announced}\r\n{chunks}")
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Chunks, without their head, and the trailers.
    async fn trailed(&mut self) -> String {
        loop {
            if let Some(last) = find(&self.read, b"\r\n0\r\n")
                && let Some(end) = find(&self.read[last + 3..], b"\r\n\r\n")
            {
                let bytes = self.read.drain(..last + 3 + end + 4).collect();
                return String::from_utf8(bytes).unwrap();
            }
            assert!(self.more().await > 0, "closed within a body: {:?}", String::from_utf8_lossy(&self.read));
        }
    }
}

/// Takes note of the bodies that come, with their trailers, and answers.
pub(super) async fn noting() -> Server {
    Server::start(|mut client, heard, _| async move {
        while !client.read.is_empty() || client.more().await > 0 {
            client.head().await;
            let body = client.trailed().await;
            heard.lock().unwrap().push(body);
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await
}

/// The same by HTTP/2: the trailers alone.
pub(super) async fn noting2() -> (Backend2, Arc<Mutex<Vec<Option<HeaderMap>>>>) {
    let noted = Arc::<Mutex<Vec<_>>>::default();
    let log = noted.clone();
    let server = Backend2::start(move |mut call: Call| {
        let log = log.clone();
        async move {
            while let Some(Ok(data)) = call.body.data().await {
                call.body.flow_control().release_capacity(data.len()).unwrap();
            }
            let trailers = call.body.trailers().await.unwrap();
            log.lock().unwrap().push(trailers);
            call.reply.send_response(http::Response::new(()), true).unwrap();
        }
    })
    .await;
    (server, noted)
}

fn sum() -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("7"))])
}

#[tokio::test]
async fn an_old_backend_gets_no_trailers_that_a_head_may_not_have() {
    let server = noting().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(posting("", &MIXED)).await;
    assert_eq!(client.reply().await.status, 200);
    client.send(posting("", &["Keep-Alive: timeout=5"])).await;
    assert_eq!(client.reply().await.status, 200);
    let kept = "3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n";
    assert_eq!(server.heard(), [kept, "3\r\nabc\r\n0\r\n\r\n"]);
    // By HTTP/2 too, from which some cannot even come.
    let mut client = Multi::connect(proxy.address).await;
    let announcing =
        request(Method::POST, "/").header("trailer", "x-sum, x-real-ip").header("te", "trailers");
    let (response, mut body) = client.open(announcing.body(()).unwrap(), false).await;
    body.send_data("abc".into(), false).unwrap();
    let mut trailers = sum();
    trailers.insert("x-real-ip", HeaderValue::from_static("6.6.6.6"));
    body.send_trailers(trailers).unwrap();
    assert_eq!(soon(response).await.unwrap().status(), 200);
    assert_eq!(server.heard()[2], kept);
}

#[tokio::test]
async fn a_request_to_a_new_backend_ends_whatever_its_trailers_are() {
    let (server, noted) = noting2().await;
    let proxy = Proxy::start(config(), serving_h2c(&[server.address]));
    let others = MIXED.iter().filter(|line| !line.starts_with("X-Sum"));
    let cases = others.flat_map(|line| [(vec![*line], None), (vec![*line, "X-Sum: 7"], Some(sum()))]);
    for (trailers, kept) in cases {
        // None is announced.
        let head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        let request = format!("{head}{}", chunks(&trailers));
        assert_eq!(proxy.request(&request).await.status, 200, "{trailers:?}");
        assert_eq!(noted.lock().unwrap().pop().unwrap(), kept, "{trailers:?}");
    }
}

#[tokio::test]
async fn an_answer_ends_whatever_its_trailers_are() {
    let trailers = |request: &str| match request.split(' ').nth(1) {
        Some("/mixed") => MIXED.to_vec(),
        Some("/close") => vec!["Connection: close"],
        Some("/keep") => vec!["Keep-Alive: timeout=5"],
        _ => vec!["Portolan-Reason: forged"],
    };
    let server = Server::answering(move |request| {
        let trailers = trailers(request);
        format!("HTTP/1.1 200 OK\r\n{}\r\n{}", announcing(&trailers), chunks(&trailers))
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut new = Multi::connect(proxy.address).await;
    let mut old = proxy.connect().await;
    for (path, kept) in [("/mixed", Some(sum())), ("/close", None), ("/keep", None), ("/reason", None)] {
        let answer = new.get(path).await;
        assert_eq!((answer.status, &*answer.body, &answer.trailers), (200, "abc", &kept), "{path}");
        old.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\n\r\n")).await;
        assert!(old.head().await.starts_with("HTTP/1.1 200 "), "{path}");
        let line = if kept.is_some() { "x-sum: 7\r\n" } else { "" };
        assert_eq!(old.trailed().await, format!("3\r\nabc\r\n0\r\n{line}\r\n"), "{path}");
    }
}

#[tokio::test]
async fn what_the_head_has_of_a_rule_or_not_at_all_is_not_said_again_after_the_body() {
    let server = noting().await;
    let pair = |name| (HeaderName::from_static(name), HeaderValue::from_static("rule"));
    let edit = crate::model::HeaderEdit {
        set: vec![pair("x-tenant")],
        add: vec![pair("x-zone")],
        remove: vec![HeaderName::from_static("x-internal")],
    };
    let filters = vec![HttpFilter::RequestHeaders(edit)];
    let one = Rule { filters, ..rule(backend(vec![endpoint(server.address)])) };
    let proxy = Proxy::start(config(), table(vec![("/", one)]));
    let said = ["X-Tenant: 1", "X_Tenant: 1", "X-Zone: 1", "X-Internal: 1", "X-Hop: 1", "X-Sum: 7"];
    assert_eq!(proxy.request(&posting("Connection: x-hop\r\n", &said)).await.status, 200);
    assert_eq!(server.heard(), ["3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n"]);
}

#[tokio::test]
async fn what_a_rule_takes_from_an_answer_does_not_come_after_its_body() {
    let said = ["X-Server: 1", "X_Version: 1", "X-Zone: 1", "X-Sum: 7"];
    let server = Server::answering(move |_| {
        format!("HTTP/1.1 200 OK\r\nX-Version: 1\r\n{}\r\n{}", announcing(&said), chunks(&said))
    })
    .await;
    let edit = |set: &[&'static str], remove: &[&'static str]| {
        let pair = |name: &&'static str| (HeaderName::from_static(name), HeaderValue::from_static("rule"));
        let remove = remove.iter().map(|name| HeaderName::from_static(name)).collect();
        HttpFilter::ResponseHeaders(crate::model::HeaderEdit {
            set: set.iter().map(pair).collect(),
            remove,
            add: Vec::new(),
        })
    };
    let mut one = rule(backend(vec![endpoint(server.address)]));
    one.filters = vec![edit(&["x-zone"], &["x-version"])];
    let target = backend(vec![endpoint(server.address)]);
    one.backends = Weighted::new(vec![Choice::new(1, target, vec![edit(&[], &["x-server"])])]);
    let proxy = Proxy::start(config(), table(vec![("/", one)]));
    let mut old = proxy.connect().await;
    old.send("GET / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\n\r\n").await;
    let head = old.head().await;
    assert_eq!((field(&head, "x-version"), field(&head, "x-zone")), (None, Some("rule")), "{head}");
    assert_eq!(old.trailed().await, "3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n");
    assert_eq!(Multi::connect(proxy.address).await.get("/").await.trailers, Some(sum()));
}
