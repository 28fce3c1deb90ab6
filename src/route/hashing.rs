//! Consistent hashing: which endpoint a key belongs to, with and without some of the others.
//!
//! Why no seed: two Portolans in front of the same endpoints must agree. A client that chooses its key chooses its
//! endpoint, which is what hashing is for; nothing is stored by key, so nothing can be made to collide.

use std::iter;

/// Which endpoint a key belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    Ring(Ring),
    Maglev(Maglev),
}

/// Points on a circle; a key belongs to the next one. An endpoint's points depend on nothing but itself as long as the
/// greatest weight and the number of endpoints stay between two powers of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// By hash, with the member's index.
    points: Box<[(u64, u32)]>,
}

/// A table of places that members fill in turns, each in an order of its own (Eisenbud et al., "Maglev", NSDI 2016):
/// shares as even as the table is long, and few keys move when a member goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maglev {
    places: Box<[u32]>,
}

/// A 64-bit hash of a key: FNV-1a, finished so that every bit counts.
pub fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv)
}

/// Spreads a number over all 64 bits.
pub fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    number = (number ^ (number >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

// === impl Lookup ===

impl Lookup {
    /// The indices of members, the one that the key belongs to first; then those that take its place, in their order,
    /// some more than once. Ends after all.
    pub fn walk(&self, key: u64) -> impl Iterator<Item = usize> {
        let (length, start) = match self {
            Self::Ring(ring) => (ring.points.len(), ring.points.partition_point(|(hash, _)| *hash < key)),
            Self::Maglev(maglev) => (maglev.places.len(), maglev.place(key)),
        };
        (start..length).chain(0..start).filter_map(move |index| match self {
            Self::Ring(ring) => ring.points.get(index).map(|(_, member)| *member as usize),
            Self::Maglev(maglev) => maglev.places.get(index).map(|member| *member as usize),
        })
    }
}

// === impl Ring ===

impl Ring {
    /// Points of the heaviest member, if there are few.
    const MOST: u64 = 1024;
    const LEAST: u64 = 64;
    /// Points of all, about.
    const ALL: u64 = 1 << 16;

    /// `members` are identities, each another one, with weights above 0. Their order makes no difference but for the
    /// indices.
    pub fn new(members: &[(String, u32)]) -> Self {
        let number = (members.len() as u64).next_power_of_two();
        let most = (Self::ALL / number).clamp(Self::LEAST, Self::MOST);
        let heaviest = members.iter().map(|(_, weight)| u64::from(*weight)).max().unwrap_or(1);
        let scale = heaviest.next_power_of_two();
        let mut points = Vec::new();
        for (index, (identity, weight)) in (0_u32..).zip(members) {
            let count = (u64::from(*weight) * most).div_ceil(scale);
            let seed = hash(identity.as_bytes());
            points.extend((0..count).map(|point| (mix(seed.wrapping_add(mix(point + 1))), index)));
        }
        // Where two points meet, the identity decides, not the order.
        points.sort_by(|(one, a), (other, b)| {
            let identity = |index: u32| members.get(index as usize).map(|(identity, _)| identity);
            one.cmp(other).then_with(|| identity(*a).cmp(&identity(*b)))
        });
        Self { points: points.into() }
    }
}

// === impl Maglev ===

impl Maglev {
    /// Primes, each for at most so many members: a hundred places for each, or the shares would be uneven.
    const SIZES: [(usize, u64); 3] = [(32, 4_099), (512, 65_537), (usize::MAX, 655_373)];
    const FREE: u32 = u32::MAX;

    /// See [`Ring::new`].
    pub fn new(members: &[(String, u32)]) -> Self {
        let size = Self::SIZES.iter().find(|(most, _)| members.len() <= *most).map_or(0, |(_, size)| *size);
        let heaviest = members.iter().map(|(_, weight)| u64::from(*weight)).max().unwrap_or(0);
        if heaviest == 0 {
            return Self { places: Box::default() };
        }
        let mut turns: Vec<Turns<'_>> =
            (0_u32..).zip(members).map(|(index, member)| Turns::new(index, member, size)).collect();
        turns.sort_by(|one, other| one.identity.cmp(other.identity));
        let mut places = vec![Self::FREE; usize::try_from(size).unwrap_or(0)];
        let mut left = places.len();
        for round in 1.. {
            for turns in &mut turns {
                // A member that weighs half of the heaviest comes every other round.
                if round * turns.weight < turns.due {
                    continue;
                }
                turns.due += heaviest;
                if left == 0 {
                    return Self { places: places.into() };
                }
                let order = iter::from_fn(|| Some(turns.next(size)));
                let free = order.take(places.len()).find(|place| places.get(*place) == Some(&Self::FREE));
                if let Some(place) = free.and_then(|place| places.get_mut(place)) {
                    *place = turns.index;
                    left -= 1;
                }
            }
        }
        Self { places: places.into() }
    }

    fn place(&self, key: u64) -> usize {
        usize::try_from(key.checked_rem(self.places.len() as u64).unwrap_or(0)).unwrap_or(0)
    }
}

/// A member while the table is filled.
struct Turns<'m> {
    index: u32,
    identity: &'m str,
    weight: u64,
    /// What the round times the weight must reach before its next turn.
    due: u64,
    /// The next place in its order, and the step to the one after it.
    next: u64,
    step: u64,
}

// === impl Turns ===

impl<'m> Turns<'m> {
    fn new(index: u32, (identity, weight): &'m (String, u32), size: u64) -> Self {
        let seed = hash(identity.as_bytes());
        Self {
            index,
            identity,
            weight: u64::from(*weight),
            due: 0,
            next: seed % size,
            // A prime has no divisor in common with it: the steps visit every place.
            step: mix(seed) % (size - 1) + 1,
        }
    }

    fn next(&mut self, size: u64) -> usize {
        let place = self.next;
        self.next = (place + self.step) % size;
        usize::try_from(place).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
