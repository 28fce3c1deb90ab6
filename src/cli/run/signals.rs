//! The signals that a command which serves listens to.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, and SIGUSR2, from the moment this was made: one that comes during the start is not lost.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    upgrade: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// With the signal's name.
    Stop(&'static str),
    Upgrade,
}

// === impl Signals ===

impl Signals {
    pub fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            upgrade: listen(SignalKind::user_defined2())?,
        })
    }

    /// The next one. Safe to drop half-way.
    pub async fn asked(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
            _ = self.upgrade.recv() => Asked::Upgrade,
        }
    }

    /// The name of the next one that asks for the end. Safe to drop half-way.
    pub async fn next(&mut self) -> &'static str {
        loop {
            match self.asked().await {
                Asked::Stop(name) => return name,
                Asked::Upgrade => {}
            }
        }
    }
}
