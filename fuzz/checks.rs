//! What must hold for any text: by fuzzing for many, in the tests for the seeds and what is close to them.

use portolan::{
    config::{check::check_text, diagnostic::render_lines},
    model::{Cidr, Host, HostPattern, Oddity},
    route::path::{canonical, canonical_if},
};

/// A canonical path is its own canonical form and holds nothing that a backend could read in another way.
pub fn path(text: &str) {
    let slashes = [Oddity::EncodedSlash].into_iter().collect();
    if let Ok(path) = canonical_if(text, slashes) {
        assert_eq!(canonical_if(&path, slashes).as_deref(), Ok(&*path), "{text:?} has two canonical forms");
        // Whatever a backend decodes first, it finds no way up.
        let read = path.replace("%2F", "/");
        assert!(!read.split('/').any(|segment| matches!(segment, "." | "..")), "{text:?} became {path:?}");
    }
    let Ok(path) = canonical(text) else { return };
    assert_eq!(canonical(&path).as_deref(), Ok(&*path), "{text:?} has two canonical forms");
    assert!(path.starts_with('/') && !path.contains("//"), "{text:?} became {path:?}");
    assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")), "{text:?} became {path:?}");
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{text:?} became {path:?}");
    let escapes = path.to_ascii_lowercase();
    for escape in ["%2f", "%5c", "%00", "%2e"] {
        assert!(!escapes.contains(escape), "{text:?} became {path:?}");
    }
}

/// A host name has one spelling, and a pattern is at least its own match.
pub fn host(text: &str) {
    if let Ok(host) = Host::parse(text) {
        assert_eq!(Host::parse(host.as_str()).as_ref(), Ok(&host), "{text:?}");
        assert!(!host.as_str().bytes().any(|byte| byte.is_ascii_uppercase()), "{text:?} became {host}");
        assert!(HostPattern::Exact(host.clone()).matches(host.as_str()), "{host}");
    }
    if let Ok(pattern) = HostPattern::parse(text) {
        assert_eq!(HostPattern::parse(&pattern.to_string()).as_ref(), Ok(&pattern), "{text:?}");
        assert!(pattern.intersects(&pattern) && !pattern.matches(""), "{text:?}");
        // Whatever a client may send.
        for host in [text, "a", "*.", ".example.com"] {
            pattern.matches(host);
        }
    }
}

/// A network has one spelling and holds its own address.
pub fn network(text: &str) {
    let Ok(network) = text.parse::<Cidr>() else { return };
    let spelt = network.to_string();
    assert_eq!(spelt.parse::<Cidr>().as_ref(), Ok(&network), "{text:?} became {spelt:?}");
    let address = spelt.split('/').next().and_then(|address| address.parse().ok());
    // An IPv4 address in IPv6 counts as IPv4: a network of IPv6 does not hold it.
    let is_mapped = address.is_some_and(|address: std::net::IpAddr| address.to_canonical() != address);
    assert!(is_mapped || address.is_some_and(|address| network.contains(address)), "{spelt}");
}

/// A document is read or told of, in words that do not steer a terminal.
pub fn document(text: &str) {
    let report = check_text("fuzz.yaml", text);
    let told = render_lines(&report.diagnostics);
    assert!(report.is_valid() || !told.is_empty(), "wrong without a word: {text:?}");
    assert!(!told.contains(|c: char| c != '\n' && c.is_control()), "{text:?} is told as {told:?}");
}
