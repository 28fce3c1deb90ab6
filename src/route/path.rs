//! The one canonical form of a path: what filters edit, what the backend sees, and what routes are matched on as soon as
//! it is [`decoded`].
//!
//! Why one form: a proxy that matches on one reading of a path and forwards another can be led around its own rules
//! (`/public/%2e%2e/admin`). Here elements are the same for all. Within an element a backend reads `%40` as `@`, so
//! routes do too; it is sent on as it came, because `;` or `+` may mean something to a backend that `%3B` does not.

use std::borrow::Cow;

use crate::model::{Allowed, Oddity};

/// Why a path is refused with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    #[error("the path holds an incomplete percent escape")]
    Escape,
    #[error("the path holds an encoded slash, which `--allow encoded-slash` would let through")]
    EncodedSlash,
    #[error("the path holds a backslash, as it is or encoded")]
    Backslash,
    #[error("the path holds a dot segment beside an encoded slash")]
    Dots,
    #[error("the path holds a NUL or another control character")]
    Control,
}

/// Gives `raw` (a path without query) its canonical form: dot segments resolved (RFC 3986 section 5.2.4), escapes of
/// unreserved characters decoded, other escapes in upper case (section 6.2.2), characters that a path may not hold
/// escaped, runs of slashes made one. Costs one scan where `raw` is canonical already.
pub fn canonical(raw: &str) -> Result<Cow<'_, str>, InvalidPath> {
    canonical_if(raw, Allowed::NOTHING)
}

/// The same where an encoded slash may be allowed: it is a part of its element, for routes and for the backend.
pub fn canonical_if(raw: &str, allowed: Allowed) -> Result<Cow<'_, str>, InvalidPath> {
    if !raw.starts_with('/') {
        return Err(InvalidPath::NotAbsolute);
    }
    if is_canonical(raw.as_bytes()) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut path = String::with_capacity(raw.len() + 16);
    let mut ends_in_directory = false;
    for raw_segment in raw.split('/').skip(1) {
        ends_in_directory = true;
        if raw_segment.is_empty() {
            continue;
        }
        let start = path.len();
        path.push('/');
        push_segment(&mut path, raw_segment, allowed)?;
        match &path[start..] {
            "/." => path.truncate(start),
            "/.." => {
                path.truncate(start);
                path.truncate(path.rfind('/').unwrap_or(0));
            }
            _ => ends_in_directory = false,
        }
    }
    if ends_in_directory {
        path.push('/');
    }
    Ok(Cow::Owned(path))
}

/// A canonical path as routes are matched on it: escapes of what a path may hold as it is are decoded.
pub fn decoded(canonical: &str) -> Cow<'_, str> {
    if !canonical.contains('%') {
        return Cow::Borrowed(canonical);
    }
    let mut path = String::with_capacity(canonical.len());
    let mut rest = canonical;
    while let Some((before, after)) = rest.split_once('%') {
        path.push_str(before);
        let digits =
            after.as_bytes().first_chunk().and_then(|[high, low]| hex_value(*high).zip(hex_value(*low)));
        match digits.map(|(high, low)| high << 4 | low) {
            Some(byte) if is_path_byte(byte) => {
                path.push(byte.into());
                rest = &after[2..];
            }
            Some(_) | None => {
                path.push('%');
                rest = after;
            }
        }
    }
    path.push_str(rest);
    Cow::Owned(path)
}

/// Whether every byte may stand as it is and no segment is empty, `.` or `..`, apart from an empty last one.
fn is_canonical(raw: &[u8]) -> bool {
    // The byte before the current one, and the number of dots since a slash, or `NOT_DOTS`.
    const NOT_DOTS: u8 = 3;
    let mut dots = 0;
    let mut after_slash = false;
    for &byte in raw {
        match byte {
            b'/' if after_slash || dots == 1 || dots == 2 => return false,
            b'/' => {
                after_slash = true;
                dots = 0;
                continue;
            }
            b'.' if dots < NOT_DOTS && (after_slash || dots > 0) => dots += 1,
            _ if is_path_byte(byte) => dots = NOT_DOTS,
            _ => return false,
        }
        after_slash = false;
    }
    !(dots == 1 || dots == 2)
}

fn push_segment(path: &mut String, segment: &str, allowed: Allowed) -> Result<(), InvalidPath> {
    let (start, bytes) = (path.len(), segment.as_bytes());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (decoded, width) = if byte == b'%' {
            let high = bytes.get(at + 1).and_then(|digit| hex_value(*digit));
            let low = bytes.get(at + 2).and_then(|digit| hex_value(*digit));
            let (Some(high), Some(low)) = (high, low) else { return Err(InvalidPath::Escape) };
            (high << 4 | low, 3)
        } else {
            (byte, 1)
        };
        at += width;
        match decoded {
            b'/' if allowed.has(Oddity::EncodedSlash) => push_escape(path, decoded),
            b'/' => return Err(InvalidPath::EncodedSlash),
            b'\\' => return Err(InvalidPath::Backslash),
            0 => return Err(InvalidPath::Control),
            ..0x20 | 0x7f if width == 1 => return Err(InvalidPath::Control),
            _ if is_unreserved(decoded) || (width == 1 && is_path_byte(decoded)) => path.push(decoded.into()),
            _ => push_escape(path, decoded),
        }
    }
    // A backend that decodes first would resolve these.
    let mut parts = path[start..].split("%2F");
    let has_dots = parts.clone().nth(1).is_some() && parts.any(|part| matches!(part, "." | ".."));
    if has_dots { Err(InvalidPath::Dots) } else { Ok(()) }
}

fn push_escape(path: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    path.push('%');
    path.push(DIGITS[usize::from(byte >> 4)].into());
    path.push(DIGITS[usize::from(byte & 15)].into());
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// `unreserved` of RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `pchar` of RFC 3986 section 3.3, without escapes.
fn is_path_byte(byte: u8) -> bool {
    const SUB_DELIMS_AND_MORE: &[u8] = b"!$&'()*+,;=:@";
    is_unreserved(byte) || SUB_DELIMS_AND_MORE.contains(&byte)
}

/// Whether the path has the prefix by whole elements; `prefix` has no trailing slash.
pub fn has_prefix(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Puts `replacement` in the place of the first `prefix` (without its trailing slash) of `path`: slashes at the seam are
/// never doubled and the result is never empty (Gateway API, `HTTPPathModifier.replacePrefixMatch`).
///
/// The prefix has matched, so that many elements go; in the path they may be written otherwise.
pub fn replace_prefix(path: &str, prefix: &str, replacement: &str) -> String {
    let elements = prefix.matches('/').count();
    let rest = path.match_indices('/').nth(elements).map_or("", |(end, _)| &path[end..]);
    let front = replacement.strip_suffix('/').unwrap_or(replacement);
    let replaced = format!("{front}{rest}");
    match replaced.strip_prefix('/') {
        Some(_) => replaced,
        None => format!("/{replaced}"),
    }
}

/// The prefix that stands at the front of a path after [`replace_prefix`] with this replacement.
pub fn as_prefix(replacement: &str) -> String {
    let replaced = replace_prefix("", "", replacement);
    let canonical = canonical(&replaced).map_or(replaced.clone(), Cow::into_owned);
    canonical.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests;
