//! What a client sends: it streams, and outlives a try that did not ask for it. Only where a rule asks for retries, or
//! somebody has to see it, a short one is kept.

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
use http::{HeaderMap, HeaderName};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Sleep;

use super::{
    kept::Kept,
    mirror::{self, Copy},
    trailing,
};
use crate::proxy::connection::Incoming;

/// What a client sends. It outlives a try that did not ask for it.
pub(in crate::proxy) struct Upload {
    incoming: RefCell<Incoming>,
    /// Whether some of it was taken: then it cannot be sent again.
    started: Cell<bool>,
    /// Whether the client broke it off, or sent what is not HTTP.
    failed: Cell<bool>,
    /// Whether nothing but the client holds it up.
    awaited: Cell<bool>,
    bytes: Cell<u64>,
    wait: RefCell<Option<Wait>>,
    kept: RefCell<Option<Kept>>,
    /// What came after a body that was read before it was sent, and whether it was given.
    trailers: RefCell<Option<HeaderMap>>,
    has_given_trailers: Cell<bool>,
    /// Trailers that are not the client's to send.
    withheld: RefCell<Vec<HeaderName>>,
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

// === impl Upload ===

impl Upload {
    /// How long an endpoint may take to ask for a body whose client waits.
    const PATIENCE: Duration = Duration::from_secs(1);

    pub(super) fn new(incoming: Incoming) -> Rc<Self> {
        Rc::new(Self {
            incoming: RefCell::new(incoming),
            started: Cell::new(false),
            failed: Cell::new(false),
            awaited: Cell::new(false),
            bytes: Cell::new(0),
            wait: RefCell::new(None),
            kept: RefCell::new(None),
            trailers: RefCell::new(None),
            has_given_trailers: Cell::new(false),
            withheld: RefCell::default(),
            copies: RefCell::default(),
        })
    }

    /// Nothing is sent before the endpoint has asked for it, or a while has passed.
    pub(super) fn wait_for_word(&self) {
        let patience = Box::pin(tokio::time::sleep(Self::PATIENCE));
        *self.wait.borrow_mut() = Some(Wait { is_asked: false, waker: None, patience });
    }

    /// Says that more of it is waited for; as long as the endpoint's own word is waited for, that is not the client's to
    /// send.
    pub(super) fn holds_up(&self) {
        if self.wait.borrow().is_none() {
            self.incoming.borrow().holds_up();
        }
    }

    /// The endpoint has asked for it.
    pub(super) fn go_on(&self) {
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

    /// Sends no trailers with these names.
    pub(super) fn withhold(&self, names: Vec<HeaderName>) {
        *self.withheld.borrow_mut() = names;
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

    pub(super) fn is_end_stream(&self) -> bool {
        self.kept.borrow().as_ref().is_none_or(|kept| kept.left() == 0)
            && (self.trailers.borrow().is_none() || self.has_given_trailers.get())
            && self.incoming.borrow().is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let hint = self.incoming.borrow().size_hint();
        match (self.kept.borrow().as_ref().map_or(0, Kept::left), hint.exact()) {
            (0, _) => hint,
            (left, Some(rest)) => SizeHint::with_exact(left + rest),
            (_, None) => SizeHint::default(),
        }
    }

    /// Whether the endpoint wants more of it, and the client has not sent that yet.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited.get()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.get()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// The next piece, without trailers that may not come.
    pub(super) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut frame = ready!(self.poll_next(cx)).transpose()?;
        trailing::strip(&mut frame, &self.withheld.borrow());
        Poll::Ready(frame.map(Ok))
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
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
        let polled = Pin::new(&mut *self.incoming.borrow_mut()).poll_frame(cx);
        self.awaited.set(polled.is_pending());
        let frame = ready!(polled);
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
