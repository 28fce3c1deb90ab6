//! The date of answers: made anew once a second, not for each.

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

pub(super) struct Date {
    second: u64,
    text: HeaderValue,
}

// === impl Date ===

impl Date {
    pub(super) fn now() -> Self {
        let now = SystemTime::now();
        Self { second: second(now), text: text(now) }
    }

    /// Makes it today's, if it is not any more.
    pub(super) fn refresh(&mut self) {
        if second(SystemTime::now()) != self.second {
            *self = Self::now();
        }
    }

    pub(super) fn text(&self) -> &HeaderValue {
        &self.text
    }
}

fn text(time: SystemTime) -> HeaderValue {
    let text = HeaderValue::try_from(httpdate::fmt_http_date(time));
    text.unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

fn second(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
