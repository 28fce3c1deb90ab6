//! What an HTTPRoute's rule says of requests beside their way: sessions and mirrors.

use std::{sync::Arc, time::Duration};

use http::HeaderName;

use super::BackendRef;

/// Keeps a client at one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub carrier: SessionCarrier,
    /// How long a session lasts at most, from its start.
    pub lifetime: Option<Duration>,
}

/// What carries the name of the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionCarrier {
    Cookie {
        /// A token.
        name: Arc<str>,
        path: Arc<str>,
        /// Whether it outlives the browser, for as long as the session may last.
        is_permanent: bool,
    },
    Header(HeaderName),
}

/// A copy of requests for another backend, whose answers nobody reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub backend: BackendRef,
    pub share: Share,
}

/// A part of all requests; the numerator is at most the denominator, which is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    numerator: u32,
    denominator: u32,
}

// === impl Share ===

impl Share {
    pub const ALL: Self = Self { numerator: 1, denominator: 1 };

    /// `None` where the numerator is more than the denominator, or that is 0.
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        (denominator > 0 && numerator <= denominator).then_some(Self { numerator, denominator })
    }

    /// Whether a request belongs to it; `random` is any number, uniformly distributed.
    pub fn takes(self, random: u64) -> bool {
        random % u64::from(self.denominator) < u64::from(self.numerator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_its_part_of_the_numbers() {
        for (numerator, denominator, expected) in
            [(0, 100, 0), (20, 100, 200), (25, 50, 500), (35, 100, 350), (1, 1, 1000)]
        {
            let share = Share::new(numerator, denominator).unwrap();
            assert_eq!((0..1000).filter(|random| share.takes(*random)).count(), expected);
        }
        assert_eq!((Share::new(2, 1), Share::new(0, 0)), (None, None));
    }
}
