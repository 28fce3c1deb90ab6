//! Makes the head of a request of HTTP/2 what one of HTTP/1.1 would be: `Host`, one `Cookie`, a target in origin form.
//! What only HTTP/2 can get wrong is refused here or was before, by its parser. Pure.

#[cfg(test)]
mod tests;

use h2::ext::Protocol;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, request::Parts};
use memchr::memchr;

use super::{Wants, refusal::Refusal};

/// Checks a head, gives it its `Host`, and tells what its client wants. The target keeps its authority, which is to be
/// compared with `Host` still.
pub(super) fn adopt(head: &mut Parts, most_fields: usize) -> Result<Wants, Refusal> {
    if head.headers.len() > most_fields {
        return Err(Refusal::Fields);
    }
    if !head.headers.iter().all(|(name, value)| is_sendable(name, value)) {
        return Err(Refusal::Field);
    }
    let wants = match (&head.method, head.extensions.get::<Protocol>()) {
        (&Method::CONNECT, Some(protocol)) if protocol.as_str().eq_ignore_ascii_case("websocket") => {
            head.method = Method::GET;
            Wants::WebSocket
        }
        (&Method::CONNECT, _) => return Err(Refusal::Method),
        (_, _) => Wants::Http,
    };
    let lengths = head.headers.get_all(header::CONTENT_LENGTH);
    if lengths.iter().nth(1).is_some()
        || lengths.iter().any(|length| length.is_empty() || !length.as_bytes().iter().all(u8::is_ascii_digit))
    {
        return Err(Refusal::Length);
    }
    // What follows a request to connect is no body, however long it is said to be.
    if wants == Wants::WebSocket && lengths.iter().any(|length| length != "0") {
        return Err(Refusal::Length);
    }
    if !head.headers.contains_key(header::HOST)
        && let Some(authority) = head.uri.authority()
    {
        let host = HeaderValue::try_from(authority.as_str());
        head.headers.insert(header::HOST, host.map_err(|_| Refusal::Host("Host is not a valid name"))?);
    }
    join_cookies(&mut head.headers);
    Ok(wants)
}

/// Whether a field means the same in HTTP/1: a parser of that trims what is around a value, and takes no quote for a name
/// (RFC 9113 section 8.2.1).
fn is_sendable(name: &HeaderName, value: &HeaderValue) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = value.as_bytes();
    !is_blank(bytes.first()) && !is_blank(bytes.last()) && memchr(b'"', name.as_str().as_bytes()).is_none()
}

/// A cookie may come in parts, of which HTTP/1 knows nothing (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let parts: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // Parts of valid values are a valid value.
    if let Ok(whole) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
        headers.insert(header::COOKIE, whole);
    }
}

/// Takes scheme and authority away.
pub(super) fn to_origin_form(head: &mut Parts) {
    if let Some(path) = head.uri.path_and_query() {
        head.uri = Uri::from(path.clone());
    }
}

/// The handshake of RFC 6455, which a backend of HTTP/1.1 wants, instead of that of RFC 8441.
pub(super) fn ask_for_websocket(head: &mut Parts, random: [u64; 2]) {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random[0].to_be_bytes());
    bytes[8..].copy_from_slice(&random[1].to_be_bytes());
    if let Ok(key) = HeaderValue::from_bytes(&base64(bytes)) {
        head.headers.insert(header::SEC_WEBSOCKET_KEY, key);
    }
}

/// Of sixteen bytes (RFC 4648 section 4).
fn base64(bytes: [u8; 16]) -> [u8; 24] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = [b'='; 24];
    for (group, digits) in bytes.chunks(3).zip(text.chunks_mut(4)) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (index, digit) in digits.iter_mut().enumerate().take(group.len() + 1) {
            *digit = DIGITS[(bits >> (18 - 6 * index) & 63) as usize];
        }
    }
    text
}
