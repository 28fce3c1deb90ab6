//! What must hold for any bytes at the proxy's seams: by fuzzing for many, in the tests for the seeds and what is close to
//! them. Not a part of the program.
#![expect(clippy::missing_panics_doc, reason = "a panic is how a check fails")]

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use bytes::BytesMut;

use super::{
    connection::preamble,
    framing::Scanner,
    http,
    http1::{
        Length,
        body::Decoder,
        request::{self, Head},
    },
    upstream,
};

/// Where a message begins and ends does not depend on how its bytes are cut.
pub fn framing(bytes: &[u8]) {
    let verdict = |cut: usize| {
        let mut scanner = Scanner::new();
        let mut before = 0;
        for part in bytes.chunks(cut.max(1)) {
            match scanner.feed(part) {
                Ok(()) => before += part.len(),
                Err(refused) => return Err(before + refused.0),
            }
        }
        Ok(scanner.state())
    };
    let whole = verdict(bytes.len());
    for cut in [1, 2, 7] {
        assert_eq!(verdict(cut), whole, "in parts of {cut}: {:?}", String::from_utf8_lossy(bytes));
    }
}

/// Requests are read alike however their bytes are cut, and what is written for an endpoint is read as that one request.
pub fn request(bytes: &[u8]) {
    let mut scanner = Scanner::new();
    let bytes = scanner.feed(bytes).map_or_else(|refused| &bytes[..refused.0], |()| bytes);
    let whole = requests(bytes, bytes.len());
    for cut in [1, 2, 7] {
        assert_eq!(requests(bytes, cut), whole, "in parts of {cut}: {:?}", String::from_utf8_lossy(bytes));
    }
    // What has no path is refused before it is written.
    for asked in whole.into_iter().filter(|asked| asked.is_whole && asked.target.starts_with(['/', '*'])) {
        for length in [Length::Known(asked.body.len() as u64), Length::Unknown] {
            let length = if asked.body.is_empty() { Length::None } else { length };
            let mut out = Vec::new();
            let each = |put: &mut dyn FnMut(&HeaderName, &HeaderValue)| {
                asked.fields.iter().for_each(|(name, value)| put(name, value));
            };
            let mut encoder = request::write(&asked.method, &asked.target, length, &mut out, each);
            let mut end = Vec::new();
            let piece = encoder.encode(asked.body.clone().into(), &mut out);
            assert!(piece.is_ok() && encoder.end(None, &[], &mut end).is_ok());
            out.extend(piece.into_iter().flat_map(|piece| [&piece.data, piece.after].concat()));
            if length != Length::None {
                out.extend(end);
            }
            let again = requests(&out, out.len());
            let is_same = |again: &Asked| {
                (&again.method, &again.target, &again.body) == (&asked.method, &asked.target, &asked.body)
                    && again.is_whole
            };
            assert!(again.len() == 1 && is_same(&again[0]), "{asked:?} became {again:?}");
        }
    }
}

/// A request as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    method: Method,
    target: String,
    /// Without those that tell of the body.
    fields: HeaderMap,
    body: Vec<u8>,
    is_whole: bool,
}

/// Reads requests that come in parts of so many bytes, until one is refused.
fn requests(bytes: &[u8], cut: usize) -> Vec<Asked> {
    let (mut input, mut seen, mut asked) = (BytesMut::new(), 0, Vec::<Asked>::new());
    let mut coming = Decoder::none();
    for part in bytes.chunks(cut.max(1)) {
        input.extend_from_slice(part);
        loop {
            match (coming.is_done(), asked.last_mut()) {
                (false, Some(last)) => match coming.decode(&mut input) {
                    Ok(Some(frame)) => last.body.extend(frame.into_data().into_iter().flatten()),
                    Ok(None) if coming.is_done() => last.is_whole = true,
                    Ok(None) => break,
                    Err(_) => return asked,
                },
                (_, _) if input.is_empty() => break,
                (_, _) => {
                    let Ok(head) = request::read(&mut input, seen, 64 << 10) else { return asked };
                    let Some(Head { parts, body, .. }) = head else {
                        seen = input.len();
                        break;
                    };
                    (seen, coming) = (0, body);
                    let mut head = *parts;
                    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
                        head.headers.remove(name);
                    }
                    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
                    asked.push(Asked {
                        target: head.uri.path().to_owned() + &query,
                        method: head.method,
                        fields: head.headers,
                        body: Vec::new(),
                        is_whole: coming.is_done(),
                    });
                }
            }
            if coming.is_done()
                && let Some(last) = asked.last_mut()
            {
                last.is_whole = true;
            }
        }
    }
    asked
}

/// A backend's answer is read alike however its bytes are cut, and never more of it than there is.
pub fn answer(bytes: &[u8]) {
    let whole = upstream::read_answer(bytes, bytes.len());
    for cut in [1, 2, 7] {
        let parts = upstream::read_answer(bytes, cut);
        assert_eq!(parts, whole, "in parts of {cut}: {:?}", String::from_utf8_lossy(bytes));
    }
    assert!(whole.is_none_or(|(_, body, _)| body.len() <= bytes.len()));
}

/// A PROXY header names a client or is refused.
pub fn introduction(bytes: &[u8]) {
    let named = preamble::of_bytes(bytes);
    assert!(named.is_none_or(|client| !bytes.is_empty() && client.to_string().len() > 2));
}

/// Whatever trusted proxies have handed on, the client is somebody that they named, or the last of them.
pub fn forwarded(bytes: &[u8]) {
    let (client, chain) = http::forwarded_for(bytes);
    assert!(chain.ends_with("127.0.0.1"), "{chain:?}");
    let is_named = |entry: &str| {
        let entry = entry.trim();
        entry.parse().is_ok_and(|address: IpAddr| address.to_canonical() == client)
            || entry.contains(&client.to_string())
            || entry.contains(':')
    };
    assert!(chain.split(',').any(is_named), "{client} of {chain:?}");
}
