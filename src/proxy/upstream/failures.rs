//! Requests that endpoints have failed: the last one of each, for people.
//!
//! Why by a detour: nobody who is served pays for it. A worker keeps what it notices to itself and tells all of it with its
//! next tick, under the only lock there is. A success is noticed only where a failure came before it.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{sync::watch, time::Instant};

use super::{Endpoint, Slot, Upstreams};
use crate::{
    model::{FailureReport, Fault, LastFailure},
    route::Address,
};

/// An endpoint: two containers may have had one address, and one name may stand for several.
pub(super) type Key = (Address, Arc<str>);

/// A request that an endpoint has failed.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Failed {
    pub(super) key: Key,
    pub(super) at: Instant,
    /// Seconds since 1970.
    time: i64,
    fault: Fault,
    message: Arc<str>,
    /// What the client got; absent while the request is tried again.
    pub(in crate::proxy) status: Option<u16>,
}

/// What one worker has noticed since it last told.
#[derive(Debug, Default)]
pub(super) struct Noticed {
    failed: BTreeMap<Key, Failed>,
    answered: BTreeMap<Address, Instant>,
    /// As of which epoch it knows the failures of others.
    epoch: u64,
}

/// What all workers have told.
#[derive(Debug)]
pub(in crate::proxy) struct Failures {
    known: Mutex<BTreeMap<Key, Known>>,
    /// Counts the times that a worker told of failures.
    epoch: AtomicU64,
    /// The same, and other things to tell.
    news: watch::Sender<u64>,
}

#[derive(Debug)]
struct Known {
    failed: Failed,
    /// When the endpoint last answered, if that was after the failure.
    answered: Option<Instant>,
}

// === impl Failed ===

impl Failed {
    pub(super) fn new(key: Key, fault: Fault, message: String) -> Self {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX);
        Self { key, at: Instant::now(), time, fault, message: message.into(), status: None }
    }

    pub(in crate::proxy) fn is_of_same(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

// === impl Noticed ===

impl Noticed {
    /// Endpoints of which one worker remembers failures until it tells; of more some are lost.
    const MOST: usize = 1_000;

    pub(super) fn failed(&mut self, failed: Failed) {
        let is_newer = self.failed.get(&failed.key).is_none_or(|known| known.at <= failed.at);
        if is_newer && (self.failed.len() < Self::MOST || self.failed.contains_key(&failed.key)) {
            self.failed.insert(failed.key.clone(), failed);
        }
    }

    /// Says whether there was room for it.
    pub(super) fn answered(&mut self, address: Address, now: Instant) -> bool {
        let has_room = self.answered.len() < Self::MOST;
        if has_room {
            self.answered.insert(address, now);
        }
        has_room
    }
}

// === impl Failures ===

impl Failures {
    /// Endpoints whose last failure is remembered; after that the oldest is forgotten.
    const MOST: usize = 1_000;
    /// How long the last that is known of an endpoint is remembered.
    const LAST: Duration = Duration::from_hours(1);
    /// How long a failure is that was followed by answers.
    const FOLLOWED: Duration = Duration::from_mins(5);

    /// Tells when there is something to report.
    pub(in crate::proxy) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Takes note of what a worker has noticed. If others have told of failures since it asked last, the addresses come
    /// back that have not answered since.
    pub(super) fn tell(&self, noticed: &mut Noticed) -> Vec<Address> {
        if noticed.failed.is_empty() && noticed.answered.is_empty() {
            return if self.epoch.load(Ordering::Acquire) == noticed.epoch {
                Vec::new()
            } else {
                self.doubted(noticed)
            };
        }
        let (failed, answered) = (std::mem::take(&mut noticed.failed), std::mem::take(&mut noticed.answered));
        let has_failed = !failed.is_empty();
        let has_changed = self.note(failed, &answered);
        if has_failed {
            self.epoch.fetch_add(1, Ordering::Release);
        }
        if has_changed {
            self.news.send_modify(|count| *count = count.wrapping_add(1));
        }
        self.doubted(noticed)
    }

    /// Says whether that changes what is known.
    fn note(&self, failed: BTreeMap<Key, Failed>, answered: &BTreeMap<Address, Instant>) -> bool {
        let mut known = lock(&self.known);
        let mut has_changed = !failed.is_empty();
        for (key, failed) in failed {
            let answered = match known.get(&key) {
                Some(before) if before.failed.at > failed.at => continue,
                Some(before) => before.answered.filter(|answered| *answered > failed.at),
                None => None,
            };
            known.insert(key, Known { failed, answered });
        }
        for (address, at) in answered {
            let first = (address.clone(), Arc::from(""));
            let of_address = known.range_mut(first..).take_while(|(key, _)| key.0 == *address);
            for (_, one) in of_address.filter(|(_, one)| one.failed.at < *at) {
                has_changed |= one.answered.is_none();
                one.answered = one.answered.max(Some(*at));
            }
        }
        while known.len() > Self::MOST
            && let Some(oldest) = known.values().min_by_key(|one| one.failed.at)
        {
            let oldest = oldest.failed.key.clone();
            known.remove(&oldest);
        }
        has_changed
    }

    /// The addresses that have failed a request and answered none since.
    fn doubted(&self, noticed: &mut Noticed) -> Vec<Address> {
        // Read first: what comes in between is looked at once more.
        noticed.epoch = self.epoch.load(Ordering::Acquire);
        let known = lock(&self.known);
        let doubted = known.values().filter(|one| one.answered.is_none());
        doubted.map(|one| one.failed.key.0.clone()).collect()
    }

    /// What people are told, and when that changes by itself.
    pub(in crate::proxy) fn report(&self, now: Instant) -> (FailureReport, Option<Instant>) {
        let mut known = lock(&self.known);
        known.retain(|_, one| now < one.until());
        let mut report = FailureReport::default();
        for ((address, name), one) in &*known {
            let Failed { time, fault, message, status, .. } = &one.failed;
            let failure = LastFailure {
                time: *time,
                fault: *fault,
                message: message.clone(),
                status: *status,
                answered_since: one.answered.is_some(),
            };
            report.0.entry(name.clone()).or_default().insert(address.to_string(), failure);
        }
        (report, known.values().map(Known::until).min())
    }
}

impl Default for Failures {
    fn default() -> Self {
        Self { known: Mutex::default(), epoch: AtomicU64::new(0), news: watch::Sender::new(0) }
    }
}

// === impl Known ===

impl Known {
    /// When it is forgotten.
    fn until(&self) -> Instant {
        let most = if self.answered.is_some() { Failures::FOLLOWED } else { Failures::LAST };
        self.failed.at + most
    }
}

// === impl Upstreams ===

impl Upstreams {
    /// Takes note of a request that an endpoint has failed.
    pub(in crate::proxy) fn failed(&self, slot: &Slot, fault: Fault, message: String) -> Failed {
        slot.endpoint.is_doubted.set(true);
        let failed = Failed::new((slot.endpoint.address.clone(), slot.name.clone()), fault, message);
        self.note(failed.clone());
        failed
    }

    /// The same in other words.
    pub(in crate::proxy) fn note(&self, failed: Failed) {
        self.noticed.borrow_mut().failed(failed);
    }

    /// Takes note that an endpoint answers that was doubted.
    pub(in crate::proxy) fn answered(&self, endpoint: &Endpoint) {
        let is_noted = self.noticed.borrow_mut().answered(endpoint.address.clone(), Instant::now());
        endpoint.is_doubted.set(!is_noted);
    }

    /// Tells the other workers, and people, what this one has noticed.
    pub(in crate::proxy) fn tell(&self) {
        let doubted = self.fleet.failures.tell(&mut self.noticed.borrow_mut());
        let endpoints = self.endpoints.borrow();
        for address in doubted {
            let of_address = endpoints.range((address.clone(), None)..);
            for (_, endpoint) in of_address.take_while(|(identity, _)| identity.0 == address) {
                endpoint.is_doubted.set(true);
            }
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// See the field.
    pub(in crate::proxy) fn is_doubted(&self) -> bool {
        self.is_doubted.get()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
