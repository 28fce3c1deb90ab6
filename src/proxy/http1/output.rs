//! What is to be written to a socket: small parts together, large ones as they are.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf as _;
use tokio::io::AsyncWrite;

use super::body::Piece;

/// What is to be written.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Output {
    /// Heads, sizes of chunks and small pieces.
    pub(in crate::proxy) bytes: Vec<u8>,
    written: usize,
    piece: Piece,
    /// What comes after the piece.
    rest: Vec<u8>,
    /// What was written may wait in the stream below still.
    flushed: Flushed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flushed {
    #[default]
    Yes,
    NotYet,
}

// === impl Output ===

impl Output {
    /// Pieces up to this length are copied together: one write is cheaper than one in parts.
    const SMALL: usize = 4 << 10;
    /// The most room that is kept while nothing is to be written.
    const KEPT: usize = 1 << 10;

    pub(in crate::proxy) fn is_empty(&self) -> bool {
        self.written == self.bytes.len() && !self.has_piece() && self.rest.is_empty()
    }

    fn has_piece(&self) -> bool {
        !self.piece.data.is_empty() || !self.piece.after.is_empty()
    }

    /// Whether nothing of it waits, here or in the stream below.
    pub(in crate::proxy) fn is_done(&self) -> bool {
        self.is_empty() && self.flushed == Flushed::Yes
    }

    /// Whether another piece can be added before this is written.
    pub(in crate::proxy) fn has_room(&self) -> bool {
        !self.has_piece() && self.rest.is_empty() && self.bytes.len() < 2 * Self::SMALL
    }

    pub(in crate::proxy) fn add(&mut self, piece: Piece) {
        if piece.data.len() > Self::SMALL {
            self.piece = piece;
        } else {
            self.bytes.extend_from_slice(&piece.data);
            self.bytes.extend_from_slice(piece.after);
        }
    }

    /// Adds what comes after the last piece.
    pub(in crate::proxy) fn end(&mut self, after: &[u8]) {
        if self.has_piece() {
            self.rest.extend_from_slice(after);
        } else {
            self.bytes.extend_from_slice(after);
        }
    }

    /// Gives back the room that only an unusual message needs.
    pub(in crate::proxy) fn slim(&mut self) {
        if self.is_empty() && self.bytes.capacity() > Self::KEPT {
            *self = Self::default();
        }
    }

    /// Writes all of it, through to the socket.
    pub(in crate::proxy) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_empty() && self.flushed == Flushed::Yes {
            self.rewind();
            return Poll::Ready(Ok(()));
        }
        while !self.is_empty() {
            let before = &self.bytes[self.written..];
            let written = if self.has_piece() || !self.rest.is_empty() {
                let parts = [before, &self.piece.data, self.piece.after, &self.rest].map(io::IoSlice::new);
                ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &parts))?
            } else {
                ready!(Pin::new(&mut *stream).poll_write(cx, before))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.flushed = Flushed::NotYet;
            self.advance(written);
        }
        self.rewind();
        ready!(Pin::new(stream).poll_flush(cx))?;
        self.flushed = Flushed::Yes;
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        let before = written.min(self.bytes.len() - self.written);
        self.written += before;
        written -= before;
        let data = written.min(self.piece.data.len());
        self.piece.data.advance(data);
        written -= data;
        let after = written.min(self.piece.after.len());
        self.piece.after = &self.piece.after[after..];
        self.rest.drain(..written - after);
    }

    fn rewind(&mut self) {
        self.bytes.clear();
        self.written = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all bytes at once and keeps them to itself until it is flushed for the second time.
    #[derive(Default)]
    struct Late {
        flushes: u32,
    }

    impl AsyncWrite for Late {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            if self.flushes < 2 { Poll::Pending } else { Poll::Ready(Ok(())) }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_waits_in_the_stream_below_is_flushed_though_nothing_follows() {
        let (mut output, mut stream) = (Output::default(), Late::default());
        output.bytes.extend_from_slice(b"tail");
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(output.poll_write(&mut stream, &mut cx).is_pending());
        assert!(!output.is_done());
        assert!(output.poll_write(&mut stream, &mut cx).is_ready());
        assert!(output.is_done() && stream.flushes == 2);
    }
}
