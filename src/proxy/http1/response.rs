//! Heads of responses: those of endpoints are read, those for clients are written (RFC 9112 sections 4 to 6).

#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{HeaderMap, Method, Response, StatusCode, Version, header};
use memchr::memchr;

use super::{
    Keeps, Length,
    body::{Decoder, Encoder},
    fields::{self, Spans},
};

// === from an endpoint ===

/// The most that a head may have: of fields, and of bytes.
const FIELDS: usize = 128;
const BYTES: usize = 256 << 10;

/// A response's head as it came, and what it says of what follows.
#[derive(Debug)]
pub(in crate::proxy) struct Head {
    pub(in crate::proxy) response: Response<()>,
    /// How the body is told.
    pub(in crate::proxy) body: Decoder,
    /// Whether the endpoint keeps the connection open afterwards.
    pub(in crate::proxy) keeps: Keeps,
}

/// Takes a head off the front of `input`, if all of it is there. `new` is where the bytes begin that were not looked at
/// yet: without the end of a line among them there is no end of a head.
pub(in crate::proxy) fn read(
    input: &mut BytesMut,
    new: usize,
    asked: &Method,
) -> Result<Option<Head>, &'static str> {
    if memchr(b'\n', &input[new..]).is_none() {
        return if input.len() > BYTES { Err("its head is too long") } else { Ok(None) };
    }
    let mut lines = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let result =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, input, &mut lines);
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
    let spans = Spans::<FIELDS>::of(parsed.headers, input);
    let headers = spans.map(&input.split_to(length).freeze()).ok_or("it has an invalid field")?;
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
    let keeps = fields::keeps(headers, response.version());
    if status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || *asked == Method::HEAD
    {
        return Ok((Decoder::none(), keeps));
    }
    let length = fields::content_length(headers)?;
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

// === to a client ===

/// What a client has asked for, as far as it decides how the answer is written.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Asked {
    pub(in crate::proxy) version: Version,
    pub(in crate::proxy) is_head: bool,
    /// Whether its connection is kept, if the answer does not say otherwise.
    pub(in crate::proxy) keeps: Keeps,
}

/// Writes the head of an answer. Framing is told here, whatever the fields say of it. `None` where no body may follow.
pub(in crate::proxy) fn write(
    (status, headers): (StatusCode, &HeaderMap),
    asked: Asked,
    length: Length,
    date: &[u8],
    out: &mut Vec<u8>,
) -> (Option<Encoder>, Keeps) {
    write_line(asked.version, status, out);
    let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
    let (framing, encoder, ends) = framed(status, headers, asked, length);
    let mut closes = is_switch || asked.keeps == Keeps::Closes || ends == Keeps::Closes;
    let mut is_dated = false;
    for (name, value) in headers {
        match *name {
            header::CONTENT_LENGTH if framing != Framing::AsTold => continue,
            header::TRANSFER_ENCODING => continue,
            header::CONNECTION if !is_switch => {
                closes |= fields::keeps(headers, Version::HTTP_11) == Keeps::Closes;
                continue;
            }
            header::DATE => is_dated = true,
            _ => {}
        }
        fields::write(name.as_str().as_bytes(), value.as_bytes(), out);
    }
    match framing {
        Framing::None | Framing::AsTold => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            fields::write_number(length, out);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunks => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    if !is_dated && !status.is_informational() {
        fields::write(b"date", date, out);
    }
    match (closes, asked.version) {
        _ if is_switch => {}
        (true, _) => out.extend_from_slice(b"connection: close\r\n"),
        (false, Version::HTTP_10) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (false, _) => {}
    }
    out.extend_from_slice(b"\r\n");
    (encoder, if closes { Keeps::Closes } else { Keeps::Open })
}

/// Writes the head of an interim answer (RFC 9110 section 15.2).
pub(in crate::proxy) fn write_interim(status: StatusCode, headers: &HeaderMap, out: &mut Vec<u8>) {
    write_line(Version::HTTP_11, status, out);
    for (name, value) in headers {
        fields::write(name.as_str().as_bytes(), value.as_bytes(), out);
    }
    out.extend_from_slice(b"\r\n");
}

fn write_line(version: Version, status: StatusCode, out: &mut Vec<u8>) {
    out.reserve(ROOM);
    out.extend_from_slice(if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("Unknown").as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// For most heads.
const ROOM: usize = 512;

/// How a head tells of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    /// As the fields have it: there is no body, they tell of one that might be.
    AsTold,
    Length(u64),
    Chunks,
}

fn framed(
    status: StatusCode,
    headers: &HeaderMap,
    asked: Asked,
    length: Length,
) -> (Framing, Option<Encoder>, Keeps) {
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        return (Framing::None, None, Keeps::Open);
    }
    let is_told = headers.contains_key(header::CONTENT_LENGTH);
    let has_none = status == StatusCode::NOT_MODIFIED;
    if has_none || asked.is_head {
        let framing = match length {
            Length::Known(bytes) if !is_told && !has_none => Framing::Length(bytes),
            Length::Known(_) | Length::None | Length::Unknown => Framing::AsTold,
        };
        return (framing, None, Keeps::Open);
    }
    match length {
        Length::None => (Framing::Length(0), None, Keeps::Open),
        Length::Known(bytes) => (Framing::Length(bytes), Some(Encoder::sized(bytes)), Keeps::Open),
        Length::Unknown if asked.version == Version::HTTP_10 => {
            (Framing::None, Some(Encoder::until_close()), Keeps::Closes)
        }
        Length::Unknown => (Framing::Chunks, Some(Encoder::chunked()), Keeps::Open),
    }
}
