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

use super::Protocol;
use crate::{
    proxy::{http2::Duplex, tls::Connector},
    route::Address,
    runtime::socket,
};

#[derive(Debug)]
pub(in crate::proxy) enum Stream {
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
        let mut stream = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                // Heads and bodies are written as a whole; waiting for more would only delay them.
                stream.set_nodelay(true)?;
                Self::Tcp(stream)
            }
            Address::Unix(path) => Self::Unix(UnixStream::connect(path).await?),
        };
        if !introduction.is_empty() {
            stream.write_all(introduction).await?;
        }
        let Some((connector, protocol)) = secure else { return Ok(stream) };
        match stream {
            Self::Tcp(stream) => Box::pin(connector.connect(protocol, stream)).await.map(Self::TlsTcp),
            Self::Unix(stream) => Box::pin(connector.connect(protocol, stream)).await.map(Self::TlsUnix),
            secured @ (Self::TlsTcp(_) | Self::TlsUnix(_) | Self::Wide(_)) => Ok(secured),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // What is not filled yet is left to the stream, which need not fill it first.
            Self::Tcp(stream) if buffer.initialized().len() == buffer.capacity() => {
                socket::poll_read(stream, cx, buffer)
            }
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::TlsTcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::TlsUnix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Wide(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => socket::poll_write(stream, cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::TlsTcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::TlsUnix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Wide(stream) => Pin::new(stream).poll_write(cx, bytes),
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
        match self.get_mut() {
            Self::Tcp(stream) => socket::poll_write_vectored(stream, cx, parts),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::TlsTcp(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::TlsUnix(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Wide(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::TlsTcp(stream) => stream.is_write_vectored(),
            Self::TlsUnix(stream) => stream.is_write_vectored(),
            Self::Wide(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::TlsTcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::TlsUnix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Wide(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::TlsTcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::TlsUnix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Wide(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
