//! What documents become.

mod grpc;
mod policy;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    api::KINDS,
    model::{
        Addresses, AuthProtocol, Balancing, EndpointTarget, FromNamespaces, HashKey, HostPattern, HttpFilter,
        PathEdit, PathMatch, Scheme, ServiceKind, ValueMatch,
    },
};

fn origin() -> Origin {
    Origin::File { path: "a.yaml".into(), line: 1, column: 1 }
}

fn object(kind: &str, spec: &str) -> Object {
    let spec: Value = serde_yaml::from_str(spec).unwrap();
    Object::from_value(kind, json!({"metadata": {"name": "test", "namespace": "shop"}, "spec": spec}))
        .unwrap()
}

fn convert(kind: &str, spec: &str) -> Resource {
    resource(&object(kind, spec), origin(), 1).unwrap()
}

fn route(spec: &str) -> model::HttpRoute {
    let resource = convert("HTTPRoute", spec);
    let Resource::HttpRoute(route) = resource else { panic!("{resource:?}") };
    Arc::unwrap_or_clone(route)
}

fn gateway(spec: &str) -> model::Gateway {
    let resource = convert("Gateway", spec);
    let Resource::Gateway(gateway) = resource else { panic!("{resource:?}") };
    Arc::unwrap_or_clone(gateway)
}

fn backend(spec: &str) -> model::Backend {
    let resource = convert("Backend", spec);
    let Resource::Backend(backend) = resource else { panic!("{resource:?}") };
    Arc::unwrap_or_clone(backend)
}

fn service(spec: &str) -> model::Service {
    let resource = convert("Service", spec);
    let Resource::Service(service) = resource else { panic!("{resource:?}") };
    Arc::unwrap_or_clone(service)
}

fn fields(unsupported: &[Unsupported]) -> Vec<&str> {
    unsupported.iter().map(|unsupported| &*unsupported.field).collect()
}

#[test]
fn every_kind_becomes_a_resource_of_its_name() {
    for definition in KINDS {
        let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert!(words.contains(&definition.kind), "{}", definition.kind);
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == definition.kind).unwrap();
        assert_eq!(kind.group(), definition.group);
        assert_eq!(kind.api_version(), definition.api_version());
        assert_eq!(kind.is_cluster_scoped(), definition.is_cluster_scoped, "{}", definition.kind);
    }
}

#[test]
fn metadata_is_filled_in() {
    let named = |metadata: Value| {
        let value = json!({"metadata": metadata, "spec": {"controllerName": "a.test/b"}});
        let class = Object::from_value("GatewayClass", value.clone()).unwrap();
        let mut route = value;
        route["spec"] = json!({});
        let route = Object::from_value("HTTPRoute", route).unwrap();
        [class, route].map(|object| resource(&object, origin(), 7).unwrap().meta().clone())
    };
    let [class, route] = named(json!({"name": "a", "creationTimestamp": "1970-01-01T00:01:00Z"}));
    assert_eq!((&*class.id.namespace, &*route.id.namespace), ("", "default"));
    assert_eq!((route.created, route.generation), (Some(60), 7));
    assert_eq!(route.origin, origin());
    let [class, route] = named(json!({"name": "a", "namespace": "shop"}));
    assert_eq!((&*class.id.namespace, &*route.id.namespace), ("", "shop"));
    assert_eq!(route.created, None);
}

#[test]
fn a_route_without_rules_has_one_that_takes_everything() {
    let route = route("{}");
    assert_eq!(route.rules.len(), 1);
    assert!(route.rules[0].backends.is_empty());
    assert_eq!(route.rules[0].matches.len(), 1);
    assert_eq!(route.rules[0].matches[0].path, PathMatch::Prefix("".into()));
    assert!(route.uses_default_gateways && !route.attaches_anywhere);
}

#[test]
fn default_gateways_are_used_without_parents_or_on_demand() {
    for (spec, uses) in [
        ("{}", true),
        ("{useDefaultGateways: None}", false),
        ("{parentRefs: [{name: a}]}", false),
        ("{parentRefs: [{name: a}], useDefaultGateways: All}", true),
    ] {
        assert_eq!(route(spec).uses_default_gateways, uses, "{spec}");
    }
}

#[test]
fn only_a_container_without_parents_attaches_anywhere() {
    let container = Origin::Container { id: "1".into(), name: "web".into(), label: None };
    for (spec, anywhere) in [("{}", true), ("{parentRefs: [{name: a}]}", false)] {
        let resource = resource(&object("HTTPRoute", spec), container.clone(), 1).unwrap();
        let Resource::HttpRoute(route) = resource else { panic!("{resource:?}") };
        assert_eq!(route.attaches_anywhere, anywhere, "{spec}");
    }
}

#[test]
fn parents_get_their_defaults() {
    let route = route(
        "{parentRefs: [{name: a}, {group: x.test, kind: B, namespace: n, name: b, sectionName: s, port: 1}]}",
    );
    let texts: Vec<_> = route
        .parents
        .iter()
        .map(|parent| [&*parent.group, &parent.kind, &parent.namespace, &parent.name])
        .collect();
    assert_eq!(texts, [["gateway.networking.k8s.io", "Gateway", "shop", "a"], ["x.test", "B", "n", "b"]]);
    assert_eq!(route.parents[0].section, None);
    assert_eq!(
        (route.parents[1].section.as_deref(), route.parents[1].port),
        (Some("s"), std::num::NonZeroU16::new(1))
    );
}

#[test]
fn paths_get_their_defaults() {
    for (path, wanted) in [
        ("{}", PathMatch::Prefix("".into())),
        ("{value: /}", PathMatch::Prefix("".into())),
        ("{value: /a/}", PathMatch::Prefix("/a".into())),
        ("{type: Exact}", PathMatch::Exact("/".into())),
        ("{type: Exact, value: /a/}", PathMatch::Exact("/a/".into())),
    ] {
        let route = route(&format!("{{rules: [{{matches: [{{path: {path}}}]}}]}}"));
        assert_eq!(route.rules[0].matches[0].path, wanted, "{path}");
    }
    let route = route("{rules: [{matches: [{path: {type: RegularExpression, value: '/[a-z]+'}}]}]}");
    assert!(matches!(&route.rules[0].matches[0].path, PathMatch::Regex(regex) if regex.matches("/abc")));
}

#[test]
fn of_header_names_that_differ_in_case_the_first_counts() {
    let route = route(
        "{rules: [{matches: [{
            headers: [{name: X-A, value: first}, {name: x-a, value: second}, {name: x-b, value: c}],
            queryParams: [{name: q, value: a}, {name: Q, value: b}], method: GET}],
          filters: [{type: RequestHeaderModifier, requestHeaderModifier: {
            set: [{name: A, value: first}, {name: a, value: second}], add: [{name: b, value: ü}], remove: [C]}}]}]}",
    );
    let rule = &route.rules[0];
    let headers: Vec<_> = rule.matches[0].headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(headers, ["x-a", "x-b"]);
    assert_eq!(rule.matches[0].headers[0].value, ValueMatch::Exact("first".into()));
    assert_eq!(rule.matches[0].query.len(), 2);
    assert_eq!(rule.matches[0].method, Some(http::Method::GET));
    let [HttpFilter::RequestHeaders(edit)] = &rule.filters[..] else { panic!("{:?}", rule.filters) };
    assert_eq!(edit.set.len(), 1);
    assert_eq!(edit.set[0].1, "first");
    assert_eq!(edit.add[0].1.as_bytes(), "ü".as_bytes());
    assert_eq!(edit.remove[0], "c");
}

#[test]
fn filters_backends_and_timeouts_that_are_served() {
    let route = route(
        "{hostnames: ['*.a.test'], rules: [
          {name: one, filters: [
             {type: URLRewrite, urlRewrite: {hostname: b.test, path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}},
             {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [server]}}],
           backendRefs: [{name: a, port: 80}, {group: portolan.dev, kind: Backend, namespace: n, name: b, weight: 0,
             filters: [{type: RequestRedirect, requestRedirect: {}}]}],
           timeouts: {request: 1m, backendRequest: 0s}},
          {filters: [{type: RequestRedirect, requestRedirect: {scheme: https, port: 8443, statusCode: 301,
             path: {type: ReplaceFullPath, replaceFullPath: y}}}]}]}",
    );
    assert_eq!(route.hostnames, [HostPattern::parse("*.a.test").unwrap()]);
    let [one, two] = &route.rules[..] else { panic!("two rules") };
    assert_eq!(one.name.as_deref(), Some("one"));
    let [HttpFilter::Rewrite(rewrite), HttpFilter::ResponseHeaders(_)] = &one.filters[..] else {
        panic!("{:?}", one.filters)
    };
    assert_eq!(rewrite.path, Some(PathEdit::ReplacePrefix("/x".into())));
    assert_eq!(rewrite.hostname.as_ref().map(model::Host::as_str), Some("b.test"));
    let backends: Vec<_> = one
        .backends
        .iter()
        .map(|backend| (&*backend.group, &*backend.kind, &*backend.namespace, backend.weight))
        .collect();
    assert_eq!(backends, [("", "Service", "shop", 1), ("portolan.dev", "Backend", "n", 0)]);
    let [HttpFilter::Redirect(plain)] = &one.backends[1].filters[..] else { panic!("a redirect") };
    assert_eq!((plain.status.as_u16(), plain.scheme, plain.port), (302, None, None));
    assert_eq!(one.timeouts.request, Some(Duration::from_mins(1)));
    assert_eq!(one.timeouts.backend_request, None);
    let [HttpFilter::Redirect(redirect)] = &two.filters[..] else { panic!("a redirect") };
    assert_eq!((redirect.status.as_u16(), redirect.scheme), (301, Some("https")));
    assert_eq!(redirect.path, Some(PathEdit::ReplaceFull("/y".into())));
    assert!(route.rules.iter().all(|rule| rule.unsupported.is_empty()) && route.unsupported.is_empty());
}

#[test]
fn cors_retry_mirrors_and_sessions() {
    let route = route(
        "{rules: [
          {filters: [
             {type: CORS, cors: {allowOrigins: ['https://*.a.test'], allowMethods: [GET, PUT], allowHeaders: ['*'], allowCredentials: true}},
             {type: RequestMirror, requestMirror: {backendRef: {name: m, port: 1}, percent: 20}},
             {type: RequestMirror, requestMirror: {backendRef: {name: n, namespace: o, port: 1}, fraction: {numerator: 1, denominator: 2}}}],
           retry: {codes: [500, 503], attempts: 3, backoff: 100ms},
           sessionPersistence: {type: Cookie, sessionName: old, absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}}},
          {retry: {}, sessionPersistence: {cookie: {name: new, path: /p}}},
          {sessionPersistence: {}}, {sessionPersistence: {type: Header}},
          {sessionPersistence: {type: Header, sessionName: X-Old, header: {name: X-New}}}]}",
    );
    assert!(route.rules.iter().all(|rule| rule.unsupported.is_empty()));
    let [one, two, three, four, five] = &route.rules[..] else { panic!("five rules") };
    let [HttpFilter::Cors(cors), HttpFilter::Mirror(first), HttpFilter::Mirror(second)] = &one.filters[..]
    else {
        panic!("{:?}", one.filters)
    };
    assert_eq!(cors.origins, [model::OriginPattern::parse("https://*.a.test").unwrap()]);
    assert_eq!(cors.methods, model::CorsList::of(["GET", "PUT"]).unwrap());
    assert_eq!((&cors.headers, &cors.expose), (&model::CorsList::Any, &model::CorsList::None));
    assert_eq!((cors.max_age, cors.credentials), (5, true));
    assert_eq!((&*first.backend.namespace, first.share), ("shop", model::Share::new(20, 100).unwrap()));
    assert_eq!((&*second.backend.namespace, second.share), ("o", model::Share::new(1, 2).unwrap()));
    let retry = model::Retry { codes: vec![500, 503], attempts: 3, backoff: Duration::from_millis(100) };
    assert_eq!(one.retry, Some(retry));
    let default = model::Retry { codes: Vec::new(), attempts: 2, backoff: Duration::from_millis(25) };
    assert_eq!(two.retry, Some(default));
    let said = |rule: &model::HttpRule| {
        let session = rule.session.clone().unwrap();
        let words = match session.carrier {
            model::SessionCarrier::Cookie { name, path, is_permanent } => {
                format!("cookie {name} {path} {is_permanent}")
            }
            model::SessionCarrier::Header(name) => format!("header {name}"),
        };
        format!("{words} {:?}", session.lifetime)
    };
    assert_eq!(said(one), "cookie old / true Some(3600s)");
    assert_eq!(said(two), "cookie new /p false None");
    assert_eq!(said(three), "cookie portolan-4147ce57 / false None");
    assert_eq!(said(four), "header portolan-session None");
    assert_eq!(said(five), "header x-new None");
}

#[test]
fn what_a_rule_or_a_reference_wants_in_vain_is_noted_there() {
    let route = route(
        "{rules: [{}, {
          filters: [
            {type: ExtensionRef, extensionRef: {group: portolan.dev, kind: Filter, name: a}}],
          backendRefs: [{name: b, port: 1},
            {name: a, port: 1, filters: [{type: ExtensionRef, extensionRef: {group: portolan.dev, kind: Filter, name: a}}]}]}]}",
    );
    let [none, some] = &route.rules[..] else { panic!("two rules") };
    assert!(none.unsupported.is_empty() && none.unsupported_backends.is_empty());
    assert_eq!(fields(&some.unsupported), ["spec.rules[1].filters[0].extensionRef"]);
    assert_eq!(some.unsupported_backends.keys().collect::<Vec<_>>(), [&1]);
    assert_eq!(
        fields(&some.unsupported_backends[&1]),
        ["spec.rules[1].backendRefs[1].filters[0].extensionRef"]
    );
    assert!(route.unsupported.is_empty());
}

#[test]
fn external_authorization() {
    let route = route(
        "{rules: [
          {filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: a, port: 1},
             http: {path: check/me/, allowedHeaders: [Cookie], allowedResponseHeaders: [X-User]}, forwardBody: {maxSize: 0}}}]},
          {filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: b, namespace: o, port: 1}, http: {path: /}}}]},
          {filters: [{type: ExternalAuth, externalAuth: {protocol: GRPC, backendRef: {name: c, port: 1}, grpc: {allowedHeaders: [Cookie]},
             forwardBody: {maxSize: 8192}}}]}]}",
    );
    assert!(route.rules.iter().all(|rule| rule.unsupported.is_empty()));
    let [one, two, three] = [0, 1, 2].map(|index| route.rules[index].filters[0].auth().unwrap());
    let by_http = |path: &str, told: &[&'static str], passed: &[&'static str]| {
        let names = |names: &[&'static str]| names.iter().map(|name| name.parse().unwrap()).collect();
        AuthProtocol::Http { path: path.into(), told: names(told), passed: names(passed) }
    };
    assert_eq!((&*one.backend.namespace, &*one.backend.name, one.body), ("shop", "a", 0));
    assert_eq!(one.protocol, by_http("/check/me", &["cookie"], &["x-user"]));
    assert_eq!((&*two.backend.namespace, two.body), ("o", 0));
    assert_eq!(two.protocol, by_http("", &[], &[]));
    assert_eq!(three.protocol, AuthProtocol::Grpc { told: vec![http::header::COOKIE] });
    assert_eq!(three.body, 8192);
}

#[test]
fn gateways() {
    let gateway = gateway(
        "{gatewayClassName: edge, defaultScope: All,
          addresses: [{value: 127.0.0.1}, {type: Hostname, value: a.test}, {type: IPAddress}],
          allowedListeners: {namespaces: {from: Same}}, infrastructure: {parametersRef: {group: a, kind: b, name: c}},
          tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}},
                           perPort: [{port: 8443, tls: {}}]}, backend: {clientCertificateRef: {name: a}}},
          listeners: [
            {name: a, port: 80, protocol: HTTP, hostname: '*.a.test'},
            {name: b, port: 443, protocol: HTTPS, allowedRoutes: {namespaces: {from: All}, kinds: [{kind: HTTPRoute}]}},
            {name: c, port: 9, protocol: a.test/b,
             allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: b}, matchExpressions: [{key: c, operator: Exists}]}}}},
            {name: d, port: 10, protocol: TLS, allowedRoutes: {namespaces: {from: Selector}}}]}",
    );
    assert!(gateway.is_default);
    assert_eq!(gateway.allowed_listeners, FromNamespaces::Same);
    assert_eq!(&*gateway.class, "edge");
    assert_eq!(gateway.addresses, Addresses::Only(vec!["127.0.0.1".parse().unwrap()]));
    assert_eq!(fields(&gateway.unsupported_addresses), ["spec.addresses[1]"]);
    let parameters = gateway.unsupported_parameters.as_ref().unwrap();
    assert_eq!(&*parameters.field, "spec.infrastructure.parametersRef");
    let client = gateway.client.as_ref().unwrap();
    assert_eq!((&*client.kind, &*client.namespace, &*client.name), ("Secret", "shop", "a"));
    let validation = gateway.frontend.of_port(443).unwrap();
    assert_eq!(
        (&*validation.authorities[0].name, validation.mode),
        ("ca", model::ValidationMode::AllowValidOnly)
    );
    assert_eq!(gateway.frontend.of_port(8443), None);
    let [a, b, c, d] = &gateway.listeners[..] else { panic!("four listeners") };
    assert_eq!((&a.protocol, &a.allowed.namespaces), (&model::Protocol::Http, &FromNamespaces::Same));
    assert_eq!(a.allowed.kinds, None);
    assert_eq!((&b.protocol, &b.allowed.namespaces), (&model::Protocol::Https, &FromNamespaces::All));
    assert_eq!(b.allowed.kinds, Some(vec![(GATEWAY_GROUP.into(), "HTTPRoute".into())]));
    assert_eq!(c.protocol, model::Protocol::Other("a.test/b".into()));
    let FromNamespaces::Selector(selector) = &c.allowed.namespaces else { panic!("{c:?}") };
    assert_eq!((selector.labels.len(), selector.requirements.len()), (1, 1));
    assert_eq!(d.allowed.namespaces, FromNamespaces::None, "without a selector nothing is selected");
}

#[test]
fn endpoints_of_a_backend() {
    let backend = backend(
        "{scheme: h2c, endpoints: [
          {address: '::1', port: 1, scheme: http}, {hostname: Web_1, port: 2, weight: 0}, {unix: /a.sock},
          {docker: {selector: {a: b}}, network: n}, {docker: {container: Web}, scheme: https},
          {swarm: {service: a}}, {consul: {service: a}}, {hostname: b, resolve: {every: 1s, record: SRV}}]}",
    );
    let endpoints: Vec<_> =
        backend.endpoints.iter().map(|endpoint| (endpoint.weight, endpoint.scheme)).collect();
    assert_eq!(
        endpoints,
        [
            (1, Scheme::Http),
            (0, Scheme::H2c),
            (1, Scheme::H2c),
            (1, Scheme::H2c),
            (1, Scheme::Https),
            (1, Scheme::H2c)
        ]
    );
    assert!(
        matches!(&backend.endpoints[1].target, EndpointTarget::Hostname(host) if host.as_str() == "web_1")
    );
    let EndpointTarget::Containers { selector, network } = &backend.endpoints[3].target else {
        panic!("containers")
    };
    assert_eq!((selector.labels.len(), network.as_deref()), (1, Some("n")));
    let wanted = EndpointTarget::ContainerNamed { name: "Web".into(), network: None };
    assert_eq!(backend.endpoints[4].target, wanted);
    assert_eq!(
        fields(&backend.unsupported),
        [
            "spec.endpoints[5].swarm",
            "spec.endpoints[6].consul",
            "spec.endpoints[7].resolve.record",
            "spec.endpoints[7].resolve.every",
        ]
    );
}

#[test]
fn how_a_backend_is_verified() {
    assert_eq!(backend("{endpoints: []}").tls, model::BackendTls::default());
    let tls = backend(
        "{endpoints: [], tls: {hostname: a.test, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}],
          subjectAltNames: [{type: Hostname, hostname: '*.a.test'}, {type: URI, uri: 'spiffe://a/b'}],
          clientCertificateRef: {name: own}}}",
    )
    .tls;
    assert_eq!(tls.hostname.unwrap().as_str(), "a.test");
    let model::AuthorityRefs::Listed(refs) = tls.authorities else { panic!("{:?}", tls.authorities) };
    assert_eq!((&*refs[0].name, &*refs[0].namespace), ("ca", "shop"));
    assert_eq!(tls.names.len(), 2);
    assert_eq!(&*tls.client.unwrap().kind, "Secret");
    let anyone = backend("{endpoints: [], tls: {insecureSkipVerify: true}}").tls;
    assert_eq!(anyone.authorities, model::AuthorityRefs::Anyone);
}

#[test]
fn services() {
    let web = service(
        "{selector: {app: web}, sessionAffinity: ClientIP, ports: [
          {name: a, port: 80, targetPort: 8080, appProtocol: kubernetes.io/ws}, {name: b, port: 81},
          {name: c, port: 82, appProtocol: kubernetes.io/h2c}, {name: d, port: 83, appProtocol: https},
          {name: e, port: 84, targetPort: http}, {name: f, port: 53, protocol: UDP}]}",
    );
    let ports: Vec<_> =
        web.ports.iter().map(|port| (port.port.get(), port.target.get(), port.scheme)).collect();
    assert_eq!(
        ports,
        [(80, 8080, Scheme::Http), (81, 81, Scheme::Http), (82, 82, Scheme::H2c), (83, 83, Scheme::Https)]
    );
    assert!(matches!(&web.kind, ServiceKind::Selector(labels) if labels.len() == 1));
    assert_eq!(web.policy.balancing, Balancing::Maglev(HashKey::ClientAddress));
    assert_eq!(fields(&web.unsupported), ["spec.ports[4].targetPort"]);
    let outside = service("{type: ExternalName, externalName: a.test}");
    assert!(matches!(&outside.kind, ServiceKind::ExternalName(host) if host.as_str() == "a.test"));
    let headless = service("{clusterIP: None}");
    assert!(matches!(&headless.kind, ServiceKind::Selector(labels) if labels.is_empty()));
}

#[test]
fn the_other_kinds() {
    let Resource::ListenerSet(set) =
        convert("ListenerSet", "{parentRef: {name: edge}, listeners: [{name: a, port: 80, protocol: HTTP}]}")
    else {
        panic!("a ListenerSet")
    };
    assert_eq!((&*set.parent.kind, &*set.parent.name, &*set.listeners[0].name), ("Gateway", "edge", "a"));
    let Resource::Unserved(tcp) =
        convert("TCPRoute", "{parentRefs: [{name: edge}], rules: [{backendRefs: [{name: a, port: 1}]}]}")
    else {
        panic!("a TCPRoute is not served")
    };
    assert_eq!(&*tcp.parents[0].namespace, "shop");
    let Resource::BackendTlsPolicy(policy) = convert(
        "BackendTLSPolicy",
        "{targetRefs: [{group: '', kind: Service, name: a, sectionName: b}],
          validation: {hostname: a.test, wellKnownCACertificates: System}}",
    ) else {
        panic!("a BackendTLSPolicy")
    };
    assert_eq!((&*policy.targets[0].name, policy.targets[0].section.as_deref()), ("a", Some("b")));
    assert!(matches!(convert("ControllerConfig", "{}"), Resource::Passive(_)));
}

#[test]
fn what_cannot_be_understood_is_refused_with_its_place() {
    for (kind, spec, pointer) in [
        ("HTTPRoute", "{hostnames: ['*']}", "/spec/hostnames/0"),
        (
            "HTTPRoute",
            "{rules: [{matches: [{path: {type: RegularExpression, value: '['}}]}]}",
            "/spec/rules/0/matches/0/path/value",
        ),
        ("HTTPRoute", "{rules: [{timeouts: {request: 1d}}]}", "/spec/rules/0/timeouts/request"),
        ("Backend", "{endpoints: [{address: web}]}", "/spec/endpoints/0/address"),
        (
            "Gateway",
            "{gatewayClassName: a, listeners: [], addresses: [{value: x}]}",
            "/spec/addresses/0/value",
        ),
    ] {
        let violations = resource(&object(kind, spec), origin(), 1).unwrap_err();
        let pointers: Vec<&str> = violations.iter().map(|violation| &*violation.pointer).collect();
        assert_eq!(pointers, [pointer], "{kind} {spec}");
    }
}
