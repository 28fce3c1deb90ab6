//! TLS towards endpoints: who is believed, and what is spoken.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        ResolvesClientCert, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, aws_lc_rs},
    server::ParsedCertificate,
    sign::SingleCertAndKey,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::config;
use crate::{
    model::{Authorities, EndpointTls, HostPattern, SubjectName},
    proxy::upstream::Protocol,
};

/// Opens TLS to one endpoint.
#[derive(Clone)]
pub(in crate::proxy) struct Connector {
    name: ServerName<'static>,
    http1: TlsConnector,
    http2: TlsConnector,
}

/// A socket that TLS can be spoken over.
pub(in crate::proxy) trait Socket:
    tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin
{
}

impl Socket for TcpStream {}
impl Socket for UnixStream {}

// === impl Connector ===

impl Connector {
    pub(in crate::proxy) fn new(tls: &EndpointTls) -> Result<Self, String> {
        let name = ServerName::try_from(tls.server_name.to_string()).map_err(|_| {
            format!("`{}` is no name that a certificate could have: write `tls.hostname`", tls.server_name)
        })?;
        let config = client(tls).map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let speaking = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        Ok(Self { name, http1: speaking(b"http/1.1"), http2: speaking(b"h2") })
    }

    pub(in crate::proxy) async fn connect<S: Socket>(
        &self,
        protocol: Protocol,
        socket: S,
    ) -> io::Result<Box<TlsStream<S>>> {
        let connector = match protocol {
            Protocol::Http1 => &self.http1,
            Protocol::Http2 => &self.http2,
        };
        let stream = connector.connect(self.name.clone(), socket).await?;
        let spoken = stream.get_ref().1.alpn_protocol();
        // Without an answer HTTP/1.1 is meant; HTTP/2 has to be agreed upon (RFC 9113 section 3.2).
        if protocol == Protocol::Http2 && spoken != Some(b"h2") {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "it does not speak HTTP/2 over TLS"));
        }
        Ok(Box::new(stream))
    }
}

fn client(tls: &EndpointTls) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = verifier(tls, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(match &tls.client {
        None => builder.with_no_client_auth(),
        Some(key) => {
            let key = config::certified(key, &provider)?;
            let resolver: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(key));
            builder.with_client_cert_resolver(resolver)
        }
    })
}

fn verifier(tls: &EndpointTls, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let roots = match &tls.authorities {
        Authorities::Anyone => {
            return Ok(Arc::new(Named { trust: Trust::Anyone, provider: provider.clone() }));
        }
        Authorities::System => system(),
        Authorities::These(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in &**authorities {
                roots.add(CertificateDer::from(authority.to_vec()))?;
            }
            Arc::new(roots)
        }
    };
    if tls.names.is_empty() {
        return WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .build()
            .map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
            .map_err(|error| Error::General(error.to_string()));
    }
    let trust = Trust::Named { roots, names: tls.names.clone() };
    Ok(Arc::new(Named { trust, provider: provider.clone() }))
}

/// The authorities of the machine, read once; those that browsers know where it has none, as in an empty container.
fn system() -> Arc<RootCertStore> {
    static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Arc::new(roots)
    };
    SYSTEM.get_or_init(read).clone()
}

/// Verifies otherwise than by the name that was asked for.
#[derive(Debug)]
struct Named {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Trust {
    Anyone,
    /// One of the names has to be in a certificate of these authorities.
    Named {
        roots: Arc<RootCertStore>,
        names: Vec<SubjectName>,
    },
}

// === impl Named ===

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trust::Named { roots, names } = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, chain, now, algorithms)?;
        if names.iter().any(|name| has_name(certificate, &parsed, name)) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::NotValidForName.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn has_name(certificate: &CertificateDer<'_>, parsed: &ParsedCertificate<'_>, name: &SubjectName) -> bool {
    let names = webpki::EndEntityCert::try_from(certificate);
    match name {
        SubjectName::Uri(uri) => names.is_ok_and(|names| names.valid_uri_names().any(|name| *name == **uri)),
        SubjectName::Host(HostPattern::Exact(host)) => {
            ServerName::try_from(host.as_str()).is_ok_and(|host| verify_server_name(parsed, &host).is_ok())
        }
        SubjectName::Host(pattern @ HostPattern::Wildcard(_)) => names.is_ok_and(|names| {
            names.valid_dns_names().filter_map(|name| HostPattern::parse(name).ok()).any(|name| match &name {
                HostPattern::Exact(host) => pattern.matches(host.as_str()),
                HostPattern::Wildcard(_) => name == *pattern,
            })
        }),
    }
}
