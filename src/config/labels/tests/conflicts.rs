//! When containers claim the same.

use super::{container, lines, only_problem, problems, replica, translated};
use crate::model::{Health, Phase, Severity};

const STRIP: &str = "portolan.path.strip";

#[test]
fn identical_host_and_path_balance_across_projects() {
    let translation = translated([
        replica("two", "web", 1).created(20).label("portolan.host", "a.test").label("portolan.port", "81"),
        replica("one", "web", 1).created(30).label("portolan.host", "a.test"),
        container("canary").created(40).label("portolan.host", "A.test.").label("portolan.weight", "9"),
    ]);
    assert!(lines(&translation).contains(&"two/web: a.test / -> two-web-1:81 one-web-1 canary*9".to_owned()));
    assert_eq!(problems(&translation), []);
}

#[test]
fn only_the_hosts_in_common_are_shared() {
    let translation = translated([
        container("a").created(1).label("portolan.host", "x.test,y.test"),
        container("b").created(2).label("portolan.host", "y.test"),
    ]);
    let expected = [
        "default/a: x.test,a.docker.localhost,a.localhost / -> a",
        "default/a-2: y.test / -> a b",
        "default/b: b.docker.localhost,b.localhost / -> b",
    ];
    assert_eq!(lines(&translation), expected);
}

#[test]
fn versions_of_a_service_serve_what_they_claim() {
    let translation = translated([
        replica("shop", "web", 1).created(1).label("portolan.host", "old.test,both.test"),
        replica("shop", "web", 2).created(2).label("portolan.host", "both.test,new.test"),
    ]);
    let lines = lines(&translation);
    for part in
        ["old.test / -> shop-web-1", "both.test / -> shop-web-1 shop-web-2", "new.test / -> shop-web-2"]
    {
        assert!(
            lines.iter().any(|line| line.contains(part)
                || line.contains(&part.replace(" /", ",web.shop.docker.localhost /"))),
            "{part} in {lines:#?}"
        );
    }
    assert_eq!(problems(&translation), []);
}

#[test]
fn the_newest_ready_version_says_what_must_be_one() {
    let version = |number, created: i64| {
        replica("shop", "web", number)
            .created(created)
            .label("portolan.host", "a.test")
            .label("portolan.path", "/api")
    };
    let old = || version(1, 1);
    let new = || version(2, 2).label(STRIP, "true");
    let ready = translated([old(), new()]);
    assert!(lines(&ready).contains(&"shop/web: a.test /api filtered -> shop-web-2".to_owned()));
    let problem = only_problem(&ready);
    assert_eq!((problem.severity, problem.reason), (Severity::Warning, "Conflicted"));
    assert!(problem.message.contains("`shop-web-1`") && problem.message.contains(STRIP), "{problem}");
    let starting = translated([old(), new().health(Health::Starting)]);
    assert!(lines(&starting).contains(&"shop/web: a.test /api -> shop-web-1".to_owned()));
    let neither = translated([old().phase(Phase::Exited), new().health(Health::Unhealthy)]);
    assert!(lines(&neither).contains(&"shop/web: a.test /api filtered -> shop-web-2".to_owned()));
}

#[test]
fn the_newest_ready_version_of_a_whole_route_wins() {
    let version = |number, created, route: &str| {
        replica("shop", "web", number).created(created).label("portolan.route", route)
    };
    let old = version(1, 1, "{hostnames: [a.test], rules: [{matches: [{path: {value: /old}}]}]}");
    let new = version(2, 2, "{hostnames: [a.test], rules: [{matches: [{path: {value: /new}}]}]}");
    let translation = translated([old, new]);
    let served: Vec<String> =
        lines(&translation).into_iter().filter(|line| line.contains("a.test")).collect();
    assert_eq!(served, ["shop/web: a.test /new -> shop-web-2"]);
    assert!(only_problem(&translation).message.contains("`portolan.route`"));
}

#[test]
fn the_oldest_of_strangers_wins() {
    let api = |name: &str, created| {
        container(name).created(created).label("portolan.host", "a.test").label("portolan.path", "/api")
    };
    let translation = translated([api("young", 2).label(STRIP, "true"), api("old", 1)]);
    assert!(lines(&translation).contains(&"default/old: a.test /api -> old".to_owned()));
    let problem = only_problem(&translation);
    assert_eq!((problem.severity, problem.reason), (Severity::Error, "Conflicted"));
    assert!(
        problem.message.contains("`a.test/api` of container `young` belongs to container `old`"),
        "{problem}"
    );
}

#[test]
fn default_names_of_strangers_do_not_mix() {
    let translation = translated([container("web.docker").created(2), container("web").created(1)]);
    let expected = [
        "default/web: web.docker.localhost,web.localhost / -> web",
        "default/web-docker: web.docker.docker.localhost / -> web.docker",
    ];
    assert_eq!(lines(&translation), expected);
    assert_eq!(only_problem(&translation).reason, "Conflicted");
}

#[test]
fn a_label_may_join_another_containers_default_name() {
    let canary = container("canary").label("portolan.host", "web.localhost").label("portolan.weight", "1");
    let translation = translated([container("web").created(1), canary]);
    assert!(lines(&translation).iter().any(|line| line.ends_with("web.localhost / -> web canary")));
}

#[test]
fn what_was_never_started_decides_nothing() {
    let translation = translated([
        container("a").created(1).phase(Phase::Created).label("portolan.host", "x.test"),
        container("b").created(2).label("portolan.host", "x.test"),
    ]);
    assert!(
        lines(&translation)
            .iter()
            .any(|line| line.starts_with("default/b: x.test") || line == "default/b-2: x.test / -> a b"),
        "{:?}",
        lines(&translation)
    );
}

#[test]
fn one_container_cannot_be_in_one_place_twice() {
    let translation =
        translated([container("web").label("portolan.port", "80").label("portolan.admin.port", "9000")]);
    assert_eq!(lines(&translation), ["default/web: web.docker.localhost,web.localhost / -> web:80"]);
    let problem = only_problem(&translation);
    assert_eq!((problem.severity, problem.reason), (Severity::Warning, "Conflicted"));
    assert!(problem.hint.unwrap().contains("`portolan.admin.host`"));
}
