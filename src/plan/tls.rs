//! How a listener ends TLS, and what is said of certificates.

use std::sync::Arc;

use super::{
    certificates::{Certificates, Unusable},
    statuses,
};
use crate::{
    model::{
        Certificate, CertificateRefs, CertificateSource, CertificateStatus, CertifiedKey, Condition, Gateway,
        Listener, ResourceId, Secret, Snapshot, Status,
    },
    route::{Clients, Tls, Unknown},
};

/// The TLS of an HTTPS listener.
pub(super) struct Secured {
    pub(super) tls: Arc<Tls>,
    /// References that cannot be used.
    pub(super) unusable: Vec<Unusable>,
    /// Why every handshake is refused, if it is.
    pub(super) closed: Option<Closed>,
}

/// Why a listener refuses every handshake.
pub(super) struct Closed {
    pub(super) message: String,
    why: Lack,
}

/// What a listener lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    Certificate,
    Authority,
}

// === impl Secured ===

impl Secured {
    pub(super) fn new(
        gateway: &Gateway,
        (owner, listener): (&ResourceId, &Listener),
        certificates: &Certificates<'_>,
    ) -> Self {
        let refs = &listener.tls.certificates;
        let (mut keys, mut unusable) = certificates.of_listener(owner, refs);
        let mut closed = None;
        if keys.is_empty() {
            let message = no_certificate(refs, &unusable);
            if unusable.is_empty() && *refs != CertificateRefs::Every {
                unusable.push(Unusable { reason: "InvalidCertificateRef", message: message.clone() });
            }
            closed = Some(Closed { message, why: Lack::Certificate });
        }
        let mut clients = None;
        if let Some(validation) = gateway.frontend.of_port(listener.port.get()) {
            let (authorities, refused) = certificates.authorities(&gateway.meta.id, &validation.authorities);
            // Without an authority no client could be told from another: nobody comes in. By the standard that is so
            // in either mode: who lets everybody in has to say so with authorities that are there.
            if authorities.is_empty() {
                let message =
                    "no authority for client certificates can be used: every handshake is refused".into();
                closed = Some(Closed { message, why: Lack::Authority });
                keys.clear();
            }
            unusable.extend(refused);
            clients = Some(Arc::new(Clients { authorities, mode: validation.mode }));
        }
        let unknown = match refs {
            CertificateRefs::Listed(_) => Unknown::First,
            CertificateRefs::Every => Unknown::Refuse,
        };
        let tls = Arc::new(Tls::new(keys, unknown, listener.tls.minimum, clients));
        Self { tls, unusable, closed }
    }
}

fn no_certificate(refs: &CertificateRefs, unusable: &[Unusable]) -> String {
    match refs {
        CertificateRefs::Every => "no certificate of the configuration can be used yet".into(),
        CertificateRefs::Listed(_) if unusable.is_empty() => {
            "the listener has no certificate: name one in `tls.certificateRefs`".into()
        }
        CertificateRefs::Listed(_) => {
            "none of `tls.certificateRefs` can be used: every handshake is refused".into()
        }
    }
}

// === impl Closed ===

impl Closed {
    pub(super) fn accepted(&self) -> Condition {
        match self.why {
            Lack::Certificate => Condition::yes("Accepted", "Accepted", ""),
            Lack::Authority => Condition::no("Accepted", "NoValidCACertificate", &self.message),
        }
    }
}

// === statuses ===

/// What is said of Portolan's own kind.
pub(super) fn of_certificate(
    snapshot: &Snapshot,
    certificate: &Certificate,
    certificates: &Certificates<'_>,
) -> Status {
    let id = &certificate.meta.id;
    let accepted = match &certificate.source {
        CertificateSource::Acme => {
            let message = "spec.acme: ACME is not served yet; use `files`, `secretRef` or `selfSigned`";
            Condition::no("Accepted", "UnsupportedValue", message)
        }
        CertificateSource::Files { .. }
        | CertificateSource::Secret(_)
        | CertificateSource::SelfSigned { .. } => statuses::accepted(&certificate.unsupported),
    };
    let problem = snapshot.issued.get(id).and_then(|issued| issued.problem.as_deref());
    match certificates.issued(certificate) {
        Ok(key) => {
            let ready = match problem {
                Some(problem) => {
                    let message = format!("{problem}; the one that was read before is used");
                    Condition::no("Ready", "Stale", message)
                }
                None => ready(&key, snapshot.now),
            };
            let certificate = Some(said(&key));
            Status { conditions: vec![accepted, ready], certificate, ..Status::default() }
        }
        Err(why) => {
            let ready = Condition::no("Ready", "NoCertificate", why);
            Status { conditions: vec![accepted, ready], ..Status::default() }
        }
    }
}

/// What is said of a Secret.
pub(super) fn of_secret(snapshot: &Snapshot, secret: &Secret) -> Status {
    let accepted = Condition::yes("Accepted", "Accepted", "");
    match &secret.certificate {
        Some(key) => Status {
            conditions: vec![accepted, ready(key, snapshot.now)],
            certificate: Some(said(key)),
            ..Status::default()
        },
        None => Status { conditions: vec![accepted], ..Status::default() },
    }
}

fn ready(key: &CertifiedKey, now: i64) -> Condition {
    if key.not_after < now {
        let message = "the certificate has expired, so clients refuse it: replace it";
        return Condition::no("Ready", "Expired", message);
    }
    if key.not_before > now {
        let message = "the certificate is not valid yet, so clients refuse it: look at this machine's clock";
        return Condition::no("Ready", "NotYetValid", message);
    }
    Condition::yes("Ready", "Ready", "")
}

fn said(key: &CertifiedKey) -> CertificateStatus {
    CertificateStatus {
        names: key.names.iter().map(ToString::to_string).collect(),
        not_before: key.not_before,
        not_after: key.not_after,
    }
}
