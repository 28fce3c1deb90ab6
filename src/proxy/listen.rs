//! Listening sockets: at least one for each worker on each address, so that the kernel spreads connections and no worker
//! waits for another.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    num::NonZeroUsize,
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Connections that may wait to be accepted, for each worker; the kernel may allow fewer.
const BACKLOG: i32 = 4096;

/// The sockets of one address. Workers accept on duplicates of them.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) real: SocketAddr,
    sockets: Vec<TcpListener>,
    workers: NonZeroUsize,
}

/// Whether another process may be listening on the same port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rivals {
    /// Look first: sharing a port would silently give them a part of the connections.
    Refuse,
    /// The port is ours already, on another address.
    Ours,
}

/// Binds a socket for each worker, or none.
pub(super) fn bind(address: SocketAddr, workers: NonZeroUsize, rivals: Rivals) -> io::Result<Bound> {
    let address = without_ipv6(address)?;
    if rivals == Rivals::Refuse && address.port() != 0 {
        socket(address)?.bind(&address.into())?;
    }
    let first = listen(address)?;
    let real = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers.get() {
        sockets.push(listen(real)?);
    }
    Ok(Bound { real, sockets, workers })
}

// === impl Bound ===

impl Bound {
    /// Takes over sockets of one address, at least one, that others have opened. Each is accepted on; where they let
    /// others join, each worker gets one of its own.
    pub(super) fn adopt(mut sockets: Vec<TcpListener>, workers: NonZeroUsize) -> io::Result<Self> {
        let first = sockets.first().ok_or(io::ErrorKind::InvalidInput)?;
        let real = first.local_addr()?;
        for socket in &sockets {
            socket.set_nonblocking(true)?;
            prepare(&SockRef::from(socket))?;
        }
        let is_open = sockets.iter().all(|socket| SockRef::from(socket).reuse_port().unwrap_or(false));
        while is_open && sockets.len() < workers.get() {
            match listen(real) {
                Ok(more) => sockets.push(more),
                // Of another user, such as a supervisor's: then workers share one.
                Err(error) => {
                    tracing::debug!(address = %real, %error, "workers share a socket");
                    break;
                }
            }
        }
        Ok(Self { real, sockets, workers })
    }

    /// Duplicates of all sockets.
    pub(super) fn duplicates(&self) -> io::Result<Vec<TcpListener>> {
        self.sockets.iter().map(TcpListener::try_clone).collect()
    }

    /// Duplicates of the sockets on which a worker accepts.
    pub(super) fn of(&self, worker: usize) -> io::Result<Vec<TcpListener>> {
        share(self.sockets.len(), self.workers, worker).map(|index| self.sockets[index].try_clone()).collect()
    }
}

/// Which of so many sockets a worker accepts on. Each socket has a worker, for the kernel gives it connections, and each
/// worker a socket.
fn share(sockets: usize, workers: NonZeroUsize, worker: usize) -> impl Iterator<Item = usize> {
    let first = if worker < sockets { worker } else { worker % sockets.max(1) };
    (first..sockets).step_by(workers.get()).take(if worker < sockets { usize::MAX } else { 1 })
}

// === sockets ===

/// `[::]` stands for all addresses of both families; on a machine without IPv6 those are the ones of IPv4.
fn without_ipv6(address: SocketAddr) -> io::Result<SocketAddr> {
    let is_any = address.is_ipv6() && address.ip().is_unspecified();
    match Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)) {
        Err(_) if is_any => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port())),
        Ok(_) => Ok(address),
        Err(error) => Err(error),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    prepare(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What is set here, accepted connections have too.
fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_mins(1)).with_interval(Duration::from_secs(15));
    socket.set_tcp_keepalive(&keepalive)
}

/// Of sockets that others have opened, those for an address. One that takes both families, as systemd opens them for
/// a mere port, does for all addresses of IPv4.
pub(super) fn fitting(sockets: &[TcpListener], address: SocketAddr) -> Vec<&TcpListener> {
    let of = |fits: &dyn Fn(&TcpListener, SocketAddr) -> bool| -> Vec<&TcpListener> {
        sockets.iter().filter(|socket| socket.local_addr().is_ok_and(|real| fits(socket, real))).collect()
    };
    let same = of(&|_, real| real == address || without_ipv6(address).is_ok_and(|address| address == real));
    if !same.is_empty() {
        return same;
    }
    let is_any = address.is_ipv4() && address.ip().is_unspecified();
    of(&|socket, real| {
        let covers = real.is_ipv6() && real.ip().is_unspecified() && real.port() == address.port();
        is_any && covers && SockRef::from(socket).only_v6().is_ok_and(|only| !only)
    })
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 too. Where `0.0.0.0` is bound beside it, the kernel prefers that one.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_socket_has_a_worker_and_every_worker_a_socket() {
        for sockets in 1..9 {
            for workers in 1..9 {
                let workers = NonZeroUsize::new(workers).unwrap();
                let shares: Vec<Vec<usize>> =
                    (0..workers.get()).map(|worker| share(sockets, workers, worker).collect()).collect();
                assert!(shares.iter().all(|share| !share.is_empty()), "{sockets} {workers} {shares:?}");
                for socket in 0..sockets {
                    let of = shares.iter().filter(|share| share.contains(&socket)).count();
                    let most = workers.get().div_ceil(sockets);
                    assert!((1..=most).contains(&of), "{sockets} {workers} {shares:?}");
                }
            }
        }
    }
}
