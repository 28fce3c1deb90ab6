//! Which port and which address a container is reached at, and what is said where there is none.

use std::net::TcpListener;

use super::{harbour, harbour_with, has, host, logged, shown, told};
use crate::support::{engine::Engine, unique, wait};

#[test]
fn docker_several_exposed_ports_are_ambiguous() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").options(["--expose", "9000", "--expose", "8080"]).start();
    let words = told(&portolan, &web.name, "AmbiguousPort");
    has(&words, &["8080, 9000", "`portolan.port=8080`"]);
    let answer = portolan.says(&host(&web.name), "/", 503);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    logged(&portolan, "AmbiguousPort");
}

#[test]
fn docker_no_exposed_port_is_told() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").options(["--expose", "8080/udp"]).start();
    let words = told(&portolan, &web.name, "NoPort");
    has(&words, &["exposes no TCP port", "`portolan.port=8080`", "`EXPOSE`"]);
    portolan.says(&host(&web.name), "/", 503);
}

#[test]
fn docker_of_several_exposed_ports_80_is_the_one() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").options(["--expose", "9000", "--expose", "443"]).port(80).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
}

#[test]
fn docker_an_exposed_udp_port_is_not_counted() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").options(["--expose", "53/udp"]).port(8080).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
}

#[test]
fn docker_a_label_with_a_network_that_is_not_there_names_those_that_are() {
    let Some((engine, portolan)) = harbour() else { return };
    let network = engine.network("back");
    let web = engine.container("web").port(8080).network(&network).label("portolan.network", "front").start();
    let words = told(&portolan, &web.name, "NoSuchNetwork");
    has(&words, &["`front`", &format!("`{}`", network.name), "docker network connect front"]);
    portolan.says(&host(&web.name), "/", 503);
    drop((web, network));
}

#[test]
fn docker_an_internal_network_is_reached_from_the_host() {
    let Some((engine, portolan)) = harbour() else { return };
    let network = engine.network_with("inner", &["--internal"]);
    let web = engine.container("web").port(8080).network(&network).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
    drop((web, network));
}

#[test]
fn docker_a_container_without_a_network_is_told() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").port(8080).options(["--network", "none"]).start();
    let words = told(&portolan, &web.name, "NoNetwork");
    has(&words, &["`network_mode: none`", "recreate it without that"]);
    portolan.says(&host(&web.name), "/", 503);
}

#[test]
fn docker_a_container_on_the_network_of_the_host_is_at_the_host() {
    let Some((engine, portolan)) = harbour() else { return };
    let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port().to_string();
    let web = engine.container("web").options(["--network", "host"]).arguments([&*port]);
    let web = web.label("portolan.port", &port).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
    let silent = engine.container("silent").options(["--network", "host"]).arguments(["0"]).start();
    told(&portolan, &silent.name, "NoPort");
}

#[test]
fn docker_a_container_on_the_network_of_another_is_at_its_address() {
    let Some((engine, portolan)) = harbour() else { return };
    let owner = engine.container("owner").port(8080).start();
    let guest = engine.container("guest").arguments(["9000"]).label("portolan.port", "9000");
    let guest = guest.options(["--network", &format!("container:{}", owner.name)]).start();
    portolan.reaches(&host(&guest.name), "/", &guest.name);
    portolan.reaches(&host(&owner.name), "/", &owner.name);
    owner.docker("stop --time 1");
    let words = told(&portolan, &guest.name, "NetworkOwnerMissing");
    has(&words, &[&owner.name, &format!("`docker start {}`", owner.name)]);
    portolan.says(&host(&guest.name), "/", 503);
}

#[test]
fn docker_portolan_in_a_container_needs_a_network_in_common() {
    let Some(engine) = Engine::local() else { return };
    let Some(image) = engine.portolan_image() else { return };
    let (front, back) = (engine.network("front"), engine.network("back"));
    let name = unique("portolan");
    let socket = format!("{}:/var/run/docker.sock:ro", engine.socket().display());
    let group = std::fs::metadata(engine.socket()).map(|facts| std::os::unix::fs::MetadataExt::gid(&facts));
    let group = group.unwrap().to_string();
    let proxy = engine.container("portolan").named(&name).image(&image).network(&front);
    let proxy = proxy.options(["--volume", &socket, "--group-add", &group]);
    let proxy = proxy.arguments(["run", "--http", "0.0.0.0:8080", "--hold", "0s"]).start();
    let near = engine.container("near").port(8080).network(&front).start();
    let far = engine.container("far").port(8080).network(&back).start();
    let ask = |name: &str| {
        crate::support::http::get(proxy.address(8080), &host(name), "/").map_err(|error| error.to_string())
    };
    wait::eventually(wait::SOON, "the container on its network answers", || {
        wait::check(ask(&near.name)?, |answer| answer.backend() == Some(&near.name), ToString::to_string)
    });
    assert_eq!(ask(&far.name).unwrap().status, 503);
    let page = engine.must(["exec", &proxy.id, "/portolan", "describe", "container", &far.name]);
    let connect = format!("`docker network connect {} {}`", front.name, far.name);
    has(&page, &["NoSharedNetwork", &format!("`{}`", back.name), &format!("`{}`", front.name), &connect]);
    far.connect(&front);
    wait::eventually(wait::SOON, "the remedy helps", || {
        wait::check(ask(&far.name)?, |answer| answer.backend() == Some(&far.name), ToString::to_string)
    });
    drop((near, far, proxy, front, back));
}

#[test]
fn docker_without_an_engine_names_are_not_there_and_the_status_says_why() {
    let Some((_engine, portolan)) = harbour_with(&["--hold", "0s", "--resync", "1h"]) else { return };
    assert_eq!(portolan.says("nobody.docker.localhost", "/", 404).status, 404);
    assert!(shown(&portolan, "nobody").is_err());
    let missing = portolan.client(&["describe", "container", "nobody"]).unwrap_err();
    has(&missing, &["there is no `nobody`"]);
}
