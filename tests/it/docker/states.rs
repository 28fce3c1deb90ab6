//! What happens to a container while requests come: health, pause, restart, rename, networks, stop, removal.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{becomes, harbour, harbour_with, has, host, logged, told};
use crate::support::{engine::Engine, http::Response, portolan::Portolan, unique, wait};

/// A 503 of a service that is not there now: nobody may keep it.
#[track_caller]
fn is_unavailable(answer: &Response) {
    assert_eq!(answer.status, 503, "{answer}");
    assert!(answer.header("retry-after").is_some(), "{answer}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
}

/// Asks all the time while `act` runs and until `settled` says so; every status that was seen.
fn statuses(
    portolan: &Portolan,
    host: &str,
    act: impl FnOnce() + Send,
    settled: impl Fn(&Response) -> bool,
) -> Vec<u16> {
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let work = scope.spawn(act);
        wait::eventually(wait::SOON, "it settles", || {
            let is_over = work.is_finished();
            let answer = portolan.get(host, "/").map_err(|error| error.to_string())?;
            seen.push(answer.status);
            wait::check(answer, |answer| is_over && settled(answer), Response::to_string)
        });
        work.join().unwrap();
    });
    seen
}

#[test]
fn docker_health_decides_who_gets_requests_and_the_route_stays() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").with_health().port(8080).environment("HEALTH", "off");
    // A start period keeps it `starting` while its checks fail.
    let web = web.options(["--health-start-period", "1h"]).start();
    let words = told(&portolan, &web.name, "Starting");
    has(&words, &["HEALTHCHECK", "docker inspect"]);
    is_unavailable(&portolan.says(&host(&web.name), "/", 503));
    logged(&portolan, "HEALTHCHECK has not succeeded yet");

    web.health(8080, "on");
    portolan.reaches(&host(&web.name), "/", &web.name);
    web.health(8080, "off");
    is_unavailable(&portolan.says(&host(&web.name), "/", 503));
    let words = told(&portolan, &web.name, "Unhealthy");
    has(&words, &["HEALTHCHECK fails"]);
    let shown = becomes(&portolan, &web.name, "unhealthy", |item| item["status"]["health"] == "unhealthy");
    assert_eq!(shown["status"]["routed"], false);
    web.health(8080, "on");
    portolan.reaches(&host(&web.name), "/", &web.name);
    assert!(!portolan.log().contains(" 404 "), "the route was always there");
}

#[test]
fn docker_an_unhealthy_replica_leaves_the_work_to_the_other() {
    let Some((engine, portolan)) = harbour() else { return };
    let name = format!("{}.example.com", unique("pair"));
    let make = || engine.container("web").with_health().port(8080).label("portolan.host", &name).start();
    let (one, two) = (make(), make());
    super::all_answer(&portolan, &name, &[&one.name, &two.name]);
    one.health(8080, "off");
    wait::eventually(wait::SOON, "the healthy one serves alone", || {
        let shares = super::shares(&portolan, &name, 8);
        wait::check(shares, |shares| shares.len() == 1, |shares| format!("{shares:?}"))
    });
    one.health(8080, "on");
    super::all_answer(&portolan, &name, &[&one.name, &two.name]);
}

#[test]
fn docker_a_paused_container_gets_no_requests_until_it_goes_on() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").port(8080).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
    web.docker("pause");
    is_unavailable(&portolan.says(&host(&web.name), "/", 503));
    has(&told(&portolan, &web.name, "Paused"), &["is paused", "`docker unpause"]);
    web.docker("unpause");
    portolan.reaches(&host(&web.name), "/", &web.name);
}

#[test]
fn docker_a_restart_is_waited_for() {
    let Some((engine, portolan)) = harbour_with(&["--hold", "15s"]) else { return };
    let web = engine.container("web").port(8080).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
    let started = web.inspect("{{.State.StartedAt}}");
    let seen = statuses(
        &portolan,
        &host(&web.name),
        || drop(web.docker("restart --time 5")),
        |answer| answer.status == 200,
    );
    assert_ne!(web.inspect("{{.State.StartedAt}}"), started);
    assert!(seen.iter().all(|status| *status == 200), "every request is served: {seen:?}");
}

#[test]
fn docker_a_renamed_container_answers_to_its_new_name_only() {
    let Some((engine, portolan)) = harbour_with(&["--hold", "0s", "--removal-delay", "1s"]) else { return };
    let web = engine.container("web").port(8080).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
    let fresh = unique("fresh");
    web.rename(&fresh);
    portolan.reaches(&host(&fresh), "/", &web.name);
    portolan.says(&host(&web.name), "/", 404);
    becomes(&portolan, &fresh, "under its new name", |item| item["status"]["routed"] == true);
}

#[test]
fn docker_networks_that_come_and_go_are_followed() {
    let Some((engine, portolan)) = harbour() else { return };
    let (first, second) = (engine.network("first"), engine.network("second"));
    let web = engine.container("web").port(8080).network(&first).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
    web.disconnect(&first);
    is_unavailable(&portolan.says(&host(&web.name), "/", 503));
    has(&told(&portolan, &web.name, "NoAddress"), &["is on no network"]);
    web.connect(&second);
    portolan.reaches(&host(&web.name), "/", &web.name);
    drop((web, first, second));
}

#[test]
fn docker_a_stopped_container_is_a_503_and_never_a_404() {
    let Some((engine, portolan)) = harbour_with(&["--hold", "0s", "--removal-delay", "1s"]) else { return };
    let web = engine.container("web").port(8080).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
    let seen = statuses(
        &portolan,
        &host(&web.name),
        || drop(web.docker("stop --time 5")),
        |answer| answer.status == 503,
    );
    // A request that went into the closing socket had no other replica to be tried on: 502.
    assert!(seen.iter().all(|status| matches!(status, 200 | 502 | 503)), "{seen:?}");
    has(&told(&portolan, &web.name, "Exited"), &["has exited", "`docker start"]);
    wait::throughout(Duration::from_millis(1500), "its route stays", || {
        let answer = portolan.get(&host(&web.name), "/").map_err(|error| error.to_string())?;
        wait::check(answer, |answer| answer.status == 503, Response::to_string)
    });
    web.docker("start");
    portolan.reaches(&host(&web.name), "/", &web.name);
}

#[test]
fn docker_a_container_made_anew_within_the_removal_delay_is_waited_for() {
    let Some((engine, portolan)) = harbour_with(&["--hold", "15s"]) else { return };
    let web = engine.container("web").port(8080).start();
    let (name, address) = (web.name.clone(), host(&web.name));
    portolan.reaches(&address, "/", &name);
    let made = Mutex::new(vec![web]);
    for _ in 0..3 {
        let again = || {
            engine.must(["stop", "--time", "5", &name]);
            engine.must(["rm", &name]);
            made.lock().unwrap().push(engine.container("web").named(&name).port(8080).start());
        };
        let seen = statuses(&portolan, &address, again, |answer| answer.status == 200);
        assert!(seen.iter().all(|status| *status == 200), "every request is served: {seen:?}");
    }
}

#[test]
fn docker_a_request_waits_no_longer_than_the_hold() {
    let Some((engine, portolan)) = harbour_with(&["--hold", "300ms"]) else { return };
    let web = engine.container("web").port(8080).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
    drop(web.docker("stop --time 5"));
    let begun = Instant::now();
    is_unavailable(&portolan.get(&host(&web.name), "/").unwrap());
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn docker_the_name_of_a_removed_container_ends_after_the_removal_delay() {
    let Some((engine, portolan)) = harbour_with(&["--hold", "0s", "--removal-delay", "1s"]) else { return };
    for _ in 0..3 {
        let web = engine.container("web").port(8080).start();
        let (name, address) = (web.name.clone(), host(&web.name));
        portolan.reaches(&address, "/", &name);
        let begun = Instant::now();
        let seen = statuses(&portolan, &address, || drop(web), |answer| answer.status == 404);
        let took = begun.elapsed();
        let first = seen.iter().position(|status| *status == 404).unwrap();
        assert_eq!(first, seen.len() - 1, "at first it is only unavailable: {seen:?}");
        assert!(seen.contains(&503), "{seen:?}");
        assert!(took >= Duration::from_secs(1), "{took:?}");
    }
}

#[test]
fn docker_a_container_that_never_ran_leaves_nothing_behind() {
    let Some(engine) = Engine::local() else { return };
    let web = engine.container("web").port(8080).create();
    let Some((_, portolan)) = harbour() else { return };
    becomes(&portolan, &web.name, "as created", |item| item["status"]["phase"] == "created");
    let address = host(&web.name);
    let removed = || {
        drop(web);
        // A second container shows that the events before its own have been dealt with.
        let mark = engine.container("mark").port(8080).start();
        portolan.reaches(&host(&mark.name), "/", &mark.name);
    };
    let seen = statuses(&portolan, &address, removed, |_| true);
    assert!(seen.iter().all(|status| *status == 404), "{seen:?}");
}

#[test]
fn docker_a_signal_that_does_not_stop_takes_nothing_out() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").port(8080).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
    // Process 1 of a container gets only the signals that it handles: it lives on, as a server that reloads.
    for signal in ["HUP", "WINCH"] {
        web.docker(&format!("kill -s {signal}"));
    }
    // A second container shows that the events before its own have been dealt with.
    let mark = engine.container("mark").port(8080).start();
    portolan.reaches(&host(&mark.name), "/", &mark.name);
    let answer = portolan.get(&host(&web.name), "/").unwrap();
    assert_eq!(answer.backend(), Some(&*web.name), "{answer}");
    let shown = becomes(&portolan, &web.name, "at all", |_| true);
    assert_eq!(shown["status"]["phase"], "running");
}

#[test]
fn docker_a_container_told_to_stop_gets_nothing_new_while_it_runs_on() {
    let Some((engine, portolan)) = harbour() else { return };
    let web = engine.container("web").environment("STOP", "ignore").port(8080).start();
    portolan.reaches(&host(&web.name), "/", &web.name);
    web.docker("kill -s TERM");
    is_unavailable(&portolan.says(&host(&web.name), "/", 503));
    has(&told(&portolan, &web.name, "Terminating"), &["told to stop"]);
    assert_eq!(web.inspect("{{.State.Status}}"), "running");
}
