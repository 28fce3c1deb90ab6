//! Which certificate and listener a hello leads to, however it is cut, and which hellos are refused.

use std::io::{Read as _, Write as _};

use rustls::{
    AlertDescription, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
};
use rustls_pki_types::UnixTime;

use super::*;

/// Believes every server.
#[derive(Debug)]
pub(super) struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
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
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The alert that a failed handshake ended with.
fn alert(error: &std::io::Error) -> Option<AlertDescription> {
    let Error::AlertReceived(alert) = error.get_ref()?.downcast_ref::<Error>()? else { return None };
    Some(*alert)
}

async fn refusal(proxy: &Proxy, client: &ClientConfig, name: &str) -> Option<AlertDescription> {
    match proxy.shake(client, name).await {
        Ok(_) => panic!("`{name}` was let in"),
        Err(error) => alert(&error),
    }
}

#[tokio::test]
async fn the_longest_name_that_fits_is_shown() {
    let authority = Authority::new();
    let (first, exact, wide, deep) = (
        authority.certify(&["first.test"]),
        authority.certify(&["x.a.test"]),
        authority.certify(&["*.a.test"]),
        authority.certify(&["*.b.a.test"]),
    );
    let (proxy, _server) = start(&[(None, tls(&[&first, &wide, &deep, &exact]))]).await;
    for (name, expected) in [
        ("x.a.test", &exact),
        ("X.A.Test", &exact),
        ("y.a.test", &wide),
        ("y.b.a.test", &deep),
        // A wildcard stands for one label, so nothing fits: the first is shown.
        ("z.y.b.a.test", &first),
        ("a.test", &first),
        ("127.0.0.1", &first),
    ] {
        let shown = proxy.shown(&authority, name).await.unwrap();
        assert_eq!(shown, expected.chain[0], "{name}");
    }
}

#[tokio::test]
async fn one_that_has_ended_is_shown_only_where_there_is_no_other() {
    let authority = Authority::new();
    let ended = |names: &[&str]| {
        let key = CertifiedKey::clone(&authority.certify(names));
        Arc::new(CertifiedKey { not_after: 1, ..key })
    };
    let (old, lone, new) = (ended(&["a.test"]), ended(&["b.test"]), authority.certify(&["a.test"]));
    let (proxy, _server) = start(&[(None, tls(&[&old, &lone, &new]))]).await;
    for (name, expected) in [("a.test", &new), ("b.test", &lone)] {
        assert_eq!(proxy.shown(&authority, name).await.unwrap(), expected.chain[0], "{name}");
    }
}

#[tokio::test]
async fn listeners_of_one_socket_are_told_apart_by_name_and_an_unknown_one_is_refused() {
    let authority = Authority::new();
    let (a, b) = (authority.certify(&["a.test"]), authority.certify(&["*.b.test"]));
    let (proxy, _server) = start(&[(Some("a.test"), tls(&[&a])), (Some("*.b.test"), tls(&[&b]))]).await;
    assert_eq!(proxy.shown(&authority, "a.test").await.unwrap(), a.chain[0]);
    assert_eq!(proxy.shown(&authority, "x.b.test").await.unwrap(), b.chain[0]);
    for name in ["b.test", "c.test", "127.0.0.1"] {
        let alert = refusal(&proxy, &authority.client(), name).await;
        assert_eq!(alert, Some(AlertDescription::UnrecognisedName), "{name}");
    }
}

#[tokio::test]
async fn a_listener_for_every_certificate_shows_each_for_its_own_names_only() {
    let authority = Authority::new();
    let a = authority.certify(&["a.test"]);
    let every = Arc::new(Tls::new(vec![a.clone()], Unknown::Refuse, TlsVersion::Tls12, None));
    let (proxy, _server) = start(&[(None, every)]).await;
    assert_eq!(proxy.shown(&authority, "a.test").await.unwrap(), a.chain[0]);
    for name in ["b.test", "127.0.0.1"] {
        let alert = refusal(&proxy, &authority.client(), name).await;
        assert_eq!(alert, Some(AlertDescription::UnrecognisedName), "{name}");
    }
}

#[tokio::test]
async fn a_listener_without_a_certificate_refuses_its_clients_and_leaves_the_others() {
    let authority = Authority::new();
    let good = authority.certify(&["b.test"]);
    let (proxy, _server) = start(&[(None, tls(&[&good])), (Some("a.test"), tls(&[]))]).await;
    let alert = refusal(&proxy, &authority.client(), "a.test").await;
    assert_eq!(alert, Some(AlertDescription::InternalError));
    assert!(proxy.shake(&authority.client(), "b.test").await.is_ok());
}

/// A handshake by hand: the hello in these pieces, and the certificate that comes back.
async fn shown_to_pieces(proxy: &Proxy, client: &ClientConfig, cut: usize) -> Option<Vec<u8>> {
    let name = ServerName::try_from("x.a.test").unwrap();
    let mut connection = ClientConnection::new(Arc::new(client.clone()), name).unwrap();
    let mut hello = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut hello).unwrap();
    }
    if cut >= hello.len() {
        return None;
    }
    let mut stream = soon(TcpStream::connect(proxy.address)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in [&hello[..cut], &hello[cut..]] {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let finish = tokio::task::spawn_blocking(move || {
        let mut stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).unwrap();
        }
        connection
            .writer()
            .write_all(b"GET / HTTP/1.1\r\nHost: x.a.test\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        let mut start = [0; 12];
        tls.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        connection.peer_certificates().unwrap()[0].to_vec()
    });
    Some(finish.await.unwrap())
}

#[tokio::test]
async fn a_hello_may_come_in_any_two_pieces() {
    let authority = Authority::new();
    let (exact, other) = (authority.certify(&["x.a.test"]), authority.certify(&["*.a.test"]));
    let (proxy, _server) = start(&[(None, tls(&[&other, &exact]))]).await;
    // Without the large key shares of today a hello has a few hundred bytes.
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    let client = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    let mut cut = 1;
    while let Some(shown) = shown_to_pieces(&proxy, &client, cut).await {
        assert_eq!(shown, exact.chain[0].to_vec(), "cut after {cut} bytes");
        cut += 1;
    }
    assert!(cut > 100, "the hello has {cut} bytes");
}

#[tokio::test]
async fn a_hello_may_come_in_many_records() {
    let authority = Authority::new();
    let (exact, other) = (authority.certify(&["x.a.test"]), authority.certify(&["*.a.test"]));
    let (proxy, _server) = start(&[(None, tls(&[&other, &exact]))]).await;
    for size in [32, 33, 64, 100, 300] {
        let mut client = authority.client();
        client.max_fragment_size = Some(size);
        let client = proxy.shake(&client, "x.a.test").await.unwrap();
        let shown = client.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        assert_eq!(shown, exact.chain[0].to_vec(), "records of {size} bytes");
    }
}

#[tokio::test]
async fn an_older_version_than_the_listener_wants_is_refused() {
    let authority = Authority::new();
    let a = authority.certify(&["a.test"]);
    let strict = Arc::new(Tls::new(vec![a], Unknown::First, TlsVersion::Tls13, None));
    let (proxy, _server) = start(&[(None, strict)]).await;
    let old = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    assert_eq!(refusal(&proxy, &old, "a.test").await, Some(AlertDescription::ProtocolVersion));
    assert!(proxy.shake(&authority.client(), "a.test").await.is_ok());
}

#[tokio::test]
async fn a_client_that_speaks_no_protocol_of_ours_is_refused() {
    let authority = Authority::new();
    let (proxy, _server) = start(&[(None, tls(&[&authority.certify(&["a.test"])]))]).await;
    let mut client = authority.client();
    client.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let alert = refusal(&proxy, &client, "a.test").await;
    assert_eq!(alert, Some(AlertDescription::NoApplicationProtocol));
    client.alpn_protocols = vec![b"acme-tls/1".to_vec(), b"http/1.1".to_vec()];
    let client = proxy.shake(&client, "a.test").await.unwrap();
    assert_eq!(client.stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn what_is_not_tls_is_not_answered() {
    let authority = Authority::new();
    let (proxy, server) = start(&[(None, tls(&[&authority.certify(&["a.test"])]))]).await;
    for bytes in ["GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "\0\0\0\0\0\0\0\0\0", "\x16\x03\x01\x7f\x7f"] {
        let mut client = proxy.connect().await;
        client.send(bytes).await;
        soon(client.stream.shutdown()).await.unwrap();
        let answer = client.rest().await;
        assert!(!answer.starts_with(b"HTTP"), "{:?}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(server.heard().len(), 0);
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_ended() {
    let authority = Authority::new();
    let mut config = config();
    config.limits.head_timeout = Duration::from_millis(300);
    let (proxy, _server) = start_with(config, &[(None, tls(&[&authority.certify(&["a.test"])]))]).await;
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
        let mut client = proxy.connect().await;
        client.send(bytes).await;
        assert_eq!(client.rest().await, b"");
    }
    // Connected, but no request.
    let mut client = proxy.shake(&authority.client(), "a.test").await.unwrap();
    assert_eq!(client.rest().await, b"");
}
