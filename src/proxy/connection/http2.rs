//! HTTP/2 on a client's connection: hyper reads the frames, every stream is a request like any other.
//!
//! All limits are set here, none is left to a library's default. Streams are polled by the connection's own task and
//! end with it.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use ::http::{Method, Request};
use hyper::{body::Incoming, server::conn::http2, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use super::{
    super::{config::Limits, http, upgrade::Tunnel, worker::Worker},
    Busy, Connection, Ended, Word, pace,
};
use crate::runtime::nest::{Nest, Starter};

/// What the pipeline needs to know of the stream that a request came by.
pub(in crate::proxy) struct Lane {
    starter: Starter,
    /// Of a request to connect: what it becomes when the answer is yes.
    upgrade: RefCell<Option<OnUpgrade>>,
    /// Since when the client has been owing room for what was read for it.
    unread: Cell<Option<Instant>>,
    /// How it sends its body, while that holds up a connection to an endpoint.
    pub(super) sending: pace::Lane,
    missed: Cell<Option<Missed>>,
}

/// What a client has not done in time, so that its stream was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Missed {
    Sending,
    Taking,
}

/// How long a client may take for what only it can do.
#[derive(Clone, Copy)]
struct Patience {
    /// Until it takes something of its answer.
    unread: Duration,
    /// In which it sends so many bytes a second.
    sending: (Duration, u64),
}

/// Takes what hyper wants to start.
#[derive(Clone)]
struct Streams {
    starter: Starter,
    /// Belongs to the stream that is started next.
    lane: Rc<RefCell<Option<Rc<Lane>>>>,
    patience: Patience,
}

/// The socket, lent to hyper: it is needed again to close it well.
struct Lent<I>(Rc<RefCell<I>>);

/// Serves HTTP/2 on any stream, from the client's preface on: for cleartext with prior knowledge, and for `h2` chosen by
/// ALPN. Gives the stream back, and whether the connection ended by a mistake of the client's.
pub(super) async fn serve<I>(worker: &Rc<Worker>, connection: &Rc<Connection>, io: I) -> (Option<I>, Ended)
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let limits = &worker.config.limits;
    let mut nest = Nest::new();
    let lane = Rc::new(RefCell::new(None));
    let patience = Patience { unread: limits.http2.unread, sending: (limits.send_window, limits.least_rate) };
    let streams = Streams { starter: nest.starter(), lane: lane.clone(), patience };
    let service = {
        let (worker, connection, starter) = (worker.clone(), connection.clone(), nest.starter());
        hyper::service::service_fn(move |mut request| {
            let own = Rc::new(Lane::new(starter.clone(), &mut request));
            *lane.borrow_mut() = Some(own.clone());
            // In a box: it is moved from hand to hand.
            let lane = Some(own.clone());
            let request = request.map(|incoming| super::Incoming::Http2(incoming, own));
            let answering = http::answer(worker.clone(), connection.clone(), lane, request);
            Box::pin(async { Ok::<_, Infallible>(answering.await.into_response()) })
        })
    };
    let io = Rc::new(RefCell::new(io));
    let mut serving = builder(streams, limits).serve_connection(TokioIo::new(Lent(io.clone())), service);
    let ended = poll_fn(|cx| {
        let result = nest.poll_beside(cx, |cx| Pin::new(&mut serving).poll(cx));
        if let Poll::Ready(result) = result {
            return Poll::Ready(result.map_or_else(|error| Ended::of(&error), |()| Ended::Closed));
        }
        match connection.hear(cx.waker()) {
            Some(Word::Abort) => Poll::Ready(Ended::Aborted),
            Some(Word::Finish) => {
                Pin::new(&mut serving).graceful_shutdown();
                Pin::new(&mut serving).poll(cx).map(|_| Ended::Closed)
            }
            None => Poll::Pending,
        }
    })
    .await;
    drop((serving, nest));
    (Rc::into_inner(io).map(RefCell::into_inner), ended)
}

fn builder(streams: Streams, limits: &Limits) -> http2::Builder<Streams> {
    let http2 = &limits.http2;
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(http2.streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .header_table_size(4 << 10)
        .max_frame_size(16 << 10)
        .max_pending_accept_reset_streams(http2.resets)
        .max_local_error_reset_streams(http2.resets)
        .initial_stream_window_size(http2.stream_window)
        .initial_connection_window_size(http2.window)
        .max_send_buf_size(Lane::PIECE)
        .keep_alive_interval(http2.ping_every)
        .keep_alive_timeout(http2.ping_timeout)
        .enable_connect_protocol();
    builder
}

// === impl Ended ===

impl Ended {
    fn of(error: &hyper::Error) -> Self {
        let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
        if cause.is_some_and(|cause| cause.is_go_away() && cause.is_library()) {
            Self::Refused
        } else {
            Self::Closed
        }
    }
}

// === impl Lane ===

impl Lane {
    /// Of a body at most this much is handed over at a time: it is kept until the client has room for it.
    pub(in crate::proxy) const PIECE: usize = 64 << 10;

    fn new(starter: Starter, request: &mut Request<Incoming>) -> Self {
        let is_connect = request.method() == Method::CONNECT;
        Self {
            starter,
            upgrade: RefCell::new(is_connect.then(|| hyper::upgrade::on(request))),
            unread: Cell::new(None),
            sending: pace::Lane::default(),
            missed: Cell::new(None),
        }
    }

    /// Something was handed over (`Some`), or was asked for.
    pub(in crate::proxy) fn unread(&self, since: Option<Instant>) {
        self.unread.set(since);
    }

    /// Why the stream was reset, if it was by us.
    pub(in crate::proxy) fn missed(&self) -> Option<Missed> {
        self.missed.get()
    }

    /// Once the answer is sent, this stream carries the tunnel's bytes.
    pub(in crate::proxy) fn tunnel(&self, connection: &Rc<Connection>, tunnel: Tunnel) {
        let Some(upgrade) = self.upgrade.take() else { return };
        let connection = connection.clone();
        self.starter.start(async move {
            let _busy = Busy::new(connection.clone());
            // An error means that the client is gone.
            if let Ok(client) = upgrade.await {
                tunnel.run(&connection, TokioIo::new(client), bytes::Bytes::new()).await;
            }
        });
    }

    /// Ready when the client has not done in time what only it can do.
    fn poll_patience(
        &self,
        patience: &Patience,
        sleep: &mut Option<Pin<Box<Sleep>>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        // Armed once and moved on only when it fires: most pieces come, and are taken, at once.
        while self.unread.get().is_some() || self.sending.is_waiting() {
            let new = || Box::pin(tokio::time::sleep(patience.pause()));
            let sleep = sleep.get_or_insert_with(new);
            ready!(sleep.as_mut().poll(cx));
            let now = Instant::now();
            let (window, rate) = patience.sending;
            if self.unread.get().is_some_and(|since| now >= since + patience.unread) {
                self.missed.set(Some(Missed::Taking));
                return Poll::Ready(());
            }
            if self.sending.is_slow(now, window, rate) {
                self.missed.set(Some(Missed::Sending));
                return Poll::Ready(());
            }
            sleep.as_mut().reset(now + patience.pause());
        }
        Poll::Pending
    }
}

// === impl Missed ===

impl Missed {
    /// As the metrics call it.
    pub(in crate::proxy) fn limit(self) -> &'static str {
        match self {
            Self::Sending => "send_rate",
            Self::Taking => "take_rate",
        }
    }

    pub(in crate::proxy) fn words(self) -> &'static str {
        match self {
            Self::Sending => "client: it sent too little of its body for too long",
            Self::Taking => "client: it took nothing of its answer for too long",
        }
    }
}

// === impl Patience ===

impl Patience {
    /// Between two looks at a client that is waited for.
    fn pause(&self) -> Duration {
        (self.unread.min(self.sending.0) / 4).min(Duration::from_secs(1))
    }
}

// === impl Streams ===

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, future: F) {
        let Some(lane) = self.lane.take() else { return self.starter.start(future) };
        let patience = self.patience;
        self.starter.start(async move {
            let mut future = pin!(future);
            let mut sleep = None;
            // Dropping the future resets the stream.
            poll_fn(|cx| match future.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => lane.poll_patience(&patience, &mut sleep, cx),
            })
            .await;
        });
    }
}

// === impl Lent ===

impl<I: AsyncRead + Unpin> AsyncRead for Lent<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Lent<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }
}
