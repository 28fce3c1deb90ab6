//! Certificates for tests, and clients that believe them.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Who signs certificates.
pub struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    /// Its own certificate.
    pub certificate: rcgen::Certificate,
}

/// A certificate and its key.
pub struct Certified {
    pub certificate: rcgen::Certificate,
    pub key: rcgen::KeyPair,
}

// === impl Authority ===

impl Authority {
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: rcgen::Issuer::new(params, key), certificate }
    }

    pub fn certify(&self, name: &str) -> Certified {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a DNS name");
        Certified { certificate: params.signed_by(&key, &self.issuer).expect("a certificate"), key }
    }

    /// A client that believes this authority, and shows a certificate if it is given one. Each has sessions of its own.
    pub fn client(&self, own: Option<&Certified>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("a certificate");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        Arc::new(match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.key.serialize_der()));
                let chain = vec![own.certificate.der().clone()];
                builder.with_client_auth_cert(chain, key).expect("a certificate and its key")
            }
        })
    }
}

/// A text as a YAML block, so far to the right.
pub fn block(text: &str, indent: usize) -> String {
    let space = " ".repeat(indent);
    text.lines().flat_map(|line| ["\n", &space, line]).collect()
}

impl Certified {
    /// A `Secret` of the type `kubernetes.io/tls`.
    pub fn secret(&self, name: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |{}\n  tls.key: |{}\n---\n",
            block(&self.certificate.pem(), 4),
            block(&self.key.serialize_pem(), 4)
        )
    }
}
