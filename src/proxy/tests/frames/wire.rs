//! Frames by hand (RFC 9113), and heads in HPACK's simplest form (RFC 7541).

use super::super::*;

pub(in crate::proxy::tests) const DATA: u8 = 0;
pub(in crate::proxy::tests) const HEADERS: u8 = 1;
pub(in crate::proxy::tests) const PRIORITY: u8 = 2;
pub(in crate::proxy::tests) const RESET: u8 = 3;
pub(in crate::proxy::tests) const SETTINGS: u8 = 4;
pub(in crate::proxy::tests) const PING: u8 = 6;
pub(in crate::proxy::tests) const GOAWAY: u8 = 7;
pub(in crate::proxy::tests) const WINDOW: u8 = 8;
pub(in crate::proxy::tests) const CONTINUATION: u8 = 9;

pub(in crate::proxy::tests) const ACK: u8 = 1;
pub(in crate::proxy::tests) const END_STREAM: u8 = 1;
pub(in crate::proxy::tests) const END_HEADERS: u8 = 4;
pub(in crate::proxy::tests) const WHOLE: u8 = END_STREAM | END_HEADERS;

/// A client that writes frames as it likes.
pub(in crate::proxy::tests) struct Frames(Client);

#[derive(Debug)]
pub(in crate::proxy::tests) struct Frame {
    pub(in crate::proxy::tests) kind: u8,
    pub(in crate::proxy::tests) stream: u32,
    pub(in crate::proxy::tests) payload: Vec<u8>,
}

pub(in crate::proxy::tests) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Fields as literals without indexing (RFC 7541 section 6.2.2).
pub(in crate::proxy::tests) fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            integer(&mut bytes, 7, text.len());
            bytes.extend(text);
        }
    }
    bytes
}

/// RFC 7541 section 5.1, with nothing in front of it.
pub(in crate::proxy::tests) fn integer(bytes: &mut Vec<u8>, prefix: u32, value: usize) {
    let most = (1 << prefix) - 1;
    if value < most {
        return bytes.push(u8::try_from(value).unwrap());
    }
    bytes.push(u8::try_from(most).unwrap());
    let mut rest = value - most;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
}

pub(in crate::proxy::tests) fn getting(path: &str) -> Vec<(&str, &str)> {
    vec![(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", path)]
}

pub(in crate::proxy::tests) fn posting(path: &str) -> Vec<(&str, &str)> {
    vec![(":method", "POST"), (":scheme", "http"), (":authority", "a.test"), (":path", path)]
}

// === impl Frames ===

impl Frames {
    pub(in crate::proxy::tests) async fn connect(proxy: &Proxy) -> Self {
        let mut client = proxy.connect().await;
        // What is sent in parts is not to wait for word of the first.
        client.stream.set_nodelay(true).unwrap();
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        client.send(frame(SETTINGS, 0, 0, &[])).await;
        Self(client)
    }

    /// Says whether it could: the other end may have closed.
    pub(in crate::proxy::tests) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        soon(self.0.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// The next frame; `None` when the connection is closed.
    pub(in crate::proxy::tests) async fn next(&mut self) -> Option<Frame> {
        while self.0.read.len() < 9 || self.0.read.len() < 9 + self.length() {
            if self.0.more().await == 0 {
                return None;
            }
        }
        let length = self.length();
        let bytes: Vec<u8> = self.0.read.drain(..9 + length).collect();
        let stream = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
        Some(Frame { kind: bytes[3], stream, payload: bytes[9..].to_vec() })
    }

    fn length(&self) -> usize {
        usize::from(self.0.read[0]) << 16 | usize::from(self.0.read[1]) << 8 | usize::from(self.0.read[2])
    }

    /// What becomes of a stream: `400` and such (from the static table), `answer`, `reset N`, `goaway N`, `closed`.
    pub(in crate::proxy::tests) async fn fate(&mut self, stream: u32) -> String {
        let code = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        loop {
            let Some(next) = self.next().await else { return "closed".into() };
            match next.kind {
                HEADERS if next.stream == stream => {
                    return match next.payload[0] {
                        0x88 => "200".into(),
                        0x8c => "400".into(),
                        0x8d => "404".into(),
                        _ => "answer".into(),
                    };
                }
                RESET if next.stream == stream => return format!("reset {}", code(&next.payload)),
                GOAWAY if code(&next.payload[4..8]) != 0 => {
                    return format!("goaway {}", code(&next.payload[4..8]));
                }
                _ => {}
            }
        }
    }

    /// Waits until everything sent so far was read: a ping comes back.
    pub(in crate::proxy::tests) async fn settle(&mut self) -> bool {
        if !self.send(frame(PING, 0, 0, b"settled?")).await {
            return false;
        }
        while let Some(next) = self.next().await {
            if next.kind == PING {
                return true;
            }
        }
        false
    }
}
