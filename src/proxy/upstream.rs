//! Endpoints as one worker knows them: whose turn it is, and the connections that wait to be used again.
//!
//! What is kept here survives a swap of the table: it is keyed by address and by the backend's name, and swept after
//! each publish. Nothing of it is shared between workers, but for what is known of endpoints that are watched
//! ([`fleet`]).

mod credentials;
mod exchange;
mod failures;
mod fleet;
mod http1;
pub(super) mod introduction;
mod multiplex;
mod seats;
mod shares;
mod stir;
mod stream;
#[cfg(test)]
mod tests;
mod visit;
mod vitals;
mod watch;
mod wide;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    net::IpAddr,
    num::NonZeroU32,
    rc::Rc,
    sync::Arc,
    task::Waker,
    time::Duration,
};

use http::{request::Parts, uri};
use tokio::{sync::Notify, time::Instant};

use super::{config::Limits, tls::Connector};
use crate::{
    model::{CertifiedKey, ProxyProtocol, Scheme},
    route::{self, Address, Identity, Table},
    runtime::{Tasks, socket::Room, tasks::Ended},
};
pub(super) use exchange::{Exchange, Failure, Protocol};
pub(super) use failures::Failed;
use failures::Noticed;
pub(super) use fleet::{Fleet, Group, Member, Seen};
use http1::Own;
#[cfg(any(test, fuzzing))]
pub(super) use http1::read_answer;
use multiplex::Ticket;
use seats::Seats;
use shares::Shares;
use stir::Stir;
pub(super) use stream::Stream;
pub(super) use visit::Visit;
pub(super) use watch::{Outcome, Pending, Place};
use watch::{Watch, Watched};
pub(super) use wide::Open;

/// Every endpoint and backend that this worker has used.
#[derive(Default)]
pub(super) struct Upstreams {
    endpoints: RefCell<BTreeMap<Identity, Rc<Endpoint>>>,
    turns: RefCell<BTreeMap<Arc<str>, Rc<Cell<u64>>>>,
    means: Means,
    fleet: Arc<Fleet>,
    /// This worker's number.
    worker: usize,
    noticed: RefCell<Noticed>,
}

/// What lasts of an endpoint as long as its identity does.
pub(super) struct Endpoint {
    pub(super) address: Address,
    /// How TLS is spoken, or why it cannot be.
    secure: Option<Result<Connector, String>>,
    /// The one that was used last is at the end.
    idle: RefCell<Vec<Idle>>,
    most_idle: usize,
    keeping: Cell<Keeping>,
    stir: Arc<Stir>,
    /// `stir`, as the connections that wait know it.
    waker: Waker,
    /// How many connections are being opened, and told when that has become useless.
    opening: Cell<u32>,
    left: Notify,
    /// Requests and tunnels that are under way.
    visits: Cell<u64>,
    /// It is not in the table any more, and only finishes what is under way.
    is_gone: Cell<bool>,
    /// It may have failed its last request: that it answers again is worth a word.
    is_doubted: Cell<bool>,
    shared: multiplex::Pool,
    /// It has been found not to take WebSockets over HTTP/2.
    is_narrow: Cell<bool>,
    means: Means,
}

/// What all endpoints of a worker share.
#[derive(Clone, Default)]
struct Means {
    /// Told when something happens on a connection that waits.
    stirred: Arc<Notify>,
    /// The connections that are shared.
    tasks: Rc<RefCell<Tasks>>,
    seats: Rc<Seats>,
    /// Where connections read to.
    room: Rc<Room>,
}

/// What a backend says of connections that wait.
#[derive(Clone, Copy, Default)]
struct Keeping {
    idle_timeout: Option<Duration>,
    max_requests: Option<NonZeroU32>,
}

/// A connection that is being opened, as long as it is.
struct Opening<'e>(&'e Cell<u32>);

struct Idle {
    exchange: Box<Own>,
    since: Instant,
}

/// A backend of the current table.
pub(super) struct Backend {
    pub(super) name: Arc<str>,
    /// Why there is no endpoint.
    reason: Arc<str>,
    slots: Vec<Slot>,
    shares: Shares,
    turn: Rc<Cell<u64>>,
    /// Absent where endpoints just take turns.
    watch: Option<Watch>,
}

/// An endpoint's place in a backend.
pub(super) struct Slot {
    pub(super) endpoint: Rc<Endpoint>,
    pub(super) name: Arc<str>,
    scheme: Scheme,
    weight: u32,
    /// Where the backend says other than the configuration.
    limits: Option<Rc<Limits>>,
    /// How connections tell of their client, if they do.
    proxy_protocol: Option<ProxyProtocol>,
    pub(super) watched: Option<Rc<Watched>>,
}

/// A request that is to be sent somewhere.
pub(super) struct Ask<'a> {
    /// Endpoints that are not tried again.
    pub(super) failed: &'a [Rc<Endpoint>],
    pub(super) head: &'a Parts,
    pub(super) client: IpAddr,
    pub(super) random: u64,
    pub(super) now: Instant,
    /// Where the client's session is: before any other, as long as it may get requests.
    pub(super) home: Option<&'a Address>,
}

/// The endpoint for a request.
pub(super) struct Picked<'b> {
    pub(super) slot: &'b Slot,
    /// Held as long as the request is under way; absent where nobody counts.
    pub(super) place: Option<Place>,
}

// === impl Upstreams ===

impl Upstreams {
    /// With at most so many connections to endpoints.
    pub(super) fn new(fleet: Arc<Fleet>, worker: usize, connections: usize) -> Self {
        let means = Means { seats: Rc::new(Seats::new(connections)), ..Means::default() };
        Self { means, fleet, worker, ..Self::default() }
    }

    /// Where this worker's connections read to.
    pub(super) fn room(&self) -> &Rc<Room> {
        &self.means.room
    }

    /// A backend for a listener that shows its endpoints this certificate.
    pub(super) fn backend(
        &self,
        (backend, client): (&route::Backend, Option<&Arc<CertifiedKey>>),
        limits: &Limits,
        random: u64,
    ) -> Backend {
        let (group, members) = match backend.policy.is_watchful().then(|| self.fleet.group(backend)) {
            Some((group, members)) => (Some(group), members),
            None => (None, Vec::new()),
        };
        let watched = |member: &Arc<Member>| {
            let (member, group, policy) = (member.clone(), group.clone()?, backend.policy.clone());
            Some(Rc::new(Watched { member, group, policy, worker: self.worker }))
        };
        let connections = &backend.policy.connections;
        let keeping =
            Keeping { idle_timeout: connections.idle_timeout, max_requests: connections.max_requests };
        let own_limits = own_limits(backend, limits).map(Rc::new);
        let mut endpoints = self.endpoints.borrow_mut();
        let slot = |(index, endpoint): (usize, &route::Endpoint)| {
            let identity = endpoint.identity(client);
            let state = endpoints.entry(identity).or_insert_with_key(|identity| {
                Rc::new(Endpoint::new(identity, limits.pool_idle, &self.means))
            });
            state.keeping.set(keeping);
            state.is_gone.set(false);
            Slot {
                endpoint: state.clone(),
                name: endpoint.name.clone(),
                scheme: endpoint.scheme,
                weight: endpoint.weight.max(1),
                limits: own_limits.clone(),
                proxy_protocol: connections.proxy_protocol,
                watched: members.get(index).and_then(watched),
            }
        };
        let slots: Vec<Slot> = backend.endpoints.iter().enumerate().map(slot).collect();
        // Workers begin at different places: together they are as even as each of them.
        let mut turns = self.turns.borrow_mut();
        let turn = turns.entry(backend.name.clone()).or_insert_with(|| Rc::new(Cell::new(random >> 32)));
        Backend {
            name: backend.name.clone(),
            reason: backend.reason.clone(),
            shares: Shares::new(slots.iter().map(|slot| u64::from(slot.weight)).collect()),
            slots,
            turn: turn.clone(),
            watch: group.map(|group| Watch::new(group, backend)),
        }
    }

    /// Closes connections that have waited too long or that the endpoint has closed, and forgets endpoints that are
    /// gone and have finished.
    pub(super) fn expire(&self, now: Instant, limits: &Limits) {
        self.endpoints.borrow_mut().retain(|_, endpoint| {
            let most = endpoint.keeping.get().idle_timeout.unwrap_or(limits.pool_idle_timeout);
            endpoint.retain(|idle| now.duration_since(idle.since) < most);
            endpoint.slim(now);
            endpoint.shared.expire(now, most);
            !endpoint.is_gone.get() || Rc::strong_count(endpoint) > 1
        });
    }

    /// Pends until something happens on a connection that waits. Loses nothing when it is dropped.
    pub(super) async fn stirred(&self) {
        self.means.stirred.notified().await;
    }

    /// Closes what has been closed at the other end since it was last asked.
    pub(super) fn close_stirred(&self) {
        for endpoint in self.endpoints.borrow().values() {
            if endpoint.stir.take() {
                endpoint.retain(|_| true);
            }
        }
    }

    /// A task of a shared connection that has ended.
    pub(super) fn try_ended(&self) -> Option<Ended> {
        self.means.tasks.borrow_mut().try_ended()
    }

    /// Gives up opening connections to what is not in `table`: a container that is gone is not waited for, its requests
    /// go elsewhere.
    pub(super) fn give_up(&self, table: &Table) {
        let endpoints = self.endpoints.borrow();
        if endpoints.values().all(|endpoint| endpoint.opening.get() == 0) {
            return;
        }
        for (identity, endpoint) in &*endpoints {
            if !table.has_endpoint(identity) {
                endpoint.left.notify_waiters();
            }
        }
    }

    /// Forgets what is not in `table`, and closes its connections.
    pub(super) fn sweep(&self, table: &Table) {
        self.endpoints.borrow_mut().retain(|identity, endpoint| {
            let stays = table.has_endpoint(identity);
            endpoint.is_gone.set(!stays);
            if !stays {
                endpoint.idle.borrow_mut().clear();
                endpoint.shared.clear();
            }
            stays || Rc::strong_count(endpoint) > 1
        });
        self.turns.borrow_mut().retain(|name, turn| table.has_backend(name) || Rc::strong_count(turn) > 1);
    }
}

// === impl Endpoint ===

impl Endpoint {
    fn new(identity: &Identity, most_idle: usize, means: &Means) -> Self {
        let stir = Arc::new(Stir::new(&means.stirred));
        let waker = stir.clone().into();
        let (shared, keeping) = (multiplex::Pool::default(), Cell::default());
        let (address, tls) = identity;
        Self {
            address: address.clone(),
            secure: tls.as_ref().map(|tls| Connector::new(tls)),
            idle: RefCell::default(),
            most_idle,
            keeping,
            stir,
            waker,
            opening: Cell::new(0),
            left: Notify::new(),
            visits: Cell::new(0),
            is_gone: Cell::new(false),
            // What was known of it before is not asked for.
            is_doubted: Cell::new(true),
            shared,
            is_narrow: Cell::new(false),
            means: means.clone(),
        }
    }

    /// A socket, with TLS where it is wanted: nothing is ever sent without it then.
    async fn connect(&self, protocol: Protocol, introduction: &[u8]) -> Result<Stream, Failure> {
        let secure = match &self.secure {
            None => None,
            Some(Ok(connector)) => Some((connector, protocol)),
            Some(Err(why)) => return Err(Failure::Connect(io::Error::other(why.clone()))),
        };
        let seat = self.means.seats.take().ok_or(Failure::Full)?;
        // Made before anything is awaited: a table that comes in between is not missed.
        let left = self.left.notified();
        let _opening = Opening::new(&self.opening);
        let stream = tokio::select! {
            biased;
            stream = Stream::connect(&self.address, secure, introduction) => stream,
            () = left => Err(io::Error::other("it left the table meanwhile")),
        };
        stream.map(|stream| stream.seated(seat)).map_err(Failure::Connect)
    }

    /// With the scheme that is true of its connection.
    fn marked(&self, mut ticket: Ticket) -> Ticket {
        if self.secure.is_some() {
            ticket.scheme = uri::Scheme::HTTPS;
        }
        ticket
    }

    fn retain(&self, stays: impl Fn(&Idle) -> bool) {
        self.idle.borrow_mut().retain_mut(|idle| stays(idle) && idle.exchange.is_reusable(&self.waker));
    }

    /// Connections that have waited for a while give their buffers back.
    fn slim(&self, now: Instant) {
        const WHILE: Duration = Duration::from_secs(1);
        for idle in self.idle.borrow_mut().iter_mut().filter(|idle| now.duration_since(idle.since) > WHILE) {
            idle.exchange.slim();
        }
    }

    /// The connection that was used last, or one with room. It may have been closed since.
    pub(super) fn reuse(&self, protocol: Protocol) -> Option<Exchange> {
        match protocol {
            Protocol::Http1 => self.idle.borrow_mut().pop().map(|idle| Exchange::Own(idle.exchange)),
            Protocol::Http2 => {
                let ticket = self.shared.reuse(self.keeping.get().max_requests)?;
                Some(Exchange::Shared(Box::new(self.marked(ticket))))
            }
        }
    }

    fn keep(&self, exchange: Box<Own>, now: Instant) {
        let Keeping { idle_timeout, max_requests } = self.keeping.get();
        if exchange.is_private || self.is_gone.get() {
            return;
        }
        let is_used_up = max_requests.is_some_and(|most| exchange.served >= most.get());
        if is_used_up || idle_timeout == Some(Duration::ZERO) {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.most_idle {
            idle.push(Idle { exchange, since: now });
        }
    }
}

// === impl Opening ===

impl<'e> Opening<'e> {
    fn new(count: &'e Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

// === impl Slot ===

impl Slot {
    /// What to say first on a connection for a client that came by this port; nothing where connections are for all.
    pub(super) fn introduction(&self, client: IpAddr, port: u16) -> Vec<u8> {
        let introduce = |version| introduction::of_client(version, client, port);
        self.proxy_protocol.map(introduce).unwrap_or_default()
    }

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
    /// How many endpoints may get requests.
    pub(super) fn len(&self) -> usize {
        self.watch.as_ref().map_or(self.slots.len(), Watch::fit)
    }

    /// Why there is no endpoint.
    pub(super) fn reason(&self) -> Arc<str> {
        match &self.watch {
            Some(watch) if !self.slots.is_empty() => watch.reason(),
            Some(_) | None => self.reason.clone(),
        }
    }

    /// An endpoint for a request, by the backend's policy; none that has failed it already.
    pub(super) fn pick(&self, ask: &Ask<'_>) -> Option<Picked<'_>> {
        if let Some(watch) = &self.watch {
            return watch.pick(&self.slots, ask, || self.turn(ask.failed));
        }
        if let Some(slot) = ask.home.and_then(|_| self.slots.iter().find(|slot| ask.is_home(slot))) {
            return Some(Picked { slot, place: None });
        }
        let first = self.shares.turn(self.turn(ask.failed));
        let (before, from) = self.slots.split_at(first);
        let slot = from.iter().chain(before).find(|slot| ask.is_untried(slot))?;
        Some(Picked { slot, place: None })
    }

    /// Another try of the same request is not another turn: the endpoint behind one that fails keeps its own.
    fn turn(&self, failed: &[Rc<Endpoint>]) -> u64 {
        if failed.is_empty() {
            self.turn.replace(self.turn.get().wrapping_add(1))
        } else {
            self.turn.get().wrapping_sub(1)
        }
    }
}

/// The limits of a backend that has some of its own.
fn own_limits(backend: &route::Backend, limits: &Limits) -> Option<Limits> {
    let own = &backend.policy.connections;
    own.connect_timeout.map(|connect_timeout| Limits { connect_timeout, ..limits.clone() })
}

// === impl Slot ===

impl Slot {
    fn is_not_among(&self, endpoints: &[Rc<Endpoint>]) -> bool {
        !endpoints.iter().any(|endpoint| Rc::ptr_eq(endpoint, &self.endpoint))
    }

    /// The limits that hold for this endpoint.
    pub(super) fn limits<'l>(&'l self, otherwise: &'l Limits) -> &'l Limits {
        self.limits.as_deref().unwrap_or(otherwise)
    }
}

// === impl Ask ===

impl Ask<'_> {
    fn is_home(&self, slot: &Slot) -> bool {
        self.home == Some(&slot.endpoint.address) && self.is_untried(slot)
    }

    fn is_untried(&self, slot: &Slot) -> bool {
        slot.is_not_among(self.failed)
    }
}
