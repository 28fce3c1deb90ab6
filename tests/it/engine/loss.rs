//! An engine that was there and is lost, wholly or in part.

use std::time::Duration;

use super::{CONVERGED, NOTICED, connected, host, ready_with, source, within};
use crate::support::{
    engine::Engine,
    portolan::Portolan,
    private_engine::PrivateEngine,
    socket_proxy::{Mode, SocketProxy},
    wait,
};

const DRIFT: &str = "portolan_source_drift_total{source=\"docker\"}";

#[test]
fn an_engine_that_goes_leaves_the_routes_and_is_caught_up_with_when_it_returns() {
    let Some(private) = PrivateEngine::start() else { return };
    let (kept, stopped) = (
        private.engine.container("kept").port(8080).start(),
        private.engine.container("stopped").port(8080).start(),
    );
    let portolan = Portolan::builder()
        .docker(private.engine.url())
        .arguments(["--hold", "0s", "--removal-delay", "0s"])
        .start();
    portolan.reaches(&host(&kept.name), "/", &kept.name);
    portolan.reaches(&host(&stopped.name), "/", &stopped.name);
    for signal in ["TERM", "KILL"] {
        private.end(signal);
        connected(&portolan, false);
        let said = ready_with(&portolan, "source `docker` is lost since ");
        assert!(!said.contains("since its start"), "{said}");
        let reached = portolan.get(&host(&kept.name), "/").unwrap();
        assert_eq!(
            (reached.status, reached.backend()),
            (200, Some(&*kept.name)),
            "after {signal}: {reached}"
        );
        private.resume();
        let begun = wait::now();
        connected(&portolan, true);
        within(CONVERGED, "the engine is back", begun.elapsed());
        let late = private.engine.container("late").port(8080).start();
        portolan.reaches(&host(&late.name), "/", &late.name);
        portolan.reaches(&host(&kept.name), "/", &kept.name);
    }
    stopped.docker("rm --force");
    portolan.says(&host(&stopped.name), "/", 404);
    let log = portolan.log();
    let lost = log.lines().filter(|line| line.contains("lost:")).count();
    assert!((2..=6).contains(&lost), "a loss is told once, not at every try: {log}");
}

#[test]
fn what_changes_while_the_engine_cannot_be_reached_is_caught_up_with() {
    let Some(engine) = Engine::local() else { return };
    let proxy = SocketProxy::start(&engine);
    let (kept, gone, paused) = (
        engine.container("kept").port(8080).start(),
        engine.container("gone").port(8080).start(),
        engine.container("paused").port(8080).start(),
    );
    let portolan =
        Portolan::builder().docker(proxy.url()).arguments(["--hold", "0s", "--removal-delay", "0s"]).start();
    for container in [&kept, &gone, &paused] {
        portolan.reaches(&host(&container.name), "/", &container.name);
    }
    proxy.mode(Mode::Refuse);
    proxy.cut();
    connected(&portolan, false);
    gone.docker("rm --force");
    paused.docker("pause");
    let late = engine.container("late").port(8080).start();
    assert_eq!(portolan.get(&host(&kept.name), "/").unwrap().status, 200);
    assert_eq!(portolan.get(&host(&late.name), "/").unwrap().status, 404);
    proxy.mode(Mode::Pass);
    let begun = wait::now();
    portolan.reaches(&host(&late.name), "/", &late.name);
    portolan.says(&host(&gone.name), "/", 404);
    portolan.says(&host(&paused.name), "/", 503);
    within(CONVERGED, "other containers are known", begun.elapsed());
    connected(&portolan, true);
    assert_eq!(source(&portolan)["connected"], true);
    paused.docker("unpause");
    portolan.reaches(&host(&paused.name), "/", &paused.name);
}

#[test]
fn lost_events_are_found_by_the_next_full_list_and_counted() {
    let Some(engine) = Engine::local() else { return };
    let proxy = SocketProxy::start(&engine);
    let gone = engine.container("gone").port(8080).start();
    let portolan = Portolan::builder()
        .docker(proxy.url())
        .arguments(["--hold", "0s", "--removal-delay", "0s", "--resync", "2s"])
        .start();
    portolan.reaches(&host(&gone.name), "/", &gone.name);
    let before = portolan.metric(DRIFT).unwrap_or(0.0);
    proxy.mode(Mode::LoseEvents);
    let late = engine.container("late").port(8080).start();
    gone.docker("rm --force");
    portolan.reaches(&host(&late.name), "/", &late.name);
    portolan.says(&host(&gone.name), "/", 404);
    let after = portolan.metric(DRIFT).unwrap_or(0.0);
    assert!(after >= before + 2.0, "{before} → {after}: {}", portolan.log());
    assert!(portolan.log().contains("drift"), "{}", portolan.log());
}

#[test]
fn a_cut_of_the_event_stream_loses_nothing() {
    let Some(engine) = Engine::local() else { return };
    let proxy = SocketProxy::start(&engine);
    let portolan =
        Portolan::builder().docker(proxy.url()).arguments(["--hold", "0s", "--removal-delay", "0s"]).start();
    for round in 0..4 {
        proxy.cut();
        let container = engine.container("web").port(8080).start();
        if round % 2 == 0 {
            proxy.cut();
        }
        portolan.reaches(&host(&container.name), "/", &container.name);
        container.docker("rm --force");
        portolan.says(&host(&container.name), "/", 404);
    }
    connected(&portolan, true);
}

#[test]
fn a_connection_that_is_dead_without_a_word_is_noticed() {
    let Some(engine) = Engine::local() else { return };
    let proxy = SocketProxy::start(&engine);
    let kept = engine.container("kept").port(8080).start();
    let portolan =
        Portolan::builder().docker(proxy.url()).arguments(["--hold", "0s", "--removal-delay", "0s"]).start();
    portolan.reaches(&host(&kept.name), "/", &kept.name);
    proxy.mode(Mode::Stall);
    let begun = wait::now();
    let late = engine.container("late").port(8080).start();
    wait::eventually(wait::SOON * 3, "the silence is noticed", || {
        let value = portolan.metric("portolan_source_connected{source=\"docker\"}");
        wait::check(value, |value| *value == Some(0.0), |value| format!("{value:?}\n{}", portolan.log()))
    });
    within(NOTICED, "the silence is noticed", begun.elapsed());
    assert_eq!(portolan.get(&host(&kept.name), "/").unwrap().status, 200);
    proxy.mode(Mode::Pass);
    wait::eventually(wait::SOON * 2, "it converges", || {
        let answer = portolan.get(&host(&late.name), "/").map_err(|error| error.to_string())?;
        wait::check(answer, |answer| answer.status == 200, ToString::to_string)
    });
    connected(&portolan, true);
}

#[test]
fn an_endpoint_that_a_filter_refuses_is_named_and_the_rest_goes_on() {
    let Some(engine) = Engine::local() else { return };
    for (denied, kept_up) in [
        ("/events", true),
        ("/networks", true),
        ("/info", true),
        ("/version", false),
        ("/containers/json", false),
    ] {
        let proxy = SocketProxy::start(&engine);
        proxy.deny(denied);
        let before = engine.container("before").port(8080).start();
        let portolan = Portolan::builder()
            .docker(proxy.url())
            .arguments(["--hold", "0s", "--removal-delay", "0s"])
            .start();
        if kept_up {
            portolan.reaches(&host(&before.name), "/", &before.name);
            let after = engine.container("after").port(8080).start();
            portolan.reaches(&host(&after.name), "/", &after.name);
        } else {
            connected(&portolan, false);
        }
        let asked = proxy.requests().iter().any(|request| request.contains(denied));
        if asked {
            wait::eventually(wait::SOON, &format!("the log names `{denied}`"), || {
                let log = portolan.log();
                wait::check(
                    log,
                    |log| {
                        log.contains(&format!("GET {denied}"))
                            && log.contains("is refused by the socket proxy; allow `")
                    },
                    String::clone,
                )
            });
        }
        let writes = proxy
            .requests()
            .into_iter()
            .filter(|request| !request.starts_with("GET ") && !request.starts_with("HEAD "));
        assert_eq!(writes.collect::<Vec<_>>(), Vec::<String>::new(), "the engine is only read");
        if !kept_up {
            proxy.allow_all();
            portolan.reaches(&host(&before.name), "/", &before.name);
        }
        drop(portolan);
    }
}

#[test]
fn the_log_is_silent_while_an_engine_stays_away() {
    let Some(engine) = Engine::local() else { return };
    let proxy = SocketProxy::start(&engine);
    let portolan = Portolan::builder().docker(proxy.url()).start();
    connected(&portolan, true);
    proxy.mode(Mode::Refuse);
    proxy.cut();
    connected(&portolan, false);
    let lines = || portolan.process.lines();
    let after = wait::eventually(wait::SOON, "the loss is told", || {
        wait::check(lines(), |lines| lines.iter().any(|line| line.contains("lost")), |lines| lines.join("\n"))
    });
    let mut most = after.len();
    wait::throughout(Duration::from_secs(4), "few more words", || {
        most = most.max(lines().len());
        wait::check(most, |most| *most <= after.len() + 2, |_| lines().join("\n"))
    });
}
