//! Whether a client keeps pace: sends the body that it announced, takes the answer that it asked for.
//!
//! Only time that is spent waiting for the client counts, never a backend's. Looked at by the worker's tick; on the path
//! of a request it is a flag and an addition.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

use crate::proxy::config::Limits;

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The body of a request.
    pub(super) sending: Lane,
    /// Answers.
    pub(super) taking: Lane,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Whether nothing but the client holds it up.
    waits: Cell<bool>,
    /// Since the window began.
    bytes: Cell<u64>,
    window: Cell<Option<Instant>>,
}

// === impl Pace ===

impl Pace {
    /// The limit that a client has missed, if it has.
    pub(super) fn missed(&self, now: Instant, limits: &Limits) -> Option<&'static str> {
        if self.sending.is_slow(now, limits.send_window, limits.least_rate) {
            return Some("send_rate");
        }
        self.taking.is_slow(now, limits.take_window, limits.least_rate).then_some("take_rate")
    }
}

// === impl Lane ===

impl Lane {
    pub(super) fn waits(&self) {
        self.waits.set(true);
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waits.get()
    }

    pub(super) fn moved(&self, bytes: u64) {
        self.waits.set(false);
        self.bytes.set(self.bytes.get().wrapping_add(bytes));
    }

    /// Whether in a whole window of waiting less came through than `rate` bytes a second.
    pub(super) fn is_slow(&self, now: Instant, window: Duration, rate: u64) -> bool {
        let begun = self.window.get().filter(|_| self.waits.get());
        match begun {
            Some(begun) if now.duration_since(begun) < window => false,
            Some(_) => {
                let is_slow = self.bytes.get() < rate.saturating_mul(window.as_secs().max(1));
                self.begin(Some(now));
                is_slow
            }
            None => {
                self.begin(self.waits.get().then_some(now));
                false
            }
        }
    }

    fn begin(&self, at: Option<Instant>) {
        self.window.set(at);
        self.bytes.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(20);
    const TICK: Duration = Duration::from_millis(250);

    /// Moves `bytes` each tick, with the client holding it up in between or not; the tick at which it was too slow.
    fn run(bytes: u64, waits: impl Fn(u32) -> bool) -> Option<u32> {
        let lane = Lane::default();
        let start = Instant::now();
        (0..400).find(|tick| {
            if bytes > 0 {
                lane.moved(bytes);
            }
            if waits(*tick) {
                lane.waits();
            } else {
                lane.moved(0);
            }
            lane.is_slow(start + TICK * *tick, WINDOW, 240)
        })
    }

    #[test]
    fn a_client_that_stalls_is_found_after_one_window() {
        assert_eq!(run(0, |_| true), Some(80));
        assert_eq!(run(1, |_| true), Some(80));
    }

    #[test]
    fn a_slow_client_that_keeps_the_least_rate_goes_on() {
        assert_eq!(run(60, |_| true), None);
    }

    #[test]
    fn time_in_which_the_client_is_not_waited_for_does_not_count() {
        assert_eq!(run(0, |_| false), None);
        assert_eq!(run(0, |tick| tick % 60 != 0), None);
    }
}
