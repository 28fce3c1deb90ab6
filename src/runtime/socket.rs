//! Reading from and writing to TCP sockets by the system call itself.
//!
//! Why not the standard library's: below it are functions of the C library at which a thread may be cancelled. Turning
//! that on and off around each of four calls costs a small request two hundredths of its time.

use std::{
    cell::{RefCell, RefMut},
    io,
    task::{Context, Poll, ready},
};

use rustix::net::{RecvFlags, SendFlags};
use tokio::{
    io::{Interest, ReadBuf},
    net::TcpStream,
};

/// Room that connections share to read into: what has come is copied out of it, and a connection that
/// waits has none of its own.
#[derive(Debug)]
pub struct Room(RefCell<Box<[u8]>>);

// === impl Room ===

impl Room {
    /// A record of TLS.
    const BYTES: usize = 16 << 10;

    /// The room, until something else is read.
    pub fn borrow(&self) -> RefMut<'_, [u8]> {
        RefMut::map(self.0.borrow_mut(), |bytes| &mut **bytes)
    }
}

impl Default for Room {
    fn default() -> Self {
        Self(RefCell::new(vec![0; Self::BYTES].into()))
    }
}

// === calls ===

/// Reads into a buffer, as a stream does.
pub fn poll_read(stream: &TcpStream, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    let read = ready!(poll_recv(stream, cx, buffer.initialize_unfilled()))?;
    buffer.advance(read);
    Poll::Ready(Ok(()))
}

fn poll_recv(stream: &TcpStream, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        let recv = || Ok(rustix::net::recv(stream, &mut *room, RecvFlags::empty())?.1);
        match stream.try_io(Interest::READABLE, recv) {
            Err(error) if is_passing(&error) => {}
            Ok(read) if read > 0 && read < room.len() => {
                is_blocked(stream, Interest::READABLE);
                return Poll::Ready(Ok(read));
            }
            result => return Poll::Ready(result),
        }
    }
}

/// Writes as much as the socket takes.
pub fn poll_write(stream: &TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        let send = || Ok(rustix::net::send(stream, bytes, SendFlags::NOSIGNAL)?);
        match stream.try_io(Interest::WRITABLE, send) {
            Err(error) if is_passing(&error) => {}
            Ok(written) if written > 0 && written < bytes.len() => {
                is_blocked(stream, Interest::WRITABLE);
                return Poll::Ready(Ok(written));
            }
            result => return Poll::Ready(result),
        }
    }
}

/// Writes as much of some parts as the socket takes.
pub fn poll_write_vectored(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    parts: &[io::IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    loop {
        ready!(stream.poll_write_ready(cx))?;
        let write = || Ok(rustix::io::writev(stream, parts)?);
        match stream.try_io(Interest::WRITABLE, write) {
            Err(error) if is_passing(&error) => {}
            Ok(written) if written > 0 && written < length => {
                is_blocked(stream, Interest::WRITABLE);
                return Poll::Ready(Ok(written));
            }
            result => return Poll::Ready(result),
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Says what less than all means: there is no more for now, and the next call would be in vain. What comes after this
/// was found out is told by an event, for which the runtime has not looked in between.
fn is_blocked(stream: &TcpStream, interest: Interest) {
    let _ = stream.try_io(interest, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
}
