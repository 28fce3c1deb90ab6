//! How many connections to endpoints a worker has open. Each is a file, and of those there is an end.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::{Endpoint, Upstreams};

/// All of a worker's. Only its thread counts; a connection may be made anywhere.
#[derive(Debug)]
pub(super) struct Seats {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// One connection, from before it is opened. Dropping it is its end.
#[derive(Debug)]
pub(super) struct Seat(Arc<AtomicUsize>);

// === impl Seats ===

impl Seats {
    pub(super) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    pub(super) fn are_taken(&self) -> bool {
        self.taken.load(Relaxed) >= self.most
    }

    /// `None` where all are taken.
    pub(super) fn take(&self) -> Option<Seat> {
        if self.are_taken() {
            return None;
        }
        self.taken.fetch_add(1, Relaxed);
        Some(Seat(self.taken.clone()))
    }
}

impl Default for Seats {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

// === impl Seat ===

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

// === impl Upstreams ===

impl Upstreams {
    /// Where there is no room for one more connection, closes some that wait for their next request.
    pub(in crate::proxy) async fn make_room(&self) {
        if !self.means.seats.are_taken() {
            return;
        }
        for endpoint in self.endpoints.borrow().values() {
            endpoint.close_idle();
        }
        // A connection that was shared is closed by its own task.
        tokio::task::yield_now().await;
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// Closes the half that has waited longest: the next that needs room need not look again at once.
    fn close_idle(&self) {
        let mut idle = self.idle.borrow_mut();
        let half = idle.len().div_ceil(2);
        drop(idle.drain(..half));
        self.shared.close_idle();
    }
}
