//! Where there is one replica, a newer one takes over, or requests are held until it is there again.

use super::{HOLD, Scene, load::ALL, project::Project};
use crate::support::unique;

#[test]
fn drop_the_only_one_is_replaced_by_a_newer_one() {
    let Some(scene) = Scene::start() else { return };
    let mut now = scene.replica().start();
    let load = scene.load(&ALL, &[&now]);
    for _ in 0..10 {
        let newer = scene.replica().start();
        load.reaches(&newer.name);
        scene.tell(&now, "stop?t=10");
        now = newer;
        load.goes_on();
    }
    load.ends(HOLD);
}

#[test]
fn drop_the_only_one_is_made_anew() {
    let Some(scene) = Scene::start() else { return };
    let name = unique("anew");
    let make = || scene.replica().named(&name).start();
    let mut now = make();
    let load = scene.load(&ALL, &[&now]);
    for _ in 0..8 {
        scene.tell(&now, "stop?t=10");
        drop(now);
        now = make();
        load.goes_on();
    }
    load.ends(HOLD);
}

#[test]
fn drop_the_only_one_is_restarted() {
    let Some(scene) = Scene::start() else { return };
    let one = scene.replica().start();
    let load = scene.load(&ALL, &[&one]);
    for _ in 0..20 {
        scene.tell(&one, "restart?t=10");
        load.goes_on();
    }
    load.ends(HOLD);
}

#[test]
fn drop_a_service_of_compose_is_recreated() {
    let Some(scene) = Scene::start() else { return };
    let project = Project::new(&scene);
    let Some(up) = project.run(&["up", "--detach"]) else { return };
    up.unwrap();
    let load = scene.load(&ALL, &[]);
    for _ in 0..4 {
        project.run(&["up", "--detach", "--force-recreate"]).unwrap().unwrap();
        load.goes_on();
    }
    load.ends(HOLD);
}
