//! What goes over secure connections: requests for the right and the wrong host, sessions that are resumed, and
//! certificates that change under way.

use rustls::HandshakeKind;

use super::*;

#[tokio::test]
async fn the_backend_and_redirects_are_told_of_https() {
    let authority = Authority::new();
    let (proxy, _server) = start(&[(None, tls(&[&authority.certify(&["a.test"])]))]).await;
    let mut client = proxy.shake(&authority.client(), "a.test").await.unwrap();
    let reply = ask(&mut client, "a.test").await;
    let heard = String::from_utf8(reply.body).unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(field(&heard, "x-forwarded-proto"), Some("https"));
    assert_eq!(field(&heard, "x-forwarded-port"), Some("443"));
}

#[tokio::test]
async fn a_redirect_keeps_the_scheme_and_leaves_the_usual_port_out() {
    let authority = Authority::new();
    let redirect = crate::model::Redirect {
        scheme: None,
        hostname: None,
        path: None,
        port: None,
        status: http::StatusCode::FOUND,
    };
    let mut builder = TableBuilder::default();
    let key = builder.listener(ListenerSpec {
        sockets: vec![asked()],
        name: "default/web/https".into(),
        port: NonZeroU16::new(443).unwrap(),
        hostname: None,
        tls: Some(tls(&[&authority.certify(&["a.test"])])),
        client: None,
    });
    let meta = meta();
    let all = [prefix_match("/")];
    let rule = Rule { filters: vec![HttpFilter::Redirect(redirect)], ..rule(backend(Vec::new())) };
    let rules = vec![(&all[..], Arc::new(rule))];
    builder.attach(key, &Attachment { meta: &meta, hostnames: Vec::new(), rules });
    let proxy = Proxy::start(config(), builder.build());
    let mut client = proxy.shake(&authority.client(), "a.test").await.unwrap();
    client.send(get("/x")).await;
    assert_eq!(field(&client.reply().await.head, "location"), Some("https://a.test/x"));
}

#[tokio::test]
async fn a_host_of_another_listener_is_misdirected_and_one_of_none_is_not_found() {
    let authority = Authority::new();
    let all = tls(&[&authority.certify(&["a.test", "*.b.test", "c.test"])]);
    let named =
        [(Some("a.test"), all.clone()), (Some("*.b.test"), all.clone()), (Some("x.b.test"), all.clone())];
    let (proxy, _server) = start(&named).await;
    for (name, host, status) in [
        ("a.test", "a.test", 200),
        ("a.test", "A.TEST:443", 200),
        ("a.test", "y.b.test", 421),
        ("a.test", "c.test", 404),
        ("y.b.test", "z.b.test", 200),
        ("y.b.test", "x.b.test", 421),
        ("x.b.test", "y.b.test", 421),
    ] {
        let mut client = proxy.shake(&authority.client(), name).await.unwrap();
        assert_eq!(ask(&mut client, host).await.status, status, "{host} over {name}");
    }
    // With a listener for every host no host is unknown.
    let (proxy, _server) = start(&[(Some("a.test"), all.clone()), (None, all)]).await;
    for (name, host, status) in
        [("a.test", "c.test", 421), ("c.test", "a.test", 421), ("c.test", "d.test", 200)]
    {
        let mut client = proxy.shake(&authority.client(), name).await.unwrap();
        assert_eq!(ask(&mut client, host).await.status, status, "{host} over {name}");
    }
}

#[tokio::test]
async fn a_session_is_resumed_by_any_worker_and_after_a_new_table() {
    let authority = Authority::new();
    let key = authority.certify(&["a.test"]);
    let two = Config { workers: NonZeroUsize::new(2).unwrap(), ..config() };
    let (mut proxy, server) = start_with(two, &[(None, tls(&[&key]))]).await;
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        let mut kinds = Vec::new();
        for round in 0..12 {
            if round == 6 {
                let others = [(None, tls(&[&key])), (Some("new.test"), tls(&[&key]))];
                proxy.publisher.publish(secure(&others, server.address));
            }
            let mut client = proxy.shake(&client, "a.test").await.unwrap();
            // A ticket of TLS 1.3 comes after the handshake.
            assert_eq!(ask(&mut client, "a.test").await.status, 200);
            kinds.push(client.stream.get_ref().1.handshake_kind());
        }
        assert_eq!(kinds[0], Some(HandshakeKind::Full));
        let resumed = kinds.iter().filter(|kind| **kind == Some(HandshakeKind::Resumed)).count();
        assert_eq!(resumed, 11, "{kinds:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_without_a_failed_request() {
    let authority = Authority::new();
    let (old, new) = (authority.certify(&["a.test"]), authority.certify(&["a.test"]));
    let (mut proxy, server) = start(&[(None, tls(&[&old]))]).await;
    let mut client = authority.client();
    client.resumption = Resumption::disabled();
    let mut kept = proxy.shake(&client, "a.test").await.unwrap();
    for round in 0..60 {
        let key = if round % 2 == 0 { &new } else { &old };
        proxy.publisher.publish(secure(&[(None, tls(&[key]))], server.address));
        let mut fresh = proxy.shake(&client, "a.test").await.unwrap();
        assert_eq!(ask(&mut fresh, "a.test").await.status, 200);
        assert_eq!(ask(&mut kept, "a.test").await.status, 200, "an open connection goes on");
    }
    proxy.publisher.publish(secure(&[(None, tls(&[&new]))], server.address));
    assert_eq!(proxy.shown(&authority, "a.test").await.unwrap(), new.chain[0]);
}

#[tokio::test]
async fn a_connection_in_plaintext_is_not_served_by_a_listener_that_wants_tls() {
    let authority = Authority::new();
    let server = Server::echo().await;
    let mut proxy = Proxy::start(config(), serving(&[server.address]));
    let mut plain = proxy.connect().await;
    plain.send(get("/")).await;
    assert_eq!(plain.reply().await.status, 200);
    let listener = tls(&[&authority.certify(&["a.test"])]);
    proxy.publisher.publish(secure(&[(None, listener)], server.address));
    plain.send(get("/")).await;
    assert_eq!(plain.reply().await.status, 421);
    let mut client = proxy.shake(&authority.client(), "a.test").await.unwrap();
    proxy.publisher.publish(serving(&[server.address]));
    assert_eq!(ask(&mut client, "a.test").await.status, 421);
}
