//! Which routes refer to a backend, counted, so that a route can go without asking all the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Key, Resolved};
use crate::model::ResourceId;

/// The backends that routes refer to.
pub(in crate::plan) type Known = BTreeMap<Key, Entry>;

/// A backend that some route refers to.
#[derive(Debug)]
pub(in crate::plan) struct Entry {
    pub(super) resolved: Arc<Resolved>,
    /// How many routes refer to it.
    users: usize,
    /// How many rules send requests there.
    pub(super) reached: usize,
    /// URLs that lead to it, and how many rules each.
    pub(super) urls: BTreeMap<String, usize>,
    /// The Gateways from which routes lead here, and how often; only where a policy wants to know.
    pub(super) gateways: BTreeMap<ResourceId, usize>,
}

/// What one route has to do with backends.
#[derive(Debug, Default)]
pub(in crate::plan) struct Uses {
    pub(super) resolved: BTreeSet<Key>,
    /// The URLs at which it leads to them.
    pub(super) reached: Vec<(Key, Vec<String>)>,
    /// The Gateways from which it leads to them.
    pub(super) came_from: Vec<(Key, ResourceId)>,
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(resolved: Arc<Resolved>) -> Self {
        Self { resolved, users: 0, reached: 0, urls: BTreeMap::new(), gateways: BTreeMap::new() }
    }
}

// === impl Uses ===

impl Uses {
    /// Counts the route in.
    pub(super) fn hold(&self, known: &mut Known) {
        for key in &self.resolved {
            if let Some(entry) = known.get_mut(key) {
                entry.users += 1;
            }
        }
    }

    /// Counts the route out, and forgets what only it had to do with.
    pub(super) fn release(&self, known: &mut Known) {
        for (key, urls) in &self.reached {
            let Some(entry) = known.get_mut(key) else { continue };
            entry.reached = entry.reached.saturating_sub(1);
            for url in urls {
                take_one(&mut entry.urls, url);
            }
        }
        for (key, gateway) in &self.came_from {
            if let Some(entry) = known.get_mut(key) {
                take_one(&mut entry.gateways, gateway);
            }
        }
        for key in &self.resolved {
            let Some(entry) = known.get_mut(key) else { continue };
            entry.users = entry.users.saturating_sub(1);
            if entry.users == 0 {
                known.remove(key);
            }
        }
    }
}

/// Counts one less, and forgets what there is none of.
fn take_one<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
