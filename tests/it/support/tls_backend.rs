//! A backend that speaks TLS: threads of the test that answer every request with whom it was asked for and what it was
//! shown.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::authority::{Authority, Certified, print};

pub struct TlsBackend {
    pub address: SocketAddr,
    is_over: Arc<AtomicBool>,
    is_plain: Arc<AtomicBool>,
}

/// No client of a test is silent for longer.
const TIMEOUT: Duration = Duration::from_secs(15);

// === impl TlsBackend ===

impl TlsBackend {
    /// Demands a certificate of `clients` where there is one.
    pub fn start(name: &'static str, own: &Certified, clients: Option<&Authority>) -> Self {
        let config = own.server(clients);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let backend = Self { address, is_over: Arc::default(), is_plain: Arc::default() };
        let (is_over, is_plain) = (backend.is_over.clone(), backend.is_plain.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let (config, is_plain) = (config.clone(), is_plain.clone());
                // A client that breaks off is its own business.
                thread::spawn(move || drop(serve(stream, config, name, &is_plain)));
            }
        });
        backend
    }

    /// Whether anybody has ever begun with something else than a handshake.
    pub fn was_sent_plaintext(&self) -> bool {
        self.is_plain.load(Ordering::SeqCst)
    }
}

impl Drop for TlsBackend {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // So that it looks.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    name: &str,
    is_plain: &AtomicBool,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut first = [0];
    if stream.peek(&mut first)? == 1 && first[0] != 0x16 {
        is_plain.store(true, Ordering::SeqCst);
    }
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut input = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if input.read_line(&mut line)? == 0 {
                return Ok(());
            }
        }
        let session = &input.get_ref().conn;
        let asked = session.server_name().unwrap_or("nobody").to_owned();
        let shown = session.peer_certificates().and_then(|chain| Some(print(chain.first()?)));
        let shown = shown.unwrap_or_else(|| "nothing".to_owned());
        let head = format!("X-Backend: {name}\r\nX-Asked: {asked}\r\nX-Shown: {shown}");
        write!(input.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{head}\r\n\r\n")?;
    }
}
