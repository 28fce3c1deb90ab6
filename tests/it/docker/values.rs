//! Labels that are wrong: what is said of each, and what is served all the same.

use super::{harbour, has, host, told};
use crate::support::unique;

#[test]
fn docker_an_unknown_label_is_told_with_the_nearest_name() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").port(8080);
    let web = web.label("portolan.hots", "a.example.com").label("portolan.api.prot", "8080").start();
    let words = told(&portolan, &web.name, "UnknownLabel");
    has(&words, &["`portolan.api.prot`", "did you mean `portolan.api.port`?"]);
    let page = portolan.client(&["describe", "container", &web.name]).unwrap();
    has(&page, &["`portolan.hots`", "did you mean `portolan.host`?"]);
    portolan.reaches(&host(&web.name), "/", &web.name);
}

#[test]
fn docker_wrong_values_are_told_and_cost_only_themselves() {
    let Some((engine, portolan)) = harbour() else { return };
    let zone = format!("{}.example.com", unique("wrong"));
    let web = engine.container("web").port(8080);
    let web = web.label("portolan.host", &format!("good.{zone},http://bad.{zone}/")).start();
    portolan.reaches(&format!("good.{zone}"), "/", &web.name);
    let words = told(&portolan, &web.name, "InvalidValue");
    has(&words, &["label `portolan.host`", &format!("found `http://bad.{zone}/`"), "write the name alone"]);

    let heavy = engine.container("heavy").port(8080).label("portolan.weight", "much").start();
    let words = told(&portolan, &heavy.name, "InvalidValue");
    has(&words, &["`portolan.weight`", "found `much`", "a whole number"]);
    portolan.reaches(&host(&heavy.name), "/", &heavy.name);

    let odd = engine.container("odd").port(8080).label("portolan.enable", "flase").start();
    has(&told(&portolan, &odd.name, "InvalidValue"), &["found `flase`", "did you mean `false`?"]);
}

#[test]
fn docker_a_wrong_port_gets_no_requests() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").port(8080).label("portolan.port", "80800").start();
    let words = told(&portolan, &web.name, "InvalidValue");
    has(&words, &["label `portolan.port`", "found `80800`", "a port from 1 to 65535"]);
    portolan.says(&host(&web.name), "/", 503);
}

#[test]
fn docker_a_wrong_path_leaves_its_route_out() {
    let Some((engine, portolan)) = harbour() else { return };
    let name = format!("{}.example.com", unique("wrong"));
    let web = engine.container("web").port(8080).label("portolan.host", &name);
    let web = web.label("portolan.path", "api").start();
    let words = told(&portolan, &web.name, "InvalidValue");
    has(&words, &["label `portolan.path`", "found `api`", "`/api`"]);
    assert_eq!(portolan.get(&name, "/api").unwrap().status, 404);
}

#[test]
fn docker_a_scheme_is_held_to_and_never_replaced_by_plaintext() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").port(8443).label("portolan.scheme", "https").start();
    portolan.says(&host(&web.name), "/", 502);
    let odd = engine.container("odd").port(8080).label("portolan.scheme", "htps").start();
    let words = told(&portolan, &odd.name, "InvalidValue");
    has(&words, &["found `htps`", "`http`, `https` or `h2c`", "did you mean `http"]);
}

#[test]
fn docker_labels_of_later_versions_say_that_they_are_not_served() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").port(8080).label("portolan.tls", "acme").start();
    let words = told(&portolan, &web.name, "UnsupportedValue");
    has(&words, &["`portolan.tls`", "not served yet"]);
    portolan.reaches(&host(&web.name), "/", &web.name);
}

#[test]
fn docker_a_route_in_a_label_that_does_not_parse_names_line_and_column() {
    let Some((engine, portolan)) = harbour() else { return };
    let name = format!("{}.example.com", unique("spec"));
    let spec = format!("hostnames: [{name}]\nrules:\n- matchs:\n  - path: {{value: /}}\n");
    let web = engine.container("web").port(8080).label("portolan.route", &spec).start();
    let words = told(&portolan, &web.name, "InvalidValue");
    has(&words, &["label `portolan.route`", "line 3, column 3", "matchs", "`matches`"]);
    assert_eq!(portolan.get(&name, "/").unwrap().status, 404);
    portolan.reaches(&host(&web.name), "/", &web.name);
}
