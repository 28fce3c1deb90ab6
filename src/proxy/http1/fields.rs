//! Header fields: from the bytes of a head without a copy, and back.

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, Entry},
};

use super::Keeps;
use crate::proxy::present::{Field, Present};

/// Where fields are in the bytes of a head: these are taken off the input, without a copy, while nothing borrows from it.
pub(super) struct Spans(Vec<Span>);

struct Span {
    name: (u32, u32),
    value: (u32, u32),
}

// === impl Spans ===

impl Spans {
    /// Where these fields, which are parts of `input`, are in it.
    pub(super) fn of(fields: &[httparse::Header<'_>], input: &[u8]) -> Self {
        let span = |field: &httparse::Header<'_>| Span {
            name: place(field.name.as_bytes(), input),
            value: place(field.value, input),
        };
        Self(fields.iter().map(span).collect())
    }

    /// The fields; `None` where one is not valid.
    pub(super) fn map(&self, bytes: &Bytes) -> Option<HeaderMap> {
        let mut headers = HeaderMap::with_capacity(self.0.len() + Self::ROOM);
        for Span { name, value } in &self.0 {
            let name = HeaderName::from_bytes(&bytes[range(*name)]).ok()?;
            let value = HeaderValue::from_maybe_shared(bytes.slice(range(*value))).ok()?;
            headers.append(name, value);
        }
        Some(headers)
    }

    /// For what is added later, without growing.
    const ROOM: usize = 2;
}

/// Whether a client waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1).
pub(in crate::proxy) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Where a part of `whole` begins, and how long it is: a head is far shorter than four gigabytes. What is empty may be
/// anywhere.
pub(super) fn place(part: &[u8], whole: &[u8]) -> (u32, u32) {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    if part.is_empty() {
        return (0, 0);
    }
    (number(part.as_ptr().addr() - whole.as_ptr().addr()), number(part.len()))
}

pub(super) fn range((start, length): (u32, u32)) -> std::ops::Range<usize> {
    start as usize..start as usize + length as usize
}

/// Writes a line.
pub(in crate::proxy) fn write(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes a number in digits.
pub(in crate::proxy) fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// All lengths that are told, where they are the same.
pub(super) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for part in value.as_bytes().split(|byte| *byte == b',') {
            let number = number(part.trim_ascii()).ok_or("its Content-Length is no number")?;
            if length.is_some_and(|known| known != number) {
                return Err("it has two different lengths");
            }
            length = Some(number);
        }
    }
    Ok(length)
}

/// A number in digits only.
pub(in crate::proxy) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// What a head says of its connection (RFC 9112 section 9.3).
pub(super) fn keeps(headers: &HeaderMap, present: Present, version: http::Version) -> Keeps {
    let mut keeps = if version == http::Version::HTTP_10 { Keeps::Closes } else { Keeps::Open };
    if !present.has(Field::Connection) {
        return keeps;
    }
    for value in headers.get_all(header::CONNECTION) {
        for option in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                return Keeps::Closes;
            }
            if option.eq_ignore_ascii_case(b"keep-alive") {
                keeps = Keeps::Open;
            }
        }
    }
    keeps
}

/// The fields that `Trailer` announces.
pub(in crate::proxy) fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::TRAILER).into_iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect()
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
