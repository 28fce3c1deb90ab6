//! HTTP/2 towards an endpoint: connections that carry many requests at a time.
//!
//! Why a task for each connection here: no single request could poll what all of them share. It ends when nobody holds
//! the connection any more and its streams are done.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    io,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header, uri};
use http_body::{Body as _, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    time::Instant,
};

use super::{
    super::http::{Message, RequestBody},
    Failure, Visit,
};
use crate::{
    proxy::received::Received,
    runtime::{
        Tasks,
        nest::{Nest, Starter},
    },
};

/// The connections to one endpoint.
#[derive(Default)]
pub(super) struct Pool {
    open: RefCell<Vec<Rc<Shared>>>,
    /// Somebody is connecting: others wait for what comes of it.
    opening: RefCell<Option<Rc<Opening>>>,
}

/// A connection.
struct Shared {
    sender: SendRequest<RequestBody>,
    /// Requests that the endpoint takes at a time.
    most: Rc<Cell<usize>>,
    requests: Cell<usize>,
    /// Since when there is none.
    idle: Cell<Instant>,
}

/// A place on a connection. Dropping it gives the place back.
pub(in crate::proxy) struct Ticket {
    shared: Rc<Shared>,
    /// Whether the connection has carried others before.
    pub(super) is_reused: bool,
    /// The request.
    pub(super) visit: Option<Visit>,
    /// Of the requests, as the endpoint is told.
    pub(super) scheme: uri::Scheme,
    /// The response that comes.
    incoming: Option<Incoming>,
}

#[derive(Default)]
struct Opening {
    done: Notify,
    failed: Cell<Option<Reason>>,
}

/// Why connecting failed, for all who waited for it.
#[derive(Clone, Copy, Debug)]
enum Reason {
    Io(io::ErrorKind),
    Timeout,
}

/// The place of the one who connects; the next who waits has it when this is dropped.
struct Lead<'p> {
    pool: &'p Pool,
    opening: Rc<Opening>,
}

/// Starts what hyper wants to start, beside its connection.
#[derive(Clone)]
struct Streams(Starter);

// === impl Pool ===

impl Pool {
    /// A place on an open connection.
    pub(super) fn reuse(&self) -> Option<Ticket> {
        let mut open = self.open.borrow_mut();
        open.retain(|shared| !shared.sender.is_closed());
        let shared = open.iter().find(|shared| shared.has_room())?;
        let mut ticket = Ticket::new(shared.clone());
        ticket.is_reused = true;
        Some(ticket)
    }

    /// A place on a new connection, or on the one that somebody else is opening. `connect` gives the stream.
    pub(super) async fn open<S, F>(
        &self,
        tasks: &RefCell<Tasks>,
        connect: impl FnOnce() -> F,
    ) -> Result<Ticket, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
        F: Future<Output = Result<S, Failure>>,
    {
        loop {
            let opening = self.opening.borrow().clone();
            let Some(opening) = opening else { break };
            opening.done.notified().await;
            if let Some(reason) = opening.failed.get() {
                return Err(reason.into());
            }
            if let Some(ticket) = self.reuse() {
                return Ok(ticket);
            }
        }
        let lead = Lead::new(self);
        let shared = match connect().await {
            Ok(stream) => Shared::start(stream, tasks).await,
            Err(failure) => Err(failure),
        };
        match shared {
            Ok(shared) => {
                self.open.borrow_mut().push(shared.clone());
                Ok(Ticket::new(shared))
            }
            Err(failure) => {
                lead.opening.failed.set(Reason::of(&failure));
                Err(failure)
            }
        }
    }

    /// Closes connections that are not used, or that have waited too long.
    pub(super) fn expire(&self, now: Instant, limit: Duration) {
        self.open.borrow_mut().retain(|shared| {
            let is_used = shared.requests.get() > 0 || now.duration_since(shared.idle.get()) < limit;
            is_used && !shared.sender.is_closed()
        });
    }

    /// Opens no more requests on what is open; those under way finish.
    pub(super) fn clear(&self) {
        self.open.borrow_mut().clear();
    }
}

// === impl Shared ===

impl Shared {
    /// Requests on a connection, however many the endpoint would take: what one of them is behind must not hold up the
    /// others, so the connection's window has room for all.
    const MOST: usize = 100;
    const STREAM_WINDOW: u32 = 256 << 10;
    const WINDOW: u32 = 100 * Self::STREAM_WINDOW;

    async fn start<S>(stream: S, tasks: &RefCell<Tasks>) -> Result<Rc<Self>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let nest = Nest::new();
        let mut builder = http2::Builder::new(Streams(nest.starter()));
        builder
            .timer(TokioTimer::new())
            .initial_max_send_streams(Self::MOST)
            .initial_stream_window_size(Self::STREAM_WINDOW)
            .initial_connection_window_size(Self::WINDOW)
            .max_frame_size(16 << 10)
            .max_header_list_size(64 << 10)
            .max_send_buf_size(64 << 10)
            .max_concurrent_reset_streams(Self::MOST)
            .max_local_error_reset_streams(Self::MOST);
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::Broken(io::Error::other(error)))?;
        let most = Rc::new(Cell::new(Self::MOST));
        tasks.borrow_mut().spawn_local("upstream", drive(nest, connection, Rc::downgrade(&most)));
        let idle = Cell::new(Instant::now());
        Ok(Rc::new(Self { sender, most, requests: Cell::new(0), idle }))
    }

    fn has_room(&self) -> bool {
        self.requests.get() < self.most.get().clamp(1, Self::MOST)
    }
}

type Driver<S> = http2::Connection<TokioIo<S>, RequestBody, Streams>;

async fn drive<S>(mut nest: Nest, connection: Driver<S>, most: Weak<Cell<usize>>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut connection = Some(connection);
    poll_fn(|cx| {
        let is_over = nest.poll_beside(cx, |cx| match &mut connection {
            Some(connection) => {
                let result = Pin::new(&mut *connection).poll(cx);
                if let Some(most) = most.upgrade() {
                    most.set(connection.current_max_send_streams());
                }
                // Its errors have been handed to those who wait for responses.
                result.map(drop)
            }
            None => Poll::Ready(()),
        });
        if is_over.is_ready() {
            connection = None;
        }
        if connection.is_none() && nest.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, future: F) {
        self.0.start(future);
    }
}

// === impl Ticket ===

impl Ticket {
    fn new(shared: Rc<Shared>) -> Self {
        shared.requests.set(shared.requests.get() + 1);
        Self { shared, is_reused: false, visit: None, scheme: uri::Scheme::HTTP, incoming: None }
    }

    /// Sends a request and waits for the head of the response. Dropping the future resets the stream.
    pub(super) async fn send(&mut self, message: &mut Message<'_>) -> Result<Received, Failure> {
        let mut request = message.take_request();
        if let Some(asked) = request.body().awaited() {
            hyper::ext::on_informational(&mut request, move |response| {
                if response.status() == StatusCode::CONTINUE {
                    asked.set();
                }
            });
        }
        to_absolute_form(&mut request, self.scheme.clone());
        let mut sender = self.shared.sender.clone();
        let result = sender.try_send_request(request).await;
        let response = result.map_err(|mut error| match error.take_message() {
            Some(request) => {
                message.body = request.into_body();
                Failure::NotSent
            }
            None => Failure::of_http2(error.into_error()),
        })?;
        let (head, incoming) = response.into_parts();
        self.incoming = Some(incoming);
        Ok(Received::new(head.status, head.headers))
    }

    /// The next piece of the response's body.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(cx).map_err(io::Error::other),
            None => Poll::Ready(None),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.requests.set(self.shared.requests.get().saturating_sub(1));
        self.shared.idle.set(Instant::now());
    }
}

/// `:scheme` and `:authority` instead of `Host`.
pub(super) fn to_absolute_form(request: &mut Request<RequestBody>, scheme: uri::Scheme) {
    let Some(host) = request.headers().get(header::HOST) else { return };
    let Ok(authority) = uri::Authority::try_from(host.as_bytes()) else { return };
    let mut parts = uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = request.uri().path_and_query().cloned();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
        request.headers_mut().remove(header::HOST);
    }
}

impl Failure {
    /// What an error of a stream or its connection means for the request.
    fn of_http2(error: hyper::Error) -> Self {
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<h2::Error>());
        let is_refused = cause.is_some_and(|cause| {
            cause.reason() == Some(h2::Reason::REFUSED_STREAM) || (cause.is_go_away() && cause.is_remote())
        });
        let is_invalid = cause.is_some_and(h2::Error::is_library);
        let error = io::Error::other(error);
        match (is_refused, is_invalid) {
            (true, _) => Self::Refused(error),
            (false, true) => Self::Invalid(error),
            (false, false) => Self::Broken(error),
        }
    }
}

// === impl Lead ===

impl<'p> Lead<'p> {
    fn new(pool: &'p Pool) -> Self {
        let opening = Rc::new(Opening::default());
        *pool.opening.borrow_mut() = Some(opening.clone());
        Self { pool, opening }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.pool.opening.take();
        self.opening.done.notify_waiters();
    }
}

// === impl Reason ===

impl Reason {
    fn of(failure: &Failure) -> Option<Self> {
        match failure {
            Failure::Connect(error) => Some(Self::Io(error.kind())),
            Failure::ConnectTimeout => Some(Self::Timeout),
            Failure::NotSent | Failure::Refused(_) | Failure::Broken(_) | Failure::Invalid(_) => None,
        }
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Io(kind) => Self::Connect(kind.into()),
            Reason::Timeout => Self::ConnectTimeout,
        }
    }
}
