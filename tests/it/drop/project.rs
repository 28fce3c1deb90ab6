//! A project of `docker-compose` with one service that serves the scene's host.

use std::path::PathBuf;

use super::{
    Scene,
    load::{ALL, Load},
};
use crate::support::{RUN_LABEL, container::compose, output, run_id, scratch, unique};

/// Taken down with its value.
pub(super) struct Project<'s> {
    scene: &'s Scene,
    pub(super) name: String,
    folder: tempfile::TempDir,
}

// === impl Project ===

impl<'s> Project<'s> {
    /// One container of the backend.
    pub(super) fn new(scene: &'s Scene) -> Self {
        let project = Self { scene, name: unique("drop"), folder: scratch() };
        project.write(&scene.engine.image("backend"), "NAME: web", "");
        project
    }

    /// One container of the backend for each of these hosts, as services `web0`, `web1` and so on.
    pub(super) fn of(scene: &'s Scene, hosts: &[String]) -> Self {
        let project = Self { scene, name: unique("drop"), folder: scratch() };
        let image = scene.engine.image("backend");
        let services = hosts.iter().enumerate().map(|(number, host)| {
            service(&format!("web{number}"), host, &image, &format!("NAME: web{number}"))
        });
        project.save(&services.collect::<String>());
        project
    }

    /// Says what the service is from now on: its image, its environment, and more lines.
    pub(super) fn write(&self, image: &str, environment: &str, more: &str) {
        self.save(&(service("web", &self.scene.host, image, environment) + more));
    }

    fn save(&self, services: &str) {
        let networks = format!("networks:\n  default:\n    labels: {{{RUN_LABEL}: '{}'}}\n", run_id());
        std::fs::write(self.file(), format!("version: '2.4'\nservices:\n{services}{networks}")).unwrap();
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("compose.yaml")
    }

    /// Starts it: the load on it, and the ids of its containers. Nothing where Compose is not installed.
    #[track_caller]
    pub(super) fn up(&self) -> Option<(Load, Vec<String>)> {
        self.run(&["up", "--detach"])?.unwrap();
        Some((self.scene.load(&ALL, &[]), self.ids()))
    }

    /// `docker-compose ARGUMENTS`; nothing where it is not installed.
    pub(super) fn run(&self, arguments: &[&str]) -> Option<Result<String, String>> {
        let mut command = compose(&self.scene.engine, &self.name, &self.file())?;
        Some(output(command.args(arguments)))
    }

    /// The ids of its containers, running or not.
    pub(super) fn ids(&self) -> Vec<String> {
        let listed = self.run(&["ps", "--all", "--quiet"]).unwrap().unwrap();
        listed.lines().map(str::to_owned).collect()
    }
}

/// A service of one container, as YAML.
fn service(name: &str, host: &str, image: &str, environment: &str) -> String {
    let run = run_id();
    format!(
        "  {name}:\n    image: {image}\n    command: ['8080']\n    expose: ['8080']\n    \
         environment: {{{environment}, STOP: patient}}\n    labels: {{{RUN_LABEL}: '{run}', portolan.host: {host}}}\n"
    )
}

impl Drop for Project<'_> {
    fn drop(&mut self) {
        self.run(&["down", "--timeout", "1"]);
    }
}
