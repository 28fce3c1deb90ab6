//! Where there is one replica, a newer one takes over, or requests are held until it is there again.

use super::{HOLD, Load, ROUNDS, Scene, load::ALL, project::Project};
use crate::support::{container::Container, unique};

#[test]
fn drop_the_only_one_is_replaced_by_a_newer_one() {
    let Some(scene) = Scene::start() else { return };
    let mut all = vec![scene.replica().start()];
    let load = scene.load(&ALL, &[&all[0]]);
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
fn drop_the_only_one_is_made_anew() {
    let Some(scene) = Scene::start() else { return };
    let name = unique("anew");
    let make = || scene.replica().named(&name).start();
    let (mut now, mut logs) = (make(), Vec::new());
    let load = scene.load(&ALL, &[&now]);
    for _ in 0..ROUNDS {
        scene.tell(&now, "stop?t=10");
        logs.push(now.logs());
        drop(now);
        now = make();
        load.goes_on();
    }
    load.ends(HOLD).agrees_with(|| logs.iter().cloned().chain([now.logs()]).collect());
}

#[test]
fn drop_the_only_one_is_restarted() {
    let Some(scene) = Scene::start() else { return };
    let one = scene.replica().start();
    let load = scene.load(&ALL, &[&one]);
    for _ in 0..ROUNDS {
        scene.tell(&one, "restart?t=10");
        load.goes_on();
    }
    load.ends(HOLD).agrees_with(|| vec![one.logs()]);
}

#[test]
fn drop_services_of_compose_are_recreated() {
    // All of them at once: Compose alone takes seconds for each of its calls.
    const SERVICES: usize = 5;
    let Some(scene) = Scene::start() else { return };
    let hosts: Vec<String> = (0..SERVICES).map(|number| format!("{number}.{}", scene.host)).collect();
    let project = Project::of(&scene, &hosts);
    let Some(up) = project.run(&["up", "--detach"]) else { return };
    up.unwrap();
    let loads: Vec<Load> = hosts.iter().map(|host| scene.part_of_load(host, hosts.len())).collect();
    for _ in 0..ROUNDS / SERVICES {
        project.run(&["up", "--detach", "--force-recreate"]).unwrap().unwrap();
        loads.iter().for_each(Load::goes_on);
    }
    for load in loads {
        load.ends(HOLD);
    }
}
