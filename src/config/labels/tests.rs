//! The rules by which containers become resources.

mod conflicts;
mod portolan;
mod properties;

use std::{collections::BTreeMap, sync::Arc};

use super::{Exposure, LabelSettings, LeftAlone, Template, Translation, translate};
use crate::{
    config::check::check_text,
    model::{
        Backend, EndpointTarget, Health, HttpRoute, Kind, NetworkMode, PathMatch, Phase, Problem, Resource,
        ResourceId, Workload, WorkloadId,
    },
};

#[derive(Clone, Debug)]
pub(super) struct Builder(Workload);

pub(super) fn container(name: &str) -> Builder {
    Builder(Workload {
        id: WorkloadId(format!("{name}-0123456789ab").into()),
        name: name.into(),
        hostname: "0123456789ab".into(),
        image: "image".into(),
        created: 1000,
        phase: Phase::Running,
        health: Health::Unchecked,
        is_crash_looping: false,
        checks: None,
        labels: BTreeMap::new(),
        exposed: Vec::new(),
        published: Vec::new(),
        network_mode: NetworkMode::Networks,
        networks: Vec::new(),
    })
}

/// A container of a Compose service.
pub(super) fn replica(project: &str, service: &str, number: u32) -> Builder {
    container(&format!("{project}-{service}-{number}"))
        .label("com.docker.compose.project", project)
        .label("com.docker.compose.service", service)
}

impl Builder {
    pub(super) fn label(mut self, label: &str, value: &str) -> Self {
        self.0.labels.insert(label.into(), value.into());
        self
    }

    pub(super) fn id(mut self, id: &str) -> Self {
        self.0.id = WorkloadId(id.into());
        self
    }

    pub(super) fn hostname(mut self, hostname: &str) -> Self {
        self.0.hostname = hostname.into();
        self
    }

    pub(super) fn created(mut self, created: i64) -> Self {
        self.0.created = created;
        self
    }

    pub(super) fn phase(mut self, phase: Phase) -> Self {
        self.0.phase = phase;
        self
    }

    pub(super) fn health(mut self, health: Health) -> Self {
        self.0.health = health;
        self
    }

    pub(super) fn network_mode(mut self, mode: NetworkMode) -> Self {
        self.0.network_mode = mode;
        self
    }
}

pub(super) fn world(containers: impl IntoIterator<Item = Builder>) -> BTreeMap<WorkloadId, Arc<Workload>> {
    containers.into_iter().map(|Builder(workload)| (workload.id.clone(), Arc::new(workload))).collect()
}

pub(super) fn translated(containers: impl IntoIterator<Item = Builder>) -> Translation {
    translate(&world(containers), &LabelSettings::default())
}

/// Each route and what is behind it, in one line: `default/web: a.test,b.test /api strip -> web:80 api*3`.
pub(super) fn lines(translation: &Translation) -> Vec<String> {
    let mut lines = Vec::new();
    for object in &translation.objects {
        if let Resource::HttpRoute(route) = &object.resource {
            lines.push(line(translation, route));
        }
    }
    lines
}

fn line(translation: &Translation, route: &HttpRoute) -> String {
    let hosts: Vec<String> = route.hostnames.iter().map(ToString::to_string).collect();
    let rules: Vec<String> = route
        .rules
        .iter()
        .map(|rule| {
            let path = match &rule.matches[0].path {
                PathMatch::Prefix(prefix) => format!("{prefix}/"),
                PathMatch::Exact(path) => format!("={path}"),
                PathMatch::Regex(pattern) => format!("~{}", pattern.as_str()),
                PathMatch::Method(method) => format!("*/{method}"),
            };
            let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
            let filters = if rule.filters.is_empty() { "" } else { " filtered" };
            let backends: Vec<String> = rule
                .backends
                .iter()
                .map(|reference| match backend(translation, &reference.namespace, &reference.name) {
                    Some(backend) => endpoints(backend),
                    None => format!("({})", reference.name),
                })
                .collect();
            format!("{path}{filters} -> {}", backends.join(", "))
        })
        .collect();
    let id = &route.meta.id;
    format!("{}/{}: {} {}", id.namespace, id.name, hosts.join(","), rules.join("; "))
}

fn backend<'a>(translation: &'a Translation, namespace: &str, name: &str) -> Option<&'a Backend> {
    let id = ResourceId::new(Kind::Backend, namespace, name);
    translation.objects.iter().find_map(|object| {
        let Resource::Backend(backend) = &object.resource else { return None };
        (backend.meta.id == id).then_some(&**backend)
    })
}

fn endpoints(backend: &Backend) -> String {
    let endpoints: Vec<String> = backend
        .endpoints
        .iter()
        .map(|endpoint| {
            let EndpointTarget::Container { id, network } = &endpoint.target else { panic!("{endpoint:?}") };
            let name = id.0.strip_suffix("-0123456789ab").unwrap_or(&id.0);
            let port = endpoint.port.map(|port| format!(":{port}")).unwrap_or_default();
            let network = network.as_ref().map(|network| format!("@{network}")).unwrap_or_default();
            let weight = if endpoint.weight == 1 { String::new() } else { format!("*{}", endpoint.weight) };
            let scheme = match endpoint.scheme.as_str() {
                "http" => "",
                other => other,
            };
            format!("{scheme}{name}{port}{network}{weight}")
        })
        .collect();
    endpoints.join(" ")
}

/// The problems of all containers.
pub(super) fn problems(translation: &Translation) -> Vec<Problem> {
    translation.problems.values().flatten().cloned().collect()
}

#[track_caller]
pub(super) fn only_problem(translation: &Translation) -> Problem {
    let mut problems = problems(translation);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}

fn templates(list: &str) -> LabelSettings {
    LabelSettings { host_templates: Template::parse_list(list).unwrap(), ..LabelSettings::default() }
}

// === names ===

#[test]
fn a_container_without_labels_has_two_names() {
    let translation = translated([container("web")]);
    assert_eq!(lines(&translation), ["default/web: web.docker.localhost,web.localhost / -> web"]);
    assert_eq!(problems(&translation), []);
    let ids = &translation.resources[&WorkloadId("web-0123456789ab".into())];
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["HTTPRoute default/web", "Backend default/web.containers"]);
}

#[test]
fn a_compose_service_has_a_name_for_all_and_one_for_each() {
    let translation = translated([replica("shop", "web", 1), replica("shop", "web", 2)]);
    let expected = [
        "shop/shop-web-1: shop-web-1.docker.localhost,shop-web-1.localhost / -> shop-web-1",
        "shop/shop-web-2: shop-web-2.docker.localhost,shop-web-2.localhost / -> shop-web-2",
        "shop/web: web.shop.docker.localhost / -> shop-web-1 shop-web-2",
    ];
    assert_eq!(lines(&translation), expected);
}

#[test]
fn a_host_name_with_a_dot_is_routed_too() {
    let translation = translated([container("blog").hostname("blog.example.com")]);
    let expected = ["default/blog: blog.example.com,blog.docker.localhost,blog.localhost / -> blog"];
    assert_eq!(lines(&translation), expected);
    let both =
        translated([container("a").hostname("x.test"), container("b").hostname("x.test").created(2000)]);
    assert!(lines(&both).contains(&"default/a: x.test / -> a b".to_owned()), "{:?}", lines(&both));
}

#[test]
fn a_host_name_that_nobody_chose_is_not_routed() {
    let other = NetworkMode::Container(WorkloadId("other".into()));
    for odd in [
        container("web"),
        container("web").hostname("server.example.com").network_mode(NetworkMode::Host),
        container("web").hostname("server.example.com").network_mode(other),
        container("web").id("0123456789abcdef").hostname("0123456789ab.example.com"),
        container("web").hostname("10.0.0.1"),
        container("web").hostname("bad..name"),
    ] {
        let lines = lines(&translated([odd]));
        assert!(lines[0].starts_with("default/web: web.docker.localhost,web.localhost / "), "{lines:?}");
    }
}

#[test]
fn names_are_made_lower_case_and_valid() {
    let translation = translated([container("My_App.v2")]);
    let expected = ["default/my-app-v2: my_app.v2.docker.localhost,my_app.v2.localhost / -> My_App.v2"];
    assert_eq!(lines(&translation), expected);
}

#[test]
fn a_name_that_is_no_host_warns_unless_there_is_another_host() {
    let translation = translated([container("web-")]);
    assert_eq!(lines(&translation), [] as [&str; 0]);
    let problem = only_problem(&translation);
    assert_eq!(problem.reason, "NoHostName");
    assert!(problem.message.contains("`web-.docker.localhost`"), "{problem}");
    let translation = translated([container("web-").label("portolan.host", "a.test")]);
    assert_eq!(lines(&translation), ["default/web: a.test / -> web-"]);
    assert_eq!(problems(&translation), []);
}

#[test]
fn resources_of_similar_names_do_not_collide() {
    let translation = translated([
        container("my_app").created(1),
        container("my-app").created(2),
        container("web").created(3).label("portolan.admin.host", "admin.test"),
        container("web-admin").created(4),
    ]);
    let names: Vec<String> = lines(&translation)
        .iter()
        .map(|line| line.split(' ').next().unwrap_or_default().to_owned() + line.rsplit(' ').next().unwrap())
        .collect();
    let expected = [
        "default/my-app:my-app",
        "default/my-app-2:my_app",
        "default/web:web",
        "default/web-admin:web-admin",
        "default/web-admin-2:web",
    ];
    assert_eq!(names, expected);
}

#[test]
fn names_that_files_use_are_left_to_them() {
    let taken = [ResourceId::new(Kind::HttpRoute, "default", "web")].into();
    let settings = LabelSettings { taken, ..LabelSettings::default() };
    let translation = translate(&world([container("web")]), &settings);
    assert_eq!(lines(&translation), ["default/web-2: web.docker.localhost,web.localhost / -> web"]);
}

#[test]
fn templates_decide_the_names() {
    let settings = templates("{name}.test, {service}-{project}.test,*.{name}.wild.test");
    let translation = translate(&world([container("web"), replica("shop", "api", 1)]), &settings);
    let expected = [
        "default/web: web.test,*.web.wild.test / -> web",
        "shop/api: api-shop.test / -> shop-api-1",
        "shop/shop-api-1: shop-api-1.test,*.shop-api-1.wild.test / -> shop-api-1",
    ];
    assert_eq!(lines(&translation), expected);
}

#[test]
fn templates_that_cannot_work_are_refused_in_words() {
    for (text, message) in [
        ("", "a host template cannot be empty"),
        ("{nam}.test", "`{nam}` in `{nam}.test` is not known, did you mean `{name}`?"),
        (
            "{image}.test",
            "`{image}` in `{image}.test` is not known: there are `{name}`, `{service}` and `{project}`",
        ),
        ("{name.test", "`{` and `}` in `{name.test` do not belong together"),
        ("name}.test", "`{` and `}` in `name}.test` do not belong together"),
        (
            "{project}.test",
            "`{project}.test` holds neither `{name}` nor `{service}`: containers could not be told apart",
        ),
        (
            "{name}..test",
            "`{name}..test` does not make host names: `x..test` is not a valid host name: labels of letters, digits and \
             `-`, joined by dots",
        ),
    ] {
        assert_eq!(Template::parse(text).unwrap_err().to_string(), message);
    }
    assert_eq!(LabelSettings::default().host_templates.len(), Template::DEFAULTS.len());
}

// === which containers ===

#[test]
fn one_offs_and_portolan_itself_are_left_alone() {
    let one_off = replica("shop", "web", 1).label("com.docker.compose.oneoff", "True");
    let own = container("portolan");
    let settings = LabelSettings { own: Some(own.0.id.clone()), ..LabelSettings::default() };
    is_nothing(translate(&world([one_off, own]), &settings));
}

#[test]
fn enable_false_leaves_a_container_alone() {
    let alone = container("web").label("portolan.enable", "false").label("portolan.hots", "a.test");
    is_nothing(translated([alone]));
}

/// Asserts that nothing was made and nothing is wrong.
#[track_caller]
fn is_nothing(translation: Translation) {
    assert_eq!(Translation { left_alone: BTreeMap::new(), ..translation }, Translation::default());
}

#[test]
fn where_nothing_is_exposed_by_default_enable_true_is_needed() {
    let settings = LabelSettings { expose_by_default: Exposure::Enabled, ..LabelSettings::default() };
    let translation = translate(
        &world([
            container("plain"),
            container("asks").label("portolan.enable", "true"),
            container("forgot").label("portolan.host", "a.test"),
        ]),
        &settings,
    );
    assert_eq!(lines(&translation), ["default/asks: asks.docker.localhost,asks.localhost / -> asks"]);
    assert_eq!(only_problem(&translation).reason, "NotEnabled");
}

#[test]
fn what_was_never_started_makes_no_route_alone() {
    for (phase, routes) in [
        (Phase::Created, 0),
        (Phase::Dead, 0),
        (Phase::Running, 1),
        (Phase::Paused, 1),
        (Phase::Restarting, 1),
        (Phase::Terminating, 1),
        (Phase::Exited, 1),
        (Phase::Gone, 1),
    ] {
        assert_eq!(lines(&translated([container("web").phase(phase)])).len(), routes, "{phase:?}");
    }
    let translation =
        translated([replica("shop", "web", 1), replica("shop", "web", 2).phase(Phase::Created)]);
    let expected = [
        "shop/shop-web-1: shop-web-1.docker.localhost,shop-web-1.localhost / -> shop-web-1",
        "shop/web: web.shop.docker.localhost / -> shop-web-1 shop-web-2",
    ];
    assert_eq!(lines(&translation), expected);
}

#[test]
fn a_container_and_its_successor_of_the_same_name_share_a_route() {
    let old = container("web").id("old").phase(Phase::Gone).created(1);
    let new = container("web").id("new").created(2);
    assert_eq!(
        lines(&translated([new, old])),
        ["default/web: web.docker.localhost,web.localhost / -> old new"]
    );
}

// === what is made ===

#[test]
fn routes_attach_anywhere_and_are_as_old_as_their_oldest_container() {
    let translation =
        translated([replica("shop", "web", 1).created(70), replica("shop", "web", 2).created(60)]);
    let Resource::HttpRoute(route) = &translation.objects[2].resource else { panic!() };
    assert_eq!(route.meta.id.to_string(), "HTTPRoute shop/web");
    assert!(route.attaches_anywhere && route.uses_default_gateways);
    assert_eq!((route.meta.created, route.meta.generation), (Some(60), 1));
    assert_eq!(route.meta.origin.to_string(), "container `shop-web-2`");
}

#[test]
fn manifests_are_documents_that_say_the_same() {
    let translation = translated([
        container("web")
            .label("portolan.host", "a.test,*.b.test")
            .label("portolan.path", "/api")
            .label("portolan.path.strip", "true")
            .label("portolan.port", "8080")
            .label("portolan.weight", "3")
            .label("portolan.network", "front")
            .label("portolan.bad.port", "none")
            .label("portolan.bad.host", "c.test")
            .label("portolan.tls.host", "d.test")
            .label("portolan.redirect", "https")
            .label("portolan.secure.host", "e.test")
            .label("portolan.secure.scheme", "https"),
        replica("shop", "web", 1)
            .label("portolan.route", "{hostnames: [x.test], rules: [{timeouts: {request: 5s}}]}"),
    ]);
    let text: Vec<String> = translation.objects.iter().map(|object| object.manifest.to_string()).collect();
    let report = check_text("labels.yaml", &text.join("\n---\n"));
    let settled: Vec<_> = report.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(settled, ["labels.yaml:5:1: error: 1"; 0]);
    assert_eq!(report.objects.len(), translation.objects.len());
    for object in &translation.objects {
        let read = &report.objects[&object.resource.meta().id];
        assert_eq!(read.manifest, object.manifest);
        assert_eq!(read.resource.meta().created, object.resource.meta().created);
    }
}

#[test]
fn a_container_that_nothing_is_made_of_says_why() {
    let reasons = |settings: &LabelSettings, containers: Vec<Builder>| -> Vec<String> {
        let containers = world(containers);
        let translation = translate(&containers, settings);
        let line = |(id, why): (&WorkloadId, &LeftAlone)| {
            assert!(!why.message.is_empty());
            format!("{} {}", containers[id].name, why.reason)
        };
        translation.left_alone.iter().map(line).collect()
    };
    let own = container("a-own");
    let settings = LabelSettings { own: Some(own.0.id.clone()), ..LabelSettings::default() };
    let all = vec![
        own,
        container("b-off").label("portolan.enable", "false"),
        container("c-new").phase(Phase::Created),
        container("d-dead").phase(Phase::Dead),
        container("e-web"),
        container("f-paused").phase(Phase::Paused),
        container("g-gone").phase(Phase::Gone),
        replica("shop", "web", 1).label("com.docker.compose.oneoff", "True"),
    ];
    let expected = ["a-own Own", "b-off Disabled", "c-new NotStarted", "d-dead Dead", "shop-web-1 OneOff"];
    assert_eq!(reasons(&settings, all), expected);
    let strict = LabelSettings { expose_by_default: Exposure::Enabled, ..LabelSettings::default() };
    let two = vec![container("a"), container("b").label("portolan.enable", "true")];
    assert_eq!(reasons(&strict, two), ["a NotEnabled"]);
}
