//! PROXY headers towards endpoints: who the client is, before the first byte of a connection. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::ProxyProtocol;

/// A header that tells of a client. Its port is not known any more, nor the address that it asked for, only the port.
pub(in crate::proxy) fn of_client(version: ProxyProtocol, client: IpAddr, port: u16) -> Vec<u8> {
    match version {
        ProxyProtocol::V1 => {
            let (family, own) = match client {
                IpAddr::V4(_) => ("TCP4", IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                IpAddr::V6(_) => ("TCP6", IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            };
            format!("PROXY {family} {client} {own} 0 {port}\r\n").into_bytes()
        }
        ProxyProtocol::V2 => {
            let (family, addresses) = match client {
                IpAddr::V4(client) => (0x11, [client.octets(), Ipv4Addr::UNSPECIFIED.octets()].concat()),
                IpAddr::V6(client) => (0x21, [client.octets(), Ipv6Addr::UNSPECIFIED.octets()].concat()),
            };
            binary(0x21, family, &[&addresses[..], &[0, 0], &port.to_be_bytes()].concat())
        }
    }
}

/// A header of one who speaks for himself, such as a health check.
pub(in crate::proxy) fn of_self(version: ProxyProtocol) -> Vec<u8> {
    match version {
        ProxyProtocol::V1 => b"PROXY UNKNOWN\r\n".to_vec(),
        ProxyProtocol::V2 => binary(0x20, 0x00, &[]),
    }
}

fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or_default().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_tell_of_clients_of_both_families() {
        let (v4, v6) = ("192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap());
        assert_eq!(of_client(ProxyProtocol::V1, v4, 80), b"PROXY TCP4 192.0.2.7 0.0.0.0 0 80\r\n");
        assert_eq!(of_client(ProxyProtocol::V1, v6, 443), b"PROXY TCP6 2001:db8::7 :: 0 443\r\n");
        let header = of_client(ProxyProtocol::V2, v4, 443);
        assert_eq!(header[12..16], [0x21, 0x11, 0, 12]);
        assert_eq!(header[16..], [192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0x01, 0xbb]);
        let header = of_client(ProxyProtocol::V2, v6, 80);
        assert_eq!((header.len(), &header[12..16]), (16 + 36, &[0x21, 0x21, 0, 36][..]));
        assert_eq!(of_self(ProxyProtocol::V1), b"PROXY UNKNOWN\r\n");
        assert_eq!(of_self(ProxyProtocol::V2)[12..], [0x20, 0, 0, 0]);
    }
}
