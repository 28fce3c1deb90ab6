//! Decides when a run of file events is complete. No I/O: events and times in, a wait out.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use notify::{
    Event,
    event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode},
};
use tokio::time::Instant;

use super::{super::files::is_ignored, BURST, DANGLING, Duration, LONE, WRITING};

/// So many changed paths are a burst.
const MANY: usize = 3;

/// So many paths are remembered as being written; beyond that they are read as they are.
const MOST_PATHS: usize = 10_000;

/// What an event says of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    pub(super) kind: ChangeKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeKind {
    /// A new name: a file about to be written, or a link.
    Created,
    /// Is being written.
    Written,
    /// The writer closed it.
    Closed,
    /// Took the place of whatever had this name.
    Arrived,
    /// Has no longer this name.
    Left,
    /// Went to another name that is read.
    Moved,
    /// Anything else.
    Other,
    /// Events were lost.
    Lost,
}

/// The changes since the last scan.
#[derive(Debug, Default)]
pub(super) struct Settling {
    changed: BTreeSet<PathBuf>,
    left: BTreeSet<PathBuf>,
    /// Since when; kept beyond the scan.
    written: BTreeMap<PathBuf, Instant>,
}

// === impl Change ===

impl Change {
    /// What an event says. An error says that events were lost.
    pub(super) fn of(event: notify::Result<Event>) -> Vec<Self> {
        let lost = || vec![Self { path: PathBuf::new(), kind: ChangeKind::Lost }];
        let Ok(event) = event else { return lost() };
        if event.need_rescan() {
            return lost();
        }
        let one = |kind| {
            event
                .paths
                .iter()
                .filter(|path| !is_temporary(path))
                .map(|path| Self { path: path.clone(), kind })
                .collect()
        };
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => one(ChangeKind::Closed),
            // A scan opens and reads.
            EventKind::Access(_) => Vec::new(),
            EventKind::Modify(ModifyKind::Data(_)) => one(ChangeKind::Written),
            EventKind::Create(CreateKind::File) => one(ChangeKind::Created),
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => {
                one(ChangeKind::Left)
            }
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => one(ChangeKind::Arrived),
            // Comes after `From` and `To`.
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => match &*event.paths {
                [from, to] if !is_ignored(&name_of(to)) => {
                    vec![Self { path: from.clone(), kind: ChangeKind::Moved }]
                }
                _ => Vec::new(),
            },
            EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Other => {
                one(ChangeKind::Other)
            }
        }
    }
}

fn name_of(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// Files that editors keep beside the one that is edited.
fn is_temporary(path: &Path) -> bool {
    let name = name_of(path);
    name.ends_with('~')
        || name == "4913"
        || name.starts_with(".#")
        || (name.starts_with('#') && name.ends_with('#'))
        || (name.starts_with('.') && [".swp", ".swx", ".swo"].iter().any(|end| name.ends_with(end)))
}

// === impl Settling ===

impl Settling {
    /// A new run of changes begins.
    pub(super) fn begin(&mut self) {
        self.changed.clear();
        self.left.clear();
    }

    pub(super) fn add(&mut self, change: Change, now: Instant) {
        let Change { path, kind } = change;
        let is_document = !is_ignored(&name_of(&path));
        if self.changed.len() < MOST_PATHS {
            self.changed.insert(path.clone());
        }
        match kind {
            ChangeKind::Created if !is_document => {}
            ChangeKind::Created | ChangeKind::Written => {
                self.left.remove(&path);
                if self.written.len() < MOST_PATHS {
                    self.written.entry(path).or_insert(now);
                }
            }
            ChangeKind::Closed | ChangeKind::Arrived => {
                self.left.remove(&path);
                self.written.remove(&path);
            }
            ChangeKind::Left => {
                self.written.remove(&path);
                // A name without an ending may be a directory.
                let counts = is_document || (path.extension().is_none() && !name_of(&path).starts_with('.'));
                if counts && self.left.len() < MOST_PATHS {
                    self.left.insert(path);
                }
            }
            ChangeKind::Moved => {
                self.left.remove(&path);
            }
            ChangeKind::Other => {}
            ChangeKind::Lost => self.forget(),
        }
    }

    /// Events were lost: what is known of halves of changes may have been made whole unseen.
    pub(super) fn forget(&mut self) {
        self.left.clear();
        self.written.clear();
    }

    /// The paths that have changed in this run; `None` if they were too many to remember.
    pub(super) fn changed(&mut self) -> Option<BTreeSet<PathBuf>> {
        let changed = std::mem::take(&mut self.changed);
        (changed.len() < MOST_PATHS).then_some(changed)
    }

    /// How long to wait for another event.
    pub(super) fn quiet(&self) -> Duration {
        let half = !self.left.is_empty() || self.written.keys().any(|path| self.changed.contains(path));
        if half {
            DANGLING
        } else if self.changed.len() >= MANY {
            BURST
        } else {
            LONE
        }
    }

    /// When a file that is being written has been so for too long to be waited for.
    pub(super) fn impatience(&self) -> Option<Instant> {
        self.written.values().min().map(|since| *since + WRITING)
    }

    /// The files that are being written.
    pub(super) fn busy(&mut self, now: Instant) -> BTreeSet<PathBuf> {
        self.written.retain(|_, since| now.duration_since(*since) < WRITING);
        self.written.keys().cloned().collect()
    }
}
