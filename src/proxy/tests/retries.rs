//! What a rule's `retry` sends again, and what it does not, with backends that count.

use tokio::time::Instant;

use super::*;
use crate::model::Retry;

/// Answers with these statuses in turn, then with the last of them.
async fn statuses(statuses: &'static [u16]) -> Server {
    let turn = Arc::new(AtomicUsize::new(0));
    Server::answering(move |_| {
        let turn = turn.fetch_add(1, Ordering::SeqCst).min(statuses.len() - 1);
        format!("HTTP/1.1 {} x\r\nContent-Length: 0\r\n\r\n", statuses[turn])
    })
    .await
}

/// Hangs up on the first so many requests, then answers 200.
async fn hanging_up(times: usize) -> Server {
    let turn = Arc::new(AtomicUsize::new(0));
    Server::start(move |mut client, heard, _| {
        let turn = turn.clone();
        async move {
            while let Some(request) = client.request().await {
                heard.lock().unwrap().push(request);
                if turn.fetch_add(1, Ordering::SeqCst) < times {
                    return;
                }
                client.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            }
        }
    })
    .await
}

fn retrying(addresses: &[SocketAddr], codes: &[u16], attempts: u32) -> Rule {
    let retry = Retry { codes: codes.to_vec(), attempts, backoff: Duration::from_millis(1) };
    let endpoints = addresses.iter().copied().map(endpoint).collect();
    Rule { retry: Some(Arc::new(retry)), ..rule(backend(endpoints)) }
}

fn start(rule: Rule) -> Proxy {
    Proxy::start(config(), table(vec![("/", rule)]))
}

#[tokio::test]
async fn the_codes_of_the_list_are_tried_again_as_often_as_said_and_the_last_answer_is_passed_on() {
    for (answers, codes, attempts, expected, tries) in [
        (&[500, 500, 200][..], &[500][..], 2, 200, 3),
        (&[500, 503, 200], &[500], 5, 503, 2),
        (&[500, 200], &[500, 502, 503, 504], 1, 200, 2),
        (&[502], &[502], 3, 502, 4),
        (&[503, 504, 200], &[503, 504], 3, 200, 3),
        (&[500, 200], &[], 3, 500, 1),
        (&[404, 200], &[404], 1, 200, 2),
    ] {
        let server = statuses(answers).await;
        let proxy = start(retrying(&[server.address], codes, attempts));
        assert_eq!(proxy.status("/").await, expected, "{answers:?}");
        assert_eq!(server.heard().len(), tries, "{answers:?}");
    }
}

#[tokio::test]
async fn a_short_body_is_sent_again_and_a_long_one_is_not() {
    for (length, expected, tries) in [(5, 200, 2), (64 << 10, 200, 2), ((64 << 10) + 1, 500, 1)] {
        let body = "x".repeat(length);
        for (framing, body) in [
            (format!("Content-Length: {length}"), body.clone()),
            ("Transfer-Encoding: chunked".into(), format!("{length:x}\r\n{body}\r\n0\r\n\r\n")),
        ] {
            let server = statuses(&[500, 200]).await;
            let proxy = start(retrying(&[server.address], &[500], 3));
            let reply =
                proxy.request(&format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}")).await;
            assert_eq!((reply.status, server.heard().len()), (expected, tries), "{length} {framing}");
            for request in server.heard() {
                let sent = request.matches('x').count();
                assert!(sent >= length, "{framing}: {sent} of {length}");
            }
        }
    }
}

#[tokio::test]
async fn a_broken_connection_is_tried_again_where_the_method_may_be_repeated() {
    for (method, body, attempts, expected, tries) in
        [("GET", "", 3, 200, 4), ("PUT", "ok", 3, 200, 4), ("GET", "", 1, 502, 2), ("POST", "ok", 3, 502, 1)]
    {
        let server = hanging_up(3).await;
        let proxy = start(retrying(&[server.address], &[], attempts));
        let length = body.len();
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
        let reply = proxy.request(&request).await;
        assert_eq!((reply.status, server.heard().len()), (expected, tries), "{method}");
        assert!(server.heard().iter().all(|request| request.ends_with(body)));
    }
}

#[tokio::test]
async fn another_try_goes_to_another_endpoint() {
    let (bad, good) = (statuses(&[503]).await, statuses(&[200]).await);
    let proxy = start(retrying(&[bad.address, good.address], &[503], 1));
    for _ in 0..6 {
        assert_eq!(proxy.status("/").await, 200);
    }
    assert_eq!(good.heard().len(), 6);
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_made_again_and_the_whole_time_ends_it() {
    let silent = || {
        Server::start(|mut client, heard, _| async move {
            while let Some(request) = client.request().await {
                heard.lock().unwrap().push(request);
            }
        })
    };
    let one = Some(Duration::from_millis(40));
    let server = silent().await;
    let timeouts = Timeouts { request: None, backend_request: one };
    let proxy = start(Rule { timeouts, ..retrying(&[server.address], &[], 2) });
    assert_eq!((proxy.status("/").await, server.heard().len()), (504, 3));
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert_eq!((proxy.request(post).await.status, server.heard().len()), (504, 4), "not to be repeated");

    let server = silent().await;
    let timeouts = Timeouts { request: Some(Duration::from_millis(100)), backend_request: one };
    let proxy = start(Rule { timeouts, ..retrying(&[server.address], &[], 1000) });
    let started = Instant::now();
    assert_eq!(proxy.status("/").await, 504);
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert!((2..=3).contains(&server.heard().len()), "{}", server.heard().len());
}

#[tokio::test]
async fn the_pause_is_at_least_as_long_as_said_and_ends_with_the_request_s_time() {
    let server = statuses(&[500, 500, 200]).await;
    let policy = |backoff| {
        Some(Arc::new(Retry { codes: vec![500], attempts: 2, backoff: Duration::from_millis(backoff) }))
    };
    let proxy = start(Rule { retry: policy(30), ..retrying(&[server.address], &[], 0) });
    let started = Instant::now();
    assert_eq!(proxy.status("/").await, 200);
    assert!(started.elapsed() >= Duration::from_millis(90), "30 and 60 ms: {:?}", started.elapsed());

    let server = statuses(&[500, 200]).await;
    let timeouts = Timeouts { request: Some(Duration::from_millis(50)), backend_request: None };
    let proxy = start(Rule { retry: policy(60_000), timeouts, ..retrying(&[server.address], &[], 0) });
    assert_eq!((proxy.status("/").await, server.heard().len()), (504, 1));
}

#[tokio::test]
async fn many_requests_do_not_all_try_again_at_the_same_time() {
    // Nobody is answered before all have asked once.
    const REQUESTS: usize = 20;
    let heard_all = Arc::new(tokio::sync::Semaphore::new(0));
    let gate = heard_all.clone();
    let server = Server::start(move |mut client, heard, _| {
        let gate = gate.clone();
        async move {
            while let Some(request) = client.request().await {
                heard.lock().unwrap().push(request);
                let _pass = gate.acquire().await.unwrap();
                let answer = b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n";
                if client.stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let retry = Retry { codes: vec![503], attempts: 1, backoff: Duration::from_millis(200) };
    let proxy = start(Rule { retry: Some(Arc::new(retry)), ..retrying(&[server.address], &[], 0) });
    let mut clients = Vec::new();
    for _ in 0..REQUESTS {
        let mut client = proxy.connect().await;
        client.send(get("/")).await;
        clients.push(client);
    }
    until("all have asked", || server.heard().len() == REQUESTS).await;
    heard_all.add_permits(1000);
    for client in &mut clients {
        assert_eq!(client.reply().await.status, 503, "the last answer is passed on");
    }
    let again = server.heard().len() - REQUESTS;
    assert!((3..=4).contains(&again), "{again} of {REQUESTS}");
    assert_eq!(
        proxy.metric(r#"portolan_retries_total{backend="default/b"}"#),
        u32::try_from(again).ok().map(f64::from)
    );
}
