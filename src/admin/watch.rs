//! Changes of a collection as JSON lines: `{"type": "ADDED" | "MODIFIED" | "DELETED", "object": {…}}`.
//!
//! What exists is told first, as added; then comes one line `{"type": "BOOKMARK"}`, then a line for each change. A
//! reader that is slow misses steps, never the last state: changes are worked out when it has read what came before.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
};

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Collection,
    collection::{Filter, Item, Key},
    view,
};
use crate::{
    model::Report,
    runtime::{drain::Watch, live::Live},
};

/// One reader of one collection.
pub(super) struct Watcher {
    pub(super) collection: Collection,
    pub(super) filter: Filter,
    pub(super) report: Live<Report>,
    pub(super) stop: Watch,
    /// Held while the stream lives: their number is bounded.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// Something that happened to an item.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Added(Item),
    Modified(Item),
    Deleted(Item),
    Bookmark,
}

/// Lines that are made at once: the loop that shares this thread gets its turn in between.
const BATCH: usize = 128;

/// The lines, until the reader goes away or `stop` drains.
pub(super) fn lines(watcher: Watcher) -> impl Stream<Item = Bytes> {
    let mut known = BTreeMap::new();
    let mut waiting = changes(&mut known, watcher.now());
    waiting.push_back(Change::Bookmark);
    futures::stream::unfold((watcher, known, waiting), |(mut watcher, mut known, mut waiting)| async move {
        while waiting.is_empty() {
            tokio::select! {
                () = watcher.report.changed() => waiting = changes(&mut known, watcher.now()),
                () = watcher.stop.draining() => return None,
            }
        }
        tokio::task::yield_now().await;
        let most = waiting.len().min(BATCH);
        let mut text = String::new();
        for change in waiting.drain(..most) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", change.render());
        }
        Some((Bytes::from(text), (watcher, known, waiting)))
    })
}

/// What differs between `known` and `current`, which becomes known.
fn changes(known: &mut BTreeMap<Key, Item>, current: BTreeMap<Key, Item>) -> VecDeque<Change> {
    let mut changes = VecDeque::new();
    for (key, item) in &current {
        match known.remove(key) {
            None => changes.push_back(Change::Added(item.clone())),
            Some(before) if before != *item => changes.push_back(Change::Modified(item.clone())),
            Some(_) => {}
        }
    }
    changes.extend(std::mem::replace(known, current).into_values().map(Change::Deleted));
    changes
}

// === impl Watcher ===

impl Watcher {
    fn now(&self) -> BTreeMap<Key, Item> {
        self.collection.items(&self.report.load(), &self.filter)
    }
}

// === impl Change ===

impl Change {
    fn render(&self) -> Value {
        match self {
            Self::Added(item) => json!({"type": "ADDED", "object": view::render(item)}),
            Self::Modified(item) => json!({"type": "MODIFIED", "object": view::render(item)}),
            Self::Deleted(item) => json!({"type": "DELETED", "object": view::render_gone(item)}),
            Self::Bookmark => json!({"type": "BOOKMARK"}),
        }
    }
}
