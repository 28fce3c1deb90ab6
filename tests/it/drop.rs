//! Containers come, go, break and move while a steady load runs: no request fails, and none waits longer than the hold.
//!
//! Each test repeats one thing that happens to containers, against a real engine. The load asks by GET and POST, on
//! connections that are kept and on new ones, and checks every answer; see `load.rs`.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the clock of the machine is what a person waits by"
)]

mod acting;
mod drains;
mod engines;
mod ledger;
mod load;
mod project;
mod replicas;
mod rollouts;
mod single;
mod swaps;
mod upgrades;

use std::time::Duration;

use crate::support::{
    container::{Builder, Container},
    engine::Engine,
    portolan::Portolan,
    unique,
};
use load::{Load, Way};

/// How often each thing happens.
const ROUNDS: usize = 20;

/// What a request may wait for a backend, and so the longest that any may take.
const HOLD: Duration = Duration::from_secs(10);

/// An engine, a Portolan that watches it, and one host whose backends change.
struct Scene {
    engine: Engine,
    portolan: Portolan,
    host: String,
}

// === impl Scene ===

impl Scene {
    fn start() -> Option<Self> {
        Some(Self::at(Engine::local()?))
    }

    fn at(engine: Engine) -> Self {
        Self::with(engine, &[])
    }

    /// With more flags of Portolan's.
    fn with(engine: Engine, more: &[&str]) -> Self {
        let hold = format!("{}s", HOLD.as_secs());
        let arguments = ["--hold", &hold].into_iter().chain(more.iter().copied());
        let portolan = Portolan::builder().docker(engine.url()).arguments(arguments).start();
        Self { engine, portolan, host: format!("{}.example.com", unique("drop")) }
    }

    /// A container that serves the host, and serves on for a moment when it is told to stop: one that closes a
    /// connection at once may do so while a request is on its way, and nobody can know then what became of it.
    fn replica(&self) -> Builder {
        self.hasty().environment("STOP", "patient")
    }

    /// The same, but it closes what is idle as soon as it is told to stop.
    fn hasty(&self) -> Builder {
        let one = self.engine.container("drop").port(8080).label("portolan.host", &self.host);
        one.environment("TELL", "ids")
    }

    /// Load on the host in all these ways at once; each of `backends` has answered.
    #[track_caller]
    fn load(&self, ways: &[Way], backends: &[&Container]) -> Load {
        self.portolan.answers(&self.host, "/", "anything", |answer| answer.status == 200);
        let load = Load::start(self.portolan.http, &self.host, ways);
        for backend in backends {
            load.reaches(&backend.name);
        }
        load
    }

    /// Load on one of so many hosts, which together get as much as one alone.
    #[track_caller]
    fn part_of_load(&self, host: &str, parts: usize) -> Load {
        self.portolan.answers(host, "/", "anything", |answer| answer.status == 200);
        Load::paced(self.portolan.http, host, &load::ALL, load::PACE * u32::try_from(parts).unwrap())
    }

    /// `POST /containers/ID/WHAT` to the engine, quicker than its command.
    #[track_caller]
    fn tell(&self, container: &Container, what: &str) {
        let answer = self.engine.api("POST", &format!("/containers/{}/{what}", container.id));
        assert_eq!(answer.status, 204, "{what}: {answer}");
    }
}
