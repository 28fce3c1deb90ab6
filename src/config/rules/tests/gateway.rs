//! `Gateway`, `ListenerSet`, `GatewayClass`, `ReferenceGrant`.

use std::collections::BTreeSet;

use super::*;

fn assert_listeners(rows: &[(&str, &str)]) {
    assert_specs("Gateway", |listeners| format!("{{gatewayClassName: a, listeners: {listeners}}}"), rows);
    let as_set = |listeners: &str| format!("{{parentRef: {{name: a}}, listeners: {listeners}}}");
    assert_specs("ListenerSet", as_set, rows);
}

#[test]
fn tls_has_to_fit_the_protocol() {
    assert_listeners(&[
        ("[{name: a, port: 80, protocol: HTTP}]", "ok"),
        ("[{name: a, port: 80, protocol: HTTP, tls: {certificateRefs: [{name: c}]}}]", "/listeners/0/tls"),
        ("[{name: a, port: 80, protocol: TCP, tls: {mode: Passthrough}}]", "/listeners/0/tls"),
        ("[{name: a, port: 80, protocol: UDP, tls: {mode: Passthrough}}]", "/listeners/0/tls"),
        ("[{name: a, port: 443, protocol: HTTPS}]", "ok"),
        ("[{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}]", "ok"),
        ("[{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough}}]", "/listeners/0/tls/mode"),
        ("[{name: a, port: 443, protocol: TLS}]", "/listeners/0"),
        ("[{name: a, port: 443, protocol: TLS, tls: {mode: Passthrough}}]", "ok"),
        ("[{name: a, port: 443, protocol: TLS, tls: {certificateRefs: [{name: c}]}}]", "ok"),
        ("[{name: a, port: 443, protocol: example.com/x, tls: {mode: Passthrough}}]", "ok"),
    ]);
}

#[test]
fn terminating_needs_a_certificate() {
    assert_listeners(&[
        ("[{name: a, port: 443, protocol: HTTPS, tls: {}}]", "/listeners/0/tls"),
        (
            "[{name: a, port: 443, protocol: HTTPS, tls: {mode: Terminate, certificateRefs: []}}]",
            "/listeners/0/tls",
        ),
        ("[{name: a, port: 443, protocol: HTTPS, tls: {options: {example.com/a: b}}}]", "ok"),
        ("[{name: a, port: 443, protocol: HTTPS, tls: {mode: Simple}}]", "/listeners/0/tls/mode"),
    ]);
}

#[test]
fn listeners_are_told_apart() {
    assert_listeners(&[
        ("[{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}]", "/listeners/1"),
        ("[{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}]", "/listeners/1"),
        (
            "[{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP, hostname: a.test}]",
            "ok",
        ),
        (
            "[{name: a, port: 80, protocol: HTTP, hostname: a.test}, {name: b, port: 80, protocol: HTTP, hostname: a.test}]",
            "/listeners/1",
        ),
        ("[{name: a, port: 53, protocol: TCP}, {name: b, port: 53, protocol: UDP}]", "ok"),
        // Conflicted later, but valid.
        ("[{name: a, port: 80, protocol: TCP}, {name: b, port: 80, protocol: HTTP}]", "ok"),
    ]);
}

#[test]
fn hostnames_of_listeners() {
    let row = |protocol: &str, hostname: &str| {
        format!("[{{name: a, port: 80, protocol: {protocol}, hostname: '{hostname}'}}]")
    };
    for (protocol, hostname, wanted) in [
        ("HTTP", "a.test", "ok"),
        ("HTTP", "*.a.test", "ok"),
        ("HTTP", "10.0.0.1", "ok"),
        ("HTTP", "*", "/listeners/0/hostname"),
        ("HTTP", "a.*.test", "/listeners/0/hostname"),
        ("HTTP", "A.test", "/listeners/0/hostname"),
        ("HTTP", "a_b.test", "/listeners/0/hostname"),
        ("HTTP", "", "/listeners/0/hostname"),
        ("TCP", "a.test", "/listeners/0/hostname"),
        ("UDP", "a.test", "/listeners/0/hostname"),
    ] {
        assert_listeners_once(&row(protocol, hostname), wanted);
    }
    let label = format!("{}.test", "a".repeat(64));
    assert_listeners_once(&row("HTTP", &label), "/listeners/0/hostname");
}

/// One fault at the place, perhaps several messages about it.
fn assert_listeners_once(listeners: &str, wanted: &str) {
    let spec = format!("spec: {{gatewayClassName: a, listeners: {listeners}}}");
    let found = faults(document("Gateway", &spec));
    let pointers: BTreeSet<&str> = found.iter().map(|(pointer, _)| &**pointer).collect();
    let wanted = format!("/spec{wanted}");
    let wanted: Vec<&str> = if wanted == "/specok" { vec![] } else { vec![&wanted] };
    assert_eq!(pointers.into_iter().collect::<Vec<_>>(), wanted, "{listeners}: {found:?}");
}

#[test]
fn limits_of_listeners() {
    let many = |count: u16| {
        let listeners: Vec<String> =
            (1..=count).map(|port| format!("{{name: l{port}, port: {port}, protocol: HTTP}}")).collect();
        format!("[{}]", listeners.join(","))
    };
    assert_listeners(&[
        ("[]", "/listeners"),
        (&many(64), "ok"),
        (&many(65), "/listeners"),
        ("[{name: a, port: 0, protocol: HTTP}]", "/listeners/0/port"),
        ("[{name: a, port: 65536, protocol: HTTP}]", "/listeners/0/port"),
        ("[{name: a, port: '80', protocol: HTTP}]", "/listeners/0/port"),
        ("[{name: a, port: 80, protocol: HTTP/2}]", "/listeners/0/protocol"),
        ("[{name: A, port: 80, protocol: HTTP}]", "/listeners/0/name"),
        ("[{name: a, protocol: HTTP}]", "/listeners/0"),
        ("[{name: a, port: 80, protocol: HTTP, host: a.test}]", "/listeners/0"),
    ]);
}

#[test]
fn allowed_routes() {
    let row = |allowed: &str| format!("[{{name: a, port: 80, protocol: HTTP, allowedRoutes: {allowed}}}]");
    let at = "/listeners/0/allowedRoutes";
    for (allowed, wanted) in [
        ("{}", "ok".to_owned()),
        ("{namespaces: {}}", "ok".to_owned()),
        ("{namespaces: {from: All}}", "ok".to_owned()),
        ("{namespaces: {from: None}}", format!("{at}/namespaces/from")),
        ("{namespaces: {from: Selector}}", "ok".to_owned()),
        ("{namespaces: {from: Selector, selector: {}}}", "ok".to_owned()),
        (
            "{namespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: In}]}}}",
            format!("{at}/namespaces/selector/matchExpressions/0"),
        ),
        (
            "{namespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}}",
            format!("{at}/namespaces/selector/matchExpressions/0/values"),
        ),
        ("{kinds: [{kind: HTTPRoute}]}", "ok".to_owned()),
        ("{kinds: [{kind: HTTP_Route}]}", format!("{at}/kinds/0/kind")),
        (
            "{kinds: [{kind: A},{kind: A},{kind: A},{kind: A},{kind: A},{kind: A},{kind: A},{kind: A},{kind: A}]}",
            format!("{at}/kinds"),
        ),
    ] {
        assert_listeners(&[(&row(allowed), &wanted)]);
    }
}

#[test]
fn addresses() {
    let frame = |addresses: &str| {
        format!(
            "{{gatewayClassName: a, listeners: [{{name: a, port: 1, protocol: TCP}}], addresses: {addresses}}}"
        )
    };
    assert_specs(
        "Gateway",
        frame,
        &[
            ("[{value: 10.0.0.1}, {value: '::1'}, {type: IPAddress}]", "ok"),
            ("[{value: 10.0.0.256}]", "/addresses/0/value"),
            ("[{value: a.test}]", "/addresses/0/value"),
            ("[{value: 10.0.0.1}, {type: IPAddress, value: 10.0.0.1}]", "/addresses/1/value"),
            ("[{type: Hostname, value: a.test}, {type: Hostname, value: a.test}]", "/addresses/1/value"),
            ("[{type: Hostname, value: A.test}]", "/addresses/0/value"),
            ("[{type: NamedAddress, value: a}, {type: NamedAddress, value: a}]", "ok"),
            ("[{type: example.com/pool, value: a}]", "ok"),
            ("[{type: Pool, value: a}]", "/addresses/0/type"),
        ],
    );
}

#[test]
fn frontend_tls_and_the_rest() {
    let frame = |fields: &str| {
        format!("{{gatewayClassName: a, listeners: [{{name: a, port: 1, protocol: TCP}}], {fields}}}")
    };
    let validation = "validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}";
    assert_specs(
        "Gateway",
        frame,
        &[
            (&format!("tls: {{frontend: {{default: {{{validation}}}}}}}"), "ok"),
            ("tls: {frontend: {}}", "/tls/frontend"),
            ("tls: {frontend: {default: {}, perPort: [{port: 1, tls: {}}, {port: 2, tls: {}}]}}", "ok"),
            (
                "tls: {frontend: {default: {}, perPort: [{port: 1, tls: {}}, {port: 1, tls: {}}]}}",
                "/tls/frontend/perPort/1/port",
            ),
            (
                "tls: {frontend: {default: {validation: {caCertificateRefs: []}}}}",
                "/tls/frontend/default/validation/caCertificateRefs",
            ),
            (
                "tls: {frontend: {default: {validation: {caCertificateRefs: [{kind: ConfigMap, name: ca}]}}}}",
                "/tls/frontend/default/validation/caCertificateRefs/0",
            ),
            ("allowedListeners: {namespaces: {from: None}}", "ok"),
            ("allowedListeners: {namespaces: {from: Selector}}", "ok"),
            ("defaultScope: All", "ok"),
            ("defaultScope: Some", "/defaultScope"),
            ("infrastructure: {labels: {a: b}}", "ok"),
            (
                "infrastructure: {labels: {a1: b, a2: b, a3: b, a4: b, a5: b, a6: b, a7: b, a8: b, a9: b}}",
                "/infrastructure/labels",
            ),
        ],
    );
}

#[test]
fn classes_and_grants() {
    assert_specs(
        "GatewayClass",
        str::to_owned,
        &[
            ("{controllerName: portolan.dev/controller}", "ok"),
            ("{controllerName: portolan}", "/controllerName"),
            ("{controllerName: a.test/b, parametersRef: {kind: A, name: b}}", "/parametersRef"),
            (&format!("{{controllerName: a.test/b, description: {}}}", "x".repeat(65)), "/description"),
            ("{}", ""),
        ],
    );
    assert_specs(
        "ReferenceGrant",
        str::to_owned,
        &[
            ("{from: [{group: a.test, kind: A, namespace: b}], to: [{group: '', kind: Service}]}", "ok"),
            ("{from: [], to: [{group: '', kind: Service}]}", "/from"),
            ("{from: [{kind: A, namespace: b}], to: [{group: '', kind: Service}]}", "/from/0"),
            ("{from: [{group: a.test, kind: A, namespace: b}], to: [{kind: Service}]}", "/to/0"),
        ],
    );
}
