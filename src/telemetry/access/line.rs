//! The line of one request. Everything a client sent is escaped: a line cannot be forged.

use std::{
    io::Write as _,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;

/// What is known of a request at its end. Empty texts are absent.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub time: SystemTime,
    pub request_id: &'a [u8],
    pub client: IpAddr,
    pub method: &'a str,
    pub host: &'a [u8],
    /// With its query.
    pub path: &'a [u8],
    pub protocol: &'a str,
    /// 499 when the client went away before there was an answer.
    pub status: u16,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub duration: Duration,
    /// Until the backend's response began, in its last try.
    pub upstream_duration: Option<Duration>,
    pub listener: &'a str,
    pub route: &'a str,
    pub rule: &'a str,
    pub backend: &'a str,
    pub endpoint: &'a str,
    /// Why the answer is an error of ours.
    pub reason: &'a str,
    pub user_agent: &'a [u8],
    pub referer: &'a [u8],
}

/// `{"time":…,…}`; absent texts are left out.
pub(super) fn json(line: &mut Vec<u8>, record: &Record<'_>) {
    line.extend_from_slice(b"{\"time\":\"");
    push_time(line, record.time);
    line.push(b'"');
    member(line, "requestId", record.request_id);
    line.extend_from_slice(b",\"client\":\"");
    push_display(line, record.client);
    line.push(b'"');
    member(line, "method", record.method.as_bytes());
    member(line, "host", record.host);
    member(line, "path", record.path);
    member(line, "protocol", record.protocol.as_bytes());
    number(line, "status", record.status);
    number(line, "bytesIn", record.bytes_in);
    number(line, "bytesOut", record.bytes_out);
    number(line, "duration", seconds(record.duration));
    if let Some(duration) = record.upstream_duration {
        number(line, "upstreamDuration", seconds(duration));
    }
    member(line, "listener", record.listener.as_bytes());
    member(line, "route", record.route.as_bytes());
    member(line, "rule", record.rule.as_bytes());
    member(line, "backend", record.backend.as_bytes());
    member(line, "endpoint", record.endpoint.as_bytes());
    member(line, "reason", record.reason.as_bytes());
    member(line, "userAgent", record.user_agent);
    member(line, "referer", record.referer);
    line.extend_from_slice(b"}\n");
}

/// The Combined Log Format with more at its end:
/// `client - - [time] "GET /path HTTP/1.1" 200 5 "referer" "agent" host id duration route backend endpoint "reason"`.
pub(super) fn text(line: &mut Vec<u8>, record: &Record<'_>) {
    push_display(line, record.client);
    line.extend_from_slice(b" - - [");
    push_time(line, record.time);
    line.extend_from_slice(b"] \"");
    escape(line, record.method.as_bytes());
    line.push(b' ');
    escape(line, record.path);
    line.push(b' ');
    escape(line, record.protocol.as_bytes());
    line.extend_from_slice(b"\" ");
    push_display(line, record.status);
    line.push(b' ');
    push_display(line, record.bytes_out);
    quoted(line, record.referer);
    quoted(line, record.user_agent);
    bare(line, record.host);
    bare(line, record.request_id);
    line.push(b' ');
    push_display(line, seconds(record.duration));
    bare(line, record.route.as_bytes());
    bare(line, record.backend.as_bytes());
    bare(line, record.endpoint.as_bytes());
    if !record.reason.is_empty() {
        quoted(line, record.reason.as_bytes());
    }
    line.push(b'\n');
}

fn member(line: &mut Vec<u8>, name: &str, value: &[u8]) {
    if value.is_empty() {
        return;
    }
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":\"");
    escape(line, value);
    line.push(b'"');
}

fn number(line: &mut Vec<u8>, name: &str, value: impl std::fmt::Display) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
    push_display(line, value);
}

fn quoted(line: &mut Vec<u8>, value: &[u8]) {
    line.extend_from_slice(b" \"");
    escape(line, if value.is_empty() { b"-" } else { value });
    line.push(b'"');
}

/// A word; a space in it is escaped too, so that fields stay where they are.
fn bare(line: &mut Vec<u8>, value: &[u8]) {
    line.push(b' ');
    if value.is_empty() {
        line.push(b'-');
    }
    for part in value.split_inclusive(|byte| *byte == b' ') {
        match part.split_last() {
            Some((b' ', word)) => {
                escape(line, word);
                line.extend_from_slice(b"\\u0020");
            }
            _ => escape(line, part),
        }
    }
}

/// As in a JSON string; bytes that are not UTF-8 become the replacement character. What steers a terminal or reverses
/// the text's direction is escaped as well.
fn escape(line: &mut Vec<u8>, value: &[u8]) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if value.iter().all(is_plain) {
        line.extend_from_slice(value);
        return;
    }
    for character in String::from_utf8_lossy(value).chars() {
        match character {
            '"' | '\\' => line.extend_from_slice(&[b'\\', character as u8]),
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                push_escape(line, character);
            }
            _ if character.is_control() => push_escape(line, character),
            _ => line.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn push_escape(line: &mut Vec<u8>, character: char) {
    push_display(line, format_args!("\\u{:04x}", u32::from(character)));
}

fn push_time(line: &mut Vec<u8>, time: SystemTime) {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    push_display(line, format_args!("{time:.3}"));
}

fn seconds(duration: Duration) -> impl std::fmt::Display {
    std::fmt::from_fn(move |f| write!(f, "{}.{:06}", duration.as_secs(), duration.subsec_micros()))
}

fn push_display(line: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing to a vector cannot fail.
    let _ = write!(line, "{value}");
}
