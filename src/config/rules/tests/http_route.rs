//! `HTTPRoute` and its filters.

use super::*;

fn assert_route(rows: &[(&str, &str)]) {
    assert_specs("HTTPRoute", |spec| format!("{{{spec}}}"), rows);
}

fn assert_rule(rows: &[(&str, &str)]) {
    let rows: Vec<(&str, String)> = rows
        .iter()
        .map(|(rule, at)| (*rule, if *at == "ok" { "ok".to_owned() } else { format!("/rules/0{at}") }))
        .collect();
    for (rule, at) in &rows {
        assert_specs("HTTPRoute", |rule| format!("{{rules: [{{{rule}}}]}}"), &[(rule, at)]);
    }
}

/// Rows of one filter of a rule, and of a backend reference.
fn assert_filter(rows: &[(&str, &str)]) {
    for (filter, at) in rows {
        let place = |list: &str| if *at == "ok" { "ok".to_owned() } else { format!("{list}/0{at}") };
        assert_rule(&[(&format!("filters: [{filter}]"), &place("/filters"))]);
        let in_backend = format!("backendRefs: [{{name: a, port: 1, filters: [{filter}]}}]");
        assert_rule(&[(&in_backend, &place("/backendRefs/0/filters"))]);
    }
}

#[test]
fn parents_are_told_apart() {
    assert_route(&[
        ("parentRefs: [{name: a}, {name: b}]", "ok"),
        ("parentRefs: [{name: a}, {name: a, namespace: b}]", "ok"),
        ("parentRefs: [{name: a}, {name: a, kind: ListenerSet}]", "ok"),
        ("parentRefs: [{name: a}, {name: a}]", "/parentRefs/1"),
        ("parentRefs: [{name: a}, {name: a, kind: Gateway}]", "/parentRefs/1"),
        ("parentRefs: [{name: a, sectionName: x}, {name: a, sectionName: y}]", "ok"),
        ("parentRefs: [{name: a, sectionName: x}, {name: a}]", "/parentRefs/1"),
        ("parentRefs: [{name: a, sectionName: x}, {name: a, sectionName: x}]", "/parentRefs/1"),
        ("parentRefs: [{name: a, sectionName: x, port: 1}, {name: a, sectionName: x, port: 2}]", "ok"),
        ("parentRefs: [{name: a, port: 1}, {name: a, port: 2}]", "ok"),
        ("parentRefs: [{name: a, port: 1}, {name: a, port: 1}]", "/parentRefs/1"),
        ("parentRefs: [{name: a, port: 1}, {name: a}]", "/parentRefs/1"),
        ("parentRefs: [{name: ''}]", "/parentRefs/0/name"),
        ("parentRefs: [{name: a, port: 0}]", "/parentRefs/0/port"),
        ("parentRefs: [{name: a, sectionName: A}]", "/parentRefs/0/sectionName"),
        ("parentRefs: [{name: a, gateway: b}]", "/parentRefs/0"),
    ]);
}

#[test]
fn rules_have_names_of_their_own() {
    for kind in ["HTTPRoute", "GRPCRoute"] {
        let rows = [
            ("[{name: a}, {name: b}, {}, {}]", "ok"),
            ("[{name: a}, {}, {name: a}]", "/rules/2/name"),
            ("[{name: Foo_Bar}]", "/rules/0/name"),
        ];
        assert_specs(kind, |rules| format!("{{rules: {rules}}}"), &rows);
    }
}

#[test]
fn lists_have_limits() {
    let list = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
    let hosts = |count: usize| {
        let hosts: Vec<String> = (0..count).map(|index| format!("h{index}.test")).collect();
        format!("hostnames: [{}]", hosts.join(","))
    };
    assert_route(&[
        ("", "ok"),
        ("rules: []", "/rules"),
        (&format!("rules: {}", list("{}", 16)), "ok"),
        (&format!("rules: {}", list("{}", 17)), "/rules"),
        (&hosts(16), "ok"),
        (&hosts(17), "/hostnames"),
        ("hostnames: ['*']", "/hostnames/0"),
        ("hostnames: [A.test]", "/hostnames/0"),
        ("hostnames: [10.0.0.1]", "ok"),
        ("useDefaultGateways: All", "ok"),
        ("useDefaultGateways: true", "/useDefaultGateways"),
        ("hostname: a.test", ""),
    ]);
    let matches = |count: usize| format!("{{matches: {}}}", list("{}", count));
    assert_route(&[
        (&format!("rules: [{}, {}]", matches(64), matches(64)), "ok"),
        (&format!("rules: [{}]", matches(65)), "/rules/0/matches"),
        (&format!("rules: [{}, {}, {{}}]", matches(64), matches(64)), "/rules"),
    ]);
    assert_rule(&[
        (&format!("backendRefs: {}", list("{name: a, port: 1}", 16)), "ok"),
        (&format!("backendRefs: {}", list("{name: a, port: 1}", 17)), "/backendRefs"),
        ("name: A", "/name"),
        ("matches: [{headers: [{name: a, value: b}]}]", "ok"),
        ("match: []", ""),
    ]);
}

#[test]
fn paths() {
    let faulty = "/matches/0/path/value";
    for (kind, value, wanted) in [
        ("Exact", "/", "ok"),
        ("Exact", "/a/b", "ok"),
        ("PathPrefix", "/a/", "ok"),
        ("PathPrefix", "/a%20b;c=d,e", "ok"),
        ("PathPrefix", "", faulty),
        ("Exact", "a", faulty),
        ("Exact", "/a//b", faulty),
        ("PathPrefix", "/a/./b", faulty),
        ("PathPrefix", "/a/../b", faulty),
        ("PathPrefix", "/a%2fb", faulty),
        ("PathPrefix", "/a%2Fb", faulty),
        ("PathPrefix", "/a#b", faulty),
        ("PathPrefix", "/a/..", faulty),
        ("PathPrefix", "/a/.", faulty),
        ("PathPrefix", "/a/...", "ok"),
        ("PathPrefix", "/a b", faulty),
        ("PathPrefix", "/a?b", faulty),
        ("PathPrefix", "/ä", faulty),
        ("PathPrefix", "/%2", faulty),
        ("PathPrefix", "/%zz", faulty),
        ("RegularExpression", "/a//b#", "ok"),
        ("RegularExpression", "/a[0-9]+", "ok"),
        ("RegularExpression", "/a[", faulty),
        ("RegularExpression", "a)(b", faulty),
        ("RegularExpression", "(?=a)", faulty),
        ("Regex", "/a", "/matches/0/path/type"),
    ] {
        assert_rule(&[(&format!("matches: [{{path: {{type: {kind}, value: '{value}'}}}}]"), wanted)]);
    }
    assert_rule(&[
        ("matches: [{path: {}}]", "ok"),
        ("matches: [{path: {type: Exact}}]", "ok"),
        (&format!("matches: [{{path: {{value: /{}}}}}]", "a".repeat(1023)), "ok"),
        (&format!("matches: [{{path: {{value: /{}}}}}]", "a".repeat(1024)), faulty),
    ]);
}

#[test]
fn headers_and_parameters() {
    assert_rule(&[
        ("matches: [{headers: [{name: a, value: b}, {name: A, value: c}]}]", "ok"),
        ("matches: [{headers: [{name: a, value: b}, {name: a, value: c}]}]", "/matches/0/headers/1"),
        ("matches: [{headers: [{name: 'a b', value: c}]}]", "/matches/0/headers/0/name"),
        ("matches: [{headers: [{name: a, value: ''}]}]", "/matches/0/headers/0/value"),
        ("matches: [{headers: [{name: a, value: ' b  c '}]}]", "ok"),
        ("matches: [{headers: [{name: a, value: \"b\\nc\"}]}]", "/matches/0/headers/0/value"),
        ("matches: [{headers: [{name: a, value: \"b\\0\"}]}]", "/matches/0/headers/0/value"),
        (
            "matches: [{headers: [{type: RegularExpression, name: a, value: '['}]}]",
            "/matches/0/headers/0/value",
        ),
        ("matches: [{headers: [{type: Prefix, name: a, value: b}]}]", "/matches/0/headers/0/type"),
        ("matches: [{headers: [{name: a, value: 1}]}]", "/matches/0/headers/0/value"),
        ("matches: [{queryParams: [{name: a, value: b}, {name: A, value: c}]}]", "ok"),
        ("matches: [{queryParams: [{name: a, value: b}, {name: a, value: c}]}]", "/matches/0/queryParams/1"),
        ("matches: [{queryParams: [{name: a, value: ''}]}]", "/matches/0/queryParams/0/value"),
        (
            "matches: [{queryParams: [{type: RegularExpression, name: a, value: '('}]}]",
            "/matches/0/queryParams/0/value",
        ),
        ("matches: [{method: GET}]", "ok"),
        ("matches: [{method: get}]", "/matches/0/method"),
        ("matches: [{method: PURGE}]", "/matches/0/method"),
    ]);
}

#[test]
fn backends() {
    assert_rule(&[
        ("backendRefs: [{name: a, port: 80}]", "ok"),
        ("backendRefs: [{name: a}]", "/backendRefs/0"),
        ("backendRefs: [{group: '', kind: Service, name: a}]", "/backendRefs/0"),
        ("backendRefs: [{group: portolan.dev, kind: Backend, name: a}]", "ok"),
        ("backendRefs: [{kind: Backend, name: a}]", "ok"),
        ("backendRefs: [{name: a, port: 80, weight: 0}]", "ok"),
        ("backendRefs: [{name: a, port: 80, weight: 1000000}]", "ok"),
        ("backendRefs: [{name: a, port: 80, weight: 1000001}]", "/backendRefs/0/weight"),
        ("backendRefs: [{name: a, port: 80, weight: -1}]", "/backendRefs/0/weight"),
        ("backendRefs: [{name: a, port: 80, namespace: A}]", "/backendRefs/0/namespace"),
        ("backendRefs: [{name: a, servicePort: 80}]", "/backendRefs/0"),
        ("backendRef: {name: a, port: 80}", ""),
    ]);
}

#[test]
fn timeouts_and_retries() {
    assert_rule(&[
        ("timeouts: {}", "ok"),
        ("timeouts: {request: 1s, backendRequest: 1s}", "ok"),
        ("timeouts: {request: 1s, backendRequest: 1001ms}", "/timeouts/backendRequest"),
        ("timeouts: {request: 0s, backendRequest: 1h}", "ok"),
        ("timeouts: {request: 1s, backendRequest: 0s}", "ok"),
        ("timeouts: {request: 1.5s}", "/timeouts/request"),
        ("timeouts: {request: 1d}", "/timeouts/request"),
        ("timeouts: {request: 10}", "/timeouts/request"),
        ("retry: {codes: [500, 503], attempts: 1, backoff: 1s}", "ok"),
        ("retry: {codes: [399]}", "/retry/codes/0"),
        ("retry: {codes: [600]}", "/retry/codes/0"),
        ("retry: {codes: [500, 500]}", "/retry/codes"),
        ("retry: {attempts: 0}", "/retry/attempts"),
        ("retry: {backoff: fast}", "/retry/backoff"),
    ]);
}

#[test]
fn sessions() {
    let at = "/sessionPersistence";
    assert_rule(&[
        ("sessionPersistence: {}", "ok"),
        ("sessionPersistence: {cookieConfig: {lifetimeType: Session}}", "ok"),
        ("sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}", at),
        ("sessionPersistence: {cookieConfig: {lifetimeType: Permanent}, absoluteTimeout: 1h}", "ok"),
        ("sessionPersistence: {cookie: {lifetimeType: Permanent}}", at),
        ("sessionPersistence: {type: Header, cookieConfig: {}}", "/sessionPersistence/cookieConfig"),
        ("sessionPersistence: {type: Header, header: {name: x-s}}", "ok"),
        ("sessionPersistence: {header: {name: x-s}}", "/sessionPersistence/header"),
        ("sessionPersistence: {type: Header, cookie: {}}", "/sessionPersistence/cookie"),
        ("sessionPersistence: {absoluteTimeout: forever}", "/sessionPersistence/absoluteTimeout"),
        (
            &format!("sessionPersistence: {{sessionName: {}}}", "s".repeat(129)),
            "/sessionPersistence/sessionName",
        ),
    ]);
}

#[test]
fn a_filter_has_the_field_that_its_type_names() {
    assert_filter(&[
        ("{type: RequestHeaderModifier, requestHeaderModifier: {}}", "ok"),
        ("{type: RequestHeaderModifier}", ""),
        ("{type: ResponseHeaderModifier}", ""),
        ("{type: RequestMirror}", ""),
        ("{type: RequestRedirect}", ""),
        ("{type: URLRewrite}", ""),
        ("{type: CORS}", ""),
        ("{type: ExternalAuth}", ""),
        ("{type: ExtensionRef}", ""),
        ("{type: CORS, cors: {}, urlRewrite: {}}", "/urlRewrite"),
        ("{type: ExtensionRef, extensionRef: {group: portolan.dev, kind: Filter, name: a}}", "ok"),
        ("{type: ExtensionRef, extensionRef: {kind: Filter, name: a}}", "/extensionRef"),
        ("{type: Rewrite, urlRewrite: {}}", "/type"),
        ("{urlRewrite: {}}", ""),
    ]);
}

#[test]
fn filters_that_exclude_each_other() {
    let rewrite = "{type: URLRewrite, urlRewrite: {}}";
    let redirect = "{type: RequestRedirect, requestRedirect: {}}";
    let mirror = "{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}}}";
    let extension = "{type: ExtensionRef, extensionRef: {group: a.test, kind: A, name: a}}";
    assert_rule(&[
        (&format!("filters: [{redirect}]"), "ok"),
        (&format!("filters: [{rewrite}, {redirect}]"), "/filters/1"),
        (&format!("filters: [{mirror}, {mirror}, {extension}, {extension}]"), "ok"),
        (&format!("filters: [{redirect}], backendRefs: []"), "ok"),
        (&format!("filters: [{redirect}], backendRefs: [{{name: a, port: 1}}]"), "/filters/0"),
        (&format!("backendRefs: [{{name: a, port: 1, filters: [{redirect}]}}]"), "ok"),
        (
            &format!("backendRefs: [{{name: a, port: 1, filters: [{rewrite}, {redirect}]}}]"),
            "/backendRefs/0/filters/1",
        ),
    ]);
    for single in [
        rewrite,
        redirect,
        "{type: RequestHeaderModifier, requestHeaderModifier: {}}",
        "{type: ResponseHeaderModifier, responseHeaderModifier: {}}",
        "{type: CORS, cors: {}}",
    ] {
        assert_rule(&[
            (&format!("filters: [{single}, {single}]"), "/filters/1"),
            (
                &format!("backendRefs: [{{name: a, port: 1, filters: [{single}, {single}]}}]"),
                "/backendRefs/0/filters/1",
            ),
        ]);
    }
}

#[test]
fn path_modifiers() {
    for (kind, field) in [("RequestRedirect", "requestRedirect"), ("URLRewrite", "urlRewrite")] {
        let filter = |path: &str| format!("{{type: {kind}, {field}: {{path: {path}}}}}");
        let prefix = filter("{type: ReplacePrefixMatch, replacePrefixMatch: /a}");
        let (at, deep) =
            (format!("/filters/0/{field}/path"), format!("/filters/0/{field}/path/replacePrefixMatch"));
        let rows = [
            (format!("filters: [{prefix}]"), "ok"),
            (format!("filters: [{prefix}], matches: [{{method: GET}}]"), "ok"),
            (format!("filters: [{prefix}], matches: [{{path: {{value: /b}}}}]"), "ok"),
            (format!("filters: [{prefix}], matches: [{{path: {{type: Exact, value: /b}}}}]"), &deep),
            (format!("filters: [{prefix}], matches: [{{}}, {{}}]"), &deep),
            (format!("filters: [{}]", filter("{type: ReplaceFullPath, replaceFullPath: /a}")), "ok"),
            (format!("filters: [{}]", filter("{type: ReplacePrefixMatch, replacePrefixMatch: ''}")), "ok"),
            (format!("filters: [{}]", filter("{type: ReplaceFullPath}")), &at),
            (
                format!(
                    "filters: [{}]",
                    filter("{type: ReplaceFullPath, replaceFullPath: /a, replacePrefixMatch: /b}")
                ),
                &deep,
            ),
            (
                format!("filters: [{}]", filter("{type: ReplaceFullPath, replaceFullPath: \"/a\\r\\nb\"}")),
                &format!("{at}/replaceFullPath"),
            ),
            (format!("filters: [{}]", filter("{type: ReplaceFullPath, replaceFullPath: one}")), "ok"),
            (format!("filters: [{}]", filter("{type: ReplaceFullPath, replaceFullPath: /a/../ä%20b}")), "ok"),
            (
                format!("filters: [{}]", filter("{type: ReplaceFullPath, replaceFullPath: /a/../../b%2fc}")),
                &format!("{at}/replaceFullPath"),
            ),
            (format!("filters: [{}]", filter("{type: ReplacePrefixMatch, replacePrefixMatch: /a%2}")), &deep),
        ];
        for (rule, wanted) in &rows {
            assert_rule(&[(rule, wanted)]);
        }
        let backend = format!("backendRefs: [{{name: a, port: 1, filters: [{prefix}]}}]");
        assert_rule(&[
            (&backend, "ok"),
            (&format!("{backend}, matches: [{{}}, {{}}]"), &format!("/backendRefs/0{deep}")),
        ]);
    }
}

#[test]
fn redirects() {
    let redirect = |fields: &str| format!("{{type: RequestRedirect, requestRedirect: {{{fields}}}}}");
    for (fields, wanted) in [
        ("scheme: https, port: 443, statusCode: 308, hostname: a.test", "ok"),
        ("statusCode: 303", "ok"),
        ("statusCode: 300", "/requestRedirect/statusCode"),
        ("statusCode: 304", "/requestRedirect/statusCode"),
        ("scheme: ftp", "/requestRedirect/scheme"),
        ("scheme: HTTPS", "/requestRedirect/scheme"),
        ("hostname: '*.a.test'", "/requestRedirect/hostname"),
        ("port: 0", "/requestRedirect/port"),
    ] {
        assert_filter(&[(&redirect(fields), wanted)]);
    }
}

#[test]
fn header_modifiers() {
    for (kind, field) in [
        ("RequestHeaderModifier", "requestHeaderModifier"),
        ("ResponseHeaderModifier", "responseHeaderModifier"),
    ] {
        let many = |count: usize| {
            let headers: Vec<String> =
                (0..count).map(|index| format!("{{name: h{index}, value: v}}")).collect();
            format!("[{}]", headers.join(","))
        };
        for (fields, wanted) in [
            ("set: [{name: a, value: b}], add: [{name: a, value: b}], remove: [a]", "ok"),
            ("set: [{name: a, value: b}, {name: A, value: c}]", "ok"),
            ("set: [{name: a, value: b}, {name: a, value: c}]", "/set/1"),
            ("add: [{name: a, value: b}, {name: a, value: c}]", "/add/1"),
            ("remove: [a, a]", "/remove"),
            ("remove: ['a b']", "/remove/0"),
            ("set: [{name: 'a:', value: b}]", "/set/0/name"),
            ("set: [{name: a, value: ''}]", "/set/0/value"),
            ("set: [{name: a, value: \"b\\r\\nc: d\"}]", "/set/0/value"),
            ("add: [{name: a, value: \"b\\0\"}]", "/add/0/value"),
            ("set: [{name: a}]", "/set/0"),
            (&format!("set: {}", many(16)), "ok"),
            (&format!("set: {}", many(17)), "/set"),
            (&format!("set: [{{name: a, value: {}}}]", "v".repeat(4096)), "ok"),
            (&format!("set: [{{name: a, value: {}}}]", "v".repeat(4097)), "/set/0/value"),
            (&format!("set: [{{name: {}, value: b}}]", "n".repeat(257)), "/set/0/name"),
        ] {
            let wanted = if wanted == "ok" { wanted.to_owned() } else { format!("/{field}{wanted}") };
            assert_filter(&[(&format!("{{type: {kind}, {field}: {{{fields}}}}}"), &wanted)]);
        }
    }
}

#[test]
fn mirrors() {
    let mirror = |fields: &str| {
        format!("{{type: RequestMirror, requestMirror: {{backendRef: {{name: a, port: 1}}, {fields}}}}}")
    };
    let at = "/requestMirror";
    for (fields, wanted) in [
        ("percent: 0", "ok"),
        ("percent: 100", "ok"),
        ("percent: 101", "/requestMirror/percent"),
        ("fraction: {numerator: 100}", "ok"),
        ("fraction: {numerator: 101}", "/requestMirror/fraction"),
        ("fraction: {numerator: 2, denominator: 1}", "/requestMirror/fraction"),
        ("fraction: {numerator: 0, denominator: 0}", "/requestMirror/fraction/denominator"),
        ("fraction: {denominator: 1}", "/requestMirror/fraction"),
        ("percent: 1, fraction: {numerator: 1}", at),
    ] {
        assert_filter(&[(&mirror(fields), wanted)]);
    }
    assert_filter(&[
        ("{type: RequestMirror, requestMirror: {backendRef: {name: a}}}", "/requestMirror/backendRef"),
        ("{type: RequestMirror, requestMirror: {}}", at),
    ]);
}

#[test]
fn cors() {
    for (fields, wanted) in [
        ("allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], exposeHeaders: ['*']", "ok"),
        ("allowOrigins: ['*', 'https://a.test']", "/cors/allowOrigins"),
        ("allowMethods: ['*', GET]", "/cors/allowMethods"),
        ("allowHeaders: ['*', a]", "/cors/allowHeaders"),
        ("exposeHeaders: ['*', a]", "/cors/exposeHeaders"),
        ("allowOrigins: ['https://*.a.test:8443', 'http://localhost']", "ok"),
        ("allowOrigins: [a.test]", "/cors/allowOrigins/0"),
        ("allowOrigins: ['https://a.test/x']", "/cors/allowOrigins/0"),
        ("allowOrigins: ['https://a.test', 'https://a.test']", "/cors/allowOrigins"),
        ("allowMethods: [get]", "/cors/allowMethods/0"),
        ("allowHeaders: ['a b']", "/cors/allowHeaders/0"),
        ("maxAge: 0", "/cors/maxAge"),
        ("allowCredentials: 'yes'", "/cors/allowCredentials"),
    ] {
        assert_filter(&[(&format!("{{type: CORS, cors: {{{fields}}}}}"), wanted)]);
    }
}

#[test]
fn external_authorization() {
    for (fields, wanted) in [
        ("protocol: HTTP, backendRef: {name: a, port: 1}, http: {}", "ok"),
        ("protocol: GRPC, backendRef: {name: a, port: 1}, grpc: {}", "ok"),
        ("protocol: HTTP, backendRef: {name: a, port: 1}", "/externalAuth"),
        ("protocol: GRPC, backendRef: {name: a, port: 1}, grpc: {}, http: {}", "/externalAuth/http"),
        ("protocol: HTTP, backendRef: {name: a}, http: {}", "/externalAuth/backendRef"),
        ("protocol: TCP, backendRef: {name: a, port: 1}, http: {}", "/externalAuth/protocol"),
        ("protocol: HTTP, backendRef: {name: a, port: 1}, http: {path: 'a b'}", "/externalAuth/http/path"),
        (
            "protocol: HTTP, backendRef: {name: a, port: 1}, http: {allowedHeaders: [a, a]}",
            "/externalAuth/http/allowedHeaders",
        ),
    ] {
        assert_filter(&[(&format!("{{type: ExternalAuth, externalAuth: {{{fields}}}}}"), wanted)]);
    }
}
