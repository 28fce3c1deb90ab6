//! Backends that count: how often a request is seen when something goes wrong, and what its client gets.

use super::*;
use crate::model::Retry;

/// What a request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meets {
    /// Nobody listens.
    Refusal,
    /// The connection that waited to be used again was closed.
    Goodbye,
    /// The connection is reset; nothing of the request was read.
    ResetUnread,
    /// The connection is reset instead of an answer to what was read.
    ResetRead,
    /// The connection is reset within the answer.
    ResetMidway,
    /// No answer in the time for one try.
    Silence,
    /// An answer with a code that `retry` lists.
    Listed,
}
use Meets::*;

/// Whether the rule has a `retry`: one more try, code 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    Plain,
    Retry,
}
use Rules::*;

/// How often the backends have seen a request, and the status that its client got.
type Counted = (usize, u16);

/// In place of a status: an answer that began with 200 and broke off.
const CUT: u16 = 0;

/// Method and body.
const REQUESTS: [(&str, &str); 5] = [("GET", ""), ("PUT", ""), ("PUT", "ok"), ("POST", ""), ("POST", "ok")];

/// For each of the requests: what comes of it when only the first try meets that, and when every try does.
///
/// What was sent on an open connection may have been done: only what may be done twice is sent again, and of that only
/// what can be sent from its start. A body can if `retry` had it kept. A listed code is the word of the backend.
const TABLE: [(Meets, Rules, [Counted; 5], [Counted; 5]); 14] = [
    (Refusal, Plain, [(1, 200); 5], [(0, 502); 5]),
    (Refusal, Retry, [(1, 200); 5], [(0, 502); 5]),
    (Goodbye, Plain, [(1, 200); 5], [(1, 200); 5]),
    (Goodbye, Retry, [(1, 200); 5], [(1, 200); 5]),
    (ResetUnread, Plain, [(1, 200), (1, 200), (0, 502), (0, 502), (0, 502)], [(0, 502); 5]),
    (ResetUnread, Retry, [(1, 200), (1, 200), (1, 200), (0, 502), (0, 502)], [(0, 502); 5]),
    (
        ResetRead,
        Plain,
        [(2, 200), (2, 200), (1, 502), (1, 502), (1, 502)],
        [(3, 502), (3, 502), (1, 502), (1, 502), (1, 502)],
    ),
    (
        ResetRead,
        Retry,
        [(2, 200), (2, 200), (2, 200), (1, 502), (1, 502)],
        [(2, 502), (2, 502), (2, 502), (1, 502), (1, 502)],
    ),
    (ResetMidway, Plain, [(1, CUT); 5], [(1, CUT); 5]),
    (ResetMidway, Retry, [(1, CUT); 5], [(1, CUT); 5]),
    (Silence, Plain, [(1, 504); 5], [(1, 504); 5]),
    (
        Silence,
        Retry,
        [(2, 200), (2, 200), (2, 200), (1, 504), (1, 504)],
        [(2, 504), (2, 504), (2, 504), (1, 504), (1, 504)],
    ),
    (Listed, Plain, [(1, 503); 5], [(1, 503); 5]),
    (Listed, Retry, [(2, 200); 5], [(2, 503); 5]),
];

/// Two backends of which the first tries, as many as said, meet that.
struct Pair {
    servers: [Server; 2],
    goodbyes: Arc<AtomicUsize>,
}

// === impl Pair ===

impl Pair {
    async fn start(meets: Meets, times: usize) -> Self {
        let (turn, goodbyes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let server = || {
            let (turn, goodbyes) = (turn.clone(), goodbyes.clone());
            Server::start(move |client, heard, _| {
                let (turn, goodbyes) = (turn.clone(), goodbyes.clone());
                async move {
                    let fails = || turn.fetch_add(1, Ordering::SeqCst) < times;
                    if serve(client, &heard, meets, fails).await == Some(Goodbye) {
                        goodbyes.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        };
        Self { servers: [server().await, server().await], goodbyes }
    }

    /// As the route has them.
    async fn addresses(&self, meets: Meets, times: usize) -> Vec<SocketAddr> {
        if meets != Refusal {
            return self.servers.each_ref().map(|server| server.address).into();
        }
        let closed = [TcpListener::bind(asked()).await.unwrap(), TcpListener::bind(asked()).await.unwrap()];
        let closed = closed.map(|listener| listener.local_addr().unwrap());
        if times == 1 { vec![closed[0], self.servers[0].address] } else { closed.into() }
    }

    fn heard(&self) -> Vec<String> {
        self.servers.iter().flat_map(Server::heard).collect()
    }

    fn forget(&self) {
        for server in &self.servers {
            server.heard.lock().unwrap().clear();
        }
    }
}

/// Serves one connection until it ends; why, if that is what requests meet.
async fn serve(
    mut client: Client,
    heard: &Mutex<Vec<String>>,
    meets: Meets,
    fails: impl Fn() -> bool,
) -> Option<Meets> {
    // A request is there, and nothing of it was read.
    while client.stream.peek(&mut [0]).await.unwrap_or(0) > 0 {
        let met = fails().then_some(meets);
        if met == Some(ResetUnread) {
            client.stream.set_zero_linger().unwrap();
            return met;
        }
        let request = client.request().await?;
        heard.lock().unwrap().push(request);
        let answer = match met {
            Some(ResetRead) => "",
            Some(ResetMidway) => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            Some(Listed) => "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
            Some(Silence) => {
                client.rest().await;
                return met;
            }
            Some(Refusal | Goodbye | ResetUnread) | None => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        };
        client.stream.write_all(answer.as_bytes()).await.ok()?;
        if matches!(met, Some(ResetRead | ResetMidway)) {
            client.stream.set_zero_linger().unwrap();
            return met;
        }
        if met == Some(Goodbye) {
            client.stream.shutdown().await.unwrap();
            return met;
        }
    }
    None
}

fn start(rules: Rules, meets: Meets, addresses: Vec<SocketAddr>) -> Proxy {
    let policy = Retry { codes: vec![503], attempts: 1, backoff: Duration::from_millis(1) };
    let one_try = (meets == Silence).then_some(Duration::from_millis(60));
    let one = Rule {
        retry: (rules == Retry).then(|| Arc::new(policy)),
        timeouts: Timeouts { request: None, backend_request: one_try },
        ..rule(backend(addresses.into_iter().map(endpoint).collect()))
    };
    Proxy::start(config(), table(vec![("/", one)]))
}

async fn ask(proxy: &Proxy, (method, body): (&str, &str)) -> Client {
    let mut client = proxy.connect().await;
    let length = body.len();
    let head = format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}");
    client.send(format!("{head}\r\n\r\n{body}")).await;
    client
}

/// The status of the answer, if all of it comes.
async fn status(mut client: Client) -> u16 {
    let head = client.head().await;
    let rest = client.rest().await;
    let is_whole = field(&head, "content-length") == Some(&*rest.len().to_string());
    if is_whole { head[9..12].parse().unwrap() } else { CUT }
}

#[tokio::test]
async fn a_request_is_seen_as_often_as_the_table_says_and_never_more() {
    for (meets, rules, once, always) in TABLE {
        for (times, expected) in [(1, once), (usize::MAX, always)] {
            for (request, expected) in REQUESTS.into_iter().zip(expected) {
                let pair = Pair::start(meets, times).await;
                let proxy = start(rules, meets, pair.addresses(meets, times).await);
                if meets == Goodbye {
                    // A connection to each, which is then closed.
                    for _ in 0..2 {
                        assert_eq!(status(ask(&proxy, REQUESTS[0]).await).await, 200);
                    }
                    let both = times.min(2);
                    until("said goodbye", || pair.goodbyes.load(Ordering::SeqCst) == both).await;
                    pair.forget();
                }
                // Of two, either may be the first to be asked.
                for _ in 0..if meets == Refusal { 2 } else { 1 } {
                    let status = status(ask(&proxy, request).await).await;
                    let heard = pair.heard();
                    assert_eq!((heard.len(), status), expected, "{meets:?} {rules:?} {times} {request:?}");
                    assert!(heard.iter().all(|one| one.ends_with(&format!("\r\n\r\n{}", request.1))));
                    pair.forget();
                }
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_was_held_is_seen_once() {
    for request in REQUESTS {
        let pair = Pair::start(Silence, 0).await;
        let mut proxy = Proxy::start(holding(LONG), serving(&[]));
        let client = ask(&proxy, request).await;
        until("it is held", || proxy.metric("portolan_held_requests") == Some(1.0)).await;
        proxy.publisher.publish(serving(&pair.addresses(Silence, 0).await));
        assert_eq!((status(client).await, pair.heard().len()), (200, 1), "{request:?}");
    }
}
