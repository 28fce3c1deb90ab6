//! HTTPS as a client sees it, and certificates as an operator does.

use std::{fs, time::Duration};

use rustls::version::{TLS12, TLS13};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{TO_A, World};
use crate::support::{
    authority::{Authority, Certified, client_of},
    http::Connection,
    manifest,
    portolan::Portolan,
    wait,
};

/// A Gateway whose listener shows the certificate of the Secret `web`; `more` is the rest of its spec.
fn gateway(portolan: &Portolan, more: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: edge}}\nspec:\n  gatewayClassName: portolan\n  defaultScope: All\n  addresses: [{{type: IPAddress, value: {}}}]\n  listeners:\n  - {{name: web, protocol: HTTPS, port: {}, hostname: shop.test, tls: {{certificateRefs: [{{name: web}}]}}}}\n{more}---\n",
        portolan.https.ip(),
        portolan.https.port()
    )
}

/// A connection for `shop.test`, as soon as there is one.
#[track_caller]
fn connected(portolan: &Portolan, authority: &Authority) -> Connection {
    wait::eventually(wait::SOON, "a handshake for `shop.test`", || {
        Connection::open_tls(portolan.https, "shop.test", &authority.client(None))
    })
}

#[test]
fn a_certificate_opens_the_implicit_https_listener() {
    let authority = Authority::new();
    let world = World::new(TO_A);
    assert!(Connection::open(world.portolan.https).is_err(), "nothing listens without a certificate");
    world.documents.write("web.yaml", &authority.certify("shop.test").secret("web"));
    let answer = connected(&world.portolan, &authority).get("shop.test", "/").unwrap();
    assert_eq!((answer.status, answer.backend()), (200, Some("a")));
    assert_eq!(answer.received("x-forwarded-proto"), ["https"]);
    assert_eq!(answer.received("x-forwarded-port"), ["8443"]);
    assert_eq!(world.portolan.get("shop.test", "/").unwrap().status, 200, "HTTP goes on");
    let unknown = Connection::open_tls(world.portolan.https, "other.test", &authority.client(None));
    assert!(unknown.err().unwrap().to_string().contains("UnrecognisedName"));
    world.documents.remove("web.yaml");
    wait::eventually(wait::SOON, "the listener is closed", || match Connection::open(world.portolan.https) {
        Ok(_) => Err("it is open"),
        Err(_) => Ok(()),
    });
}

#[test]
fn a_certificate_made_here_says_how_long_it_lasts() {
    let world = World::new(TO_A);
    let made = "apiVersion: portolan.dev/v1alpha1\nkind: Certificate\nmetadata: {name: made}\nspec: {hostnames: [shop.test, \"*.shop.test\"], selfSigned: {validFor: 48h}}\n";
    world.documents.write("made.yaml", made);
    let listed = wait::eventually(wait::SOON, "the certificate is ready", || {
        let listed = world.portolan.client(&["get", "certificates"])?;
        wait::check(listed, |listed| listed.contains("True"), String::clone)
    });
    assert!(listed.contains("shop.test,*.shop.test"), "{listed}");
    let ends = world.portolan.metric(
        "portolan_certificate_expiry_timestamp_seconds{certificate=\"default/made\",kind=\"Certificate\"}",
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let left = ends.unwrap() - now;
    assert!((47.0 * 3600.0..=48.0 * 3600.0).contains(&left), "{left} s");
    let described = world.portolan.client(&["describe", "certificate", "made"]).unwrap();
    assert!(described.contains("Ready"), "{described}");
    let shown = world.portolan.admin("/api/v1/certificates").unwrap().text();
    assert!(shown.contains("notAfter"), "{shown}");
}

#[test]
fn a_certificate_that_ends_is_told_of_though_nothing_else_changes() {
    let authority = Authority::new();
    let world = World::new(TO_A);
    let short = authority.certify_for("shop.test", Duration::from_secs(2));
    world.documents.write("web.yaml", &short.secret("web"));
    wait::eventually(wait::SOON, "its end is told", || {
        let said = world.portolan.client(&["describe", "secret", "web"])?;
        wait::check(said, |said| said.contains("False   Expired"), String::clone)
    });
}

#[test]
fn a_private_key_is_shown_nowhere() {
    let authority = Authority::new();
    let world = World::new(TO_A);
    let certified = authority.certify("shop.test");
    world.documents.write("web.yaml", &certified.secret("web"));
    connected(&world.portolan, &authority);
    // Broken, so that it is spoken of.
    let other = authority.certify("shop.test");
    let broken = Certified { certificate: other.certificate, key: certified.key };
    world.documents.write("broken.yaml", &broken.secret("broken"));
    let said = wait::eventually(wait::SOON, "the mismatch is told", || {
        let said = world.portolan.admin("/api/v1/status").map_err(|error| error.to_string())?.text();
        wait::check(said, |said| said.contains("does not belong to the certificate"), String::clone)
    });
    let secret = broken.key.serialize_pem();
    let secret: Vec<&str> = secret.lines().filter(|line| !line.starts_with('-')).collect();
    let check = world.portolan.shows(&["check", world.documents.path().to_str().unwrap()]);
    assert!(check.contains("broken.yaml:") && check.contains("tls.key"), "{check}");
    let shown = [
        said,
        check,
        world.portolan.client(&["get", "secrets", "-o", "yaml"]).unwrap(),
        world.portolan.client(&["describe", "secret", "web"]).unwrap(),
        world.portolan.admin("/metrics").unwrap().text(),
        world.portolan.log(),
    ];
    for text in shown {
        assert!(!secret.iter().any(|line| text.contains(line)), "{text}");
    }
}

#[test]
fn certificate_files_are_replaced_under_load_without_a_failed_request() {
    let authority = Authority::new();
    let world = World::new(TO_A);
    let put = |name: &str, text: &str| {
        let fresh = world.documents.path().join(".fresh");
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, world.documents.path().join(name)).unwrap();
    };
    let renew = || {
        let certified = authority.certify("shop.test");
        put("tls.crt", &certified.certificate.pem());
        put("tls.key", &certified.key.serialize_pem());
        certified.certificate.der().to_vec()
    };
    renew();
    world.documents.write(
        "web.yaml",
        "apiVersion: portolan.dev/v1alpha1\nkind: Certificate\nmetadata: {name: web}\nspec: {files: {certificate: tls.crt, key: tls.key}}\n",
    );
    let mut kept = connected(&world.portolan, &authority);
    let client = authority.client(None);
    for _ in 0..3 {
        let new = renew();
        let mut is_new = false;
        let begun = wait::now();
        while !is_new {
            assert!(begun.elapsed() < wait::SOON, "the new certificate is never shown");
            let mut fresh = Connection::open_tls(world.portolan.https, "shop.test", &client).unwrap();
            assert_eq!(fresh.get("shop.test", "/").unwrap().status, 200);
            assert_eq!(kept.get("shop.test", "/").unwrap().status, 200);
            let fresh = connected(&world.portolan, &authority);
            is_new = fresh.peer_certificate().as_deref() == Some(&*new);
        }
    }
    fs::remove_file(world.documents.path().join("tls.key")).unwrap();
    wait::eventually(wait::SOON, "the loss is told", || {
        let said = world.portolan.client(&["describe", "certificate", "web"])?;
        wait::check(said, |said| said.contains("the one that was read before is used"), String::clone)
    });
    connected(&world.portolan, &authority);
}

#[test]
fn a_gateway_asks_for_client_certificates_and_fails_closed() {
    let authority = Authority::new();
    let world = World::new(TO_A);
    let ca = authority.config_map("ca");
    let frontend = "  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: \"\", kind: ConfigMap, name: ca}]}}}}\n";
    let secret = authority.certify("shop.test").secret("web");
    let edge = gateway(&world.portolan, frontend);
    world.documents.write("edge.yaml", &format!("{secret}{ca}{edge}"));
    let own = authority.certify("client.test");
    let ask = |own: Option<&Certified>| {
        let mut connection = Connection::open_tls(world.portolan.https, "shop.test", &authority.client(own))?;
        connection.get("shop.test", "/").map(|answer| answer.status)
    };
    let let_in = || wait::eventually(wait::SOON, "a client with a certificate is let in", || ask(Some(&own)));
    assert_eq!(let_in(), 200);
    assert!(ask(None).is_err());
    world.documents.write("edge.yaml", &format!("{secret}{edge}"));
    wait::eventually(wait::SOON, "without an authority nobody is let in", || {
        ask(Some(&own)).map_or(Ok(()), |status| Err(format!("it answers {status}")))
    });
    // A table is served before it is told of.
    wait::eventually(wait::SOON, "the reason is told", || {
        let said = world.portolan.client(&["describe", "gateway", "edge"])?;
        wait::check(said, |said| said.contains("NoValidCACertificate"), String::clone)
    });
    world.documents.write("edge.yaml", &format!("{secret}{ca}{edge}"));
    assert_eq!(let_in(), 200);
}

#[test]
fn an_annotation_sends_http_to_https() {
    let authority = Authority::new();
    let world = World::new(TO_A);
    world.documents.write("web.yaml", &authority.certify("shop.test").secret("web"));
    let route = manifest::simple("shop", "shop.test", "a")
        .replace("{name: shop}", "{name: shop, annotations: {portolan.dev/https: redirect}}");
    let backend = manifest::backend("a", world.a.address);
    world.documents.write("shop.yaml", &format!("{backend}{route}"));
    let answer = world.portolan.says("shop.test", "/x?y", 301);
    assert_eq!(answer.header("location"), Some("https://shop.test:8443/x?y"));
    let answer = connected(&world.portolan, &authority).get("shop.test", "/x?y").unwrap();
    assert_eq!(answer.backend(), Some("a"));
}

#[test]
fn http_is_sent_to_https_by_a_route_of_its_own() {
    let authority = Authority::new();
    let world = World::new(TO_A);
    world.documents.write("web.yaml", &authority.certify("shop.test").secret("web"));
    let redirect = "[{filters: [{type: RequestRedirect, requestRedirect: {scheme: https, port: 8443, statusCode: 301}}]}]";
    let route = manifest::route("to-https", "shop.test", redirect);
    let parents = "spec:\n  parentRefs: [{name: default, sectionName: http}]\n";
    let plain = route.replace("spec:\n", parents);
    let secure = manifest::simple("shop", "shop.test", "a")
        .replace("spec:\n", "spec:\n  parentRefs: [{name: default, sectionName: https}]\n");
    let backend = manifest::backend("a", world.a.address);
    world.documents.write("shop.yaml", &format!("{backend}{plain}{secure}"));
    let answer = world.portolan.says("shop.test", "/x?y", 301);
    assert_eq!(answer.header("location"), Some("https://shop.test:8443/x?y"));
    let answer = connected(&world.portolan, &authority).get("shop.test", "/x?y").unwrap();
    assert_eq!(answer.backend(), Some("a"));
}

#[test]
fn the_example_serves_https_as_it_says_and_its_certificate_outlives_a_restart() {
    const HOST: &str = "shop.example.com";
    let world = World::new(TO_A);
    let address = world.portolan.https.ip();
    let example = include_str!("../../../examples/tls.yaml").replace(
        "  listeners:\n",
        &format!("  addresses: [{{type: IPAddress, value: {address}}}]\n  listeners:\n"),
    );
    world.documents.write("tls.yaml", &example);
    world.documents.write("shop.yaml", &manifest::backend("shop", world.a.address));
    let redirect = world.portolan.says(HOST, "/x?y", 301);
    assert_eq!(redirect.header("location"), Some("https://shop.example.com:8443/x?y"));
    let made = world.portolan.state_dir().join("certificates/default.shop.pem");
    // It serves before it is kept.
    wait::eventually(wait::SOON, "the certificate is kept", || fs::metadata(&made).map(drop));
    let believed = CertificateDer::from_pem_file(made).expect("the certificate that was made");
    let reached = |portolan: &Portolan| {
        let client = client_of(&believed, &TLS13);
        wait::eventually(wait::SOON, "the example answers by HTTPS", || {
            let mut connection = Connection::open_tls(portolan.https, HOST, &client)?;
            let answer = connection
                .get(HOST, "/")
                .map(|answer| (answer.status, answer.header("x-backend") == Some("a")))?;
            if answer == (200, true) { Ok(()) } else { Err(std::io::Error::other(format!("{answer:?}"))) }
        });
    };
    reached(&world.portolan);
    let old = Connection::open_tls(world.portolan.https, HOST, &client_of(&believed, &TLS12));
    assert!(old.err().unwrap().to_string().contains("ProtocolVersion"), "TLS 1.2 is too old");
    let World { mut portolan, documents, a: _a } = world;
    portolan.kill();
    let portolan = Portolan::builder().config(documents.path()).after(portolan).start();
    // Who has believed the certificate goes on to.
    reached(&portolan);
}
