//! WebSockets over HTTP/2, for endpoints that let clients open them so (RFC 8441), each on a connection of its own.
//!
//! Why not beside the requests of a shared one: it lasts for hours, and what it is behind must not hold up others. By
//! HTTP/1 it has a connection of its own too.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use h2::{
    client::{Builder, SendRequest},
    ext::Protocol as Connect,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, uri};
use http_body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};

use super::{super::http::Message, Endpoint, Exchange, Failure, Protocol, Stream, Visit, multiplex};
use crate::proxy::{config::Limits, http2::Duplex, received::Received};

/// A connection to an endpoint that takes WebSockets.
pub(in crate::proxy) struct Open {
    sender: SendRequest<Bytes>,
    scheme: uri::Scheme,
}

/// What a new connection has told of its endpoint.
enum Told {
    Takes(SendRequest<Bytes>),
    /// It has not announced it, or speaks HTTP/1.
    TakesNot,
    /// It broke, which says nothing of the next one.
    Nothing,
}

/// Takes note of an endpoint that speaks HTTP/1. The error of the connection would not tell: it may be that of writing
/// to one that is closed by then.
struct Noted {
    stream: Stream,
    has_spoken: bool,
    speaks_http1: Rc<Cell<bool>>,
}

/// A stream that was answered, before anybody has taken it as what it is.
pub(in crate::proxy) struct Answered {
    pub(super) duplex: Duplex,
    /// The request that is on it.
    pub(super) visit: Option<Visit>,
}

// === impl Open ===

impl Open {
    const WINDOW: u32 = 256 << 10;
    /// Messages of 10 bytes that fill the window, as h2 counts them.
    const PIECES: usize = 8 << 20;

    /// `None` where the endpoint does not take WebSockets so: it speaks HTTP/1 only, or has not announced it.
    pub(in crate::proxy) async fn connect(
        endpoint: &Rc<Endpoint>,
        limits: &Limits,
        introduction: &[u8],
    ) -> Result<Option<Self>, Failure> {
        if endpoint.is_narrow.get() {
            return Ok(None);
        }
        let stream = timeout(limits.connect_timeout, endpoint.connect(Protocol::Http2, introduction));
        let stream = stream.await.map_err(|_| Failure::ConnectTimeout)??;
        let scheme = if endpoint.secure.is_some() { uri::Scheme::HTTPS } else { uri::Scheme::HTTP };
        match timeout(limits.connect_timeout, Self::settle(endpoint, stream)).await {
            Ok(Told::Takes(sender)) => Ok(Some(Self { sender, scheme })),
            Ok(Told::TakesNot) => {
                endpoint.is_narrow.set(true);
                Ok(None)
            }
            Ok(Told::Nothing) | Err(_) => Ok(None),
        }
    }

    /// Waits for what the endpoint announces.
    async fn settle(endpoint: &Endpoint, stream: Stream) -> Told {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(Self::WINDOW)
            .initial_connection_window_size(Self::WINDOW)
            .max_header_list_size(64 << 10)
            .max_send_buffer_size(64 << 10)
            .data_frame_budget(Self::PIECES);
        let speaks_http1 = Rc::<Cell<bool>>::default();
        let stream = Noted { stream, has_spoken: false, speaks_http1: speaks_http1.clone() };
        let broken = || if speaks_http1.get() { Told::TakesNot } else { Told::Nothing };
        let Ok((sender, mut connection)) = builder.handshake(stream).await else { return broken() };
        let Some(mut pings) = connection.ping_pong() else { return broken() };
        tokio::select! {
            _ = &mut connection => return broken(),
            // Whoever answers a ping has sent its settings before.
            pong = pings.ping(h2::Ping::opaque()) => if pong.is_err() { return broken() },
        }
        // Its errors are handed to whoever is on the stream.
        let driven = Box::pin(async move { drop(connection.await) });
        endpoint.means.tasks.borrow_mut().spawn_local("upstream", driven);
        if sender.is_extended_connect_protocol_enabled() { Told::Takes(sender) } else { Told::TakesNot }
    }

    /// Asks for a WebSocket, with the head of the handshake of HTTP/1.1. The answer is as by HTTP/1.1 too.
    pub(in crate::proxy) async fn ask(
        self,
        message: &mut Message<'_>,
    ) -> Result<(Received, Exchange), Failure> {
        let Self { mut sender, scheme } = self;
        let mut request = message.take_request();
        let key = request.headers_mut().remove(header::SEC_WEBSOCKET_KEY);
        for name in [header::CONNECTION, header::UPGRADE, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            request.headers_mut().remove(name);
        }
        multiplex::to_absolute_form(&mut request, scheme);
        *request.method_mut() = Method::CONNECT;
        let mut request = request.map(|_| ());
        request.extensions_mut().clear();
        request.extensions_mut().insert(Connect::from_static("websocket"));
        let (response, stream) = sender.send_request(request, false).map_err(Failure::of_http2)?;
        let (mut head, receiver) = response.await.map_err(Failure::of_http2)?.into_parts();
        if head.status.is_success() {
            head.status = StatusCode::SWITCHING_PROTOCOLS;
            agree(&mut head.headers, key.as_ref());
        }
        let answered = Box::new(Answered { duplex: Duplex::new(stream, receiver), visit: None });
        Ok((Received::new(head.status, head.headers), Exchange::Wide(answered)))
    }
}

/// What the answer of HTTP/1.1 has and that of HTTP/2 has not (RFC 6455 section 4.2.2).
fn agree(headers: &mut HeaderMap, key: Option<&HeaderValue>) {
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Some(accept) = key.and_then(|key| HeaderValue::try_from(accept(key.as_bytes())).ok()) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
}

fn accept(key: &[u8]) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(context.finish())
}

// === impl Noted ===

impl Noted {
    fn note(&mut self, first: &[u8]) {
        if !self.has_spoken {
            self.has_spoken = !first.is_empty();
            self.speaks_http1.set(first.starts_with(b"HTTP/1"));
        }
    }

    /// Whoever refuses the first bytes may have closed before all of them were written: what it has said is there still.
    fn hear_out<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(written, Poll::Ready(Err(_))) && !self.has_spoken {
            let mut first = [0; 16];
            let mut buffer = ReadBuf::new(&mut first);
            // A socket that is broken can be read at once, as soon as the runtime has noticed; it fails again then.
            if Pin::new(&mut self.stream).poll_read(cx, &mut buffer).is_pending() {
                return Poll::Pending;
            }
            self.note(buffer.filled());
        }
        written
    }
}

impl AsyncRead for Noted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.note(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Noted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.hear_out(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.hear_out(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = Pin::new(&mut self.stream).poll_flush(cx);
        self.hear_out(cx, written)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

// === impl Answered ===

impl Answered {
    /// The next piece of an answer that is no WebSocket.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.duplex.poll_data(cx).map_ok(Frame::data)
    }

    pub(super) fn is_done(&self) -> bool {
        self.duplex.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        if self.is_done() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_agreed_to_as_in_the_example_of_rfc_6455() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
