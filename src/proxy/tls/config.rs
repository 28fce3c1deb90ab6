//! What rustls is told, made from the table's certificates.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{
        ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, ServerConfig,
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign,
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer, UnixTime,
};

use super::Spoken;
use crate::{
    model::{CertifiedKey, KeyForm, TlsVersion, ValidationMode},
    route::{Clients, Tls},
};

static TLS13_ONLY: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Ticket keys for all workers, which rustls changes every few hours. Without them every handshake is a full one.
pub(in crate::proxy) fn tickets() -> Option<Arc<dyn ProducesTickets>> {
    aws_lc_rs::Ticketer::new()
        .inspect_err(|error| tracing::warn!(%error, "TLS sessions are not resumed"))
        .ok()
}

/// How the TLS of a listener is ended.
pub(super) fn server(
    tls: &Arc<Tls>,
    tickets: Option<&Arc<dyn ProducesTickets>>,
) -> Result<ServerConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let keys: Result<Vec<_>, _> = tls.certificates().iter().map(|key| certified(key, &provider)).collect();
    let resolver = Arc::new(Resolver { tls: tls.clone(), keys: keys? });
    let versions = match tls.minimum {
        TlsVersion::Tls12 => rustls::DEFAULT_VERSIONS,
        TlsVersion::Tls13 => TLS13_ONLY,
    };
    let verifier = match &tls.clients {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(clients) => verifier(clients, &provider)?,
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    config.alpn_protocols = Spoken::OFFERED.map(<[u8]>::to_vec).to_vec();
    // Workers share tickets, and a store would be one worker's.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match (tickets, &tls.clients) {
        (Some(tickets), None) => {
            config.ticketer = tickets.clone();
            // A client that wants more connections opens them before it has a ticket, or speaks HTTP/2.
            config.send_tls13_tickets = 1;
        }
        // A resumed session would not show its certificate again, and who may come in may have changed.
        (_, Some(_)) | (None, None) => config.send_tls13_tickets = 0,
    }
    Ok(config)
}

/// A certificate and its key, as rustls has them.
pub(in crate::proxy) fn certified(
    key: &CertifiedKey,
    provider: &CryptoProvider,
) -> Result<Arc<sign::CertifiedKey>, Error> {
    let chain = key.chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let bytes = key.key.expose().to_vec();
    let private = match key.key.form {
        KeyForm::Pkcs8 => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(bytes)),
        KeyForm::Sec1 => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(bytes)),
        KeyForm::Pkcs1 => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(bytes)),
    };
    sign::CertifiedKey::from_der(chain, private, provider).map(Arc::new)
}

/// Shows the certificate that fits closest, of those the first that the client can verify: one that has ended, or that it
/// cannot check the signature of, only where there is no other.
#[derive(Debug)]
struct Resolver {
    tls: Arc<Tls>,
    /// In the order of the listener's certificates.
    keys: Vec<Arc<sign::CertifiedKey>>,
}

// === impl Resolver ===

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<sign::CertifiedKey>> {
        let name = hello.server_name().map(super::canonical);
        let fitting = || {
            let positions = self.tls.fitting(name.as_deref());
            positions.filter_map(|at| Some((self.tls.certificates().get(at)?, self.keys.get(at)?)))
        };
        let signs = |key: &sign::CertifiedKey| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
        let is_in_time = |key: &CertifiedKey| (key.not_before..=key.not_after).contains(&now);
        let shown = fitting()
            .find(|(certificate, key)| is_in_time(certificate) && signs(key))
            .or_else(|| fitting().find(|(_, key)| signs(key)))
            .or_else(|| fitting().next());
        shown.map(|(_, key)| key.clone())
    }
}

// === client certificates ===

fn verifier(clients: &Clients, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    match clients.mode {
        ValidationMode::AllowInsecureFallback => Ok(Arc::new(Anyone { provider: provider.clone() })),
        ValidationMode::AllowValidOnly => {
            let mut roots = RootCertStore::empty();
            for authority in &clients.authorities {
                roots.add(CertificateDer::from(authority.to_vec()))?;
            }
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map_err(|error| Error::General(error.to_string()))
        }
    }
}

/// Asks for a certificate, and lets everyone in: with any, or with none. Nobody is told of it, so that nothing hangs on
/// whose it is; rustls could check the signatures only of those that it can read, which not all are (X.509 version 1).
#[derive(Debug)]
struct Anyone {
    provider: Arc<CryptoProvider>,
}

// === impl Anyone ===

impl ClientCertVerifier for Anyone {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
