//! Whole requests over real sockets: raw bytes in, and what reached the backend.

mod answers;
mod auth;
mod cors;
mod counted;
mod crowds;
mod deaths;
mod failures;
mod forwarding;
mod frames;
mod grpc;
mod h2c;
mod hostile;
mod http2;
mod interim;
mod introduced;
mod lifecycle;
mod limits;
mod mirrors;
mod pieces;
mod readings;
mod records;
mod retries;
mod sessions;
mod sharing;
mod sizes;
mod streaming;
mod successors;
mod swaps;
mod tls;
mod trailers;
mod upgrades;
mod visits;
mod watched;
mod wide;

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::{NonZeroU16, NonZeroUsize},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Config, Deaths, Findings, Workers};
use crate::{
    model::{
        FailureReport, HealthReport, HttpFilter, HttpMatch, Kind, Meta, Origin, PathMatch, ResourceId,
        Scheme, Timeouts,
    },
    route::{
        Address, Attachment, Backend, Choice, Endpoint, ListenerSpec, Rule, Table, TableBuilder, Target,
        Weighted,
    },
    runtime::{
        Tasks,
        live::{Live, Publisher, live},
    },
    telemetry::{AccessLog, Metrics},
};

/// More than anything here takes; a test that waits longer has failed.
const LONG: Duration = Duration::from_secs(20);

/// A proxy with one listener.
struct Proxy {
    workers: Workers,
    deaths: Deaths,
    publisher: Publisher<Table>,
    metrics: Metrics,
    address: SocketAddr,
    /// What is known of endpoints that are watched.
    health: Live<HealthReport>,
    /// What is known of requests that failed.
    failures: Live<FailureReport>,
    _tasks: Tasks,
}

/// A backend of our own: what it heard and how often it was connected to.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    _tasks: Tasks,
}

/// A client's connection.
struct Client<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// The address that is asked for: port 0, so that tests do not meet.
fn asked() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

fn holding(time: Duration) -> Config {
    Config { hold: time, ..config() }
}

fn config() -> Config {
    Config { workers: NonZeroUsize::MIN, hold: Duration::ZERO, ..Config::default() }
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LONG, future).await.expect("it takes too long")
}

/// Waits until `holds` does.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + LONG;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

// === tables ===

fn endpoint(address: SocketAddr) -> Endpoint {
    let name = address.to_string().into();
    Endpoint { address: Address::Tcp(address), scheme: Scheme::Http, weight: 1, name, tls: None }
}

fn backend(endpoints: Vec<Endpoint>) -> Target {
    let reason = if endpoints.is_empty() { "`b` is not running" } else { "" };
    let policy = Arc::default();
    Target::Backend(Arc::new(Backend { name: "default/b".into(), endpoints, policy, reason: reason.into() }))
}

pub(super) fn rule(target: Target) -> Rule {
    Rule {
        route: "default/r".into(),
        rule: "0".into(),
        filters: Vec::new(),
        backends: Weighted::new(vec![Choice::new(1, target, Vec::new())]),
        timeouts: Timeouts::default(),
        retry: None,
        session: None,
        mirrors: Vec::new(),
        auths: Vec::new(),
        invalid: None,
    }
}

/// All endpoints, behind `/`.
fn serving(addresses: &[SocketAddr]) -> Table {
    table(vec![("/", rule(backend(addresses.iter().copied().map(endpoint).collect())))])
}

fn filtered(address: SocketAddr, filters: Vec<HttpFilter>) -> Table {
    table(vec![("/", Rule { filters, ..rule(backend(vec![endpoint(address)])) })])
}

/// Rules by path prefix, for the host `a.test` and every other one.
pub(super) fn table(rules: Vec<(&str, Rule)>) -> Table {
    let matches: Vec<[HttpMatch; 1]> = rules.iter().map(|(prefix, _)| [prefix_match(prefix)]).collect();
    table_of(rules.into_iter().zip(&matches).map(|((_, rule), one)| (&one[..], Arc::new(rule))).collect())
}

/// Rules of one route, each with its matches.
fn table_of(rules: Vec<(&[HttpMatch], Arc<Rule>)>) -> Table {
    table_on(vec![asked()], rules)
}

/// A table whose one listener is on these addresses.
pub(super) fn table_on(sockets: Vec<SocketAddr>, rules: Vec<(&[HttpMatch], Arc<Rule>)>) -> Table {
    let mut builder = TableBuilder::default();
    let listener = builder.listener(ListenerSpec {
        sockets,
        name: "default/web/http".into(),
        port: NonZeroU16::new(80).unwrap(),
        hostname: None,
        tls: None,
        client: None,
    });
    let meta = Meta {
        id: ResourceId::new(Kind::HttpRoute, "default", "r"),
        origin: Origin::BuiltIn("a test"),
        created: None,
        generation: 1,
    };
    builder.attach(listener, &Attachment { meta: &meta, hostnames: Vec::new(), rules });
    builder.build()
}

pub(super) fn prefix_match(prefix: &str) -> HttpMatch {
    let path = PathMatch::Prefix(prefix.strip_suffix('/').unwrap_or(prefix).into());
    HttpMatch { path, method: None, headers: Vec::new(), query: Vec::new() }
}

// === impl Proxy ===

impl Proxy {
    fn start(config: Config, table: Table) -> Self {
        Self::start_with(config, table, Metrics::new(), None)
    }

    fn start_with(config: Config, table: Table, metrics: Metrics, access: Option<&AccessLog>) -> Self {
        let (mut publisher, reader) = live(Table::default());
        publisher.publish(table);
        let (mut workers, deaths) = Workers::start(config, &reader, &metrics, access).unwrap();
        let mut opened = workers.open(&[asked()]);
        let address = opened.remove(&asked()).unwrap().unwrap();
        let (prober, Findings { health, failures }) = workers.watch(reader);
        let mut tasks = Tasks::new();
        tasks.spawn("health", prober);
        Self { workers, deaths, publisher, metrics, address, health, failures, _tasks: tasks }
    }

    async fn connect(&self) -> Client {
        Client { stream: soon(TcpStream::connect(self.address)).await.unwrap(), read: Vec::new() }
    }

    /// One request on a connection of its own.
    async fn request(&self, request: &str) -> Reply {
        let mut client = self.connect().await;
        client.send(request).await;
        client.reply().await
    }

    async fn status(&self, path: &str) -> u16 {
        self.request(&get(path)).await.status
    }

    /// The value of the first series whose line begins so.
    fn metric(&self, series: &str) -> Option<f64> {
        let text = self.metrics.render();
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")
}

// === impl Client ===

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    async fn more(&mut self) -> usize {
        soon(self.stream.read_buf(&mut self.read)).await.unwrap_or(0)
    }

    /// Reads up to and with the empty line.
    async fn head(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.more().await > 0, "closed within a head: {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    async fn bytes(&mut self, number: usize) -> Vec<u8> {
        while self.read.len() < number {
            assert!(self.more().await > 0, "closed after {} of {number} bytes", self.read.len());
        }
        self.read.drain(..number).collect()
    }

    async fn chunked(&mut self) -> Vec<u8> {
        while find(&self.read, b"0\r\n\r\n").is_none() {
            assert!(self.more().await > 0, "closed within chunks");
        }
        std::mem::take(&mut self.read)
    }

    /// The next answer; to a request that was not HEAD. What comes before it is skipped.
    async fn reply(&mut self) -> Reply {
        let mut head = self.head().await;
        while matches!(head[9..12].parse().unwrap(), 100 | 102..=199) {
            head = self.head().await;
        }
        let status = head[9..12].parse().unwrap();
        let body = match field(&head, "content-length") {
            _ if matches!(status, 101 | 204 | 304) => Vec::new(),
            Some(length) => self.bytes(length.parse().unwrap()).await,
            None if field(&head, "transfer-encoding").is_some() => self.chunked().await,
            None => self.rest().await,
        };
        Reply { status, head, body }
    }

    /// Everything until the connection is closed.
    async fn rest(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.read)
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// The value of a field in a head.
fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

// === impl Server ===

impl Server {
    /// Answers each request with its own head and body, as it was sent.
    async fn echo() -> Self {
        Self::answering(|request| {
            let length = request.len();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{request}")
        })
        .await
    }

    /// Answers each request by what a function makes of it.
    async fn answering(answer: impl Fn(&str) -> String + Clone + Send + Sync + 'static) -> Self {
        Self::start(move |mut client, heard, _| {
            let answer = answer.clone();
            async move {
                while let Some(request) = client.request().await {
                    let response = answer(&request);
                    heard.lock().unwrap().push(request);
                    if client.stream.write_all(response.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// Does with each connection what a function does, which gets its number too.
    async fn start<F>(serve: impl Fn(Client, Arc<Mutex<Vec<String>>>, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(asked()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let mut tasks = Tasks::new();
        let (log, count) = (heard.clone(), connections.clone());
        tasks.spawn("backend", async move {
            let mut tasks = Tasks::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                tasks.spawn("exchange", serve(Client { stream, read: Vec::new() }, log.clone(), number));
            }
        });
        Self { address, heard, connections, _tasks: tasks }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// On the side of a backend: the next request, head and body as they came. `None` when there is none.
    async fn request(&mut self) -> Option<String> {
        while find(&self.read, b"\r\n\r\n").is_none() {
            if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
        let head = self.head().await;
        let body = if let Some(length) = field(&head, "content-length") {
            self.bytes(length.parse().unwrap()).await
        } else if field(&head, "transfer-encoding").is_some() {
            self.chunked().await
        } else {
            Vec::new()
        };
        Some(head + &String::from_utf8(body).unwrap())
    }
}
