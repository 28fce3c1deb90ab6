//! How long the head of a request over HTTP/2 is: its fields come packed.

use http::request::Parts;

/// How a head that is too long is counted, or one of too many fields.
pub(super) const LIMIT: &str = "head_size";

/// As a client counts it (RFC 9113 section 6.5.2), but for the scheme.
pub(super) fn of(head: &Parts) -> usize {
    const EACH: usize = 32;
    let uri = &head.uri;
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len())
        + uri.authority().map_or(0, |authority| authority.as_str().len());
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + EACH);
    target + head.method.as_str().len() + fields.sum::<usize>()
}
