//! Bodies: where they end, and their chunks (RFC 9112 sections 6 and 7).

#[cfg(test)]
mod tests;

use std::io::Write as _;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName};
use http_body::{Frame, SizeHint};

use super::fields;

/// What of a body is to come.
#[derive(Debug)]
pub(in crate::proxy) struct Decoder(Coming);

#[derive(Debug)]
enum Coming {
    Nothing,
    Bytes(u64),
    Chunk(Chunk),
    UntilClose,
}

/// Where in a chunked body; each names what comes next.
#[derive(Clone, Copy, Debug)]
enum Chunk {
    Size,
    Bytes(u64),
    End,
    Trailers,
}

/// What of a body is still to be sent.
#[derive(Debug)]
pub(in crate::proxy) struct Encoder(Going);

#[derive(Debug)]
enum Going {
    Bytes(u64),
    Chunks,
    /// To the end of the connection: an old client knows no chunks.
    UntilClose,
}

/// A piece of a body as it is written.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Piece {
    pub(in crate::proxy) data: Bytes,
    /// What follows it on the wire.
    pub(in crate::proxy) after: &'static [u8],
}

// === impl Decoder ===

impl Decoder {
    /// The longest line that tells the size of a chunk.
    const SIZE_LINE: usize = 4 << 10;

    pub(in crate::proxy) fn none() -> Self {
        Self(Coming::Nothing)
    }

    pub(in crate::proxy) fn sized(bytes: u64) -> Self {
        Self(Coming::Bytes(bytes))
    }

    pub(in crate::proxy) fn chunked() -> Self {
        Self(Coming::Chunk(Chunk::Size))
    }

    pub(in crate::proxy) fn until_close() -> Self {
        Self(Coming::UntilClose)
    }

    /// Whether nothing more is to come.
    pub(in crate::proxy) fn is_done(&self) -> bool {
        matches!(self.0, Coming::Nothing)
    }

    pub(in crate::proxy) fn size_hint(&self) -> SizeHint {
        match self.0 {
            Coming::Nothing => SizeHint::with_exact(0),
            Coming::Bytes(left) => SizeHint::with_exact(left),
            Coming::Chunk(_) | Coming::UntilClose => SizeHint::default(),
        }
    }

    /// Takes the next piece off the input. `None` means that there is nothing in it yet, or nothing more to come.
    pub(in crate::proxy) fn decode(
        &mut self,
        input: &mut BytesMut,
    ) -> Result<Option<Frame<Bytes>>, &'static str> {
        let data = match &mut self.0 {
            Coming::Nothing => return Ok(None),
            Coming::UntilClose => input.split(),
            Coming::Bytes(left) => {
                let data = take(input, left);
                if *left == 0 {
                    self.0 = Coming::Nothing;
                }
                data
            }
            Coming::Chunk(_) => {
                if let Some(trailers) = self.advance(input)? {
                    return Ok(Some(Frame::trailers(trailers)));
                }
                let Coming::Chunk(Chunk::Bytes(left)) = &mut self.0 else { return Ok(None) };
                let data = take(input, left);
                if *left == 0 {
                    self.0 = Coming::Chunk(Chunk::End);
                    // The end may have come with the last piece: then whoever has that knows that it is the last.
                    self.settle(input);
                }
                data
            }
        };
        Ok((!data.is_empty()).then(|| Frame::data(data.freeze())))
    }

    /// The connection was closed by the other side. An error means that something is missing.
    pub(in crate::proxy) fn close(&mut self) -> Result<(), &'static str> {
        match self.0 {
            Coming::Nothing => Ok(()),
            Coming::UntilClose => {
                self.0 = Coming::Nothing;
                Ok(())
            }
            Coming::Bytes(_) | Coming::Chunk(_) => Err("the connection was closed in the middle of the body"),
        }
    }

    /// Goes on to the bytes of the next chunk, or to the trailers.
    fn advance(&mut self, input: &mut BytesMut) -> Result<Option<HeaderMap>, &'static str> {
        while let Coming::Chunk(chunk) = self.0 {
            let next = match chunk {
                Chunk::Bytes(_) => return Ok(None),
                Chunk::Size if input.is_empty() => return Ok(None),
                // The parser takes no digits for a zero.
                Chunk::Size if !input[0].is_ascii_hexdigit() => {
                    return Err("the size of a chunk cannot be read");
                }
                Chunk::Size => match httparse::parse_chunk_size(input) {
                    Ok(httparse::Status::Complete((length, size))) if length <= Self::SIZE_LINE => {
                        input.advance(length);
                        if size == 0 { Chunk::Trailers } else { Chunk::Bytes(size) }
                    }
                    Ok(httparse::Status::Partial) if input.len() <= Self::SIZE_LINE => return Ok(None),
                    Ok(_) | Err(_) => return Err("the size of a chunk cannot be read"),
                },
                Chunk::End if input.len() < 2 => return Ok(None),
                Chunk::End if input.starts_with(b"\r\n") => {
                    input.advance(2);
                    Chunk::Size
                }
                Chunk::End => return Err("a chunk is longer than its size"),
                Chunk::Trailers => {
                    let Some(trailers) = fields::read_trailers(input)? else { return Ok(None) };
                    self.0 = Coming::Nothing;
                    return Ok((!trailers.is_empty()).then_some(trailers));
                }
            };
            self.0 = Coming::Chunk(next);
        }
        Ok(None)
    }

    /// Finds the end of the body if it is in the input already. What is wrong there is told when it is asked for.
    fn settle(&mut self, input: &mut BytesMut) {
        const LAST: &[u8] = b"\r\n0\r\n\r\n";
        if input.starts_with(LAST) {
            input.advance(LAST.len());
            self.0 = Coming::Nothing;
        }
    }
}

fn take(input: &mut BytesMut, left: &mut u64) -> BytesMut {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= taken as u64;
    input.split_to(taken)
}

// === impl Encoder ===

impl Encoder {
    pub(in crate::proxy) fn sized(bytes: u64) -> Self {
        Self(Going::Bytes(bytes))
    }

    pub(in crate::proxy) fn chunked() -> Self {
        Self(Going::Chunks)
    }

    pub(in crate::proxy) fn until_close() -> Self {
        Self(Going::UntilClose)
    }

    /// Frames a piece: what comes before it goes to `out`.
    pub(in crate::proxy) fn encode(&mut self, data: Bytes, out: &mut Vec<u8>) -> Result<Piece, &'static str> {
        match &mut self.0 {
            Going::Bytes(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or("the body is longer than it was told")?;
                Ok(Piece { data, after: b"" })
            }
            Going::UntilClose => Ok(Piece { data, after: b"" }),
            // A chunk without bytes would be the end.
            Going::Chunks if data.is_empty() => Ok(Piece::default()),
            Going::Chunks => {
                // Writing to a vector cannot fail.
                let _ = write!(out, "{:x}\r\n", data.len());
                Ok(Piece { data, after: b"\r\n" })
            }
        }
    }

    /// Ends the body, with those trailers that were announced in `Trailer`. None that may not come gets here.
    pub(in crate::proxy) fn end(
        &self,
        trailers: Option<&HeaderMap>,
        announced: &[HeaderName],
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        match self.0 {
            Going::Bytes(0) | Going::UntilClose => Ok(()),
            Going::Bytes(_) => Err("the body is shorter than it was told"),
            Going::Chunks => {
                out.extend_from_slice(b"0\r\n");
                let fields = trailers.into_iter().flatten();
                for (name, value) in fields.filter(|(name, _)| announced.contains(name)) {
                    fields::write(name.as_str().as_bytes(), value.as_bytes(), out);
                }
                out.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }
}
