//! Host names: of requests, and as patterns in listeners and routes.

use std::{fmt, sync::Arc};

/// A host as a request names it: lower case, without port and trailing dot. A DNS name or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Arc<str>);

/// A hostname of a listener or route: a DNS name, or `*.` and a DNS name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    Exact(Host),
    /// Holds the part after `*.`; covers any number of labels in front of it, but at least one.
    Wildcard(Host),
}

/// Why a text is not a host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    #[error("a host name cannot be empty")]
    Empty,
    #[error("a host name has at most 253 characters, this one has {0}")]
    TooLong(usize),
    #[error("`{0}` is not a valid host name: labels of letters, digits and `-`, joined by dots")]
    Syntax(String),
    #[error("`*` is only allowed as the whole first label, before a dot and a name")]
    Wildcard,
}

// === impl Host ===

impl Host {
    /// Parses a DNS name in any case, with or without a trailing dot. Underscores are let through: container names have them.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(InvalidHost::Empty);
        }
        if text.len() > 253 {
            return Err(InvalidHost::TooLong(text.len()));
        }
        if !text.split('.').all(is_label) {
            return Err(InvalidHost::Syntax(text.to_owned()));
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl HostPattern ===

impl HostPattern {
    /// Parses `a.example.com` or `*.example.com`.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        match text.strip_prefix("*.") {
            Some(rest) if rest.contains('*') => Err(InvalidHost::Wildcard),
            Some(rest) => Host::parse(rest).map(Self::Wildcard),
            None if text.contains('*') => Err(InvalidHost::Wildcard),
            None => Host::parse(text).map(Self::Exact),
        }
    }

    /// Whether a request for `host` (lower case, no port, no trailing dot) fits.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => exact.as_str() == host,
            Self::Wildcard(suffix) => is_below(host, suffix.as_str()),
        }
    }

    /// The one of both that takes the hosts which both take; `None` if no host fits both.
    pub fn narrower<'p>(&'p self, other: &'p Self) -> Option<&'p Self> {
        match (self, other) {
            (Self::Exact(host), pattern) => pattern.matches(host.as_str()).then_some(self),
            (pattern, Self::Exact(host)) => pattern.matches(host.as_str()).then_some(other),
            (Self::Wildcard(a), Self::Wildcard(b)) => {
                if a == b || is_below(a.as_str(), b.as_str()) {
                    Some(self)
                } else {
                    is_below(b.as_str(), a.as_str()).then_some(other)
                }
            }
        }
    }

    /// Whether some host fits both patterns.
    pub fn intersects(&self, other: &Self) -> bool {
        self.narrower(other).is_some()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= 63
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}

/// Whether `host` is `something.suffix`.
fn is_below(host: &str, suffix: &str) -> bool {
    host.strip_suffix(suffix).and_then(|front| front.strip_suffix('.')).is_some_and(|front| !front.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    #[test]
    fn a_wildcard_covers_any_number_of_labels_but_not_none() {
        assert!(pattern("*.a.test").matches("x.a.test"));
        assert!(pattern("*.a.test").matches("y.x.a.test"));
        assert!(!pattern("*.a.test").matches("a.test"));
        assert!(!pattern("*.a.test").matches("xa.test"));
    }

    #[test]
    fn of_two_patterns_the_narrower_one_is_what_they_have_in_common() {
        for (a, b, expected) in [
            ("a.test", "a.test", Some("a.test")),
            ("a.test", "b.test", None),
            ("*.test", "a.test", Some("a.test")),
            ("*.test", "b.a.test", Some("b.a.test")),
            ("*.test", "*.test", Some("*.test")),
            ("*.test", "*.a.test", Some("*.a.test")),
            ("*.b.test", "*.a.test", None),
            ("*.a.test", "a.test", None),
            ("*.a.test", "*.aa.test", None),
        ] {
            let expected = expected.map(pattern);
            assert_eq!(pattern(a).narrower(&pattern(b)), expected.as_ref(), "{a} and {b}");
            assert_eq!(pattern(b).narrower(&pattern(a)), expected.as_ref(), "{b} and {a}");
            assert_eq!(pattern(a).intersects(&pattern(b)), expected.is_some(), "{a} and {b}");
        }
    }

    #[test]
    fn names_are_lower_case_and_lose_one_trailing_dot() {
        assert_eq!(Host::parse("Web_1.Example.COM.").unwrap().as_str(), "web_1.example.com");
    }

    #[test]
    fn odd_names_are_refused_with_their_reason() {
        assert_eq!(Host::parse(""), Err(InvalidHost::Empty));
        assert_eq!(HostPattern::parse("*"), Err(InvalidHost::Wildcard));
        assert_eq!(HostPattern::parse("a.*.b"), Err(InvalidHost::Wildcard));
        assert!(matches!(Host::parse("a..b"), Err(InvalidHost::Syntax(_))));
        assert!(matches!(Host::parse(&"a".repeat(254)), Err(InvalidHost::TooLong(254))));
    }
}
