//! TLS towards backends: what is asked for, before references are resolved.

use std::sync::Arc;

use super::{CertifiedKey, Der, Host, HostPattern, Meta, ObjectRef, PolicyTarget, Unsupported};

/// A `BackendTLSPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendTlsPolicy {
    pub meta: Meta,
    pub targets: Vec<PolicyTarget>,
    pub tls: BackendTls,
    pub unsupported: Vec<Unsupported>,
}

/// How a backend is verified, and what it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendTls {
    /// Sent as SNI, and verified unless there are `names`. The endpoint's own name where absent.
    pub hostname: Option<Host>,
    pub authorities: AuthorityRefs,
    /// One of these must be in the certificate.
    pub names: Vec<SubjectName>,
    /// The certificate that the backend is shown.
    pub client: Option<ObjectRef>,
}

/// Whom a backend's certificate must come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthorityRefs {
    /// The authorities of the machine.
    #[default]
    System,
    Listed(Vec<ObjectRef>),
    /// Any certificate is taken.
    Anyone,
}

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SubjectName {
    Host(HostPattern),
    Uri(Arc<str>),
}

/// The same for one endpoint, resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointTls {
    /// A DNS name, or an IP address.
    pub server_name: Arc<str>,
    pub authorities: Authorities,
    /// Verified instead of `server_name` where there are any.
    pub names: Vec<SubjectName>,
    pub client: Option<Arc<CertifiedKey>>,
}

/// Whom an endpoint's certificate must come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authorities {
    System,
    These(Arc<[Der]>),
    Anyone,
}
