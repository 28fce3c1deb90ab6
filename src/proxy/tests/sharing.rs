//! A connection to a backend goes from client to client: nothing of one may be left on it for the next.

use super::*;

/// Answers by what a function says of the connection's number and the request; tells which connection it was.
async fn numbered(answer: impl Fn(&str) -> &'static str + Clone + Send + Sync + 'static) -> Server {
    Server::start(move |mut client, heard, number| {
        let answer = answer.clone();
        async move {
            while let Some(request) = client.request().await {
                let says = answer(&request);
                heard.lock().unwrap().push(format!("{number} {request}"));
                let response = format!("HTTP/1.1 {says}Content-Length: 0\r\n\r\n");
                if client.stream.write_all(response.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

/// The connection that each request came over.
fn used(server: &Server) -> Vec<String> {
    server.heard().iter().map(|heard| heard.split(' ').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_connection_that_knows_who_its_client_is_is_nobody_elses() {
    for challenge in [
        "401 No\r\nWWW-Authenticate: NTLM\r\n",
        "401 No\r\nWWW-Authenticate: Basic realm=\"a\", negotiate oYG2\r\n",
        "401 No\r\nWWW-Authenticate: Basic realm=\"a\"\r\nWWW-Authenticate: Negotiate\r\n",
        "200 OK\r\nWWW-Authenticate: Negotiate oYG2\r\n",
        "407 No\r\nProxy-Authenticate: NTLM\r\n",
    ] {
        let server = numbered(
            move |request| {
                if request.starts_with("GET /private ") { challenge } else { "200 OK\r\n" }
            },
        )
        .await;
        let proxy = Proxy::start(config(), serving(&[server.address]));
        for path in ["/1", "/private", "/2", "/3"] {
            proxy.status(path).await;
        }
        assert_eq!(used(&server), ["0", "0", "1", "1"], "{challenge:?}");
    }
}

#[tokio::test]
async fn credentials_of_a_connection_make_it_private_without_a_word_of_the_backend() {
    let server = numbered(|_| "200 OK\r\n").await;
    let proxy = Proxy::start(config(), serving(&[server.address]));
    for credentials in ["Basic YTpi", "Negotiate YII", "ntlm TlRMTVNTUAAD", "Bearer x"] {
        let request = format!("GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: {credentials}\r\n\r\n");
        assert_eq!(proxy.request(&request).await.status, 200);
    }
    assert_eq!(used(&server), ["0", "0", "1", "2"]);
}

#[tokio::test]
async fn the_unread_body_of_an_answered_request_is_never_a_request() {
    // Answers without the body, and would take what follows for a request.
    let server = Server::start(|mut client, heard, _| async move {
        loop {
            while find(&client.read, b"\r\n\r\n").is_none() {
                if client.stream.read_buf(&mut client.read).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let head = client.head().await;
            heard.lock().unwrap().push(head);
            let answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
            if client.stream.write_all(answer).await.is_err() {
                return;
            }
        }
    })
    .await;
    let smuggled = get("/smuggled").repeat(4000);
    let proxy = Proxy::start(config(), serving(&[server.address]));
    let nowhere = Proxy::start(config(), table(Vec::new()));
    let (length, size) = (smuggled.len(), smuggled.len() + 1000);
    for framing in [format!("Content-Length: {size}"), "Transfer-Encoding: chunked".to_owned()] {
        for (proxy, status) in [(&proxy, "413"), (&nowhere, "404")] {
            let mut client = proxy.connect().await;
            client.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n\r\n")).await;
            assert!(client.head().await.starts_with(&format!("HTTP/1.1 {status} ")));
            if framing.starts_with('T') {
                client.send(format!("{length:x}\r\n")).await;
            }
            // It may be hung up on by now.
            let _ = client.stream.write_all(smuggled.as_bytes()).await;
            let rest = String::from_utf8(client.rest().await).unwrap();
            assert!(!rest.contains("HTTP/1.1"), "a second answer: {rest}");
        }
    }
    assert_eq!(proxy.status("/next").await, 413);
    assert!(server.heard().iter().any(|head| head.starts_with("GET /next ")));
    assert_eq!(server.connections(), 3, "one for each body, and one for what came after");
}
