//! The socket of the admin API: TCP, or a unix socket that only its owner can use.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    sync::Arc,
};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::guard::Reach;
use crate::runtime::private_socket::{self, SocketFile};

/// A bound socket. A unix socket's file is removed with it.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, Arc<SocketFile>),
}

/// An accepted connection.
#[derive(Debug)]
pub enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

// === impl Listener ===

impl Listener {
    pub async fn bind_tcp(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::Tcp(TcpListener::bind(address).await?))
    }

    /// Binds a socket file that only its owner can use. A file that a dead process has left is replaced; one that
    /// answers is not.
    pub fn bind_unix(path: &Path) -> io::Result<Self> {
        let (listener, file) = private_socket::bind(path)?;
        Ok(Self::Unix(UnixListener::from_std(listener)?, Arc::new(file)))
    }

    /// A socket that another process has opened.
    pub fn adopt_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self::Tcp(TcpListener::from_std(listener)?))
    }

    /// A socket that another process has opened, with its file.
    pub fn adopt_unix(listener: std::os::unix::net::UnixListener, file: SocketFile) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self::Unix(UnixListener::from_std(listener)?, Arc::new(file)))
    }

    /// A duplicate of the socket.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Self::Unix(listener, _) => listener.as_fd().try_clone_to_owned(),
        }
    }

    /// The file of a unix socket.
    pub fn file(&self) -> Option<Arc<SocketFile>> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(_, file) => Some(file.clone()),
        }
    }

    /// Where it listens, as `--admin` has it.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
            }
            Self::Unix(_, file) => format!("unix:{}", file.path().display()),
        }
    }

    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    pub(super) fn reach(&self) -> Reach {
        match self {
            Self::Unix(..) => Reach::Socket,
            Self::Tcp(_) if self.tcp_address().is_some_and(|address| address.ip().is_loopback()) => {
                Reach::Loopback
            }
            Self::Tcp(_) => Reach::Network,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Connection> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| Connection::Tcp(stream)),
            Self::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Connection::Unix(stream)),
        }
    }
}
