//! Slow clients by the thousand: heads and bodies that come byte by byte, and answers that nobody reads.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use portolan::runtime::Tasks;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Builder,
    sync::oneshot,
};

use super::{TO_A, World, bombs::memory};
use crate::support::{http::Connection, is_busy, manifest, note, wait};

/// A third each: heads, bodies, answers.
const MOST: usize = 5_000;

/// Connections of each of them: a client may have a quarter of a worker's, and there may be few files for these.
const OF_ONE: usize = 50;

/// What the rest of the tests in this process may need.
const SPARE_FILES: usize = 512;

/// What a slow client may cost, in kilobytes: its connection, one to the backend, and what is under way between them.
const MEMORY: u64 = 128;

/// How often a slow client sends a byte.
const PACE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Head,
    Body,
    /// Of 64 KiB.
    Answer,
    /// Of more than the kernel keeps for one who does not read.
    LongAnswer,
}

/// Takes bodies for ever and gives long answers.
struct Sink {
    address: SocketAddr,
    /// Requests so far.
    heard: Arc<AtomicUsize>,
    /// Dropping it ends the server.
    _stop: oneshot::Sender<()>,
}

/// The slow clients.
struct Crowd {
    /// How many of those who send heads were hung up on.
    cut_off: Arc<AtomicUsize>,
    /// Dropping it ends them.
    _stop: oneshot::Sender<()>,
}

/// Runs it on a thread of its own, until what is returned is dropped.
fn alone(work: impl Future<Output = ()> + Send + 'static) -> oneshot::Sender<()> {
    let (stop, stopped) = oneshot::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            tokio::select! {
                () = work => {}
                _ = stopped => {}
            }
        });
    });
    stop
}

// === impl Sink ===

impl Sink {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let (address, heard) = (listener.local_addr().expect("its address"), Arc::<AtomicUsize>::default());
        let count = heard.clone();
        let stop = alone(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            let mut tasks = Tasks::new();
            while let Ok((stream, _)) = listener.accept().await {
                let count = count.clone();
                tasks.spawn("exchange", async move {
                    // Who breaks off is cut off, or the test is over.
                    let _ = Self::exchange(stream, &count).await;
                });
            }
        });
        Self { address, heard, _stop: stop }
    }

    async fn exchange(mut stream: TcpStream, count: &AtomicUsize) -> io::Result<()> {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        let mut head = Vec::new();
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        count.fetch_add(1, SeqCst);
        if head.starts_with(b"GET ") {
            let pieces = if head.starts_with(b"GET /long ") { 128 } else { 1 };
            let length = pieces * ZEROS.len();
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            for _ in 0..pieces {
                stream.write_all(&ZEROS).await?;
            }
        }
        let mut buffer = [0; 256];
        while stream.read(&mut buffer).await? > 0 {}
        Ok(())
    }
}

// === impl Crowd ===

impl Crowd {
    /// Heads come last: their time begins when they are accepted.
    fn start(proxy: SocketAddr, each: usize) -> Self {
        let cut_off = Arc::<AtomicUsize>::default();
        let count = cut_off.clone();
        let stop = alone(async move {
            let mut tasks = Tasks::new();
            for index in 0..each * 3 {
                let kind = match index / each {
                    0 if index % 100 == 0 => Kind::LongAnswer,
                    0 => Kind::Answer,
                    1 => Kind::Body,
                    _ => Kind::Head,
                };
                let client = Ipv4Addr::new(127, 0, 1, u8::try_from(index / OF_ONE).unwrap_or(0));
                let stream = kind.open(client, proxy).await.expect("a connection to the proxy");
                let count = count.clone();
                tasks.spawn("slow client", async move {
                    kind.last(stream).await;
                    if kind == Kind::Head {
                        count.fetch_add(1, SeqCst);
                    }
                });
            }
            std::future::pending::<()>().await;
        });
        Self { cut_off, _stop: stop }
    }
}

// === impl Kind ===

impl Kind {
    /// Connects, with little room for answers, and sends what it sends at once.
    async fn open(self, client: Ipv4Addr, proxy: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(client.into(), 0))?;
        socket.set_recv_buffer_size(4096)?;
        let mut stream = socket.connect(proxy).await?;
        let begun = match self {
            Self::Head => "GET / HTTP/1.1\r\nHost: slow.test\r\nX: ",
            Self::Body => "POST / HTTP/1.1\r\nHost: slow.test\r\nContent-Length: 100000\r\n\r\n",
            Self::Answer => "GET / HTTP/1.1\r\nHost: slow.test\r\n\r\n",
            Self::LongAnswer => "GET /long HTTP/1.1\r\nHost: slow.test\r\n\r\n",
        };
        stream.write_all(begun.as_bytes()).await?;
        Ok(stream)
    }

    /// Until it is hung up on.
    async fn last(self, mut stream: TcpStream) {
        if matches!(self, Self::Answer | Self::LongAnswer) {
            return std::future::pending().await;
        }
        let mut buffer = [0; 256];
        loop {
            match tokio::time::timeout(PACE, stream.read(&mut buffer)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => return,
                Err(_) => {
                    if stream.write_all(b"x").await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

// === the others ===

/// How many files a process may have open; `process` is `self` or an id.
fn open_files(process: &str) -> usize {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX)
}

/// How many slow clients of each kind there may be: two thirds of them are a connection to a backend too, and both ends
/// of it are open here as well as both ends of theirs in the proxy.
fn affordable(world: &World) -> usize {
    let files = open_files("self").min(open_files(&world.portolan.process.id().to_string()));
    let affordable = files.saturating_sub(SPARE_FILES) * 3 / 5;
    if affordable < MOST {
        note(&format!("{affordable} slow clients instead of {MOST}: at most {files} open files"));
    }
    affordable.min(MOST) / 3
}

/// The time of a request on a connection that is kept, or on one of its own each tenth time.
fn one_request(world: &World, kept: &mut Connection, number: usize) -> Duration {
    let begun = wait::now();
    let answer = if number.is_multiple_of(10) {
        world.portolan.get("shop.test", "/")
    } else {
        kept.get("shop.test", "/")
    };
    let (took, answer) = (begun.elapsed(), answer.expect("an answer for a client that is not slow"));
    assert_eq!((answer.status, answer.backend()), (200, Some("a")), "{answer}");
    took
}

#[test]
fn thousands_of_slow_clients_slow_nobody_else() {
    let limit = Duration::from_millis(if is_busy() { 500 } else { 100 });
    let (world, sink) = (World::new(TO_A), Sink::start());
    let text = manifest::backend("sink", sink.address) + &manifest::simple("slow", "slow.test", "sink");
    world.documents.write("slow.yaml", &text);
    world.portolan.says("slow.test", "/", 200);
    let each = affordable(&world);
    let (before, heard) = (memory(&world), sink.heard.load(SeqCst));

    let begun = wait::now();
    let crowd = Crowd::start(world.portolan.http, each);
    wait::eventually(wait::SOON, "two thirds of the slow clients have reached the backend", || {
        wait::check(sink.heard.load(SeqCst) - heard, |heard| *heard >= 2 * each, usize::to_string)
    });
    let opened = begun.elapsed();
    let (mut times, mut kept) = (Vec::new(), world.portolan.connect());
    wait::eventually(wait::SOON, "slow heads are cut off, and a few hundred requests answered", || {
        times.push(one_request(&world, &mut kept, times.len()));
        let seen = (crowd.cut_off.load(SeqCst), times.len());
        wait::check(seen, |seen| seen.0 == each && seen.1 >= 300, |seen| format!("{seen:?}"))
    });

    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let after = memory(&world);
    note(&format!(
        "{} slow clients, open after {opened:.1?}; {} requests of another: median {median:.1?}, p99 {worst:.1?}; \
         {before} kB, then {after} kB",
        each * 3,
        times.len()
    ));
    assert!(worst <= limit, "p99 {worst:?}, more than {limit:?}");
    let most = before + MEMORY * u64::try_from(each * 3).unwrap();
    assert!(after <= most, "{before} kB, then {after} kB");
    let told = world.portolan.metric(r#"portolan_limits_reached_total{limit="head_time"}"#);
    assert!(told >= Some(f64::from(u32::try_from(each).unwrap())), "{told:?} of {each}");
}
