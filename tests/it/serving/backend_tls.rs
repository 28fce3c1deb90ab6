//! TLS to backends: whom they have to prove to be, and what they are shown.

use super::{TO_A, World};
use crate::support::{authority::Authority, http::Response, manifest, tls_backend::TlsBackend, wait};

/// The Backend `inner` behind `inner.test`, and a policy by which it is `name`, by the ConfigMap `ca`.
fn documents(backend: &TlsBackend, name: &str) -> String {
    let policy = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: inner}}\nspec:\n  targetRefs: [{{group: portolan.dev, kind: Backend, name: inner}}]\n  validation: {{hostname: {name}, caCertificateRefs: [{{group: \"\", kind: ConfigMap, name: ca}}]}}\n---\n"
    );
    let to = "[{backendRefs: [{group: portolan.dev, kind: Backend, name: inner}]}]";
    manifest::backend("inner", backend.address) + &manifest::route("inner", "inner.test", to) + &policy
}

#[test]
fn a_backend_that_is_not_whom_the_policy_says_is_sent_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let backend = TlsBackend::start("inner", &authority.certify("true.test"), None);
    let world = World::new(TO_A);
    let write = |name: &str, ca: &str| world.documents.write("inner.yaml", &(documents(&backend, name) + ca));
    let (ours, theirs) = (authority.config_map("ca"), other.config_map("ca"));
    let answers = || world.portolan.reaches("inner.test", "/", "inner");
    write("true.test", &ours);
    assert_eq!(
        (answers().header("x-asked"), answers().header("x-shown")),
        (Some("true.test"), Some("nothing"))
    );
    for (name, ca, status) in [
        ("false.test", &*ours, 502),
        ("true.test", &theirs, 502),
        // Nobody is believed: nobody is asked.
        ("true.test", "", 500),
    ] {
        write(name, ca);
        world.portolan.says("inner.test", "/", status);
        write("true.test", &ours);
        answers();
    }
    assert!(world.portolan.log().contains("certificate"), "{}", world.portolan.log());
    assert!(!backend.was_sent_plaintext());
    assert_eq!(world.portolan.get("shop.test", "/").unwrap().backend(), Some("a"), "the others go on");
}

#[test]
fn a_policy_that_is_misspelt_from_the_start_is_no_leave_for_plaintext() {
    let authority = Authority::new();
    let backend = TlsBackend::start("inner", &authority.certify("true.test"), None);
    let world = World::new(TO_A);
    let good = documents(&backend, "true.test") + &authority.config_map("ca");
    world.documents.write("inner.yaml", &good.replace("validation: {hostname:", "validation: {hostnamez:"));
    world.portolan.says("inner.test", "/", 500);
    wait::eventually(wait::SOON, "the reason is told, with its place", || {
        let said = world.portolan.client(&["describe", "httproute", "inner"])?;
        let told =
            said.contains("BackendTLSPolicy default/inner is not valid (") && said.contains("inner.yaml:");
        wait::check(said, |_| told, String::clone)
    });
    world.documents.write("inner.yaml", &good);
    world.portolan.reaches("inner.test", "/", "inner");
    assert!(!backend.was_sent_plaintext());
}

#[test]
fn a_gateway_shows_backends_the_certificate_that_it_names() {
    let authority = Authority::new();
    let backend = TlsBackend::start("inner", &authority.certify("true.test"), Some(&authority));
    let world = World::new(TO_A);
    let ca = authority.config_map("ca");
    world.documents.write("inner.yaml", &(documents(&backend, "true.test") + &ca));
    let gateway = |tls: &str| {
        let gateway = manifest::gateway("edge", world.portolan.http).replace("---\n", tls) + "---\n";
        world.documents.write("edge.yaml", &gateway);
    };
    gateway("");
    world.portolan.says("inner.test", "/", 502);
    gateway("  tls: {backend: {clientCertificateRef: {name: own}}}\n");
    for _ in 0..2 {
        let own = authority.certify("portolan.test");
        world.documents.write("own.yaml", &own.secret("own"));
        let is_shown = |answer: &Response| answer.header("x-shown") == Some(&*own.print());
        world.portolan.answers("inner.test", "/", "that it was shown the certificate", is_shown);
    }
    world.documents.remove("own.yaml");
    world.portolan.says("inner.test", "/", 502);
    wait::eventually(wait::SOON, "the Gateway says what it lacks", || {
        let said = world.portolan.client(&["describe", "gateway", "edge"])?;
        wait::check(said, |said| said.contains("InvalidClientCertificateRef"), String::clone)
    });
    assert!(!backend.was_sent_plaintext());
}
