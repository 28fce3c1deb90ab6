//! The client's socket, as the HTTP parser sees it: counted, and read through the [`Scanner`].

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{super::framing, Connection};
use framing::{Refused, Scanner, State};

pub(in crate::proxy) struct ClientIo {
    stream: TcpStream,
    connection: Rc<Connection>,
    scanner: Framing,
}

enum Framing {
    Checked(Scanner),
    /// What the parser gets in the place of refused bytes: no parser takes it for anything but an error.
    Refused {
        substitute: &'static [u8],
    },
    /// The parser is out of the way.
    Ignored,
}

// === impl ClientIo ===

impl ClientIo {
    /// An answer that is written as a whole.
    const SMALL: usize = 2048;
    /// Completes every line and head, and is valid nowhere.
    const SUBSTITUTE: &'static [u8] = b"\0\r\n\r\n";

    pub(super) fn new(stream: TcpStream, connection: Rc<Connection>) -> Self {
        Self { stream, connection, scanner: Framing::Checked(Scanner::new()) }
    }

    /// From now on bytes are only counted.
    pub(in crate::proxy) fn ignore_framing(&mut self) {
        self.scanner = Framing::Ignored;
    }

    /// Whether the client has sent whole requests, as far as is known.
    pub(super) fn is_between_requests(&self) -> bool {
        match &self.scanner {
            Framing::Checked(scanner) => scanner.state() == State::Between,
            Framing::Refused { .. } | Framing::Ignored => false,
        }
    }

    /// Looks at the bytes behind `before` and replaces those that are refused.
    fn check(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let Framing::Checked(scanner) = &mut self.scanner else { return };
        let result = scanner.feed(&buffer.filled()[before..]);
        match scanner.state() {
            State::RequestLine | State::Header => self.connection.head_comes(),
            State::Opaque => self.connection.opaque.set(true),
            State::Between | State::Body(_) | State::Chunk(_) | State::Refused => {}
        }
        if let Err(Refused(offset)) = result {
            buffer.set_filled(before + offset);
            self.scanner = Framing::Refused { substitute: substitute(Self::SUBSTITUTE, buffer) };
        }
    }
}

/// Puts as much of `rest` into the buffer as it takes, and gives what is left.
fn substitute(rest: &'static [u8], buffer: &mut ReadBuf<'_>) -> &'static [u8] {
    let (now, later) = rest.split_at(rest.len().min(buffer.remaining()));
    buffer.put_slice(now);
    later
}

impl AsyncRead for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Framing::Refused { substitute: rest } = &mut this.scanner {
            *rest = substitute(rest, buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        if read > 0 {
            this.connection.counts.bytes_in.add(read as u64);
            this.check(buffer, before);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.connection.counts.bytes_out.add(written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let written = if length <= Self::SMALL {
            // A plain write is cheaper than one in parts, by more than the copy costs.
            let mut whole = [0; Self::SMALL];
            let mut end = 0;
            for part in parts {
                whole[end..end + part.len()].copy_from_slice(part);
                end += part.len();
            }
            ready!(Pin::new(&mut this.stream).poll_write(cx, &whole[..end]))?
        } else {
            ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, parts))?
        };
        this.connection.counts.bytes_out.add(written as u64);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
