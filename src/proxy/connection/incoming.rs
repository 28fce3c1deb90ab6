//! The body of a request, as its client sends it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{http1, http2};

pub(in crate::proxy) enum Incoming {
    Http1(http1::Coming),
    Http2(http2::Coming),
}

// === impl Incoming ===

impl Incoming {
    /// An endpoint's connection waits for more of it. What comes by HTTP/1 is known to wait by its socket.
    pub(in crate::proxy) fn holds_up(&self) {
        match self {
            Self::Http1(_) => {}
            Self::Http2(coming) => coming.holds_up(),
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Http1(coming) => coming.poll_frame(cx),
            Self::Http2(coming) => coming.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(coming) => coming.is_end_stream(),
            Self::Http2(coming) => coming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(coming) => coming.size_hint(),
            Self::Http2(coming) => coming.size_hint(),
        }
    }
}
