//! Who may write the state directory: one process at a time, which holds a lock on a file in it.
//!
//! A process that takes over reads the directory at its start, and begins to write when the other one has stopped.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const FILE: &str = "lock";

/// Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Claim(Arc<Mutex<Holding>>);

#[derive(Debug, Default)]
enum Holding {
    /// Not yet, or another process had it when it was asked for.
    #[default]
    Nothing,
    /// Until the file is closed; `None` where there can be no lock.
    Held {
        _lock: Option<File>,
    },
    GivenUp,
}

// === impl Claim ===

impl Claim {
    /// Whether this process may write; asks for it if it has to.
    pub(super) fn claim(&self, directory: &Path) -> bool {
        let mut holding = self.lock();
        match &*holding {
            Holding::Held { .. } => return true,
            Holding::GivenUp => return false,
            Holding::Nothing => {}
        }
        let open = || File::options().create(true).append(true).open(directory.join(FILE));
        let lock = match fs::create_dir_all(directory).and_then(|()| open()) {
            Ok(file) => match file.try_lock() {
                Ok(()) => Some(file),
                Err(TryLockError::WouldBlock) => return false,
                // A file system without locks.
                Err(TryLockError::Error(_)) => None,
            },
            // Writing will say it better.
            Err(_) => None,
        };
        *holding = Holding::Held { _lock: lock };
        true
    }

    /// Writes, unless it has been given up since.
    pub(super) fn write(&self, write: impl FnOnce()) {
        let holding = self.lock();
        if matches!(*holding, Holding::Held { .. }) {
            write();
        }
    }

    /// Waits for a write that is under way, then leaves the directory to another process.
    pub fn give_up(&self) {
        *self.lock() = Holding::GivenUp;
    }

    /// Whether another process writes from now on.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(*self.lock(), Holding::GivenUp)
    }

    /// Nobody has come: it may be claimed again.
    pub fn take_back(&self) {
        *self.lock() = Holding::Nothing;
    }

    fn lock(&self) -> MutexGuard<'_, Holding> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writes_until_it_gives_up() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let (first, second) = (Claim::default(), Claim::default());
        assert!(first.claim(&state));
        assert!(first.claim(&state), "it still has it");
        assert!(!second.claim(&state));
        let mut written = Vec::new();
        second.write(|| written.push("second"));
        first.write(|| written.push("first"));
        first.give_up();
        first.write(|| written.push("first, late"));
        assert!(!first.claim(&state));
        assert!(second.claim(&state));
        second.write(|| written.push("second, then"));
        assert_eq!(written, ["first", "second, then"]);
        second.give_up();
        first.take_back();
        assert!(first.claim(&state));
    }
}
