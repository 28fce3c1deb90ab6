//! Requests that a client takes back before they are answered: whether they are more than one that means well would.
//!
//! Why answers do not count: some cost nothing, and would pay for any number of requests that cost the backend something.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

/// Grows with each request that is taken back, and shrinks with time.
#[derive(Debug)]
pub(super) struct Cancelled {
    level: Cell<u32>,
    /// Up to when it has shrunk.
    since: Cell<Instant>,
}

// === impl Cancelled ===

impl Cancelled {
    /// One is forgotten in this time, 50 in a second: who scrolls through a map takes back dozens.
    const FORGOTTEN: Duration = Duration::from_millis(20);

    pub(super) fn new(now: Instant) -> Self {
        Self { level: Cell::new(0), since: Cell::new(now) }
    }

    pub(super) fn add(&self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since.get());
        let forgotten = u32::try_from(elapsed.as_millis() / Self::FORGOTTEN.as_millis()).unwrap_or(u32::MAX);
        let level = self.level.get().saturating_sub(forgotten);
        self.level.set(level.saturating_add(1));
        // With nothing to forget, time that has passed does not count for later.
        self.since.set(if level == 0 { now } else { self.since.get() + Self::FORGOTTEN * forgotten });
    }

    pub(super) fn level(&self) -> u32 {
        self.level.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The highest level of so many a second over a time.
    fn highest(a_second: u32, seconds: u32) -> u32 {
        let begun = Instant::now();
        let cancelled = Cancelled::new(begun);
        let levels = (0..a_second * seconds).map(|number| {
            cancelled.add(begun + Duration::from_secs(1) * number / a_second);
            cancelled.level()
        });
        levels.max().unwrap()
    }

    #[test]
    fn dozens_a_second_are_forgotten_for_ever_and_hundreds_add_up() {
        for (a_second, seconds, expected) in
            [(10, 60, 0..=1), (40, 600, 0..=2), (50, 600, 0..=3), (100, 4, 150..=250), (400, 1, 300..=400)]
        {
            let highest = highest(a_second, seconds);
            assert!(expected.contains(&highest), "{a_second} a second for {seconds} s: {highest}");
        }
    }

    #[test]
    fn a_quiet_time_is_no_credit_for_later() {
        let begun = Instant::now();
        let cancelled = Cancelled::new(begun);
        let later = begun + Duration::from_hours(1);
        for _ in 0..100 {
            cancelled.add(later);
        }
        assert_eq!(cancelled.level(), 100);
        cancelled.add(later + Duration::from_secs(1));
        assert_eq!(cancelled.level(), 51);
    }
}
