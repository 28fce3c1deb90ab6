//! One connection: reads requests one after the other and has each answered.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::Ordering::SeqCst,
    time::Duration,
};

use crate::{STOPPING, Shared, answers};

const MAX_HEAD: u64 = 256 * 1024;

pub struct Request {
    pub method: String,
    pub target: String,
    pub version: String,
    pub headers: Vec<(String, String)>,
    /// Which connection of this process, and which request on it, both from 1.
    pub connection: u64,
    pub served: u64,
}

/// What is left of a request's body.
pub enum Body {
    Length(u64),
    Chunked,
    Done,
}

pub type Input<'a> = BufReader<&'a TcpStream>;

/// What happens to the connection after an answer.
#[derive(PartialEq, Eq)]
pub enum Next {
    Keep,
    Close,
}

// === impl Request ===

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The values of a query parameter, undecoded but for `+` and `%20`.
    pub fn query<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        query.split('&').filter_map(move |pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then(|| value.replace('+', " ").replace("%20", " ").replace("%3A", ":"))
        })
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.query(name).next().and_then(|text| text.parse().ok())
    }

    fn wants_close(&self) -> bool {
        let asked = self.header("connection").unwrap_or_default().to_ascii_lowercase();
        asked.contains("close") || (self.version == "HTTP/1.0" && !asked.contains("keep-alive"))
    }

    fn body(&self) -> Body {
        if self.header("transfer-encoding").is_some() {
            return Body::Chunked;
        }
        match self.header("content-length").and_then(|text| text.parse().ok()) {
            Some(length) if length > 0 => Body::Length(length),
            _ => Body::Done,
        }
    }
}

// === impl Body ===

impl Body {
    /// The next piece, or `None` at the end.
    pub fn next(&mut self, input: &mut Input<'_>) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Done => Ok(None),
            Self::Length(0) => {
                *self = Self::Done;
                Ok(None)
            }
            Self::Length(left) => {
                let mut piece = vec![0; usize::try_from((*left).min(64 * 1024)).unwrap_or(1)];
                let taken = input.read(&mut piece)?;
                if taken == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                piece.truncate(taken);
                *left -= taken as u64;
                Ok(Some(piece))
            }
            Self::Chunked => {
                let size = line(input)?;
                let size = u64::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
                    .map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
                if size == 0 {
                    while !line(input)?.is_empty() {}
                    *self = Self::Done;
                    return Ok(None);
                }
                let mut piece = vec![0; usize::try_from(size).unwrap_or(0)];
                input.read_exact(&mut piece)?;
                line(input)?;
                Ok(Some(piece))
            }
        }
    }

    pub fn drain(&mut self, input: &mut Input<'_>) -> io::Result<u64> {
        let mut length = 0;
        while let Some(piece) = self.next(input)? {
            length += piece.len() as u64;
        }
        Ok(length)
    }
}

pub fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let connection = shared.connections.fetch_add(1, SeqCst) + 1;
    let mut input = BufReader::with_capacity(64 * 1024, stream);
    let mut served = 0;
    while wait(&mut input)? {
        served += 1;
        let Some(request) = head(&mut input, connection, served)? else {
            return answers::plain(stream, "400 Bad Request", "not a request\n", &Next::Close);
        };
        if !request.path().starts_with("/count") {
            shared.requests.fetch_add(1, SeqCst);
            shared.wanted.fetch_add(u64::from(request.path() != "/health"), SeqCst);
        }
        if shared.tells
            && let Some(id) = request.query("id").next()
        {
            println!("saw {} {id}", request.method);
        }
        let mut body = request.body();
        if request.header("expect").is_some_and(|what| what.eq_ignore_ascii_case("100-continue")) {
            let mut output = stream;
            output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let next = if request.wants_close() || STOPPING.load(SeqCst) { Next::Close } else { Next::Keep };
        let next = answers::answer(&request, &mut input, &mut body, shared, next)?;
        if next == Next::Close {
            return Ok(());
        }
        body.drain(&mut input)?;
    }
    Ok(())
}

/// Waits for the first byte of what comes next; `false` when nothing will, or SIGTERM came.
pub fn wait(input: &mut Input<'_>) -> io::Result<bool> {
    if !input.buffer().is_empty() {
        return Ok(true);
    }
    input.get_ref().set_read_timeout(Some(Duration::from_millis(20)))?;
    loop {
        match input.fill_buf() {
            Ok(bytes) if bytes.is_empty() => return Ok(false),
            Ok(_) => break,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if STOPPING.load(SeqCst) {
                    return Ok(false);
                }
            }
            // Its container was paused.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    input.get_ref().set_read_timeout(None)?;
    Ok(true)
}

fn line(input: &mut Input<'_>) -> io::Result<String> {
    let mut text = Vec::new();
    input.take(MAX_HEAD).read_until(b'\n', &mut text)?;
    if !text.ends_with(b"\n") {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&text).trim_end_matches(['\r', '\n']).to_owned())
}

fn head(input: &mut Input<'_>, connection: u64, served: u64) -> io::Result<Option<Request>> {
    let first = line(input)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Ok(None);
    };
    let mut headers = Vec::new();
    loop {
        let text = line(input)?;
        if text.is_empty() {
            return Ok(Some(Request { method, target, version, headers, connection, served }));
        }
        let Some((name, value)) = text.split_once(':') else { return Ok(None) };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}
