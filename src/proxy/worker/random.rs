//! Numbers that are spread well and cost nothing; not for secrets.

use std::{
    cell::Cell,
    hash::{BuildHasher as _, RandomState},
};

/// Xorshift64*, seeded by the system.
pub(super) struct Random(Cell<u64>);

// === impl Random ===

impl Random {
    pub(super) fn new() -> Self {
        // A state of zero would stay zero.
        Self(Cell::new(RandomState::new().hash_one(0_u8) | 1))
    }

    pub(super) fn next(&self) -> u64 {
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
