//! What happens to one of two replicas is not noticed: the other one serves.

use super::{HOLD, Load, ROUNDS, Scene, load::ALL};
use crate::support::{
    container::{Builder, Container},
    wait,
};

/// What may become of requests whose backend ends without a word.
#[derive(Clone, Copy)]
enum Fate {
    /// All are served.
    Served,
    /// A POST may have been done and has no answer: it is not sent again. At most one of each client's each time.
    Lost,
}

/// Does something to one of two replicas, and then to the other one, and so on.
fn in_turns(
    fate: Fate,
    with: impl Fn(&Scene, Builder) -> Builder,
    act: impl Fn(&Scene, [&Container; 2], &Load),
) {
    let Some(scene) = Scene::start() else { return };
    let pair = [(); 2].map(|()| with(&scene, scene.replica()).start());
    let load = scene.load(&ALL, &[&pair[0], &pair[1]]);
    for round in 0..ROUNDS {
        act(&scene, [&pair[round % 2], &pair[(round + 1) % 2]], &load);
    }
    let most = match fate {
        Fate::Served => 0,
        Fate::Lost => ROUNDS * ALL.len(),
    };
    let ledger = load.ends_but_for(most, HOLD);
    ledger.agrees_with(|| pair.iter().map(Container::logs).collect());
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
    in_turns(Fate::Served, as_it_is, stop);
}

#[test]
fn drop_one_of_two_closes_its_connections_when_told_to_stop() {
    in_turns(Fate::Lost, |scene, _| scene.hasty(), stop);
}

#[test]
fn drop_one_of_two_exits_at_once_when_told_to_stop() {
    // What it was doing is lost with it.
    in_turns(Fate::Lost, |scene, _| scene.hasty().environment("STOP", "abrupt"), stop);
}

#[test]
fn drop_one_of_two_is_killed() {
    in_turns(Fate::Lost, as_it_is, |scene, [one, _], load| {
        scene.tell(one, "kill");
        load.goes_on();
        scene.tell(one, "start");
        load.reaches(&one.name);
    });
}

#[test]
fn drop_one_of_two_is_restarted() {
    in_turns(Fate::Served, as_it_is, |scene, [one, _], load| {
        scene.tell(one, "restart?t=10");
        load.reaches(&one.name);
    });
}

#[test]
fn drop_one_of_two_is_paused() {
    in_turns(Fate::Served, as_it_is, |scene, [one, other], load| {
        scene.tell(one, "pause");
        // What the paused one was doing waits for it, and that may be all of the load. Whoever asks now goes to the
        // other one.
        wait::eventually(wait::SOON, "Portolan knows that it is paused", || {
            let answer = scene.portolan.admin(&format!("/api/v1/containers?name={}", one.name));
            let text = answer.map_err(|error| error.to_string())?.text();
            wait::check(text, |text| text.contains("\"paused\""), String::clone)
        });
        assert_eq!(scene.portolan.get(&scene.host, "/").unwrap().backend(), Some(&*other.name));
        scene.tell(one, "unpause");
        load.goes_on();
        load.reaches(&one.name);
    });
}

#[test]
fn drop_one_of_two_is_unhealthy_for_a_while() {
    in_turns(
        Fate::Served,
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
    for round in 0..ROUNDS {
        let one = &pair[round % 2];
        one.disconnect(&network);
        one.connect(&network);
        load.goes_on();
        load.reaches(&one.name);
    }
    load.ends(HOLD).agrees_with(|| pair.iter().map(Container::logs).collect());
    drop((pair, network));
}

#[test]
fn drop_one_of_two_is_replaced_by_a_newer_one() {
    let Some(scene) = Scene::start() else { return };
    let mut all: Vec<Container> = (0..2).map(|_| scene.replica().start()).collect();
    let load = scene.load(&ALL, &[&all[0], &all[1]]);
    for round in 0..ROUNDS {
        let newer = scene.replica().start();
        load.reaches(&newer.name);
        all.push(newer);
        scene.tell(&all[round], "stop?t=10");
        load.goes_on();
    }
    load.ends(HOLD).agrees_with(|| all.iter().map(Container::logs).collect());
}

#[test]
fn drop_replicas_come_and_go() {
    let Some(scene) = Scene::start() else { return };
    let mut all = vec![scene.replica().start()];
    let load = scene.load(&ALL, &[&all[0]]);
    // From one to three and back; each is one more and one less.
    for _ in 0..ROUNDS / 2 {
        let more = [(); 2].map(|()| scene.replica().start());
        for one in &more {
            load.reaches(&one.name);
        }
        for one in &more {
            scene.tell(one, "stop?t=10");
        }
        all.extend(more);
    }
    load.ends(HOLD).agrees_with(|| all.iter().map(Container::logs).collect());
}
