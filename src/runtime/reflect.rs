//! A stream of events becomes a store: one writer, many readers.
//!
//! The five words are kube-runtime's. What comes between `Init` and `InitDone` fills a buffer that is swapped in at
//! once: no reader ever sees half a list, and a list that never ends changes nothing.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use tokio::sync::watch;

/// What a source says of its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<T: Keyed> {
    /// A full list begins.
    Init,
    /// An object of the list that has begun.
    InitApply(T),
    /// The list is complete: what it did not name is gone.
    InitDone,
    /// An object is new or has changed.
    Apply(T),
    /// An object is gone.
    Delete(T::Id),
}

/// What has a stable name.
pub trait Keyed {
    type Id: Clone + Debug + Ord;

    fn key(&self) -> &Self::Id;
}

/// The only writer of a [`Store`]; not `Clone`.
#[derive(Debug)]
pub struct Writer<T: Keyed> {
    live: Arc<watch::Sender<Contents<T>>>,
    buffer: Option<BTreeMap<T::Id, Arc<T>>>,
}

/// A reader.
#[derive(Debug)]
pub struct Store<T: Keyed> {
    live: watch::Receiver<Contents<T>>,
}

/// What an event did to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is kept for the end of the list.
    Buffered,
    /// The store said so already.
    Unchanged,
    Changed,
    /// A list took the place of the contents. `drift` objects were added, changed or removed by it.
    Swapped {
        first: bool,
        drift: usize,
    },
}

#[derive(Debug)]
struct Contents<T: Keyed> {
    objects: BTreeMap<T::Id, Arc<T>>,
    listed: bool,
}

/// Makes an empty store that is not ready.
pub fn store<T: Keyed + Eq>() -> (Writer<T>, Store<T>) {
    let (sender, receiver) = watch::channel(Contents { objects: BTreeMap::new(), listed: false });
    (Writer { live: Arc::new(sender), buffer: None }, Store { live: receiver })
}

// === impl Writer ===

impl<T: Keyed + Eq> Writer<T> {
    /// Applies one event and wakes the readers if it changed something.
    pub fn apply(&mut self, event: Event<T>) -> Applied {
        match event {
            Event::Init => {
                self.buffer = Some(BTreeMap::new());
                Applied::Buffered
            }
            Event::InitApply(object) => {
                self.buffer.get_or_insert_default().insert(object.key().clone(), Arc::new(object));
                Applied::Buffered
            }
            Event::InitDone => self.swap(),
            Event::Apply(object) => self.put(object),
            Event::Delete(id) => self.remove(&id),
        }
    }

    fn swap(&mut self) -> Applied {
        let mut next = self.buffer.take().unwrap_or_default();
        let mut applied = Applied::Unchanged;
        self.live.send_if_modified(|contents| {
            let drift = drift(&contents.objects, &next);
            let first = !contents.listed;
            std::mem::swap(&mut contents.objects, &mut next);
            contents.listed = true;
            applied = Applied::Swapped { first, drift };
            first || drift > 0
        });
        applied
    }

    /// News that comes while a list is being read is newer than the list, too.
    fn put(&mut self, object: T) -> Applied {
        let (id, object) = (object.key().clone(), Arc::new(object));
        if let Some(buffer) = &mut self.buffer {
            buffer.insert(id.clone(), object.clone());
        }
        let changed = self.live.send_if_modified(|contents| {
            let differs = contents.objects.get(&id) != Some(&object);
            if differs {
                contents.objects.insert(id, object);
            }
            differs
        });
        if changed { Applied::Changed } else { Applied::Unchanged }
    }

    fn remove(&mut self, id: &T::Id) -> Applied {
        if let Some(buffer) = &mut self.buffer {
            buffer.remove(id);
        }
        let changed = self.live.send_if_modified(|contents| contents.objects.remove(id).is_some());
        if changed { Applied::Changed } else { Applied::Unchanged }
    }
}

/// How many objects differ between two states of a store.
fn drift<K: Ord, T: Eq>(old: &BTreeMap<K, Arc<T>>, new: &BTreeMap<K, Arc<T>>) -> usize {
    let removed = old.keys().filter(|id| !new.contains_key(id)).count();
    removed + new.iter().filter(|(id, object)| old.get(id) != Some(object)).count()
}

// === impl Store ===

impl<T: Keyed> Clone for Store<T> {
    fn clone(&self) -> Self {
        Self { live: self.live.clone() }
    }
}

impl<T: Keyed> Store<T> {
    /// Whether a full list has been seen.
    pub fn is_ready(&self) -> bool {
        self.live.borrow().listed
    }

    /// Waits for the first full list. Pends for ever if the writer is gone without one.
    pub async fn ready(&self) {
        if self.live.clone().wait_for(|contents| contents.listed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for a change that this reader has not been told of yet. Pends for ever once the writer is gone: the last
    /// contents stay.
    pub async fn changed(&mut self) {
        if self.live.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Everything, in the order of the ids. It counts as seen.
    pub fn snapshot(&mut self) -> BTreeMap<T::Id, Arc<T>> {
        self.live.borrow_and_update().objects.clone()
    }

    pub fn find(&self, id: &T::Id) -> Option<Arc<T>> {
        self.live.borrow().objects.get(id).cloned()
    }

    pub fn len(&self) -> usize {
        self.live.borrow().objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.live.borrow().objects.is_empty()
    }
}

#[cfg(test)]
mod tests;
