//! The body of a request, as its client sends it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::http1::Coming;

pub(in crate::proxy) enum Incoming {
    Http1(Coming),
    Http2(hyper::body::Incoming),
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
            Self::Http2(incoming) => Pin::new(incoming).poll_frame(cx).map_err(io::Error::other),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(coming) => coming.is_end_stream(),
            Self::Http2(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(coming) => coming.size_hint(),
            Self::Http2(incoming) => incoming.size_hint(),
        }
    }
}
