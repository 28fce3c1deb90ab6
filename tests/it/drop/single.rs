//! Where there is one replica, a newer one takes over, or requests are held until it is there again.

use std::path::PathBuf;

use super::{HOLD, Scene, load::ALL};
use crate::support::{RUN_LABEL, container::compose, output, run_id, scratch, unique};

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

/// A project of `docker-compose` that is taken down with its value.
struct Project<'s> {
    scene: &'s Scene,
    name: String,
    folder: tempfile::TempDir,
}

// === impl Project ===

impl<'s> Project<'s> {
    /// One service with one container that serves the scene's host.
    fn new(scene: &'s Scene) -> Self {
        let project = Self { scene, name: unique("drop"), folder: scratch() };
        let (image, host, run) = (scene.engine.image("backend"), &scene.host, run_id());
        let text = format!(
            "version: '2.4'\nservices:\n  web:\n    image: {image}\n    command: ['8080']\n    expose: ['8080']\n    \
             environment: {{NAME: web, STOP: patient}}\n    labels: {{{RUN_LABEL}: '{run}', portolan.host: {host}}}\n\
             networks:\n  default:\n    labels: {{{RUN_LABEL}: '{run}'}}\n"
        );
        std::fs::write(project.file(), text).unwrap();
        project
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("compose.yaml")
    }

    /// `docker-compose ARGUMENTS`; nothing where it is not installed.
    fn run(&self, arguments: &[&str]) -> Option<Result<String, String>> {
        let mut command = compose(&self.scene.engine, &self.name, &self.file())?;
        Some(output(command.args(arguments)))
    }
}

impl Drop for Project<'_> {
    fn drop(&mut self) {
        self.run(&["down", "--timeout", "1"]);
    }
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
