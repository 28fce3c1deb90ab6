//! A body as it is sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use http_body::{Body, Frame};

/// A body and the stream that it goes to. Of what the other side has no room for, one piece is kept.
#[derive(Debug)]
pub(in crate::proxy) struct Outflow<B> {
    stream: SendStream<Bytes>,
    body: B,
    /// Waits for room.
    piece: Option<Bytes>,
}

/// The other side wants no more of it.
struct Gone;

// === impl Outflow ===

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Outflow<B> {
    pub(in crate::proxy) fn new(stream: SendStream<Bytes>, body: B) -> Self {
        Self { stream, body, piece: None }
    }

    pub(in crate::proxy) fn body(&self) -> &B {
        &self.body
    }

    pub(in crate::proxy) fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// Ready when all was sent, or nothing more can be: where the body breaks off, the stream is reset.
    pub(in crate::proxy) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.stream.poll_reset(cx).is_ready() {
            return Poll::Ready(());
        }
        self.poll_send(cx).map(|_done_or_gone| ())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        loop {
            if self.piece.is_some() {
                ready!(self.poll_room(cx))?;
                let ends = self.body.is_end_stream();
                let piece = self.piece.take().unwrap_or_default();
                self.stream.send_data(piece, ends).map_err(|_| Gone)?;
                if ends {
                    return Poll::Ready(Ok(()));
                }
            }
            // Before there is something to send no room is asked for: other streams would go without it.
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                return Poll::Ready(self.stream.send_data(Bytes::new(), true).map_err(|_| Gone));
            };
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) if data.is_empty() && !self.body.is_end_stream() => {}
                Ok(Ok(data)) => {
                    // As much as it takes to be told of some: what is claimed by one stream others cannot have.
                    self.stream.reserve_capacity(usize::from(!data.is_empty()));
                    self.piece = Some(data);
                }
                Ok(Err(frame)) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return Poll::Ready(self.end(trailers));
                    }
                }
                Err(error) => {
                    self.stream.send_reset(super::reason(&error));
                    return Poll::Ready(Err(Gone));
                }
            }
        }
    }

    /// Ends the stream. It is never left open: where the trailers cannot be sent, it is reset.
    fn end(&mut self, trailers: HeaderMap) -> Result<(), Gone> {
        self.stream.send_trailers(trailers).map_err(|_| {
            self.stream.send_reset(Reason::INTERNAL_ERROR);
            Gone
        })
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if self.piece.as_ref().is_none_or(Bytes::is_empty) {
            return Poll::Ready(Ok(()));
        }
        while self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(Gone)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request, header};

    use super::*;

    /// Ends with trailers that HTTP/2 does not have.
    struct Unfit;

    impl Body for Unfit {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            let close = (header::CONNECTION, HeaderValue::from_static("close"));
            Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::from_iter([close])))))
        }
    }

    #[tokio::test]
    async fn a_stream_whose_trailers_cannot_be_sent_is_reset() {
        let (near, far) = tokio::io::duplex(64 << 10);
        let server = async {
            let mut server = h2::server::handshake(far).await.unwrap();
            let (request, _respond) = server.accept().await.unwrap().unwrap();
            let mut body = request.into_body();
            let reading = async { body.data().await.unwrap().unwrap_err().reason() };
            tokio::select! {
                reason = reading => reason,
                _ = server.accept() => None,
            }
        };
        let client = async {
            let (sender, connection) = h2::client::handshake(near).await.unwrap();
            let sending = async {
                let mut sender = sender.ready().await.unwrap();
                let (_response, stream) = sender.send_request(Request::new(()), false).unwrap();
                let mut outflow = Outflow::new(stream, Unfit);
                std::future::poll_fn(|cx| outflow.poll(cx)).await;
                // Whoever waits for the response goes on to wait.
                std::future::pending::<()>().await;
            };
            tokio::join!(sending, connection).1
        };
        let either = async {
            tokio::select! {
                reason = server => assert_eq!(reason, Some(Reason::INTERNAL_ERROR)),
                ended = client => panic!("{ended:?}"),
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), either).await.expect("it ends");
    }
}
