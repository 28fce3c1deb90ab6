//! Watches paths and gives what is there, then the [`Changes`].
//!
//! An event says only *that* something may have changed at its path: that path is looked at, and what reads the same as
//! before is not given. Where a directory or a link may have changed, or events were lost, everything is looked at.
//! Watched are all directories below the paths, and every directory that holds a symlink on the way to them (a watch
//! does not follow a link that is swapped later). They are set anew after each look at everything. A slow poll, a
//! little at a time, catches what no event told, on a network file system or a bind mount: by the files' time stamps, and
//! now and then by reading them.
//!
//! # When a change set is complete
//!
//! A rename is complete at once: it is looked at [`LONE`] after it. A file that was opened for writing or is gone is
//! probably half of a change (an editor's save, `git checkout`), so the other half is waited for, [`DANGLING`] at
//! most between two events. Many changes in a row are a burst, over after [`BURST`] without one. After [`MOST`] the
//! scan comes in any case, but a file that is still being written keeps its last content for [`WRITING`].

mod settle;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
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
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep_until, timeout_at},
};

use super::files::{Changes, Known, Scan, Trust, Update, Watched, is_ignored, rescan, scan_gently};
use crate::runtime::tasks::quietly;
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

/// How often everything is looked at again.
pub const POLL: Duration = Duration::from_secs(5);

/// Every so many looks also read the files whose time stamps are as they were.
const READ_EVERY: u32 = 12;

/// Events that wait; where more come, some are lost, and known to be.
const QUEUE: usize = 4096;

/// Everything at once, then what is different, for every change. Ends never; dropping it ends the watch.
pub fn watch(paths: Vec<PathBuf>) -> impl Stream<Item = Update> + Send + 'static {
    futures::stream::unfold(Watch::new(paths), |mut watch| async move {
        let update = watch.next().await?;
        Some((update, watch))
    })
}

struct Watch {
    paths: Vec<PathBuf>,
    /// What was there at last; `None` before anything was looked at.
    last: Option<Scan>,
    changes: mpsc::Receiver<Change>,
    /// The queue of changes was full.
    lost: Arc<AtomicBool>,
    /// No change will ever come: the system has no watches left.
    is_deaf: bool,
    settling: Settling,
    armed: Armed,
    next_poll: Instant,
    polls: u32,
    poll: Option<Poll>,
    /// Set at the end: a poll need not spare anybody then.
    hurry: Arc<AtomicBool>,
}

/// Looking at everything again, unnoticed.
struct Poll {
    handle: JoinHandle<Scan>,
    trust: Trust,
    /// The files that have changed since it began.
    changed: BTreeSet<PathBuf>,
    /// Everything was read since it began: what it has read may be older.
    is_late: bool,
}

/// Why to look.
enum Reason {
    /// Something has happened at these paths, and nowhere else.
    Paths(BTreeSet<PathBuf>),
    Anything(Trust),
    /// A poll has looked at everything.
    Polled(Scan, Poll),
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
            is_deaf: false,
            settling: Settling::default(),
            armed: Armed { watcher: watcher.ok(), directories: BTreeMap::new() },
            next_poll: Instant::now(),
            polls: 0,
            poll: None,
            hurry: Arc::default(),
        }
    }

    /// Waits for what is different next. `None` when the runtime shuts down.
    async fn next(&mut self) -> Option<Update> {
        if self.last.is_none() {
            self.rescan(Trust::Nothing).await?;
            return self.last.clone().map(Update::Whole);
        }
        loop {
            let changes = match self.wait().await {
                Reason::Paths(paths) => self.look_at(paths).await?,
                Reason::Anything(trust) => self.rescan(trust).await?,
                Reason::Polled(scan, poll) if self.has_seen(&scan, &poll.changed) => {
                    if poll.changed.is_empty() {
                        // The same, and it knows more of the time stamps.
                        self.last = Some(scan);
                    }
                    None
                }
                Reason::Polled(_, poll) => self.rescan(poll.trust).await?,
            };
            if let Some(changes) = changes {
                if let Some(poll) = &mut self.poll {
                    poll.changed.extend(changes.files.keys().cloned());
                }
                return Some(Update::Part(changes));
            }
        }
    }

    /// Waits until there is a reason to look.
    async fn wait(&mut self) -> Reason {
        loop {
            let poll_at = if self.poll.is_none() { Some(self.next_poll) } else { None };
            let until = poll_at.into_iter().chain(self.settling.impatience()).min();
            // Each arm loses nothing when another one is taken: all of them can be asked again.
            tokio::select! {
                change = self.changes.recv(), if !self.is_deaf => match change {
                    Some(first) if self.armed.concerns(&first) => return self.settle(first).await,
                    Some(_) => {}
                    None => self.is_deaf = true,
                },
                scan = polled(&mut self.poll) => {
                    self.next_poll = Instant::now() + POLL;
                    match (scan, self.poll.take()) {
                        (Some(scan), Some(poll)) if !poll.is_late => return Reason::Polled(scan, poll),
                        (Some(_), _) => {}
                        (None, _) => return Reason::Anything(Trust::Nothing),
                    }
                }
                () = reached(until) => {
                    if poll_at.is_some_and(|at| at <= Instant::now()) {
                        self.start_poll();
                    } else {
                        return Reason::Anything(Trust::Stamps);
                    }
                }
            }
        }
    }

    fn start_poll(&mut self) {
        let (paths, hurry) = (self.paths.clone(), Arc::clone(&self.hurry));
        self.polls += 1;
        let trust = trust_of(self.polls);
        let last = self.last.clone().unwrap_or_default();
        let handle = spawn_blocking(move || quietly(|| scan_gently(&paths, (&last, trust), &hurry)));
        self.poll = Some(Poll { handle, trust, changed: BTreeSet::new(), is_late: false });
    }

    /// Whether a poll has found nothing but what is known.
    fn has_seen(&self, polled: &Scan, changed: &BTreeSet<PathBuf>) -> bool {
        let Some(last) = &self.last else { return false };
        let is_known = |changes: Changes| {
            changes.troubles == last.troubles && changes.files.keys().all(|path| changed.contains(path))
        };
        polled.since(last).is_none_or(is_known) && polled.is_reached_as(last)
    }

    /// Takes in changes until they are complete.
    async fn settle(&mut self, first: Change) -> Reason {
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
                break;
            }
        }
        if self.lost.swap(false, Ordering::Relaxed) {
            self.settling.forget();
            return Reason::Anything(Trust::Stamps);
        }
        self.settling.changed().map_or(Reason::Anything(Trust::Stamps), Reason::Paths)
    }

    /// Looks at a few paths; at everything if those may not be all.
    async fn look_at(&mut self, paths: BTreeSet<PathBuf>) -> Option<Option<Changes>> {
        let busy = self.settling.busy(Instant::now());
        let (roots, mut last) = (self.paths.clone(), self.last.take().unwrap_or_default());
        let look = move || {
            let before = last.troubles.clone();
            let changes = last.look_at(&roots, &paths, &busy);
            (last, before, changes)
        };
        let (last, troubles, changes) = spawn_blocking(look).await.ok()?;
        self.last = Some(last);
        match changes {
            Some(changes) if changes.files.is_empty() && changes.troubles == troubles => Some(None),
            Some(changes) => Some(Some(changes)),
            None => self.rescan(Trust::Stamps).await,
        }
    }

    /// Looks at everything, and once more for each directory that had to be watched first.
    async fn rescan(&mut self, trust: Trust) -> Option<Option<Changes>> {
        const MOST_ROUNDS: usize = 4;
        if let Some(poll) = &mut self.poll {
            poll.is_late = true;
        }
        let mut trust = trust;
        let before = Arc::new(self.last.take().unwrap_or_default());
        let mut known = Arc::clone(&before);
        for round in 1..=MOST_ROUNDS {
            known = Arc::new(self.scan_once(known, trust).await?);
            if round == MOST_ROUNDS || !self.armed.set(&known.directories) {
                break;
            }
            trust = Trust::Nothing;
        }
        let changes = known.since(&before);
        self.last = Some(Arc::unwrap_or_clone(known));
        Some(changes)
    }

    async fn scan_once(&mut self, known: Arc<Scan>, trust: Trust) -> Option<Scan> {
        if self.lost.swap(false, Ordering::Relaxed) {
            self.settling.forget();
        }
        let busy = self.settling.busy(Instant::now());
        let paths = self.paths.clone();
        if trust == Trust::Nothing {
            self.next_poll = Instant::now() + POLL;
        }
        spawn_blocking(move || rescan(&paths, Known { scan: &known, busy: &busy, trust })).await.ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.hurry.store(true, Ordering::Relaxed);
    }
}

/// What the poll of this number takes for unchanged.
fn trust_of(poll: u32) -> Trust {
    if poll.is_multiple_of(READ_EVERY) { Trust::Nothing } else { Trust::Stamps }
}

async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// What the poll has read, once it has; `None` if it has failed.
async fn polled(poll: &mut Option<Poll>) -> Option<Scan> {
    match poll {
        Some(poll) => (&mut poll.handle).await.ok(),
        None => std::future::pending().await,
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
