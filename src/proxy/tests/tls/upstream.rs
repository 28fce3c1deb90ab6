//! TLS towards endpoints: who is believed, what is shown, and that nothing is ever sent without it.

use rustls::{ServerConfig, server::WebPkiClientVerifier};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::model::{Authorities, EndpointTls, SubjectName};

/// A backend that speaks TLS, and answers with the name that it was asked for and whether it was shown a certificate.
async fn backend_of(authority: &Authority, key: &CertifiedKey, demands: Demands) -> (SocketAddr, Tasks) {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match demands {
        Demands::Nothing => builder.with_no_client_auth(),
        Demands::Certificate => {
            let roots = Arc::new(authority.roots());
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap(),
            )
        }
    };
    let chain = key.chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.key.expose().to_vec()));
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, private).unwrap()));
    let listener = TcpListener::bind(asked()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = Tasks::new();
    tasks.spawn("backend", async move {
        let mut tasks = Tasks::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tasks.spawn("exchange", async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let session = stream.get_ref().1;
                let name = session.server_name().unwrap_or("nobody").to_owned();
                let certificate = session.peer_certificates().and_then(|chain| chain.first());
                let shown = certificate.map_or("nothing", |_| "a certificate");
                let print = certificate.map(|der| print(der)).unwrap_or_default();
                let mut client = Client { stream, read: Vec::new() };
                while client.request().await.is_some() {
                    let body = format!("{name} {shown}");
                    let length = body.len();
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nX-Shown: {print}\r\n");
                    client.send(format!("{head}\r\n{body}")).await;
                }
            });
        }
    });
    (address, tasks)
}

/// What tells certificates apart: the end of the signature.
fn print(der: &[u8]) -> String {
    let end = der.iter().rev().take(8);
    end.fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[derive(Clone, Copy)]
enum Demands {
    Nothing,
    Certificate,
}

fn believing(authority: &Authority, name: &str) -> EndpointTls {
    EndpointTls {
        server_name: name.into(),
        authorities: Authorities::These(vec![authority.der.clone()].into()),
        names: Vec::new(),
        client: None,
    }
}

fn proxy(endpoints: Vec<(SocketAddr, EndpointTls)>) -> Proxy {
    proxy_with(config(), endpoints)
}

fn proxy_with(config: Config, endpoints: Vec<(SocketAddr, EndpointTls)>) -> Proxy {
    let endpoints = endpoints.into_iter().map(|(address, tls)| Endpoint {
        scheme: Scheme::Https,
        tls: Some(Arc::new(tls)),
        ..endpoint(address)
    });
    Proxy::start(config, table(vec![("/", rule(backend(endpoints.collect())))]))
}

async fn said(proxy: &Proxy) -> (u16, String) {
    let reply = proxy.request(&get("/")).await;
    (reply.status, String::from_utf8(reply.body).unwrap())
}

#[tokio::test]
async fn an_endpoint_is_asked_for_by_name_and_verified() {
    let (authority, other) = (Authority::new(), Authority::new());
    let key = authority.certify(&["b.test"]);
    let (address, _tasks) = backend_of(&authority, &key, Demands::Nothing).await;
    let proxy_of = |tls| proxy(vec![(address, tls)]);
    let good = proxy_of(believing(&authority, "b.test"));
    for _ in 0..3 {
        assert_eq!(said(&good).await, (200, "b.test nothing".to_owned()));
    }
    assert_eq!(said(&proxy_of(believing(&authority, "c.test"))).await.0, 502, "another name");
    assert_eq!(said(&proxy_of(believing(&other, "b.test"))).await.0, 502, "another authority");
    let system = EndpointTls { authorities: Authorities::System, ..believing(&other, "b.test") };
    assert_eq!(said(&proxy_of(system)).await.0, 502, "nobody whom the machine knows");
    let anyone = EndpointTls { authorities: Authorities::Anyone, ..believing(&other, "c.test") };
    assert_eq!(said(&proxy_of(anyone)).await, (200, "c.test nothing".to_owned()));
}

#[tokio::test]
async fn one_of_the_given_names_has_to_be_in_the_certificate() {
    let authority = Authority::new();
    let key = authority.certify(&["x.b.test", "c.test"]);
    let (address, _tasks) = backend_of(&authority, &key, Demands::Nothing).await;
    let host = |name: &str| SubjectName::Host(HostPattern::parse(name).unwrap());
    for (names, status) in [
        (vec![host("c.test")], 200),
        (vec![host("d.test"), host("x.b.test")], 200),
        (vec![host("*.b.test")], 200),
        (vec![host("d.test")], 502),
        (vec![host("*.c.test")], 502),
        (vec![SubjectName::Uri("spiffe://a/b".into())], 502),
    ] {
        let tls = EndpointTls { names: names.clone(), ..believing(&authority, "asked.test") };
        assert_eq!(said(&proxy(vec![(address, tls)])).await.0, status, "{names:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_demands_a_certificate_is_shown_one() {
    let authority = Authority::new();
    let key = authority.certify(&["b.test"]);
    let (address, _tasks) = backend_of(&authority, &key, Demands::Certificate).await;
    let without = believing(&authority, "b.test");
    let with = EndpointTls { client: Some(authority.certify(&["portolan.test"])), ..without.clone() };
    assert_eq!(said(&proxy(vec![(address, with)])).await, (200, "b.test a certificate".to_owned()));
    assert_eq!(said(&proxy(vec![(address, without)])).await.0, 502);
}

/// Listeners on a socket, by hostname, that show backends these certificates and send everything to one endpoint.
fn showing(listeners: &[(&str, &Arc<CertifiedKey>)], endpoint: &Endpoint) -> Table {
    let mut builder = TableBuilder::default();
    let (all, meta) = ([prefix_match("/")], meta());
    for (hostname, client) in listeners {
        let key = builder.listener(ListenerSpec {
            sockets: vec![asked()],
            name: format!("default/web/{hostname}").into(),
            port: NonZeroU16::new(80).unwrap(),
            hostname: Some(HostPattern::parse(hostname).unwrap()),
            tls: None,
            client: Some(Arc::clone(client)),
        });
        let rules = vec![(&all[..], Arc::new(rule(backend(vec![endpoint.clone()]))))];
        builder.attach(key, &Attachment { meta: &meta, hostnames: Vec::new(), rules });
    }
    builder.build()
}

#[tokio::test]
async fn an_endpoint_is_shown_the_certificate_of_the_listener_unless_it_has_its_own() {
    let authority = Authority::new();
    let (a, b, own) = (
        authority.certify(&["a.portolan.test"]),
        authority.certify(&["b.portolan.test"]),
        authority.certify(&["own.portolan.test"]),
    );
    let (address, _tasks) =
        backend_of(&authority, &authority.certify(&["b.test"]), Demands::Certificate).await;
    let to = |tls| Endpoint { scheme: Scheme::Https, tls: Some(Arc::new(tls)), ..endpoint(address) };
    let plain = believing(&authority, "b.test");
    let listeners = [("a.test", &a), ("b.test", &b)];
    let mut proxy = Proxy::start(config(), showing(&listeners, &to(plain.clone())));
    let shown = async |proxy: &Proxy, host: &str| {
        let reply = proxy.request(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        (reply.status, field(&reply.head, "x-shown").unwrap_or_default().to_owned())
    };
    let print = |key: &CertifiedKey| print(&key.chain[0]);
    // Twice: a connection that waits is not used for another listener.
    for _ in 0..2 {
        assert_eq!(shown(&proxy, "a.test").await, (200, print(&a)));
        assert_eq!(shown(&proxy, "b.test").await, (200, print(&b)));
    }
    proxy.publisher.publish(showing(&[("a.test", &b)], &to(plain.clone())));
    assert_eq!(shown(&proxy, "a.test").await, (200, print(&b)), "the new one");
    proxy.publisher.publish(showing(&listeners, &to(EndpointTls { client: Some(own.clone()), ..plain })));
    assert_eq!(shown(&proxy, "a.test").await, (200, print(&own)), "the endpoint's own");
}

#[tokio::test]
async fn nothing_is_sent_in_plaintext_to_an_endpoint_that_speaks_no_tls() {
    let authority = Authority::new();
    let server = Server::echo().await;
    let mut config = config();
    config.limits.connect_timeout = Duration::from_millis(200);
    let proxy = proxy_with(config, vec![(server.address, believing(&authority, "b.test"))]);
    assert_eq!(said(&proxy).await.0, 504, "it waits for the rest of a request that never was one");
    assert!(server.heard().iter().all(|heard| !heard.contains("GET ")), "{:?}", server.heard());
}

#[tokio::test]
async fn connections_are_not_shared_by_those_who_believe_others() {
    let (authority, other) = (Authority::new(), Authority::new());
    let key = authority.certify(&["b.test"]);
    let (address, _tasks) = backend_of(&authority, &key, Demands::Nothing).await;
    let mut proxy = proxy(vec![(address, believing(&authority, "b.test"))]);
    assert_eq!(said(&proxy).await.0, 200);
    let distrusting = Endpoint {
        scheme: Scheme::Https,
        tls: Some(Arc::new(believing(&other, "b.test"))),
        ..endpoint(address)
    };
    proxy.publisher.publish(table(vec![("/", rule(backend(vec![distrusting])))]));
    assert_eq!(said(&proxy).await.0, 502, "the open connection is not this backend's");
}

#[tokio::test]
async fn a_name_that_no_certificate_could_have_is_an_answer_and_no_panic() {
    let authority = Authority::new();
    let proxy = proxy(vec![(asked(), believing(&authority, "unix:/run/x y.sock"))]);
    assert_eq!(said(&proxy).await.0, 502);
}
