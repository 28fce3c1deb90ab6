//! What a worker has worked out about the rules of the current table: metrics, turns, pools.
//!
//! Why beside the table: the table is shared by all workers and holds facts; a reference count or a counter in it would
//! be a cache line that all of them write. Here each worker has its own, found by the address of the rule, which nothing
//! else can have as long as the rule is held.
//!
//! A new table has most rules of the one before: what was worked out about them stays, and the rest is dropped a little
//! at a time. To drop thousands at once, and to work out thousands anew, would be a pause for all requests.

#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
    sync::Arc,
};

use http::HeaderValue;

use super::Worker;
use crate::{
    model::{CertifiedKey, HttpFilter},
    proxy::{
        connection::Connection,
        http::{Auth, Budget, Home, Mirror, Sessions},
        received::Received,
        upstream::{Backend, Slot},
    },
    route::{self, Found, Request, Table, Target, hashing},
    telemetry::metrics::{
        WorkerMetrics,
        sharded::{Count, Durations},
    },
};

pub(super) struct Cache {
    table: Option<Arc<Table>>,
    rules: HashMap<Key, Kept, BuildHasherDefault<Addresses>>,
    /// Of the table.
    generation: u32,
    /// How many of the rules no request has asked for since the table came.
    old: usize,
    /// Ticks since the table came.
    ticks: u32,
    listeners: HashMap<*const route::Listener, Rc<Series>>,
    none: Rc<Series>,
}

/// The name of a listener and a rule, by their addresses.
type Key = (*const u8, *const route::Rule);

/// A rule, and the table for which it was asked last.
struct Kept {
    rule: Rc<Rule>,
    generation: u32,
}

/// A rule on a listener.
pub(in crate::proxy) struct Rule {
    pub(in crate::proxy) spec: Arc<route::Rule>,
    pub(in crate::proxy) port: std::num::NonZeroU16,
    /// `port` as text.
    pub(in crate::proxy) port_text: HeaderValue,
    /// What the listener shows to endpoints.
    client: Option<Arc<CertifiedKey>>,
    /// For answers without a backend. Holds the listener's name, by whose address the rule is found.
    series: Rc<Series>,
    /// Present where the rule keeps clients at their endpoints.
    pub(in crate::proxy) sessions: Option<Sessions>,
    mirrors: Vec<Mirror>,
    /// Who has to allow its requests.
    pub(in crate::proxy) auths: Vec<Auth>,
    choices: Vec<Choice>,
    uses_prefix: bool,
}

/// A backend reference of a rule.
pub(in crate::proxy) struct Choice {
    pub(in crate::proxy) target: Result<Rc<Backend>, Arc<str>>,
    series: Rc<Series>,
    /// Present where the rule asks for retries.
    pub(in crate::proxy) budget: Option<Rc<Budget>>,
    /// Beside those of the rule.
    mirrors: Vec<Mirror>,
    /// After those of the rule.
    pub(in crate::proxy) auths: Vec<Auth>,
    pub(in crate::proxy) index: usize,
}

/// The answer to a lookup.
pub(in crate::proxy) struct Routed {
    pub(in crate::proxy) rule: Rc<Rule>,
    /// The prefix that matched, where a filter needs it.
    pub(in crate::proxy) prefix: Option<String>,
}

pub(in crate::proxy) enum Unrouted {
    NoListener(Rc<Series>),
    NoRoute(Rc<Series>),
    /// The connection belongs to another listener.
    Misdirected(Rc<Series>),
}

/// The metrics of one listener, route and backend.
pub(in crate::proxy) struct Series {
    /// Listener, route, backend; empty where there is none.
    pub(in crate::proxy) names: [Arc<str>; 3],
    requests: RefCell<Vec<(u16, &'static str, Arc<Count>)>>,
    pub(in crate::proxy) request_seconds: Arc<Durations>,
    pub(in crate::proxy) upstream_seconds: Arc<Durations>,
}

/// Hashes addresses of our own making: nobody outside chooses them, so that nothing has to be kept from being guessed.
#[derive(Default)]
struct Addresses(u64);

// === impl Addresses ===

impl Hasher for Addresses {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, address: usize) {
        // Multiplying by an odd number without a pattern carries every bit to the upper ones, which are folded down.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = (self.0.rotate_left(5) ^ address as u64).wrapping_mul(SPREAD);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

// === impl Cache ===

impl Cache {
    pub(super) fn new(metrics: &WorkerMetrics) -> Self {
        let none = Series::new(metrics, ["", "", ""].map(Arc::from));
        let (rules, listeners) = (HashMap::default(), HashMap::new());
        Self { table: None, rules, generation: 0, old: 0, ticks: 0, listeners, none }
    }

    pub(super) fn no_series(&self) -> Rc<Series> {
        self.none.clone()
    }

    /// How long requests may take to ask for what they asked for before, in ticks.
    const PATIENCE: u32 = 4;
    /// How many rules are dropped at a tick, at least; and at least this part of all that are old.
    const DROPPED: usize = 256;
    const PART: usize = 8;

    /// Makes what belongs to another table old.
    pub(super) fn adopt(&mut self, metrics: &WorkerMetrics, table: &Arc<Table>) {
        if !self.table.as_ref().is_some_and(|known| Arc::ptr_eq(known, table)) {
            self.generation = self.generation.wrapping_add(1);
            (self.old, self.ticks) = (self.rules.len(), 0);
            self.listeners.clear();
            self.none = Series::new(metrics, ["", "", ""].map(Arc::from));
            self.table = Some(table.clone());
        }
    }

    /// Drops some of what no request has asked for since the table came. What is older than the table before goes first.
    pub(super) fn sweep(&mut self) {
        self.ticks = self.ticks.saturating_add(1);
        if self.old == 0 {
            return;
        }
        let is_patient = self.ticks < Self::PATIENCE;
        let (now, before) = (self.generation, self.generation.wrapping_sub(1));
        let mut budget = Self::DROPPED.max(self.old / Self::PART);
        self.rules.retain(|_, kept| {
            let stays = kept.generation == now || (is_patient && kept.generation == before) || budget == 0;
            if !stays {
                budget -= 1;
                self.old -= 1;
            }
            stays
        });
    }

    /// What is known of a rule on a listener.
    fn rule(&mut self, worker: &Worker, listener: &route::Listener, rule: &Arc<route::Rule>) -> Rc<Rule> {
        let new = || Rc::new(Rule::new(worker, listener, rule));
        match self.rules.entry((listener.name.as_ptr(), Arc::as_ptr(rule))) {
            Entry::Vacant(entry) => {
                entry.insert(Kept { rule: new(), generation: self.generation }).rule.clone()
            }
            Entry::Occupied(mut entry) => {
                let kept = entry.get_mut();
                if kept.generation != self.generation {
                    kept.generation = self.generation;
                    self.old -= 1;
                    if !kept.rule.is_of(listener) {
                        kept.rule = new();
                    }
                }
                kept.rule.clone()
            }
        }
    }

    pub(super) fn route(
        &mut self,
        worker: &Worker,
        table: &Arc<Table>,
        connection: &Connection,
        request: &Request<'_>,
    ) -> Result<Routed, Unrouted> {
        self.adopt(&worker.metrics, table);
        let socket = table.socket(&connection.socket);
        let found = socket.map_or(Found::NoListener, |socket| socket.find(request));
        let is_misdirected = |listener| {
            let handshake = connection.handshake.get();
            socket.is_some_and(|socket| socket.is_misdirected(listener, request.host, handshake))
        };
        match found {
            Found::Rule { listener, .. } | Found::NoRoute { listener } if is_misdirected(listener) => {
                Err(Unrouted::Misdirected(self.of_listener(worker, listener)))
            }
            Found::Rule { listener, rule, path } => {
                let rule = self.rule(worker, listener, rule);
                let prefix = if rule.uses_prefix { crate::proxy::http::prefix(path) } else { None };
                let prefix = prefix.map(str::to_owned);
                Ok(Routed { rule, prefix })
            }
            Found::NoRoute { listener } => Err(Unrouted::NoRoute(self.of_listener(worker, listener))),
            Found::NoListener => Err(Unrouted::NoListener(self.none.clone())),
        }
    }

    /// For answers without a route.
    fn of_listener(&mut self, worker: &Worker, listener: &route::Listener) -> Rc<Series> {
        let series = || Series::new(&worker.metrics, [listener.name.clone(), "".into(), "".into()]);
        self.listeners.entry(listener).or_insert_with(series).clone()
    }
}

// === impl Rule ===

impl Rule {
    fn new(worker: &Worker, listener: &route::Listener, rule: &Arc<route::Rule>) -> Self {
        let series = |backend: Arc<str>| {
            Series::new(&worker.metrics, [listener.name.clone(), rule.route.clone(), backend])
        };
        let none = series("".into());
        let choice = |(index, choice): (usize, &route::Choice)| match &choice.target {
            Target::Backend(backend) => {
                let (limits, client) = (&worker.config.limits, listener.client.as_ref());
                let state = worker.upstreams.backend((backend, client), limits, worker.random());
                let budget = rule.retry.as_ref().map(|_| worker.budgets.of(&backend.name));
                let (target, series) = (Ok(Rc::new(state)), series(backend.name.clone()));
                let mirrors = mirrors(worker, listener, &choice.mirrors);
                let auths = auths(worker, listener, &choice.auths);
                Choice { target, series, budget, mirrors, auths, index }
            }
            Target::Invalid(reason) => {
                let (target, series) = (Err(reason.clone()), none.clone());
                Choice { target, series, budget: None, mirrors: Vec::new(), auths: Vec::new(), index }
            }
        };
        let choices: Vec<Choice> = rule.backends.choices().iter().enumerate().map(choice).collect();
        let mut filters =
            rule.filters.iter().chain(rule.backends.choices().iter().flat_map(|choice| &choice.filters));
        let uses_prefix =
            filters.any(|filter| matches!(filter, HttpFilter::Redirect(_) | HttpFilter::Rewrite(_)));
        Self {
            port: listener.port,
            port_text: HeaderValue::from(listener.port.get()),
            client: listener.client.clone(),
            spec: rule.clone(),
            series: none,
            sessions: Sessions::new(&worker.config.session_key, rule),
            mirrors: mirrors(worker, listener, &rule.mirrors),
            auths: auths(worker, listener, &rule.auths),
            choices,
            uses_prefix,
        }
    }

    /// Whether it is what would be worked out for this listener, which has its name.
    fn is_of(&self, listener: &route::Listener) -> bool {
        self.port == listener.port && self.client == listener.client
    }

    /// The series of a choice, or those for answers without a backend.
    pub(in crate::proxy) fn series(&self, choice: Option<usize>) -> &Series {
        choice.and_then(|index| self.choices.get(index)).map_or(&self.series, |choice| &choice.series)
    }

    /// The backend reference for a request: that of its session, else by chance, which is equal for equal numbers.
    pub(in crate::proxy) fn choice(&self, home: Option<&Home>, random: u64) -> Option<&Choice> {
        if let Some(home) = home {
            return self.choices.get(home.choice);
        }
        // Another number than the one by which an endpoint is chosen next: with the same, those that chance chooses of a
        // backend would be the few whose numbers lead to it.
        let picked = self.spec.backends.pick(hashing::mix(random))?;
        let index = self.spec.backends.choices().iter().position(|choice| std::ptr::eq(choice, picked))?;
        self.choices.get(index)
    }

    /// Tells a client where it is at home from now on, if it is to stay there and does not know it.
    pub(in crate::proxy) fn greet(
        &self,
        home: Option<&Home>,
        (choice, slot): (&Choice, &Slot),
        scheme: &str,
        response: &mut Received,
    ) {
        if let Some(sessions) = &self.sessions {
            sessions.greet(home, (choice.index, &slot.endpoint.address), scheme, response.headers_mut());
        }
    }

    pub(in crate::proxy) fn mirrors<'r>(&'r self, choice: &'r Choice) -> impl Iterator<Item = &'r Mirror> {
        self.mirrors.iter().chain(&choice.mirrors)
    }

    /// The rule's filters, then those of the choice.
    pub(in crate::proxy) fn filters(&self, choice: &Choice) -> impl Iterator<Item = &HttpFilter> {
        self.filters_of(Some(choice.index))
    }

    /// The same for the choice of this number, if there is one.
    pub(in crate::proxy) fn filters_of(&self, choice: Option<usize>) -> impl Iterator<Item = &HttpFilter> {
        self.spec.filters.iter().chain(choice.map_or(&[][..], |index| self.filters_at(index)))
    }

    pub(in crate::proxy) fn choice_filters(&self, choice: &Choice) -> &[HttpFilter] {
        self.filters_at(choice.index)
    }

    fn filters_at(&self, choice: usize) -> &[HttpFilter] {
        self.spec.backends.choices().get(choice).map_or(&[], |choice| &choice.filters)
    }
}

fn mirrors(worker: &Worker, listener: &route::Listener, mirrors: &[route::Mirror]) -> Vec<Mirror> {
    let (limits, client) = (&worker.config.limits, listener.client.as_ref());
    let backend = |target: &Target| match target {
        Target::Backend(backend) => {
            Some(Rc::new(worker.upstreams.backend((backend, client), limits, worker.random())))
        }
        Target::Invalid(_) => None,
    };
    mirrors.iter().map(|mirror| Mirror { share: mirror.share, backend: backend(&mirror.target) }).collect()
}

fn auths(worker: &Worker, listener: &route::Listener, auths: &[route::Auth]) -> Vec<Auth> {
    let (limits, client) = (&worker.config.limits, listener.client.as_ref());
    let backend = |target: &Target| match target {
        Target::Backend(backend) => {
            Ok(Rc::new(worker.upstreams.backend((backend, client), limits, worker.random())))
        }
        Target::Invalid(reason) => Err(reason.clone()),
    };
    auths.iter().map(|auth| Auth { spec: auth.spec.clone(), backend: backend(&auth.target) }).collect()
}

// === impl Series ===

impl Series {
    fn new(metrics: &WorkerMetrics, names: [Arc<str>; 3]) -> Rc<Self> {
        let refs = [&names[0], &names[1], &names[2]];
        Rc::new(Self {
            requests: RefCell::default(),
            request_seconds: metrics.request_seconds(refs),
            upstream_seconds: metrics.upstream_seconds(refs),
            names,
        })
    }

    /// Counts a request by its status and method.
    pub(in crate::proxy) fn count(&self, metrics: &WorkerMetrics, code: u16, method: &'static str) {
        let mut requests = self.requests.borrow_mut();
        if let Some((_, _, count)) = requests.iter().find(|(c, m, _)| *c == code && *m == method) {
            return count.add(1);
        }
        let [listener, route, backend] = &self.names;
        let count = metrics.requests([listener, route, backend], code, method);
        count.add(1);
        requests.push((code, method, count));
    }
}
