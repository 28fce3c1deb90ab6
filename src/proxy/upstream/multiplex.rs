//! HTTP/2 towards an endpoint: connections that carry many requests at a time.
//!
//! Why a task for each connection here: no single request could poll what all of them share. It ends when nobody holds
//! the connection any more and its streams are done.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    io,
    num::NonZeroU32,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use http::{Method, Request, Response, StatusCode, Uri, header, uri};
use http_body::{Body as _, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    time::Instant,
};

use super::{
    super::http::{Message, RequestBody},
    Failure, Visit,
    exchange::{MOST_INFORMATIONAL, NO_BEGINNING},
};
use crate::{
    proxy::{
        http2::{self, Inflow, Outflow},
        received::Received,
    },
    runtime::Tasks,
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
    sender: RefCell<SendRequest<Bytes>>,
    /// Requests that the endpoint takes at a time.
    most: Rc<Cell<usize>>,
    requests: Cell<usize>,
    /// Requests that it has carried, and carries.
    served: Cell<u32>,
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
    /// What is left of the request's body.
    upload: Option<Outflow<RequestBody>>,
    /// The response's body.
    inflow: Inflow,
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
    Full,
}

/// The place of the one who connects; the next who waits has it when this is dropped.
struct Lead<'p> {
    pool: &'p Pool,
    opening: Rc<Opening>,
}

/// HTTP/2 has no other protocol to switch to (RFC 9113 section 8.6).
const NO_SWITCH: &str = "it switches protocols";

// === impl Pool ===

impl Pool {
    /// A place on an open connection that has not carried `most` requests yet. On those that have, what is under way
    /// finishes.
    pub(super) fn reuse(&self, most: Option<NonZeroU32>) -> Option<Ticket> {
        let mut open = self.open.borrow_mut();
        let is_used_up = |shared: &Shared| most.is_some_and(|most| shared.served.get() >= most.get());
        open.retain(|shared| !shared.is_closed() && !is_used_up(shared));
        let shared = open.iter().find(|shared| shared.has_room())?;
        let mut ticket = Ticket::new(shared.clone());
        ticket.is_reused = true;
        Some(ticket)
    }

    /// A place on a new connection, or on the one that somebody else is opening for at most so many requests. `connect`
    /// gives the stream.
    pub(super) async fn open<S, F>(
        &self,
        (tasks, most): (&RefCell<Tasks>, Option<NonZeroU32>),
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
            if let Some(ticket) = self.reuse(most) {
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
            is_used && !shared.is_closed()
        });
    }

    /// Closes connections that nobody uses.
    pub(super) fn close_idle(&self) {
        self.open.borrow_mut().retain(|shared| shared.requests.get() > 0);
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
    /// Requests that were given up are remembered for a while: what of their responses is on its way is no mistake.
    const GIVEN_UP: (usize, Duration) = (1_000, Duration::from_secs(5));
    const STREAM_WINDOW: u32 = 256 << 10;
    const WINDOW: u32 = 100 * Self::STREAM_WINDOW;
    /// What pieces of responses that wait for clients may cost beside their bytes: h2 takes 256 bytes for each, less its
    /// length. All may wait with messages of 100 bytes, some with the smallest; clients that do not read must not cost
    /// others their connection.
    const PIECES: usize = 64 << 20;

    async fn start<S>(stream: S, tasks: &RefCell<Tasks>) -> Result<Rc<Self>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(Self::MOST)
            .initial_window_size(Self::STREAM_WINDOW)
            .initial_connection_window_size(Self::WINDOW)
            .max_frame_size(16 << 10)
            .max_header_list_size(64 << 10)
            .max_send_buffer_size(64 << 10)
            .data_frame_budget(Self::PIECES)
            .max_concurrent_reset_streams(Self::GIVEN_UP.0)
            .reset_stream_duration(Self::GIVEN_UP.1)
            .max_local_error_reset_streams(Some(Self::MOST));
        let (sender, connection) =
            builder.handshake(stream).await.map_err(|error| Failure::Broken(io::Error::other(error)))?;
        let most = Rc::new(Cell::new(Self::MOST));
        tasks.borrow_mut().spawn_local("upstream", Box::pin(drive(connection, Rc::downgrade(&most))));
        let idle = Cell::new(Instant::now());
        let (sender, requests, served) = (RefCell::new(sender), Cell::new(0), Cell::new(0));
        Ok(Rc::new(Self { sender, most, requests, served, idle }))
    }

    fn has_room(&self) -> bool {
        self.requests.get() < self.most.get().clamp(1, Self::MOST)
    }

    /// Whether it takes no more requests: it broke, or the endpoint has said goodbye.
    fn is_closed(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(self.sender.borrow_mut().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }
}

/// Reads and writes until nobody holds the connection any more and its streams are done.
async fn drive<S>(mut connection: Connection<S, Bytes>, most: Weak<Cell<usize>>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    poll_fn(|cx| {
        let result = Pin::new(&mut connection).poll(cx);
        if let Some(most) = most.upgrade() {
            most.set(connection.max_concurrent_send_streams());
        }
        // Its errors are handed to those who wait for responses.
        result.map(drop)
    })
    .await;
}

// === impl Ticket ===

impl Ticket {
    fn new(shared: Rc<Shared>) -> Self {
        shared.requests.set(shared.requests.get() + 1);
        shared.served.set(shared.served.get().saturating_add(1));
        Self {
            shared,
            is_reused: false,
            visit: None,
            scheme: uri::Scheme::HTTP,
            upload: None,
            inflow: Inflow::empty(),
        }
    }

    /// Sends a request and waits for the head of the response. Dropping the future resets the stream.
    pub(super) async fn send(&mut self, message: &mut Message<'_>) -> Result<Received, Failure> {
        let (request, body) = self.request(message);
        let is_whole = body.is_end_stream();
        let sent = self.shared.sender.borrow_mut().send_request(request, is_whole);
        let (mut response, stream) = match sent {
            Ok(sent) => sent,
            // Nothing of it has left.
            Err(error) if error.is_io() || error.is_go_away() => {
                message.body = body;
                return Err(Failure::NotSent);
            }
            Err(error) => return Err(Failure::of_http2(error)),
        };
        self.upload = (!is_whole).then(|| Outflow::new(stream, body));
        let mut heads = 0;
        let response = poll_fn(|cx| {
            while let Poll::Ready(Some(Ok(before))) = response.poll_informational(cx) {
                heads += 1;
                let wrong = match before.status() {
                    StatusCode::SWITCHING_PROTOCOLS => Some(NO_SWITCH),
                    _ => (heads > MOST_INFORMATIONAL).then_some(NO_BEGINNING),
                };
                if let Some(wrong) = wrong {
                    let error = io::Error::new(io::ErrorKind::InvalidData, wrong);
                    return Poll::Ready(Err(Failure::Invalid(error)));
                }
                self.inform(before, message);
            }
            // A body that was asked for begins before its answer, even if both have come.
            self.poll_upload(cx);
            Pin::new(&mut response).poll(cx).map_err(Failure::of_http2)
        });
        let (head, stream) = response.await?.into_parts();
        self.inflow = Inflow::new(stream, &head.headers);
        Ok(Received::new(head.status, head.headers))
    }

    /// What a head before the one that counts is good for.
    fn inform(&self, before: Response<()>, asked: &Message<'_>) {
        let (head, ()) = before.into_parts();
        match (head.status, &self.upload) {
            (StatusCode::CONTINUE, Some(upload)) => upload.body().go_on(),
            (StatusCode::CONTINUE, None) => {}
            (status, _) => asked.interim(status, head.headers),
        }
    }

    /// The head as HTTP/2 has it, and what follows it.
    fn request(&self, message: &mut Message<'_>) -> (Request<()>, RequestBody) {
        let (head, body) = message.take_request().into_parts();
        let mut request = Request::from_parts(head, ());
        to_absolute_form(&mut request, self.scheme.clone());
        let is_expected = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
        let headers = request.headers_mut();
        http2::strip(headers);
        if let Some(length) = body.size_hint().exact().filter(|length| *length > 0 || is_expected) {
            headers.entry(header::CONTENT_LENGTH).or_insert(length.into());
        }
        (request, body)
    }

    /// Sends as much of the request's body as there is and the endpoint takes.
    pub(super) fn poll_upload(&mut self, cx: &mut Context<'_>) {
        if let Some(upload) = &mut self.upload
            && upload.poll(cx).is_ready()
        {
            self.upload = None;
        }
    }

    /// The next piece of the response's body.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.poll_upload(cx);
        self.inflow.poll_frame(cx)
    }

    pub(super) fn is_done(&self) -> bool {
        self.inflow.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.inflow.size_hint()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.requests.set(self.shared.requests.get().saturating_sub(1));
        self.shared.idle.set(Instant::now());
    }
}

/// `:scheme` and `:authority` instead of `Host`.
pub(super) fn to_absolute_form<B>(request: &mut Request<B>, scheme: uri::Scheme) {
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
    pub(super) fn of_http2(error: h2::Error) -> Self {
        let is_refused =
            error.reason() == Some(h2::Reason::REFUSED_STREAM) || (error.is_go_away() && error.is_remote());
        let is_invalid = error.is_library();
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
            Failure::Full => Some(Self::Full),
            Failure::NotSent | Failure::Refused(_) | Failure::Broken(_) | Failure::Invalid(_) => None,
        }
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Io(kind) => Self::Connect(kind.into()),
            Reason::Timeout => Self::ConnectTimeout,
            Reason::Full => Self::Full,
        }
    }
}
