//! A project of `docker-compose` with one service that serves the scene's host.

use std::path::PathBuf;

use super::Scene;
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

    /// Says what the service is from now on: its image, its environment, and more lines.
    pub(super) fn write(&self, image: &str, environment: &str, more: &str) {
        let (host, run) = (&self.scene.host, run_id());
        let text = format!(
            "version: '2.4'\nservices:\n  web:\n    image: {image}\n    command: ['8080']\n    expose: ['8080']\n    \
             environment: {{{environment}, STOP: patient}}\n    labels: {{{RUN_LABEL}: '{run}', portolan.host: {host}}}\n{more}\
             networks:\n  default:\n    labels: {{{RUN_LABEL}: '{run}'}}\n"
        );
        std::fs::write(self.file(), text).unwrap();
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("compose.yaml")
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

impl Drop for Project<'_> {
    fn drop(&mut self) {
        self.run(&["down", "--timeout", "1"]);
    }
}
