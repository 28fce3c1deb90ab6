//! The head of a response on its way to the client: lines, until somebody looks at a field.
//!
//! Why not always a map: most responses go on as they came, and to take the fields apart, to strip and to write them one
//! by one costs a small request some hundredths of its time.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::http1;

#[derive(Debug)]
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) fields: Fields,
}

#[derive(Debug, Default)]
pub(super) struct Fields {
    /// As long as nobody has looked at one.
    lines: Option<Lines>,
    /// In a box: what is moved from hand to hand is small.
    map: Option<Box<HeaderMap>>,
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
        Self { status, fields: Fields { lines: None, map: Some(Box::new(headers)) } }
    }

    pub(super) fn of_lines(status: StatusCode, lines: Lines) -> Self {
        Self { status, fields: Fields { lines: Some(lines), map: None } }
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
        self.lines.as_ref()
    }

    /// The fields one by one: from now on they stay so.
    pub(super) fn map(&mut self) -> &mut HeaderMap {
        let Self { lines, map } = self;
        map.get_or_insert_with(|| Box::new(lines.take().map(|lines| lines.map()).unwrap_or_default()))
    }

    /// What is told of the length of the body, where it is one number.
    pub(super) fn length(&self) -> Option<u64> {
        match (&self.lines, &self.map) {
            (Some(lines), _) => lines.length,
            (None, Some(map)) => map.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok(),
            (None, None) => None,
        }
    }
}

// === impl Lines ===

impl Lines {
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    pub(super) fn add(&mut self, name: &str, value: &[u8]) {
        http1::fields::write(name.as_bytes(), value, &mut self.bytes);
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(8);
        for line in self.bytes.split_inclusive(|byte| *byte == b'\n') {
            // Written by `add`: a name, a colon, a space, a value and the end of the line.
            let line = line.strip_suffix(b"\r\n").unwrap_or(line);
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let value = HeaderValue::from_bytes(line[colon..].get(2..).unwrap_or_default());
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), value) {
                map.append(name, value);
            }
        }
        if let Some(length) = self.length {
            map.insert(header::CONTENT_LENGTH, length.into());
        }
        map
    }
}
