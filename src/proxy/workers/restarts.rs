//! How often a worker is started again before that is given up. No clock: the time is told.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The deaths of late.
#[derive(Debug, Default)]
pub struct Restarts(VecDeque<Instant>);

// === impl Restarts ===

impl Restarts {
    /// So many deaths within [`Restarts::WITHIN`] are no accident any more.
    pub const MOST: usize = 5;
    pub const WITHIN: Duration = Duration::from_mins(1);
    const FIRST: Duration = Duration::from_millis(100);

    /// A worker has died: how long to wait before it is started again, or that it is not.
    pub fn next(&mut self, now: Instant) -> Option<Duration> {
        self.0.retain(|death| now.duration_since(*death) < Self::WITHIN);
        self.0.push_back(now);
        let before = self.0.len() - 1;
        if before + 1 >= Self::MOST {
            return None;
        }
        // The first is probably alone: nobody waits for it.
        Some(before.checked_sub(1).map_or(Duration::ZERO, |doublings| Self::FIRST * (1 << doublings)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_comes_back_at_once_the_next_later_and_the_fifth_in_a_minute_not_at_all() {
        let (mut restarts, start) = (Restarts::default(), Instant::now());
        let mut after = |seconds| restarts.next(start + Duration::from_secs(seconds));
        assert_eq!(after(0), Some(Duration::ZERO));
        assert_eq!(after(1), Some(Duration::from_millis(100)));
        assert_eq!(after(2), Some(Duration::from_millis(200)));
        assert_eq!(after(3), Some(Duration::from_millis(400)));
        assert_eq!(after(4), None);
    }

    #[test]
    fn deaths_of_more_than_a_minute_ago_are_forgotten() {
        let (mut restarts, start) = (Restarts::default(), Instant::now());
        for minute in 0..20 {
            let first = restarts.next(start + Duration::from_secs(60 * minute));
            assert_eq!(first, Some(Duration::ZERO));
        }
    }
}
