//! Credentials that hold for a connection and not for a request: NTLM, and what is negotiated. Pure.
//!
//! A server that takes them believes whatever comes over that connection afterwards (RFC 4559 section 6): such a
//! connection must not carry a request of anybody else.

use http::{HeaderMap, HeaderName, header};

/// Whether a request shows such credentials.
pub(super) fn are_shown(request: &HeaderMap) -> bool {
    has_scheme(request, &header::AUTHORIZATION)
}

/// Whether a response asks for such credentials, or goes on with them.
pub(super) fn are_asked_for(response: &HeaderMap) -> bool {
    has_scheme(response, &header::WWW_AUTHENTICATE) || has_scheme(response, &header::PROXY_AUTHENTICATE)
}

/// Takes what is between commas for a challenge. Where that is a part of a quoted text, nothing is lost but a connection.
fn has_scheme(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().any(|value| value.as_bytes().split(|byte| *byte == b',').any(is_bound))
}

fn is_bound(challenge: &[u8]) -> bool {
    let scheme = challenge.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn schemes_of_a_connection_are_found_wherever_they_stand() {
        for values in [
            &["NTLM"][..],
            &["nTLM TlRMTVNTUAAC"],
            &["Negotiate oYG2"],
            &["Basic realm=\"a\"", "Negotiate"],
            &["Basic realm=\"a\", NTLM"],
            &["Basic realm=\"a\",negotiate\toYG2"],
        ] {
            assert!(are_asked_for(&with(&header::WWW_AUTHENTICATE, values)), "{values:?}");
            assert!(are_asked_for(&with(&header::PROXY_AUTHENTICATE, values)), "{values:?}");
            assert!(are_shown(&with(&header::AUTHORIZATION, values)), "{values:?}");
        }
        for values in
            [&[][..], &["", ","], &["Basic bnRsbQ=="], &["Bearer NTLM"], &["NTLMv2"], &["Digest a=b"]]
        {
            assert!(!are_asked_for(&with(&header::WWW_AUTHENTICATE, values)), "{values:?}");
            assert!(!are_shown(&with(&header::AUTHORIZATION, values)), "{values:?}");
        }
        assert!(!are_shown(&with(&header::WWW_AUTHENTICATE, &["NTLM"])));
    }
}
