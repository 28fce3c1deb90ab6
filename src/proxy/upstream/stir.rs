//! Something has happened on a connection that waits: as nobody has asked anything, it is the endpoint that closes it.
//!
//! Why not leave that to the next use or the next tick: a connection that is not closed while a container still has its
//! network goes on trying to say goodbye to an address that nobody has, and while the kernel looks for that address in
//! vain, a new container that was given it cannot be reached for up to a second.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
};

use tokio::sync::Notify;

/// What wakes an endpoint.
pub(super) struct Stir {
    has_stirred: AtomicBool,
    told: Arc<Notify>,
}

// === impl Stir ===

impl Stir {
    pub(super) fn new(told: &Arc<Notify>) -> Self {
        Self { has_stirred: AtomicBool::new(false), told: told.clone() }
    }

    /// Whether something has happened since this was asked last.
    pub(super) fn take(&self) -> bool {
        self.has_stirred.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Stir {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.has_stirred.swap(true, Ordering::AcqRel) {
            self.told.notify_one();
        }
    }
}
