//! The PROXY protocol, versions 1 and 2: a load balancer in front says who the client is, before the client's first byte.
//!
//! On a port that asks for it there is no other way in: a sender that is not trusted could claim to be anybody, and a
//! connection without the header would be one that went around the balancer. Nothing behind the header is read here.

#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    task::Poll,
};

use tokio::{io::AsyncReadExt as _, net::TcpStream};

use super::{Connection, Trust};

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::proxy) enum Refused {
    #[error("the sender is not among the trusted proxies")]
    Untrusted,
    #[error("it does not begin with a PROXY header")]
    Missing,
    #[error("its PROXY header is not valid")]
    Invalid,
    #[error("its PROXY header did not come in time")]
    Late,
}

/// The first bytes of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// A line of version 1 with its end, by the specification.
const LONGEST_LINE: usize = 107;
/// Addresses and extensions of version 2. More is allowed by the specification and sent by nobody.
const MOST_BYTES: usize = 4096;

/// The client's address; `None` where the sender speaks for itself, as in a health check.
pub(in crate::proxy) async fn client(
    connection: &Connection,
    stream: &mut TcpStream,
) -> Result<Option<SocketAddr>, Refused> {
    match connection.trust {
        Trust::Trusted => {}
        Trust::Untrusted => return Err(Refused::Untrusted),
    }
    let told = poll_fn(|cx| connection.hear(cx.waker()).map_or(Poll::Pending, Poll::Ready));
    // Whichever ends first drops the other: a connection that is refused is not read any more.
    tokio::select! {
        client = read(stream) => client,
        _ = told => Err(Refused::Late),
    }
}

async fn read(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Refused> {
    let mut start = [0; SIGNATURE.len()];
    exactly(stream, &mut start).await?;
    if start == SIGNATURE {
        return read_binary(stream).await;
    }
    if start.starts_with(b"PROXY ") {
        return line(&rest_of_line(stream, &start).await?);
    }
    Err(Refused::Missing)
}

async fn exactly(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<(), Refused> {
    let is_end = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
    let refused = |error| if is_end(&error) { Refused::Missing } else { Refused::Invalid };
    stream.read_exact(buffer).await.map(drop).map_err(refused)
}

// === version 1 ===

/// The line that begins with `start`, without its end.
async fn rest_of_line(stream: &mut TcpStream, start: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut line = start.to_vec();
    let mut ahead = [0; LONGEST_LINE - SIGNATURE.len()];
    while !line.ends_with(b"\r\n") {
        let room = LONGEST_LINE.saturating_sub(line.len());
        if room == 0 {
            return Err(Refused::Invalid);
        }
        // Looked at first: what follows the line is not ours.
        let seen = stream.peek(&mut ahead[..room]).await.map_err(|_| Refused::Invalid)?;
        let end = ahead[..seen].iter().position(|byte| *byte == b'\n').map_or(seen, |end| end + 1);
        if end == 0 {
            return Err(Refused::Invalid);
        }
        exactly(stream, &mut ahead[..end]).await?;
        line.extend_from_slice(&ahead[..end]);
        if line.ends_with(b"\n") && !line.ends_with(b"\r\n") {
            return Err(Refused::Invalid);
        }
    }
    line.truncate(line.len() - 2);
    Ok(line)
}

fn line(line: &[u8]) -> Result<Option<SocketAddr>, Refused> {
    let text = std::str::from_utf8(line).map_err(|_| Refused::Invalid)?;
    let mut words = text.split(' ').skip(1);
    let family = words.next().ok_or(Refused::Invalid)?;
    if family == "UNKNOWN" {
        return Ok(None);
    }
    let words: Vec<&str> = words.collect();
    let [source, destination, source_port, destination_port] = words[..] else {
        return Err(Refused::Invalid);
    };
    let address = |text: &str| {
        let address: IpAddr = text.parse().map_err(|_| Refused::Invalid)?;
        let is_right = match family {
            "TCP4" => address.is_ipv4(),
            "TCP6" => address.is_ipv6(),
            _ => false,
        };
        if is_right { Ok(address) } else { Err(Refused::Invalid) }
    };
    let port = |text: &str| {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_number).ok_or(Refused::Invalid)
    };
    address(destination)?;
    port(destination_port)?;
    Ok(Some(SocketAddr::new(address(source)?, port(source_port)?)))
}

// === version 2 ===

async fn read_binary(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Refused> {
    let mut head = [0; 4];
    exactly(stream, &mut head).await?;
    let [command, family, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MOST_BYTES {
        return Err(Refused::Invalid);
    }
    let mut body = vec![0; length];
    exactly(stream, &mut body).await?;
    binary(command, family, &body)
}

/// `command` has the version in its upper half; `family` has the transport in its lower one.
fn binary(command: u8, family: u8, body: &[u8]) -> Result<Option<SocketAddr>, Refused> {
    match command {
        // LOCAL: whatever follows is to be skipped.
        0x20 => return Ok(None),
        // PROXY
        0x21 => {}
        _ => return Err(Refused::Invalid),
    }
    let port = |at: usize| {
        let bytes = body.get(at..at + 2).and_then(<[u8]>::first_chunk);
        bytes.map(|bytes| u16::from_be_bytes(*bytes)).ok_or(Refused::Invalid)
    };
    match family {
        // TCP over IPv4: two addresses, two ports.
        0x11 => {
            let address: &[u8; 4] = body.first_chunk().ok_or(Refused::Invalid)?;
            port(10)?;
            Ok(Some(SocketAddr::new(Ipv4Addr::from(*address).into(), port(8)?)))
        }
        // TCP over IPv6.
        0x21 => {
            let address: &[u8; 16] = body.first_chunk().ok_or(Refused::Invalid)?;
            port(34)?;
            Ok(Some(SocketAddr::new(Ipv6Addr::from(*address).into(), port(32)?)))
        }
        // Unspecified, or Unix sockets, which have no address to tell.
        0x00 | 0x31 => Ok(None),
        _ => Err(Refused::Invalid),
    }
}

/// The client that a whole header tells of, if it does.
#[cfg(any(test, fuzzing))]
pub(in crate::proxy) fn of_bytes(bytes: &[u8]) -> Option<SocketAddr> {
    if let Some(rest) = bytes.strip_prefix(&SIGNATURE) {
        let ([command, family, ..], Some(body)) = (rest.first_chunk::<4>()?, rest.get(4..)) else {
            return None;
        };
        return binary(*command, *family, body).ok()?;
    }
    line(bytes.strip_suffix(b"\r\n")?).ok()?
}

// === impl Refused ===

impl Refused {
    /// As the metrics name it.
    pub(in crate::proxy) fn word(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Late => "late",
        }
    }
}
