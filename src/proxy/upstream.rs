//! Endpoints as one worker knows them: whose turn it is, and the connections that wait to be used again.
//!
//! What is kept here survives a swap of the table: it is keyed by address and by the backend's name, and swept after
//! each publish. Nothing of it is shared between workers.

mod exchange;
mod multiplex;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

use tokio::{sync::Notify, time::Instant};

use super::config::Limits;
use crate::{
    model::Scheme,
    route::{self, Address, Table, Target},
    runtime::{Tasks, tasks::Ended},
};
use exchange::Own;
pub(super) use exchange::{Exchange, Failure, Protocol};
pub(super) use stream::Stream;

/// Every endpoint and backend that this worker has used.
#[derive(Default)]
pub(super) struct Upstreams {
    endpoints: RefCell<BTreeMap<Address, Rc<Endpoint>>>,
    turns: RefCell<BTreeMap<Arc<str>, Rc<Cell<u64>>>>,
    /// Told when something happens on a connection that waits.
    stirred: Arc<Notify>,
    /// The connections that are shared.
    tasks: Rc<RefCell<Tasks>>,
}

/// What lasts of an endpoint as long as its address does.
pub(super) struct Endpoint {
    pub(super) address: Address,
    /// The one that was used last is at the end.
    idle: RefCell<Vec<Idle>>,
    most_idle: usize,
    stir: Arc<Stir>,
    /// `stir`, as the connections that wait know it.
    waker: Waker,
    shared: multiplex::Pool,
    tasks: Rc<RefCell<Tasks>>,
}

/// Something has happened on a connection that waits: as nobody has asked anything, it is the endpoint that closes it.
///
/// Why not leave that to the next use or the next tick: a connection that is not closed while a container still has its
/// network goes on trying to say goodbye to an address that nobody has, and while the kernel looks for that address in
/// vain, a new container that was given it cannot be reached for up to a second.
struct Stir {
    has_stirred: AtomicBool,
    told: Arc<Notify>,
}

struct Idle {
    exchange: Box<Own>,
    since: Instant,
}

/// A backend of the current table.
pub(super) struct Backend {
    pub(super) name: Arc<str>,
    /// Why there is no endpoint.
    pub(super) reason: Arc<str>,
    slots: Vec<Slot>,
    total: u64,
    /// Steps over the sum of the weights that visit every point once and spread each endpoint's points.
    stride: u64,
    turn: Rc<Cell<u64>>,
}

/// An endpoint's place in a backend.
pub(super) struct Slot {
    pub(super) endpoint: Rc<Endpoint>,
    pub(super) name: Arc<str>,
    scheme: Scheme,
    /// Sum of the weights up to and including this one.
    upto: u64,
}

// === impl Upstreams ===

impl Upstreams {
    pub(super) fn backend(&self, backend: &route::Backend, limits: &Limits, random: u64) -> Backend {
        let mut endpoints = self.endpoints.borrow_mut();
        let mut total = 0;
        let mut slots = Vec::with_capacity(backend.endpoints.len());
        for endpoint in &backend.endpoints {
            total += u64::from(endpoint.weight.max(1));
            let state = endpoints.entry(endpoint.address.clone()).or_insert_with_key(|address| {
                Rc::new(Endpoint::new(address.clone(), limits.pool_idle, (&self.stirred, &self.tasks)))
            });
            let state = state.clone();
            slots.push(Slot {
                endpoint: state,
                name: endpoint.name.clone(),
                scheme: endpoint.scheme,
                upto: total,
            });
        }
        // Workers begin at different places: together they are as even as each of them.
        let mut turns = self.turns.borrow_mut();
        let turn = turns.entry(backend.name.clone()).or_insert_with(|| Rc::new(Cell::new(random >> 32)));
        Backend {
            name: backend.name.clone(),
            reason: backend.reason.clone(),
            slots,
            total,
            stride: stride(total),
            turn: turn.clone(),
        }
    }

    /// Closes connections that have waited too long or that the endpoint has closed.
    pub(super) fn expire(&self, now: Instant, limits: &Limits) {
        for endpoint in self.endpoints.borrow().values() {
            endpoint.retain(|idle| now.duration_since(idle.since) < limits.pool_idle_timeout);
            endpoint.shared.expire(now, limits.pool_idle_timeout);
        }
    }

    /// Pends until something happens on a connection that waits. Loses nothing when it is dropped.
    pub(super) async fn stirred(&self) {
        self.stirred.notified().await;
    }

    /// Closes what has been closed at the other end since it was last asked.
    pub(super) fn close_stirred(&self) {
        for endpoint in self.endpoints.borrow().values() {
            if endpoint.stir.has_stirred.swap(false, Ordering::AcqRel) {
                endpoint.retain(|_| true);
            }
        }
    }

    /// A task of a shared connection that has ended.
    pub(super) fn try_ended(&self) -> Option<Ended> {
        self.tasks.borrow_mut().try_ended()
    }

    /// Forgets what is not in `table`, and closes its connections.
    pub(super) fn sweep(&self, table: &Table) {
        let mut addresses = BTreeSet::new();
        let mut names = BTreeSet::new();
        let sockets = table.sockets().filter_map(|address| table.socket(address));
        for (_, rule) in sockets.flat_map(route::Socket::listeners).flat_map(route::Listener::rules) {
            for choice in rule.backends.choices() {
                if let Target::Backend(backend) = &choice.target
                    && names.insert(&*backend.name)
                {
                    addresses.extend(backend.endpoints.iter().map(|endpoint| &endpoint.address));
                }
            }
        }
        self.endpoints.borrow_mut().retain(|address, endpoint| {
            let stays = addresses.contains(address);
            if !stays {
                endpoint.idle.borrow_mut().clear();
                endpoint.shared.clear();
            }
            stays || Rc::strong_count(endpoint) > 1
        });
        self.turns.borrow_mut().retain(|name, turn| names.contains(&**name) || Rc::strong_count(turn) > 1);
    }
}

// === impl Endpoint ===

impl Endpoint {
    fn new(address: Address, most_idle: usize, (told, tasks): (&Arc<Notify>, &Rc<RefCell<Tasks>>)) -> Self {
        let stir = Arc::new(Stir { has_stirred: AtomicBool::new(false), told: told.clone() });
        let waker = stir.clone().into();
        let (shared, tasks) = (multiplex::Pool::default(), tasks.clone());
        Self { address, idle: RefCell::default(), most_idle, stir, waker, shared, tasks }
    }

    fn retain(&self, stays: impl Fn(&Idle) -> bool) {
        self.idle.borrow_mut().retain_mut(|idle| stays(idle) && idle.exchange.is_reusable(&self.waker));
    }

    /// The connection that was used last, or one with room. It may have been closed since.
    pub(super) fn reuse(&self, protocol: Protocol) -> Option<Exchange> {
        match protocol {
            Protocol::Http1 => self.idle.borrow_mut().pop().map(|idle| Exchange::Own(idle.exchange)),
            Protocol::Http2 => self.shared.reuse().map(Exchange::Shared),
        }
    }

    fn keep(&self, exchange: Box<Own>, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.most_idle {
            idle.push(Idle { exchange, since: now });
        }
    }
}

// === impl Stir ===

impl Wake for Stir {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.has_stirred.swap(true, Ordering::AcqRel) {
            self.told.notify_one();
        }
    }
}

// === impl Slot ===

impl Slot {
    /// What to speak to it for a request that is no switch to another protocol.
    pub(super) fn protocol(&self) -> Protocol {
        match self.scheme {
            Scheme::Http | Scheme::Https => Protocol::Http1,
            Scheme::H2c => Protocol::Http2,
        }
    }
}

// === impl Backend ===

impl Backend {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The endpoint whose turn it is, or the next one that is not in `failed`.
    pub(super) fn pick(&self, failed: &[Rc<Endpoint>]) -> Option<&Slot> {
        // Another try of the same request is not another turn: the endpoint behind one that fails keeps its own.
        let turn = if failed.is_empty() {
            self.turn.replace(self.turn.get().wrapping_add(1))
        } else {
            self.turn.get().wrapping_sub(1)
        };
        let point = (turn % self.total.max(1)).wrapping_mul(self.stride) % self.total.max(1);
        let first = self.slots.partition_point(|slot| slot.upto <= point);
        let (before, from) = self.slots.split_at(first.min(self.slots.len()));
        let is_untried = |slot: &&Slot| !failed.iter().any(|endpoint| Rc::ptr_eq(endpoint, &slot.endpoint));
        from.iter().chain(before).find(is_untried)
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
