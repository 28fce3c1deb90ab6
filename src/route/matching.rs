//! Whether a header or a query parameter of a request fits.

use std::borrow::Cow;

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::model::{HeaderMatch, QueryMatch, ValueMatch};

/// Whether a field tells where a request came from. Routes and backends believe it, so that only those whose word is
/// taken may send it.
pub fn tells_of_client(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || matches!(name, "forwarded" | "x-forwarded" | "x-real-ip" | "true-client-ip" | "x-client-ip")
}

/// A header that occurs several times counts as one with its values joined by commas (RFC 9110 section 5.3).
pub(super) fn header(expected: &HeaderMatch, headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(&expected.name).iter();
    let Some(first) = values.next() else { return false };
    let Some(second) = values.next() else { return fits(&expected.value, first.as_bytes()) };
    let mut joined = first.as_bytes().to_vec();
    for value in std::iter::once(second).chain(values) {
        joined.push(b',');
        joined.extend_from_slice(value.as_bytes());
    }
    fits(&expected.value, &joined)
}

/// Of a parameter that occurs several times the first counts. Name and value are compared as they are sent and decoded.
pub(super) fn query(expected: &QueryMatch, query: Option<&str>) -> bool {
    query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(name, _)| *name == &*expected.name || decoded(name) == *expected.name)
        .is_some_and(|(_, value)| expected.value.matches(value) || expected.value.matches(&decoded(value)))
}

fn fits(expected: &ValueMatch, value: &[u8]) -> bool {
    match expected {
        ValueMatch::Exact(exact) => exact.as_bytes() == value,
        ValueMatch::Regex(_) | ValueMatch::MediaType(_) => {
            std::str::from_utf8(value).is_ok_and(|value| expected.matches(value))
        }
    }
}

/// `application/x-www-form-urlencoded`: escapes, and `+` for a space.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}
