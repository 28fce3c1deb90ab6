//! Certificates, their keys, and the objects that hold them. Parsed and matched where they are read.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc, time::Duration};

use super::{HostPattern, Meta, Unsupported};

/// An X.509 certificate in DER.
pub type Der = Arc<[u8]>;

/// A certificate with its chain and the private key that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertifiedKey {
    /// The certificate itself first. Never empty.
    pub chain: Vec<Der>,
    pub key: PrivateKey,
    /// The DNS names that the certificate is for.
    pub names: Vec<HostPattern>,
    /// In seconds since 1970.
    pub not_before: i64,
    /// In seconds since 1970.
    pub not_after: i64,
}

/// A private key in DER: PKCS #8, SEC 1 or PKCS #1. Never shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrivateKey {
    pub form: KeyForm,
    der: Arc<[u8]>,
}

/// How the bytes of a private key are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyForm {
    Pkcs8,
    Sec1,
    Pkcs1,
}

/// The core `Secret`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    pub meta: Meta,
    /// `kubernetes.io/tls`, `Opaque`, …
    pub kind: Arc<str>,
    /// Where its type is `kubernetes.io/tls`.
    pub certificate: Option<Arc<CertifiedKey>>,
}

/// The core `ConfigMap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMap {
    pub meta: Meta,
    /// The certificates under the key `ca.crt`, or why there are none.
    pub authorities: Result<Arc<[Der]>, Arc<str>>,
}

/// Portolan's own `Certificate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub meta: Meta,
    pub source: CertificateSource,
    pub unsupported: Vec<Unsupported>,
}

/// Where a certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateSource {
    /// PEM files.
    Files {
        certificate: Arc<Path>,
        key: Arc<Path>,
    },
    /// A `Secret` of the same namespace.
    Secret(Arc<str>),
    SelfSigned {
        names: Vec<HostPattern>,
        valid_for: Duration,
    },
    /// Not served yet.
    Acme,
}

/// What became of a certificate that is not written in a document: read from files, or made here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issued {
    /// The last good one.
    pub good: Option<Arc<CertifiedKey>>,
    /// Why there is none, or no newer one.
    pub problem: Option<Arc<str>>,
}

/// The certificates that have to be read or made, by the `Certificate` that asks for them.
pub type CertificateOrders = BTreeMap<super::ResourceId, CertificateSource>;

/// A reference to an object that holds a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// What a listener's `tls` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerTls {
    pub certificates: CertificateRefs,
    pub minimum: TlsVersion,
}

/// The certificates of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateRefs {
    Listed(Vec<ObjectRef>),
    /// Every certificate of the configuration, each for its own names only.
    Every,
}

/// The oldest version that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    #[default]
    Tls12,
    Tls13,
}

/// Which client certificates a Gateway's HTTPS listeners ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrontendTls {
    pub default: Option<ClientValidation>,
    /// Replaces `default` for its port, also by nothing.
    pub per_port: BTreeMap<u16, Option<ClientValidation>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientValidation {
    pub authorities: Vec<ObjectRef>,
    pub mode: ValidationMode,
}

/// What happens to a client without a valid certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValidationMode {
    AllowValidOnly,
    AllowInsecureFallback,
}

// === impl CertifiedKey ===

impl CertifiedKey {
    /// Whether one of its names takes `host`, and how closely: the longer the better. A wildcard of a certificate stands
    /// for one label (RFC 6125 section 6.4.3).
    pub fn closeness(&self, host: &str) -> Option<usize> {
        let closeness = |name: &HostPattern| match name {
            HostPattern::Exact(exact) => (exact.as_str() == host).then_some(usize::MAX),
            HostPattern::Wildcard(suffix) => {
                let (first, rest) = host.split_once('.')?;
                (!first.is_empty() && rest == suffix.as_str()).then(|| suffix.as_str().len())
            }
        };
        self.names.iter().filter_map(closeness).max()
    }
}

// === impl PrivateKey ===

impl PrivateKey {
    pub fn new(form: KeyForm, der: impl Into<Arc<[u8]>>) -> Self {
        Self { form, der: der.into() }
    }

    /// The bytes; do not print them.
    pub fn expose(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

// === impl CertificateRefs ===

impl Default for CertificateRefs {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

// === impl FrontendTls ===

impl FrontendTls {
    /// What clients of this port are asked for.
    pub fn of_port(&self, port: u16) -> Option<&ClientValidation> {
        self.per_port.get(&port).unwrap_or(&self.default).as_ref()
    }

    pub fn is_insecure(&self) -> bool {
        let all = self.per_port.values().chain([&self.default]).flatten();
        all.into_iter().any(|validation| validation.mode == ValidationMode::AllowInsecureFallback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_of_a_certificate_stands_for_one_label() {
        let names = ["a.test", "*.a.test"].map(|name| HostPattern::parse(name).unwrap()).to_vec();
        let key = PrivateKey::new(KeyForm::Pkcs8, *b"secret");
        let certificate = CertifiedKey { chain: Vec::new(), key, names, not_before: 0, not_after: 0 };
        assert_eq!(certificate.closeness("a.test"), Some(usize::MAX));
        assert_eq!(certificate.closeness("x.a.test"), Some("a.test".len()));
        for other in ["y.x.a.test", "test", "", ".a.test", "xa.test"] {
            assert_eq!(certificate.closeness(other), None, "{other}");
        }
    }

    #[test]
    fn a_private_key_is_never_shown() {
        let key = PrivateKey::new(KeyForm::Pkcs8, *b"secret");
        assert_eq!(format!("{key:?}"), "(hidden)");
    }
}
