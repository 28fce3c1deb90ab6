//! What must hold for any bytes at the proxy's seams: by fuzzing for many, in the tests for the seeds and what is close to
//! them. Not a part of the program.
#![expect(clippy::missing_panics_doc, reason = "a panic is how a check fails")]

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use super::{connection::preamble, framing::Scanner, http, upstream};

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
