//! HTTP/2 on a client's connection: h2 reads and writes the frames, every stream is a request like any other.
//!
//! Why not a library's server on top: it has no way to send a head before that of the answer. All limits are set here,
//! none is left to a library's default. Streams are polled by the connection's own task and end with it.

mod alive;
mod lane;
mod refusals;
mod stream;

use std::{
    cell::{Cell, RefCell},
    future::{Future as _, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use ::http::StatusCode;
use bytes::Bytes;
use h2::{Reason, server};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    super::{config::Limits, worker::Worker},
    Connection, Ended, Word,
};
use crate::runtime::nest::{Nest, Starter};
use alive::KeepAlive;
pub(in crate::proxy) use lane::Lane;
use refusals::Refusals;
pub(super) use stream::Coming;

/// A connection, from the client's preface to its end.
struct Session<I> {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    starter: Starter,
    state: State<I>,
    /// No more requests are wanted.
    is_finishing: bool,
    /// Something came from the client.
    heard: Rc<Cell<bool>>,
}

enum State<I> {
    Begins(Box<server::Handshake<Lent<I>, Bytes>>),
    Serves(Box<server::Connection<Lent<I>, Bytes>>, Option<KeepAlive>),
}

/// The socket, lent to the library: it is needed again to close it well.
struct Lent<I> {
    io: Rc<RefCell<I>>,
    heard: Rc<Cell<bool>>,
    worker: Rc<Worker>,
    refusals: Refusals,
}

/// Serves HTTP/2 on any stream, from the client's preface on: for cleartext with prior knowledge, and for `h2` chosen by
/// ALPN. Gives the stream back, and whether the connection ended by a mistake of the client's.
pub(super) async fn serve<I>(worker: &Rc<Worker>, connection: &Rc<Connection>, io: I) -> (Option<I>, Ended)
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let io = Rc::new(RefCell::new(io));
    let mut nest = Nest::new();
    let mut session = Session::new(worker, connection, nest.starter(), io.clone());
    let ended = poll_fn(|cx| {
        if let Poll::Ready(ended) = nest.poll_beside(cx, |cx| session.poll(cx)) {
            return Poll::Ready(ended);
        }
        match connection.hear(cx.waker()) {
            Some(Word::Abort) => Poll::Ready(Ended::Aborted),
            Some(Word::Finish) => {
                session.finish();
                session.poll(cx)
            }
            None => Poll::Pending,
        }
    })
    .await;
    drop((session, nest));
    (Rc::into_inner(io).map(RefCell::into_inner), ended)
}

/// Streams that were answered before their body had come are remembered for a while, for the rest of it is on its way: what
/// comes for one that is forgotten is a mistake of the client's, and those are counted.
const ANSWERED_EARLY: (usize, Duration) = (1_000, Duration::from_secs(5));

fn builder(limits: &Limits) -> server::Builder {
    let http2 = &limits.http2;
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(http2.streams)
        // What is longer than allowed and not longer than this is refused by us, who count it and log it.
        .max_header_list_size(u32::try_from(2 * limits.head_bytes).unwrap_or(u32::MAX))
        .header_table_size(4 << 10)
        .max_frame_size(16 << 10)
        .max_pending_accept_reset_streams(http2.resets)
        .max_local_error_reset_streams(Some(http2.resets))
        .max_concurrent_reset_streams(ANSWERED_EARLY.0)
        .reset_stream_duration(ANSWERED_EARLY.1)
        .initial_window_size(http2.stream_window)
        .initial_connection_window_size(http2.window)
        .max_send_buffer_size(Lane::PIECE)
        .data_frame_budget(http2.pieces)
        .enable_connect_protocol();
    builder
}

// === impl Ended ===

impl Ended {
    fn of(error: &h2::Error, worker: &Worker) -> Self {
        if !error.is_go_away() || !error.is_library() {
            return Self::Closed;
        }
        if error.reason() == Some(Reason::ENHANCE_YOUR_CALM) {
            worker.metrics.limits("frames").add(1);
        }
        Self::Refused(StatusCode::BAD_REQUEST)
    }
}

// === impl Session ===

impl<I: AsyncRead + AsyncWrite + Unpin> Session<I> {
    fn new(worker: &Rc<Worker>, connection: &Rc<Connection>, starter: Starter, io: Rc<RefCell<I>>) -> Self {
        let heard = Rc::<Cell<bool>>::default();
        let lent = Lent { io, heard: heard.clone(), worker: worker.clone(), refusals: Refusals::default() };
        Self {
            worker: worker.clone(),
            connection: connection.clone(),
            starter,
            state: State::Begins(Box::new(builder(&worker.config.limits).handshake(lent))),
            is_finishing: false,
            heard,
        }
    }

    /// Takes no more requests; those under way are answered.
    fn finish(&mut self) {
        self.is_finishing = true;
        if let State::Serves(serving, _) = &mut self.state {
            serving.graceful_shutdown();
        }
    }

    /// Starts what the client asks for, until it asks for nothing more.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            match &mut self.state {
                State::Begins(beginning) => match ready!(Pin::new(beginning).poll(cx)) {
                    Ok(serving) => self.begin(serving),
                    Err(error) => return Poll::Ready(Ended::of(&error, &self.worker)),
                },
                State::Serves(serving, alive) => {
                    if let Some(alive) = alive
                        && alive.poll_gone(&self.heard, cx).is_ready()
                    {
                        serving.abrupt_shutdown(Reason::NO_ERROR);
                        // A last word, if there is room for one: what nobody reads is not waited for.
                        let _last = serving.poll_accept(cx);
                        return Poll::Ready(Ended::Closed);
                    }
                    match ready!(serving.poll_accept(cx)) {
                        Some(Ok(asked)) => {
                            let (worker, connection) = (self.worker.clone(), self.connection.clone());
                            self.starter.start(Box::pin(stream::serve(worker, connection, asked)));
                        }
                        Some(Err(error)) => return Poll::Ready(Ended::of(&error, &self.worker)),
                        None => return Poll::Ready(Ended::Closed),
                    }
                }
            }
        }
    }

    fn begin(&mut self, mut serving: server::Connection<Lent<I>, Bytes>) {
        let http2 = &self.worker.config.limits.http2;
        if self.is_finishing {
            serving.graceful_shutdown();
        }
        let pings = serving.ping_pong();
        let alive = pings.map(|pings| KeepAlive::new(pings, http2.ping_every, http2.ping_timeout));
        self.state = State::Serves(Box::new(serving), alive);
    }
}

// === impl Lent ===

impl<I> Lent<I> {
    /// Looks at what was written of `parts`.
    fn written(
        &mut self,
        parts: &[io::IoSlice<'_>],
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(Ok(mut left)) = written else { return written };
        let mut refused = 0;
        for part in parts {
            let taken = part.len().min(left);
            refused += self.refusals.count(&part[..taken]);
            left -= taken;
        }
        if refused > 0 {
            self.worker.metrics.limits("streams").add(refused);
        }
        written
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Lent<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut *self.io.borrow_mut()).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.heard.set(true);
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Lent<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.io.borrow_mut()).poll_write(cx, bytes);
        self.get_mut().written(&[io::IoSlice::new(bytes)], written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.io.borrow_mut()).poll_write_vectored(cx, parts);
        self.get_mut().written(parts, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io.borrow_mut()).poll_shutdown(cx)
    }
}
