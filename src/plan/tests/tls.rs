//! Which certificates an HTTPS listener has, and what is said where it has none.

use std::path::Path;

use super::*;
use crate::route::{Tls, Unknown};

fn key(name: &str) -> Arc<CertifiedKey> {
    Arc::new(CertifiedKey {
        chain: vec![name.as_bytes().into()],
        key: PrivateKey::new(KeyForm::Pkcs8, name.as_bytes()),
        names: vec![HostPattern::parse(name).unwrap()],
        not_before: -10,
        not_after: 10,
    })
}

/// A Secret with a certificate for the name `<name>.test`.
fn secret(name: &str) -> Secret {
    let meta = meta(Kind::Secret, name);
    let certificate = Some(key(&format!("{}.test", meta.id.name)));
    Secret { meta, kind: "kubernetes.io/tls".into(), certificate }
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap { meta: meta(Kind::ConfigMap, name), authorities: Ok(vec![name.as_bytes().into()].into()) }
}

fn certificate(name: &str, source: CertificateSource) -> Certificate {
    Certificate { meta: meta(Kind::Certificate, name), source, unsupported: Vec::new() }
}

fn reference(group: &str, kind: &str, name: &str) -> ObjectRef {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    ObjectRef { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() }
}

fn to_secret(name: &str) -> ObjectRef {
    reference("", "Secret", name)
}

/// The Gateway `edge` with the listener `tls`.
fn secure(refs: Vec<ObjectRef>) -> Gateway {
    let mut listener = listener("tls", 443, Protocol::Https);
    listener.tls.certificates = CertificateRefs::Listed(refs);
    gateway("edge").listener(listener)
}

fn served(plan: &Plan) -> Arc<Tls> {
    let address = *plan.table.sockets().next().unwrap();
    plan.table.socket(&address).unwrap().secures(Some("a.test")).unwrap().clone()
}

fn names(tls: &Tls) -> Vec<String> {
    tls.certificates().iter().map(|key| key.names[0].to_string()).collect()
}

fn validating(mode: ValidationMode, name: &str) -> FrontendTls {
    let authorities = vec![reference("", "ConfigMap", name)];
    FrontendTls { default: Some(ClientValidation { authorities, mode }), per_port: BTreeMap::new() }
}

#[test]
fn a_listener_has_its_certificates_in_their_order() {
    let plan = plan(&world![secret("b"), secret("a"), secure(vec![to_secret("b"), to_secret("a")])]);
    let tls = served(&plan);
    assert_eq!((names(&tls), tls.unknown), (vec!["b.test".to_owned(), "a.test".to_owned()], Unknown::First));
    assert_eq!(plan.listener_says("tls", "ResolvedRefs"), "ResolvedRefs: True ResolvedRefs");
    assert_eq!(plan.listener_says("tls", "Programmed"), "Programmed: True Programmed: listening on [::]:443");
}

#[test]
fn one_good_certificate_is_enough_and_the_bad_ones_are_named() {
    let opaque = Secret { kind: "Opaque".into(), certificate: None, ..secret("opaque") };
    for (refs, reason, message) in [
        (to_secret("none"), "InvalidCertificateRef", "there is no Secret default/none"),
        (
            to_secret("opaque"),
            "InvalidCertificateRef",
            "Secret default/opaque has the type `Opaque` and so no certificate; write `type: kubernetes.io/tls`",
        ),
        (
            reference("", "ConfigMap", "a"),
            "InvalidCertificateRef",
            "certificateRef `a` has kind `ConfigMap` of group `\"\"`; it must be `Secret`, or `Certificate` of group \
             `portolan.dev`",
        ),
        (
            to_secret("far/a"),
            "RefNotPermitted",
            "Secret `far/a` is in another namespace than Gateway default/edge, and no ReferenceGrant in namespace \
             `far` lets Gateways of `default` refer to it: write one there",
        ),
    ] {
        let world = |refs| world![secret("a"), secret("far/a"), opaque.clone(), secure(refs)];
        let alone = plan(&world(vec![refs.clone()]));
        let said = format!("ResolvedRefs: False {reason}: {message}");
        assert_eq!(alone.listener_says("tls", "ResolvedRefs"), said);
        assert_eq!(alone.listener_says("tls", "Accepted"), "Accepted: True Accepted");
        assert_eq!(
            alone.listener_says("tls", "Programmed"),
            "Programmed: False Invalid: none of `tls.certificateRefs` can be used: every handshake is refused"
        );
        assert!(served(&alone).certificates().is_empty(), "its clients fall to nobody else");
        let beside = plan(&world(vec![refs, to_secret("a")]));
        assert_eq!(beside.listener_says("tls", "ResolvedRefs"), said);
        assert_eq!(beside.listener_says("tls", "Accepted"), "Accepted: True Accepted");
        assert_eq!(names(&served(&beside)), ["a.test"]);
    }
}

/// Lets Gateways of `default` refer to Secrets of `far`.
fn grant(name: Option<&str>) -> Resource {
    let from = GrantFrom { group: GATEWAY_GROUP.into(), kind: "Gateway".into(), namespace: "default".into() };
    let to = GrantTo { group: "".into(), kind: "Secret".into(), name: name.map(Into::into) };
    Resource::ReferenceGrant(Arc::new(ReferenceGrant {
        meta: meta(Kind::ReferenceGrant, "far/g"),
        from: vec![from],
        to: vec![to],
    }))
}

#[test]
fn a_grant_lets_a_gateway_use_a_secret_of_another_namespace() {
    for (name, count) in [(None, 1), (Some("a"), 1), (Some("b"), 0)] {
        let plan = plan(&world![secret("far/a"), grant(name), secure(vec![to_secret("far/a")])]);
        assert_eq!(served(&plan).certificates().len(), count, "{name:?}");
    }
}

/// What the listener of `edge` shows backends.
fn shown(plan: &Plan) -> Option<String> {
    let address = *plan.table.sockets().next().unwrap();
    let listener = plan.table.socket(&address).unwrap().listeners().next().unwrap();
    listener.client.as_ref().map(|client| client.names[0].to_string())
}

#[test]
fn a_gateway_shows_its_own_certificate_to_backends() {
    let world = |reference: Option<ObjectRef>, more: Vec<Thing>| {
        let edge = Gateway { client: reference, ..edge() };
        let mut things: Vec<Thing> = vec![edge.into(), secret("a").into(), secret("far/a").into()];
        things.extend(more);
        plan(&assembled(things))
    };
    let said = |plan: &Plan| plan.says(Kind::Gateway, "edge", "ResolvedRefs");
    let none = world(None, Vec::new());
    assert_eq!((shown(&none), said(&none)), (None, String::new()));
    let good = world(Some(to_secret("a")), Vec::new());
    assert_eq!(
        (shown(&good), said(&good)),
        (Some("a.test".into()), "ResolvedRefs: True ResolvedRefs".into())
    );
    let granted = world(Some(to_secret("far/a")), vec![grant(None).into()]);
    assert_eq!(shown(&granted).as_deref(), Some("a.test"));
    for (wrong, reason, words) in [
        (to_secret("none"), "InvalidClientCertificateRef", "there is no Secret default/none"),
        (
            reference("", "ConfigMap", "a"),
            "InvalidClientCertificateRef",
            "certificateRef `a` has kind `ConfigMap` of group `\"\"`; it must be `Secret`, or `Certificate` of group \
             `portolan.dev`",
        ),
        (
            to_secret("far/a"),
            "RefNotPermitted",
            "Secret `far/a` is in another namespace than Gateway default/edge, and no ReferenceGrant in namespace \
             `far` lets Gateways of `default` refer to it: write one there",
        ),
    ] {
        let plan = world(Some(wrong), Vec::new());
        let words = format!(
            "ResolvedRefs: False {reason}: spec.tls.backend.clientCertificateRef: {words}; backends are shown no certificate"
        );
        assert_eq!((shown(&plan), said(&plan)), (None, words));
        assert_eq!(plan.says(Kind::Gateway, "edge", "Accepted"), "Accepted: True Accepted", "it serves");
    }
}

#[test]
fn listeners_of_a_set_show_the_certificate_of_their_gateway() {
    let set = ListenerSet {
        meta: meta(Kind::ListenerSet, "s"),
        parent: parent("default/edge"),
        listeners: vec![listener("more", 81, Protocol::Http)],
    };
    let mut edge = Gateway { client: Some(to_secret("a")), ..edge() };
    edge.allowed_listeners = FromNamespaces::Same;
    let plan = plan(&world![edge, set, secret("a")]);
    let listener =
        plan.table.socket(&"[::]:81".parse().unwrap()).unwrap().listeners().next().unwrap().client.clone();
    assert_eq!(listener, secret("a").certificate);
}

#[test]
fn a_listener_without_any_reference_says_so() {
    let plan = plan(&world![secure(Vec::new())]);
    assert_eq!(
        plan.listener_says("tls", "ResolvedRefs"),
        "ResolvedRefs: False InvalidCertificateRef: the listener has no certificate: name one in `tls.certificateRefs`"
    );
}

#[test]
fn a_certificate_stands_for_what_it_became() {
    let files =
        || CertificateSource::Files { certificate: Path::new("/c").into(), key: Path::new("/k").into() };
    let of = |name: &str| reference("portolan.dev", "Certificate", name);
    let mut world = world![
        secret("held"),
        certificate("read", files()),
        certificate("broken", files()),
        certificate("stale", files()),
        certificate("late", files()),
        certificate("held", CertificateSource::Secret("held".into())),
        certificate("acme", CertificateSource::Acme),
        secure(["read", "broken", "stale", "late", "held", "acme"].map(of).to_vec()),
    ];
    let mut issue = |name: &str, good: Option<Arc<CertifiedKey>>, problem: Option<&str>| {
        let issued = Issued { good, problem: problem.map(Into::into) };
        world.issued.insert(ResourceId::new(Kind::Certificate, "default", name), issued);
    };
    issue("read", Some(key("read.test")), None);
    issue("broken", None, Some("`/c` is not valid PEM"));
    issue("stale", Some(key("stale.test")), Some("`/c` cannot be read"));
    assert_eq!(world.certificates_to_issue().len(), 4);
    let plan = plan(&world);
    assert_eq!(names(&served(&plan)), ["read.test", "stale.test", "held.test"]);
    let says = |name: &str| plan.says(Kind::Certificate, name, "Ready");
    assert_eq!(says("read"), "Ready: True Ready");
    assert_eq!(says("broken"), "Ready: False NoCertificate: `/c` is not valid PEM");
    assert_eq!(
        says("stale"),
        "Ready: False Stale: `/c` cannot be read; the one that was read before is used"
    );
    assert_eq!(says("late"), "Ready: False NoCertificate: it is being read");
    assert_eq!(says("held"), "Ready: True Ready");
    assert_eq!(
        plan.says(Kind::Certificate, "acme", "Accepted"),
        "Accepted: False UnsupportedValue: spec.acme: ACME is not served yet; use `files`, `secretRef` or `selfSigned`"
    );
    let status = plan.status(Kind::Certificate, "read").certificate.as_ref().unwrap();
    assert_eq!((&*status.names, status.not_after), (&["read.test".to_owned()][..], 10));
}

#[test]
fn what_has_expired_is_served_and_said() {
    let mut world = world![secret("a"), secure(vec![to_secret("a")])];
    for (now, said) in [
        (0, "Ready: True Ready"),
        (11, "Ready: False Expired: the certificate has expired, so clients refuse it: replace it"),
        (
            -11,
            "Ready: False NotYetValid: the certificate is not valid yet, so clients refuse it: look at this machine's \
             clock",
        ),
    ] {
        world.now = now;
        let plan = plan(&world);
        assert_eq!(plan.says(Kind::Secret, "a", "Ready"), said);
        assert_eq!(names(&served(&plan)), ["a.test"]);
    }
}

#[test]
fn the_implicit_listener_has_every_certificate_for_its_own_names() {
    let mut every = listener("https", 443, Protocol::Https);
    every.tls.certificates = CertificateRefs::Every;
    let plan = plan(&world![
        secret("a"),
        secret("far/b"),
        certificate("c", CertificateSource::Secret("a".into())),
        gateway("edge").listener(every)
    ]);
    let tls = served(&plan);
    assert_eq!((names(&tls), tls.unknown), (vec!["a.test".to_owned(), "b.test".to_owned()], Unknown::Refuse));
}

#[test]
fn clients_are_asked_for_certificates_of_the_named_authorities() {
    let mut gateway = secure(vec![to_secret("a")]);
    gateway.frontend = validating(ValidationMode::AllowValidOnly, "ca");
    let world = world![secret("a"), config_map("ca"), gateway.clone()];
    let tls = served(&plan(&world));
    assert_eq!(tls.clients.as_ref().unwrap().authorities, [Arc::from(&b"ca"[..])]);
    gateway.frontend.per_port.insert(443, None);
    let world = world![secret("a"), config_map("ca"), gateway];
    assert_eq!(served(&plan(&world)).clients, None, "the port's own word replaces the default");
}

#[test]
fn a_listener_whose_authorities_are_all_unusable_lets_nobody_in_and_http_goes_on() {
    let empty = ConfigMap { authorities: Err("it has no key `ca.crt`".into()), ..config_map("empty") };
    let reason = "InvalidCACertificateRef";
    let none = "there is no ConfigMap default/none";
    for (name, mode, message) in [
        ("none", ValidationMode::AllowValidOnly, none),
        (
            "empty",
            ValidationMode::AllowValidOnly,
            "ConfigMap default/empty cannot be used: it has no key `ca.crt`",
        ),
        ("none", ValidationMode::AllowInsecureFallback, none),
    ] {
        let mut gateway = secure(vec![to_secret("a")]).listener(http("http", 80));
        gateway.frontend = validating(mode, name);
        let plan = plan(&world![secret("a"), empty.clone(), gateway]);
        assert_eq!(
            plan.listener_says("tls", "ResolvedRefs"),
            format!("ResolvedRefs: False {reason}: {message}")
        );
        let closed = "no authority for client certificates can be used: every handshake is refused";
        assert_eq!(
            plan.listener_says("tls", "Accepted"),
            format!("Accepted: False NoValidCACertificate: {closed}")
        );
        assert_eq!(plan.listener_says("tls", "Programmed"), format!("Programmed: False Invalid: {closed}"));
        assert_eq!(plan.listener_says("http", "Accepted"), "Accepted: True Accepted");
        let secure = plan.table.sockets().find(|socket| socket.port() == 443).unwrap();
        let tls = plan.table.socket(secure).unwrap().secures(None).unwrap();
        assert!(tls.certificates().is_empty() && tls.clients.is_some());
    }
}

#[test]
fn a_wrong_kind_of_authority_has_its_own_reason() {
    let mut gateway = secure(vec![to_secret("a")]);
    let wrong = reference("", "Secret", "a");
    let authorities = vec![wrong, reference("", "ConfigMap", "ca")];
    let mode = ValidationMode::AllowValidOnly;
    gateway.frontend.default = Some(ClientValidation { authorities, mode });
    let plan = plan(&world![secret("a"), config_map("ca"), gateway]);
    assert_eq!(
        plan.listener_says("tls", "ResolvedRefs"),
        "ResolvedRefs: False InvalidCACertificateKind: caCertificateRef `a` has kind `Secret` of group `\"\"`; it must \
         be `ConfigMap` of group `\"\"`"
    );
    assert_eq!(plan.listener_says("tls", "Accepted"), "Accepted: True Accepted");
    assert_eq!(served(&plan).clients.as_ref().unwrap().authorities.len(), 1);
}

#[test]
fn the_insecure_mode_is_told_at_the_gateway() {
    let mut gateway = secure(vec![to_secret("a")]);
    gateway.frontend = validating(ValidationMode::AllowInsecureFallback, "ca");
    let plan = plan(&world![secret("a"), config_map("ca"), gateway]);
    assert_eq!(
        plan.says(Kind::Gateway, "edge", "InsecureFrontendValidationMode"),
        "InsecureFrontendValidationMode: True ConfigurationChanged: `mode: AllowInsecureFallback` lets clients in without \
         a valid certificate"
    );
    assert_eq!(plan.listener_says("tls", "Accepted"), "Accepted: True Accepted");
}

#[test]
fn another_protocol_on_a_socket_of_an_older_gateway_is_refused() {
    let mut second = secure(vec![to_secret("a")]).created(2);
    second.meta.id.name = "second".into();
    let first = gateway("edge").listener(http("http", 443)).created(1);
    let plan = plan(&world![secret("a"), first, second]);
    assert_eq!(
        plan.listener_of_says("second", "tls", "Conflicted"),
        "Conflicted: True ProtocolConflict: listener `http` of Gateway default/edge has [::]:443 for HTTP, and is older \
         or first by name: give this one another port, or its Gateway another address"
    );
}

#[test]
fn a_route_that_wants_https_is_not_there_in_plain_http_or_sends_clients_on() {
    let world = |https| {
        let gateway = secure(vec![to_secret("a")]).listener(http("http", 80));
        let route = route("r").host("a.test").to(service_ref("web:80"));
        world![secret("a"), gateway, container("web"), HttpRoute { https, ..route }]
    };
    let only = plan(&world(HttpsUse::Only));
    assert_eq!(only.answers("a.test", "/"), None);
    assert!(only.answer_on("[::]:443", "a.test", "/").is_some());
    let redirect = plan(&world(HttpsUse::Redirect));
    let rule = redirect.answer("a.test", "/").unwrap();
    let [HttpFilter::Redirect(filter)] = &rule.filters[..] else { panic!("{:?}", rule.filters) };
    assert_eq!((filter.scheme, filter.port, filter.status.as_u16()), (Some("https"), Some(port(443)), 301));
    assert!(redirect.answer_on("[::]:443", "a.test", "/").unwrap().filters.is_empty());
    for plan in [&only, &redirect] {
        assert_eq!(plan.workload("web").urls, ["https://a.test"]);
        assert_eq!(plan.route_says("r", "Secure"), "");
    }
    let optional = plan(&world(HttpsUse::Optional));
    assert_eq!(optional.workload("web").urls, ["http://a.test", "https://a.test"]);
}

#[test]
fn a_route_that_wants_https_where_nothing_speaks_it_says_so() {
    let route = HttpRoute { https: HttpsUse::Only, ..route("r").host("a.test").rule(rule("/")) };
    let plan = plan(&world![edge(), route]);
    assert_eq!(plan.answers("a.test", "/"), None);
    assert_eq!(
        plan.route_says("r", "Secure"),
        "Secure: False NoHttpsListener: the route wants HTTPS, and no listener that it is attached to serves that: write \
         a Certificate, or an HTTPS listener with one"
    );
}

#[test]
fn routes_of_https_listeners_have_urls_that_say_so() {
    let plan = plan(&world![
        secret("a"),
        secure(vec![to_secret("a")]),
        container("web"),
        route("r").host("a.test").to(service_ref("web:80"))
    ]);
    assert_eq!(plan.workload("web").urls, ["https://a.test"]);
}

/// The Gateway `edge` with HTTPS listeners: name, hostname, and the name in the certificate.
fn several(listeners: &[(&str, Option<&str>, &str)]) -> Snapshot {
    let mut gateway = gateway("edge");
    let mut things: Vec<Thing> = Vec::new();
    for (name, hostname, named) in listeners {
        let mut one = listener(name, 443, Protocol::Https);
        one.hostname = hostname.map(|text| HostPattern::parse(text).unwrap());
        one.tls.certificates = CertificateRefs::Listed(vec![to_secret(name)]);
        gateway = gateway.listener(one);
        let kind = "kubernetes.io/tls".into();
        things.push(Secret { meta: meta(Kind::Secret, name), kind, certificate: Some(key(named)) }.into());
    }
    things.push(gateway.into());
    assembled(things)
}

#[test]
fn listeners_that_clients_may_mix_up_say_so() {
    for (first, second, reason) in [
        (("a", Some("a.test"), "a.test"), ("b", Some("b.test"), "b.test"), ""),
        (("a", Some("a.test"), "a.test"), ("b", Some("*.test"), "b.test"), "OverlappingHostnames"),
        (("a", Some("*.x.a.test"), "a.test"), ("b", Some("*.test"), "b.test"), "OverlappingHostnames"),
        (("a", Some("a.test"), "a.test"), ("b", None, "b.test"), "OverlappingHostnames"),
        (("a", Some("a.test"), "*.test"), ("b", Some("b.test"), "b.test"), "OverlappingCertificates"),
        (("a", Some("a.test"), "*.test"), ("b", Some("b.test"), "*.test"), "OverlappingCertificates"),
        (("a", Some("a.test"), "*.test"), ("b", Some("b.c.test"), "b.c.test"), ""),
        // Both: that of certificates is told.
        (("a", Some("a.test"), "*.test"), ("b", Some("*.test"), "*.test"), "OverlappingCertificates"),
    ] {
        let plan = plan(&several(&[first, second, ("far", Some("far.example"), "far.example")]));
        for (name, other) in [("a", "b"), ("b", "a")] {
            let said = plan.listener_says(name, "OverlappingTLSConfig");
            let start = format!("OverlappingTLSConfig: True {reason}: ");
            assert!(
                said.starts_with(&start) || (reason.is_empty() && said.is_empty()),
                "{first:?} {second:?}: {said}"
            );
            let named = said.contains(&format!("of listener `{other}` of Gateway default/edge"));
            assert!(reason.is_empty() || (named && said.contains("421")), "{said}");
        }
        let far = plan.listener_says("far", "OverlappingTLSConfig");
        assert_eq!(far.is_empty(), second.1.is_some(), "only no hostname takes its own: {far}");
    }
}

#[test]
fn what_is_written_and_not_valid_is_told_apart_from_what_is_not_there() {
    let mut world = world![secure(vec![to_secret("odd")])];
    world.refused.insert(meta(Kind::Secret, "odd").id, "a.yaml:3:1: it has no key".into());
    assert_eq!(
        plan(&world).listener_says("tls", "ResolvedRefs"),
        "ResolvedRefs: False InvalidCertificateRef: Secret default/odd is not valid (a.yaml:3:1: it has no key)"
    );
}
