//! What each label does to requests.

use super::{all_answer, harbour, has, host, shares, told};
use crate::support::{unique, wait};

#[test]
fn docker_label_host_takes_several_names_and_wildcards() {
    let Some((engine, portolan)) = harbour() else { return };
    let zone = format!("{}.example.com", unique("zone"));
    let hosts = format!("a.{zone}, *.b.{zone}");
    let web = engine.container("web").port(8080).label("portolan.host", &hosts).start();
    portolan.reaches(&format!("a.{zone}"), "/", &web.name);
    portolan.reaches(&format!("x.b.{zone}"), "/", &web.name);
    portolan.reaches(&format!("x.y.b.{zone}"), "/", &web.name);
    portolan.reaches(&format!("A.{}:8080", zone.to_uppercase()), "/", &web.name);
    assert_eq!(portolan.get(&format!("b.{zone}"), "/").unwrap().status, 404);
    assert_eq!(portolan.get(&format!("x.a.{zone}"), "/").unwrap().status, 404);
}

#[test]
fn docker_label_path_serves_below_a_prefix_only() {
    let Some((engine, portolan)) = harbour() else { return };
    let name = format!("{}.example.com", unique("path"));
    let web = engine.container("web").port(8080).label("portolan.host", &name);
    let web = web.label("portolan.path", "/api").start();
    let answer = portolan.reaches(&name, "/api/users?x=1", &web.name);
    has(&answer.text(), &["/api/users?x=1"]);
    portolan.reaches(&name, "/api", &web.name);
    for other in ["/", "/apis", "/API", "/v1/api"] {
        assert_eq!(portolan.get(&name, other).unwrap().status, 404, "{other}");
    }
}

#[test]
fn docker_label_path_strip_takes_the_prefix_off() {
    let Some((engine, portolan)) = harbour() else { return };
    let name = format!("{}.example.com", unique("strip"));
    let web = engine.container("web").port(8080).label("portolan.host", &name);
    let web = web.label("portolan.path", "/api").label("portolan.path.strip", "true").start();
    for (asked, seen) in [("/api/users?x=1", "/users?x=1"), ("/api", "/"), ("/api/", "/")] {
        let answer = portolan.reaches(&name, asked, &web.name);
        has(&answer.text(), &[&format!("\"{seen}\"")]);
    }
}

#[test]
fn docker_label_port_chooses_among_several() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").options(["--expose", "9000", "--expose", "9001"]);
    let web = web.arguments(["9001"]).label("portolan.port", "9001").start();
    portolan.reaches(&host(&web.name), "/", &web.name);
}

#[test]
fn docker_label_port_needs_no_exposed_port() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").arguments(["7001"]).label("portolan.port", "7001").start();
    portolan.reaches(&host(&web.name), "/", &web.name);
}

#[test]
fn docker_label_network_chooses_the_address() {
    let Some((engine, portolan)) = harbour() else { return };
    let (back, front) = (engine.network("a-back"), engine.network("z-front"));
    let web = engine.container("web").port(8080).network(&back).label("portolan.network", &front.name);
    let web = web.create();
    web.connect(&front);
    web.docker("start");
    portolan.reaches(&host(&web.name), "/", &web.name);
    let wanted =
        web.inspect(&format!("{{{{(index .NetworkSettings.Networks \"{}\").IPAddress}}}}", front.name));
    let page = portolan.client(&["get", "endpoints", "-o", "json"]).unwrap();
    has(&page, &[&format!("\"{wanted}:8080\"")]);
    drop((web, back, front));
}

#[test]
fn docker_label_weight_shares_requests() {
    let Some((engine, portolan)) = harbour() else { return };
    let name = format!("{}.example.com", unique("weight"));
    let make = |weight: &str| {
        let web = engine.container("web").port(8080).label("portolan.host", &name);
        web.label("portolan.weight", weight).start()
    };
    let (heavy, light, none) = (make("3"), make("1"), make("0"));
    all_answer(&portolan, &name, &[&heavy.name, &light.name]);
    none.listens(8080);
    let shares = shares(&portolan, &name, 400);
    assert_eq!(shares.keys().len(), 2, "a weight of 0 gets nothing: {shares:?}");
    assert!((250..=350).contains(&shares[&heavy.name]), "three in four: {shares:?}");
}

#[test]
fn docker_named_routes_are_routes_of_their_own() {
    let Some((engine, portolan)) = harbour() else { return };
    let zone = format!("{}.example.com", unique("named"));
    let web = engine.container("web").arguments(["8080", "9000"]);
    let web = web.options(["--expose", "8080", "--expose", "9000"]);
    let web = web.label("portolan.app.host", &format!("app.{zone}")).label("portolan.app.port", "8080");
    let web = web.label("portolan.admin.host", &format!("admin.{zone}")).label("portolan.admin.port", "9000");
    let web = web.label("portolan.admin.path", "/admin").start();
    portolan.reaches(&format!("app.{zone}"), "/", &web.name);
    portolan.reaches(&format!("admin.{zone}"), "/admin/x", &web.name);
    assert_eq!(portolan.get(&format!("admin.{zone}"), "/").unwrap().status, 404);
    let endpoints = portolan.client(&["get", "endpoints", "-o", "json"]).unwrap();
    let address = web.address(9000);
    has(&endpoints, &[&format!("\"{address}\""), &format!("\"{}:8080\"", address.ip())]);
}

#[test]
fn docker_label_route_is_a_whole_spec() {
    let Some((engine, portolan)) = harbour() else { return };
    let name = format!("{}.example.com", unique("spec"));
    let spec = format!(
        "hostnames: [{name}]\nrules:\n- matches: [{{path: {{type: Exact, value: /only}}, method: GET}}]\n  filters:\n  \
         - type: ResponseHeaderModifier\n    responseHeaderModifier: {{set: [{{name: x-from, value: label}}]}}\n"
    );
    let web = engine.container("web").port(8080).label("portolan.route", &spec).start();
    let answer = portolan.reaches(&name, "/only", &web.name);
    assert_eq!(answer.header("x-from"), Some("label"));
    assert_eq!(portolan.get(&name, "/only/more").unwrap().status, 404);
    portolan.reaches(&host(&web.name), "/any", &web.name);
}

#[test]
fn docker_containers_with_the_same_host_and_path_balance() {
    let Some((engine, portolan)) = harbour() else { return };
    let name = format!("{}.example.com", unique("same"));
    let make = || engine.container("web").port(8080).label("portolan.host", &name).start();
    let (one, two) = (make(), make());
    all_answer(&portolan, &name, &[&one.name, &two.name]);
    let shares = shares(&portolan, &name, 100);
    assert!(shares.len() == 2 && shares.values().all(|share| *share >= 25), "{shares:?}");
    portolan.reaches(&host(&one.name), "/", &one.name);
    portolan.reaches(&host(&two.name), "/", &two.name);
    drop(one);
    wait::eventually(wait::SOON, "the other serves alone", || {
        let shares = super::shares(&portolan, &name, 4);
        wait::check(shares, |shares| shares.len() == 1, |shares| format!("{shares:?}"))
    });
}

#[test]
fn docker_two_that_serve_one_place_in_different_ways_conflict_and_the_older_wins() {
    let Some((engine, portolan)) = harbour() else { return };
    let name = format!("{}.example.com", unique("claim"));
    let make = |strip: &str| {
        let web = engine.container("web").port(8080).label("portolan.host", &name);
        web.label("portolan.path", "/app").label("portolan.path.strip", strip).start()
    };
    let older = make("false");
    let born = older.inspect("{{.Created}}");
    // Ages are told apart by the second.
    let younger = wait::eventually(wait::SOON, "a container of a later second", || {
        let next = make("true");
        let its = next.inspect("{{.Created}}");
        if its[..19] > born[..19] { Ok(next) } else { Err(its) }
    });
    let words = told(&portolan, &younger.name, "Conflicted");
    has(&words, &[&older.name, &format!("{name}/app")]);
    let answer = portolan.reaches(&name, "/app/x", &older.name);
    has(&answer.text(), &["/app/x"]);
}
