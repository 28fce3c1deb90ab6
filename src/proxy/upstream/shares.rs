//! Shares by weight: whose turn it is, and whom a random number means.

/// The weights of some places, summed up.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Sum of the weights up to and including each place.
    upto: Vec<u64>,
    total: u64,
    /// Steps over the sum of the weights that visit every point once and spread each place's points.
    stride: u64,
}

// === impl Shares ===

impl Shares {
    pub(super) fn new(mut weights: Vec<u64>) -> Self {
        // Small numbers spread best: ten and ten is one and one.
        let divisor = weights.iter().fold(0, |divisor, weight| gcd(divisor, *weight)).max(1);
        let mut total = 0;
        for weight in &mut weights {
            total += *weight / divisor;
            *weight = total;
        }
        Self { upto: weights, total, stride: stride(total) }
    }

    /// The place whose turn it is: in as many turns as the sum of the weights each gets exactly its own.
    pub(super) fn turn(&self, turn: u64) -> usize {
        let total = self.total.max(1);
        self.find((turn % total).wrapping_mul(self.stride) % total)
    }

    /// The place of a number, which may be any.
    pub(super) fn at(&self, number: u64) -> usize {
        self.find(number % self.total.max(1))
    }

    fn find(&self, point: u64) -> usize {
        let found = self.upto.partition_point(|upto| *upto <= point);
        found.min(self.upto.len())
    }

    pub(super) fn weight(&self, place: usize) -> u64 {
        let upto = self.upto.get(place).copied().unwrap_or(0);
        let before = place.checked_sub(1).and_then(|before| self.upto.get(before)).copied().unwrap_or(0);
        upto.saturating_sub(before)
    }
}

/// A number without a common divisor with `total`, at about its golden section.
fn stride(total: u64) -> u64 {
    let near = total / 1000 * 618 + total % 1000 * 618 / 1000;
    (near.max(1)..=total.max(1)).find(|candidate| gcd(*candidate, total) == 1).unwrap_or(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
