//! The date of answers: made anew once a second, not for each.

use std::time::{SystemTime, UNIX_EPOCH};

pub(super) struct Date {
    second: u64,
    text: String,
}

// === impl Date ===

impl Date {
    pub(super) fn now() -> Self {
        let now = SystemTime::now();
        Self { second: second(now), text: httpdate::fmt_http_date(now) }
    }

    /// Makes it today's, if it is not any more.
    pub(super) fn refresh(&mut self) {
        if second(SystemTime::now()) != self.second {
            *self = Self::now();
        }
    }

    pub(super) fn text(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

fn second(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
