//! Listening sockets: one for each worker on each address, so that the kernel spreads connections and no worker waits
//! for another.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    num::NonZeroUsize,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// Connections that may wait to be accepted, for each worker; the kernel may allow fewer.
const BACKLOG: i32 = 4096;

/// Whether another process may be listening on the same port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rivals {
    /// Look first: sharing a port would silently give them a part of the connections.
    Refuse,
    /// The port is ours already, on another address.
    Ours,
}

/// Binds a socket for each worker, or none.
pub(super) fn bind(
    address: SocketAddr,
    workers: NonZeroUsize,
    rivals: Rivals,
) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
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
    Ok((real, sockets))
}

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
    // What is set here, accepted connections have too.
    socket.set_tcp_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_mins(1)).with_interval(Duration::from_secs(15));
    socket.set_tcp_keepalive(&keepalive)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
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
