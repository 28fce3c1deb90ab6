//! Texts that have to parse: durations, times, hosts, addresses, Base64, paths, header names.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::{HeaderName, HeaderValue};

use crate::model::{Host, HostPattern, OriginPattern, Pattern};

/// Parses a duration of the Gateway API (GEP-2257): one to four whole numbers of up to five digits, each with `h`, `m`,
/// `s` or `ms`. `0s` is a duration too; what it means is up to the field.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "`{text}` is not a duration: up to four whole numbers of up to five digits, each with `h`, `m`, `s` or \
             `ms`, such as `1h30m` or `500ms`"
        )
    };
    let mut rest = text;
    let mut sum = Duration::ZERO;
    for _ in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=5).contains(&digits) {
            return Err(wrong());
        }
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let (unit, length) = if rest.starts_with("ms") {
            (Duration::from_millis(number), 2)
        } else if rest.starts_with('s') {
            (Duration::from_secs(number), 1)
        } else if rest.starts_with('m') {
            (Duration::from_secs(60 * number), 1)
        } else if rest.starts_with('h') {
            (Duration::from_secs(3600 * number), 1)
        } else {
            return Err(wrong());
        };
        sum += unit;
        rest = &rest[length..];
        if rest.is_empty() {
            return Ok(sum);
        }
    }
    Err(wrong())
}

/// Parses a time as RFC 3339 to seconds since 1970.
pub fn timestamp(text: &str) -> Result<i64, String> {
    text.parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_second)
        .map_err(|_| format!("`{text}` is not a time as RFC 3339, such as `2026-08-21T10:00:00Z`"))
}

pub(in crate::config) fn host_pattern(text: &str) -> Result<HostPattern, String> {
    HostPattern::parse(text).map_err(|error| error.to_string())
}

pub(in crate::config) fn host(text: &str) -> Result<Host, String> {
    Host::parse(text).map_err(|error| error.to_string())
}

pub(in crate::config) fn ip_address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an IP address"))
}

/// Compiles a regular expression that has to match the whole text.
pub(in crate::config) fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::parse(text).map_err(|error| {
        // The crate draws the place over several lines; the last one says what is wrong.
        let drawn = error.to_string();
        let reason = drawn.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
        format!("`{text}` is not a regular expression: {reason}")
    })
}

pub(in crate::config) fn header_name(text: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| format!("`{text}` is not the name of a header"))
}

pub(in crate::config) fn header_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| "the value of a header cannot have line breaks or other control characters".to_owned())
}

/// The name of a cookie: a token.
pub(in crate::config) fn cookie_name(text: &str) -> Result<(), String> {
    HeaderName::from_bytes(text.as_bytes())
        .map(drop)
        .map_err(|_| format!("`{text}` is not the name of a cookie: letters, digits and `!#$%&'*+-.^_`|~`"))
}

/// The path of a cookie.
pub(in crate::config) fn cookie_path(text: &str) -> Result<(), String> {
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
    if is_path { Ok(()) } else { Err(format!("`{text}` is not the path of a cookie, which begins with `/`")) }
}

/// An origin that a CORS filter allows.
pub(in crate::config) fn origin(text: &str) -> Result<OriginPattern, String> {
    OriginPattern::parse(text)
}

/// An address, or a network such as `10.0.0.0/8`.
pub(super) fn network(text: &str) -> Result<(), String> {
    let wrong = || format!("`{text}` is neither an IP address nor a network such as `10.0.0.0/8`");
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    match length {
        None => Ok(()),
        Some(length)
            if !length.starts_with('+') && length.parse().is_ok_and(|length: u8| length <= longest) =>
        {
            Ok(())
        }
        Some(_) => Err(wrong()),
    }
}

/// An address and a port, a port alone (`8080`, `:8080`), or `off`.
pub(super) fn listen_address(text: &str) -> Result<(), String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if text == "off" || text.parse::<SocketAddr>().is_ok() || port.parse::<u16>().is_ok() {
        return Ok(());
    }
    Err(format!("`{text}` is not an address to listen on, such as `0.0.0.0:80`, `[::]:80` or `off`"))
}

/// Standard Base64 with padding; line breaks are let through.
pub(super) fn is_base64(text: &str) -> bool {
    let mut length = 0_usize;
    let mut padding = 0_usize;
    for byte in text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')) {
        length += 1;
        match byte {
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => {}
            _ => return false,
        }
    }
    padding <= 2 && length.is_multiple_of(4)
}

/// What is wrong with the value of an `Exact` or `PathPrefix` match.
pub(super) fn path_fault(path: &str) -> Option<&'static str> {
    const FORBIDDEN: [(&str, &str); 6] = [
        ("//", "a path cannot have `//`"),
        ("/./", "a path cannot have `/./`"),
        ("/../", "a path cannot have `/../`"),
        ("%2f", "a path cannot have an encoded slash"),
        ("%2F", "a path cannot have an encoded slash"),
        ("#", "a path cannot have `#`"),
    ];
    if !path.starts_with('/') {
        return Some("a path begins with `/`");
    }
    if let Some((_, fault)) = FORBIDDEN.iter().find(|(part, _)| path.contains(part)) {
        return Some(fault);
    }
    if path.ends_with("/..") {
        return Some("a path cannot end in `/..`");
    }
    if path.ends_with("/.") {
        return Some("a path cannot end in `/.`");
    }
    (!is_path_text(path)).then_some(
        "a path has letters, digits, `%` with two hexadecimal digits, and `-._~!$&'()*+,;=:@/` only",
    )
}

/// Whether a text has only what may stand in a path (`pchar` of RFC 3986, and `/`).
fn is_path_text(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_good = match byte {
            b'%' => [bytes.next(), bytes.next()]
                .into_iter()
                .all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit())),
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte),
        };
        if !is_good {
            return false;
        }
    }
    true
}
