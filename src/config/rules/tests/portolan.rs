//! Portolan's own kinds.

use super::*;

#[test]
fn an_endpoint_has_one_source() {
    let frame = |endpoint: &str| format!("{{endpoints: [{endpoint}]}}");
    let at = "/endpoints/0";
    assert_specs(
        "Backend",
        frame,
        &[
            ("", "ok"),
            ("{address: 10.0.0.1, port: 80}", "ok"),
            ("{address: '::1'}", "ok"),
            ("{address: web, port: 80}", "/endpoints/0/address"),
            ("{hostname: web_1}", "ok"),
            ("{hostname: 'a b'}", "/endpoints/0/hostname"),
            ("{unix: /run/a.sock}", "ok"),
            ("{unix: a.sock}", "/endpoints/0/unix"),
            ("{unix: /run/a.sock, port: 80}", "/endpoints/0/port"),
            ("{docker: {selector: {a: b}}}", "ok"),
            ("{docker: {container: Web_1}}", "ok"),
            ("{docker: {}}", "/endpoints/0/docker"),
            ("{docker: {selector: {a: b}, container: c}}", "/endpoints/0/docker"),
            ("{docker: {selector: {}}}", "/endpoints/0/docker/selector"),
            ("{swarm: {service: a}}", "ok"),
            ("{swarm: {}}", "/endpoints/0/swarm"),
            ("{consul: {service: a, tag: b}}", "ok"),
            ("{}", at),
            ("{port: 80}", at),
            ("{address: 10.0.0.1, hostname: a}", at),
            ("{address: 10.0.0.1, network: a}", "/endpoints/0/network"),
            ("{docker: {container: a}, network: a}", "ok"),
            ("{address: 10.0.0.1, resolve: {}}", "/endpoints/0/resolve"),
            ("{hostname: a, resolve: {every: 0s}}", "/endpoints/0/resolve/every"),
            ("{hostname: a, resolve: {record: CNAME}}", "/endpoints/0/resolve/record"),
            ("{address: 10.0.0.1, weight: 1000001}", "/endpoints/0/weight"),
            ("{address: 10.0.0.1, scheme: ftp}", "/endpoints/0/scheme"),
            ("{address: 10.0.0.1, port: 70000}", "/endpoints/0/port"),
        ],
    );
}

#[test]
fn backend_policies() {
    assert_specs(
        "Backend",
        |fields| format!("{{endpoints: [], {fields}}}"),
        &[
            ("loadBalancing: {policy: Fastest}", "/loadBalancing/policy"),
            ("loadBalancing: {policy: RingHash, hashOn: {header: a}}", "ok"),
            ("loadBalancing: {policy: RingHash, hashOn: {}}", "/loadBalancing/hashOn"),
            ("loadBalancing: {policy: Maglev, hashOn: {header: a, cookie: b}}", "/loadBalancing/hashOn"),
            ("loadBalancing: {hashOn: {header: a}}", "/loadBalancing/hashOn"),
            ("healthCheck: {tcp: {}}", "ok"),
            ("healthCheck: {}", "/healthCheck"),
            ("healthCheck: {tcp: {}, http: {}}", "/healthCheck"),
            ("healthCheck: {tcp: {}, interval: 1s, timeout: 2s}", "/healthCheck/timeout"),
            ("healthCheck: {tcp: {}, timeout: 6s}", "/healthCheck/timeout"),
            ("healthCheck: {tcp: {}, interval: 0s}", "/healthCheck/interval"),
            ("healthCheck: {tcp: {}, unhealthyAfter: 0}", "/healthCheck/unhealthyAfter"),
            ("healthCheck: {http: {path: a}}", "/healthCheck/http/path"),
            ("healthCheck: {http: {statuses: [99]}}", "/healthCheck/http/statuses/0"),
            ("outlierDetection: {maxEjectedPercent: 101}", "/outlierDetection/maxEjectedPercent"),
            ("outlierDetection: {ejectFor: long}", "/outlierDetection/ejectFor"),
            ("connections: {connectTimeout: 0s}", "/connections/connectTimeout"),
            ("connections: {maxPerEndpoint: 0}", "/connections/maxPerEndpoint"),
            (
                "tls: {wellKnownCACertificates: System, caCertificateRefs: [{group: '', kind: ConfigMap, name: a}]}",
                "/tls",
            ),
            ("tls: {subjectAltNames: [{type: URI}]}", "/tls/subjectAltNames/0"),
        ],
    );
    assert_specs("Backend", str::to_owned, &[("{}", "")]);
}

#[test]
fn filters() {
    let backend = "{name: a, port: 1}";
    assert_specs(
        "Filter",
        |spec| format!("{{{spec}}}"),
        &[
            ("inFlightLimit: {requests: 1}", "ok"),
            ("", ""),
            ("inFlightLimit: {requests: 1}, sizeLimit: {requestBytes: 1}", ""),
            ("basicAuth: {}", "/basicAuth"),
            (&format!("forwardAuth: {{backendRef: {backend}}}"), "ok"),
            ("forwardAuth: {}", "/forwardAuth"),
            (&format!("forwardAuth: {{url: 'http://a', backendRef: {backend}}}"), "/forwardAuth"),
            ("forwardAuth: {backendRef: {name: a}}", "/forwardAuth/backendRef"),
            ("forwardAuth: {url: a}", "/forwardAuth/url"),
            ("forwardAuth: {url: 'http://a', path: /b}", "/forwardAuth/path"),
            ("jwt: {}", "/jwt"),
            ("ipAllow: {allow: [10.0.0.0/8]}", "ok"),
            ("ipAllow: {}", "/ipAllow"),
            ("ipAllow: {allow: [office]}", "/ipAllow/allow/0"),
            ("ipAllow: {deny: [10.0.0.0/40]}", "/ipAllow/deny/0"),
            ("rateLimit: {requests: 0}", "/rateLimit/requests"),
            ("rateLimit: {requests: 1, per: 0s}", "/rateLimit/per"),
            (
                &format!("errorPages: {{statuses: ['500-400'], backendRef: {backend}}}"),
                "/errorPages/statuses/0",
            ),
            (&format!("errorPages: {{statuses: ['5xx'], backendRef: {backend}}}"), "/errorPages/statuses/0"),
            ("compress: {algorithms: [lz4]}", "/compress/algorithms/0"),
        ],
    );
}

#[test]
fn certificates() {
    assert_specs(
        "Certificate",
        |spec| format!("{{{spec}}}"),
        &[
            ("files: {certificate: a, key: b}", "ok"),
            ("", ""),
            ("hostnames: [a.test], files: {certificate: a, key: b}, selfSigned: {}", ""),
            ("selfSigned: {}", ""),
            ("hostnames: [a.test], selfSigned: {}", "ok"),
            ("hostnames: [a.test], selfSigned: {validFor: 0s}", "/selfSigned/validFor"),
            ("hostnames: [a.test], acme: {}", "ok"),
            ("hostnames: ['*.a.test'], acme: {}", "/hostnames/0"),
            ("hostnames: ['*.a.test'], acme: {challenge: DNS-01, dns: {provider: a}}", "ok"),
            ("hostnames: [a.test], acme: {challenge: DNS-01}", "/acme"),
            ("hostnames: [a.test], acme: {dns: {provider: a}}", "/acme/dns"),
            ("hostnames: [a.test], acme: {email: nobody}", "/acme/email"),
            ("hostnames: [a.test], acme: {server: 'http://a.test'}", "/acme/server"),
        ],
    );
}

#[test]
fn rollouts() {
    assert_specs(
        "Rollout",
        |spec| format!("{{{spec}}}"),
        &[
            ("selector: {tag: a}", "ok"),
            ("selector: {}", "/selector"),
            ("", ""),
            ("selector: {tag: a}, readiness: {http: {}, tcp: {}}", "/readiness"),
            ("selector: {tag: a}, readiness: {timeout: 0s}", "/readiness/timeout"),
            ("selector: {tag: a}, gracePeriod: 0s", "ok"),
            ("selector: {tag: a}, superseded: Delete", "/superseded"),
        ],
    );
}

#[test]
fn controller_configs() {
    assert_specs(
        "ControllerConfig",
        |spec| format!("{{{spec}}}"),
        &[
            ("", "ok"),
            ("http: ':8080'", "ok"),
            ("http: '[::]:80', https: 'off'", "ok"),
            ("http: localhost", "/http"),
            ("http: 0.0.0.0:99999", "/http"),
            ("admin: unix:/run/a.sock", "ok"),
            ("admin: everywhere", "/admin"),
            ("docker: 'off'", "ok"),
            ("docker: tcp://host:2376", "ok"),
            ("docker: host", "/docker"),
            ("docker: false", "/docker"),
            ("workers: 0", "/workers"),
            ("logFormat: xml", "/logFormat"),
            ("compat: [traefik, nginx]", "/compat/1"),
            ("hold: 0s", "ok"),
            ("hold: soon", "/hold"),
            ("resync: 0s", "/resync"),
            ("trustedProxies: [10.0.0.0/8, lan]", "/trustedProxies/1"),
            ("trustedProxy: []", ""),
        ],
    );
}
