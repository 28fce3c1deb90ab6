//! What happens to one of two replicas is not noticed: the other one serves.

use super::{
    HOLD, Load, Scene,
    load::{ALL, REPEATABLE, Way},
};
use crate::support::container::{Builder, Container};

/// Does something to one of two replicas, and then to the other one, and so on.
fn in_turns(
    rounds: usize,
    ways: &[Way],
    with: impl Fn(&Scene, Builder) -> Builder,
    act: impl Fn(&Scene, [&Container; 2], &Load),
) {
    let Some(scene) = Scene::start() else { return };
    let pair = [(); 2].map(|()| with(&scene, scene.replica()).start());
    let load = scene.load(ways, &[&pair[0], &pair[1]]);
    for round in 0..rounds {
        act(&scene, [&pair[round % 2], &pair[(round + 1) % 2]], &load);
    }
    load.ends(HOLD);
}

fn as_it_is(_: &Scene, replica: Builder) -> Builder {
    replica
}

fn stop(scene: &Scene, [one, _]: [&Container; 2], load: &Load) {
    scene.tell(one, "stop?t=10");
    load.goes_on();
    scene.tell(one, "start");
    load.reaches(&one.name);
}

#[test]
fn drop_one_of_two_is_stopped() {
    in_turns(20, &ALL, as_it_is, stop);
}

#[test]
fn drop_one_of_two_closes_its_connections_when_told_to_stop() {
    in_turns(10, &REPEATABLE, |scene, _| scene.hasty(), stop);
}

#[test]
fn drop_one_of_two_exits_at_once_when_told_to_stop() {
    // What it was doing is lost with it; only what may be done twice can be done again.
    in_turns(20, &REPEATABLE, |scene, _| scene.hasty().environment("STOP", "abrupt"), stop);
}

#[test]
fn drop_one_of_two_is_killed() {
    in_turns(20, &REPEATABLE, as_it_is, |scene, [one, _], load| {
        scene.tell(one, "kill");
        load.goes_on();
        scene.tell(one, "start");
        load.reaches(&one.name);
    });
}

#[test]
fn drop_one_of_two_is_restarted() {
    in_turns(20, &ALL, as_it_is, |scene, [one, _], load| {
        scene.tell(one, "restart?t=10");
        load.reaches(&one.name);
    });
}

#[test]
fn drop_one_of_two_is_paused() {
    in_turns(20, &ALL, as_it_is, |scene, [one, other], load| {
        scene.tell(one, "pause");
        // What the paused one was doing waits for it; the rest goes to the other one.
        load.reaches(&other.name);
        scene.tell(one, "unpause");
        load.goes_on();
        load.reaches(&one.name);
    });
}

#[test]
fn drop_one_of_two_is_unhealthy_for_a_while() {
    in_turns(
        6,
        &ALL,
        |_, replica| replica.with_health(),
        |_, [one, _], load| {
            one.health(8080, "off");
            load.goes_on();
            one.health(8080, "on");
            load.reaches(&one.name);
        },
    );
}

#[test]
fn drop_one_of_two_leaves_its_network_for_a_while() {
    let Some(scene) = Scene::start() else { return };
    let network = scene.engine.network("drop");
    let pair = [(); 2].map(|()| scene.replica().network(&network).start());
    let load = scene.load(&ALL, &[&pair[0], &pair[1]]);
    for round in 0..8 {
        let one = &pair[round % 2];
        one.disconnect(&network);
        one.connect(&network);
        load.goes_on();
        load.reaches(&one.name);
    }
    load.ends(HOLD);
    drop((pair, network));
}

#[test]
fn drop_replicas_come_and_go() {
    let Some(scene) = Scene::start() else { return };
    let first = scene.replica().start();
    let load = scene.load(&ALL, &[&first]);
    for _ in 0..4 {
        let more = [(); 2].map(|()| scene.replica().start());
        for one in &more {
            load.reaches(&one.name);
        }
        for one in &more {
            scene.tell(one, "stop?t=10");
        }
    }
    load.ends(HOLD);
}
