//! Finding by hash: hosts, paths and tree edges.
//!
//! Why not a map of the standard library: its order is random, and the table must be equal for equal input. This one is
//! built once, never changes, and borrows nothing to look up.

use std::fmt;

use crate::model::{Host, HostPattern};

/// An open-addressed index over values kept elsewhere, found by position. At most half full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HashIndex {
    /// Position + 1, or 0 for empty; the length is a power of two.
    slots: Box<[u32]>,
}

/// Values by host pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostIndex<T> {
    exact: Vec<(Host, T)>,
    exact_index: HashIndex,
    /// By the part after `*.`.
    wildcard: Vec<(Host, T)>,
    wildcard_index: HashIndex,
    any: Option<T>,
}

/// A pattern of a [`HostIndex`], as it is shown.
#[derive(Clone, Copy)]
pub(super) enum Place<'t> {
    Exact(&'t Host),
    Below(&'t Host),
    Anywhere,
}

/// Hashes text; the same on every machine and run.
pub(super) fn hash(text: &[u8]) -> u64 {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let mut hash = text.len() as u64;
    let mut mix = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        mix(u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(u64::from_le_bytes(last));
    hash ^ (hash >> 32)
}

// === impl HashIndex ===

impl HashIndex {
    /// Indexes the positions `0..length`.
    pub(super) fn new(length: usize, hash_of: impl Fn(usize) -> u64) -> Self {
        if length == 0 {
            return Self::default();
        }
        let mut slots = vec![0; (length * 2).next_power_of_two()].into_boxed_slice();
        let mask = slots.len() - 1;
        for position in 0..length {
            let mut slot = Self::start(hash_of(position), mask);
            while slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = u32::try_from(position + 1).unwrap_or(u32::MAX);
        }
        Self { slots }
    }

    /// The position for which `is_it` holds, among those of this hash.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = Self::start(hash, mask);
        loop {
            let position = (self.slots[slot] as usize).checked_sub(1)?;
            if is_it(position) {
                return Some(position);
            }
            slot = (slot + 1) & mask;
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the mask keeps the low bits only")]
    fn start(hash: u64, mask: usize) -> usize {
        hash as usize & mask
    }
}

// === impl HostIndex ===

impl<T> HostIndex<T> {
    /// `patterns` has each pattern once, `None` being the absence of one.
    pub(super) fn new(patterns: impl IntoIterator<Item = (Option<HostPattern>, T)>) -> Self {
        let (mut exact, mut wildcard, mut any) = (Vec::new(), Vec::new(), None);
        for (pattern, value) in patterns {
            match pattern {
                Some(HostPattern::Exact(host)) => exact.push((host, value)),
                Some(HostPattern::Wildcard(suffix)) => wildcard.push((suffix, value)),
                None => any = Some(value),
            }
        }
        let index = |hosts: &[(Host, T)]| {
            HashIndex::new(hosts.len(), |position| hash(hosts[position].0.as_str().as_bytes()))
        };
        Self { exact_index: index(&exact), wildcard_index: index(&wildcard), exact, wildcard, any }
    }

    /// The values whose pattern takes `host`, the most specific first: exact, wildcards by length, none.
    pub(super) fn candidates(&self, host: &str) -> impl Iterator<Item = &T> {
        let exact = find(&self.exact, &self.exact_index, host);
        let suffixes = if self.wildcard.is_empty() { "" } else { host };
        let wildcards = suffixes
            .match_indices('.')
            .filter(|(dot, _)| *dot > 0)
            .filter_map(|(dot, _)| find(&self.wildcard, &self.wildcard_index, &host[dot + 1..]));
        exact.into_iter().chain(wildcards).chain(&self.any)
    }

    /// Each pattern with its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Place<'_>, &T)> {
        let exact = self.exact.iter().map(|(host, value)| (Place::Exact(host), value));
        let wildcard = self.wildcard.iter().map(|(suffix, value)| (Place::Below(suffix), value));
        exact.chain(wildcard).chain(self.any.iter().map(|value| (Place::Anywhere, value)))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.exact.iter().chain(&self.wildcard).map(|(_, value)| value).chain(&self.any)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Below(suffix) => write!(f, "*.{suffix}"),
            Self::Anywhere => f.write_str("*"),
        }
    }
}

fn find<'t, T>(hosts: &'t [(Host, T)], index: &HashIndex, host: &str) -> Option<&'t T> {
    let position = index.find(hash(host.as_bytes()), |position| hosts[position].0.as_str() == host)?;
    Some(&hosts[position].1)
}
