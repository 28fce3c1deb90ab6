//! The socket to an endpoint.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::client::TlsStream;

use super::{Protocol, seats::Seat};
use crate::{
    proxy::{http2::Duplex, tls::Connector},
    route::Address,
    runtime::socket,
};

#[derive(Debug)]
pub(in crate::proxy) struct Stream {
    socket: Socket,
    /// As long as the socket is open; absent where nobody counts. Behind it: it is closed first.
    _seat: Option<Seat>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    TlsTcp(Box<TlsStream<TcpStream>>),
    TlsUnix(Box<TlsStream<UnixStream>>),
    /// A stream of HTTP/2.
    Wide(Box<Duplex>),
}

// === impl Stream ===

impl Stream {
    /// Connects, says first what is to be said first, and does the handshake where TLS is to be spoken.
    pub(in crate::proxy) async fn connect(
        address: &Address,
        secure: Option<(&Connector, Protocol)>,
        introduction: &[u8],
    ) -> io::Result<Self> {
        let mut stream = Self::unseated(match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                // Heads and bodies are written as a whole; waiting for more would only delay them.
                stream.set_nodelay(true)?;
                Socket::Tcp(stream)
            }
            Address::Unix(path) => Socket::Unix(UnixStream::connect(path).await?),
        });
        if !introduction.is_empty() {
            stream.write_all(introduction).await?;
        }
        let Some((connector, protocol)) = secure else { return Ok(stream) };
        let secured = match stream.socket {
            Socket::Tcp(stream) => Box::pin(connector.connect(protocol, stream)).await.map(Socket::TlsTcp),
            Socket::Unix(stream) => Box::pin(connector.connect(protocol, stream)).await.map(Socket::TlsUnix),
            secured @ (Socket::TlsTcp(_) | Socket::TlsUnix(_) | Socket::Wide(_)) => Ok(secured),
        };
        secured.map(Self::unseated)
    }

    fn unseated(socket: Socket) -> Self {
        Self { socket, _seat: None }
    }

    /// Takes the seat until it is closed.
    pub(super) fn seated(self, seat: Seat) -> Self {
        Self { _seat: Some(seat), ..self }
    }

    /// A stream of HTTP/2, whose connection has the seat.
    pub(super) fn wide(duplex: Duplex) -> Self {
        Self::unseated(Socket::Wide(Box::new(duplex)))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            // What is not filled yet is left to the stream, which need not fill it first.
            Socket::Tcp(stream) if buffer.initialized().len() == buffer.capacity() => {
                socket::poll_read(stream, cx, buffer)
            }
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::TlsTcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::TlsUnix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::Wide(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(stream) => socket::poll_write(stream, cx, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::TlsTcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::TlsUnix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Wide(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A head alone is the usual case, and a plain write is cheaper.
        if let [part] = parts {
            return self.poll_write(cx, part);
        }
        match &mut self.get_mut().socket {
            Socket::Tcp(stream) => socket::poll_write_vectored(stream, cx, parts),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Socket::TlsTcp(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Socket::TlsUnix(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Socket::Wide(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Tcp(stream) => stream.is_write_vectored(),
            Socket::Unix(stream) => stream.is_write_vectored(),
            Socket::TlsTcp(stream) => stream.is_write_vectored(),
            Socket::TlsUnix(stream) => stream.is_write_vectored(),
            Socket::Wide(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Socket::TlsTcp(stream) => Pin::new(stream).poll_flush(cx),
            Socket::TlsUnix(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Wide(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::TlsTcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::TlsUnix(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Wide(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
