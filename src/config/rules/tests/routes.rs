//! `GRPCRoute`, `TLSRoute`, `TCPRoute`, `UDPRoute`, `BackendTLSPolicy`, and the core kinds.

use super::*;

#[test]
fn grpc_methods() {
    let frame = |method: &str| format!("{{rules: [{{matches: [{{method: {method}}}]}}]}}");
    let at = "/rules/0/matches/0/method";
    assert_specs(
        "GRPCRoute",
        frame,
        &[
            ("{service: shop.v1.Books, method: Get_1}", "ok"),
            ("{service: .Shop}", "ok"),
            ("{method: Get}", "ok"),
            ("{}", at),
            ("{type: Exact}", at),
            ("{service: 'a..b'}", "/rules/0/matches/0/method/service"),
            ("{service: 1a}", "/rules/0/matches/0/method/service"),
            ("{service: a/b}", "/rules/0/matches/0/method/service"),
            ("{method: a.b}", "/rules/0/matches/0/method/method"),
            ("{method: ''}", "/rules/0/matches/0/method/method"),
            ("{type: RegularExpression, service: 'a.*', method: '[A-Z].*'}", "ok"),
            ("{type: RegularExpression, service: 'a['}", "/rules/0/matches/0/method/service"),
            ("{type: Prefix, service: a}", "/rules/0/matches/0/method/type"),
        ],
    );
}

#[test]
fn grpc_rules() {
    let header = "{type: RequestHeaderModifier, requestHeaderModifier: {}}";
    let mirror = "{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}}}";
    let matches = |count: usize| format!("{{matches: [{}]}}", vec!["{}"; count].join(","));
    assert_specs(
        "GRPCRoute",
        |rules| format!("{{rules: {rules}}}"),
        &[
            ("[]", "ok"),
            ("[{}]", "ok"),
            (&format!("[{}, {}]", matches(64), matches(64)), "ok"),
            (&format!("[{}, {}, {}]", matches(64), matches(64), matches(1)), "/rules"),
            (&format!("[{{filters: [{header}, {mirror}, {mirror}]}}]"), "ok"),
            (&format!("[{{filters: [{header}, {header}]}}]"), "/rules/0/filters/1"),
            ("[{filters: [{type: RequestMirror}]}]", "/rules/0/filters/0"),
            ("[{filters: [{type: URLRewrite}]}]", "/rules/0/filters/0/type"),
            ("[{timeouts: {request: 1s}}]", "/rules/0"),
            ("[{backendRefs: [{name: a}]}]", "/rules/0/backendRefs/0"),
            (
                "[{matches: [{headers: [{name: a, value: b}, {name: a, value: c}]}]}]",
                "/rules/0/matches/0/headers/1",
            ),
            (
                "[{sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}}]",
                "/rules/0/sessionPersistence",
            ),
        ],
    );
}

#[test]
fn stream_routes_have_one_rule_with_backends() {
    for kind in ["TCPRoute", "UDPRoute"] {
        assert_specs(
            kind,
            |spec| format!("{{{spec}}}"),
            &[
                ("rules: [{backendRefs: [{name: a, port: 1}]}]", "ok"),
                ("rules: []", "/rules"),
                (
                    "rules: [{backendRefs: [{name: a, port: 1}]}, {backendRefs: [{name: a, port: 1}]}]",
                    "/rules",
                ),
                ("rules: [{backendRefs: []}]", "/rules/0/backendRefs"),
                ("rules: [{backendRefs: [{name: a}]}]", "/rules/0/backendRefs/0"),
                ("rules: [{}]", "/rules/0"),
                ("", ""),
                (
                    "parentRefs: [{name: a}, {name: a}], rules: [{backendRefs: [{name: a, port: 1}]}]",
                    "/parentRefs/1",
                ),
            ],
        );
    }
}

#[test]
fn tls_routes_need_names() {
    let frame =
        |names: &str| format!("{{hostnames: {names}, rules: [{{backendRefs: [{{name: a, port: 1}}]}}]}}");
    assert_specs(
        "TLSRoute",
        frame,
        &[
            ("[a.test, '*.a.test']", "ok"),
            ("[]", "/hostnames"),
            ("[10.0.0.1]", "/hostnames/0"),
            ("[a.*.test]", "/hostnames/0"),
            ("['*']", "/hostnames/0"),
        ],
    );
    assert_specs("TLSRoute", str::to_owned, &[("{rules: [{backendRefs: [{name: a, port: 1}]}]}", "")]);
}

#[test]
fn backend_tls_policies() {
    let target = "{group: '', kind: Service, name: a}";
    let frame = |validation: &str| {
        format!("{{targetRefs: [{target}], validation: {{hostname: a.test, {validation}}}}}")
    };
    let refs = "caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]";
    let at = "/validation/subjectAltNames/0";
    assert_specs(
        "BackendTLSPolicy",
        frame,
        &[
            (refs, "ok"),
            ("wellKnownCACertificates: System", "ok"),
            ("", "/validation"),
            (&format!("{refs}, wellKnownCACertificates: System"), "/validation"),
            ("wellKnownCACertificates: Mozilla", "/validation/wellKnownCACertificates"),
            ("caCertificateRefs: [{kind: ConfigMap, name: ca}]", "/validation/caCertificateRefs/0"),
            (&format!("{refs}, subjectAltNames: [{{type: Hostname, hostname: '*.a.test'}}]"), "ok"),
            (&format!("{refs}, subjectAltNames: [{{type: URI, uri: 'spiffe://a/b'}}]"), "ok"),
            (&format!("{refs}, subjectAltNames: [{{type: URI}}]"), at),
            (
                &format!("{refs}, subjectAltNames: [{{type: Hostname, hostname: a.test, uri: 'a://b'}}]"),
                "/validation/subjectAltNames/0/uri",
            ),
        ],
    );
    let frame = |targets: &str| {
        format!(
            "{{targetRefs: {targets}, validation: {{hostname: a.test, wellKnownCACertificates: System}}}}"
        )
    };
    assert_specs(
        "BackendTLSPolicy",
        frame,
        &[
            ("[{group: '', kind: Service, name: a}, {group: '', kind: Service, name: b}]", "ok"),
            ("[{group: '', kind: Service, name: a}, {group: '', kind: Service, name: a}]", "/targetRefs/1"),
            (
                "[{group: '', kind: Service, name: a, sectionName: x}, {group: '', kind: Service, name: a, sectionName: y}]",
                "ok",
            ),
            (
                "[{group: '', kind: Service, name: a, sectionName: x}, {group: '', kind: Service, name: a}]",
                "/targetRefs/1",
            ),
            ("[{kind: Service, name: a}]", "/targetRefs/0"),
            ("[]", "/targetRefs"),
        ],
    );
}

#[test]
fn secrets_and_config_maps() {
    for (kind, fields, wanted) in [
        ("Secret", "{data: {a: QQ==}}", "ok"),
        ("Secret", "{data: {a: QQ}}", "/data/a"),
        ("Secret", "{data: {'a b': QQ==}}", "/data"),
        ("Secret", "{type: kubernetes.io/tls, data: {tls.crt: QQ==}, stringData: {tls.key: a}}", "ok"),
        ("Secret", "{type: kubernetes.io/tls, data: {tls.crt: QQ==}}", ""),
        ("Secret", "{spec: {}}", ""),
        ("ConfigMap", "{data: {a: b}, binaryData: {c: QQ==}}", "ok"),
        ("ConfigMap", "{data: {a: b}, binaryData: {a: QQ==}}", "/binaryData/a"),
        ("ConfigMap", "{binaryData: {a: '?'}}", "/binaryData/a"),
        ("ConfigMap", "{data: {a: 1}}", "/data/a"),
    ] {
        let found = faults(document(kind, fields));
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| &**pointer).collect();
        let wanted: &[&str] = if wanted == "ok" { &[] } else { &[wanted] };
        assert_eq!(pointers, wanted, "{kind} {fields}: {found:?}");
    }
    let big = format!("{{data: {{a: {}}}}}", "x".repeat(1_400_000));
    assert_eq!(faults(document("ConfigMap", &big)).len(), 1);
}

#[test]
fn services() {
    assert_specs(
        "Service",
        str::to_owned,
        &[
            ("{ports: [{port: 80}]}", "ok"),
            ("{ports: [{port: 80, targetPort: 8080}]}", "ok"),
            ("{ports: [{port: 80, targetPort: http}]}", "ok"),
            ("{ports: [{port: 80, targetPort: '8080'}]}", "/ports/0/targetPort"),
            ("{ports: [{port: 80, targetPort: 0}]}", "/ports/0/targetPort"),
            ("{ports: [{name: a, port: 80}, {port: 81}]}", "/ports/1"),
            ("{ports: [{name: a, port: 80}, {name: a, port: 81}]}", "/ports/1/name"),
            ("{ports: [{name: a, port: 80}, {name: b, port: 80}]}", "/ports/1/port"),
            ("{ports: [{name: a, port: 53}, {name: b, port: 53, protocol: UDP}]}", "ok"),
            ("{ports: [{port: 80, protocol: HTTP}]}", "/ports/0/protocol"),
            ("{}", ""),
            ("{clusterIP: None}", "ok"),
            ("{type: ExternalName, externalName: a.test}", "ok"),
            ("{type: ExternalName}", ""),
            ("{type: ExternalName, externalName: 'a b'}", "/externalName"),
            ("{type: External}", "/type"),
            ("{port: 80}", ""),
        ],
    );
}
