//! What each path answers. Any other path is the echo: JSON that tells what reached the backend.
//!
//! | path | answer |
//! |---|---|
//! | `/status/N` | the echo with status N |
//! | `/slow?ms=` | the echo, after a while |
//! | `/slow-read?ms=` | the echo; the body is read after a while |
//! | `/respond?header=K:V&…` | the echo with these response headers |
//! | `/bytes?n=` (`&chunked=1`, `&ms=` between pieces) | n bytes |
//! | `/echo` | the request's body, piece by piece as it comes |
//! | `/sse?n=&ms=` | server-sent events, one each `ms` |
//! | `/ws` | a WebSocket that echoes |
//! | `/count` | the number of requests so far, this one not counted |
//! | `/interim` | 103 Early Hints, then the echo |
//! | `/hang` · `/close` · `/half` · `/garbage` | no answer · closes without one · stops midway · not HTTP |
//! | `/health`, `POST /health/off`, `POST /health/on` | 200 or 503 |

use std::{
    fmt::Write as _,
    io::{self, Write},
    net::{Shutdown, TcpStream},
    sync::atomic::Ordering::SeqCst,
    thread,
    time::Duration,
};

use crate::{
    STOPPING, Shared,
    connection::{Body, Input, Next, Request},
    websocket,
};

pub fn answer(
    request: &Request,
    input: &mut Input<'_>,
    body: &mut Body,
    shared: &Shared,
    next: Next,
) -> io::Result<Next> {
    let stream: &TcpStream = input.get_ref();
    let pause = Duration::from_millis(request.number("ms").unwrap_or(0));
    let path = request.path();
    match path {
        "/ws" => return websocket::serve(request, input),
        "/sse" => return events(stream, request.number("n").unwrap_or(3), pause),
        "/echo" => return echo_body(stream, input, body, next),
        "/hang" => {
            // Until the other side gives up, or SIGTERM.
            while !STOPPING.load(SeqCst) && matches!(stream.peek(&mut [0]), Ok(1)) {
                thread::sleep(Duration::from_millis(5));
            }
            return Ok(Next::Close);
        }
        "/close" => {
            stream.shutdown(Shutdown::Both)?;
            return Ok(Next::Close);
        }
        "/half" => {
            write_all(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")?;
            return Ok(Next::Close);
        }
        "/garbage" => {
            write_all(stream, b"\0\x01 this is not HTTP\r\n\r\n")?;
            return Ok(Next::Close);
        }
        _ => {}
    }
    if path == "/slow" || path == "/slow-read" {
        thread::sleep(pause);
    }
    let received = body.drain(input)?;
    let stream: &TcpStream = input.get_ref();
    match path {
        "/bytes" => return bytes(stream, request, pause, next),
        "/count" => {
            plain(stream, "200 OK", &format!("{}\n", shared.requests.load(SeqCst)), &next)?;
            return Ok(next);
        }
        "/health" | "/health/on" | "/health/off" => {
            if request.method == "POST" {
                shared.healthy.store(path != "/health/off", SeqCst);
            }
            let healthy = shared.healthy.load(SeqCst) || request.method == "POST";
            let (status, text) =
                if healthy { ("200 OK", "healthy\n") } else { ("503 Service Unavailable", "unhealthy\n") };
            plain(stream, status, text, &next)?;
            return Ok(next);
        }
        "/interim" => {
            write_all(stream, b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")?
        }
        _ => {}
    }
    let status = path.strip_prefix("/status/").and_then(|code| code.parse().ok()).unwrap_or(200_u16);
    let mut extra = String::new();
    for header in request.query("header") {
        if let Some((name, value)) = header.split_once(':') {
            let _ = write!(extra, "{name}: {}\r\n", value.trim());
        }
    }
    let text = echo(request, shared, stream, received);
    let bodiless = status == 204 || status == 304;
    let mut head = format!("HTTP/1.1 {status} {}\r\nX-Backend: {}\r\n{extra}", reason(status), shared.name);
    if !bodiless {
        let _ = write!(head, "Content-Type: application/json\r\nContent-Length: {}\r\n", text.len());
    }
    head.push_str(closing(&next));
    if !bodiless && request.method != "HEAD" {
        head.push_str(&text);
    }
    write_all(stream, head.as_bytes())?;
    Ok(next)
}

/// A whole answer of text.
pub fn plain(stream: &TcpStream, status: &str, text: &str, next: &Next) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n", text.len());
    write_all(stream, format!("{head}{}{text}", closing(next)).as_bytes())
}

pub fn write_all(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)
}

fn closing(next: &Next) -> &'static str {
    match next {
        Next::Keep => "\r\n",
        Next::Close => "Connection: close\r\n\r\n",
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        304 => "Not Modified",
        404 => "Not Found",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

fn echo(request: &Request, shared: &Shared, stream: &TcpStream, received: u64) -> String {
    let headers: Vec<String> =
        request.headers.iter().map(|(name, value)| format!("[{},{}]", json(name), json(value))).collect();
    let port = stream.local_addr().map_or(0, |address| address.port());
    let remote = stream.peer_addr().map_or_else(|_| String::new(), |address| address.to_string());
    format!(
        "{{\"name\":{},\"port\":{port},\"method\":{},\"target\":{},\"path\":{},\"version\":{},\"headers\":[{}],\
         \"body_bytes\":{received},\"remote\":{},\"connection\":{},\"served\":{}}}\n",
        json(&shared.name),
        json(&request.method),
        json(&request.target),
        json(request.path()),
        json(&request.version),
        headers.join(","),
        json(&remote),
        request.connection,
        request.served,
    )
}

fn json(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if u32::from(letter) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

fn chunk(stream: &TcpStream, piece: &[u8]) -> io::Result<()> {
    let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
    framed.extend_from_slice(piece);
    framed.extend_from_slice(b"\r\n");
    write_all(stream, &framed)
}

fn bytes(stream: &TcpStream, request: &Request, pause: Duration, next: Next) -> io::Result<Next> {
    let total = request.number("n").unwrap_or(1024);
    let chunked = request.number("chunked").is_some();
    let framing =
        if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {total}") };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n{framing}\r\n{}",
        closing(&next)
    );
    write_all(stream, head.as_bytes())?;
    let pattern: Vec<u8> = (0..64 * 1024_u32).map(|at| b'a' + u8::try_from(at % 26).unwrap_or(0)).collect();
    let mut left = if request.method == "HEAD" { 0 } else { total };
    while left > 0 {
        let piece = &pattern[..usize::try_from(left).unwrap_or(usize::MAX).min(pattern.len())];
        if chunked {
            chunk(stream, piece)?;
        } else {
            write_all(stream, piece)?;
        }
        left -= piece.len() as u64;
        thread::sleep(pause);
    }
    if chunked && request.method != "HEAD" {
        write_all(stream, b"0\r\n\r\n")?;
    }
    Ok(next)
}

fn echo_body(stream: &TcpStream, input: &mut Input<'_>, body: &mut Body, next: Next) -> io::Result<Next> {
    let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{}", closing(&next));
    write_all(stream, head.as_bytes())?;
    while let Some(piece) = body.next(input)? {
        chunk(stream, &piece)?;
    }
    write_all(stream, b"0\r\n\r\n")?;
    Ok(next)
}

fn events(stream: &TcpStream, count: u64, pause: Duration) -> io::Result<Next> {
    write_all(
        stream,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
    )?;
    for number in 1..=count {
        write_all(stream, format!("id: {number}\ndata: event {number}\n\n").as_bytes())?;
        thread::sleep(pause);
    }
    Ok(Next::Close)
}
