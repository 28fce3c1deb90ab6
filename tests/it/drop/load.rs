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

use super::ledger::Ledger;
use crate::support::{
    http::{Connection, Response},
    note, wait,
};

/// Between two requests of one client: eight clients make a few hundred requests a second.
pub(super) const PACE: Duration = Duration::from_millis(15);
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
    pace: Duration,
    is_over: AtomicBool,
    seen: Mutex<Seen>,
}

/// What becomes of a request.
enum Became {
    /// By the backend of that name.
    Served(String),
    /// It was sent to a backend that has not answered, and may have been done.
    Lost,
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
    /// POSTs that were answered by 502: nobody can know what became of them.
    lost: usize,
    ledger: Ledger,
}

/// Both methods, on both kinds of connection.
pub(super) const ALL: [Way; 4] = [Way::KeptGet, Way::KeptPost, Way::NewGet, Way::NewPost];
/// The same where the proxy itself is replaced: nothing keeps a connection then.
pub(super) const WILLING: [Way; 4] = [Way::WillingGet, Way::WillingPost, Way::NewGet, Way::NewPost];

// === impl Load ===

impl Load {
    pub(super) fn start(address: SocketAddr, host: &str, ways: &[Way]) -> Self {
        Self::paced(address, host, ways, PACE)
    }

    pub(super) fn paced(address: SocketAddr, host: &str, ways: &[Way], pace: Duration) -> Self {
        let ways = ways.repeat(CLIENTS_EACH);
        let seen = Mutex::new(Seen { clients: vec![0; ways.len()], ..Seen::default() });
        let shared = Shared { address, host: host.to_owned(), pace, is_over: AtomicBool::new(false), seen };
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
    pub(super) fn ends(self, within: Duration) -> Ledger {
        self.ends_but_for(0, within)
    }

    /// The same, but so many POSTs may have been lost with the backend that had them.
    #[track_caller]
    pub(super) fn ends_but_for(mut self, most: usize, within: Duration) -> Ledger {
        self.shared.is_over.store(true, SeqCst);
        for client in self.clients.drain(..) {
            client.join().expect("a client of the load");
        }
        note(&format!("in {:.1?}: {}", self.begun.elapsed(), self.words().trim_end()));
        let mut seen = self.shared.seen();
        assert_eq!(seen.failed, 0, "{}", seen.words());
        assert!(seen.lost <= most, "{}", seen.words());
        assert!(seen.slowest <= within, "{}", seen.words());
        std::mem::take(&mut seen.ledger)
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
        let (failed, lost) = (self.failed, self.lost);
        format!(
            "{all} requests, {failed} failed, {lost} lost, the slowest took {:?}\n{failures}",
            self.slowest
        )
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
        for turn in 0.. {
            if self.is_over.load(SeqCst) {
                return;
            }
            let (id, started) = (format!("{number}-{turn}"), Instant::now());
            // Every other POST has no body: such a one could be sent again.
            let body = if way.method() == "POST" && turn % 2 == 0 { BODY } else { "" };
            let answer = self.ask((way, body), &id, &mut kept);
            let took = started.elapsed();
            if way.is_willing() && answer.as_ref().is_ok_and(is_last) {
                kept = None;
            }
            let mut seen = self.seen();
            seen.clients[number] += 1;
            seen.slowest = seen.slowest.max(took);
            match answer.map_err(|error| error.to_string()).and_then(|answer| way.check(body, &answer)) {
                Ok(Became::Served(backend)) => {
                    seen.ledger.served(way.method(), &id);
                    *seen.backends.entry(backend).or_default() += 1;
                }
                Ok(Became::Lost) => seen.lost += 1,
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
            thread::sleep(self.pace);
        }
    }

    fn ask(&self, (way, body): (Way, &str), id: &str, kept: &mut Option<Connection>) -> io::Result<Response> {
        let (method, host, length) = (way.method(), &self.host, body.len());
        let close = if way.is_kept() { "" } else { "Connection: close\r\n" };
        let head =
            format!("{method} /load?id={id} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{close}");
        let request = format!("{head}\r\n{body}");
        if !way.is_kept() {
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
    fn method(self) -> &'static str {
        match self {
            Self::KeptGet | Self::WillingGet | Self::NewGet => "GET",
            Self::KeptPost | Self::WillingPost | Self::NewPost => "POST",
        }
    }

    fn is_kept(self) -> bool {
        !matches!(self, Self::NewGet | Self::NewPost)
    }

    fn is_willing(self) -> bool {
        matches!(self, Self::WillingGet | Self::WillingPost)
    }

    /// What became of a request with this body, if that may be.
    fn check(self, body: &str, answer: &Response) -> Result<Became, String> {
        let is_whole = answer.text().contains(&format!("\"body_bytes\":{},", body.len()));
        match answer.backend() {
            Some(backend) if answer.status == 200 && is_whole => Ok(Became::Served(backend.to_owned())),
            None if answer.status == 502 && self.method() == "POST" => Ok(Became::Lost),
            _ => Err(answer.to_string()),
        }
    }
}
