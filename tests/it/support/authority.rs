//! Certificates for tests, and clients and servers that have or believe them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, crypto::aws_lc_rs,
    server::WebPkiClientVerifier,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

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
        self.certify_as(&rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a DNS name"))
    }

    /// A certificate that is only valid for so long from now on.
    pub fn certify_for(&self, name: &str, life: Duration) -> Certified {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a DNS name");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970");
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + now + life;
        self.certify_as(&params)
    }

    fn certify_as(&self, params: &rcgen::CertificateParams) -> Certified {
        let key = rcgen::KeyPair::generate().expect("a key");
        Certified { certificate: params.signed_by(&key, &self.issuer).expect("a certificate"), key }
    }

    /// A client that believes this authority, and shows a certificate if it is given one. Each has sessions of its own.
    pub fn client(&self, own: Option<&Certified>) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots(self.certificate.der()));
        Arc::new(match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let (chain, key) = own.shown();
                builder.with_client_auth_cert(chain, key).expect("a certificate and its key")
            }
        })
    }

    /// A `ConfigMap` with its certificate.
    pub fn config_map(&self, name: &str) -> String {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  ca.crt: |{}\n---\n",
            block(&self.certificate.pem(), 4)
        )
    }
}

fn roots(certificate: &CertificateDer<'static>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    roots
}

/// A client that believes one certificate, and speaks one version.
pub fn client_of(
    certificate: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version");
    Arc::new(builder.with_root_certificates(roots(certificate)).with_no_client_auth())
}

/// A text as a YAML block, so far to the right.
pub fn block(text: &str, indent: usize) -> String {
    let space = " ".repeat(indent);
    text.lines().flat_map(|line| ["\n", &space, line]).collect()
}

impl Certified {
    fn shown(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        (vec![self.certificate.der().clone()], key)
    }

    /// A server that shows it, and demands of its clients a certificate of `clients` where there is one.
    pub fn server(&self, clients: Option<&Authority>) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let roots = Arc::new(roots(clients.certificate.der()));
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                builder.with_client_cert_verifier(verifier.expect("an authority"))
            }
        };
        let (chain, key) = self.shown();
        Arc::new(builder.with_single_cert(chain, key).expect("a certificate and its key"))
    }

    /// What tells it from others: the end of its signature.
    pub fn print(&self) -> String {
        print(self.certificate.der())
    }

    /// A `Secret` of the type `kubernetes.io/tls`.
    pub fn secret(&self, name: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |{}\n  tls.key: |{}\n---\n",
            block(&self.certificate.pem(), 4),
            block(&self.key.serialize_pem(), 4)
        )
    }
}

/// See [`Certified::print`].
pub fn print(certificate: &[u8]) -> String {
    let end = certificate.iter().rev().take(8);
    end.fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
