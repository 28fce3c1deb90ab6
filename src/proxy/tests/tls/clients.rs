//! Clients with and without certificates of their own.

use rustls::{
    HandshakeKind,
    sign::{CertifiedKey as Signer, SingleCertAndKey},
};

use super::*;

fn demanding(key: &Arc<CertifiedKey>, authority: &Authority, mode: ValidationMode) -> Arc<Tls> {
    let clients = Clients { authorities: vec![authority.der.clone()], mode };
    Arc::new(Tls::new(vec![key.clone()], Unknown::First, TlsVersion::Tls12, Some(Arc::new(clients))))
}

/// Whether a client gets an answer. That its certificate is refused a client of TLS 1.3 learns after its own part of the
/// handshake is done.
async fn is_let_in(proxy: &Proxy, client: &ClientConfig) -> bool {
    let Ok(mut client) = proxy.shake(client, "a.test").await else { return false };
    client.send(get("/")).await;
    client.more().await > 0 && client.reply().await.status == 200
}

#[tokio::test]
async fn only_who_has_a_certificate_of_the_right_authority_is_let_in() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.certify(&["a.test"]);
    let strict = demanding(&server, &authority, ValidationMode::AllowValidOnly);
    let (proxy, _server) = start(&[(None, strict)]).await;
    let ours = authority.client_as(&authority.certify(&["client.test"]));
    let theirs = authority.client_as(&other.certify(&["client.test"]));
    assert!(is_let_in(&proxy, &ours).await);
    assert!(!is_let_in(&proxy, &theirs).await);
    assert!(!is_let_in(&proxy, &authority.client()).await);
}

#[tokio::test]
async fn the_fallback_lets_everyone_in() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.certify(&["a.test"]);
    let lax = demanding(&server, &authority, ValidationMode::AllowInsecureFallback);
    let (proxy, _server) = start(&[(None, lax)]).await;
    for client in [
        authority.client(),
        authority.client_as(&authority.certify(&["client.test"])),
        authority.client_as(&other.certify(&["client.test"])),
        presenting_what_nobody_reads(&authority),
    ] {
        assert!(is_let_in(&proxy, &client).await);
    }
}

/// A client whose certificate has an extension that must be understood and is not: like one of X.509 version 1, rustls
/// cannot even read it.
fn presenting_what_nobody_reads(authority: &Authority) -> ClientConfig {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let mut odd = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    odd.set_criticality(true);
    params.custom_extensions.push(odd);
    let chain = vec![params.self_signed(&key).unwrap().der().clone()];
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signer = aws_lc_rs::sign::any_supported_type(&private).unwrap();
    let mut client = authority.client();
    client.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Signer::new(chain, signer)));
    client
}

#[tokio::test]
async fn a_session_from_before_does_not_replace_a_certificate() {
    let authority = Authority::new();
    let key = authority.certify(&["a.test"]);
    let (mut proxy, server) = start(&[(None, tls(&[&key]))]).await;
    let client = authority.client();
    assert!(is_let_in(&proxy, &client).await);
    let strict = demanding(&key, &authority, ValidationMode::AllowValidOnly);
    proxy.publisher.publish(secure(&[(None, strict)], server.address));
    assert!(!is_let_in(&proxy, &client).await, "its ticket is worth nothing here");
    let ours = authority.client_as(&authority.certify(&["client.test"]));
    for _ in 0..3 {
        let mut client = proxy.shake(&ours, "a.test").await.unwrap();
        assert_eq!(ask(&mut client, "a.test").await.status, 200);
        assert_eq!(client.stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[tokio::test]
async fn a_connection_from_before_the_demand_is_sent_away() {
    let authority = Authority::new();
    let key = authority.certify(&["a.test"]);
    let (mut proxy, server) = start(&[(None, tls(&[&key]))]).await;
    let mut client = proxy.shake(&authority.client(), "a.test").await.unwrap();
    assert_eq!(ask(&mut client, "a.test").await.status, 200);
    let strict = demanding(&key, &authority, ValidationMode::AllowValidOnly);
    proxy.publisher.publish(secure(&[(None, strict)], server.address));
    assert_eq!(ask(&mut client, "a.test").await.status, 421);
}

#[tokio::test]
async fn one_name_at_two_listeners_with_other_demands_is_two_policies() {
    let authority = Authority::new();
    let key = authority.certify(&["a.test", "b.test"]);
    let strict = demanding(&key, &authority, ValidationMode::AllowValidOnly);
    let (proxy, _server) = start(&[(Some("a.test"), strict), (Some("b.test"), tls(&[&key]))]).await;
    let mut client = proxy.shake(&authority.client(), "b.test").await.unwrap();
    assert_eq!(ask(&mut client, "b.test").await.status, 200);
    assert_eq!(ask(&mut client, "a.test").await.status, 421, "no way around the client certificate");
}
