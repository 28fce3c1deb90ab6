//! Portolan's own labels, one rule after the other.

use super::{Builder, container, lines, only_problem, problems, replica, translated};
use crate::{
    config::labels::Translation,
    model::{Balancing, HealthUse, HttpsUse, Resource, Severity},
};

fn web() -> Builder {
    container("web")
}

/// The lines of a container called `web` with these labels.
fn served(labels: &[(&str, &str)]) -> Vec<String> {
    lines(&translated([labelled(labels)]))
}

fn labelled(labels: &[(&str, &str)]) -> Builder {
    labels.iter().fold(web(), |web, (label, value)| web.label(label, value))
}

const DEFAULTS: &str = "web.docker.localhost,web.localhost";

#[test]
fn hosts_are_added_to_the_default_names() {
    for (value, hosts) in [
        ("a.test", "a.test"),
        (" a.test , *.B.test,,a.test. ", "a.test,*.b.test"),
        ("a.test b.test", "a.test,b.test"),
        ("localhost", "localhost"),
        ("my_app.test", "my_app.test"),
    ] {
        let expected = format!("default/web: {hosts},{DEFAULTS} / -> web");
        assert_eq!(served(&[("portolan.host", value)]), [expected], "{value}");
    }
}

#[test]
fn a_route_has_at_most_sixteen_hosts() {
    let hosts: Vec<String> = (10..30).map(|number| format!("h{number}.test")).collect();
    let lines = served(&[("portolan.host", &hosts.join(","))]);
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("default/web: h10.test,") && lines[0].contains("h25.test / "), "{lines:?}");
    assert!(lines[1].starts_with("default/web-2: h26.test,") && lines[1].contains(DEFAULTS), "{lines:?}");
}

#[test]
fn default_names_lead_to_the_whole_container() {
    let expected = [
        "default/web: a.test /api filtered -> web:80".to_owned(),
        format!("default/web-default: {DEFAULTS} / -> web:80"),
    ];
    let labels = [
        ("portolan.host", "a.test"),
        ("portolan.path", "/api/"),
        ("portolan.path.strip", "true"),
        ("portolan.port", "80"),
    ];
    assert_eq!(served(&labels), expected);
}

#[test]
fn a_path_without_a_host_is_for_the_default_names() {
    let lines = served(&[("portolan.path", "/api"), ("portolan.path.strip", "TRUE")]);
    assert_eq!(lines, [format!("default/web: {DEFAULTS} /api filtered -> web")]);
}

#[test]
fn labels_of_the_backend_reach_the_endpoint() {
    let labels = [
        ("portolan.port", "8080"),
        ("portolan.network", "front"),
        ("portolan.weight", "0"),
        ("portolan.scheme", "H2C"),
    ];
    assert_eq!(served(&labels), [format!("default/web: {DEFAULTS} / -> h2cweb:8080@front*0")]);
}

#[test]
fn several_routes_live_on_one_container() {
    let lines = served(&[
        ("portolan.network", "front"),
        ("portolan.web.port", "80"),
        ("portolan.admin.host", "admin.test"),
        ("portolan.admin.port", "9000"),
        ("portolan.api.path", "/api"),
        ("portolan.api.network", "back"),
    ]);
    let expected = [
        "default/web-admin: admin.test / -> web:9000@front".to_owned(),
        format!("default/web-api: {DEFAULTS} /api -> web@back"),
        format!("default/web-web: {DEFAULTS} / -> web:80@front"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn replicas_of_a_service_share_their_named_routes() {
    let one = |number| replica("shop", "web", number).label("portolan.admin.host", "admin.test");
    let lines = lines(&translated([one(1), one(2)]));
    assert!(lines.contains(&"shop/web-admin: admin.test / -> shop-web-1 shop-web-2".to_owned()), "{lines:?}");
}

#[test]
fn a_wrong_value_names_container_label_value_and_what_is_expected() {
    for (label, value, parts) in [
        ("enable", "maybe", "found `maybe`, expected `true` or `false`"),
        ("enable", "fasle", "did you mean `false`?"),
        ("host", "", "found nothing, expected one or more host names with commas in between"),
        (
            "host",
            "http://a.test/x",
            "found `http://a.test/x`, expected a host name|write the name alone: `a.test`",
        ),
        ("host", "a.test:80", "write the name alone: `a.test`"),
        ("host", "a.test/api", "a path goes into `portolan.path`"),
        ("host", "a..test", "`a..test` is not a valid host name"),
        ("host", "*", "`*` is only allowed as the whole first label"),
        (
            "path",
            "api",
            "found `api`, expected a path prefix such as `/api`; its route is left out|begin it with a slash: `/api`",
        ),
        ("path", "", "found nothing, expected a path prefix"),
        ("path", "/a//b", "a path cannot have `//`"),
        ("path.strip", "si", "found `si`, expected `true` or `false`"),
        (
            "port",
            "abc",
            "found `abc`, expected a port from 1 to 65535; the container gets no requests of this route",
        ),
        ("port", "0", "expected a port"),
        ("port", "65536", "expected a port"),
        ("port", "-1", "expected a port"),
        ("port", "8080/tcp", "write the port inside the container alone"),
        ("scheme", "htps", "expected `http`, `https` or `h2c`|did you mean `https`?"),
        ("network", "", "expected the name of a network"),
        ("weight", "-1", "found `-1`, expected a whole number from 0 to 1000000"),
        ("weight", "1000001", "expected a whole number"),
    ] {
        let label = format!("portolan.{label}");
        let problem = only_problem(&translated([web().label(&label, value)]));
        assert_eq!((problem.severity, problem.reason), (Severity::Error, "InvalidValue"), "{problem}");
        assert_eq!(problem.origin.to_string(), format!("container `web` (label `{label}`)"));
        assert!(
            problem.message.starts_with(&format!("label `{label}` of container `web`: found ")),
            "{problem}"
        );
        for part in parts.split('|') {
            assert!(problem.to_string().contains(part), "{part} in {problem}");
        }
    }
}

#[test]
fn a_wrong_label_costs_only_itself() {
    for (labels, expected) in [
        (&[("portolan.enable", "maybe")][..], vec![format!("default/web: {DEFAULTS} / -> web")]),
        (
            &[("portolan.host", "a.test,b..test,c.test")],
            vec![format!("default/web: a.test,c.test,{DEFAULTS} / -> web")],
        ),
        (&[("portolan.host", "b..test")], vec![format!("default/web: {DEFAULTS} / -> web")]),
        (
            &[("portolan.port", "abc"), ("portolan.weight", "7")],
            vec![format!("default/web: {DEFAULTS} / -> web*0")],
        ),
        (
            &[("portolan.weight", "abc"), ("portolan.port", "7")],
            vec![format!("default/web: {DEFAULTS} / -> web:7")],
        ),
        (
            &[("portolan.host", "a.test"), ("portolan.path", "api")],
            vec![format!("default/web: {DEFAULTS} / -> web")],
        ),
        (
            &[("portolan.x.host", "x.test"), ("portolan.x.port", "0"), ("portolan.port", "80")],
            vec![
                format!("default/web: {DEFAULTS} / -> web:80"),
                "default/web-x: x.test / -> web*0".to_owned(),
            ],
        ),
    ] {
        assert_eq!(served(labels), expected, "{labels:?}");
    }
}

#[test]
fn an_unknown_label_warns_with_the_nearest_name() {
    for (label, expected) in [
        ("portolan.hots", Some("portolan.host")),
        ("portolan.Host", Some("portolan.host")),
        ("Portolan.host", Some("portolan.host")),
        ("portolan.paht.strip", Some("portolan.path.strip")),
        ("portolan.path.stirp", Some("portolan.path.strip")),
        ("portolan.admin.prot", Some("portolan.admin.port")),
        ("portolan.admin.path.stripp", Some("portolan.admin.path.strip")),
        ("portolan.helth.path", Some("portolan.health.path")),
        ("portolan.foo", None),
        ("portolan.", None),
        ("portolan.admin", None),
        ("portolan.My_Route.host", None),
        ("portolan.a.b.host", Some("portolan.a.host")),
        ("portolan.admin.enable", None),
    ] {
        let translation = translated([web().label(label, "x")]);
        let problem = only_problem(&translation);
        assert_eq!((problem.severity, problem.reason), (Severity::Warning, "UnknownLabel"), "{problem}");
        assert!(
            problem.message.contains(&format!("`{label}`")) && problem.message.contains("`web`"),
            "{problem}"
        );
        match expected {
            Some(near) => assert!(problem.message.ends_with(&format!("did you mean `{near}`?")), "{problem}"),
            None => assert!(!problem.message.contains("did you mean"), "{problem}"),
        }
        assert_eq!(lines(&translation), [format!("default/web: {DEFAULTS} / -> web")]);
    }
}

#[test]
fn labels_of_others_are_not_looked_at() {
    let translation = translated([web().label("traefik.enable", "maybe").label("portolano.host", "x")]);
    assert_eq!(problems(&translation), []);
}

#[test]
fn what_is_not_served_yet_says_so_and_the_rest_applies() {
    for label in ["tcp", "udp"] {
        let label = format!("portolan.{label}");
        let translation = translated([web().label(&label, "x").label("portolan.host", "a.test")]);
        let problem = only_problem(&translation);
        assert_eq!(problem.reason, "UnsupportedValue");
        assert!(problem.message.contains(&label) && problem.message.contains("not served yet"), "{problem}");
        assert_eq!(lines(&translation), [format!("default/web: a.test,{DEFAULTS} / -> web")]);
    }
    assert_eq!(problems(&translated([web().label("portolan.tls", "false")])), []);
}

// === portolan.tls, portolan.redirect ===

#[test]
fn labels_say_what_happens_to_plain_http() {
    for (labels, expected) in [
        (&[][..], HttpsUse::Optional),
        (&[("portolan.tls", "false")], HttpsUse::Optional),
        (&[("portolan.tls", "true")], HttpsUse::Only),
        (&[("portolan.redirect", "https")], HttpsUse::Redirect),
        (&[("portolan.tls", "true"), ("portolan.redirect", "HTTPS")], HttpsUse::Redirect),
        (&[("portolan.tls", "true"), ("portolan.host", "a.test")], HttpsUse::Only),
    ] {
        let translation = translated([labelled(labels)]);
        assert_eq!(problems(&translation), [], "{labels:?}");
        let routes = translation.objects.iter().filter_map(|object| {
            let Resource::HttpRoute(route) = &object.resource else { return None };
            Some((route.https, object.manifest.contains("portolan.dev/https")))
        });
        for found in routes {
            assert_eq!(found, (expected, expected != HttpsUse::Optional), "{labels:?}");
        }
    }
    let odd = translated([labelled(&[("portolan.redirect", "htps")])]);
    assert!(
        only_problem(&odd).to_string().contains("found `htps`, expected `https`"),
        "{:?}",
        problems(&odd)
    );
    let later = translated([labelled(&[("portolan.tls", "acme")])]);
    assert!(only_problem(&later).message.contains("not served yet"));
}

// === portolan.lb, portolan.health.path ===

/// What the containers of the largest backend are asked, and how they are chosen among.
fn policy(translation: &Translation) -> (Option<String>, String) {
    let backends = translation.objects.iter().filter_map(|object| {
        let Resource::Backend(backend) = &object.resource else { return None };
        Some((backend.endpoints.len(), backend.policy.clone(), object.manifest.clone()))
    });
    let (_, policy, manifest) = backends.max_by_key(|(endpoints, ..)| *endpoints).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let written = &manifest["spec"]["loadBalancing"]["policy"];
    assert_eq!(written.is_null(), policy.balancing == Balancing::RoundRobin, "{manifest}");
    (
        policy.check.as_ref().map(|check| check.probe.to_string()),
        written.as_str().unwrap_or_default().to_owned(),
    )
}

#[test]
fn labels_say_how_containers_are_balanced_and_checked() {
    let labels = [("portolan.lb", "leastrequest"), ("portolan.health.path", "/healthz")];
    let translation = translated([labelled(&labels)]);
    assert_eq!(problems(&translation), []);
    assert_eq!(lines(&translation), [format!("default/web: {DEFAULTS} / -> web")]);
    assert_eq!(policy(&translation), (Some("GET `/healthz`".into()), "LeastRequest".into()));
    assert_eq!(policy(&translated([web()])), (None, String::new()));
}

#[test]
fn of_containers_that_balance_together_the_youngest_that_says_something_decides() {
    let replica = |number: u32| replica("shop", "web", number).created(i64::from(number));
    let old = replica(1).label("portolan.lb", "Random").label("portolan.health.path", "/old");
    let translation = translated([old, replica(2).label("portolan.lb", "Maglev"), replica(3)]);
    assert_eq!(policy(&translation), (Some("GET `/old`".into()), "Maglev".into()));
}

#[test]
fn a_container_is_kept_by_cookie_where_its_label_says_so() {
    let sticky = |value: &str| {
        let translation = translated([labelled(&[("portolan.sticky", value)])]);
        let rules = translation.objects.iter().filter_map(|object| {
            let Resource::HttpRoute(route) = &object.resource else { return None };
            let is_written = object.manifest.contains("sessionPersistence");
            Some((route.rules.iter().all(|rule| rule.session.is_some()), is_written))
        });
        (rules.collect::<Vec<_>>(), problems(&translation).len())
    };
    assert_eq!(sticky("cookie"), (vec![(true, true)], 0));
    assert_eq!(sticky("false"), (vec![(false, false)], 0));
    assert_eq!(sticky("cookies"), (vec![(false, false)], 1));
}

#[test]
fn health_that_is_only_preferred_is_a_label_of_its_own() {
    let translation = translated([labelled(&[("portolan.health", "prefer")])]);
    assert_eq!(problems(&translation), []);
    let uses = translation.objects.iter().filter_map(|object| {
        let Resource::Backend(backend) = &object.resource else { return None };
        Some(backend.policy.health)
    });
    assert!(uses.clone().any(|health| health == HealthUse::Prefer));
    let slip = translated([web().label("portolan.health", "/healthz")]);
    let problem = only_problem(&slip);
    assert_eq!(problem.hint.as_deref(), Some("a path goes into `portolan.health.path`"), "{problem}");
}

#[test]
fn a_policy_that_there_is_not_is_named_with_the_nearest() {
    let translation =
        translated([labelled(&[("portolan.lb", "LeastRequests"), ("portolan.health.path", "up")])]);
    let problems = problems(&translation);
    assert_eq!(problems.len(), 2);
    assert!(
        problems[0].message.ends_with(
            "found `up`, expected a path such as `/healthz`; nobody asks whether the container is well"
        ),
        "{}",
        problems[0]
    );
    assert_eq!(problems[1].hint.as_deref(), Some("did you mean `LeastRequest`?"), "{}", problems[1]);
    assert_eq!(policy(&translation), (None, String::new()));
}

// === portolan.route ===

#[test]
fn a_whole_route_gets_what_it_does_not_say() {
    let route = "
rules:
- matches: [{path: {value: /api}}]
- matches: [{path: {value: /old}}]
  filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /new}}}]
- matches: [{path: {type: Exact, value: /other}}]
  backendRefs: [{name: other, port: 80}]
";
    let rules = "/api -> web:9; /old filtered -> ; =/other -> (other)";
    let lines = served(&[("portolan.route", route), ("portolan.port", "9")]);
    assert_eq!(lines, [format!("default/web: {DEFAULTS} {rules}")]);
    let lines = served(&[("portolan.route", route), ("portolan.port", "9"), ("portolan.host", "a.test")]);
    assert_eq!(
        lines,
        [format!("default/web: a.test {rules}"), format!("default/web-default: {DEFAULTS} / -> web:9")]
    );
    let lines = served(&[("portolan.x.route", "hostnames: [b.test]")]);
    assert_eq!(
        lines,
        [format!("default/web: {DEFAULTS} / -> web"), "default/web-x: b.test / -> web".to_owned()]
    );
}

#[test]
fn a_whole_route_that_names_its_gateway_attaches_only_there() {
    for (route, anywhere) in [
        ("{parentRefs: [{name: edge}], hostnames: [a.test]}", false),
        ("{useDefaultGateways: None, hostnames: [a.test]}", false),
        ("{hostnames: [a.test]}", true),
    ] {
        let translation = translated([web().label("portolan.x.route", route)]);
        let found = translation.objects.iter().find_map(|object| {
            let Resource::HttpRoute(route) = &object.resource else { return None };
            (&*route.meta.id.name == "web-x").then(|| route.clone())
        });
        let found = found.unwrap();
        assert_eq!((found.attaches_anywhere, found.uses_default_gateways), (anywhere, anywhere), "{route}");
        assert_eq!(found.meta.origin.to_string(), "container `web` (label `portolan.x.route`)");
    }
}

#[test]
fn equal_whole_routes_balance() {
    let one = |name: &str, route: &str| container(name).label("portolan.x.route", route);
    let translation = translated([
        one("a", "{hostnames: [x.test], rules: [{timeouts: {request: 5s}}]}"),
        one("b", "rules:\n- timeouts: {request: 5s}\nhostnames: [x.test]"),
    ]);
    assert!(
        lines(&translation).contains(&"default/a-x: x.test / -> a b".to_owned()),
        "{:?}",
        lines(&translation)
    );
}

#[test]
fn a_wrong_whole_route_says_where() {
    for (route, parts) in [
        (
            "rules:\n- matchez: []",
            "line 2, column 3: unknown field `matchez` in rules[0], did you mean `matches`?|rules[0].matchez",
        ),
        ("hostnames: [a.test]\nhostnames: [b.test]", "line 2, column 1"),
        ("hostnames: {a: b", "line "),
        (
            "rules:\n- matches:\n  - path: {value: api}",
            "line 3, column 19|rules[0].matches[0].path.value|begins with `/`",
        ),
        ("rules:\n- timeouts: {request: 5 minutes}", "line 2|rules[0].timeouts.request"),
        ("just text", "expected a mapping"),
        ("", "found nothing"),
        ("a: 1\n---\nb: 2", "found 2 documents"),
    ] {
        let translation = translated([web().label("portolan.route", route).label("portolan.port", "80")]);
        let problems = problems(&translation);
        let problem = problems.first().unwrap();
        assert_eq!((problem.severity, problem.reason), (Severity::Error, "InvalidValue"), "{problem}");
        assert!(problem.message.starts_with("label `portolan.route` of container `web`, line "), "{problem}");
        for part in parts.split('|') {
            assert!(problem.message.contains(part), "{part} in {problem}");
        }
        assert_eq!(lines(&translation), [format!("default/web: {DEFAULTS} / -> web:80")], "{route}");
    }
}

#[test]
fn labels_that_a_whole_route_leaves_no_room_for_are_named() {
    let labels =
        [("portolan.route", "hostnames: [a.test]"), ("portolan.host", "b.test"), ("portolan.path", "/x")];
    let translation = translated([labelled(&labels)]);
    let problem = only_problem(&translation);
    assert_eq!((problem.severity, problem.reason), (Severity::Warning, "Conflicted"));
    assert!(problem.message.contains("`portolan.host` and `portolan.path` has no effect"), "{problem}");
}
