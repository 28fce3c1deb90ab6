//! What is told of a container that serves and should not be left like that, or that does not serve and why.

use serde_json::Value;

use super::{becomes, harbour, harbour_with, has, host, told};
use crate::support::{engine::Engine, wait};

/// Waits until the container is shown as left alone for that reason; `get` says the words, too.
#[track_caller]
fn left_alone(portolan: &crate::support::portolan::Portolan, container: &str, reason: &str) -> String {
    let why = |item: &Value| item["status"]["leftAlone"].clone();
    let item = becomes(portolan, container, reason, |item| why(item)["reason"] == reason);
    let message = why(&item)["message"].as_str().unwrap().to_owned();
    assert_eq!(item["status"]["problems"].as_array().map(Vec::len), Some(0), "{item}");
    for arguments in [["get", "containers", container], ["explain", container, "-o=text"]] {
        let shown = portolan.shows(&arguments);
        assert!(shown.contains(&message), "{arguments:?} says `{message}`: {shown}");
    }
    message
}

#[test]
fn docker_what_nothing_is_made_of_says_why() {
    let Some((engine, portolan)) = harbour() else { return };
    let created = engine.container("created").port(8080).create();
    has(&left_alone(&portolan, &created.name, "NotStarted"), &["`docker start "]);
    let disabled = engine.container("disabled").port(8080).label("portolan.enable", "false").start();
    has(&left_alone(&portolan, &disabled.name, "Disabled"), &["`portolan.enable`"]);
    let one_off = engine.container("run").port(8080).label("com.docker.compose.oneoff", "True").start();
    has(&left_alone(&portolan, &one_off.name, "OneOff"), &["`docker compose run`"]);
    created.docker("start");
    portolan.reaches(&host(&created.name), "/", &created.name);
    becomes(&portolan, &created.name, "as any other", |item| item["status"]["leftAlone"].is_null());
}

#[test]
fn docker_what_is_not_exposed_by_default_says_so() {
    let Some((engine, portolan)) = harbour_with(&["--expose-by-default=false"]) else { return };
    let quiet = engine.container("quiet").port(8080).start();
    has(&left_alone(&portolan, &quiet.name, "NotEnabled"), &["`portolan.enable=true`"]);
}

#[test]
fn docker_a_port_that_is_published_on_the_host_too_is_told() {
    let Some((engine, portolan)) = harbour() else { return };
    let open = engine.container("open").port(8080).options(["--publish", "8080"]).start();
    has(&told(&portolan, &open.name, "PublishedPort"), &["port 8080", "bypass the proxy", "127.0.0.1:"]);
    portolan.reaches(&host(&open.name), "/", &open.name);
    let closed = engine.container("closed").port(8080).options(["--publish", "127.0.0.1::8080"]).start();
    portolan.reaches(&host(&closed.name), "/", &closed.name);
    let item = becomes(&portolan, &closed.name, "routed", |item| item["status"]["routed"] == true);
    assert_eq!(item["status"]["problems"].as_array().map(Vec::len), Some(0), "{item}");
}

#[test]
fn docker_who_waits_for_a_check_is_told_when_the_next_one_is() {
    let Some(engine) = Engine::local() else { return };
    let Some((_, portolan)) = harbour() else { return };
    let web = engine.container("web").with_health().port(8080).environment("HEALTH", "off");
    let web = web.options(["--health-interval", "7s", "--health-start-period", "1h"]).start();
    has(&told(&portolan, &web.name, "Starting"), &["has not succeeded yet; it runs every 7 s"]);
    for arguments in [["get", "endpoints", &*web.name], ["explain", &*host(&web.name), "-o=text"]] {
        wait::eventually(wait::SOON, &format!("{arguments:?} tells the time until the next check"), || {
            let shown = portolan.shows(&arguments);
            let until = shown.split("(next check in ").nth(1).and_then(|rest| rest.split(" s)").next());
            let until = until.and_then(|text| text.parse::<u32>().ok());
            wait::check(until, |until| until.is_some_and(|until| (1..=7).contains(&until)), |_| shown.clone())
        });
    }
}
