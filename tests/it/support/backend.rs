//! The test backend as a process of this machine, for what needs no engine. Its paths: `tests/programs/backend/answers.rs`.

use std::{net::SocketAddr, process::Command};

use super::{http, process::Process, program};

pub struct Backend {
    pub name: String,
    pub address: SocketAddr,
    pub process: Process,
}

// === impl Backend ===

impl Backend {
    pub fn start(name: &str) -> Self {
        Self::with(name, &[])
    }

    /// With more in its environment, such as `("STOP", "ignore")` or `("PORTS", "18080")`.
    pub fn with(name: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program("backend"));
        command
            .env("NAME", name)
            .env("HOST", "127.0.0.1")
            .env("PORTS", "0")
            .envs(environment.iter().copied());
        let mut process = Process::start(&mut command);
        let address =
            process.line("a backend listens", |line| line.strip_prefix("listening on ")?.parse().ok());
        Self { name: name.to_owned(), address, process }
    }

    /// How many requests have reached it.
    #[track_caller]
    pub fn count(&self) -> u64 {
        let answer = http::get(self.address, "backend", "/count").expect("the backend's count");
        answer.text().trim().parse().expect("a number")
    }
}
