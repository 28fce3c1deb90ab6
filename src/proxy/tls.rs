//! TLS with clients: which listener a handshake belongs to, and what is spoken when it is done.
//!
//! The table holds certificates; what rustls needs is made of them when a client first asks for it, and kept as long as
//! the table has the same. Each worker has its own, but one set of ticket keys: a session that began at one worker is
//! resumed at any other.

mod client;
mod config;

use std::{
    cell::RefCell, collections::HashMap, future::poll_fn, io, pin::pin, rc::Rc, sync::Arc, task::Poll,
};

use rustls::server::{Acceptor, ProducesTickets, ServerConfig};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, server::TlsStream};

use super::{
    connection::{Connection, Word},
    worker::Worker,
};
use crate::route::{Handshake, Socket, Table, Tls};
pub(super) use client::Connector;
pub(super) use config::tickets;

/// The handshakes of a worker.
pub(super) struct Terminator {
    tickets: Option<Arc<dyn ProducesTickets>>,
    /// By their address in the table, which cannot change while they are held.
    known: RefCell<Known>,
}

type Known = HashMap<*const Tls, (Arc<Tls>, Arc<ServerConfig>)>;

/// What is spoken on a connection, as client and server agreed (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Http1,
    Http2,
}

/// Why there is no secure connection.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("no listener or certificate takes the name `{0}`")]
    UnknownName(String),
    #[error("{0}")]
    Broken(#[from] io::Error),
    #[error("the listener's certificates cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    #[error("the time is over")]
    Aborted,
}

// === impl Terminator ===

impl Terminator {
    pub(super) fn new(tickets: Option<Arc<dyn ProducesTickets>>) -> Self {
        Self { tickets, known: RefCell::default() }
    }

    fn config(&self, tls: &Arc<Tls>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut known = self.known.borrow_mut();
        if let Some((_, config)) = known.get(&Arc::as_ptr(tls)) {
            return Ok(config.clone());
        }
        // A new table often has the same again.
        let same = known.values().find(|(other, _)| other == tls).map(|(_, config)| config.clone());
        let config = match same {
            Some(config) => config,
            None => Arc::new(config::server(tls, self.tickets.as_ref())?),
        };
        known.insert(Arc::as_ptr(tls), (tls.clone(), config.clone()));
        Ok(config)
    }

    /// Forgets what `table` has no more.
    pub(super) fn sweep(&self, table: &Table) {
        let mut known = self.known.borrow_mut();
        if known.is_empty() {
            return;
        }
        let mut kept = Known::new();
        let sockets = table.sockets().filter_map(|address| table.socket(address));
        for tls in sockets.flat_map(Socket::listeners).filter_map(|listener| listener.tls.as_ref()) {
            let same =
                known.get(&Arc::as_ptr(tls)).or_else(|| known.values().find(|(other, _)| other == tls));
            if let Some((_, config)) = same {
                kept.insert(Arc::as_ptr(tls), (tls.clone(), config.clone()));
            }
        }
        *known = kept;
    }
}

// === impl Spoken ===

impl Spoken {
    /// What is offered, the best first.
    const OFFERED: [&'static [u8]; 2] = [b"h2", b"http/1.1"];

    /// A client that says nothing speaks HTTP/1.1.
    fn of(protocol: Option<&[u8]>) -> Self {
        match protocol {
            Some(b"h2") => Self::Http2,
            Some(_) | None => Self::Http1,
        }
    }
}

// === handshakes ===

/// Does the handshake with a client. Without a result the connection is over; the client has been told why as far as
/// TLS has words for it. A word to finish is heard again by whoever serves the connection.
pub(super) async fn accept(
    worker: &Rc<Worker>,
    connection: &Connection,
    stream: TcpStream,
) -> Option<(TlsStream<TcpStream>, Spoken)> {
    let mut shaking = pin!(handshake(worker, connection, stream));
    let mut finishes = false;
    let result = poll_fn(|cx| {
        if let Poll::Ready(result) = shaking.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        match connection.hear(cx.waker()) {
            Some(Word::Abort) => Poll::Ready(Err(Failed::Aborted)),
            Some(Word::Finish) => {
                finishes = true;
                Poll::Pending
            }
            None => Poll::Pending,
        }
    })
    .await;
    if finishes {
        connection.tell(Word::Finish);
    }
    match result {
        Ok(stream) => {
            let spoken = Spoken::of(stream.get_ref().1.alpn_protocol());
            Some((stream, spoken))
        }
        Err(failed) => {
            tracing::debug!(client = %connection.peer, address = %connection.socket, "no TLS: {failed}");
            None
        }
    }
}

async fn handshake(
    worker: &Rc<Worker>,
    connection: &Connection,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Failed> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let name = start.client_hello().server_name().map(canonical);
    let tls = worker.secures(&connection.socket, name.as_deref());
    let Some(tls) = tls else { return refuse(start, name, Alert::UnrecognizedName).await };
    if tls.certificates().is_empty() {
        return refuse(start, name, Alert::InternalError).await;
    }
    if tls.fitting(name.as_deref()).next().is_none() {
        return refuse(start, name, Alert::UnrecognizedName).await;
    }
    let config = worker.terminator.config(&tls)?;
    let settled = Handshake { server_name: name, clients: tls.clients.clone() };
    let stream = start.into_stream(config).await?;
    // A connection has one handshake.
    let _ = connection.handshake.set(settled);
    Ok(stream)
}

/// As hosts are compared.
fn canonical(name: &str) -> Box<str> {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase().into()
}

/// RFC 8446 section 6.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alert {
    InternalError = 80,
    UnrecognizedName = 112,
}

/// Tells a client why there is no handshake: a fatal alert in a record of its own.
async fn refuse(
    start: StartHandshake<TcpStream>,
    name: Option<Box<str>>,
    alert: Alert,
) -> Result<TlsStream<TcpStream>, Failed> {
    const FATAL: u8 = 2;
    let mut stream = start.io;
    stream.write_all(&[21, 3, 3, 0, 2, FATAL, alert as u8]).await?;
    stream.shutdown().await?;
    Err(Failed::UnknownName(name.unwrap_or_default().into_string()))
}
