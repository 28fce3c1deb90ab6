//! Is this head a request that can be served, and what does it ask for? Pure.
//!
//! Framing was checked before, byte by byte ([`crate::proxy::framing`]); here is what the parsed head can show.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use http::{HeaderValue, Method, Uri, Version, header, request::Parts};
use memchr::memchr;

use super::refusal::Refusal;
use crate::{
    model::Allowed,
    route::path::{self, InvalidPath},
};

/// A head that passed. It borrows nothing from the head, which is edited on its way to the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    host: HostText,
    path: PathText,
    pub(super) scope: Scope,
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Resource,
    /// `OPTIONS *`, or no hop is left: the server itself.
    Server,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostText {
    /// The first bytes of the field as it came.
    Field {
        value: HeaderValue,
        length: usize,
    },
    Lower(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PathText {
    Canonical(Uri),
    Changed(String),
}

/// Host and port of an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Authority<'a> {
    /// Without the trailing dot.
    host: &'a str,
    port: Option<u16>,
}

// === impl Target ===

impl Target {
    pub(super) fn of(head: &Parts, allowed: Allowed) -> Result<Self, Refusal> {
        match head.method {
            // A tunnel to anywhere, and a mirror of cookies: neither is a reverse proxy's to give.
            Method::CONNECT | Method::TRACE => return Err(Refusal::Method),
            _ => {}
        }
        if !matches!(head.uri.scheme_str(), None | Some("http" | "https")) {
            return Err(Refusal::Host("the target is of a scheme that is not served here"));
        }
        let host = host(head)?;
        let raw = head.uri.path();
        // A query alone: behind the authority of HTTP/1 it means the root (RFC 9112 section 3.2.1); HTTP/2 has no such.
        let lacks_path = head.uri.path_and_query().is_some_and(|target| target.as_str().starts_with('?'));
        let path = match (raw, &head.method) {
            ("*", &Method::OPTIONS) => {
                let path = PathText::Changed("/".to_owned());
                return Ok(Self { host, path, scope: Scope::Server });
            }
            (_, _) if lacks_path && head.version == Version::HTTP_2 => {
                return Err(Refusal::Path(InvalidPath::NotAbsolute));
            }
            (_, _) if lacks_path => PathText::Changed("/".to_owned()),
            (_, _) => match path::canonical_if(raw, allowed).map_err(Refusal::Path)? {
                Cow::Borrowed(_) => PathText::Canonical(head.uri.clone()),
                Cow::Owned(path) => PathText::Changed(path),
            },
        };
        Ok(Self { host, path, scope: scope(head) })
    }

    /// Lower case, without port and trailing dot.
    pub(super) fn host(&self) -> &str {
        match &self.host {
            // It was found to be ASCII.
            HostText::Field { value, length } => {
                value.to_str().ok().and_then(|value| value.get(..*length)).unwrap_or_default()
            }
            HostText::Lower(host) => host,
        }
    }

    /// In canonical form.
    pub(super) fn path(&self) -> &str {
        match &self.path {
            PathText::Canonical(uri) => uri.path(),
            PathText::Changed(path) => path,
        }
    }

    /// Whether the client wrote the path in its canonical form.
    pub(super) fn is_path_unchanged(&self) -> bool {
        matches!(self.path, PathText::Canonical(_))
    }
}

/// Who is asked about its options is whoever the client has counted out (RFC 9110 section 7.6.2).
fn scope(head: &Parts) -> Scope {
    let is_counted_out = head.method == Method::OPTIONS && hops_left(head) == Some(0);
    if is_counted_out { Scope::Server } else { Scope::Resource }
}

/// How many more may forward the request, if its client has said so.
fn hops_left(head: &Parts) -> Option<u32> {
    let value = head.headers.get(header::MAX_FORWARDS)?.to_str().ok()?;
    value.trim().parse().ok()
}

/// Makes a head that has passed one that can go on: it names its host, and one hop less is left to it.
pub(super) fn complete(head: &mut Parts) {
    if let Some(authority) = head.uri.authority()
        && !head.headers.contains_key(header::HOST)
        && let Ok(host) = HeaderValue::try_from(authority.as_str())
    {
        head.headers.insert(header::HOST, host);
    }
    if head.method == Method::OPTIONS
        && let Some(left) = hops_left(head)
    {
        head.headers.insert(header::MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
}

fn host(head: &Parts) -> Result<HostText, Refusal> {
    let mut fields = head.headers.get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (Some(field), None) => Some(field),
        (None, _) if head.version == Version::HTTP_10 => None,
        (None, _) => return Err(Refusal::Host("there is no Host")),
        (Some(_), Some(_)) => return Err(Refusal::Host("there is more than one Host")),
    };
    let named = field.map(|field| parse(field.to_str().map_err(|_| INVALID)?)).transpose()?;
    let asked = head.uri.authority().map(|authority| parse(authority.as_str())).transpose()?;
    if let (Some(named), Some(asked)) = (named, asked) {
        let default = if head.uri.scheme_str() == Some("https") { 443 } else { 80 };
        let same_port = named.port.unwrap_or(default) == asked.port.unwrap_or(default);
        if !named.host.eq_ignore_ascii_case(asked.host) || !same_port {
            return Err(Refusal::Host("Host differs from the target's authority"));
        }
    }
    let is_lower = |host: &str| !host.bytes().any(|byte| byte.is_ascii_uppercase());
    match (field, named.or(asked)) {
        (Some(field), Some(authority)) if is_lower(authority.host) => {
            Ok(HostText::Field { value: field.clone(), length: authority.host.len() })
        }
        (_, Some(authority)) => Ok(HostText::Lower(authority.host.to_ascii_lowercase())),
        (_, None) => Ok(HostText::Lower(String::new())),
    }
}

const INVALID: Refusal = Refusal::Host("Host is not a valid name");

/// `host`, `host:port`, `[v6]` or `[v6]:port`; nothing else, and no user in front.
fn parse(text: &str) -> Result<Authority<'_>, Refusal> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| INVALID)?;
            (&text[..address.len() + 2], port)
        }
        None => text.split_at(memchr(b':', text.as_bytes()).unwrap_or(text.len())),
    };
    let port = match port.strip_prefix(':') {
        // `host:` means the default port (RFC 3986 section 3.2.3).
        Some("") => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().map_err(|_| INVALID)?)
        }
        None if port.is_empty() => None,
        Some(_) | None => return Err(INVALID),
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_valid = host.starts_with('[') || (name.len() <= 253 && is_name(name.as_bytes()));
    if !is_valid {
        return Err(INVALID);
    }
    Ok(Authority { host: name, port })
}

/// Labels of letters, digits, `-` and `_`, with dots between them.
fn is_name(name: &[u8]) -> bool {
    let mut before = b'.';
    for byte in name {
        let fits = match byte {
            b'.' => before != b'.',
            _ => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
        };
        if !fits {
            return false;
        }
        before = *byte;
    }
    before != b'.'
}

/// The protocol that a client asks to switch to, if it is one that is let through.
pub(super) fn asks_for_websocket(head: &Parts) -> bool {
    head.version == Version::HTTP_11
        && head.method == Method::GET
        && head
            .headers
            .get(header::UPGRADE)
            .is_some_and(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"))
        && super::fields::connection_names(&head.headers, b"upgrade")
}
