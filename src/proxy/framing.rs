//! Where messages of HTTP/1 begin and end, read strictly: what two parsers could read differently is refused before the
//! real parser sees it.
//!
//! Why a second look beside the parser's: parsers settle a request that has both `Content-Length` and
//! `Transfer-Encoding`, or lines that end in a bare line feed. That is safe for us and what is behind us, not for what is in
//! front: a proxy before us may have settled it the other way. Only bytes are looked at here, in one pass, without keeping
//! them.

#[cfg(test)]
mod tests;

use memchr::memchr;

/// Follows the bytes of one connection, as they come.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    head: Head,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// Whether there is more of it than is kept.
    is_cut: bool,
    /// The last byte of such a line.
    last: u8,
    /// Whether there is a `#` in it, also behind what is kept of it.
    has_fragment: bool,
}

/// Why bytes are refused: the offset of the first one that must not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No byte of the next request has come.
    Between,
    RequestLine,
    Header,
    /// This many bytes of a body are to come.
    Body(u64),
    Chunk(Chunk),
    /// Not HTTP any more, after a request to switch to WebSocket.
    Opaque,
    Refused,
}

/// Where in a chunked body; each names what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        value: u64,
        length: u16,
    },
    SizeLf(u64),
    Body(u64),
    BodyCr,
    BodyLf,
    /// The trailers; how long the current line is.
    Trailer {
        length: u16,
    },
    TrailerLf {
        length: u16,
    },
}

/// What the head of the current request has said.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    length: Option<u64>,
    chunked: bool,
    websocket: bool,
}

// === impl Scanner ===

impl Scanner {
    /// Of a line that comes in parts, this much is looked at: more than any valid line that matters here has.
    const PARTIAL: usize = 128;
    const EXTENSION: u16 = 256;
    const TRAILER_LINE: u16 = 8 << 10;

    pub(super) fn new() -> Self {
        Self {
            state: State::Between,
            head: Head::default(),
            partial: Vec::new(),
            is_cut: false,
            last: 0,
            has_fragment: false,
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Looks at the next bytes. After an error nothing more may be read.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let taken = match self.state {
                State::Opaque => return Ok(()),
                State::Refused => return Err(Refused(at)),
                State::Between | State::RequestLine | State::Header => self.line(rest),
                State::Body(left) => Ok(self.body(left, rest.len())),
                State::Chunk(Chunk::Body(left)) => Ok(self.chunk_body(left, rest.len())),
                State::Chunk(chunk) => self.chunk(chunk, rest[0]).map(|()| 1),
            };
            match taken {
                Ok(taken) => at += taken,
                Err(Refused(offset)) => {
                    self.state = State::Refused;
                    return Err(Refused(at + offset));
                }
            }
        }
        Ok(())
    }

    /// Takes up to the end of the line, or all.
    fn line(&mut self, rest: &[u8]) -> Result<usize, Refused> {
        let Some(end) = memchr(b'\n', rest) else {
            let keep = Self::PARTIAL.saturating_sub(self.partial.len()).min(rest.len());
            self.partial.extend_from_slice(&rest[..keep]);
            self.is_cut |= keep < rest.len();
            self.has_fragment |= self.is_first_line() && memchr(b'#', rest).is_some();
            self.last = rest[rest.len() - 1];
            if self.state == State::Between && self.partial != b"\r" {
                self.state = State::RequestLine;
            }
            return Ok(rest.len());
        };
        let ended_by_cr = if end > 0 { rest[end - 1] == b'\r' } else { self.last == b'\r' };
        if self.is_first_line()
            && (std::mem::take(&mut self.has_fragment) || memchr(b'#', &rest[..end]).is_some())
        {
            return Err(Refused(end));
        }
        if !ended_by_cr {
            return Err(Refused(end));
        }
        if self.partial.is_empty() {
            self.whole_line(&rest[..end - 1]).map_err(|()| Refused(end))?;
        } else {
            let keep = Self::PARTIAL.saturating_sub(self.partial.len()).min(end);
            let mut line = std::mem::take(&mut self.partial);
            line.extend_from_slice(&rest[..keep]);
            // What was cut off had the carriage return that belongs to the end of the line.
            let is_cut = std::mem::take(&mut self.is_cut) || keep < end;
            let line_end = if is_cut { line.len() } else { line.len() - 1 };
            self.whole_line(&line[..line_end]).map_err(|()| Refused(end))?;
        }
        self.last = 0;
        Ok(end + 1)
    }

    fn is_first_line(&self) -> bool {
        matches!(self.state, State::Between | State::RequestLine)
    }

    fn whole_line(&mut self, line: &[u8]) -> Result<(), ()> {
        match self.state {
            // RFC 9112 section 2.2: empty lines before a request are skipped.
            State::Between if line.is_empty() => {}
            State::Between | State::RequestLine => {
                if line.is_empty() {
                    return Err(());
                }
                self.head = Head::default();
                self.state = State::Header;
            }
            State::Header if line.is_empty() => self.state = self.head.after(),
            State::Header => self.head.header(line)?,
            State::Body(_) | State::Chunk(_) | State::Opaque | State::Refused => {}
        }
        Ok(())
    }

    fn body(&mut self, left: u64, available: usize) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(available);
        let left = left - taken as u64;
        self.state = if left == 0 { State::Between } else { State::Body(left) };
        taken
    }

    fn chunk_body(&mut self, left: u64, available: usize) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(available);
        let left = left - taken as u64;
        self.state = State::Chunk(if left == 0 { Chunk::BodyCr } else { Chunk::Body(left) });
        taken
    }

    fn chunk(&mut self, chunk: Chunk, byte: u8) -> Result<(), Refused> {
        let next = match (chunk, byte) {
            (Chunk::Size { digits: 1.., value } | Chunk::Extension { value, .. }, b'\r') => {
                Chunk::SizeLf(value)
            }
            (Chunk::Size { digits: 1.., value }, b';') => Chunk::Extension { value, length: 0 },
            (Chunk::Size { value, digits: digits @ 0..=14 }, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                Chunk::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Chunk::Extension { value, length: length @ 0..Self::EXTENSION }, b'\t' | b' '..=b'~') => {
                Chunk::Extension { value, length: length + 1 }
            }
            (Chunk::SizeLf(0), b'\n') => Chunk::Trailer { length: 0 },
            (Chunk::SizeLf(value), b'\n') => Chunk::Body(value),
            (Chunk::BodyCr, b'\r') => Chunk::BodyLf,
            (Chunk::BodyLf, b'\n') => Chunk::Size { value: 0, digits: 0 },
            (Chunk::Trailer { length }, b'\r') => Chunk::TrailerLf { length },
            (Chunk::Trailer { length: length @ 0..Self::TRAILER_LINE }, b'\t' | b' '..=b'~' | 0x80..) => {
                Chunk::Trailer { length: length + 1 }
            }
            (Chunk::TrailerLf { length: 0 }, b'\n') => {
                self.state = State::Between;
                return Ok(());
            }
            (Chunk::TrailerLf { .. }, b'\n') => Chunk::Trailer { length: 0 },
            (
                Chunk::Size { .. }
                | Chunk::Extension { .. }
                | Chunk::SizeLf(_)
                | Chunk::Body(_)
                | Chunk::BodyCr
                | Chunk::BodyLf
                | Chunk::Trailer { .. }
                | Chunk::TrailerLf { .. },
                _,
            ) => return Err(Refused(0)),
        };
        self.state = State::Chunk(next);
        Ok(())
    }
}

// === impl Head ===

impl Head {
    fn header(&mut self, line: &[u8]) -> Result<(), ()> {
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T' | b'u' | b'U')) {
            return Ok(());
        }
        // A line without a colon, or with spaces before it, is the real parser's to refuse.
        let Some(colon) = memchr(b':', line) else { return Ok(()) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is_too_long = line.len() >= Scanner::PARTIAL;
        if name.eq_ignore_ascii_case(b"content-length") {
            let is_number = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
            if is_too_long || !is_number || self.length.is_some() || self.chunked {
                return Err(());
            }
            self.length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let is_chunked = !is_too_long && value.eq_ignore_ascii_case(b"chunked");
            if !is_chunked || self.length.is_some() || self.chunked {
                return Err(());
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.websocket |= !is_too_long && value.eq_ignore_ascii_case(b"websocket");
        }
        Ok(())
    }

    /// What follows the head.
    fn after(&self) -> State {
        match self.length {
            _ if self.chunked => State::Chunk(Chunk::Size { value: 0, digits: 0 }),
            Some(length @ 1..) => State::Body(length),
            Some(0) | None if self.websocket => State::Opaque,
            Some(0) | None => State::Between,
        }
    }
}
