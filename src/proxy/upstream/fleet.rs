//! What all workers share of endpoints that are watched: their health, their errors, the requests under way.
//!
//! Why shared, unlike all else of an upstream: what one worker finds out is true for all of them, and one prober asks
//! for all. A request reads one counter that is written when something changes, and writes a count of its worker's
//! own; a lock is taken only by whoever changes something, and by each worker once after that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    failures::Failures,
    vitals::{Change, Vitals},
};
use crate::{
    model::{BackendPolicy, Balancing, Ejection, EndpointTls, HealthReport, Scheme},
    route::{
        self, Address, Table, Target,
        hashing::{Lookup, Maglev, Ring},
    },
};

/// Every backend that is watched, by name.
#[derive(Debug)]
pub(in crate::proxy) struct Fleet {
    /// Of all endpoints, watched or not.
    pub(in crate::proxy) failures: Failures,
    workers: usize,
    groups: Mutex<BTreeMap<Arc<str>, Arc<Group>>>,
    /// Endpoints that another process has found healthy, by backend; each until it is met.
    vouched: Mutex<BTreeMap<Arc<str>, BTreeSet<String>>>,
    /// The table that was adopted last.
    adopted: Mutex<Option<Arc<Table>>>,
    /// Counts the tables that were adopted.
    round: AtomicU64,
    /// Counts what people and waiting requests should be told of.
    news: watch::Sender<u64>,
}

/// A backend's endpoints.
#[derive(Debug)]
pub(in crate::proxy) struct Group {
    /// The round in which a table had it last.
    round: AtomicU64,
    members: Mutex<BTreeMap<Address, Arc<Member>>>,
    lookup: Mutex<Option<Hashed>>,
    /// Counts the changes that matter to a choice.
    pub(super) epoch: AtomicU64,
    pub(super) pending: AtomicU32,
    /// Told when a place is free and somebody waits for one.
    pub(super) room: Notify,
    news: watch::Sender<u64>,
}

/// One endpoint of one backend.
#[derive(Debug)]
pub(in crate::proxy) struct Member {
    /// See [`Group::round`].
    round: AtomicU64,
    vitals: Mutex<Vitals>,
    /// Errors in a row.
    pub(super) errors: AtomicU32,
    /// Requests under way, where their number is limited.
    pub(super) busy: AtomicU32,
    /// Requests under way, by worker.
    pub(super) under_way: Box<[Shard]>,
}

/// One worker's count, on cache lines that no other worker writes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Shard(AtomicU32);

/// A lookup, and what it was made from.
#[derive(Debug)]
struct Hashed {
    balancing: Balancing,
    members: Vec<(String, u32)>,
    lookup: Arc<Lookup>,
}

/// An endpoint of the table that is watched.
#[derive(Debug)]
pub(in crate::proxy) struct Seen {
    pub(in crate::proxy) backend: Arc<route::Backend>,
    pub(in crate::proxy) address: Address,
    pub(in crate::proxy) scheme: Scheme,
    pub(in crate::proxy) tls: Option<Arc<EndpointTls>>,
    pub(in crate::proxy) group: Arc<Group>,
    pub(in crate::proxy) member: Arc<Member>,
}

// === impl Fleet ===

impl Fleet {
    pub(in crate::proxy) fn new(workers: usize) -> Self {
        Self {
            failures: Failures::default(),
            workers,
            groups: Mutex::default(),
            vouched: Mutex::default(),
            adopted: Mutex::default(),
            round: AtomicU64::new(0),
            news: watch::Sender::new(0),
        }
    }

    /// Tells when something of note has changed.
    pub(in crate::proxy) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// These serve from the start: another process has just found them healthy.
    pub(in crate::proxy) fn vouch(&self, healthy: BTreeMap<Arc<str>, BTreeSet<String>>) {
        *lock(&self.vouched) = healthy;
    }

    /// A backend, and its endpoints in their order; those that nobody knew are new.
    pub(super) fn group(&self, backend: &route::Backend) -> (Arc<Group>, Vec<Arc<Member>>) {
        let mut groups = lock(&self.groups);
        let known = groups.get(&backend.name).cloned();
        let is_new = known.is_none();
        let group = known.unwrap_or_else(|| Arc::new(Group::new(self.news.clone())));
        if is_new {
            groups.insert(backend.name.clone(), group.clone());
        }
        let round = self.round.load(Ordering::SeqCst);
        group.round.store(round, Ordering::SeqCst);
        let mut vouched = lock(&self.vouched);
        let mut vouched = vouched.get_mut(&*backend.name);
        // A backend that served before anybody watched it goes on, as one does whose first check comes later.
        let before = if is_new { lock(&self.adopted).clone() } else { None };
        let before = before.filter(|table| table.has_backend(&backend.name));
        let is_vouched = |address: &Address| {
            vouched.as_mut().is_some_and(|vouched| vouched.remove(&address.to_string()))
                || before.as_ref().is_some_and(|table| table.has_address(address))
        };
        (group.clone(), group.meet(backend, self.workers, round, is_vouched))
    }

    /// Takes note of a new table: forgets what is not in it, and lists what is.
    ///
    /// A worker may have met the endpoints of a table that comes while this one is adopted: what anybody has met since
    /// the round began stays. So the table is loaded after that.
    pub(in crate::proxy) fn adopt(&self, load: impl FnOnce() -> Arc<Table>) -> Vec<Seen> {
        let round = self.round.fetch_add(1, Ordering::SeqCst) + 1;
        let table = load();
        let mut names = BTreeSet::new();
        let mut seen = Vec::new();
        let sockets = table.sockets().filter_map(|address| table.socket(address));
        for listener in sockets.flat_map(route::Socket::listeners) {
            for target in listener.rules().flat_map(|(_, rule)| rule.targets()) {
                if let Target::Backend(backend) = target
                    && backend.policy.is_watchful()
                    && names.insert(&backend.name)
                {
                    let (group, members) = self.group(backend);
                    group.forget(backend, round);
                    seen.extend(backend.endpoints.iter().zip(members).map(|(endpoint, member)| Seen {
                        backend: backend.clone(),
                        address: endpoint.address.clone(),
                        scheme: endpoint.scheme,
                        tls: endpoint.identity(listener.client.as_ref()).1,
                        group: group.clone(),
                        member,
                    }));
                }
            }
        }
        lock(&self.groups).retain(|_, group| group.round.load(Ordering::SeqCst) >= round);
        *lock(&self.adopted) = Some(table);
        seen
    }

    /// What people are told, and when that changes by itself.
    pub(in crate::proxy) fn report(&self, now: Instant) -> (HealthReport, Option<Instant>) {
        let mut report = HealthReport::default();
        let mut returns: Option<Instant> = None;
        for (name, group) in &*lock(&self.groups) {
            let members = lock(&group.members);
            let endpoints = members.iter().map(|(address, member)| {
                let vitals = member.vitals();
                returns = returns.into_iter().chain(vitals.returns(now)).min();
                (address.to_string(), vitals.health(now))
            });
            report.0.insert(name.clone(), endpoints.collect());
        }
        (report, returns)
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new(1)
    }
}

// === impl Group ===

impl Group {
    fn new(news: watch::Sender<u64>) -> Self {
        Self {
            round: AtomicU64::new(0),
            members: Mutex::default(),
            lookup: Mutex::default(),
            epoch: AtomicU64::new(0),
            pending: AtomicU32::new(0),
            room: Notify::new(),
            news,
        }
    }

    fn meet(
        &self,
        backend: &route::Backend,
        workers: usize,
        round: u64,
        mut is_vouched: impl FnMut(&Address) -> bool,
    ) -> Vec<Arc<Member>> {
        let check = backend.policy.check.as_ref();
        let mut members = lock(&self.members);
        let mut meet = |endpoint: &route::Endpoint| {
            let member = members.entry(endpoint.address.clone()).or_insert_with(|| {
                let mut vitals = Vitals::new(check, Instant::now());
                if is_vouched(&endpoint.address) {
                    vitals.vouch();
                }
                Arc::new(Member {
                    round: AtomicU64::new(round),
                    vitals: Mutex::new(vitals),
                    errors: AtomicU32::new(0),
                    busy: AtomicU32::new(0),
                    under_way: (0..workers).map(|_| Shard::default()).collect(),
                })
            });
            member.round.store(round, Ordering::SeqCst);
            member.clone()
        };
        backend.endpoints.iter().map(&mut meet).collect()
    }

    /// Forgets the endpoints that nobody has met since the round began.
    fn forget(&self, backend: &route::Backend, round: u64) {
        let mut change = Change::None;
        let mut members = lock(&self.members);
        members.retain(|_, member| member.round.load(Ordering::SeqCst) >= round);
        for member in members.values() {
            change = change.max(member.vitals().checked_by(backend.policy.check.as_ref()));
        }
        drop(members);
        if change == Change::Some {
            self.tell();
        }
    }

    /// The lookup for the policies that hash: made once for all workers, and again when endpoints change.
    pub(super) fn lookup(&self, backend: &route::Backend) -> Option<Arc<Lookup>> {
        let balancing = &backend.policy.balancing;
        balancing.hash_key()?;
        let members: Vec<(String, u32)> = backend
            .endpoints
            .iter()
            .map(|endpoint| (endpoint.address.to_string(), endpoint.weight.max(1)))
            .collect();
        let mut known = lock(&self.lookup);
        if let Some(hashed) = &*known
            && hashed.balancing == *balancing
            && hashed.members == members
        {
            return Some(hashed.lookup.clone());
        }
        let lookup = Arc::new(match balancing {
            Balancing::RingHash(_) => Lookup::Ring(Ring::new(&members)),
            Balancing::Maglev(_) => Lookup::Maglev(Maglev::new(&members)),
            Balancing::RoundRobin | Balancing::LeastRequest | Balancing::Random => return None,
        });
        *known = Some(Hashed { balancing: balancing.clone(), members, lookup: lookup.clone() });
        Some(lookup)
    }

    /// Takes note of what a check has found.
    pub(in crate::proxy) fn checked(
        &self,
        member: &Member,
        policy: &BackendPolicy,
        outcome: Result<(), String>,
    ) {
        let Some(check) = &policy.check else { return };
        let change = member.vitals().checked(check, outcome, Instant::now());
        if change == Change::Some {
            self.tell();
        }
    }

    /// Leaves a member out for a while, unless too many are, or nobody would be left.
    pub(super) fn eject(&self, member: &Member, ejection: &Ejection, now: Instant) {
        {
            let members = lock(&self.members);
            let (mut ejected, mut fit) = (1, 0);
            for other in members.values() {
                let vitals = other.vitals();
                ejected += u64::from(vitals.is_ejected(now));
                fit += u64::from(vitals.is_fit(now));
            }
            let most = u64::from(ejection.max_percent) * members.len() as u64 / 100;
            let mut vitals = member.vitals();
            if ejected > most || fit < 2 || !vitals.is_fit(now) {
                return;
            }
            vitals.eject(ejection, now);
        }
        member.errors.store(0, Ordering::Relaxed);
        self.tell();
    }

    /// Says that the choice among its members is another one.
    pub(super) fn tell(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }
}

// === impl Member ===

impl Member {
    pub(in crate::proxy) fn vitals(&self) -> MutexGuard<'_, Vitals> {
        lock(&self.vitals)
    }

    /// Requests under way, of all workers. A worker sees its own at once and those of others as soon as the hardware
    /// tells it, which is sooner than a request takes.
    pub(super) fn load(&self) -> u64 {
        self.under_way.iter().map(|shard| u64::from(shard.0.load(Ordering::Relaxed))).sum()
    }
}

// === impl Shard ===

/// Only its worker writes it: a load and a store, not the addition that would lock the line.
impl Shard {
    pub(super) fn enter(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
