//! Heads of requests: those of clients are read, those for endpoints are written (RFC 9112 sections 3 to 6).

#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header, request::Parts,
};
use memchr::memchr;

use super::{
    Keeps, Length,
    body::{Decoder, Encoder},
    fields::{self, Spans},
};
use crate::proxy::present::{Field, Present};

// === from a client ===

/// Fields that a head may have.
const FIELDS: usize = 100;

/// A request's head as it came, and what it says of what follows.
#[derive(Debug)]
pub(in crate::proxy) struct Head {
    /// In a box: it is moved from hand to hand.
    pub(in crate::proxy) parts: Box<Parts>,
    pub(in crate::proxy) present: Present,
    /// How the body is told.
    pub(in crate::proxy) body: Decoder,
    /// Whether the client wants to keep the connection.
    pub(in crate::proxy) keeps: Keeps,
    /// Whether it waits to be told to send the body.
    pub(in crate::proxy) expects: bool,
}

/// Takes a head of at most `most` bytes off the front of `input`, if all of it is there. `new` is where the bytes begin
/// that were not looked at yet. An error is the status for what is none.
///
/// What several parsers could read differently was refused before ([`super::super::framing`]).
pub(in crate::proxy) fn read(
    input: &mut BytesMut,
    new: usize,
    most: usize,
) -> Result<Option<Head>, StatusCode> {
    const TOO_LONG: StatusCode = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    const INVALID: StatusCode = StatusCode::BAD_REQUEST;
    if memchr(b'\n', &input[new..]).is_none() {
        return if input.len() > most { Err(TOO_LONG) } else { Ok(None) };
    }
    let mut lines = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(input, &mut lines) {
        Ok(httparse::Status::Complete(length)) if length <= most => length,
        Ok(httparse::Status::Partial) if input.len() <= most => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(TOO_LONG),
        Err(_) => return Err(INVALID),
    };
    let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let method = Method::from_bytes(parsed.method.unwrap_or_default().as_bytes()).map_err(|_| INVALID)?;
    let target = fields::place(parsed.path.unwrap_or_default().as_bytes(), input);
    let spans = Spans::of(parsed.headers, input);
    let bytes = input.split_to(length).freeze();
    let uri = Uri::from_maybe_shared(bytes.slice(fields::range(target))).map_err(|_| INVALID)?;
    let headers = spans.map(&bytes).ok_or(INVALID)?;
    let present = Present::of(&headers);
    let body = framing(&headers, present, version).ok_or(INVALID)?;
    let keeps = fields::keeps(&headers, present, version);
    let expects =
        version == Version::HTTP_11 && present.has(Field::Expect) && fields::expects_continue(&headers);
    let mut parts = Box::new(Request::new(()).into_parts().0);
    (parts.method, parts.uri, parts.version, parts.headers) = (method, uri, version, headers);
    Ok(Some(Head { parts, present, body, keeps, expects }))
}

/// RFC 9112 section 6.3. `None` where it is told in two ways, or in one that this version does not have.
fn framing(headers: &HeaderMap, present: Present, version: Version) -> Option<Decoder> {
    if !present.has_any(&[Field::ContentLength, Field::TransferEncoding]) {
        return Some(Decoder::none());
    }
    let length = fields::content_length(headers).ok()?;
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next(), length) {
        (None, _, None | Some(0)) => Some(Decoder::none()),
        (None, _, Some(length)) => Some(Decoder::sized(length)),
        (Some(coding), None, None) if version == Version::HTTP_11 => {
            coding.as_bytes().eq_ignore_ascii_case(b"chunked").then(Decoder::chunked)
        }
        (Some(_), _, _) => None,
    }
}

// === to an endpoint ===

/// Writes a head. Framing is told here, whatever the fields say of it; `each` puts them one by one.
pub(in crate::proxy) fn write(
    method: &Method,
    target: &str,
    length: Length,
    out: &mut Vec<u8>,
    each: impl FnOnce(&mut dyn FnMut(&HeaderName, &HeaderValue)),
) -> Encoder {
    out.reserve(ROOM);
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    each(&mut |name, value| {
        let is_framing = match *name {
            header::TRANSFER_ENCODING => true,
            // An empty body may be told or not: it goes on as it came.
            header::CONTENT_LENGTH => length != Length::None || value != "0",
            _ => false,
        };
        if !is_framing {
            fields::write(name.as_str().as_bytes(), value.as_bytes(), out);
        }
    });
    let encoder = match length {
        Length::None => Encoder::sized(0),
        Length::Known(bytes) => {
            out.extend_from_slice(b"content-length: ");
            fields::write_number(bytes, out);
            out.extend_from_slice(b"\r\n");
            Encoder::sized(bytes)
        }
        Length::Unknown => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Encoder::chunked()
        }
    };
    out.extend_from_slice(b"\r\n");
    encoder
}

/// For most heads.
const ROOM: usize = 512;
