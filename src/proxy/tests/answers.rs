//! What backends of all kinds say, and what of it reaches the client.

use super::*;

/// Says the same to each request, in pieces that are sent one by one, and closes if told to.
async fn saying(pieces: &'static [&'static str], closes: Closes) -> Server {
    Server::start(move |mut client, heard, number| async move {
        while let Some(request) = client.request().await {
            heard.lock().unwrap().push(format!("{number} {request}"));
            for piece in pieces {
                if client.stream.write_all(piece.as_bytes()).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            if closes == Closes::Yes {
                return;
            }
        }
    })
    .await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closes {
    Yes,
    No,
}

async fn told(pieces: &'static [&'static str], closes: Closes) -> (Reply, Server) {
    let server = saying(pieces, closes).await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    (proxy.request(&get("/")).await, server)
}

/// The whole body, in whatever chunks it came: sizes and pieces take turns, and the last size is 0.
fn joined(reply: &Reply) -> String {
    let body = String::from_utf8(reply.body.clone()).unwrap();
    if field(&reply.head, "transfer-encoding").is_none() {
        return body;
    }
    assert!(body.ends_with("0\r\n\r\n"), "{body:?}");
    body.split("\r\n").skip(1).step_by(2).collect()
}

#[tokio::test]
async fn an_answer_is_read_alike_however_it_comes() {
    const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
    static BYTES: [&str; WHOLE.len()] = {
        let mut bytes = [""; WHOLE.len()];
        let mut at = 0;
        while at < bytes.len() {
            bytes[at] = WHOLE.split_at(at).1.split_at(1).0;
            at += 1;
        }
        bytes
    };
    for pieces in [
        &BYTES[..],
        &[WHOLE],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3", "\r\nab", "c\r", "\n0\r\n", "\r\n"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n"],
        &["HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\n", WHOLE],
    ] {
        let (reply, _server) = told(pieces, Closes::No).await;
        let is_chunked = field(&reply.head, "transfer-encoding").is_some();
        let body = String::from_utf8(reply.body).unwrap();
        // In which chunks it comes is open: sizes and pieces take turns.
        let joined: String = body.split("\r\n").skip(1).step_by(2).collect();
        let is_whole =
            if is_chunked { joined == "abc" && body.ends_with("0\r\n\r\n") } else { body == "abc" };
        assert!(reply.status == 200 && is_whole, "{pieces:?} {body:?}");
    }
}

#[tokio::test]
async fn hints_come_before_the_answer_and_with_no_other() {
    const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x-one\r\nX-One: 1\r\n\r\n";
    let (sender, asked) = tokio::sync::mpsc::unbounded_channel::<()>();
    let asked = Arc::new(tokio::sync::Mutex::new(asked));
    let server = Server::start(move |mut client, _, _| {
        let asked = asked.clone();
        async move {
            while client.request().await.is_some() {
                client.stream.write_all(HINTS.as_bytes()).await.unwrap();
                asked.lock().await.recv().await.unwrap();
                client.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            }
        }
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        client.send(get("/")).await;
        // The answer waits for what the client has been told before.
        assert_eq!(client.head().await, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
        sender.send(()).unwrap();
        assert!(client.head().await.starts_with("HTTP/1.1 200"));
    }
    // An old client would take them for the answer.
    sender.send(()).unwrap();
    let mut old = proxy.connect().await;
    old.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert!(String::from_utf8(old.rest().await).unwrap().starts_with("HTTP/1.0 200"));
}

#[tokio::test]
async fn hints_that_come_with_the_answer_are_not_kept_for_the_next() {
    let (one, two) = (
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX-N: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-N: 2\r\nContent-Length: 0\r\n\r\n",
    );
    let server =
        Server::answering(move |request| if request.starts_with("GET /1 ") { one } else { two }.to_owned())
            .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send(get("/1")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 103"));
    assert_eq!(field(&client.head().await, "x-n"), Some("1"));
    client.send(get("/2")).await;
    assert_eq!(field(&client.head().await, "x-n"), Some("2"));
}

#[tokio::test]
async fn an_answer_may_end_with_its_connection() {
    for pieces in [&["HTTP/1.0 200 OK\r\n\r\na", "bc"][..], &["HTTP/1.1 200 OK\r\n\r\n", "abc"]] {
        let (reply, _server) = told(pieces, Closes::Yes).await;
        assert_eq!((reply.status, &*joined(&reply)), (200, "abc"), "{pieces:?}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_a_bad_gateway() {
    static ENDLESS: [&str; 200] = ["HTTP/1.1 100 Continue\r\n\r\n"; 200];
    for pieces in [
        &["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na"][..],
        &["HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\na"],
        // The client would take the code for the body.
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
        &["HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
        &["HTTP/1.1 20 OK\r\n\r\n"],
        &["HTTP/2 200\r\n\r\n"],
        &ENDLESS,
    ] {
        let (reply, _server) = told(pieces, Closes::No).await;
        assert_eq!(reply.status, 502, "{pieces:?}");
    }
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_leaves_nothing_for_the_next_request() {
    for pieces in [
        &["HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"][..],
        // More than was told: the beginning of an answer that nobody asked for.
        &[
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 0\r\n\r\n",
        ],
        &["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"],
        &["HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ] {
        let server = saying(pieces, Closes::No).await;
        let proxy = Proxy::start(config(), serving(&[server.address]));
        for _ in 0..3 {
            let reply = proxy.request(&get("/")).await;
            assert_eq!((reply.status, field(&reply.head, "x-poison")), (200, None), "{pieces:?}");
        }
        assert_eq!(server.connections(), 3, "{pieces:?}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_upload_has_ended_is_passed_on() {
    let server = Server::start(|mut client, _, _| async move {
        client.head().await;
        let answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        client.stream.write_all(answer).await.unwrap();
        // Reads on, as a server does that wants its answer to arrive.
        client.rest().await;
    })
    .await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nabc").await;
    assert_eq!(client.reply().await.status, 413);
}

#[tokio::test]
async fn an_upload_is_framed_anew() {
    let server = Server::echo().await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    for (request, told) in [
        ("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc", "content-length: 3\r\n"),
        ("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n", "content-length: 0\r\n"),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\n",
        ),
    ] {
        assert_eq!(proxy.request(request).await.status, 200);
        let heard = server.heard().pop().unwrap();
        let framing = heard
            .lines()
            .filter(|line| line.starts_with("content-length") || line.starts_with("transfer-encoding"));
        assert_eq!(framing.count(), 1, "{heard}");
        assert!(heard.contains(told), "{heard}");
    }
}
