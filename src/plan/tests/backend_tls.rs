//! Who is spoken to by TLS, and how it is verified.

use super::*;

/// A policy of namespace `default`, with the authorities of the ConfigMap `ca`.
fn policy(name: &str, (group, kind, target): (&str, &str, &str), section: Option<&str>) -> BackendTlsPolicy {
    let target = PolicyTarget {
        group: group.into(),
        kind: kind.into(),
        name: target.into(),
        section: section.map(Into::into),
    };
    let tls = BackendTls {
        hostname: Some(Host::parse(&format!("{name}.test")).unwrap()),
        authorities: AuthorityRefs::Listed(vec![reference("", "ConfigMap", "ca")]),
        ..BackendTls::default()
    };
    let meta = meta(Kind::BackendTlsPolicy, name);
    BackendTlsPolicy { meta, targets: vec![target], tls, unsupported: Vec::new() }
}

fn reference(group: &str, kind: &str, name: &str) -> ObjectRef {
    ObjectRef { group: group.into(), kind: kind.into(), namespace: "default".into(), name: name.into() }
}

fn authority() -> ConfigMap {
    ConfigMap { meta: meta(Kind::ConfigMap, "ca"), authorities: Ok(vec![b"ca"[..].into()].into()) }
}

/// How the endpoints behind `a.test` are spoken to.
fn spoken(plan: &Plan) -> Vec<Option<EndpointTls>> {
    let Some(rule) = plan.answer("a.test", "/") else { panic!("no rule") };
    match &rule.backends.choices()[0].target {
        Target::Backend(backend) => {
            let endpoints = backend.endpoints.iter();
            endpoints.map(|endpoint| endpoint.tls.as_deref().cloned()).collect()
        }
        Target::Invalid(why) => panic!("{why}"),
    }
}

/// Whose name is asked for; `None` in plaintext.
fn asked_for(plan: &Plan) -> Option<String> {
    spoken(plan)[0].as_ref().map(|tls| tls.server_name.to_string())
}

#[test]
fn what_a_policy_targets_is_spoken_to_by_tls() {
    for (thing, reference, kind) in [
        (Thing::from(container("web")), service_ref("web:80"), ("", "Service")),
        (container("c").in_compose("default", "web").into(), service_ref("web:80"), ("", "Service")),
        (container("c").alias("web").into(), service_ref("web:80"), ("", "Service")),
        (backend("web").address("10.0.0.1:80").into(), service_ref("web:80"), ("", "Service")),
        (backend("web").address("10.0.0.1:80").into(), backend_ref("web"), ("portolan.dev", "Backend")),
        (
            service("web", ServiceKind::Selector(strings(&[("app", "s")]))).port(80, 80).into(),
            service_ref("web:80"),
            ("", "Service"),
        ),
    ] {
        let of_service = container("s").labels(&[("app", "s")]);
        let policy = policy("tls", (kind.0, kind.1, "web"), None);
        let plan = plan(&world![edge(), route("r").to(reference), thing, policy, authority(), of_service]);
        let tls = spoken(&plan).remove(0).unwrap();
        assert_eq!(&*tls.server_name, "tls.test");
        assert_eq!(tls.authorities, Authorities::These(vec![b"ca"[..].into()].into()));
        assert_eq!(plan.says(Kind::BackendTlsPolicy, "tls", "Accepted"), "Accepted: True Accepted");
        assert_eq!(
            plan.says(Kind::BackendTlsPolicy, "tls", "ResolvedRefs"),
            "ResolvedRefs: True ResolvedRefs"
        );
    }
}

#[test]
fn a_policy_leaves_alone_what_it_does_not_target() {
    let asked = |policies: Vec<BackendTlsPolicy>| {
        let mut things = vec![
            edge().into(),
            service("web", ServiceKind::Selector(strings(&[("app", "s")])))
                .named_port("http", 80)
                .named_port("https", 443)
                .into(),
            container("s").labels(&[("app", "s")]).into(),
            route("r").to(service_ref("web:80")).into(),
            authority().into(),
        ];
        things.extend(policies.into_iter().map(Thing::from));
        asked_for(&plan(&assembled(things)))
    };
    let one = |group, kind, name, section| asked(vec![policy("tls", (group, kind, name), section)]);
    assert_eq!(one("", "Service", "other", None), None);
    assert_eq!(one("acme.io", "Service", "web", None), None);
    assert_eq!(one("portolan.dev", "Backend", "web", None), None);
    assert_eq!(one("", "Service", "web", Some("https")), None);
    assert!(one("", "Service", "web", Some("http")).is_some());
    assert_eq!(one("", "Service", "web", Some("htp")), None, "the Service has no such port");
    let service = ("", "Service", "web");
    let narrow = policy("z-narrow", service, Some("http"));
    let wide = policy("a-wide", service, None);
    let lost = policy("a-lost", service, Some("htp"));
    let both = vec![wide.clone(), narrow, lost.clone()];
    assert_eq!(asked(both).as_deref(), Some("z-narrow.test"), "a port before the whole");
    assert_eq!(
        asked(vec![lost, wide]).as_deref(),
        Some("a-wide.test"),
        "a port that is not there is no port"
    );
}

#[test]
fn a_section_of_what_has_no_named_ports_asks_for_tls_all_the_same() {
    let external = || service("web", ServiceKind::ExternalName(Host::parse("a.test").unwrap()));
    for thing in [
        Thing::from(container("web")),
        container("c").in_compose("default", "web").into(),
        backend("web").address("10.0.0.1:80").into(),
        external().into(),
    ] {
        let policy = policy("tls", ("", "Service", "web"), Some("https"));
        let mut world = world![edge(), route("r").to(service_ref("web:80")), thing, policy, authority()];
        world.names.insert("a.test".into(), Ok(vec![ip("10.0.0.8")]));
        let plan = plan(&world);
        assert_eq!(asked_for(&plan).as_deref(), Some("tls.test"));
        assert_eq!(plan.says(Kind::BackendTlsPolicy, "tls", "Accepted"), "Accepted: True Accepted");
    }
}

#[test]
fn a_policy_for_a_port_that_the_service_does_not_have_says_so() {
    let named = || service("web", ServiceKind::Selector(BTreeMap::new()));
    for (service, section, words) in [
        (
            named().named_port("one", 80).named_port("two", 81),
            "onee",
            "Service default/web has no port named `onee`; it has `one`, `two`, did you mean `one`?",
        ),
        (
            named().named_port("one", 80),
            "https",
            "Service default/web has no port named `https`; it has `one`",
        ),
        (
            named().port(80, 80),
            "https",
            "Service default/web has no port named `https`: none of its ports has a name; name them, or leave out \
             `sectionName`",
        ),
    ] {
        let alone = policy("alone", ("", "Service", "web"), Some(section));
        let mut partly = policy("partly", ("", "Service", "web"), None);
        partly.targets.extend(alone.targets.clone());
        let plan = plan(&world![edge(), service, alone, partly, authority()]);
        assert_eq!(
            plan.says(Kind::BackendTlsPolicy, "alone", "Accepted"),
            format!("Accepted: False TargetNotFound: target `web`: {words}")
        );
        assert_eq!(
            plan.says(Kind::BackendTlsPolicy, "partly", "Accepted"),
            format!("Accepted: True Accepted: target `web`: {words}"),
            "its other target is there"
        );
    }
}

#[test]
fn of_two_policies_for_one_target_the_older_one_holds() {
    let target = ("", "Service", "web");
    let mut older = policy("z", target, None);
    older.meta.created = Some(1);
    let world = world![
        edge(),
        container("web"),
        route("r").to(service_ref("web:80")),
        policy("a", target, None),
        older,
        authority()
    ];
    let plan = plan(&world);
    assert_eq!(asked_for(&plan).as_deref(), Some("z.test"));
    assert_eq!(plan.says(Kind::BackendTlsPolicy, "z", "Accepted"), "Accepted: True Accepted");
    assert_eq!(
        plan.says(Kind::BackendTlsPolicy, "a", "Accepted"),
        "Accepted: False Conflicted: BackendTLSPolicy default/z has the same targets, and is older or first by name: \
         remove one of them"
    );
}

#[test]
fn a_policy_that_cannot_be_held_to_answers_500_and_nothing_is_sent_in_plaintext() {
    for (refs, reason, words) in [
        (reference("", "ConfigMap", "none"), "InvalidCACertificateRef", "there is no ConfigMap default/none"),
        (
            reference("", "Secret", "ca"),
            "InvalidKind",
            "caCertificateRef `ca` has kind `Secret` of group `\"\"`; it must be `ConfigMap` of group `\"\"`",
        ),
    ] {
        let mut policy = policy("tls", ("", "Service", "web"), None);
        policy.tls.authorities = AuthorityRefs::Listed(vec![refs]);
        let plan = plan(&world![edge(), container("web"), route("r").to(service_ref("web:80")), policy]);
        let why = format!("BackendTLSPolicy default/tls names no authority that can be used: {words}");
        assert_eq!(
            plan.leads_to("a.test"),
            format!(
                "invalid: backend `default/web:80` wants TLS and is not spoken to: {why}: requests for it are answered 500"
            )
        );
        assert_eq!(
            plan.says(Kind::BackendTlsPolicy, "tls", "Accepted"),
            format!(
                "Accepted: False NoValidCACertificate: {why}; requests for its targets are answered 500, never sent in \
                 plaintext"
            )
        );
        assert_eq!(
            plan.says(Kind::BackendTlsPolicy, "tls", "ResolvedRefs"),
            format!("ResolvedRefs: False {reason}: {words}")
        );
        assert!(plan.workloads.values().all(|workload| !workload.routed));
    }
}

#[test]
fn a_policy_of_authorities_that_are_not_known_is_invalid() {
    let mut policy = policy("tls", ("", "Service", "web"), None);
    policy.tls.authorities = AuthorityRefs::Listed(Vec::new());
    policy
        .unsupported
        .push(unsupported("spec.validation.wellKnownCACertificates", "only `System` is supported"));
    let plan = plan(&world![edge(), container("web"), route("r").to(service_ref("web:80")), policy]);
    assert!(plan.leads_to("a.test").starts_with("invalid: "));
    assert_eq!(
        plan.says(Kind::BackendTlsPolicy, "tls", "Accepted"),
        "Accepted: False Invalid: spec.validation.wellKnownCACertificates: only `System` is supported; requests for its \
         targets are answered 500, never sent in plaintext"
    );
}

#[test]
fn endpoints_with_the_scheme_https_are_verified_by_their_own_names() {
    let secure = |target| endpoint(target).port(443).scheme(Scheme::Https);
    let mut world = world![
        edge(),
        backend("b")
            .endpoint(secure(EndpointTarget::Hostname(Host::parse("api.test").unwrap())))
            .endpoint(secure(EndpointTarget::Address(ip("10.0.0.9"))))
            .address("10.0.0.7:80"),
        route("r").to(backend_ref("b")),
    ];
    world.names.insert("api.test".into(), Ok(vec![ip("10.0.0.8")]));
    let plan = plan(&world);
    let spoken = spoken(&plan);
    let names: Vec<Option<&str>> =
        spoken.iter().map(|tls| tls.as_ref().map(|tls| &*tls.server_name)).collect();
    assert_eq!(names, [None, Some("api.test"), Some("10.0.0.9")], "what says `http` stays plain");
    assert!(spoken.iter().flatten().all(|tls| tls.authorities == Authorities::System));
}

#[test]
fn a_backend_says_itself_how_it_is_verified() {
    let mut own = backend("b")
        .endpoint(endpoint(EndpointTarget::Address(ip("10.0.0.1"))).port(443).scheme(Scheme::Https));
    own.tls = BackendTls {
        hostname: Some(Host::parse("own.test").unwrap()),
        authorities: AuthorityRefs::Anyone,
        names: vec![SubjectName::Uri("spiffe://a/b".into())],
        client: Some(reference("", "Secret", "none")),
    };
    let bad = plan(&world![edge(), own.clone(), route("r").to(backend_ref("b"))]);
    assert_eq!(
        bad.leads_to("a.test"),
        "invalid: backend `default/b` wants TLS and is not spoken to: the client certificate of Backend default/b \
         cannot be used: there is no Secret default/none: requests for it are answered 500"
    );
    own.tls.client = None;
    let good = plan(&world![edge(), own, route("r").to(backend_ref("b"))]);
    let tls = spoken(&good).remove(0).unwrap();
    assert_eq!((&*tls.server_name, tls.authorities, tls.names.len()), ("own.test", Authorities::Anyone, 1));
}

/// The names of the Gateways that the status of a policy is about.
fn ancestors(plan: &Plan, name: &str) -> Vec<String> {
    let parents = &plan.status(Kind::BackendTlsPolicy, name).parents;
    parents
        .iter()
        .map(|one| format!("{} {}/{}", one.parent.kind, one.parent.namespace, one.parent.name))
        .collect()
}

#[test]
fn a_policy_says_its_conditions_for_each_gateway_from_which_requests_come_to_its_targets() {
    let target = ("", "Service", "web");
    let other = gateway("other").listener(http("http", 81));
    let world = |routes: Vec<Thing>| {
        let mut things = vec![
            edge().into(),
            other.clone().into(),
            container("web").into(),
            authority().into(),
            policy("a", target, None).into(),
            policy("z", target, None).into(),
        ];
        things.extend(routes);
        plan(&assembled(things))
    };
    let to = |name: &str, gateway: &str| detached(name).parent(parent(gateway)).to(service_ref("web:80"));
    let none = world(Vec::new());
    assert_eq!(ancestors(&none, "a"), [""; 0]);
    assert_eq!(none.says(Kind::BackendTlsPolicy, "a", "Accepted"), "Accepted: True Accepted");
    let one = world(vec![to("r", "default/edge").into(), to("lost", "default/nowhere").into()]);
    assert_eq!(ancestors(&one, "a"), ["Gateway default/edge"]);
    let both = world(vec![to("r", "default/edge").into(), to("s", "default/other").into()]);
    for name in ["a", "z"] {
        assert_eq!(ancestors(&both, name), ["Gateway default/edge", "Gateway default/other"]);
        let status = both.status(Kind::BackendTlsPolicy, name);
        assert_eq!((status.conditions.len(), status.is_accepted()), (0, name == "a"), "{status:?}");
    }
}

#[test]
fn a_policy_whose_targets_are_not_there_says_so() {
    for (target, words) in [
        (
            ("", "Service", "gone"),
            "target `gone`: namespace `default` has no Backend, Service, Compose service, container or network alias of \
             that name",
        ),
        (("portolan.dev", "Backend", "web"), "target `web`: namespace `default` has no Backend of that name"),
        (
            ("acme.io", "Thing", "web"),
            "target `web` has kind `Thing` of group `acme.io`; it must be `Service`, or `Backend` of group `portolan.dev`",
        ),
    ] {
        let plan = plan(&world![edge(), container("web"), policy("tls", target, None), authority()]);
        let said = plan.says(Kind::BackendTlsPolicy, "tls", "Accepted");
        assert_eq!(said, format!("Accepted: False TargetNotFound: {words}"));
    }
}
