//! A steady load: some clients that ask one request after the other, and check and time each answer.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::support::{
    http::{Connection, Response},
    note, wait,
};

/// Between two requests of one client: eight clients make a few hundred requests a second.
const PACE: Duration = Duration::from_millis(15);
const CLIENTS_EACH: usize = 2;
/// Of failures whose words are kept.
const KEPT: usize = 20;
/// A client that has finished nothing for so long hangs.
const HANGS: Duration = Duration::from_secs(30);
const BODY: &str = "a body that has to arrive as a whole, once";

/// How a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Over one connection, which must never be closed.
    KeptGet,
    KeptPost,
    /// Over one connection, until an answer says that it is the last; then over the next.
    WillingGet,
    WillingPost,
    /// Over a connection for each request.
    NewGet,
    NewPost,
}

/// Runs until it is dropped.
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
    begun: Instant,
}

struct Shared {
    address: SocketAddr,
    host: String,
    is_over: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Requests that each client has finished.
    clients: Vec<u64>,
    /// Answers of each backend.
    backends: BTreeMap<String, u64>,
    slowest: Duration,
    failed: u64,
    failures: Vec<String>,
}

/// Both methods, on both kinds of connection.
pub(super) const ALL: [Way; 4] = [Way::KeptGet, Way::KeptPost, Way::NewGet, Way::NewPost];
/// The same where the proxy itself is replaced: nothing keeps a connection then.
pub(super) const WILLING: [Way; 4] = [Way::WillingGet, Way::WillingPost, Way::NewGet, Way::NewPost];
/// What may be sent again whatever became of it the first time.
pub(super) const REPEATABLE: [Way; 2] = [Way::KeptGet, Way::NewGet];

// === impl Load ===

impl Load {
    pub(super) fn start(address: SocketAddr, host: &str, ways: &[Way]) -> Self {
        let ways = ways.repeat(CLIENTS_EACH);
        let seen = Mutex::new(Seen { clients: vec![0; ways.len()], ..Seen::default() });
        let shared = Shared { address, host: host.to_owned(), is_over: AtomicBool::new(false), seen };
        let (shared, begun) = (Arc::new(shared), Instant::now());
        let clients = ways.into_iter().enumerate().map(|(number, way)| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.ask_on(number, way, begun))
        });
        Self { clients: clients.collect(), shared, begun }
    }

    /// Waits until a backend answers from now on.
    #[track_caller]
    pub(super) fn reaches(&self, backend: &str) {
        let count = || self.shared.seen().backends.get(backend).copied().unwrap_or(0);
        let before = count();
        wait::eventually(wait::SOON, &format!("the load reaches `{backend}`"), || {
            if count() > before { Ok(()) } else { Err(self.words()) }
        });
    }

    /// Waits until every client has begun and finished a request from now on.
    #[track_caller]
    pub(super) fn goes_on(&self) {
        let before = self.shared.seen().clients.clone();
        wait::eventually(HANGS, "the load goes on", || {
            let is_past = self.shared.seen().clients.iter().zip(&before).all(|(now, then)| *now > then + 1);
            if is_past { Ok(()) } else { Err(self.words()) }
        });
    }

    /// Ends it: every request was served, within this time.
    #[track_caller]
    pub(super) fn ends(mut self, within: Duration) {
        self.shared.is_over.store(true, SeqCst);
        for client in self.clients.drain(..) {
            client.join().expect("a client of the load");
        }
        note(&format!("{} in {:?}", self.words(), self.begun.elapsed()));
        let seen = self.shared.seen();
        assert_eq!(seen.failed, 0, "{}", seen.words());
        assert!(seen.slowest <= within, "{}", seen.words());
    }

    fn words(&self) -> String {
        self.shared.seen().words()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.is_over.store(true, SeqCst);
    }
}

// === impl Seen ===

impl Seen {
    fn words(&self) -> String {
        let (all, failures) = (self.clients.iter().sum::<u64>(), self.failures.join("\n"));
        format!("{all} requests, {} failed, the slowest took {:?}\n{failures}", self.failed, self.slowest)
    }
}

// === impl Shared ===

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One client.
    fn ask_on(&self, number: usize, way: Way, begun: Instant) {
        let mut kept = None;
        while !self.is_over.load(SeqCst) {
            let started = Instant::now();
            let answer = self.ask(way, &mut kept);
            let took = started.elapsed();
            if way.is_willing() && answer.as_ref().is_ok_and(is_last) {
                kept = None;
            }
            let mut seen = self.seen();
            seen.clients[number] += 1;
            seen.slowest = seen.slowest.max(took);
            match answer.map_err(|error| error.to_string()).and_then(|answer| way.check(&answer)) {
                Ok(backend) => *seen.backends.entry(backend).or_default() += 1,
                Err(words) => {
                    kept = None;
                    seen.failed += 1;
                    if seen.failures.len() < KEPT {
                        let at = started - begun;
                        seen.failures.push(format!("  {way:?}, begun at {at:?}, after {took:?}: {words}"));
                    }
                }
            }
            drop(seen);
            thread::sleep(PACE);
        }
    }

    fn ask(&self, way: Way, kept: &mut Option<Connection>) -> io::Result<Response> {
        let (is_kept, method) = match way {
            Way::KeptGet | Way::WillingGet => (true, "GET"),
            Way::KeptPost | Way::WillingPost => (true, "POST"),
            Way::NewGet => (false, "GET"),
            Way::NewPost => (false, "POST"),
        };
        let body = if method == "POST" { BODY } else { "" };
        let (host, length) = (&self.host, body.len());
        let close = if is_kept { "" } else { "Connection: close\r\n" };
        let head = format!("{method} /load HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{close}");
        let request = format!("{head}\r\n{body}");
        if !is_kept {
            return Connection::open(self.address)?.ask(&request);
        }
        let connection = match kept {
            Some(connection) => connection,
            None => kept.insert(Connection::open(self.address)?),
        };
        connection.ask(&request)
    }
}

fn is_last(answer: &Response) -> bool {
    answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

// === impl Way ===

impl Way {
    fn is_willing(self) -> bool {
        matches!(self, Self::WillingGet | Self::WillingPost)
    }

    /// The backend that answered as it should.
    fn check(self, answer: &Response) -> Result<String, String> {
        let length = match self {
            Self::KeptGet | Self::WillingGet | Self::NewGet => 0,
            Self::KeptPost | Self::WillingPost | Self::NewPost => BODY.len(),
        };
        let is_whole = answer.text().contains(&format!("\"body_bytes\":{length},"));
        match answer.backend() {
            Some(backend) if answer.status == 200 && is_whole => Ok(backend.to_owned()),
            _ => Err(answer.to_string()),
        }
    }
}
