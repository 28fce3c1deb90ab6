//! The client's socket, as the HTTP parser sees it: counted, and read through the [`Scanner`].

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{super::framing, Connection, Transport};
use framing::{Refused, Scanner, State};

pub(in crate::proxy) struct ClientIo {
    stream: Transport,
    connection: Rc<Connection>,
    scanner: Framing,
}

enum Framing {
    /// Nothing has come, or this beginning of HTTP/2's preface.
    Opening(Vec<u8>),
    Checked(Scanner),
    /// HTTP/2: what has come is still to be read by its parser.
    Unread(Bytes),
    /// What the parser gets in the place of refused bytes: no parser takes it for anything but an error.
    Refused {
        substitute: &'static [u8],
    },
    /// The parser is out of the way.
    Ignored,
}

/// What a client that knows that we speak HTTP/2 begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// === impl ClientIo ===

impl ClientIo {
    /// An answer that is written as a whole.
    const SMALL: usize = 2048;
    /// Completes every line and head, and is valid nowhere: after a CR that belongs to no line's end not even in an
    /// extension of a chunk, which may hold anything else.
    const SUBSTITUTE: &'static [u8] = b"\r\0\r\n\r\n";

    pub(super) fn new(stream: Transport, connection: Rc<Connection>) -> Self {
        Self { stream, connection, scanner: Framing::Opening(Vec::new()) }
    }

    /// From now on bytes are only counted.
    pub(in crate::proxy) fn ignore_framing(&mut self) {
        self.scanner = Framing::Ignored;
    }

    /// Whether the client has sent whole requests, as far as is known.
    pub(super) fn is_between_requests(&self) -> bool {
        match &self.scanner {
            Framing::Checked(scanner) => scanner.state() == State::Between,
            Framing::Opening(begun) => begun.is_empty(),
            Framing::Unread(_) | Framing::Refused { .. } | Framing::Ignored => false,
        }
    }

    /// Reads from the socket; after a part of the preface at most the rest of it.
    fn poll_stream(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let rest = match &self.scanner {
            Framing::Opening(begun) if !begun.is_empty() => PREFACE.len() - begun.len(),
            Framing::Opening(_)
            | Framing::Checked(_)
            | Framing::Unread(_)
            | Framing::Refused { .. }
            | Framing::Ignored => return Pin::new(&mut self.stream).poll_read(cx, buffer),
        };
        let mut bytes = [0; PREFACE.len()];
        let mut part = ReadBuf::new(&mut bytes[..rest.min(buffer.remaining())]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }

    /// Looks at the first bytes, behind `before`. `None` means that they are kept: there is nothing for the parser of
    /// HTTP/1 yet, or ever.
    fn open(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> Option<()> {
        let Framing::Opening(begun) = &mut self.scanner else { return Some(()) };
        let new = &buffer.filled()[before..];
        if begun.is_empty() && !is_preface(new) {
            self.scanner = Framing::Checked(Scanner::new());
            return Some(());
        }
        begun.extend_from_slice(new);
        buffer.set_filled(before);
        let begun = std::mem::take(begun);
        if !is_preface(&begun) {
            self.scanner = Framing::Checked(Scanner::new());
            // There is room: not more than the rest of the preface was read, and nothing before that was handed over.
            buffer.put_slice(&begun[..begun.len().min(buffer.remaining())]);
            return Some(());
        }
        if begun.len() < PREFACE.len() {
            self.scanner = Framing::Opening(begun);
        } else {
            self.scanner = Framing::Unread(begun.into());
            self.connection.speaks_http2.set(true);
        }
        None
    }

    /// Hands over what was read before it was known to be HTTP/2.
    fn unread(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let Framing::Unread(kept) = &mut self.scanner else { return false };
        buffer.put_slice(&kept.split_to(kept.len().min(buffer.remaining())));
        if kept.is_empty() {
            self.scanner = Framing::Ignored;
        }
        true
    }

    /// Whether the client has more of a body to send.
    fn is_in_body(&self) -> bool {
        match &self.scanner {
            Framing::Checked(scanner) => matches!(scanner.state(), State::Body(_) | State::Chunk(_)),
            Framing::Opening(_) | Framing::Unread(_) | Framing::Refused { .. } | Framing::Ignored => false,
        }
    }

    /// Takes note of what was written, or that the client takes nothing.
    fn written(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(bytes)) => {
                self.connection.counts.bytes_out.add(*bytes as u64);
                self.connection.pace.taking.moved(*bytes as u64);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.connection.pace.taking.waits(),
        }
        result
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

/// Whether `bytes` are the beginning of the preface, or begin with it.
fn is_preface(bytes: &[u8]) -> bool {
    let length = bytes.len().min(PREFACE.len());
    bytes[..length] == PREFACE[..length]
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
        if this.connection.speaks_http2.get() && this.unread(buffer) {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        loop {
            let polled = this.poll_stream(cx, buffer);
            if polled.is_pending() && this.is_in_body() {
                this.connection.pace.sending.waits();
            }
            ready!(polled)?;
            let read = buffer.filled().len() - before;
            if read == 0 {
                return Poll::Ready(Ok(()));
            }
            this.connection.counts.bytes_in.add(read as u64);
            this.connection.pace.sending.moved(read as u64);
            if this.open(buffer, before).is_some() {
                this.check(buffer, before);
                return Poll::Ready(Ok(()));
            }
            if this.connection.speaks_http2.get() {
                // The parser of HTTP/1 gets nothing, and is left.
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(written)
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
            Pin::new(&mut this.stream).poll_write(cx, &whole[..end])
        } else {
            Pin::new(&mut this.stream).poll_write_vectored(cx, parts)
        };
        this.written(written)
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
