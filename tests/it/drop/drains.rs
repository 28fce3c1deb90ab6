//! `portolan drain`: a container is taken out of service, and nobody notices.

use super::{
    HOLD, ROUNDS,
    acting::{Acting, Allowed, Tunnel},
    load::ALL,
};
use crate::support::{container::Container, process::Process, wait};

#[test]
fn drop_one_of_two_is_drained_and_stopped() {
    let Some(acting) = Acting::start(Allowed::Everything) else { return };
    let scene = &acting.scene;
    // One that closes what is idle as soon as it is told to stop: by then nothing may be under way.
    let pair = [(); 2].map(|()| scene.hasty().start());
    let load = scene.load(&ALL, &[&pair[0], &pair[1]]);
    for round in 0..ROUNDS {
        let one = &pair[round % 2];
        acting.runs(&["drain", &one.name, "--then-stop"]).is(0, &["gets no new requests", "is stopped"]);
        assert_eq!(one.inspect("{{.State.Running}}"), "false");
        load.goes_on();
        scene.tell(one, "start");
        load.reaches(&one.name);
    }
    load.ends(HOLD).agrees_with(|| pair.iter().map(Container::logs).collect());
}

#[test]
fn drop_a_drain_is_taken_back_and_shown_everywhere() {
    let Some(acting) = Acting::start(Allowed::Drains) else { return };
    let scene = &acting.scene;
    let pair = [(); 2].map(|()| scene.replica().start());
    let load = scene.load(&ALL, &[&pair[0], &pair[1]]);
    let name = &*pair[0].name;
    for _ in 0..3 {
        acting.runs(&["drain", name]).is(0, &["nothing is under way"]);
        for shown in
            [&["get", "containers", name][..], &["get", "endpoints"], &["describe", "container", name]]
        {
            let shown = scene.portolan.shows(shown);
            assert!(shown.contains("draining") || shown.contains("Draining"), "{shown}");
        }
        let url = format!("http://{}/", scene.host);
        let explained = scene.portolan.shows(&["explain", &url]);
        assert!(explained.contains("draining"), "{explained}");
        assert!(
            scene.portolan.shows(&["get", "containers", name]).contains("drain --cancel"),
            "the way back"
        );
        assert_eq!(pair[0].inspect("{{.State.Running}}"), "true");
        load.goes_on();
        acting.runs(&["drain", "--cancel", name]).is(0, &["gets requests again"]);
        load.reaches(name);
    }
    acting.runs(&["drain", "--cancel", name]).is(1, &["is not being drained"]);
    load.ends(HOLD);
}

#[test]
fn drop_what_is_under_way_is_waited_for_and_told() {
    let Some(acting) = Acting::start(Allowed::Everything) else { return };
    let scene = &acting.scene;
    let old = scene.replica().start();
    let load = scene.load(&ALL, &[&old]);
    let mut tunnel = Tunnel::open(scene.portolan.http, &scene.host);
    let new = scene.replica().start();
    load.reaches(&new.name);
    let late = acting.runs(&["drain", &old.name, "--then-stop", "--timeout", "500ms"]);
    late.is(3, &["still has 1 request under way", "was not stopped"]);
    assert_eq!(old.inspect("{{.State.Running}}"), "true");
    tunnel.lives();
    let mut again = Process::start(&mut acting.command(&["drain", &old.name, "--then-stop"]));
    again.line("it waits", |line| line.contains("waiting for 1 request").then_some(()));
    tunnel.lives();
    drop(tunnel);
    assert_eq!(again.wait(wait::SOON).code(), Some(0), "{:?}", again.lines());
    assert_eq!(old.inspect("{{.State.Running}}"), "false");
    load.ends(HOLD);
}

#[test]
fn drop_the_last_endpoint_is_drained_only_by_force_and_its_requests_wait() {
    let Some(acting) = Acting::start(Allowed::Drains) else { return };
    let scene = &acting.scene;
    let one = scene.replica().start();
    let load = scene.load(&ALL, &[&one]);
    let refused = acting.runs(&["drain", &one.name]);
    refused.is(1, &["is the only ready endpoint of", "`--force`"]);
    load.reaches(&one.name);
    for _ in 0..3 {
        acting.runs(&["drain", "--force", &one.name]).is(0, &["nothing is under way"]);
        acting.runs(&["drain", "--cancel", &one.name]).is(0, &["gets requests again"]);
        load.reaches(&one.name);
    }
    // A drain ends with the run of the container that it is about.
    acting.runs(&["drain", "--force", &one.name]).is(0, &[]);
    scene.tell(&one, "restart?t=10");
    load.reaches(&one.name);
    load.ends(HOLD);
}

#[test]
fn drop_what_is_not_allowed_is_refused_with_what_to_do() {
    let Some(acting) = Acting::start(Allowed::Nothing) else { return };
    let one = acting.scene.replica().start();
    acting.scene.portolan.reaches(&acting.scene.host, "/", &one.name);
    acting.runs(&["drain", &one.name]).is(2, &["start it with `--admin-token-file FILE`"]);
    drop((one, acting));

    let Some(acting) = Acting::start(Allowed::Drains) else { return };
    let pair = [(); 2].map(|()| acting.scene.replica().start());
    acting.scene.load(&ALL, &[&pair[0], &pair[1]]).ends(HOLD);
    let one = &pair[0];
    let refused = acting.runs(&["drain", &one.name, "--then-stop"]);
    refused.is(2, &["start it with `--allow-container-actions`"]);
    runs_undrained(&acting, one);
    let mut unknown = acting.command(&["drain", &one.name]);
    unknown.env_remove("PORTOLAN_ADMIN_TOKEN_FILE");
    let output = unknown.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("PORTOLAN_ADMIN_TOKEN_FILE"), "{said}");
    runs_undrained(&acting, one);
    acting.runs(&["drain", "nobody"]).is(1, &["there is no container `nobody`"]);
}

#[track_caller]
fn runs_undrained(acting: &Acting, one: &Container) {
    assert_eq!(one.inspect("{{.State.Running}}"), "true");
    wait::eventually(wait::SOON, "it serves", || {
        let shown = acting.scene.portolan.shows(&["get", "containers", &one.name]);
        wait::check(shown, |shown| shown.contains("running") && !shown.contains("drain"), String::clone)
    });
}
