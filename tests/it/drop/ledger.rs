//! Every request has a number: what clients were told of it, and what the backends say of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{note, wait};

/// The requests that were answered by 200, as `POST 3-17`.
#[derive(Default)]
pub(super) struct Ledger {
    served: BTreeSet<String>,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn served(&mut self, method: &str, id: &str) {
        self.served.insert(format!("{method} {id}"));
    }

    /// The logs of all that were asked tell of each of these requests, and of no POST twice.
    #[track_caller]
    pub(super) fn agrees_with(self, logs: impl Fn() -> Vec<String>) {
        wait::eventually(wait::SOON, "backends know of what was answered", || {
            let (logs, mut seen) = (logs(), BTreeMap::<&str, u32>::new());
            for id in logs.iter().flat_map(|log| log.lines()).filter_map(|line| line.strip_prefix("saw ")) {
                *seen.entry(id).or_default() += 1;
            }
            let again: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
            let posts: Vec<_> = again.iter().filter(|(id, _)| id.starts_with("POST ")).collect();
            assert!(posts.is_empty(), "done more than once: {posts:?}");
            let (answered, count) = (self.served.len(), seen.len());
            let unknown: Vec<_> =
                self.served.iter().filter(|id| !seen.contains_key(&***id)).take(20).collect();
            if unknown.is_empty() {
                note(&format!("{answered} answered by 200, {count} seen, {} of them again", again.len()));
                return Ok(());
            }
            Err(format!("nobody has seen {unknown:?}, {answered} were answered, {count} seen"))
        });
    }
}
