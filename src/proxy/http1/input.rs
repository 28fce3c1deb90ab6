//! What was read from a socket and not yet taken.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::runtime::socket::Room;

#[derive(Debug)]
pub(in crate::proxy) struct Input {
    pub(in crate::proxy) bytes: BytesMut,
    /// Where it is read to, as long as it is little.
    room: Rc<Room>,
    /// How much own room to make for the next reading; 0 where the shared one does.
    appetite: usize,
}

// === impl Input ===

impl Input {
    /// The least and the most own room.
    const APPETITE: std::ops::RangeInclusive<usize> = 64 << 10..=256 << 10;

    pub(in crate::proxy) fn new(room: &Rc<Room>) -> Self {
        Self { bytes: BytesMut::new(), room: room.clone(), appetite: 0 }
    }

    /// Reads what has come. Whenever that fills all the room there is, there is more the next time.
    pub(in crate::proxy) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let (read, room) = if self.appetite == 0 {
            let mut room = self.room.borrow();
            let mut buffer = ReadBuf::new(&mut room);
            ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
            self.bytes.extend_from_slice(buffer.filled());
            (buffer.filled().len(), buffer.capacity())
        } else {
            self.bytes.reserve(self.appetite);
            let room = self.bytes.capacity() - self.bytes.len();
            (ready!(poll_read_buf(Pin::new(stream), cx, &mut self.bytes))?, room)
        };
        if read == room {
            self.appetite = (self.appetite * 2).clamp(*Self::APPETITE.start(), *Self::APPETITE.end());
        }
        Poll::Ready(Ok(read))
    }

    /// Lets go of the room of what was taken: who has taken it keeps it.
    pub(in crate::proxy) fn let_go(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }

    /// A message is over: the next one may be small again.
    pub(in crate::proxy) fn rest(&mut self) {
        self.appetite = 0;
        self.let_go();
    }
}
