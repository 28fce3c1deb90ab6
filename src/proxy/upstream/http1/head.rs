//! The heads of HTTP/1 towards an endpoint: requests are written, responses are read (RFC 9112 sections 2 to 6). Pure.

#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{self, Entry},
};
use memchr::memchr;

use super::body::{Decoder, Encoder};

/// The most that a head may have: of fields, and of bytes.
const FIELDS: usize = 128;
pub(super) const BYTES: usize = 256 << 10;

/// A response's head as it came, and what it says of what follows.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    /// How the body is told.
    pub(super) body: Decoder,
    /// Whether the endpoint keeps the connection open afterwards.
    pub(super) keeps: Keeps,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    Open,
    Closes,
}

// === requests ===

/// How long the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// There is none.
    None,
    Known(u64),
    Unknown,
}

/// Writes a head. Framing is told here, whatever the fields say of it.
pub(super) fn write<B>(request: &Request<B>, length: Length, out: &mut Vec<u8>) -> Encoder {
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        let is_framing = match *name {
            header::TRANSFER_ENCODING => true,
            // An empty body may be told or not: it goes on as it came.
            header::CONTENT_LENGTH => length != Length::None || value != "0",
            _ => false,
        };
        if !is_framing {
            field(name.as_str().as_bytes(), value.as_bytes(), out);
        }
    }
    let encoder = match length {
        Length::None => Encoder::sized(0),
        Length::Known(bytes) => {
            // A number is at most twenty digits.
            field(b"content-length", bytes.to_string().as_bytes(), out);
            Encoder::sized(bytes)
        }
        Length::Unknown => {
            field(b"transfer-encoding", b"chunked", out);
            Encoder::chunked()
        }
    };
    out.extend_from_slice(b"\r\n");
    encoder
}

pub(super) fn field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

// === responses ===

/// Where a field is in the bytes of a head.
#[derive(Clone, Copy)]
struct Span {
    name: (usize, usize),
    value: (usize, usize),
}

/// Takes a head off the front of `input`, if all of it is there. `new` is where the bytes begin that were not looked at
/// yet: without the end of a line among them there is no end of a head.
pub(super) fn read(input: &mut BytesMut, new: usize, asked: &Method) -> Result<Option<Head>, &'static str> {
    if memchr(b'\n', &input[new..]).is_none() {
        return if input.len() > BYTES { Err("its head is too long") } else { Ok(None) };
    }
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let result =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, input, &mut fields);
    let length = match result {
        Ok(httparse::Status::Complete(length)) if length <= BYTES => length,
        Ok(httparse::Status::Partial) if input.len() <= BYTES => return Ok(None),
        Ok(_) => return Err("its head is too long"),
        Err(httparse::Error::TooManyHeaders) => return Err("its head has too many fields"),
        Err(httparse::Error::Version) => return Err("its version is not HTTP/1"),
        Err(_) => return Err("its head cannot be read"),
    };
    let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let status =
        parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or("its status is no status")?;
    // Offsets instead of slices: the bytes are to be taken off the input without a copy.
    let base = input.as_ptr().addr();
    let range = |part: &[u8]| (part.as_ptr().addr() - base, part.len());
    let mut spans = [Span { name: (0, 0), value: (0, 0) }; FIELDS];
    let count = parsed.headers.len();
    for (span, field) in spans.iter_mut().zip(&*parsed.headers) {
        *span = Span { name: range(field.name.as_bytes()), value: range(field.value) };
    }
    let bytes = input.split_to(length).freeze();
    let mut headers = HeaderMap::with_capacity(count);
    for Span { name, value } in &spans[..count] {
        let name =
            HeaderName::from_bytes(&bytes[name.0..name.0 + name.1]).map_err(|_| "it has an invalid field")?;
        let value = bytes.slice(value.0..value.0 + value.1);
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| "it has an invalid field")?;
        headers.append(name, value);
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = version;
    *response.headers_mut() = headers;
    let (body, keeps) = framing(&response, asked)?;
    Ok(Some(Head { response, body, keeps }))
}

/// RFC 9112 section 6.3.
fn framing(response: &Response<()>, asked: &Method) -> Result<(Decoder, Keeps), &'static str> {
    let (status, headers) = (response.status(), response.headers());
    let keeps = keeps(response);
    if status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || *asked == Method::HEAD
    {
        return Ok((Decoder::none(), keeps));
    }
    let length = content_length(headers)?;
    if let Some(coding) = headers.get_all(header::TRANSFER_ENCODING).iter().next_back() {
        let is_chunked = coding.as_bytes().rsplit(|byte| *byte == b',').next();
        let is_chunked = is_chunked.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
        return Ok(match (is_chunked && response.version() != Version::HTTP_10, length) {
            (true, None) => (Decoder::chunked(), keeps),
            // Told in two ways: what comes after it is not believed.
            (true, Some(_)) => (Decoder::chunked(), Keeps::Closes),
            (false, _) => (Decoder::until_close(), Keeps::Closes),
        });
    }
    Ok(match length {
        Some(0) => (Decoder::none(), keeps),
        Some(length) => (Decoder::sized(length), keeps),
        None => (Decoder::until_close(), Keeps::Closes),
    })
}

/// All lengths that are told, where they are the same.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for part in value.as_bytes().split(|byte| *byte == b',') {
            let digits = part.trim_ascii();
            let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
            let number =
                std::str::from_utf8(digits).ok().filter(|_| is_number).and_then(|text| text.parse().ok());
            let number: u64 = number.ok_or("its Content-Length is no number")?;
            if length.is_some_and(|known| known != number) {
                return Err("it has two different lengths");
            }
            length = Some(number);
        }
    }
    Ok(length)
}

/// RFC 9112 section 9.3.
fn keeps(response: &Response<()>) -> Keeps {
    let names = |option: &[u8]| {
        let values = response.headers().get_all(header::CONNECTION).into_iter();
        values
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .any(|named| named.trim_ascii().eq_ignore_ascii_case(option))
    };
    let is_kept = match response.version() {
        Version::HTTP_10 => names(b"keep-alive") && !names(b"close"),
        _ => !names(b"close"),
    };
    if is_kept { Keeps::Open } else { Keeps::Closes }
}

/// Reads trailers to the empty line that ends them (RFC 9112 section 7.1.2).
pub(super) fn read_trailers(input: &mut BytesMut) -> Result<Option<HeaderMap>, &'static str> {
    const FIELDS: usize = 64;
    const BYTES: usize = 16 << 10;
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let (length, trailers) = match httparse::parse_headers(input, &mut fields) {
        Ok(httparse::Status::Complete((length, fields))) => {
            let mut trailers = HeaderMap::with_capacity(fields.len());
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes());
                let value = HeaderValue::from_bytes(field.value);
                if let (Ok(name), Ok(value)) = (name, value) {
                    match trailers.entry(name) {
                        Entry::Occupied(mut entry) => entry.append(value),
                        Entry::Vacant(entry) => drop(entry.insert(value)),
                    }
                }
            }
            (length, trailers)
        }
        Ok(httparse::Status::Partial) if input.len() <= BYTES => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err("its trailers are too long");
        }
        Err(_) => return Err("its trailers cannot be read"),
    };
    let _ = input.split_to(length);
    Ok(Some(trailers))
}
