//! Which header fields go on: those of one hop stay here, those that tell of the client are ours to write. Pure.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use memchr::memchr;

use crate::{
    model::{Allowed, Cidr},
    proxy::{
        connection::Trust,
        http1::fields::number,
        present::{Field, Present},
        received::Received,
    },
    route::tells_of_client,
};

pub(super) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(super) static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) static X_FORWARDED_SERVER: HeaderName = HeaderName::from_static("x-forwarded-server");
pub(super) static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
pub(super) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Why Portolan itself has answered; for those whose word it takes, and never by a backend.
pub(super) static PORTOLAN_REASON: HeaderName = HeaderName::from_static("portolan-reason");

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
static TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// Who sent a request, and by which name it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    pub(super) request_id: RequestId,
}

/// The name of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequestId {
    /// By a trusted proxy.
    Given(HeaderValue),
    /// By us. Becomes text when it is asked for: most requests need it once.
    Made(u128),
}

/// The fields of a request as they go on: what is between the client and us stays here, who the client is is told anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Onward<'a> {
    given: &'a HeaderMap,
    present: Present,
    peer: Peer<'a>,
    client: &'a Client,
}

/// What a connection knows of the client at its other end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer<'a> {
    pub(super) address: IpAddr,
    pub(super) text: &'a HeaderValue,
    pub(super) trust: Trust,
    /// Networks whose word is believed.
    pub(super) trusted: &'a [Cidr],
    pub(super) scheme: &'static str,
    /// The listener's port.
    pub(super) port: &'a HeaderValue,
    pub(super) server: Option<&'a HeaderValue>,
    pub(super) allowed: Allowed,
}

/// Whether a client takes trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Trailers {
    Taken,
    Ignored,
}

// === impl Trailers ===

impl Trailers {
    /// RFC 9110 section 6.5.1.
    pub(in crate::proxy) fn of(headers: &HeaderMap, present: Present) -> Self {
        if present.has(Field::Te) && te_trailers(headers) { Self::Taken } else { Self::Ignored }
    }
}

// === impl RequestId ===

impl RequestId {
    pub(super) fn value(&self) -> HeaderValue {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        match self {
            Self::Given(value) => value.clone(),
            Self::Made(bits) => {
                let mut text = [0; 32];
                for (digit, byte) in text.chunks_exact_mut(2).zip(bits.to_be_bytes()) {
                    digit[0] = DIGITS[usize::from(byte >> 4)];
                    digit[1] = DIGITS[usize::from(byte & 15)];
                }
                HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0"))
            }
        }
    }
}

// === one hop ===

/// Removes what is between the backend and us.
/// See [`strip_response`]. Lines are stripped already.
pub(super) fn strip_received(received: &mut Received) {
    if received.fields.lines().is_none() {
        strip_response(received.headers_mut());
    }
}

pub(in crate::proxy) fn strip_response(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        strip_connection(headers);
    }
    headers.remove(&KEEP_ALIVE);
    headers.remove(&PROXY_CONNECTION);
    headers.remove(&PORTOLAN_REASON);
    headers.remove(header::UPGRADE);
    // The length is told by how the body came; of two lengths, or two ways to tell it, none goes on.
    if headers.remove(header::TRANSFER_ENCODING).is_some()
        || headers.get_all(header::CONTENT_LENGTH).iter().nth(1).is_some()
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| number(length.as_bytes()).is_none())
    {
        headers.remove(header::CONTENT_LENGTH);
    }
}

/// Whether `Connection` names the option `name` (lower case).
pub(super) fn connection_names(headers: &HeaderMap, name: &[u8]) -> bool {
    options(headers).any(|option| option.eq_ignore_ascii_case(name))
}

fn options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(header::CONNECTION).into_iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

fn te_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).into_iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

fn strip_connection(headers: &mut HeaderMap) {
    let one_hop = named(headers);
    headers.remove(header::CONNECTION);
    let fields = match one_hop {
        Named::These(fields) => fields,
        Named::TooMany => headers.keys().filter(|name| !is_protected(name)).cloned().collect(),
    };
    for name in fields {
        headers.remove(name);
    }
}

/// The fields that are for one hop.
#[derive(Debug)]
pub(super) enum Named {
    These(Vec<HeaderName>),
    /// More than anybody means: none goes on that could be among them.
    TooMany,
}

/// Options that are looked at. No head that we take has so many fields, and each of these is compared with each of those.
const MOST_NAMED: usize = 128;

/// The fields that `Connection` names as being for one hop, but for those that nobody can take away.
pub(super) fn named(headers: &HeaderMap) -> Named {
    let is_usual = |option: &[u8]| {
        option.eq_ignore_ascii_case(b"keep-alive")
            || option.eq_ignore_ascii_case(b"close")
            || option.eq_ignore_ascii_case(b"upgrade")
    };
    if headers.get_all(header::CONNECTION).iter().all(|value| is_usual(value.as_bytes())) {
        return Named::These(Vec::new());
    }
    let names: Vec<HeaderName> = options(headers)
        .filter(|option| !is_usual(option))
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .filter(|name| !is_protected(name))
        .take(MOST_NAMED + 1)
        .collect();
    if names.len() > MOST_NAMED { Named::TooMany } else { Named::These(names) }
}

impl Named {
    fn contains(&self, name: &HeaderName) -> bool {
        match self {
            Self::These(names) => names.contains(name),
            Self::TooMany => !is_protected(name),
        }
    }
}

/// What a client cannot take away by naming it in `Connection`.
fn is_protected(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::HOST
            | header::AUTHORIZATION
            | header::COOKIE
            | header::CONTENT_LENGTH
            | header::CONTENT_TYPE
            | header::TRANSFER_ENCODING
            | header::TRAILER
            | header::SET_COOKIE
            | header::CACHE_CONTROL
    ) || *name == X_REQUEST_ID
        || tells_of_client(name.as_str())
}

/// What never goes on.
pub(super) fn is_dropped(name: &str) -> bool {
    is_for_one_hop(name) || (memchr(b'_', name.as_bytes()).is_some() && is_alias(name))
}

fn is_for_one_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "te"
            | "upgrade"
            | "keep-alive"
            | "proxy"
            | "proxy-connection"
            | "proxy-authorization"
            | "proxy-authenticate"
            | "http2-settings"
    )
}

/// Whether a backend that takes `_` for `-`, as CGI does, would read this as a field that it believes.
fn is_alias(name: &str) -> bool {
    let name = name.replace('_', "-");
    tells_of_client(&name)
        || matches!(
            &*name,
            "x-request-id"
                | "host"
                | "authorization"
                | "cookie"
                | "content-length"
                | "content-type"
                | "proxy"
                | "transfer-encoding"
        )
}

// === the client ===

impl<'a> Onward<'a> {
    pub(super) fn new(
        (given, present): (&'a HeaderMap, Present),
        peer: Peer<'a>,
        client: &'a Client,
    ) -> Self {
        Self { given, present, peer, client }
    }

    pub(super) fn given(&self) -> &'a HeaderMap {
        self.given
    }

    pub(super) fn present(&self) -> Present {
        self.present
    }

    /// Each field that goes on.
    pub(super) fn each(&self, mut put: impl FnMut(&HeaderName, &HeaderValue)) {
        let named =
            if self.present.has(Field::Connection) { named(self.given) } else { Named::These(Vec::new()) };
        for (name, value) in self.given {
            if self.goes_on(name) && !named.contains(name) {
                put(name, value);
            }
        }
        if Trailers::of(self.given, self.present) == Trailers::Taken {
            put(&header::TE, &TRAILERS);
        }
        self.each_of_ours(put);
    }

    /// The same as a map.
    pub(super) fn map(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.given.len() + Self::OURS);
        self.each(|name, value| {
            headers.append(name, value.clone());
        });
        headers
    }

    /// The fields as they came, but what tells of the client as it goes on.
    pub(super) fn known(&self) -> HeaderMap {
        let given = self.given.iter().filter(|(name, _)| !tells_of_client(name.as_str()));
        let mut headers: HeaderMap = given.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.each(|name, value| {
            if tells_of_client(name.as_str()) {
                headers.append(name, value.clone());
            }
        });
        headers
    }

    /// Fields that are written here.
    const OURS: usize = 8;

    fn goes_on(&self, name: &HeaderName) -> bool {
        let text = name.as_str();
        if is_for_one_hop(text) || *name == X_REQUEST_ID {
            return false;
        }
        if memchr(b'_', text.as_bytes()).is_some() && (is_alias(text) || self.leaves_out_underscores()) {
            return false;
        }
        match self.peer.trust {
            Trust::Untrusted => !tells_of_client(text),
            Trust::Trusted => {
                *name != X_FORWARDED_FOR
                    && *name != X_REAL_IP
                    && (self.peer.server.is_none() || *name != X_FORWARDED_SERVER)
            }
        }
    }

    /// CGI takes `_` for `-`, and a stranger's field for another one.
    fn leaves_out_underscores(&self) -> bool {
        self.peer.trust == Trust::Untrusted && self.peer.allowed.leaves_out_underscores(self.given)
    }

    /// Who the client is. What it said itself is dropped, unless it is a proxy that is trusted.
    fn each_of_ours(&self, mut put: impl FnMut(&HeaderName, &HeaderValue)) {
        let Self { given, present: _, peer, client } = self;
        let is_missing = |name: &HeaderName| peer.trust == Trust::Untrusted || !given.contains_key(name);
        match peer.trust {
            Trust::Untrusted => {
                put(&X_FORWARDED_FOR, peer.text);
                put(&X_REAL_IP, peer.text);
            }
            Trust::Trusted => {
                put(&X_FORWARDED_FOR, &chain(given, peer));
                if let Ok(address) = HeaderValue::try_from(client.address.to_string()) {
                    put(&X_REAL_IP, &address);
                }
            }
        }
        if is_missing(&X_FORWARDED_PROTO) {
            put(&X_FORWARDED_PROTO, &HeaderValue::from_static(peer.scheme));
        }
        if is_missing(&X_FORWARDED_PORT) {
            put(&X_FORWARDED_PORT, peer.port);
        }
        if let Some(host) = given.get(header::HOST).filter(|_| is_missing(&X_FORWARDED_HOST)) {
            put(&X_FORWARDED_HOST, host);
        }
        if let Some(server) = peer.server {
            put(&X_FORWARDED_SERVER, server);
        }
        put(&X_REQUEST_ID, &client.request_id.value());
    }
}

/// The addresses that a trusted proxy has named, and its own.
fn chain(headers: &HeaderMap, peer: &Peer<'_>) -> HeaderValue {
    let mut chain = Vec::new();
    for value in headers.get_all(&X_FORWARDED_FOR) {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(peer.text.as_bytes());
    HeaderValue::from_bytes(&chain).unwrap_or_else(|_| peer.text.clone())
}

/// The last address that no trusted proxy vouches for being a trusted proxy.
pub(super) fn client_address(headers: &HeaderMap, peer: &Peer<'_>) -> IpAddr {
    if peer.trust == Trust::Untrusted {
        return peer.address;
    }
    let mut address = peer.address;
    let values: Vec<&HeaderValue> = headers.get_all(&X_FORWARDED_FOR).into_iter().collect();
    for entry in values.iter().rev().flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b',')) {
        let Some(next) = parse_address(entry) else { break };
        address = next;
        if !peer.trusted.iter().any(|network| network.contains(address)) {
            break;
        }
    }
    address
}

/// Whether the client may be told names of ours: its own address has to be a trusted one, so that a trusted proxy does not
/// hand them on to strangers.
pub(super) fn may_know(client: &Client, trust: Trust, trusted: &[Cidr]) -> bool {
    trust == Trust::Trusted && trusted.iter().any(|network| network.contains(client.address))
}

/// An address, perhaps with a port, as proxies write it.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let address = text
        .parse()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    address.map(|address: IpAddr| address.to_canonical())
}

/// The id that a trusted proxy gave to this request.
pub(super) fn trusted_request_id(headers: &HeaderMap, trust: Trust) -> Option<&HeaderValue> {
    let is_sane = |value: &&HeaderValue| {
        (1..=128).contains(&value.len())
            && value.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:=+/@".contains(byte))
    };
    match trust {
        Trust::Trusted => headers.get(&X_REQUEST_ID).filter(is_sane),
        Trust::Untrusted => None,
    }
}

/// The client, and the chain that goes on, where a trusted proxy on this machine has sent `value`.
#[cfg(any(test, fuzzing))]
pub(in crate::proxy) fn forwarded_for(value: &[u8]) -> (IpAddr, String) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(X_FORWARDED_FOR.clone(), value);
    }
    let (text, port) = (HeaderValue::from_static("127.0.0.1"), HeaderValue::from_static("80"));
    let trusted: Vec<Cidr> = "127.0.0.0/8".parse().into_iter().collect();
    let peer = Peer {
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        text: &text,
        trust: Trust::Trusted,
        trusted: &trusted,
        scheme: "http",
        port: &port,
        server: None,
        allowed: Allowed::NOTHING,
    };
    let chain = chain(&headers, &peer);
    (client_address(&headers, &peer), String::from_utf8_lossy(chain.as_bytes()).into_owned())
}
