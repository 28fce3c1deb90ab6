//! HTTP/1 towards an endpoint: one connection, one exchange at a time.
//!
//! Why not a library's client: that runs beside whoever uses it, and between the two are a queue, a channel for each
//! body and an allocation for each request. Here whoever waits for the response polls the socket itself, so a request
//! is one task from the client's socket to the endpoint's and back.
//! A connection that waits to be used again wakes its endpoint, which closes it.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use super::{
    Endpoint, Failure, Stream, Visit, credentials,
    exchange::{MOST_INFORMATIONAL, NO_BEGINNING},
};
use crate::proxy::{
    http::{Message, RequestBody},
    http1::{
        Keeps, Length,
        body::{Decoder, Encoder},
        fields,
        input::Input,
        output::Output,
        request,
        response::{self, Head},
    },
    present::Field,
    received::Received,
};

/// A connection, and the request that is on it.
pub(in crate::proxy) struct Own {
    stream: Stream,
    /// Weak: the endpoint owns the connections that wait.
    endpoint: Weak<Endpoint>,
    input: Input,
    output: Output,
    /// The body that is being sent.
    upload: Option<Upload>,
    /// What of the response's body is to come.
    download: Decoder,
    state: State,
    /// Whether a response came over it before.
    pub(super) is_reused: bool,
    /// It is one client's: it is not kept for others.
    pub(super) is_private: bool,
    /// The request that is on it.
    pub(super) visit: Option<Visit>,
    /// Requests that were answered over it.
    pub(super) served: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No request is on it.
    Open,
    /// A request is on it.
    Busy,
    /// It is not used again.
    Closed,
}

struct Upload {
    body: RequestBody,
    encoder: Encoder,
    /// The trailers that the head has announced.
    trailers: Vec<HeaderName>,
}

/// What was seen of a response that has not begun.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Of the input, without a head in them.
    bytes: usize,
    /// Heads that came before the one that counts.
    heads: u32,
}

/// Why nothing more of a request is sent.
enum Stop {
    /// The endpoint takes no more. It may have answered all the same.
    Write(io::Error),
    /// There is no more of the body.
    Body(io::Error),
}

// === impl Own ===

impl Own {
    pub(super) fn new(stream: Stream, endpoint: &Rc<Endpoint>) -> Box<Self> {
        Box::new(Self {
            stream,
            endpoint: Rc::downgrade(endpoint),
            input: Input::new(&endpoint.means.room),
            output: Output::default(),
            upload: None,
            download: Decoder::none(),
            state: State::Open,
            is_reused: false,
            is_private: false,
            visit: None,
            served: 0,
        })
    }

    /// Sends a request and waits for the head of the response. Dropping the future closes the connection.
    pub(super) async fn send(&mut self, message: &mut Message<'_>) -> Result<Received, Failure> {
        // What came since it was used last may not have been heard yet; anything but silence is an end.
        if self.is_reused && !poll_fn(|cx| Poll::Ready(self.is_silent(cx.waker()))).await {
            return Err(Failure::NotSent);
        }
        self.state = State::Closed;
        self.is_private |= message.has(Field::Authorization) && credentials::are_shown(message.given());
        self.begin(message);
        let mut seen = Seen::default();
        let head = poll_fn(|cx| self.poll_head(message, &mut seen, cx)).await?;
        let Head { mut received, body, keeps } = head;
        // Where a field asks for credentials, there are no lines.
        self.is_private |=
            received.fields.lines().is_none() && credentials::are_asked_for(received.headers_mut());
        self.download = body;
        if keeps == Keeps::Open && received.status != StatusCode::SWITCHING_PROTOCOLS {
            self.state = State::Busy;
        }
        Ok(received)
    }

    /// Sends, and reads up to the head that counts.
    fn poll_head(
        &mut self,
        asked: &Message<'_>,
        seen: &mut Seen,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, Failure>> {
        loop {
            let broken = match self.poll_send(cx) {
                Poll::Ready(Err(Stop::Body(error))) => return Poll::Ready(Err(Failure::Broken(error))),
                Poll::Ready(Err(Stop::Write(error))) => Some(error),
                Poll::Ready(Ok(())) | Poll::Pending => None,
            };
            match response::read(&mut self.input.bytes, seen.bytes, asked.method()) {
                Err(reason) => return Poll::Ready(Err(Failure::Invalid(invalid(reason)))),
                Ok(Some(head)) if !is_informational(&head) => return Poll::Ready(Ok(head)),
                Ok(Some(head)) => {
                    *seen = Seen { bytes: 0, heads: seen.heads + 1 };
                    if seen.heads > MOST_INFORMATIONAL {
                        return Poll::Ready(Err(Failure::Invalid(invalid(NO_BEGINNING))));
                    }
                    self.inform(head.received, asked);
                }
                Ok(None) => {
                    seen.bytes = self.input.bytes.len();
                    let error = match (ready!(self.poll_fill(cx)), broken) {
                        (Ok(1..), _) => continue,
                        // Nothing came, and nothing will: what broke the sending is the reason.
                        (_, Some(error)) | (Err(error), None) => error,
                        (Ok(0), None) => io::Error::new(io::ErrorKind::UnexpectedEof, "it was closed"),
                    };
                    return Poll::Ready(Err(Failure::Broken(error)));
                }
            }
        }
    }

    fn begin(&mut self, message: &mut Message<'_>) {
        let length = match message.body.size_hint().exact() {
            _ if message.body.is_end_stream() => Length::None,
            Some(bytes) => Length::Known(bytes),
            None => Length::Unknown,
        };
        let out = &mut self.output.bytes;
        let encoder =
            request::write(message.method(), message.target(), length, out, |put| message.each_field(put));
        self.upload = (length != Length::None).then(|| Upload {
            trailers: fields::announced(message.given()),
            body: std::mem::replace(&mut message.body, RequestBody::Empty),
            encoder,
        });
    }

    /// What a head before the one that counts is good for.
    fn inform(&self, mut received: Received, asked: &Message<'_>) {
        match (received.status, &self.upload) {
            (StatusCode::CONTINUE, Some(upload)) => upload.body.go_on(),
            (StatusCode::CONTINUE, None) => {}
            (status, _) => asked.interim(status, std::mem::take(received.headers_mut())),
        }
    }

    /// Sends as much of the request as there is and the endpoint takes. After an error nothing more is sent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        let result = self.poll_upload(cx);
        if matches!(result, Poll::Ready(Err(_))) {
            self.state = State::Closed;
            self.upload = None;
            self.output = Output::default();
        }
        result
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        loop {
            let has_room = self.output.has_room();
            let Some(upload) = self.upload.as_mut().filter(|_| has_room) else {
                ready!(self.output.poll_write(&mut self.stream, cx)).map_err(Stop::Write)?;
                if self.upload.is_none() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            };
            match Pin::new(&mut upload.body).poll_frame(cx) {
                Poll::Pending => {
                    ready!(self.output.poll_write(&mut self.stream, cx)).map_err(Stop::Write)?;
                    upload.body.holds_up();
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        let piece =
                            upload.encoder.encode(data, &mut self.output.bytes).map_err(Stop::body)?;
                        self.output.add(piece);
                    }
                    Err(frame) => self.finish_upload(frame.trailers_ref())?,
                },
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(Stop::Body(io::Error::other(error))));
                }
                Poll::Ready(None) => self.finish_upload(None)?,
            }
        }
    }

    fn finish_upload(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Stop> {
        let Some(Upload { encoder, trailers: announced, .. }) = self.upload.take() else { return Ok(()) };
        encoder.end(trailers, &announced, &mut self.output.bytes).map_err(Stop::body)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.poll_fill(&mut self.stream, cx)
    }

    /// The next piece of the response's body. What is left of the request goes on being sent.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let _sent = self.poll_send(cx);
        loop {
            match self.download.decode(&mut self.input.bytes) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.download.is_done() => return Poll::Ready(None),
                Ok(None) => {}
                Err(reason) => return self.fail(invalid(reason)),
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) => {
                    self.state = State::Closed;
                    if let Err(reason) = self.download.close() {
                        return self.fail(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
                    }
                }
                Ok(_) => {}
                Err(error) => return self.fail(error),
            }
        }
    }

    /// Sends what is left of the request. An error is met again when the response is read.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) {
        let _sent = self.poll_send(cx);
    }

    fn fail(&mut self, error: io::Error) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.state = State::Closed;
        Poll::Ready(Some(Err(error)))
    }

    /// Whether all of the response was taken.
    pub(super) fn is_done(&self) -> bool {
        self.download.is_done()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.download.size_hint()
    }

    pub(super) fn finish(mut self: Box<Self>, now: Instant) {
        self.is_reused = true;
        self.visit = None;
        self.served = self.served.saturating_add(1);
        let is_over = self.download.is_done() && self.upload.is_none() && self.output.is_done();
        if self.state != State::Busy || !is_over {
            return;
        }
        self.state = State::Open;
        self.input.rest();
        if let Some(endpoint) = self.endpoint.upgrade()
            && self.is_reusable(&endpoint.waker)
        {
            endpoint.keep(self, now);
        }
    }

    /// Gives back what only a request needs.
    pub(super) fn slim(&mut self) {
        self.output = Output::default();
    }

    /// `waker` is woken when something happens on it: never the waker of the task that used it last, which the next
    /// request on it would wake.
    pub(super) fn is_reusable(&mut self, waker: &Waker) -> bool {
        self.state == State::Open && self.is_silent(waker)
    }

    /// Whether the endpoint has neither said anything unasked nor closed it.
    fn is_silent(&mut self, waker: &Waker) -> bool {
        let is_silent =
            self.input.bytes.is_empty() && self.poll_fill(&mut Context::from_waker(waker)).is_pending();
        if !is_silent {
            self.state = State::Closed;
        }
        is_silent
    }

    pub(super) fn into_stream(self: Box<Self>) -> (Stream, Bytes) {
        (self.stream, self.input.bytes.freeze())
    }
}

fn is_informational(head: &Head) -> bool {
    let status = head.received.status;
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

// === impl Stop ===

impl Stop {
    fn body(reason: &'static str) -> Self {
        Self::Body(invalid(reason))
    }
}

/// Reads an answer that comes in parts of so many bytes: its status, its body, and whether that is whole. `None` where it
/// is refused, or its head has no end.
#[cfg(any(test, fuzzing))]
pub(in crate::proxy) fn read_answer(bytes: &[u8], cut: usize) -> Option<(StatusCode, Vec<u8>, bool)> {
    let (mut input, mut known) = (bytes::BytesMut::new(), None);
    for part in bytes.chunks(cut.max(1)) {
        let new = input.len();
        input.extend_from_slice(part);
        if known.is_none() {
            known = response::read(&mut input, new, &http::Method::GET).ok()?.map(|head| (head, Vec::new()));
        }
        let Some((head, body)) = &mut known else { continue };
        while let Some(frame) = head.body.decode(&mut input).ok()? {
            body.extend(frame.into_data().into_iter().flatten());
        }
    }
    known.map(|(head, body)| (head.received.status, body, head.body.is_done()))
}
