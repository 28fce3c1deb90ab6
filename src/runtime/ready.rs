//! Readiness as guards: ready when nobody holds one, and able to say who still does.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

/// What readiness waits for. Clones share it.
#[derive(Clone, Debug)]
pub struct Ready {
    waiting: Arc<watch::Sender<Waiting>>,
}

/// Holds up readiness until it is dropped.
#[derive(Debug)]
#[must_use = "readiness is held up only while this lives"]
pub struct Guard {
    id: u64,
    waiting: Arc<watch::Sender<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    names: BTreeMap<u64, Arc<str>>,
    next: u64,
}

// === impl Ready ===

impl Ready {
    /// Ready from the start, until someone registers.
    pub fn new() -> Self {
        Self { waiting: Arc::new(watch::Sender::new(Waiting::default())) }
    }

    /// Holds up readiness. The name tells an operator what is missing, such as `docker: first list`.
    pub fn register(&self, name: impl Into<Arc<str>>) -> Guard {
        let mut id = 0;
        self.waiting.send_modify(|waiting| {
            id = waiting.next;
            waiting.next += 1;
            waiting.names.insert(id, name.into());
        });
        Guard { id, waiting: self.waiting.clone() }
    }

    pub fn is_ready(&self) -> bool {
        self.waiting.borrow().names.is_empty()
    }

    /// The names that are still held, in the order of their registration.
    pub fn waiting_for(&self) -> Vec<Arc<str>> {
        self.waiting.borrow().names.values().cloned().collect()
    }

    /// Waits until nobody holds up readiness.
    pub async fn wait(&self) {
        // The sender lives in `self`: this cannot fail.
        let _ = self.waiting.subscribe().wait_for(|waiting| waiting.names.is_empty()).await;
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Guard ===

impl Drop for Guard {
    fn drop(&mut self) {
        self.waiting.send_modify(|waiting| {
            waiting.names.remove(&self.id);
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn it_is_ready_when_the_last_guard_is_dropped() {
        let ready = Ready::new();
        let (files, docker) = (ready.register("files"), ready.register("docker: first list"));
        assert_eq!(ready.waiting_for(), ["files".into(), "docker: first list".into()]);
        assert!(ready.wait().now_or_never().is_none());
        drop(files);
        assert_eq!(ready.waiting_for(), ["docker: first list".into()]);
        let (waited, ()) = tokio::join!(ready.wait(), async { drop(docker) });
        assert_eq!((waited, ready.is_ready()), ((), true));
    }

    #[test]
    fn two_guards_of_one_name_both_count() {
        let ready = Ready::new();
        let first = ready.register("listener");
        let _second = ready.register("listener");
        drop(first);
        assert!(!ready.is_ready());
    }
}
