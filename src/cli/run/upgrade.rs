//! SIGUSR2: starts the program anew, as it is on disk now, to take over from this process.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Child, Command},
    time::Duration,
};

use tokio::time::Instant;

/// How this process was started, so that it can be done again.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    is_first: IsFirst,
    /// Whether there is a place where the two would meet.
    has_state: HasState,
    successor: Option<(Child, Instant)>,
}

/// Whether all others end with this process, as in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IsFirst {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HasState {
    Yes,
    No,
}

const TAKE_OVER: &str = "--take-over";
/// How often it is looked whether a successor has failed.
const EVERY: Duration = Duration::from_millis(100);
/// A successor that has not taken over after this is ended.
const PATIENCE: Duration = Duration::from_secs(90);

// === impl Program ===

impl Program {
    /// As this process was started. Has to be called before the file is replaced.
    pub fn own(has_state: HasState) -> std::io::Result<Self> {
        let mut words = std::env::args_os();
        let called = words.next().map(PathBuf::from).filter(|called| called.components().count() > 1);
        // The name by which it was called may be a link to the version of the day; what is behind it is not asked for.
        let path = match called {
            Some(called) => std::path::absolute(called)?,
            None => std::env::current_exe()?,
        };
        let mut arguments: Vec<OsString> = words.filter(|word| word != TAKE_OVER).collect();
        arguments.push(TAKE_OVER.into());
        let is_first = if std::process::id() == 1 { IsFirst::Yes } else { IsFirst::No };
        Ok(Self { path, arguments, is_first, has_state, successor: None })
    }

    /// Starts a successor, unless there is one.
    pub fn start(&mut self) {
        let path = self.path.display();
        if self.is_first == IsFirst::Yes {
            tracing::error!(
                "no upgrade: this is the first process of its container, which ends with it; start another container \
                 with `--take-over`, the same state directory and the network of the host"
            );
        } else if self.has_state == HasState::No {
            tracing::error!(
                "no upgrade: the two processes meet in the state directory, and `--state-dir` is off"
            );
        } else if let Some((successor, _)) = &self.successor {
            tracing::warn!(process = successor.id(), "an upgrade is under way already");
        } else {
            match self.command().spawn() {
                Ok(successor) => {
                    tracing::info!(process = successor.id(), program = %path, "upgrade: the new process is started");
                    self.successor = Some((successor, Instant::now()));
                }
                Err(error) => {
                    tracing::error!(program = %path, "no upgrade: the program cannot be started: {error}");
                }
            }
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        // They were meant for this process.
        command
            .args(&self.arguments)
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDNAMES");
        command
    }

    /// Ends a successor that has not taken over: nobody has to serve any more.
    pub fn abandon(&mut self) {
        if let Some((mut successor, _)) = self.successor.take() {
            // It may have ended just now; either way it is gone.
            let _ = successor.kill().and_then(|()| successor.wait());
        }
    }

    /// Watches the successor, and tells when it has failed. Safe to drop half-way.
    pub async fn watch(&mut self) {
        let Some((successor, started)) = &mut self.successor else { return std::future::pending().await };
        loop {
            match successor.try_wait() {
                Ok(None) if started.elapsed() < PATIENCE => tokio::time::sleep(EVERY).await,
                Ok(None) => {
                    tracing::error!(
                        process = successor.id(),
                        "the new process has not taken over in time: it is ended"
                    );
                    return self.abandon();
                }
                Ok(Some(status)) => {
                    tracing::error!(
                        process = successor.id(),
                        "no upgrade: the new process has ended ({status}), its log says why; this one goes on"
                    );
                    break;
                }
                Err(error) => {
                    tracing::error!(%error, "the new process cannot be watched");
                    break;
                }
            }
        }
        self.successor = None;
    }
}
