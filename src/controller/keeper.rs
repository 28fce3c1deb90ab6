//! Writes the last known state, off the controller's thread and at most once a second.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{task::JoinHandle, time::Instant};

use super::{Claim, state};
use crate::{
    config::store::Store,
    model::Workload,
    runtime::{reflect, tasks::quietly},
};

/// The least time between two writes.
const INTERVAL: Duration = Duration::from_secs(1);
/// How much longer it is for each file, for all of them are written.
const FOR_FILE: Duration = Duration::from_micros(400);
const LATEST: Duration = Duration::from_secs(5);
/// How often another process may be found writing before somebody is told.
const PATIENCE: u32 = 10;

pub(super) struct Keeper {
    /// `None` keeps nothing.
    directory: Option<PathBuf>,
    claim: Claim,
    /// When something is to be written next.
    due: Option<Instant>,
    dirty: Dirty,
    saving: Option<JoinHandle<()>>,
    /// How often in a row another process was found writing.
    refused: u32,
}

/// What differs from what is on disk.
#[derive(Debug, Default)]
struct Dirty {
    workloads: bool,
    documents: bool,
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(directory: Option<PathBuf>, claim: Claim) -> Self {
        Self { directory, claim, due: None, dirty: Dirty::default(), saving: None, refused: 0 }
    }

    pub(super) fn note_workloads(&mut self, now: Instant) {
        self.dirty.workloads = true;
        self.save_after(now, INTERVAL);
    }

    /// Documents have changed, of so many files.
    pub(super) fn note_documents(&mut self, now: Instant, files: u32) {
        self.dirty.documents = true;
        self.save_after(now, (INTERVAL + FOR_FILE * files).min(LATEST));
    }

    fn save_after(&mut self, now: Instant, time: Duration) {
        self.due = self.due.into_iter().chain([now + time]).min();
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes if it is time.
    pub(super) fn expire(
        &mut self,
        now: Instant,
        workloads: &mut reflect::Store<Workload>,
        documents: &Store,
    ) {
        if self.due.is_some_and(|at| at <= now) {
            self.due = if self.save(workloads, documents) { None } else { Some(now + INTERVAL) };
        }
    }

    /// Begins to write what has changed. Says whether that was all: one write goes on at a time, and half a list of
    /// containers is not worth keeping.
    fn save(&mut self, workloads: &mut reflect::Store<Workload>, documents: &Store) -> bool {
        let Some(directory) = self.directory.clone() else { return true };
        let is_saving = self.saving.as_ref().is_some_and(|saving| !saving.is_finished());
        if is_saving || !self.may_write(&directory) {
            return false;
        }
        let is_listed = workloads.is_ready();
        let workloads: Option<Vec<Arc<Workload>>> =
            (self.dirty.workloads && is_listed).then(|| workloads.snapshot().into_values().collect());
        let documents = self.dirty.documents.then(|| documents.past());
        self.dirty = Dirty { workloads: self.dirty.workloads && !is_listed, documents: false };
        let claim = self.claim.clone();
        let write = move || {
            let workloads = workloads.map_or(Ok(()), |workloads| state::save(&directory, &workloads));
            let documents = documents.map_or(Ok(()), |past| state::save_documents(&directory, &past));
            for error in [workloads, documents].into_iter().filter_map(Result::err) {
                tracing::warn!(error = &error as &dyn std::error::Error, "the last known state is not kept");
            }
        };
        self.saving = Some(tokio::task::spawn_blocking(move || quietly(|| claim.write(write))));
        !self.dirty.workloads
    }

    /// Whether no other process writes there.
    fn may_write(&mut self, directory: &Path) -> bool {
        if self.claim.claim(directory) {
            self.refused = 0;
            return true;
        }
        self.refused += u32::from(!self.claim.is_given_up());
        // One that is being taken over from stops soon.
        if self.refused == PATIENCE {
            tracing::warn!(
                path = %directory.display(),
                "the last known state is not kept: another process keeps its own there; give each a directory of its own \
                 with `--state-dir`"
            );
        }
        false
    }
}
