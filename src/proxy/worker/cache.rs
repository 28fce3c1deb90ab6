//! What a worker has worked out about the rules of the current table: metrics, turns, pools.
//!
//! Why beside the table: the table is shared by all workers and holds facts; a reference count or a counter in it would
//! be a cache line that all of them write. Here each worker has its own, found by the address of the rule, which cannot
//! change while the table is held.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
    sync::Arc,
};

use http::HeaderValue;

use super::Worker;
use crate::{
    model::HttpFilter,
    proxy::{
        connection::Connection,
        http::{Auth, Budget, Home, Mirror, Sessions},
        upstream::Backend,
    },
    route::{self, Found, Request, Table, Target},
    telemetry::metrics::{
        WorkerMetrics,
        sharded::{Count, Durations},
    },
};

pub(super) struct Cache {
    table: Option<Arc<Table>>,
    rules: HashMap<(*const route::Listener, *const route::Rule), Rc<Rule>, BuildHasherDefault<Addresses>>,
    listeners: HashMap<*const route::Listener, Rc<Series>>,
    none: Rc<Series>,
}

/// A rule on a listener.
pub(in crate::proxy) struct Rule {
    pub(in crate::proxy) spec: Arc<route::Rule>,
    pub(in crate::proxy) port: std::num::NonZeroU16,
    /// `port` as text.
    pub(in crate::proxy) port_text: HeaderValue,
    /// For answers without a backend.
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
        Self { table: None, rules: HashMap::default(), listeners: HashMap::new(), none }
    }

    pub(super) fn no_series(&self) -> Rc<Series> {
        self.none.clone()
    }

    /// Forgets what belongs to another table.
    pub(super) fn adopt(&mut self, metrics: &WorkerMetrics, table: &Arc<Table>) {
        if !self.table.as_ref().is_some_and(|known| Arc::ptr_eq(known, table)) {
            self.rules.clear();
            self.listeners.clear();
            self.none = Series::new(metrics, ["", "", ""].map(Arc::from));
            self.table = Some(table.clone());
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
                let entry = self.rules.entry((listener, Arc::as_ptr(rule)));
                let rule = entry.or_insert_with(|| Rc::new(Rule::new(worker, listener, rule))).clone();
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
            spec: rule.clone(),
            series: none,
            sessions: Sessions::new(&worker.config.session_key, rule),
            mirrors: mirrors(worker, listener, &rule.mirrors),
            auths: auths(worker, listener, &rule.auths),
            choices,
            uses_prefix,
        }
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
        let picked = self.spec.backends.pick(random)?;
        let index = self.spec.backends.choices().iter().position(|choice| std::ptr::eq(choice, picked))?;
        self.choices.get(index)
    }

    pub(in crate::proxy) fn mirrors<'r>(&'r self, choice: &'r Choice) -> impl Iterator<Item = &'r Mirror> {
        self.mirrors.iter().chain(&choice.mirrors)
    }

    /// The rule's filters, then those of the choice.
    pub(in crate::proxy) fn filters(&self, choice: &Choice) -> impl Iterator<Item = &HttpFilter> {
        self.spec.filters.iter().chain(self.choice_filters(choice))
    }

    pub(in crate::proxy) fn choice_filters(&self, choice: &Choice) -> &[HttpFilter] {
        self.spec.backends.choices().get(choice.index).map_or(&[], |choice| &choice.filters)
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
