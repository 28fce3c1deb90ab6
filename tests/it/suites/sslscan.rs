//! `sslscan`: which versions, ciphers and old faults of TLS a listener has.

use super::*;
use crate::support::{
    portolan::{Documents, Portolan},
    wait,
};

const CERTIFICATE: &str = "apiVersion: portolan.dev/v1alpha1\nkind: Certificate\nmetadata: {name: made}\nspec: {hostnames: [shop.test], selfSigned: {validFor: 48h}}\n";

/// An element of the report, which has one on each line: its name and attributes.
struct Element<'a>(&'a str);

// === impl Element ===

impl<'a> Element<'a> {
    fn all(report: &'a str, name: &str) -> Vec<Self> {
        let named =
            |line: &&str| line.strip_prefix('<').is_some_and(|rest| rest.starts_with(&format!("{name} ")));
        report.lines().map(str::trim).filter(named).map(Self).collect()
    }

    fn attribute(&self, name: &str) -> &'a str {
        let value = self.0.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split_once('"'));
        value.map(|(value, _)| value).unwrap_or_default()
    }
}

#[test]
fn nothing_old_or_weak_is_spoken() {
    if !have("sslscan", "--version") {
        return;
    }
    let documents = Documents::new();
    documents.write("made.yaml", CERTIFICATE);
    let portolan = Portolan::builder().config(documents.path()).start();
    wait::eventually(wait::SOON, "HTTPS is listened on", || std::net::TcpStream::connect(portolan.https));
    let scan = ["--no-colour", "--xml=-", "--sni-name=shop.test", &portolan.https.to_string()];
    let report = output(Command::new("sslscan").args(scan)).expect("a report");

    let enabled: Vec<(&str, &str, &str)> = Element::all(&report, "protocol")
        .iter()
        .map(|found| (found.attribute("type"), found.attribute("version"), found.attribute("enabled")))
        .collect();
    let (old, new) = (["2", "3", "1.0", "1.1"], ["1.2", "1.3"]);
    assert_eq!(enabled.len(), old.len() + new.len(), "{report}");
    for (kind, version, enabled) in enabled {
        assert_eq!(enabled == "1", kind == "tls" && new.contains(&version), "{kind} {version}: {report}");
    }
    let ciphers = Element::all(&report, "cipher");
    assert!(ciphers.len() >= 6, "{report}");
    for cipher in ciphers {
        let (name, bits) = (cipher.attribute("cipher"), cipher.attribute("bits"));
        assert!(bits.parse::<u32>().is_ok_and(|bits| bits >= 128), "{name}: {bits}");
        assert!(matches!(cipher.attribute("strength"), "strong" | "acceptable"), "{name}: {report}");
        let is_forward_secret = name.starts_with("TLS_") || name.starts_with("ECDHE-");
        let is_authenticated = name.contains("GCM") || name.contains("POLY1305");
        assert!(is_forward_secret && is_authenticated, "{name}");
    }
    let hearts = Element::all(&report, "heartbleed");
    assert!(
        !hearts.is_empty() && hearts.iter().all(|heart| heart.attribute("vulnerable") == "0"),
        "{report}"
    );
    // Not told of where the tool was built without it.
    let compressions = Element::all(&report, "compression");
    assert!(compressions.iter().all(|found| found.attribute("supported") == "0"), "{report}");
    // None at all is best.
    let renegotiations = Element::all(&report, "renegotiation");
    assert!(!renegotiations.is_empty(), "{report}");
    for found in renegotiations {
        assert!(found.attribute("supported") == "0" || found.attribute("secure") == "1", "{report}");
    }
}
