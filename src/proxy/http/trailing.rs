//! Which fields may come after a body, both ways and by whatever version of HTTP. Pure.
//!
//! Why not all: whoever decides by a field looks at the head, and many who read trailers put them beside the head's fields.
//! What only a head may say would pass all who have looked.

use bytes::Bytes;
use http::{HeaderName, header};
use http_body::Frame;

use super::{
    Asked,
    fields::{self, Named},
};
use crate::{
    model::{HeaderEdit, HttpFilter},
    route::tells_of_client,
};

/// Takes the trailers that may not come out of a piece of a body, and the piece where nothing is left of it. `withheld`
/// are those of this message.
pub(super) fn strip(frame: &mut Option<Frame<Bytes>>, withheld: &[HeaderName]) {
    let Some(trailers) = frame.as_mut().and_then(Frame::trailers_mut) else { return };
    let is_withheld = |name: &HeaderName| withheld.iter().any(|other| is_read_alike(name, other));
    let unfit = trailers.keys().filter(|name| !may_trail(name) || is_withheld(name));
    for name in unfit.cloned().collect::<Vec<_>>() {
        trailers.remove(name);
    }
    if trailers.is_empty() {
        *frame = None;
    }
}

/// Whether a field may come after a body (RFC 9110 section 6.5.1): not what frames, routes, proves, asks for something,
/// decides what is done with an answer, or says what its content is, and nothing that a head may not say either.
fn may_trail(name: &HeaderName) -> bool {
    // Whoever takes `_` for `-` reads the same.
    let name = name.as_str().replace('_', "-");
    let is_for_heads = matches!(
        &*name,
        "age"
            | "authorization"
            | "cache-control"
            | "cookie"
            | "date"
            | "expect"
            | "expires"
            | "host"
            | "if-match"
            | "if-modified-since"
            | "if-none-match"
            | "if-range"
            | "if-unmodified-since"
            | "location"
            | "max-forwards"
            | "origin"
            | "portolan-reason"
            | "pragma"
            | "range"
            | "retry-after"
            | "set-cookie"
            | "trailer"
            | "transfer-encoding"
            | "vary"
            | "www-authenticate"
            | "x-request-id"
    );
    // A sum is known when the body is over.
    let is_of_content = name.starts_with("content-") && !matches!(&*name, "content-digest" | "content-md5");
    !is_for_heads
        && !is_of_content
        && !name.starts_with("access-control-")
        && !fields::is_dropped(&name)
        && !tells_of_client(&name)
}

/// Whether a backend that takes `_` for `-` reads one name as the other.
fn is_read_alike(one: &HeaderName, other: &HeaderName) -> bool {
    let bytes = |name: &HeaderName| {
        name.as_str().bytes().map(|byte| if byte == b'_' { b'-' } else { byte }).collect::<Vec<_>>()
    };
    one.as_str().len() == other.as_str().len() && bytes(one) == bytes(other)
}

/// What filters have the head of an answer say, or not say.
pub(super) fn withheld<'f>(filters: impl Iterator<Item = &'f HttpFilter>) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for filter in filters {
        if let HttpFilter::ResponseHeaders(edit) = filter {
            names.extend(edited(edit));
        }
    }
    names
}

fn edited(edit: &HeaderEdit) -> impl Iterator<Item = HeaderName> {
    let written = edit.set.iter().chain(&edit.add).map(|(name, _)| name);
    written.chain(&edit.remove).cloned()
}

impl Asked<'_> {
    /// What services and filters have the head say, or not say, the client does not say after its body; nor what
    /// `Connection` names.
    pub(super) fn withhold<'f>(&self, filters: impl Iterator<Item = &'f HttpFilter>) {
        let Some(upload) = &self.upload else { return };
        let mut names = self.permits.names();
        if self.head.headers.contains_key(header::CONNECTION) {
            // Who names more than anybody means does it to its own trailers only.
            if let Named::These(named) = fields::named(&self.head.headers) {
                names.extend(named);
            }
        }
        for filter in filters {
            if let HttpFilter::RequestHeaders(edit) = filter {
                names.extend(edited(edit));
            }
        }
        upload.withhold(names);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn names(names: &[&'static str]) -> Vec<HeaderName> {
        names.iter().map(|name| HeaderName::from_static(name)).collect()
    }

    /// Those of these trailers that may come.
    fn left(trailers: &[&'static str], withheld: &[&'static str]) -> Option<Vec<String>> {
        let one = HeaderValue::from_static("1");
        let map = names(trailers).into_iter().map(|name| (name, one.clone())).collect();
        let mut frame = Some(Frame::trailers(map));
        strip(&mut frame, &names(withheld));
        frame.map(|frame| frame.trailers_ref().unwrap().keys().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_known_when_the_body_is_over_may_come_after_it() {
        let sums = [
            "content-digest",
            "digest",
            "etag",
            "grpc-message",
            "grpc-status",
            "grpc-status-details-bin",
            "server-timing",
            "x-sum",
            "x_sum",
        ];
        assert_eq!(left(&sums, &[]).unwrap().len(), sums.len());
    }

    #[test]
    fn what_only_a_head_may_say_does_not_come_after_a_body_by_any_name() {
        for name in [
            "authorization",
            "access-control-allow-origin",
            "cache-control",
            "connection",
            "content-encoding",
            "content-length",
            "content-range",
            "content-type",
            "content_length",
            "cookie",
            "expect",
            "forwarded",
            "host",
            "http2-settings",
            "if-match",
            "keep-alive",
            "location",
            "max-forwards",
            "portolan-reason",
            "portolan_reason",
            "proxy",
            "proxy-authorization",
            "proxy-connection",
            "range",
            "set-cookie",
            "te",
            "trailer",
            "transfer-encoding",
            "true-client-ip",
            "upgrade",
            "www-authenticate",
            "x-forwarded-for",
            "x-forwarded-prefix",
            "x-real-ip",
            "x-request-id",
            "x_forwarded_for",
            "x_request-id",
        ] {
            assert_eq!(left(&[name], &[]), None, "{name}");
            assert_eq!(left(&["x-sum", name], &[]).unwrap(), ["x-sum"], "{name}");
        }
    }

    #[test]
    fn what_others_have_said_in_the_head_is_not_said_again_by_any_name() {
        let trailers = ["x-sum", "remote-user", "remote_user", "x-user"];
        assert_eq!(left(&trailers, &["remote-user", "x_user"]).unwrap(), ["x-sum"]);
    }
}
