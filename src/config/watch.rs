//! Watches paths and gives a [`Scan`] for each change.
//!
//! An event says only *that* something may have changed: each one leads to a rescan, and a scan that reads the same
//! as the one before is not given. Watched are all directories below the paths, and every directory that holds a
//! symlink on the way to them (a watch does not follow a link that is swapped later). They are set anew after each
//! scan. A slow poll that rereads everything catches what no event told: an overflow, a network file system.
//!
//! # When a change set is complete
//!
//! A rename is complete at once: a scan follows [`LONE`] after it. A file that was opened for writing or is gone is
//! probably half of a change (an editor's save, `git checkout`), so the other half is waited for, [`DANGLING`] at
//! most between two events. Many changes in a row are a burst, over after [`BURST`] without one. After [`MOST`] the
//! scan comes in any case, but a file that is still being written keeps its last content for [`WRITING`].

mod settle;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::Stream;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{Instant, sleep_until, timeout_at},
};

use super::files::{Known, Scan, Trust, Watched, is_ignored, rescan};
use settle::{Change, ChangeKind, Settling};

/// Quiet after a complete change.
pub const LONE: Duration = Duration::from_millis(3);

/// Quiet after a burst.
pub const BURST: Duration = Duration::from_millis(15);

/// Quiet after half of a change.
pub const DANGLING: Duration = Duration::from_millis(30);

/// From the first event to the scan, whatever comes in between.
pub const MOST: Duration = Duration::from_millis(100);

/// How long a file that is being written keeps its last content.
pub const WRITING: Duration = Duration::from_secs(2);

/// How often everything is read again.
pub const POLL: Duration = Duration::from_secs(5);

/// Events that wait; where more come, some are lost, and known to be.
const QUEUE: usize = 4096;

/// A first scan at once, then one for every change. Ends never; dropping it ends the watch.
pub fn watch(paths: Vec<PathBuf>) -> impl Stream<Item = Scan> + Send + 'static {
    futures::stream::unfold(Watch::new(paths), |mut watch| async move {
        let scan = watch.next().await?;
        Some((scan, watch))
    })
}

struct Watch {
    paths: Vec<PathBuf>,
    /// The last scan that was given.
    last: Option<Scan>,
    changes: mpsc::Receiver<Change>,
    /// The queue of changes was full.
    lost: Arc<AtomicBool>,
    settling: Settling,
    armed: Armed,
    next_poll: Instant,
}

/// The watches that are set.
struct Armed {
    /// `None` where the system has no watches left: then there is the poll.
    watcher: Option<RecommendedWatcher>,
    directories: BTreeMap<PathBuf, Watched>,
}

// === impl Watch ===

impl Watch {
    fn new(paths: Vec<PathBuf>) -> Self {
        let (sender, changes) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicBool::new(false));
        let overflow = Arc::clone(&lost);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            for change in Change::of(event) {
                // A full queue wakes the watch as well as this change would.
                if sender.try_send(change).is_err() {
                    overflow.store(true, Ordering::Relaxed);
                }
            }
        });
        Self {
            paths,
            last: None,
            changes,
            lost,
            settling: Settling::default(),
            armed: Armed { watcher: watcher.ok(), directories: BTreeMap::new() },
            next_poll: Instant::now(),
        }
    }

    /// Waits for the next scan that differs. `None` when the runtime shuts down.
    async fn next(&mut self) -> Option<Scan> {
        loop {
            let trust = if self.last.is_some() { self.wait().await } else { Trust::Nothing };
            let scan = self.scan(trust).await?;
            if self.last.as_ref() != Some(&scan) {
                self.last = Some(scan.clone());
                return Some(scan);
            }
            // Keep the newer stamps.
            self.last = Some(scan);
        }
    }

    /// Waits until there is a reason to scan, and says how carefully.
    async fn wait(&mut self) -> Trust {
        let until = self.settling.impatience().map_or(self.next_poll, |at| at.min(self.next_poll));
        loop {
            match timeout_at(until, self.changes.recv()).await {
                Ok(Some(first)) if self.armed.concerns(&first) => {
                    self.settle(first).await;
                    break;
                }
                Ok(Some(_)) if Instant::now() < until => {}
                Ok(Some(_)) | Err(_) => break,
                // The watcher has ended: only the poll is left.
                Ok(None) => {
                    sleep_until(until).await;
                    break;
                }
            }
        }
        if self.next_poll <= Instant::now() { Trust::Nothing } else { Trust::Stamps }
    }

    /// Takes in changes until they are complete.
    async fn settle(&mut self, first: Change) {
        let latest = Instant::now() + MOST;
        self.settling.begin();
        self.settling.add(first, Instant::now());
        let mut until = Instant::now() + self.settling.quiet();
        while let Ok(Some(change)) = timeout_at(until.min(latest), self.changes.recv()).await {
            let now = Instant::now();
            if self.armed.concerns(&change) {
                self.settling.add(change, now);
                until = now + self.settling.quiet();
            }
            if now >= until.min(latest) {
                return;
            }
        }
    }

    /// Scans, and once more for each directory that had to be watched first.
    async fn scan(&mut self, trust: Trust) -> Option<Scan> {
        const MOST_ROUNDS: usize = 4;
        let mut trust = trust;
        for _ in 1..MOST_ROUNDS {
            let scan = self.scan_once(trust).await?;
            if !self.armed.set(&scan.directories) {
                return Some(scan);
            }
            trust = Trust::Nothing;
        }
        self.scan_once(trust).await
    }

    async fn scan_once(&mut self, trust: Trust) -> Option<Scan> {
        if self.lost.swap(false, Ordering::Relaxed) {
            self.settling.forget();
        }
        let busy = self.settling.busy(Instant::now());
        let paths = self.paths.clone();
        let last = self.last.clone().unwrap_or_default();
        if trust == Trust::Nothing {
            self.next_poll = Instant::now() + POLL;
        }
        spawn_blocking(move || rescan(&paths, Known { scan: &last, busy: &busy, trust })).await.ok()
    }
}

// === impl Armed ===

impl Armed {
    /// Watches just these directories. True if one of them was not watched before: what happened in it until now was
    /// not seen.
    fn set(&mut self, directories: &BTreeMap<PathBuf, Watched>) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let is_same = |path: &PathBuf, old: &Watched| {
            directories.get(path).is_some_and(|new| new.identity == old.identity)
        };
        self.directories.retain(|path, old| {
            let stays = is_same(path, old);
            if !stays {
                // The system may have removed it already, with the directory.
                let _ = watcher.unwatch(path);
            }
            stays
        });
        let mut added = false;
        for (path, watched) in directories {
            let is_new = match self.directories.get(path) {
                Some(_) => false,
                None if watcher.watch(path, RecursiveMode::NonRecursive).is_ok() => true,
                None => continue,
            };
            self.directories.insert(path.clone(), watched.clone());
            added |= is_new;
        }
        added
    }

    /// Whether a scan may read something else after this change.
    fn concerns(&self, change: &Change) -> bool {
        let Some(name) = change.path.file_name() else { return true };
        let Some(watched) = change.path.parent().and_then(|parent| self.directories.get(parent)) else {
            return true;
        };
        if watched.names.as_ref().is_some_and(|names| names.contains(name)) {
            return true;
        }
        match change.kind {
            // Only files are written, and not every file is read.
            ChangeKind::Written | ChangeKind::Closed => {
                watched.names.is_none() && !is_ignored(&name.to_string_lossy())
            }
            ChangeKind::Created
            | ChangeKind::Arrived
            | ChangeKind::Left
            | ChangeKind::Moved
            | ChangeKind::Lost
            | ChangeKind::Other => watched.names.is_none(),
        }
    }
}
