//! Tables by the thousand: nothing that is open or known notices, and nothing stays of them.

mod stage;

use std::{
    net::SocketAddr,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{Context, Digest, SHA256};
use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::Request;
use portolan::runtime::Tasks;
use tokio::{net::TcpStream, runtime::Runtime};

use crate::support::{
    backend::Backend,
    http::Connection,
    manifest, note,
    portolan::{Documents, Portolan},
    static_binary, wait,
};
use stage::{PIECE, PIECES, Stage, digest};

const SWAPS: usize = PIECES;
const SOCKETS: usize = 1_000;
const STREAMS: usize = 50;
/// Between the checks of those whose health is asked for often.
const EVERY: Duration = Duration::from_secs(1);

/// Everything that is open while tables change, and what is known.
struct World {
    portolan: Portolan,
    documents: Documents,
    /// Take turns, keep sessions and were checked once.
    pair: [Stage; 2],
    /// Are checked often; the second one fails.
    watched: [Stage; 2],
}

/// Requests of HTTP/2 that are open in both directions.
struct Streams {
    runtime: Runtime,
    open: Vec<(SendStream<Bytes>, RecvStream)>,
    _tasks: Tasks,
}

// === impl World ===

impl World {
    #[track_caller]
    fn new() -> Self {
        let (pair, watched) = (["a", "b"].map(Stage::start), ["fit", "sick"].map(Stage::start));
        let documents = Documents::new();
        let sessions = "[{sessionPersistence: {sessionName: desk}, backendRefs: [{name: pair, port: 80}]}]";
        let text = [
            manifest::backend("one", pair[0].address),
            backend("pair", &pair, "1h"),
            backend("watched", &watched, &format!("{}ms", EVERY.as_millis())),
            manifest::simple("open", "open.test", "one"),
            manifest::simple("turns", "turns.test", "pair"),
            manifest::route("sticky", "sticky.test", sessions),
            manifest::simple("watched", "watched.test", "watched"),
        ];
        documents.write("world.yaml", &text.concat());
        let portolan = Portolan::builder()
            .config(documents.path())
            .arguments(["--workers", "1", "--access-log", "off"])
            .start();
        for host in ["open.test", "turns.test", "sticky.test", "watched.test"] {
            portolan.says(host, "/", 200);
        }
        let world = Self { portolan, documents, pair, watched };
        world.shows("get backends", |shown| shown.matches("2/2").count() == 2);
        world.watched[1].fails();
        world.shows("get endpoints", |shown| shown.contains("unhealthy"));
        world
    }

    #[track_caller]
    fn shows(&self, command: &str, is: impl Fn(&String) -> bool) {
        let arguments: Vec<&str> = command.split(' ').collect();
        wait::eventually(wait::SOON, command, || {
            wait::check(self.portolan.shows(&arguments), &is, String::clone)
        });
    }

    fn generation(&self) -> f64 {
        self.portolan.metric("portolan_route_table_generation").expect("a generation")
    }

    /// A thousand WebSockets.
    fn sockets(&self) -> Vec<Connection> {
        let open = |_| {
            let mut socket = self.portolan.connect();
            let ask = "GET /ws HTTP/1.1\r\nHost: open.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            assert_eq!(socket.ask(ask).unwrap().status, 101);
            socket
        };
        (0..SOCKETS).map(open).collect()
    }

    /// A download that ends after the last table; the digest of what came.
    fn download(&self) -> JoinHandle<Digest> {
        let mut connection = self.portolan.connect();
        connection.send("GET /download HTTP/1.1\r\nHost: open.test\r\n\r\n").unwrap();
        let head = connection.head().unwrap();
        assert_eq!(head.header("content-length"), Some(&*(PIECE * PIECES).to_string()), "{head}");
        thread::spawn(move || {
            let (mut sum, mut left) = (Context::new(&SHA256), PIECE * PIECES);
            while left > 0 {
                let bytes = connection.some().expect("it goes on");
                assert!(!bytes.is_empty(), "it was closed {left} bytes before its end");
                sum.update(&bytes);
                left -= bytes.len();
            }
            sum.finish()
        })
    }
}

/// A `Backend` of these two that is checked so often.
fn backend(name: &str, pair: &[Stage; 2], every: &str) -> String {
    let [one, other] =
        pair.each_ref().map(|one| format!("{{address: 127.0.0.1, port: {}}}", one.address.port()));
    format!(
        "apiVersion: portolan.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}}}\nspec:\n  endpoints: [{one}, {other}]\n  \
         healthCheck: {{http: {{path: /health}}, interval: {every}, timeout: 1s}}\n---\n"
    )
}

/// A route of its own for each number, so that nothing of the one before is of use.
fn numbered(number: usize, backend: &str) -> String {
    let rules = format!(
        "[{{matches: [{{path: {{value: /{number}}}}}], backendRefs: [{{name: {backend}, port: 80}}]}}]"
    );
    manifest::route(&format!("r{number}"), "swap.test", &rules)
}

/// Puts a table into effect by its document, and waits until it is served.
#[track_caller]
fn swap(documents: &Documents, connection: &mut Connection, number: usize, backend: &str) {
    documents.write("swap.yaml", &numbered(number, backend));
    let (path, begun) = (format!("/{number}"), wait::now());
    loop {
        let answer = connection.get("swap.test", &path).unwrap();
        if answer.status == 200 {
            return;
        }
        assert!(begun.elapsed() < wait::SOON, "{path} is never served: {answer}");
        thread::sleep(Duration::from_micros(500));
    }
}

// === impl Streams ===

impl Streams {
    fn open(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (open, tasks) = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
            let mut tasks = Tasks::new();
            tasks.spawn("client", async move {
                // What it says is said to whoever waits for an answer.
                let _ = connection.await;
            });
            let mut open = Vec::new();
            for _ in 0..STREAMS {
                sender = sender.ready().await.unwrap();
                let request = Request::post("http://open.test/echo").body(()).unwrap();
                let (response, upload) = sender.send_request(request, false).unwrap();
                open.push((upload, response.await.unwrap().into_body()));
            }
            (open, tasks)
        });
        Self { runtime, open, _tasks: tasks }
    }

    /// One of them still echoes.
    fn lives(&mut self, number: usize) {
        let (upload, download) = &mut self.open[number % STREAMS];
        let sent = Bytes::from(number.to_string());
        self.runtime.block_on(async {
            upload.send_data(sent.clone(), false).unwrap();
            assert_eq!(download.data().await.expect("it is open").unwrap(), sent);
            download.flow_control().release_capacity(sent.len()).unwrap();
        });
    }

    /// All of them end well.
    fn end(self) {
        self.runtime.block_on(async {
            for (mut upload, mut download) in self.open {
                upload.send_data(Bytes::new(), true).unwrap();
                assert!(download.data().await.is_none_or(|last| last.unwrap().is_empty()));
            }
        });
    }
}

#[test]
fn drop_a_thousand_tables_disturb_nothing_that_is_open_or_known() {
    let world = World::new();
    let address = world.portolan.http;
    let (mut sockets, mut streams) = (world.sockets(), Streams::open(address));
    let download = world.download();
    let [mut swapping, mut turning, mut sitting, mut asking] = [(); 4].map(|()| world.portolan.connect());
    let seat = sitting.get("sticky.test", "/").unwrap();
    let cookie = seat.header("set-cookie").and_then(|value| value.split(';').next()).unwrap().to_owned();
    let sit = format!("GET / HTTP/1.1\r\nHost: sticky.test\r\nCookie: {cookie}\r\n\r\n");
    let mut turn = turning.get("turns.test", "/").unwrap().backend().unwrap().to_owned();
    let (begun, from) = (Instant::now(), world.generation());
    let (checks, connections) = (world.watched.each_ref().map(Stage::checks), world.pair[0].connections());
    for number in 0..SWAPS {
        swap(&world.documents, &mut swapping, number, "one");
        world.pair[0].more();
        streams.lives(number);
        let next = turning.get("turns.test", "/").unwrap().backend().unwrap().to_owned();
        assert_ne!(next, turn, "their turns go on, table {number}");
        turn = next;
        assert_eq!(sitting.ask(&sit).unwrap().backend(), seat.backend(), "a session stays, table {number}");
        assert_eq!(asking.get("watched.test", "/").unwrap().backend(), Some("fit"), "table {number}");
        let socket = &mut sockets[number % SOCKETS];
        socket.send("still").unwrap();
        assert_eq!(socket.some().unwrap(), b"still");
    }
    let took = begun.elapsed();
    note(&format!("{SWAPS} tables in {took:.1?}"));
    // The last one is served a moment before it is counted.
    let all = u32::try_from(SWAPS).map(f64::from).unwrap();
    wait::eventually(wait::SOON, "every table is counted", || {
        wait::check(world.generation() - from, |tables| *tables >= all, f64::to_string)
    });
    assert_eq!(download.join().unwrap().as_ref(), digest().as_ref(), "every byte came");
    streams.end();
    for socket in &mut sockets {
        socket.send("still").unwrap();
        assert_eq!(socket.some().unwrap(), b"still");
    }
    assert_eq!(
        world.pair.each_ref().map(Stage::checks),
        [1, 1],
        "healthy once, healthy until the hour is over"
    );
    for (stage, before) in world.watched.iter().zip(checks) {
        // They come up to a tenth sooner than said.
        let most = begun.elapsed().as_millis() * 10 / 9 / EVERY.as_millis() + 2;
        let asked = stage.checks() - before;
        assert!(u128::from(asked) <= most, "{asked} checks where {most} were due");
    }
    // One that is used again and again, for each of the three clients and the turns.
    let more = world.pair[0].connections() - connections;
    assert!(more <= 4, "{more} connections were made anew");
    equal(&world);
}

/// The same said otherwise is no new table.
#[track_caller]
fn equal(world: &World) {
    let unchanged = || world.portolan.metric("portolan_reconcile_total{result=\"unchanged\"}").unwrap_or(0.0);
    let (before, generation) = (unchanged(), world.generation());
    world.documents.write("swap.yaml", &format!("# The same.\n{}", numbered(SWAPS - 1, "one")));
    wait::eventually(wait::SOON, "it was planned", || {
        wait::check(unchanged(), |now| *now > before, f64::to_string)
    });
    assert!((world.generation() - generation).abs() < 0.5, "no table came of it");
}

#[test]
fn drop_ten_thousand_tables_leave_nothing_behind() {
    const FEW: usize = 100;
    // A debug build takes too long for all of them.
    let many = if static_binary().is_some() { 10_000 } else { 1_000 };
    let (backend, documents) = (Backend::start("a"), Documents::new());
    documents.write("a.yaml", &manifest::backend("a", backend.address));
    let portolan = Portolan::builder().config(documents.path()).arguments(["--access-log", "off"]).start();
    let (mut connection, begun) = (portolan.connect(), wait::now());
    let mut after_few = 0;
    for number in 1..=many {
        swap(&documents, &mut connection, number, "a");
        if number == FEW {
            after_few = portolan.memory("VmRSS");
        }
    }
    let after_many = portolan.memory("VmRSS");
    note(&format!(
        "{after_few} kB after {FEW} tables, {after_many} kB after {many}, in {:.1?}",
        begun.elapsed()
    ));
    assert!(after_many * 10 <= after_few * 11, "{after_few} kB have become {after_many} kB");
}
