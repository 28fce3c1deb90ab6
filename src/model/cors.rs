//! The CORS filter: which other sites' scripts may ask, and what they may read of the answer.

use http::HeaderValue;

/// What browsers are told of a rule. Nothing is allowed that is not said here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    pub origins: Vec<OriginPattern>,
    /// Methods beyond the ones that need no permission.
    pub methods: CorsList,
    /// Fields of requests beyond the ones that need no permission.
    pub headers: CorsList,
    /// Fields of answers that scripts may read.
    pub expose: CorsList,
    /// How long a browser may remember an answer to a preflight, in seconds.
    pub max_age: u32,
    /// Whether requests may come with cookies and the like.
    pub credentials: bool,
}

/// A list of names in a header field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CorsList {
    #[default]
    None,
    /// `*`
    Any,
    /// Joined by commas.
    These(HeaderValue),
}

/// Origins that a filter allows: `*`, `https://a.test`, `https://*.a.test:8443`, `http://*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    Any,
    Site { scheme: &'static str, host: OriginHost, port: u16 },
}

/// The host of an [`OriginPattern`], in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginHost {
    Any,
    Exact(String),
    /// Holds what follows `*`, with its dot: one or more labels stand before it.
    Below(String),
}

// === impl CorsList ===

impl CorsList {
    /// `None` for no names; `Any` where `*` is among them. Names that no field can hold are an error.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        let names: Vec<&str> = names.into_iter().collect();
        if names.is_empty() {
            return Ok(Self::None);
        }
        if names.contains(&"*") {
            return Ok(Self::Any);
        }
        let joined = names.join(", ");
        HeaderValue::try_from(&joined).map(Self::These).map_err(|_| format!("`{joined}` cannot be sent"))
    }
}

// === impl OriginPattern ===

impl OriginPattern {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let wrong = || format!("`{text}` is not an origin: `*`, or a scheme, a host and perhaps a port");
        let (scheme, host, port) = split(text).ok_or_else(wrong)?;
        let host = match host.strip_prefix('*') {
            Some("") => OriginHost::Any,
            Some(suffix) if suffix.starts_with('.') && !suffix.contains('*') => {
                OriginHost::Below(suffix.to_ascii_lowercase())
            }
            Some(_) => return Err(wrong()),
            None if host.contains('*') => return Err(wrong()),
            None => OriginHost::Exact(host.to_ascii_lowercase()),
        };
        Ok(Self::Site { scheme, host, port })
    }

    /// Whether the value of an `Origin` field fits. `null` is the origin of nobody in particular: only `*` takes it.
    pub fn matches(&self, origin: &str) -> bool {
        let Self::Site { scheme, host, port } = self else { return true };
        let Some((given_scheme, given_host, given_port)) = split(origin) else { return false };
        *scheme == given_scheme && *port == given_port && host.matches(given_host)
    }
}

impl OriginHost {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact.eq_ignore_ascii_case(host),
            Self::Below(suffix) => {
                host.len() > suffix.len()
                    && host
                        .get(host.len() - suffix.len()..)
                        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
                    && !host.starts_with('.')
            }
        }
    }
}

/// Scheme, host and port, which is the scheme's own where none is written.
fn split(origin: &str) -> Option<(&'static str, &str, u16)> {
    let (scheme, rest) = origin.split_once("://")?;
    let (scheme, default) = if scheme.eq_ignore_ascii_case("http") {
        ("http", 80)
    } else if scheme.eq_ignore_ascii_case("https") {
        ("https", 443)
    } else {
        return None;
    };
    // The colons of an IPv6 address stand within brackets.
    let after_host = rest.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match rest.get(after_host..)?.find(':') {
        Some(colon) => {
            let digits = &rest[after_host + colon + 1..];
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            (&rest[..after_host + colon], digits.parse().ok().filter(|_| is_number)?)
        }
        None => (rest, default),
    };
    // Nothing that a browser, or whoever reads the answer, could take for the end of the host.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*[]:".contains(&byte);
    let is_host = !host.is_empty() && host.bytes().all(fits);
    is_host.then_some((scheme, host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_fits_by_scheme_host_and_port() {
        for (pattern, origin, expected) in [
            ("*", "https://a.test", true),
            ("*", "null", true),
            ("https://a.test", "https://a.test", true),
            ("https://a.test", "https://A.test:443", true),
            ("https://a.test:443", "https://a.test", true),
            ("http://a.test:80", "http://a.test", true),
            ("https://a.test", "http://a.test", false),
            ("https://a.test", "https://a.test:8443", false),
            ("https://a.test", "https://b.a.test", false),
            ("https://*.a.test", "https://evil.test%2f.a.test", false),
            ("https://*.a.test", "https://evil.test\\.a.test", false),
            ("https://*.a.test", "https://evil.test\t.a.test", false),
            ("https://*.a.test", "https://evil.test;.a.test", false),
            ("http://[::1]:80", "http://[::1]", true),
            ("https://a.test", "https://a.test.evil.test", false),
            ("https://a.test", "null", false),
            ("https://a.test", "https://a.test/", false),
            ("https://a.test", "https://x@a.test", false),
            ("https://*.a.test", "https://b.a.test", true),
            ("https://*.a.test", "https://c.b.a.test", true),
            ("https://*.a.test", "https://a.test", false),
            ("https://*.a.test", "https://.a.test", false),
            ("https://*.a.test", "https://ba.test", false),
            ("https://*.a.test", "https://b.a.test:8443", false),
            ("https://*.a.test:8443", "https://b.a.test:8443", true),
            ("http://*", "http://anything.test", true),
            ("http://*", "https://anything.test", false),
            ("http://*:8080", "http://anything.test:8080", true),
            ("http://*:8080", "http://anything.test", false),
            ("http://*", "http://[::1]", true),
            ("http://*:81", "http://[::1]:81", true),
            ("http://*", "http://", false),
            ("http://*", "http://a:b", false),
            ("http://*", "http://a:", false),
            ("http://*", "http://a:+80", false),
        ] {
            let matches = OriginPattern::parse(pattern).unwrap().matches(origin);
            assert_eq!(matches, expected, "{pattern} {origin}");
        }
    }

    #[test]
    fn what_is_not_an_origin_is_refused() {
        for text in [
            "",
            "a.test",
            "ftp://a.test",
            "https://",
            "https://a.test:99999",
            "https://a.*",
            "https://*a.test",
        ] {
            assert!(OriginPattern::parse(text).is_err(), "{text}");
        }
    }
}
