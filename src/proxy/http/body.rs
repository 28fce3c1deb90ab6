//! The bodies that pass: of a request on its way to an endpoint, and of an answer on its way to a client.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::{record::Record, trailing, upload::Upload};
use crate::proxy::{connection::Lane, upstream::Exchange};

/// The body of a request on its way to an endpoint.
pub(in crate::proxy) enum RequestBody {
    Empty,
    Upload(Rc<Upload>),
    /// Of a copy.
    Kept(VecDeque<Bytes>),
}

/// The body of an answer.
pub(in crate::proxy) struct Body {
    kind: Kind,
    /// Told when the body is dropped, which is when its last byte was handed over.
    record: Box<Record>,
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
            Self::Upload(upload) => upload.holds_up(),
            Self::Empty | Self::Kept(_) => {}
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

// === impl Body ===

impl Body {
    pub(super) fn empty(record: Box<Record>) -> Self {
        Self { kind: Kind::Empty, record }
    }

    pub(super) fn page(page: Bytes, record: Box<Record>) -> Self {
        Self { kind: Kind::Page(page), record }
    }

    pub(super) fn download(exchange: Exchange, deadline: Option<Instant>, record: Box<Record>) -> Self {
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
        if frame.as_ref().is_some_and(Frame::is_trailers) {
            trailing::strip(&mut frame, &trailing::withheld(this.record.filters()));
        }
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
