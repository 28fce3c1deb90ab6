//! Gateways and what may attach to them, while the program runs.

use std::net::{SocketAddr, TcpListener};

use super::World;
use crate::support::{
    backend::Backend,
    http::{self, Connection},
    manifest,
    portolan::{Documents, Portolan},
    wait,
};

fn on(world: &World, port: u16) -> SocketAddr {
    (world.portolan.http.ip(), port).into()
}

#[track_caller]
fn answers(address: SocketAddr, host: &str, status: u16) {
    wait::eventually(wait::SOON, &format!("{host} on {address} answers {status}"), || {
        let answer = http::get(address, host, "/").map_err(|error| error.to_string())?;
        wait::check(answer, |answer| answer.status == status, ToString::to_string)
    });
}

#[track_caller]
fn refuses(address: SocketAddr) {
    wait::eventually(wait::SOON, &format!("{address} refuses connections"), || {
        match Connection::open(address) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
            other => Err(format!("{:?}", other.map(|_| "a connection"))),
        }
    });
}

#[test]
fn listeners_come_and_go_while_connections_stay() {
    let world = World::new();
    let (first, second) = (on(&world, 8081), on(&world, 8082));
    world.documents.write("route.yaml", &manifest::simple("r", "one.test", "a"));
    world.portolan.reaches("one.test", "/", "a");
    let mut implicit = world.portolan.connect();
    assert_eq!(implicit.get("one.test", "/").unwrap().status, 200);

    world.documents.write("gateway.yaml", &manifest::gateway("one", first));
    answers(first, "one.test", 200);
    refuses(world.portolan.http);
    let mut kept = Connection::open(first).unwrap();
    assert_eq!(kept.get("one.test", "/").unwrap().status, 200);

    let both = manifest::gateway("one", first) + &manifest::gateway("two", second);
    world.documents.write("gateway.yaml", &both);
    answers(second, "one.test", 200);
    assert_eq!(kept.get("one.test", "/").unwrap().status, 200, "the connection is untouched");

    world.documents.write("gateway.yaml", &manifest::gateway("two", second));
    refuses(first);
    answers(second, "one.test", 200);
    // What was open may go on; its listener is gone, so it finds nothing, or is closed: never a wrong backend.
    if let Ok(answer) = kept.get("one.test", "/") {
        assert_eq!(answer.status, 404, "{answer}");
    }
    world.documents.remove("gateway.yaml");
    world.portolan.reaches("one.test", "/", "a");
}

#[test]
fn a_port_that_another_program_has_is_said_and_taken_when_it_is_free() {
    let world = World::new();
    let (taken, free) = (on(&world, 8083), on(&world, 8084));
    let other = TcpListener::bind(taken).unwrap();
    let listeners = "[{name: taken, protocol: HTTP, port: 8083}, {name: free, protocol: HTTP, port: 8084}]";
    let gateway = manifest::gateway_with("edge", taken, listeners);
    world.documents.write("all.yaml", &(gateway + &manifest::simple("r", "one.test", "a")));
    answers(free, "one.test", 200);
    let object = world.object("gateways", "edge");
    let listener = |name: &str| {
        let all = object["status"]["listeners"].as_array().expect("listeners").clone();
        all.into_iter().find(|listener| listener["name"] == name).expect("the listener").to_string()
    };
    assert!(listener("taken").contains("PortUnavailable"), "{object}");
    assert!(listener("taken").contains("another program listens there"), "{object}");
    assert!(listener("free").contains("\"reason\":\"Programmed\",\"status\":\"True\""), "{object}");
    assert!(world.portolan.log().contains("another program listens there"), "{}", world.portolan.log());
    drop(other);
    answers(taken, "one.test", 200);
    wait::eventually(wait::SOON, "the status is good again", || {
        let object = world.object("gateways", "edge").to_string();
        wait::check(object, |object| !object.contains("PortUnavailable"), String::clone)
    });
}

#[test]
fn ports_that_other_programs_have_at_the_start_are_not_fatal_and_taken_when_they_are_free() {
    let (a, documents) = (Backend::start("a"), Documents::new());
    let certificate = "apiVersion: portolan.dev/v1alpha1\nkind: Certificate\nmetadata: {name: c}\n\
                       spec: {hostnames: [one.test], selfSigned: {}}\n---\n";
    let text = manifest::backend("a", a.address) + &manifest::simple("r", "one.test", "a") + certificate;
    documents.write("all.yaml", &text);
    let mut before = Portolan::builder().config(documents.path()).start();
    before.kill();
    let (http, https) = (before.http, before.https);
    let (plain, secure) = (TcpListener::bind(http).unwrap(), TcpListener::bind(https).unwrap());
    let portolan = Portolan::builder().config(documents.path()).after(before).start();
    let gateways = || portolan.client(&["get", "gateways", "-o", "json"]);
    let said = wait::eventually(wait::SOON, "both are told", || {
        wait::check(gateways()?, |text| text.matches("\"PortUnavailable\"").count() >= 2, String::clone)
    });
    for address in [http, https] {
        let words = format!("cannot listen on {address}: another program listens there");
        assert!(said.contains(&words) && portolan.log().contains(&words), "{said}\n{}", portolan.log());
    }
    drop(plain);
    portolan.reaches("one.test", "/", "a");
    assert!(gateways().unwrap().contains("PortUnavailable"), "the other one is still taken");
    drop(secure);
    wait::eventually(wait::SOON, "nothing is wrong any more", || {
        wait::check(gateways()?, |text| !text.contains("PortUnavailable"), String::clone)
    });
    Connection::open(https).expect("it listens for HTTPS");
}

#[test]
fn two_gateways_serve_the_routes_that_name_them() {
    let world = World::new();
    let b = Backend::start("b");
    let (one, two) = (on(&world, 8081), on(&world, 8082));
    let to = |name: &str, gateway: &str, backend: &str| {
        manifest::simple(name, "same.test", backend)
            .replace("spec:\n", &format!("spec:\n  parentRefs: [{{name: {gateway}}}]\n"))
    };
    let text = manifest::gateway("one", one)
        + &manifest::gateway("two", two)
        + &manifest::backend("b", b.address)
        + &to("to-one", "one", "a")
        + &to("to-two", "two", "b")
        + &to("lost", "three", "b");
    world.documents.write("all.yaml", &text);
    answers(one, "same.test", 200);
    answers(two, "same.test", 200);
    assert_eq!(http::get(one, "same.test", "/").unwrap().backend(), Some("a"));
    assert_eq!(http::get(two, "same.test", "/").unwrap().backend(), Some("b"));
    let message = world.condition(("routes", "lost"), ("Accepted", "False", "NoMatchingParent"));
    assert!(message.contains("three"), "{message}");
    assert_eq!(world.object("gateways", "one")["status"]["listeners"][0]["attachedRoutes"], 1);
}

#[test]
fn a_listener_takes_the_hosts_that_fit_its_own() {
    let world = World::new();
    let address = on(&world, 8081);
    let listeners = "[{name: exact, protocol: HTTP, port: 8081, hostname: a.shop.test}, {name: wild, protocol: HTTP, port: 8081, hostname: '*.shop.test'}]";
    let wild = manifest::simple("wild", "*.test", "a");
    let other = manifest::simple("other", "other.test", "a");
    world.documents.write("all.yaml", &(manifest::gateway_with("edge", address, listeners) + &wild + &other));
    answers(address, "a.shop.test", 200);
    answers(address, "x.y.shop.test", 200);
    answers(address, "shop.test", 404);
    answers(address, "other.test", 404);
    world.condition(("routes", "other"), ("Accepted", "False", "NoMatchingListenerHostname"));
}

#[test]
fn a_backend_of_another_namespace_needs_a_grant() {
    let world = World::new();
    let there =
        manifest::backend("far", world.a.address).replace("{name: far}", "{name: far, namespace: there}");
    let route = manifest::route(
        "r",
        "one.test",
        "[{backendRefs: [{group: portolan.dev, kind: Backend, name: far, namespace: there, port: 80}]}]",
    );
    world.documents.write("all.yaml", &(there + &route));
    let message = world.condition(("routes", "r"), ("ResolvedRefs", "False", "RefNotPermitted"));
    assert!(message.contains("ReferenceGrant"), "the remedy: {message}");
    assert_eq!(world.portolan.get("one.test", "/").unwrap().status, 500);
    world.documents.write(
        "grant.yaml",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: there}\nspec:\n  \
         from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]\n  to: [{group: portolan.dev, kind: Backend, name: far}]\n",
    );
    world.portolan.reaches("one.test", "/", "a");
    world.condition(("routes", "r"), ("ResolvedRefs", "True", "ResolvedRefs"));
    world.documents.remove("grant.yaml");
    world.portolan.says("one.test", "/", 500);
}

#[test]
fn status_is_in_the_yaml_with_origin_generation_and_time() {
    let world = World::new();
    world.documents.write("r.yaml", &manifest::simple("r", "one.test", "a"));
    world.portolan.reaches("one.test", "/", "a");
    let yaml = world.portolan.client(&["get", "routes", "r", "-o", "yaml"]).unwrap();
    for part in [
        "kind: HTTPRoute",
        "r.yaml:1:1",
        "controllerName: portolan.dev/controller",
        "type: Accepted",
        "type: ResolvedRefs",
        "type: Programmed",
        "lastTransitionTime:",
        "observedGeneration: 1",
    ] {
        assert!(yaml.contains(part), "no `{part}`:\n{yaml}");
    }
    // The output is a document like any other: what the server set is not held against it.
    let folder = crate::support::scratch();
    let file = folder.path().join("again.yaml");
    std::fs::write(&file, &yaml).unwrap();
    crate::support::output(crate::support::portolan::command().arg("check").arg(&file)).expect("it is valid");

    world.documents.write("r.yaml", &manifest::simple("r", "two.test", "a"));
    world.portolan.reaches("two.test", "/", "a");
    wait::eventually(wait::SOON, "the next generation", || {
        let yaml = world.portolan.client(&["get", "routes", "r", "-o", "yaml"])?;
        wait::check(yaml, |yaml| yaml.contains("observedGeneration: 2"), String::clone)
    });
    let described = world.portolan.client(&["describe", "route", "r"]).unwrap();
    assert!(described.contains("Accepted") && described.contains("r.yaml"), "{described}");
}

#[test]
fn of_two_claims_to_one_host_and_path_the_first_wins_and_the_loser_says_so() {
    let world = World::new();
    let b = Backend::start("b");
    let text = manifest::backend("b", b.address)
        + &manifest::simple("first", "one.test", "a")
        + &manifest::simple("second", "one.test", "b");
    world.documents.write("all.yaml", &text);
    world.portolan.reaches("one.test", "/", "a");
    wait::eventually(wait::SOON, "the loser names the winner", || {
        let text = world.portolan.client(&["get", "routes", "second", "-o", "json"])?;
        wait::check(text, |text| text.contains("Conflicted") && text.contains("first"), String::clone)
    });
    assert_eq!(b.count(), 0);
}
