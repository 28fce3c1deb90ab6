//! A body as it is sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::SendStream;
use http_body::{Body, Frame};

/// A body and the stream that it goes to. Of what the other side has no room for, one piece is kept.
#[derive(Debug)]
pub(in crate::proxy) struct Outflow<B> {
    stream: SendStream<Bytes>,
    body: B,
    /// Waits for room.
    piece: Option<Bytes>,
}

/// The other side wants no more of it.
struct Gone;

// === impl Outflow ===

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Outflow<B> {
    pub(in crate::proxy) fn new(stream: SendStream<Bytes>, body: B) -> Self {
        Self { stream, body, piece: None }
    }

    pub(in crate::proxy) fn body(&self) -> &B {
        &self.body
    }

    pub(in crate::proxy) fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// Ready when all was sent, or nothing more can be: where the body breaks off, the stream is reset.
    pub(in crate::proxy) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.stream.poll_reset(cx).is_ready() {
            return Poll::Ready(());
        }
        self.poll_send(cx).map(|_done_or_gone| ())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        loop {
            if self.piece.is_some() {
                ready!(self.poll_room(cx))?;
                let ends = self.body.is_end_stream();
                let piece = self.piece.take().unwrap_or_default();
                self.stream.send_data(piece, ends).map_err(|_| Gone)?;
                if ends {
                    return Poll::Ready(Ok(()));
                }
            }
            // Before there is something to send no room is asked for: other streams would go without it.
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                return Poll::Ready(self.stream.send_data(Bytes::new(), true).map_err(|_| Gone));
            };
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) if data.is_empty() && !self.body.is_end_stream() => {}
                Ok(Ok(data)) => {
                    // As much as it takes to be told of some: what is claimed by one stream others cannot have.
                    self.stream.reserve_capacity(usize::from(!data.is_empty()));
                    self.piece = Some(data);
                }
                Ok(Err(frame)) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return Poll::Ready(self.stream.send_trailers(trailers).map_err(|_| Gone));
                    }
                }
                Err(error) => {
                    self.stream.send_reset(super::reason(&error));
                    return Poll::Ready(Err(Gone));
                }
            }
        }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if self.piece.as_ref().is_none_or(Bytes::is_empty) {
            return Poll::Ready(Ok(()));
        }
        while self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(Gone)),
            }
        }
        Poll::Ready(Ok(()))
    }
}
