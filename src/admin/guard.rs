//! Who may ask: keeps pages of other sites, open in a browser that can reach this listener, from reading the API.
//!
//! A page of `evil.example` can make its name resolve to 127.0.0.1 (DNS rebinding), but then its requests have its own
//! name as `Host`. So only names are answered that no such page can have.

use std::net::IpAddr;

use http::{HeaderMap, StatusCode, Uri, header, uri::Authority};

/// Which names are ours; depends on where we listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A unix socket: browsers cannot reach it, and clients write anything as `Host`.
    Socket,
    /// The loopback address: addresses and `localhost`.
    Loopback,
    /// Other machines may ask; they may also know us by a name of one label, as containers of one network do. A page
    /// on the Internet has a name with a dot.
    Network,
}

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub reason: &'static str,
    pub message: String,
}

// === impl Reach ===

impl Reach {
    /// Whether a request may be answered.
    pub fn check(self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        if self == Self::Socket {
            return Ok(());
        }
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
            (_, Some(_)) | (None, None) => None,
        };
        let host = host.ok_or_else(|| Refusal {
            status: StatusCode::BAD_REQUEST,
            reason: "BadRequest",
            message: "a request needs exactly one valid `Host`".to_owned(),
        })?;
        for name in std::iter::once(host.host()).chain(uri.host()) {
            if !self.knows(name) {
                return Err(Refusal {
                    status: StatusCode::MISDIRECTED_REQUEST,
                    reason: "UnknownHost",
                    message: format!(
                        "`{name}` is not a name of this API: ask for it by an address or as `localhost`"
                    ),
                });
            }
        }
        for origin in headers.get_all(header::ORIGIN) {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            let same = origin.split_once("://").is_some_and(|(scheme, authority)| {
                matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(host.as_str())
            });
            if !same {
                return Err(Refusal {
                    status: StatusCode::FORBIDDEN,
                    reason: "ForeignOrigin",
                    message: format!("pages of `{}` may not ask this API", origin.escape_default()),
                });
            }
        }
        Ok(())
    }

    fn knows(self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        let one_label = !host.is_empty() && !host.contains('.');
        is_address || host.eq_ignore_ascii_case("localhost") || (self == Self::Network && one_label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reach: Reach, host: Option<&str>, origin: Option<&str>) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        match reach.check(&Uri::from_static("/"), &headers) {
            Ok(()) => 200,
            Err(refusal) => refusal.status.as_u16(),
        }
    }

    #[test]
    fn only_names_that_no_page_can_have_are_answered() {
        for (host, on_loopback, on_network) in [
            ("127.0.0.1:9080", 200, 200),
            ("[::1]:9080", 200, 200),
            ("localhost:9080", 200, 200),
            ("LocalHost.", 200, 200),
            ("192.168.1.5", 200, 200),
            ("portolan:9080", 421, 200),
            ("evil.example:9080", 421, 421),
            ("127.0.0.1.evil.example", 421, 421),
            ("localhost.evil.example", 421, 421),
            ("", 400, 400),
            ("a b", 400, 400),
        ] {
            assert_eq!(check(Reach::Loopback, Some(host), None), on_loopback, "{host}");
            assert_eq!(check(Reach::Network, Some(host), None), on_network, "{host}");
            assert_eq!(check(Reach::Socket, Some(host), None), 200, "{host}");
        }
        assert_eq!(check(Reach::Loopback, None, None), 400);
        assert_eq!(check(Reach::Socket, None, None), 200);
    }

    #[test]
    fn two_hosts_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, "localhost".parse().unwrap());
        headers.append(header::HOST, "localhost".parse().unwrap());
        let refusal = Reach::Loopback.check(&Uri::from_static("/"), &headers).unwrap_err();
        assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn the_name_in_the_target_counts_too() {
        let headers = HeaderMap::from_iter([(header::HOST, "localhost".parse().unwrap())]);
        let refusal = Reach::Loopback.check(&Uri::from_static("http://evil.example/"), &headers).unwrap_err();
        assert_eq!(refusal.status, StatusCode::MISDIRECTED_REQUEST);
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        for (origin, expected) in [
            ("http://localhost:9080", 200),
            ("http://LOCALHOST:9080", 200),
            ("http://localhost:8080", 403),
            ("http://evil.example", 403),
            ("null", 403),
            ("", 403),
        ] {
            assert_eq!(check(Reach::Loopback, Some("localhost:9080"), Some(origin)), expected, "{origin}");
        }
    }
}
