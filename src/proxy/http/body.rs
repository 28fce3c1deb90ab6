//! Bodies: they stream, in both directions. Only where a rule asks for retries a short one is kept for another try.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::{
    kept::Kept,
    mirror::{self, Copy},
    record::Record,
};
use crate::proxy::{
    connection::{Incoming, Lane},
    upstream::Exchange,
};

/// The body of a request on its way to an endpoint.
pub(in crate::proxy) enum RequestBody {
    Empty,
    Upload(Rc<Upload>),
    /// Of a copy.
    Kept(VecDeque<Bytes>),
}

/// What a client sends. It outlives a try that did not ask for it.
pub(in crate::proxy) struct Upload {
    incoming: RefCell<Incoming>,
    /// Whether some of it was taken: then it cannot be sent again.
    started: Cell<bool>,
    /// Whether the client broke it off, or sent what is not HTTP.
    failed: Cell<bool>,
    bytes: Cell<u64>,
    wait: RefCell<Option<Wait>>,
    kept: RefCell<Option<Kept>>,
    /// What came after a body that was read before it was sent, and whether it was given.
    trailers: RefCell<Option<HeaderMap>>,
    has_given_trailers: Cell<bool>,
    /// Copies that wait for its end.
    copies: RefCell<Vec<Copy>>,
}

/// A client that expects `100 Continue` sends nothing before the endpoint has asked for it.
struct Wait {
    is_asked: bool,
    waker: Option<Waker>,
    /// An endpoint that knows nothing of `100 Continue` would wait for ever too.
    patience: Pin<Box<Sleep>>,
}

/// Why a body could not be read before it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uncollected {
    TooLong,
    /// By its client.
    Broken,
}

/// The body of an answer.
pub(in crate::proxy) struct Body {
    kind: Kind,
    /// Told when the body is dropped, which is when its last byte was handed over.
    record: Record,
}

enum Kind {
    Empty,
    Page(Bytes),
    Download {
        /// Gone once all of the response was taken.
        exchange: Option<Exchange>,
        deadline: Option<Pin<Box<Sleep>>>,
        /// What was read and is too much for one piece.
        rest: Bytes,
    },
    Failed(io::Error),
}

// === impl RequestBody ===

impl RequestBody {
    /// One that is there already.
    pub(super) fn of(pieces: VecDeque<Bytes>) -> Self {
        if pieces.is_empty() { Self::Empty } else { Self::Kept(pieces) }
    }

    /// The endpoint has asked for a body whose client waits.
    pub(in crate::proxy) fn go_on(&self) {
        match self {
            Self::Upload(upload) => upload.go_on(),
            Self::Empty | Self::Kept(_) => {}
        }
    }

    /// An endpoint's connection waits for more of it.
    pub(in crate::proxy) fn holds_up(&self) {
        match self {
            // The endpoint's own word is not the client's to send.
            Self::Upload(upload) if upload.wait.borrow().is_none() => upload.incoming.borrow().holds_up(),
            Self::Upload(_) | Self::Empty | Self::Kept(_) => {}
        }
    }
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Upload(_) => "Upload",
            Self::Kept(_) => "Kept",
        })
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Upload(upload) => upload.poll_frame(cx),
            Self::Kept(pieces) => Poll::Ready(pieces.pop_front().map(|piece| Ok(Frame::data(piece)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Upload(upload) => upload.is_end_stream(),
            Self::Kept(pieces) => pieces.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Upload(upload) => upload.size_hint(),
            Self::Kept(pieces) => SizeHint::with_exact(pieces.iter().map(|piece| piece.len() as u64).sum()),
        }
    }
}

// === impl Upload ===

impl Upload {
    /// How long an endpoint may take to ask for a body whose client waits.
    const PATIENCE: Duration = Duration::from_secs(1);

    pub(super) fn new(incoming: Incoming) -> Rc<Self> {
        Rc::new(Self {
            incoming: RefCell::new(incoming),
            started: Cell::new(false),
            failed: Cell::new(false),
            bytes: Cell::new(0),
            wait: RefCell::new(None),
            kept: RefCell::new(None),
            trailers: RefCell::new(None),
            has_given_trailers: Cell::new(false),
            copies: RefCell::default(),
        })
    }

    /// Nothing is sent before the endpoint has asked for it, or a while has passed.
    pub(super) fn wait_for_word(&self) {
        let patience = Box::pin(tokio::time::sleep(Self::PATIENCE));
        *self.wait.borrow_mut() = Some(Wait { is_asked: false, waker: None, patience });
    }

    fn go_on(&self) {
        if let Some(wait) = &mut *self.wait.borrow_mut() {
            wait.is_asked = true;
            if let Some(waker) = wait.waker.take() {
                waker.wake();
            }
        }
    }

    /// Keeps the body for another try, if it is not longer than `most` bytes and none of it was sent yet.
    pub(super) fn keep(&self, most: usize) {
        let mut kept = self.kept.borrow_mut();
        if self.started.get() || self.incoming.borrow().size_hint().lower() > most as u64 {
            return;
        }
        match &mut *kept {
            Some(kept) => kept.extend(most),
            None => *kept = Some(Kept::new(most)),
        }
    }

    /// Reads all of the body before any of it is sent, if it is not longer than `most` bytes.
    pub(super) async fn collect(&self, most: usize) -> Result<VecDeque<Bytes>, Uncollected> {
        self.keep(most);
        loop {
            match self.kept.borrow().as_ref() {
                Some(kept) if kept.is_whole() && kept.bytes() <= most => {}
                Some(_) | None => return Err(Uncollected::TooLong),
            }
            if self.incoming.borrow().is_end_stream() {
                break;
            }
            self.incoming.borrow().holds_up();
            match poll_fn(|cx| Pin::new(&mut *self.incoming.borrow_mut()).poll_frame(cx)).await {
                Some(Ok(frame)) => match frame.into_trailers() {
                    Ok(trailers) => *self.trailers.borrow_mut() = Some(trailers),
                    Err(frame) => self.note(&frame),
                },
                Some(Err(_)) => {
                    self.failed.set(true);
                    return Err(Uncollected::Broken);
                }
                None => break,
            }
        }
        self.rewind();
        Ok(self.kept.borrow().as_ref().map(Kept::pieces).unwrap_or_default())
    }

    /// Whether some of it was taken.
    pub(super) fn has_started(&self) -> bool {
        self.started.get()
    }

    /// Takes note of what has come.
    fn note(&self, frame: &Frame<Bytes>) {
        self.started.set(true);
        let length = frame.data_ref().map_or(0, Bytes::len);
        self.bytes.set(self.bytes.get() + length as u64);
        if let Some(kept) = &mut *self.kept.borrow_mut() {
            kept.note(frame);
        }
    }

    /// Gives the body to a copy of the request, once it has come as a whole.
    pub(super) fn copy(&self, copy: Copy) {
        self.keep(mirror::LONGEST_BODY);
        if self.started.get()
            && self.incoming.borrow().is_end_stream()
            && let Some(kept) = self.kept.borrow().as_ref().filter(|kept| kept.is_whole())
        {
            return copy.send(kept.pieces());
        }
        if self.kept.borrow().as_ref().is_some_and(Kept::is_whole) && !self.started.get() {
            self.copies.borrow_mut().push(copy);
        } else {
            copy.give_up();
        }
    }

    /// Hands the copies what they wait for, once `last` was the last that comes.
    fn hand_over<T>(&self, last: Option<&T>) {
        let is_end = last.is_none() || self.incoming.borrow().is_end_stream();
        let kept = self.kept.borrow();
        match kept.as_ref().filter(|kept| kept.is_whole()) {
            Some(_) if !is_end => {}
            Some(kept) => self.copies.take().into_iter().for_each(|copy| copy.send(kept.pieces())),
            None => self.copies.take().into_iter().for_each(Copy::give_up),
        }
    }

    /// Whether it can be sent from its start.
    pub(super) fn is_whole(&self) -> bool {
        !self.started.get() || self.kept.borrow().as_ref().is_some_and(Kept::is_whole)
    }

    /// Makes the next try send it from its start.
    pub(super) fn rewind(&self) {
        if let Some(kept) = &mut *self.kept.borrow_mut() {
            kept.rewind();
        }
        self.has_given_trailers.set(false);
    }

    fn is_end_stream(&self) -> bool {
        self.kept.borrow().as_ref().is_none_or(|kept| kept.left() == 0)
            && (self.trailers.borrow().is_none() || self.has_given_trailers.get())
            && self.incoming.borrow().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.incoming.borrow().size_hint();
        match (self.kept.borrow().as_ref().map_or(0, Kept::left), hint.exact()) {
            (0, _) => hint,
            (left, Some(rest)) => SizeHint::with_exact(left + rest),
            (_, None) => SizeHint::default(),
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.get()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        ready!(self.poll_wait(cx));
        if let Some(kept) = &mut *self.kept.borrow_mut()
            && let Some(data) = kept.replay()
        {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = &*self.trailers.borrow()
            && !self.has_given_trailers.replace(true)
        {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers.clone()))));
        }
        let frame = ready!(Pin::new(&mut *self.incoming.borrow_mut()).poll_frame(cx));
        self.started.set(true);
        match &frame {
            Some(Ok(frame)) => self.note(frame),
            Some(Err(_)) => self.failed.set(true),
            None => {}
        }
        if !self.copies.borrow().is_empty() {
            self.hand_over(frame.as_ref());
        }
        Poll::Ready(frame)
    }

    fn poll_wait(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut wait = self.wait.borrow_mut();
        if let Some(Wait { is_asked, waker, patience }) = &mut *wait {
            if !*is_asked {
                *waker = Some(cx.waker().clone());
                ready!(patience.as_mut().poll(cx));
            }
            *wait = None;
        }
        Poll::Ready(())
    }
}

// === impl Body ===

impl Body {
    pub(super) fn empty(record: Record) -> Self {
        Self { kind: Kind::Empty, record }
    }

    pub(super) fn page(page: Bytes, record: Record) -> Self {
        Self { kind: Kind::Page(page), record }
    }

    pub(super) fn download(exchange: Exchange, deadline: Option<Instant>, record: Record) -> Self {
        let deadline = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
        Self { kind: Kind::Download { exchange: Some(exchange), deadline, rest: Bytes::new() }, record }
    }
}

impl Body {
    /// Whether Portolan answers itself.
    pub(in crate::proxy) fn is_own(&self) -> bool {
        match &self.kind {
            Kind::Empty | Kind::Page(_) => true,
            Kind::Download { .. } | Kind::Failed(_) => false,
        }
    }

    /// Sends on what is left of the request, while nothing of the response is asked for.
    pub(in crate::proxy) fn poll_upload(&mut self, cx: &mut Context<'_>) {
        if let Kind::Download { exchange: Some(exchange), .. } = &mut self.kind {
            exchange.poll_upload(cx);
        }
    }

    /// Ends this body with an error, but not before what was read of it is sent.
    fn fail(
        &mut self,
        reason: &'static str,
        error: io::Error,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.record.fail(reason);
        self.kind = Kind::Failed(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if let Some(lane) = this.record.lane() {
            lane.unread(None);
        }
        let mut frame = match &mut this.kind {
            Kind::Empty => None,
            Kind::Failed(error) => {
                let error = std::mem::replace(error, io::ErrorKind::BrokenPipe.into());
                return Poll::Ready(Some(Err(error)));
            }
            Kind::Page(page) => {
                let page = std::mem::take(page);
                this.kind = Kind::Empty;
                Some(Frame::data(page))
            }
            Kind::Download { rest, .. } if !rest.is_empty() => Some(Frame::data(std::mem::take(rest))),
            Kind::Download { exchange, deadline, .. } => {
                if let Some(deadline) = deadline
                    && deadline.as_mut().poll(cx).is_ready()
                {
                    return this.fail("the request took too long", io::ErrorKind::TimedOut.into(), cx);
                }
                let polled = match exchange {
                    Some(exchange) => exchange.poll_frame(cx),
                    None => Poll::Ready(None),
                };
                match ready!(polled).transpose() {
                    Ok(frame) => {
                        // Its connection is for others now, however long the client takes for the answer.
                        if let Some(exchange) = exchange.take_if(|exchange| exchange.is_done()) {
                            exchange.finish(this.record.coarse_now());
                        }
                        frame
                    }
                    Err(error) => {
                        return this.fail("the backend broke off its response", error, cx);
                    }
                }
            }
        };
        if let Some(data) = frame.as_mut().and_then(Frame::data_mut) {
            if let Some(lane) = this.record.lane() {
                lane.unread(Some(this.record.coarse_now()));
                if let Kind::Download { rest, .. } = &mut this.kind
                    && data.len() > Lane::PIECE
                {
                    *rest = data.split_off(Lane::PIECE);
                }
            }
            this.record.sent(data.len());
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Page(_) | Kind::Failed(_) => false,
            Kind::Download { exchange, rest, .. } => {
                rest.is_empty() && exchange.as_ref().is_none_or(Exchange::is_done)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Page(page) => SizeHint::with_exact(page.len() as u64),
            Kind::Download { exchange, .. } => {
                exchange.as_ref().map_or(SizeHint::with_exact(0), Exchange::size_hint)
            }
            Kind::Failed(_) => SizeHint::default(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Kind::Download { exchange, .. } = &mut self.kind
            && let Some(exchange) = exchange.take()
        {
            exchange.finish(self.record.coarse_now());
        }
    }
}
