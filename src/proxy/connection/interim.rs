//! Heads that go before that of the answer (RFC 9110 section 15.2), while they wait for the client.
//!
//! Why bounded: a client that reads nothing would have as much kept for it as a backend likes to say. They are hints: what
//! does not fit beside those that wait is left out.

use std::cell::RefCell;

use ::http::{HeaderMap, StatusCode};

use super::super::http1::{output::Output, response::write_interim};

/// As they are written to a client of HTTP/1.
#[derive(Debug, Default)]
pub(super) struct Interim(RefCell<Vec<u8>>);

/// The most that may wait for one client, or on one stream.
const MOST: usize = 64 << 10;

/// Beside a field's own bytes (RFC 9113 section 6.5.2).
const FIELD: usize = 32;

/// How much waits when these fields wait too. `None` where that is too much; a head without fields always fits.
pub(super) fn beside(waiting: usize, headers: &HeaderMap) -> Option<usize> {
    let size = |(name, value): (&::http::HeaderName, &::http::HeaderValue)| {
        name.as_str().len() + value.len() + FIELD
    };
    let together = waiting + headers.iter().map(size).sum::<usize>();
    (together <= MOST || headers.is_empty()).then_some(together)
}

// === impl Interim ===

impl Interim {
    pub(super) fn add(&self, status: StatusCode, headers: &HeaderMap) {
        let mut waiting = self.0.borrow_mut();
        if beside(waiting.len(), headers).is_some() {
            write_interim(status, headers, &mut waiting);
        }
    }

    /// Moves them to what is written next, as long as little of that waits for the client itself.
    pub(super) fn pour(&self, output: &mut Output) {
        if output.has_room() {
            output.bytes.append(&mut self.take());
        }
    }

    pub(super) fn take(&self) -> Vec<u8> {
        self.0.take()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(length: usize) -> HeaderMap {
        let value = ::http::HeaderValue::try_from("x".repeat(length)).unwrap();
        HeaderMap::from_iter([(::http::header::LINK, value)])
    }

    #[test]
    fn what_waits_for_a_client_that_does_not_read_has_a_bound() {
        let (interim, mut output) = (Interim::default(), Output::default());
        for _ in 0..1000 {
            interim.add(StatusCode::EARLY_HINTS, &hints(10_000));
            interim.add(StatusCode::EARLY_HINTS, &hints(250_000));
            interim.pour(&mut output);
        }
        assert!(output.bytes.len() < 16 << 10, "{}", output.bytes.len());
        let left = interim.take();
        assert!((40_000..=MOST).contains(&left.len()) && left.ends_with(b"x\r\n\r\n"), "{}", left.len());
    }

    #[test]
    fn what_is_left_out_leaves_room_for_less() {
        let interim = Interim::default();
        interim.add(StatusCode::EARLY_HINTS, &hints(MOST));
        assert!(interim.is_empty());
        interim.add(StatusCode::EARLY_HINTS, &hints(MOST - 100));
        interim.add(StatusCode::EARLY_HINTS, &hints(100));
        interim.add(StatusCode::PROCESSING, &HeaderMap::new());
        let text = String::from_utf8(interim.take()).unwrap();
        assert_eq!((text.matches("HTTP/1.1 103").count(), text.matches("HTTP/1.1 102").count()), (1, 1));
    }
}
