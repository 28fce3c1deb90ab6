//! Choosing among endpoints that are watched: those that are fit, by the backend's policy, within its limits.

use std::{
    cell::RefCell,
    net::IpAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
};

use http::{HeaderMap, header, request::Parts};
use tokio::time::Instant;

use super::{
    Ask, Backend, Endpoint, Picked, Slot,
    fleet::{Group, Member},
    shares::Shares,
};
use crate::{
    model::{BackendPolicy, BackendReport, Balancing, EndpointReport, HashKey, HealthUse},
    route::{
        self,
        hashing::{self, Lookup},
    },
};

/// A backend whose endpoints are watched.
pub(super) struct Watch {
    group: Arc<Group>,
    policy: Arc<BackendPolicy>,
    lookup: Option<Arc<Lookup>>,
    view: RefCell<View>,
}

/// What a worker has last seen of a group.
#[derive(Default)]
struct View {
    /// The group's epoch; `None` before the first look.
    epoch: Option<u64>,
    /// When time alone changes it.
    until: Option<Instant>,
    /// Of all slots: nothing for those that are not fit.
    shares: Shares,
    fit: usize,
    /// Why none is fit; empty if one is.
    reason: Arc<str>,
}

/// An endpoint of a backend that is watched, as one worker knows it.
pub(in crate::proxy) struct Watched {
    pub(super) member: Arc<Member>,
    pub(super) group: Arc<Group>,
    pub(super) policy: Arc<BackendPolicy>,
    pub(super) worker: usize,
}

/// A request's place at an endpoint; dropping it gives it back.
pub(in crate::proxy) struct Place(Rc<Watched>);

/// A request that waits for a place; dropping it takes it off the list of those that do.
pub(in crate::proxy) struct Pending(Arc<Group>);

/// How an endpoint did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Outcome {
    Good,
    Bad,
}

// === impl Watch ===

impl Watch {
    /// Endpoints that are compared for [`Balancing::LeastRequest`]: all of them where there are no more.
    const MANY: usize = 8;
    /// For [`Balancing::Random`].
    const TWO: usize = 2;
    /// Steps along a ring or table before any endpoint will do.
    const STEPS: usize = 256;

    pub(super) fn new(group: Arc<Group>, backend: &route::Backend) -> Self {
        let lookup = group.lookup(backend);
        Self { group, policy: backend.policy.clone(), lookup, view: RefCell::default() }
    }

    /// An endpoint and a place there. `turn` gives the turn of this request, where they take turns.
    pub(super) fn pick<'b>(
        &self,
        slots: &'b [Slot],
        ask: &Ask<'_>,
        turn: impl Fn() -> u64,
    ) -> Option<Picked<'b>> {
        self.look(slots, ask.now);
        let view = self.view.borrow();
        if view.fit == 0 {
            return None;
        }
        let may = |index: &usize| {
            view.shares.weight(*index) > 0 && slots.get(*index).is_some_and(|slot| ask.is_untried(slot))
        };
        let enter = |index: usize| {
            let slot = slots.get(index)?;
            let place = slot.watched.as_ref()?.enter()?;
            Some(Picked { slot, place: Some(place) })
        };
        let home = ask.home.and_then(|_| slots.iter().position(|slot| ask.is_home(slot)));
        if let Some(picked) = home.filter(may).and_then(enter) {
            return Some(picked);
        }
        let round = |first: usize| (first..slots.len()).chain(0..first).filter(may).find_map(enter);
        let by_chance = || round(view.shares.at(ask.random));
        match &self.policy.balancing {
            Balancing::RoundRobin => round(view.shares.turn(turn())),
            Balancing::LeastRequest => {
                let least = least(&view.shares, slots, ask, Self::MANY).and_then(enter);
                least.or_else(by_chance)
            }
            Balancing::Random => {
                least(&view.shares, slots, ask, Self::TWO).and_then(enter).or_else(by_chance)
            }
            Balancing::RingHash(key) | Balancing::Maglev(key) => {
                let walk = self.lookup.as_ref()?.walk(hash(key, ask));
                walk.take(Self::STEPS).filter(may).find_map(enter).or_else(|| round(0))
            }
        }
    }

    /// How many endpoints are fit, as of the last choice.
    pub(super) fn fit(&self) -> usize {
        self.view.borrow().fit
    }

    pub(super) fn reason(&self) -> Arc<str> {
        self.view.borrow().reason.clone()
    }

    /// Brings the view level with the group.
    fn look(&self, slots: &[Slot], now: Instant) {
        let epoch = Some(self.group.epoch.load(Ordering::Acquire));
        let mut view = self.view.borrow_mut();
        if view.epoch == epoch && view.until.is_none_or(|until| now < until) {
            return;
        }
        let (mut weights, mut until) = self.weigh(slots, now);
        // An ejection is worth less than an answer.
        if weights.iter().all(|weight| *weight == 0) && self.recall(slots, now) {
            (weights, until) = self.weigh(slots, now);
        }
        let mut fit = weights.iter().filter(|weight| **weight > 0).count();
        if fit == 0 && self.policy.health == HealthUse::Prefer {
            weights = slots.iter().map(|slot| u64::from(slot.weight)).collect();
            fit = slots.len();
        }
        let reason = if fit == 0 && !slots.is_empty() { why_none(slots, now) } else { Arc::default() };
        *view = View { epoch, until, shares: Shares::new(weights), fit, reason };
    }

    /// Ends the ejections of those that nothing else speaks against; says whether there were any.
    fn recall(&self, slots: &[Slot], now: Instant) -> bool {
        let watched = slots.iter().filter_map(|slot| slot.watched.as_ref());
        let recalled = watched.filter(|watched| watched.member.vitals().recall(now)).count();
        if recalled > 0 {
            self.group.tell();
        }
        recalled > 0
    }

    /// What each endpoint weighs now, nothing where it is not fit, and when time alone changes that.
    fn weigh(&self, slots: &[Slot], now: Instant) -> (Vec<u64>, Option<Instant>) {
        let slow_start = self.policy.slow_start;
        let mut until: Option<Instant> = None;
        let mut weights = Vec::with_capacity(slots.len());
        for slot in slots {
            let Some(watched) = &slot.watched else { continue };
            let vitals = watched.member.vitals();
            until = until.into_iter().chain(vitals.returns(now)).min();
            let share = slow_start.map_or(1, |time| vitals.share(time, now));
            if let Some(time) = slow_start.filter(|_| share < 1000) {
                // In steps that nobody would notice.
                until = until.into_iter().chain([now + time / 20]).min();
            }
            weights.push(if vitals.is_fit(now) { u64::from(slot.weight) * share } else { 0 });
        }
        (weights, until)
    }

    /// Whether a fit endpoint that has not failed a request is full.
    fn is_crowded(&self, slots: &[Slot], failed: &[Rc<Endpoint>]) -> bool {
        self.untried(slots, failed).any(|watched| watched.is_full())
    }

    fn queue(&self, pending: Option<Pending>) -> Option<Pending> {
        if let Some(pending) = pending.filter(|pending| Arc::ptr_eq(&pending.0, &self.group)) {
            return Some(pending);
        }
        let most = self.policy.connections.max_pending.unwrap_or(Self::PENDING);
        let waiting = self.group.pending.fetch_add(1, Ordering::SeqCst);
        let pending = Pending(self.group.clone());
        (waiting < most).then_some(pending)
    }

    /// Waits for a place at a fit endpoint that has not failed a request.
    async fn room(&self, slots: &[Slot], failed: &[Rc<Endpoint>]) {
        let mut room = std::pin::pin!(self.group.room.notified());
        // From here on a place that comes free is told of; one that came free before is seen.
        room.as_mut().enable();
        if !self.has_room(slots, failed) {
            room.await;
        }
    }

    fn has_room(&self, slots: &[Slot], failed: &[Rc<Endpoint>]) -> bool {
        self.untried(slots, failed).any(|watched| !watched.is_full())
    }

    /// The fit endpoints that have not failed a request.
    fn untried<'s>(
        &self,
        slots: &'s [Slot],
        failed: &[Rc<Endpoint>],
    ) -> impl Iterator<Item = &'s Rc<Watched>> {
        let view = self.view.borrow();
        let slots = slots.iter().enumerate().filter(move |(index, _)| view.shares.weight(*index) > 0);
        let slots = slots.filter(|(_, slot)| slot.is_not_among(failed));
        slots.filter_map(|(_, slot)| slot.watched.as_ref())
    }

    /// Requests that may wait where nobody says how many.
    const PENDING: u32 = 1024;
}

// === impl Backend ===

impl Backend {
    /// Whether an endpoint that has not failed a request has as many as it may have.
    pub(in crate::proxy) fn is_crowded(&self, failed: &[Rc<Endpoint>]) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_crowded(&self.slots, failed))
    }

    /// Whether an endpoint that has not failed a request has a place for it.
    pub(in crate::proxy) fn has_room(&self, failed: &[Rc<Endpoint>]) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.has_room(&self.slots, failed))
    }

    /// A request's place among those that wait, unless too many do: the one that it has already, if it does.
    pub(in crate::proxy) fn queue(&self, pending: Option<Pending>) -> Option<Pending> {
        self.watch.as_ref()?.queue(pending)
    }

    /// Waits for a place at an endpoint that has not failed a request.
    pub(in crate::proxy) async fn room(&self, failed: &[Rc<Endpoint>]) {
        match &self.watch {
            Some(watch) => watch.room(&self.slots, failed).await,
            None => std::future::pending().await,
        }
    }
}

/// The index of the endpoint with the fewest requests under way for its weight, among some that chance chooses; of
/// equals the first that it chose, so that an idle backend is used by its weights.
fn least(shares: &Shares, slots: &[Slot], ask: &Ask<'_>, most: usize) -> Option<usize> {
    let first = shares.at(ask.random);
    let load = |index: usize| {
        let weight = shares.weight(index);
        let slot = slots.get(index).filter(|slot| weight > 0 && ask.is_untried(slot))?;
        let watched = slot.watched.as_ref().filter(|watched| !watched.is_full())?;
        Some((u128::from(watched.member.load()), u128::from(weight)))
    };
    let mut best: Option<(usize, (u128, u128))> = None;
    let mut consider = |index: usize| {
        let Some((load, weight)) = load(index) else { return };
        if best.is_none_or(|(_, (least, its_weight))| load * its_weight < least * weight) {
            best = Some((index, (load, weight)));
        }
    };
    if slots.len() <= most {
        (first..slots.len()).chain(0..first).for_each(&mut consider);
    } else {
        (0..most as u64).map(|number| shares.at(hashing::mix(ask.random ^ number))).for_each(&mut consider);
    }
    best.map(|(index, _)| index)
}

/// How many endpoints are in which state, with what is wrong with one of them.
fn why_none(slots: &[Slot], now: Instant) -> Arc<str> {
    let endpoint = |slot: &Slot| {
        let health = slot.watched.as_ref()?.member.vitals().health(now);
        let message = format!("{}: endpoint `{}` {}", health.reason, slot.name, health.message);
        Some(EndpointReport {
            name: slot.name.clone(),
            address: None,
            state: health.state,
            message,
            weight: slot.weight,
            checks: None,
            last_failure: None,
        })
    };
    let endpoints = slots.iter().filter_map(endpoint).collect();
    BackendReport { name: Arc::default(), resolved: String::new(), endpoints }.why_empty().into()
}

// === impl Watched ===

impl Watched {
    /// A place for a request, unless there are as many as there may be.
    fn enter(self: &Rc<Self>) -> Option<Place> {
        if let Some(most) = self.policy.connections.max_per_endpoint {
            let more = |busy: u32| (busy < most.get()).then_some(busy + 1);
            self.member.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        }
        if let Some(shard) = self.member.under_way.get(self.worker) {
            shard.enter();
        }
        Some(Place(self.clone()))
    }

    fn is_full(&self) -> bool {
        let most = self.policy.connections.max_per_endpoint;
        most.is_some_and(|most| self.member.busy.load(Ordering::SeqCst) >= most.get())
    }

    /// Takes note of how the endpoint did.
    pub(in crate::proxy) fn observe(&self, outcome: Outcome) {
        let Some(ejection) = &self.policy.ejection else { return };
        let errors = &self.member.errors;
        match outcome {
            Outcome::Good => {
                if errors.load(Ordering::Relaxed) != 0 {
                    errors.store(0, Ordering::Relaxed);
                }
            }
            Outcome::Bad => {
                let number = errors.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
                // Where it may not be left out, it is asked for again only after as many errors.
                if number % ejection.consecutive_errors == 0 {
                    self.group.eject(&self.member, ejection, Instant::now());
                }
            }
        }
    }
}

// === impl Pending ===

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::SeqCst);
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        let Watched { member, group, policy, worker } = &*self.0;
        if let Some(shard) = member.under_way.get(*worker) {
            shard.leave();
        }
        if policy.connections.max_per_endpoint.is_some() {
            member.busy.fetch_sub(1, Ordering::SeqCst);
            if group.pending.load(Ordering::SeqCst) > 0 {
                group.room.notify_one();
            }
        }
    }
}

// === what is hashed ===

fn hash(key: &HashKey, ask: &Ask<'_>) -> u64 {
    let value = match key {
        HashKey::ClientAddress => None,
        HashKey::Header(name) => ask.head.headers.get(name).map(|value| hashing::hash(value.as_bytes())),
        HashKey::Cookie(name) => cookie(&ask.head.headers, name).map(hashing::hash),
        HashKey::QueryParam(name) => param(ask.head, name).map(|value| hashing::hash(value.as_bytes())),
    };
    value.unwrap_or_else(|| match ask.client.to_canonical() {
        IpAddr::V4(address) => hashing::hash(&address.octets()),
        IpAddr::V6(address) => hashing::hash(&address.octets()),
    })
}

/// The value of the first cookie of that name.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let values = headers.get_all(header::COOKIE).iter();
    let mut pairs = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// The value of the first query parameter of that name, as it was sent.
fn param<'h>(head: &'h Parts, name: &str) -> Option<&'h str> {
    head.uri.query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}
