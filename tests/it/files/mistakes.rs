//! What is wrong stays apart from what is right, and is told everywhere in the same words.

use serde_json::Value;

use super::World;
use crate::support::{
    backend::Backend,
    manifest, output,
    portolan::{self, Documents, Portolan},
    wait,
};

/// The sentences of `portolan check`, errors only.
fn sentences(path: &std::path::Path) -> Vec<String> {
    let checked = portolan::command().args(["check", "-o", "json"]).arg(path).output().unwrap();
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let list: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    let errors = list.as_array().expect("a list").iter().filter(|one| one["severity"] == "error");
    errors.map(|one| one["message"].as_str().expect("a message").to_owned()).collect()
}

pub(super) fn is_valid(portolan: &Portolan, wanted: f64) {
    wait::eventually(wait::SOON, &format!("`portolan_config_valid` is {wanted}"), || {
        wait::check(
            portolan.metric("portolan_config_valid"),
            |valid| *valid == Some(wanted),
            |valid| format!("{valid:?}\n{}", portolan.log()),
        )
    });
}

#[test]
fn a_mistake_keeps_the_last_good_and_is_told_everywhere_in_the_same_words() {
    let world = World::new();
    let good = manifest::simple("bad", "bad.test", "a");
    world.documents.write("bad.yaml", &good);
    world.documents.write("good.yaml", &manifest::simple("good", "good.test", "a"));
    world.portolan.reaches("bad.test", "/", "a");
    for broken in [
        good.replace("hostnames", "hostname"),
        good.replace("port: 80", "port: 99999"),
        good.replace("rules: [", "rules: [["),
        good.replace("spec:", "spec: {}\nspec:"),
    ] {
        world.documents.write("bad.yaml", &broken);
        is_valid(&world.portolan, 0.0);
        world.documents.write("good.yaml", &manifest::simple("good", "fresh.test", "a"));
        world.portolan.reaches("fresh.test", "/", "a");
        assert_eq!(world.portolan.get("bad.test", "/").unwrap().status, 200, "the last good of {broken}");

        let said = sentences(world.documents.path());
        assert!(!said.is_empty(), "{broken}");
        let log = world.portolan.log();
        let status: Value = world.portolan.admin("/api/v1/status").unwrap().json();
        let ready = world.portolan.admin("/readyz").unwrap();
        assert_eq!(ready.status, 200, "an invalid document takes no proxy out of service");
        for sentence in &said {
            assert!(log.contains(sentence.as_str()), "the log lacks `{sentence}`: {log}");
            assert!(
                status["problems"].as_array().unwrap().iter().any(|problem| problem["message"] == **sentence),
                "the status lacks `{sentence}`: {status}"
            );
            assert!(ready.text().contains(sentence.as_str()), "`/readyz` lacks `{sentence}`: {ready}");
        }
        let object = world.object("routes", "bad");
        assert_eq!(object["metadata"]["annotations"]["portolan.dev/stale"], "true", "{object}");
        let table = world.portolan.shows(&["get", "routes"]);
        let line = table.lines().find(|line| line.contains("bad.test")).unwrap_or_else(|| panic!("{table}"));
        assert!(line.contains("(stale)") && table.contains(&said[0]), "{table}");

        world.documents.write("bad.yaml", &good);
        is_valid(&world.portolan, 1.0);
        world.documents.write("good.yaml", &manifest::simple("good", "good.test", "a"));
        world.portolan.reaches("good.test", "/", "a");
    }
    assert!(world.object("routes", "bad")["metadata"]["annotations"]["portolan.dev/stale"].is_null());
}

#[test]
fn a_mistake_in_one_document_leaves_the_others_of_its_file_alone() {
    let world = World::new();
    let (one, two) = (manifest::simple("one", "one.test", "a"), manifest::simple("two", "two.test", "a"));
    world.documents.write("both.yaml", &(one.clone() + &two));
    world.portolan.reaches("two.test", "/", "a");
    world
        .documents
        .write("both.yaml", &(one.replace("one.test", "new.test") + &two.replace("rules", "ruels")));
    world.portolan.reaches("new.test", "/", "a");
    assert_eq!(world.portolan.get("two.test", "/").unwrap().status, 200, "the last good");
    world.documents.write("both.yaml", &one);
    world.portolan.says("two.test", "/", 404);
}

#[test]
fn an_object_that_is_written_twice_is_an_error_that_names_both_places() {
    let world = World::new();
    world.documents.write("1.yaml", &manifest::simple("r", "one.test", "a"));
    world.portolan.reaches("one.test", "/", "a");
    world.documents.write("2.yaml", &manifest::simple("r", "two.test", "a"));
    is_valid(&world.portolan, 0.0);
    assert_eq!(world.portolan.get("one.test", "/").unwrap().status, 200, "the first stays");
    let said = sentences(world.documents.path()).join("\n");
    assert!(said.contains("1.yaml"), "{said}");
    world.documents.remove("2.yaml");
    is_valid(&world.portolan, 1.0);
    assert_eq!(world.portolan.get("two.test", "/").unwrap().status, 404);
}

#[test]
fn an_unknown_kind_is_skipped_and_not_fatal() {
    let world = World::new();
    let other = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {anything: [1, 2]}\n---\n";
    world.documents.write("mixed.yaml", &(other.to_owned() + &manifest::simple("r", "one.test", "a")));
    world.portolan.reaches("one.test", "/", "a");
    assert_eq!(world.portolan.metric("portolan_config_valid"), Some(1.0));
    let said = output(portolan::command().arg("check").arg(world.documents.path())).expect("exit 0");
    assert!(said.contains("`Deployment`") && said.contains("skipped"), "{said}");
}

#[test]
fn a_start_with_an_invalid_file_serves_the_valid_rest_and_says_so() {
    let (documents, a) = (Documents::new(), Backend::start("a"));
    let good = manifest::backend("a", a.address) + &manifest::simple("good", "good.test", "a");
    documents.write("good.yaml", &good);
    documents.write("bad.yaml", &manifest::simple("bad", "bad.test", "a"));
    let mut first = Portolan::builder().config(documents.path()).start();
    first.reaches("bad.test", "/", "a");
    first.kill();
    documents.write("bad.yaml", "kind: HTTPRoute\napiVersion: gateway.networking.k8s.io/v1\nmetadata: {name: bad}\nspec: {rules: [{backendRefs: 5}]}\n");
    // Without what the first may have kept.
    let second = Portolan::builder().config(documents.path()).start();
    second.reaches("good.test", "/", "a");
    assert_eq!(second.get("bad.test", "/").unwrap().status, 404);
    let ready = second.admin("/readyz").unwrap();
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("bad.yaml:4:"), "{ready}");
    is_valid(&second, 0.0);
}

#[test]
fn kinds_that_are_not_served_yet_say_so() {
    let world = World::new();
    let mut text = String::new();
    for (kind, spec) in [
        ("TLSRoute", "{hostnames: [t.test], rules: [{backendRefs: [{name: a, port: 80}]}]}"),
        ("TCPRoute", "{rules: [{backendRefs: [{name: a, port: 80}]}]}"),
        ("UDPRoute", "{rules: [{backendRefs: [{name: a, port: 80}]}]}"),
    ] {
        let version = if kind == "TLSRoute" { "v1" } else { "v1alpha2" };
        let name = kind.to_lowercase();
        let document = format!(
            "apiVersion: gateway.networking.k8s.io/{version}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n"
        );
        text.push_str(&document);
    }
    world.documents.write("later.yaml", &text);
    for kind in ["tlsroute", "tcproute", "udproute"] {
        let message = world.condition((kind, kind), ("Accepted", "False", "UnsupportedValue"));
        assert!(message.contains("is not served yet"), "{message}");
    }
    assert_eq!(world.portolan.metric("portolan_config_valid"), Some(1.0), "it is valid all the same");
}

#[test]
fn a_filter_that_is_not_served_yet_answers_500_and_says_so_and_the_other_rules_serve() {
    let world = World::new();
    let auth = "{matches: [{path: {value: /auth}}], filters: [{type: ExtensionRef, extensionRef: {group: portolan.dev, kind: Filter, name: auth}}], backendRefs: [{name: a, port: 80}]}";
    let rest = "{backendRefs: [{name: a, port: 80}]}";
    world.documents.write("r.yaml", &manifest::route("some", "some.test", &format!("[{auth}, {rest}]")));
    world.portolan.reaches("some.test", "/", "a");
    let answer = world.portolan.get("some.test", "/auth").unwrap();
    assert_eq!((answer.status, answer.backend()), (500, None), "never skipped: {answer}");
    let message = world.condition(("routes", "some"), ("PartiallyInvalid", "True", "UnsupportedValue"));
    assert!(message.starts_with("Dropped Rule") && message.contains("rules[0]"), "{message}");

    world.documents.write("r.yaml", &manifest::route("some", "some.test", &format!("[{auth}]")));
    let message = world.condition(("routes", "some"), ("Accepted", "False", "UnsupportedValue"));
    assert!(message.contains("filters by reference"), "{message}");
    assert_eq!(world.portolan.get("some.test", "/auth").unwrap().status, 500);
}

#[test]
fn a_backend_that_is_not_there_is_named_in_the_status() {
    let world = World::new();
    world.documents.write("r.yaml", &manifest::simple("r", "one.test", "missing"));
    let message = world.condition(("routes", "r"), ("ResolvedRefs", "False", "BackendNotFound"));
    assert!(message.contains("`missing`"), "{message}");
    assert_eq!(world.portolan.get("one.test", "/").unwrap().status, 500);
    world.documents.write("late.yaml", &manifest::backend("missing", world.a.address));
    world.portolan.reaches("one.test", "/", "a");
    world.condition(("routes", "r"), ("ResolvedRefs", "True", "ResolvedRefs"));
}

#[test]
fn the_last_good_survives_a_restart() {
    let mut world = World::new();
    let good = manifest::simple("bad", "bad.test", "a");
    world.documents.write("bad.yaml", &good);
    world.documents.write("down.yaml", &manifest::simple("down", "down.test", "a"));
    world.documents.write("gone.yaml", &manifest::simple("gone", "gone.test", "a"));
    for host in ["bad.test", "down.test", "gone.test"] {
        world.portolan.reaches(host, "/", "a");
    }
    world.documents.write("bad.yaml", &good.replace("hostnames", "hostname"));
    is_valid(&world.portolan, 0.0);
    let state = world.portolan.state_dir().join("documents.json");
    wait::eventually(wait::SOON, "the mistake is on disk", || {
        let text = std::fs::read_to_string(&state).map_err(|error| error.to_string())?;
        wait::check(text, |text| text.contains("hostname:") && text.contains("gone.test"), String::clone)
    });
    world.portolan.kill();
    // Broken, and removed, while nothing ran.
    world
        .documents
        .write("down.yaml", &manifest::simple("down", "down.test", "a").replace("port: 80", "port: 0"));
    world.documents.remove("gone.yaml");
    let second = Portolan::builder().config(world.documents.path()).after(world.portolan).start();
    for host in ["bad.test", "down.test"] {
        second.reaches(host, "/", "a");
    }
    assert_eq!(second.get("gone.test", "/").unwrap().status, 404);
    is_valid(&second, 0.0);
    assert!(second.client(&["get", "httproute", "down", "-o", "yaml"]).unwrap().contains("stale"));
}
