//! The head of a response on its way to the client: lines, until somebody looks at a field.
//!
//! Why not always a map: most responses go on as they came, and to take the fields apart, to strip and to write them one
//! by one costs a small request some hundredths of its time.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use memchr::memchr;

use super::http1;

#[derive(Debug)]
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) fields: Fields,
}

#[derive(Debug)]
pub(super) enum Fields {
    /// As long as nobody has looked at one.
    Lines(Lines),
    /// In a box: what is moved from hand to hand is small.
    Map(Box<HeaderMap>),
}

/// Fields of which none is about the connection, as they are written to a client of HTTP/1.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Each with its end. The length of the body is not among them.
    bytes: Vec<u8>,
    /// What was told of the length of the body.
    pub(super) length: Option<u64>,
    /// Whether there is a `Date`.
    pub(super) is_dated: bool,
}

// === impl Received ===

impl Received {
    pub(super) fn new(status: StatusCode, headers: HeaderMap) -> Self {
        Self { status, fields: Fields::Map(Box::new(headers)) }
    }

    pub(super) fn of_lines(status: StatusCode, lines: Lines) -> Self {
        Self { status, fields: Fields::Lines(lines) }
    }

    pub(super) fn headers_mut(&mut self) -> &mut HeaderMap {
        self.fields.map()
    }

    pub(super) fn into_response<B>(mut self, body: B) -> Response<B> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = std::mem::take(self.headers_mut());
        response
    }
}

// === impl Fields ===

impl Fields {
    pub(super) fn lines(&self) -> Option<&Lines> {
        match self {
            Self::Lines(lines) => Some(lines),
            Self::Map(_) => None,
        }
    }

    /// The fields one by one: from now on they stay so.
    pub(super) fn map(&mut self) -> &mut HeaderMap {
        loop {
            match self {
                Self::Map(map) => return map,
                Self::Lines(lines) => *self = Self::Map(Box::new(std::mem::take(lines).map())),
            }
        }
    }

    /// What is told of the length of the body, where it is one number.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Lines(lines) => lines.length,
            Self::Map(map) => map.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok(),
        }
    }
}

// === impl Lines ===

impl Lines {
    /// Fields that most responses have less of.
    const MANY: usize = 10;

    pub(super) fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    pub(super) fn add(&mut self, name: &str, value: &[u8]) {
        http1::fields::write(name.as_bytes(), value, &mut self.bytes);
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn map(self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(Self::MANY);
        let bytes = Bytes::from(self.bytes);
        let mut rest = &bytes[..];
        // Written by `add`: a name, a colon, a space, a value and the end of the line.
        while let Some(colon) = memchr(b':', rest)
            && let Some(end) = memchr(b'\r', &rest[colon..])
        {
            let (line, after) = rest.split_at(colon + end);
            let value = line.get(colon + 2..).unwrap_or_default();
            let value = HeaderValue::from_maybe_shared(bytes.slice_ref(value));
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), value) {
                map.append(name, value);
            }
            rest = after.get(2..).unwrap_or_default();
        }
        if let Some(length) = self.length {
            map.insert(header::CONTENT_LENGTH, length.into());
        }
        map
    }
}
