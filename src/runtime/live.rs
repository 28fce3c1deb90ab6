//! One writer, many readers, one atomic swap.
//!
//! Why not a watch channel on the request path: reading one takes a lock and touches a shared reference count. A
//! [`View`] belongs to one thread and keeps its own copy of the current value's pointer; a read is one load of a
//! version number that no one writes while nothing changes.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

/// The only writer of a value; not `Clone`.
#[derive(Debug)]
pub struct Publisher<T> {
    shared: Arc<Shared<T>>,
    changed: watch::Sender<u64>,
    /// Former values that somebody may still hold: whoever lets go of one last must not be a reader, to whom it would
    /// come as a pause.
    former: Vec<Arc<T>>,
}

/// A reader that may be cloned and sent.
#[derive(Debug)]
pub struct Live<T> {
    shared: Arc<Shared<T>>,
    changed: watch::Receiver<u64>,
}

/// A reader of one thread.
#[derive(Debug)]
pub struct View<T> {
    live: Live<T>,
    // The outer pointer is counted by this thread alone, so that a request touches no shared cache line.
    #[expect(clippy::redundant_allocation, reason = "see above")]
    cached: RefCell<(u64, Rc<Arc<T>>)>,
}

#[derive(Debug)]
struct Shared<T> {
    value: ArcSwap<T>,
    version: AtomicU64,
}

/// Makes a value with one writer and any number of readers. Its first version is 0.
pub fn live<T: Eq>(initial: T) -> (Publisher<T>, Live<T>) {
    let shared = Arc::new(Shared { value: ArcSwap::from_pointee(initial), version: AtomicU64::new(0) });
    let (sender, receiver) = watch::channel(0);
    (
        Publisher { shared: shared.clone(), changed: sender, former: Vec::new() },
        Live { shared, changed: receiver },
    )
}

// === impl Publisher ===

impl<T: Eq> Publisher<T> {
    /// Makes `next` the current value and wakes the readers, unless it equals the current one. Says whether it did.
    pub fn publish(&mut self, next: impl Into<Arc<T>>) -> bool {
        let next = next.into();
        if *self.shared.value.load_full() == *next {
            return false;
        }
        self.former.retain(|value| Arc::strong_count(value) > 1);
        self.former.push(self.shared.value.swap(next));
        let version = self.shared.version.fetch_add(1, Ordering::AcqRel) + 1;
        self.changed.send_replace(version);
        true
    }

    /// Hands out the former values that nobody else holds any more, to be dropped where that disturbs nobody.
    pub fn take_unused(&mut self) -> Vec<Arc<T>> {
        self.former.extract_if(.., |value| Arc::strong_count(value) == 1).collect()
    }

    /// Whether somebody may still hold a former value.
    pub fn has_former(&self) -> bool {
        !self.former.is_empty()
    }

    /// How many times a new value was published.
    pub fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Acquire)
    }
}

// === impl Live ===

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), changed: self.changed.clone() }
    }
}

impl<T> Live<T> {
    pub fn load(&self) -> Arc<T> {
        self.shared.value.load_full()
    }

    pub fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Acquire)
    }

    /// Waits for a value that this reader has not been told of yet. Pends for ever once the publisher is gone: the last
    /// value stays.
    pub async fn changed(&mut self) {
        if self.changed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// A reader for the current thread.
    pub fn view(&self) -> View<T> {
        let version = self.version();
        View { live: self.clone(), cached: RefCell::new((version, Rc::new(self.load()))) }
    }
}

// === impl View ===

impl<T> View<T> {
    /// The current value. Whoever holds the result keeps that generation.
    pub fn load(&self) -> Rc<Arc<T>> {
        let version = self.live.version();
        let mut cached = self.cached.borrow_mut();
        if cached.0 != version {
            *cached = (version, Rc::new(self.live.load()));
        }
        cached.1.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equal_value_is_not_published() {
        let (mut publisher, live) = live(1);
        assert!(!publisher.publish(1));
        assert!(publisher.publish(2));
        assert_eq!((*live.load(), live.version()), (2, 1));
    }

    #[test]
    fn a_former_value_is_kept_until_nobody_else_holds_it() {
        let (mut publisher, live) = live("a");
        let held = live.view().load();
        publisher.publish("b");
        assert!(publisher.take_unused().is_empty() && publisher.has_former());
        drop(held);
        assert_eq!(publisher.take_unused(), [Arc::new("a")]);
        assert!(!publisher.has_former());
    }

    #[test]
    fn a_view_sees_the_newest_value_and_a_holder_keeps_its_own() {
        let (mut publisher, live) = live("a");
        let view = live.view();
        let held = view.load();
        publisher.publish("b");
        assert_eq!((**held, **view.load()), ("a", "b"));
    }
}
