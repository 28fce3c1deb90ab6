//! Heads of responses: those of endpoints are read, those for clients are written (RFC 9112 sections 4 to 6).

#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;

use bytes::{Buf as _, BytesMut};
use http::{HeaderMap, Method, StatusCode, Version, header};
use memchr::memchr;

use super::{
    Keeps, Length,
    body::{Decoder, Encoder},
    fields::{self, Spans},
};
use crate::proxy::{
    present::{Field, Present},
    received::{Lines, Received},
};

// === from an endpoint ===

/// The most that a head may have: of fields, and of bytes.
const FIELDS: usize = 128;
const BYTES: usize = 256 << 10;

/// A response's head as it came, and what it says of what follows.
#[derive(Debug)]
pub(in crate::proxy) struct Head {
    pub(in crate::proxy) received: Received,
    /// How the body is told.
    pub(in crate::proxy) body: Decoder,
    /// Whether the endpoint keeps the connection open afterwards.
    pub(in crate::proxy) keeps: Keeps,
}

/// What the fields say of the body and of the connection.
struct Told {
    length: Option<u64>,
    coding: Coding,
    keeps: Keeps,
}

#[derive(Clone, Copy)]
enum Coding {
    None,
    Chunked,
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
    let has_no_body = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || *asked == Method::HEAD;
    let plain = (!status.is_informational()).then(|| plain(parsed.headers, version)).flatten();
    let (received, told) = if let Some((lines, told)) = plain {
        input.advance(length);
        (Received::of_lines(status, lines), told)
    } else {
        let spans = Spans::of(parsed.headers, input);
        let headers = spans.map(&input.split_to(length).freeze()).ok_or("it has an invalid field")?;
        let told = if has_no_body {
            Told { length: None, coding: Coding::None, keeps: keeps(&headers, version) }
        } else {
            told(&headers, version)?
        };
        (Received::new(status, headers), told)
    };
    let (body, keeps) = if has_no_body { (Decoder::none(), told.keeps) } else { framing(&told) };
    Ok(Some(Head { received, body, keeps }))
}

/// The fields as lines, and what they say of the body and of the connection, if that is said in the plainest way and
/// nobody in between has to know more.
fn plain(fields: &[httparse::Header<'_>], version: Version) -> Option<(Lines, Told)> {
    let mut lines =
        Lines::with_room(fields.iter().map(|field| field.name.len() + field.value.len() + 4).sum());
    let keeps = if version == Version::HTTP_10 { Keeps::Closes } else { Keeps::Open };
    let mut told = Told { length: None, coding: Coding::None, keeps };
    let mut is_connection_told = false;
    for field in fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        let says = |word: &[u8]| field.value.eq_ignore_ascii_case(word);
        // By length first: a comparison for most names.
        match field.name.len() {
            2 if is("te") => return None,
            4 if is("date") => lines.is_dated = true,
            7 if is("trailer") || is("upgrade") => return None,
            10 if is("keep-alive") => continue,
            10 if is("connection") => {
                told.keeps = match () {
                    () if is_connection_told => return None,
                    () if says(b"keep-alive") => Keeps::Open,
                    () if says(b"close") => Keeps::Closes,
                    () => return None,
                };
                is_connection_told = true;
                continue;
            }
            14 if is("content-length") => {
                if told.length.is_some() {
                    return None;
                }
                told.length = Some(fields::number(field.value)?);
                continue;
            }
            // Ours alone to write.
            15 if is("portolan-reason") => return None,
            16 if is("proxy-connection") => continue,
            16 if is("www-authenticate") => return None,
            17 if is("transfer-encoding") => {
                if version == Version::HTTP_10 || !matches!(told.coding, Coding::None) || !says(b"chunked") {
                    return None;
                }
                told.coding = Coding::Chunked;
                continue;
            }
            18 if is("proxy-authenticate") => return None,
            _ => {}
        }
        lines.add(field.name, field.value);
    }
    lines.length = told.length;
    let is_told_twice = told.length.is_some() && matches!(told.coding, Coding::Chunked);
    (!is_told_twice).then_some((lines, told))
}

fn told(headers: &HeaderMap, version: Version) -> Result<Told, &'static str> {
    let coding = coding(headers, version)?;
    Ok(Told { length: fields::content_length(headers)?, coding, keeps: keeps(headers, version) })
}

fn keeps(headers: &HeaderMap, version: Version) -> Keeps {
    fields::keeps(headers, Present::of(headers), version)
}

/// How the body is coded for the way. Nobody has asked for more than chunks, and what else there is could not be told
/// anyone: the client would take the code for the body (RFC 9112 section 6.1, on HTTP/1.0 too).
fn coding(headers: &HeaderMap, version: Version) -> Result<Coding, &'static str> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(Coding::None),
        (Some(coding), None)
            if version != Version::HTTP_10
                && coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(Coding::Chunked)
        }
        (Some(_), _) => Err("its Transfer-Encoding is not just chunked"),
    }
}

/// RFC 9112 section 6.3.
fn framing(told: &Told) -> (Decoder, Keeps) {
    match (told.coding, told.length) {
        (Coding::Chunked, None) => (Decoder::chunked(), told.keeps),
        // Told in two ways: what comes after it is not believed.
        (Coding::Chunked, Some(_)) => (Decoder::chunked(), Keeps::Closes),
        (Coding::None, None) => (Decoder::until_close(), Keeps::Closes),
        (Coding::None, Some(0)) => (Decoder::none(), told.keeps),
        (Coding::None, Some(length)) => (Decoder::sized(length), told.keeps),
    }
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
    head: &mut Received,
    asked: Asked,
    length: Length,
    date: &[u8],
    out: &mut Vec<u8>,
) -> (Option<Encoder>, Keeps) {
    let status = head.status;
    write_line(asked.version, status, out);
    let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
    let told = head.fields.length();
    let (framing, encoder, ends) = framed(status, told, asked, length);
    let mut closes = is_switch || asked.keeps == Keeps::Closes || ends == Keeps::Closes;
    let is_dated = if let Some(lines) = head.fields.lines() {
        out.extend_from_slice(lines.as_bytes());
        lines.is_dated
    } else {
        let headers = head.fields.map();
        let present = Present::of(headers);
        closes |= !is_switch && fields::keeps(headers, present, Version::HTTP_11) == Keeps::Closes;
        write_fields(headers, status, out);
        present.has(Field::Date)
    };
    let (told_now, is_chunked) = match framing {
        Framing::None => (None, false),
        Framing::AsTold => (told, false),
        Framing::Length(length) => (Some(length), false),
        Framing::Chunks => (None, true),
    };
    if let Some(length) = told_now {
        out.extend_from_slice(b"content-length: ");
        fields::write_number(length, out);
        out.extend_from_slice(b"\r\n");
    }
    if is_chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
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

/// Writes all but what tells of the body, and of the connection unless that switches.
fn write_fields(headers: &HeaderMap, status: StatusCode, out: &mut Vec<u8>) {
    let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in headers {
        match *name {
            header::CONTENT_LENGTH | header::TRANSFER_ENCODING => {}
            header::CONNECTION if !is_switch => {}
            _ => fields::write(name.as_str().as_bytes(), value.as_bytes(), out),
        }
    }
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
    told: Option<u64>,
    asked: Asked,
    length: Length,
) -> (Framing, Option<Encoder>, Keeps) {
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        return (Framing::None, None, Keeps::Open);
    }
    let has_none = status == StatusCode::NOT_MODIFIED;
    if has_none || asked.is_head {
        let framing = match length {
            Length::Known(bytes) if told.is_none() && !has_none => Framing::Length(bytes),
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
