//! A backend for what stays open: WebSockets, echoes, a download that goes on when it is told to, and checks it counts.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use aws_lc_rs::digest::{Context, Digest, SHA256};
use portolan::runtime::Tasks;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
};

/// The download: a gigabyte.
pub(super) const PIECE: usize = 1_000_000;
pub(super) const PIECES: usize = 1_000;

pub(super) struct Stage {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    /// Dropping it ends the server.
    _stop: oneshot::Sender<()>,
}

struct Shared {
    name: &'static str,
    connections: AtomicU64,
    checks: AtomicU64,
    fails: AtomicBool,
    /// How many pieces of the download may be sent.
    pieces: watch::Sender<usize>,
}

// === impl Stage ===

impl Stage {
    pub(super) fn start(name: &'static str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            name,
            connections: AtomicU64::new(0),
            checks: AtomicU64::new(0),
            fails: AtomicBool::new(false),
            pieces: watch::channel(0).0,
        });
        let ours = shared.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, ours) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, shared, _stop: stop }
    }

    /// Its health check fails from now on.
    pub(super) fn fails(&self) {
        self.shared.fails.store(true, SeqCst);
    }

    /// One more piece of the download may come.
    pub(super) fn more(&self) {
        self.shared.pieces.send_modify(|pieces| *pieces += 1);
    }

    pub(super) fn checks(&self) -> u64 {
        self.shared.checks.load(SeqCst)
    }

    pub(super) fn connections(&self) -> u64 {
        self.shared.connections.load(SeqCst)
    }
}

/// Of the whole download.
pub(super) fn digest() -> Digest {
    let (mut digest, mut piece) = (Context::new(&SHA256), first_piece());
    for number in 0..PIECES {
        stamp(&mut piece, number);
        digest.update(&piece);
    }
    digest.finish()
}

/// Bytes without a pattern; each piece is stamped with its number.
fn first_piece() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(PIECE).collect()
}

fn stamp(piece: &mut [u8], number: usize) {
    piece[..8].copy_from_slice(&(number as u64).to_le_bytes());
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let mut tasks = Tasks::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.fetch_add(1, SeqCst);
        let shared = shared.clone();
        tasks.spawn("connection", async move {
            // Who breaks off is seen by the client, or the test is over.
            let _ = serve(stream, &shared).await;
        });
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    while let Some(path) = head(&mut stream, &mut input).await? {
        match &*path {
            "/ws" => {
                let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                return echo(&mut stream, &mut input, |_| false).await;
            }
            "/echo" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
                // Its chunks as they came.
                echo(&mut stream, &mut input, |bytes| bytes.ends_with(b"0\r\n\r\n")).await?;
            }
            "/download" => download(&mut stream, shared).await?,
            path => {
                let is_check = path == "/health";
                shared.checks.fetch_add(u64::from(is_check), SeqCst);
                let status = if is_check && shared.fails.load(SeqCst) { "503 No" } else { "200 OK" };
                let head =
                    format!("HTTP/1.1 {status}\r\nX-Backend: {}\r\nContent-Length: 0\r\n\r\n", shared.name);
                stream.write_all(head.as_bytes()).await?;
            }
        }
    }
    Ok(())
}

/// The path of the next request; what came after its head is left in `input`.
async fn head(stream: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = input.drain(..end + 4).collect();
            let head = String::from_utf8_lossy(&head).into_owned();
            return Ok(head.split(' ').nth(1).map(str::to_owned));
        }
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
}

/// Sends back what comes, up to what is the end.
async fn echo(stream: &mut TcpStream, input: &mut Vec<u8>, is_end: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    loop {
        if !input.is_empty() {
            stream.write_all(input).await?;
            if is_end(input) {
                input.clear();
                return Ok(());
            }
            input.clear();
        }
        if stream.read_buf(input).await? == 0 {
            return Ok(());
        }
    }
}

/// Each piece when it is its turn.
async fn download(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    let (mut turn, mut piece) = (shared.pieces.subscribe(), first_piece());
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PIECE * PIECES);
    stream.write_all(head.as_bytes()).await?;
    for number in 0..PIECES {
        turn.wait_for(|pieces| *pieces > number).await.map_err(io::Error::other)?;
        stamp(&mut piece, number);
        stream.write_all(&piece).await?;
    }
    Ok(())
}
