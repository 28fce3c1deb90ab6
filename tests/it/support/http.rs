//! A raw HTTP/1.1 client: sends exactly the bytes it is given, and reads one answer after the other.

use std::{
    fmt,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

/// No answer of a test takes longer.
const TIMEOUT: Duration = Duration::from_secs(15);

pub struct Connection {
    input: BufReader<Stream>,
}

pub enum Stream {
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Unix(UnixStream),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub version: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The statuses of the 1xx answers before it.
    pub interim: Vec<u16>,
}

/// One GET on a connection of its own.
pub fn get(address: SocketAddr, host: &str, path: &str) -> io::Result<Response> {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

/// One exchange on a connection of its own; `request` is sent as it is.
pub fn ask(address: SocketAddr, request: &str) -> io::Result<Response> {
    Connection::open(address)?.ask(request)
}

// === impl Connection ===

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { input: BufReader::new(Stream::Tcp(stream)) })
    }

    /// With TLS, for this name; the handshake is done.
    pub fn open_tls(address: SocketAddr, name: &str, client: &Arc<ClientConfig>) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(client.clone(), name).map_err(io::Error::other)?;
        connection.complete_io(&mut stream)?;
        let stream = StreamOwned::new(connection, stream);
        Ok(Self { input: BufReader::new(Stream::Tls(Box::new(stream))) })
    }

    pub fn open_unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { input: BufReader::new(Stream::Unix(stream)) })
    }

    /// The stream below, for a shutdown or another timeout.
    pub fn stream(&self) -> &Stream {
        self.input.get_ref()
    }

    /// What the server has shown, if this is TLS.
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        match self.stream() {
            Stream::Tls(stream) => Some(stream.conn.peer_certificates()?.first()?.to_vec()),
            Stream::Tcp(_) | Stream::Unix(_) => None,
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.input.get_mut().write_all(bytes.as_ref())
    }

    /// Sends a whole request as it is and reads its answer.
    pub fn ask(&mut self, request: &str) -> io::Result<Response> {
        self.send(request)?;
        self.response(request.split(' ').next().unwrap_or_default())
    }

    /// A GET that leaves the connection open.
    pub fn get(&mut self, host: &str, path: &str) -> io::Result<Response> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    /// The next answer; `method` is the one of its request, because the answer to HEAD has no body.
    pub fn response(&mut self, method: &str) -> io::Result<Response> {
        let mut response = self.head()?;
        let bodiless = method == "HEAD" || matches!(response.status, 101 | 204 | 304);
        if bodiless {
            return Ok(response);
        }
        if response.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            while let Some(piece) = self.chunk()? {
                response.body.extend_from_slice(&piece);
            }
        } else if let Some(length) = response.header("content-length") {
            response.body = vec![0; length.parse().map_err(|_| io::Error::other("bad content-length"))?];
            self.input.read_exact(&mut response.body)?;
        } else {
            self.input.read_to_end(&mut response.body)?;
        }
        Ok(response)
    }

    /// The status line and headers of the next answer, without its body; 1xx answers before it are noted.
    pub fn head(&mut self) -> io::Result<Response> {
        let mut interim = Vec::new();
        loop {
            let response = self.one_head()?;
            if !(100..200).contains(&response.status) || response.status == 101 {
                return Ok(Response { interim, ..response });
            }
            interim.push(response.status);
        }
    }

    fn one_head(&mut self) -> io::Result<Response> {
        let first = self.line()?;
        let mut words = first.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().and_then(|word| word.parse().ok());
        let status = status
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("not a status line: `{first}`")))?;
        let mut response = Response { status, version, ..Response::default() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(response);
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| io::Error::other(format!("not a header: `{line}`")))?;
            response.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// The next chunk of a chunked body, `None` at its end.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line()?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
        let size = size.map_err(|_| io::Error::other(format!("not a chunk size: `{line}`")))?;
        let mut piece = vec![0; size];
        self.input.read_exact(&mut piece)?;
        let end = self.line()?;
        if size == 0 && !end.is_empty() {
            while !self.line()?.is_empty() {}
        }
        Ok((size > 0).then_some(piece))
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.input.read_until(b'\n', &mut bytes)?;
        if bytes.pop() != Some(b'\n') {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the connection was closed"));
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        String::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }

    /// Some bytes as they come; empty when the other side has closed.
    pub fn some(&mut self) -> io::Result<Vec<u8>> {
        let bytes = self.input.fill_buf()?.to_vec();
        self.input.consume(bytes.len());
        Ok(bytes)
    }

    /// Waits for the other side to close; what came before that is returned.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.input.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

// === impl Stream ===

impl Stream {
    pub fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
            Self::Tls(stream) => stream.sock.set_read_timeout(Some(timeout)),
            Self::Unix(stream) => stream.set_read_timeout(Some(timeout)),
        }
    }

    pub fn shutdown(&self, how: std::net::Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Tls(stream) => stream.sock.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl Response ===

impl Response {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The backend that echoed, if one did.
    pub fn backend(&self) -> Option<&str> {
        self.header("x-backend")
    }

    /// The values of a request header as they reached the echoing backend.
    #[track_caller]
    pub fn received(&self, name: &str) -> Vec<String> {
        let echo = self.json();
        let pairs = echo["headers"].as_array().unwrap_or_else(|| panic!("not an echo: {self}"));
        let same =
            pairs.iter().filter(|pair| pair[0].as_str().is_some_and(|key| key.eq_ignore_ascii_case(name)));
        same.filter_map(|pair| pair[1].as_str().map(str::to_owned)).collect()
    }
}

impl fmt::Display for Response {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {:?} {:.400}", self.status, self.headers, self.text())
    }
}
