//! A stream of HTTP/2 as bytes both ways: what a request to connect becomes (RFC 9113 section 8.5).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Debug)]
pub(in crate::proxy) struct Duplex {
    sender: SendStream<Bytes>,
    receiver: RecvStream,
    /// What was read and not yet taken.
    rest: Bytes,
}

// === impl Duplex ===

impl Duplex {
    /// Of what is written at a time.
    const PIECE: usize = 16 << 10;

    pub(in crate::proxy) fn new(sender: SendStream<Bytes>, receiver: RecvStream) -> Self {
        Self { sender, receiver, rest: Bytes::new() }
    }

    /// Whether all has come that will.
    pub(in crate::proxy) fn is_end_stream(&self) -> bool {
        self.receiver.is_end_stream()
    }

    /// What comes next. The other side may send as much again.
    pub(in crate::proxy) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let data = ready!(self.poll_piece(cx)).transpose()?;
        if let Some(data) = &data {
            self.release(data.len());
        }
        Poll::Ready(data.map(Ok))
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        self.receiver.poll_data(cx).map_err(|error| match error.reason() {
            Some(Reason::CANCEL) => io::ErrorKind::ConnectionReset.into(),
            Some(_) | None => io::Error::other(error),
        })
    }

    fn release(&mut self, length: usize) {
        // It fails where the stream has ended, which whoever reads is told.
        let _ = self.receiver.flow_control().release_capacity(length);
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let room = self.sender.capacity();
            if room > 0 {
                return Poll::Ready(Ok(room));
            }
            match ready!(self.sender.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.poll_piece(cx)) {
                Some(data) => self.rest = data?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        self.release(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let wanted = bytes.len().min(Self::PIECE);
        self.sender.reserve_capacity(wanted);
        let length = ready!(self.poll_room(cx))?.min(wanted);
        let piece = Bytes::copy_from_slice(&bytes[..length]);
        self.sender.send_data(piece, false).map_err(io::Error::other)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // One that has ended already is no worse.
        let _ = self.sender.send_data(Bytes::new(), true);
        Poll::Ready(Ok(()))
    }
}
