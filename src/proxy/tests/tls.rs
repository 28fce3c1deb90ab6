//! Real handshakes over real sockets.

mod clients;
mod hellos;
mod http2;
mod sessions;
mod upstream;

use rustls::{ClientConfig, ClientConnection, RootCertStore, client::Resumption, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::{
    model::{CertifiedKey, Der, HostPattern, KeyForm, PrivateKey, TlsVersion, ValidationMode},
    route::{Clients, Tls, Unknown},
};

/// Who signs certificates.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    der: Der,
}

/// A listener: its hostname, and how it ends TLS.
type Listening<'a> = (Option<&'a str>, Arc<Tls>);

// === impl Authority ===

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().to_vec().into();
        Self { issuer: rcgen::Issuer::new(params, key), der }
    }

    fn certify(&self, names: &[&str]) -> Arc<CertifiedKey> {
        let key = rcgen::KeyPair::generate().unwrap();
        let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
        let params = rcgen::CertificateParams::new(texts).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Arc::new(CertifiedKey {
            chain: vec![certificate.der().to_vec().into()],
            key: PrivateKey::new(KeyForm::Pkcs8, key.serialize_der()),
            names: names.iter().map(|name| HostPattern::parse(name).unwrap()).collect(),
            not_before: 0,
            not_after: i64::MAX,
        })
    }

    /// What a client believes that believes this authority.
    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.der.to_vec())).unwrap();
        roots
    }

    fn client(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }

    /// A client with a certificate of its own.
    fn client_as(&self, key: &CertifiedKey) -> ClientConfig {
        let chain = key.chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.key.expose().to_vec()));
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_client_auth_cert(chain, private)
            .unwrap()
    }
}

// === tables ===

fn tls(certificates: &[&Arc<CertifiedKey>]) -> Arc<Tls> {
    let certificates = certificates.iter().map(|key| Arc::clone(key)).collect();
    Arc::new(Tls::new(certificates, Unknown::First, TlsVersion::Tls12, None))
}

fn meta() -> Meta {
    let id = ResourceId::new(Kind::HttpRoute, "default", "r");
    Meta { id, origin: Origin::BuiltIn("a test"), created: None, generation: 1 }
}

/// One socket with these listeners; each sends everything to `address`.
fn secure(listeners: &[Listening<'_>], address: SocketAddr) -> Table {
    let mut builder = TableBuilder::default();
    let all = [prefix_match("/")];
    let meta = meta();
    for (hostname, tls) in listeners {
        let key = builder.listener(ListenerSpec {
            sockets: vec![asked()],
            name: format!("default/web/{}", hostname.unwrap_or("any")).into(),
            port: NonZeroU16::new(443).unwrap(),
            hostname: hostname.map(|name| HostPattern::parse(name).unwrap()),
            tls: Some(tls.clone()),
            client: None,
        });
        let rules = vec![(&all[..], Arc::new(rule(backend(vec![endpoint(address)]))))];
        builder.attach(key, &Attachment { meta: &meta, hostnames: Vec::new(), rules });
    }
    builder.build()
}

async fn start(listeners: &[Listening<'_>]) -> (Proxy, Server) {
    start_with(config(), listeners).await
}

async fn start_with(config: Config, listeners: &[Listening<'_>]) -> (Proxy, Server) {
    let server = Server::echo().await;
    (Proxy::start(config, secure(listeners, server.address)), server)
}

// === clients ===

impl Proxy {
    /// A handshake for a name.
    async fn shake(
        &self,
        client: &ClientConfig,
        name: &str,
    ) -> std::io::Result<Client<TlsStream<TcpStream>>> {
        let stream = soon(TcpStream::connect(self.address)).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = soon(TlsConnector::from(Arc::new(client.clone())).connect(name, stream)).await?;
        Ok(Client { stream, read: Vec::new() })
    }

    /// The certificate that is shown to who asks for a name.
    async fn shown(&self, authority: &Authority, name: &str) -> Option<Der> {
        let mut client = authority.client();
        client.dangerous().set_certificate_verifier(Arc::new(hellos::Anything));
        let client = self.shake(&client, name).await.ok()?;
        Some(client.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec().into())
    }
}

/// A request for a host over a connection.
async fn ask(client: &mut Client<TlsStream<TcpStream>>, host: &str) -> Reply {
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    client.reply().await
}
