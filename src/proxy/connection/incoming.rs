//! The body of a request, as its client sends it.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{Lane, http1::Coming};

pub(in crate::proxy) enum Incoming {
    Http1(Coming),
    Http2(hyper::body::Incoming, Rc<Lane>),
}

// === impl Incoming ===

impl Incoming {
    /// An endpoint's connection waits for more of it. What comes by HTTP/1 is known to wait by its socket.
    pub(in crate::proxy) fn holds_up(&self) {
        match self {
            Self::Http1(_) => {}
            Self::Http2(_, lane) => lane.sending.waits(),
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
            Self::Http2(incoming, lane) => {
                let frame = ready!(Pin::new(incoming).poll_frame(cx)).transpose().map_err(io::Error::other);
                lane.sending.moved(match &frame {
                    Ok(Some(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
                    Ok(None) | Err(_) => 0,
                });
                Poll::Ready(frame.transpose())
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(coming) => coming.is_end_stream(),
            Self::Http2(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(coming) => coming.size_hint(),
            Self::Http2(incoming, _) => incoming.size_hint(),
        }
    }
}
