//! What both sides of the proxy do with a stream of HTTP/2 (RFC 9113): read a body, send one, carry bytes both ways. The
//! frames are h2's.

mod duplex;
mod inflow;
mod outflow;

use std::{error::Error, io};

use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::present::Field;

pub(super) use duplex::Duplex;
pub(super) use inflow::Inflow;
pub(super) use outflow::Outflow;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The fields that are about a connection of HTTP/1.
pub(super) const OF_CONNECTIONS: [Field; 6] = [
    Field::Connection,
    Field::KeepAlive,
    Field::ProxyConnection,
    Field::Te,
    Field::TransferEncoding,
    Field::Upgrade,
];

/// Takes away what HTTP/2 tells in other ways (RFC 9113 section 8.2.2).
pub(super) fn strip(headers: &mut HeaderMap) {
    let ours = [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, KEEP_ALIVE, PROXY_CONNECTION];
    for name in ours {
        headers.remove(name);
    }
    if headers.get(header::TE).is_some_and(|te| te != "trailers") {
        headers.remove(header::TE);
    }
}

/// The number that is told of the length of a body.
pub(super) fn told_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH).and_then(|length: &HeaderValue| length.to_str().ok()?.parse().ok())
}

/// What one side is told of a body that the other broke off: what that has said itself, if it speaks HTTP/2.
fn reason(error: &io::Error) -> Reason {
    let mut cause = error.get_ref().map(|cause| cause as &(dyn Error + 'static));
    while let Some(error) = cause {
        if let Some(reason) = error.downcast_ref::<h2::Error>().and_then(h2::Error::reason) {
            return reason;
        }
        cause = error.source();
    }
    Reason::INTERNAL_ERROR
}
