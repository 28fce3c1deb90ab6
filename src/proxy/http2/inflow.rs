//! A body as it comes.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

#[derive(Debug)]
pub(in crate::proxy) struct Inflow {
    /// Gone once all has come.
    stream: Option<RecvStream>,
    /// What was announced and has not come yet.
    left: Option<u64>,
    /// Nothing but trailers can follow.
    is_data_over: bool,
}

// === impl Inflow ===

impl Inflow {
    /// What follows the head with these fields.
    pub(in crate::proxy) fn new(stream: RecvStream, headers: &HeaderMap) -> Self {
        if stream.is_end_stream() {
            return Self::empty();
        }
        Self { stream: Some(stream), left: super::told_length(headers), is_data_over: false }
    }

    pub(in crate::proxy) fn empty() -> Self {
        Self { stream: None, left: Some(0), is_data_over: true }
    }

    pub(in crate::proxy) fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    pub(in crate::proxy) fn size_hint(&self) -> SizeHint {
        match self.left {
            Some(left) => SizeHint::with_exact(left),
            None if self.is_end_stream() => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }

    /// The next piece. The other side may send as much again.
    pub(in crate::proxy) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        if !self.is_data_over {
            let data = ready!(stream.poll_data(cx)).transpose().map_err(io::Error::other)?;
            if let Some(data) = data {
                let length = data.len();
                // It fails where the stream has ended, which the next call is told.
                let _ = stream.flow_control().release_capacity(length);
                self.left = self.left.map(|left| left.saturating_sub(length as u64));
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            self.is_data_over = true;
        }
        let trailers = ready!(stream.poll_trailers(cx)).map_err(io::Error::other)?;
        *self = Self::empty();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }
}
