//! HTTP/1 on a client's connection: one task reads a head, asks the pipeline for the answer, and writes that.
//!
//! Why not a library's server: the body of a request would be a queue between two tasks' halves, interim answers could
//! not be passed on, and an idle connection would keep its buffers. Here the pipeline reads the client's socket itself
//! when it wants more of the body, what comes is read into room that all connections of a worker share, and a small
//! answer is one write.

use std::{
    cell::RefCell,
    future::{Future as _, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use ::http::{HeaderMap, HeaderName, Method, StatusCode, Version};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::{
    super::{
        http::{self, Body, Reply},
        http1::{
            Keeps, Length,
            body::{Decoder, Encoder},
            fields,
            input::Input,
            output::Output,
            request::{self, Head},
            response::{self, Asked},
        },
        received::Received,
        worker::Worker,
    },
    Busy, ClientIo, Connection, Ended, Incoming, Word,
};

/// A client's connection: lent to the body of the request that is under way.
pub(super) struct Wire {
    worker: Rc<Worker>,
    io: ClientIo,
    input: Input,
    /// Bytes of the input that were looked at, without a whole head in them.
    seen: usize,
    /// What of the request's body is to come.
    upload: Decoder,
    /// The client sends its body when it is told to.
    owes_continue: bool,
    output: Output,
    /// What was answered to what is no request.
    refused: StatusCode,
    /// No request is read after this one.
    is_last: bool,
}

/// The body of the request that is under way.
pub(in crate::proxy) struct Coming(Rc<RefCell<Wire>>);

/// The body of an answer, and how it is written.
struct Download {
    body: Body,
    encoder: Encoder,
    /// The trailers that may follow.
    trailers: Vec<HeaderName>,
}

/// Serves a client from its first byte on. Gives the socket back, with what was read of it, if it speaks HTTP/2.
pub(super) async fn serve(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    io: ClientIo,
) -> Option<ClientIo> {
    let wire = Rc::new(RefCell::new(Wire::new(worker, io)));
    let ended = requests(connection, &wire).await;
    // Nobody else has it: what the last request was answered with is gone.
    let Wire { mut io, input, .. } = Rc::into_inner(wire)?.into_inner();
    match ended {
        Ended::Other => return Some(io),
        Ended::Aborted => {}
        Ended::Closed => match connection.tunnel.take() {
            Some(tunnel) => {
                io.ignore_framing();
                connection.speaks_http2.set(true);
                tunnel.run(connection, io, input.bytes.freeze()).await;
            }
            None => super::linger(connection, &mut io).await,
        },
        Ended::Refused(status) => {
            http::unreadable(worker, connection, status);
            super::linger(connection, &mut io).await;
        }
    }
    None
}

/// Answers requests, one after the other, until the connection is not to be kept.
async fn requests(connection: &Rc<Connection>, wire: &Rc<RefCell<Wire>>) -> Ended {
    loop {
        let head = match poll_fn(|cx| wire.borrow_mut().poll_head(connection, cx)).await {
            Ok(head) => head,
            Err(ended) => return ended,
        };
        // Pinned here: a future of this size is not to be moved.
        let exchanged = pin!(exchange(connection, wire, head));
        match exchanged.await {
            Ok(Keeps::Open) => {}
            Ok(Keeps::Closes) => return Ended::Closed,
            Err(ended) => return ended,
        }
    }
}

/// One request and its answer.
async fn exchange(connection: &Rc<Connection>, wire: &Rc<RefCell<Wire>>, head: Head) -> Result<Keeps, Ended> {
    let Head { parts, present, body, keeps, expects } = head;
    let is_connect = parts.method == Method::CONNECT;
    let mut asked = Asked { version: parts.version, is_head: parts.method == Method::HEAD, keeps };
    let trailers = http::Trailers::of(&parts.headers, present);
    wire.borrow_mut().owes_continue = expects && !body.is_done();
    let worker = wire.borrow_mut().begin(body);
    let incoming = Incoming::Http1(Coming(wire.clone()));
    let reply = {
        let mut answering = pin!(http::answer(worker, connection.clone(), None, (parts, incoming)));
        poll_fn(|cx| match answering.as_mut().poll(cx) {
            Poll::Ready(reply) => Poll::Ready(Ok(reply)),
            Poll::Pending => wire.borrow_mut().poll_meanwhile(connection, cx).map(Err),
        })
        .await?
    };
    if is_connect || wire.borrow().is_last {
        // What follows a request to connect is not believed to be one of HTTP.
        asked.keeps = Keeps::Closes;
    }
    let (keeps, mut download) = wire.borrow_mut().answer(connection, reply, (asked, trailers));
    let mut busy = None;
    poll_fn(|cx| {
        // The wire is not borrowed while the body is polled: an upload that is still under way reads from it.
        while let Some(Download { body, .. }) = &mut download {
            if !wire.borrow().output.has_room() && wire.borrow_mut().poll_flush(connection, cx)?.is_pending()
            {
                body.poll_upload(cx);
                return Poll::Pending;
            }
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(frame) => wire.borrow_mut().write(&mut download, frame)?,
                Poll::Pending => return wire.borrow_mut().poll_meanwhile(connection, cx).map(Err),
            }
        }
        let flushed = wire.borrow_mut().poll_flush(connection, cx);
        if flushed.is_pending() {
            // The request has ended for whoever counts, not for the client.
            busy.get_or_insert_with(|| Busy::new(connection.clone()));
        }
        flushed
    })
    .await?;
    Ok(wire.borrow_mut().finish(keeps))
}

// === impl Wire ===

impl Wire {
    /// Of a body that nobody wants, so that its connection can be kept.
    const DISCARD: usize = 64 << 10;

    fn new(worker: &Rc<Worker>, io: ClientIo) -> Self {
        Self {
            worker: worker.clone(),
            io,
            input: Input::new(worker.upstreams.room()),
            seen: 0,
            upload: Decoder::none(),
            owes_continue: false,
            output: Output::default(),
            refused: StatusCode::BAD_REQUEST,
            is_last: false,
        }
    }

    /// The next request, as far as its head.
    fn poll_head(&mut self, connection: &Connection, cx: &mut Context<'_>) -> Poll<Result<Head, Ended>> {
        let most = self.worker.config.limits.head_bytes;
        loop {
            if self.input.bytes.len() > self.seen {
                match request::read(&mut self.input.bytes, self.seen, most) {
                    Ok(Some(head)) => return Poll::Ready(Ok(head)),
                    Ok(None) => self.seen = self.input.bytes.len(),
                    Err(status) => self.refuse(status),
                }
            }
            // Only a refusal is written here.
            if !self.output.is_done() {
                return self
                    .poll_flush(connection, cx)
                    .map(|result| Err(result.err().unwrap_or(Ended::Refused(self.refused))));
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Ended::Closed)),
                Poll::Pending => break,
            }
        }
        if connection.speaks_http2.get() {
            return Poll::Ready(Err(Ended::Other));
        }
        if let Err(ended) = self.hear(connection, cx) {
            return Poll::Ready(Err(ended));
        }
        if self.is_last && self.input.bytes.is_empty() {
            return Poll::Ready(Err(Ended::Closed));
        }
        self.output.slim();
        Poll::Pending
    }

    /// Says that what came is no request.
    fn refuse(&mut self, status: StatusCode) {
        self.refused = status;
        self.input.bytes.clear();
        self.seen = 0;
        let asked = Asked { version: Version::HTTP_11, is_head: false, keeps: Keeps::Closes };
        let date = self.worker.date();
        let mut head = Received::new(status, HeaderMap::new());
        response::write(&mut head, asked, Length::None, &date, &mut self.output.bytes);
    }

    fn begin(&mut self, body: Decoder) -> Rc<Worker> {
        self.upload = body;
        self.seen = 0;
        self.input.let_go();
        self.worker.clone()
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.poll_fill(&mut self.io, cx)
    }

    /// Writes what there is, as long as it is wanted.
    fn poll_flush(&mut self, connection: &Connection, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let flushed = self.output.poll_write(&mut self.io, cx).map_err(|_| Ended::Closed);
        if flushed.is_pending() {
            self.hear(connection, cx)?;
        }
        flushed
    }

    /// Takes note of what the connection was told.
    fn hear(&mut self, connection: &Connection, cx: &Context<'_>) -> Result<(), Ended> {
        match connection.hear(cx.waker()) {
            Some(Word::Abort) => return Err(Ended::Aborted),
            Some(Word::Finish) => self.is_last = true,
            None => {}
        }
        Ok(())
    }

    /// While the answer, or more of it, is waited for: writes what there is, and ready if it is not wanted any more.
    fn poll_meanwhile(&mut self, connection: &Connection, cx: &mut Context<'_>) -> Poll<Ended> {
        if let Err(ended) = self.hear(connection, cx) {
            return Poll::Ready(ended);
        }
        loop {
            connection.interim.pour(&mut self.output);
            if let Err(ended) = ready!(self.poll_flush(connection, cx)) {
                return Poll::Ready(ended);
            }
            if connection.interim.is_empty() {
                break;
            }
        }
        // Of a client that sends more without having an answer, one piece is read and no more.
        if self.upload.is_done()
            && self.input.bytes.is_empty()
            && !matches!(ready!(self.poll_fill(cx)), Ok(1..))
        {
            return Poll::Ready(Ended::Closed);
        }
        Poll::Pending
    }

    /// Writes the head of an answer; what of it is to follow, if anything.
    fn answer(
        &mut self,
        connection: &Connection,
        Reply { mut head, body }: Reply,
        (mut asked, trailers): (Asked, http::Trailers),
    ) -> (Keeps, Option<Download>) {
        self.output.bytes.append(&mut connection.interim.take());
        if body.is_own() && !self.discard() {
            asked.keeps = Keeps::Closes;
        }
        let length = length(&body, &head);
        let date = self.worker.date();
        let (encoder, keeps) = response::write(&mut head, asked, length, &date, &mut self.output.bytes);
        let trailers = match trailers {
            // None is announced in lines.
            http::Trailers::Taken if head.fields.lines().is_none() => fields::announced(head.headers_mut()),
            http::Trailers::Taken | http::Trailers::Ignored => Vec::new(),
        };
        (keeps, encoder.map(|encoder| Download { body, encoder, trailers }))
    }

    /// Writes a piece of an answer. Its end is the end of the download.
    fn write(
        &mut self,
        download: &mut Option<Download>,
        frame: Option<io::Result<Frame<Bytes>>>,
    ) -> Result<(), Ended> {
        let Some(Download { body, encoder, trailers }) = download else { return Ok(()) };
        let last = match frame.transpose().map_err(|_| Ended::Closed)? {
            Some(frame) => match frame.into_data() {
                Ok(data) => {
                    let piece = encoder.encode(data, &mut self.output.bytes).map_err(|_| Ended::Closed)?;
                    self.output.add(piece);
                    if !body.is_end_stream() {
                        return Ok(());
                    }
                    None
                }
                Err(frame) => frame.into_trailers().ok(),
            },
            None => None,
        };
        let mut end = Vec::new();
        encoder.end(last.as_ref(), trailers, &mut end).map_err(|_| Ended::Closed)?;
        self.output.end(&end);
        *download = None;
        Ok(())
    }

    /// After an answer: whether another request may follow.
    fn finish(&mut self, keeps: Keeps) -> Keeps {
        self.input.rest();
        if keeps == Keeps::Closes || self.is_last || !self.discard() {
            return Keeps::Closes;
        }
        self.owes_continue = false;
        Keeps::Open
    }

    /// Throws away what is left of the request's body, if that is little and has come. Says whether it is over.
    fn discard(&mut self) -> bool {
        if self.upload.is_done() {
            return true;
        }
        let mut left = Self::DISCARD;
        let mut context = Context::from_waker(std::task::Waker::noop());
        loop {
            match self.upload.decode(&mut self.input.bytes) {
                Ok(Some(frame)) => {
                    let Some(less) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else {
                        return false;
                    };
                    left = less;
                }
                Ok(None) if self.upload.is_done() => return true,
                Ok(None) if matches!(self.poll_fill(&mut context), Poll::Ready(Ok(1..))) => {}
                Ok(None) | Err(_) => return false,
            }
        }
    }
}

/// How long a body is, as far as it is known.
fn length(body: &Body, head: &Received) -> Length {
    if body.is_end_stream() {
        return Length::None;
    }
    body.size_hint().exact().or_else(|| head.fields.length()).map_or(Length::Unknown, Length::Known)
}

// === impl Coming ===

impl Coming {
    pub(super) fn is_end_stream(&self) -> bool {
        self.0.borrow().upload.is_done()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.0.borrow().upload.size_hint()
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let wire = &mut *self.0.borrow_mut();
        if std::mem::take(&mut wire.owes_continue) {
            response::write_interim(StatusCode::CONTINUE, &HeaderMap::new(), &mut wire.output.bytes);
            // What is not written now is written with what comes next; an error is met again there.
            let _written = wire.output.poll_write(&mut wire.io, cx);
        }
        loop {
            match wire.upload.decode(&mut wire.input.bytes) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if wire.upload.is_done() => return Poll::Ready(None),
                Ok(None) => wire.input.let_go(),
                Err(reason) => {
                    return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::InvalidData, reason))));
                }
            }
            if ready!(wire.poll_fill(cx))? == 0 {
                return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
            }
        }
    }
}
