//! How long to wait before trying again: doubling, with jitter, capped, and reset by success.

use std::time::Duration;

/// Delays without end. The first is `first`, each next one up to twice as long, none longer than `cap`.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
    seed: u64,
}

// === impl Backoff ===

impl Backoff {
    /// `seed` chooses the jitter: each delay after the first is between a half and the whole of its nominal length, so that many
    /// clients of one server do not return in step.
    pub fn new(first: Duration, cap: Duration, seed: u64) -> Self {
        Self { first: first.min(cap), cap, next: first.min(cap), seed: seed | 1 }
    }

    /// Starts again from the first delay.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// A fraction in `0.5..=1.0`, by xorshift: chance enough for spreading retries, and no dependency.
    fn jitter(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let unit = f64::from(u32::try_from(self.seed >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
        0.5 + unit / 2.0
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let nominal = self.next;
        self.next = nominal.saturating_mul(2).min(self.cap);
        if nominal == self.first { Some(nominal) } else { Some(nominal.mul_f64(self.jitter())) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const CAP: Duration = Duration::from_secs(10);

    #[test]
    fn it_doubles_to_the_cap_and_success_resets_it() {
        let mut backoff = Backoff::new(FIRST, CAP, 7);
        assert_eq!(backoff.next(), Some(FIRST));
        let later: Vec<_> = backoff.by_ref().take(10).collect();
        assert!(later.iter().skip(7).all(|delay| *delay >= CAP / 2), "{later:?}");
        backoff.reset();
        assert_eq!(backoff.next(), Some(FIRST));
    }

    proptest! {
        #[test]
        fn no_delay_is_longer_than_the_cap_or_shorter_than_half_the_first(seed: u64) {
            for delay in Backoff::new(FIRST, CAP, seed).take(100) {
                prop_assert!(delay <= CAP && delay >= FIRST / 2);
            }
        }
    }

    #[test]
    fn two_seeds_do_not_walk_in_step() {
        let delays = |seed| Backoff::new(FIRST, CAP, seed).take(5).collect::<Vec<_>>();
        assert_ne!(delays(3), delays(99));
    }
}
