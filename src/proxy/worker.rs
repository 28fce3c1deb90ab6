//! One thread of the data plane: what its connections share, and nobody else.

mod cache;
mod clients;
mod date;
mod random;
mod run;

use std::{
    cell::{Cell, Ref, RefCell},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
};

use ::http::HeaderValue;
use tokio::{sync::Notify, time::Instant};

use super::{
    config::Config,
    connection::{Connection, SocketCounts},
    http::Budgets,
    tls::Terminator,
    upstream::{Fleet, Upstreams},
};
use crate::{
    route::{self, Request, Table, Tls},
    runtime::{
        Tasks,
        live::{Live, View},
    },
    telemetry::{
        AccessLog, Metrics, access,
        metrics::{WorkerMetrics, sharded::Count},
    },
};
use cache::Cache;
pub(super) use cache::{Choice, Routed, Rule, Series, Unrouted};
use clients::Clients;
pub(super) use clients::{Guest, Lease};
use date::Date;
use random::Random;
pub use run::Drained;
pub(super) use run::{Command, Farewell, run};

pub(super) struct Worker {
    pub(super) config: Arc<Config>,
    pub(super) metrics: WorkerMetrics,
    pub(super) upstreams: Upstreams,
    pub(super) budgets: Budgets,
    pub(super) terminator: Terminator,
    /// Copies of requests that are under way.
    pub(super) mirrored: Cell<u32>,
    /// Told after each new table, and when an endpoint has become fit or unfit.
    pub(super) changed: Notify,
    table: View<Table>,
    cache: RefCell<Cache>,
    random: Random,
    access: Option<RefCell<AccessLog>>,
    held: Arc<Count>,
    /// By version of HTTP: 1.0, 1.1, 2.
    protocols: [Arc<Count>; 3],
    /// What answers are dated with.
    date: RefCell<Date>,
    /// The time of the last tick: asking for the real one costs too much where a fraction of a second does not matter.
    now: Cell<Instant>,
    /// By number of arrival.
    connections: RefCell<std::collections::BTreeMap<u64, Rc<Connection>>>,
    arrivals: Cell<u64>,
    clients: Rc<Clients>,
    /// Told when a connection ends.
    left: Notify,
    tasks: RefCell<Tasks>,
    /// Every answer is the last of its connection.
    is_leaving: Cell<bool>,
    /// Why this worker cannot go on.
    fault: RefCell<Option<String>>,
}

/// A request that waits for an endpoint.
pub(super) struct Held<'w>(&'w Worker);

// === impl Worker ===

impl Worker {
    pub(super) fn new(
        number: usize,
        config: Arc<Config>,
        table: &Live<Table>,
        telemetry: (&Metrics, Option<AccessLog>),
        (fleet, terminator): (Arc<Fleet>, Terminator),
    ) -> Self {
        let (metrics, access) = telemetry;
        let metrics = metrics.worker(number);
        Self {
            held: metrics.held(),
            protocols: ["HTTP/1.0", "HTTP/1.1", "HTTP/2"].map(|name| metrics.protocol(name)),
            now: Cell::new(Instant::now()),
            cache: RefCell::new(Cache::new(&metrics)),
            date: RefCell::new(Date::now()),
            upstreams: Upstreams::new(fleet, number, config.limits.endpoint_connections),
            budgets: Budgets::default(),
            terminator,
            mirrored: Cell::new(0),
            changed: Notify::new(),
            table: table.view(),
            random: Random::new(),
            access: access.map(RefCell::new),
            connections: RefCell::default(),
            arrivals: Cell::new(0),
            clients: Clients::new(&config.limits),
            left: Notify::new(),
            tasks: RefCell::default(),
            is_leaving: Cell::new(false),
            fault: RefCell::default(),
            config,
            metrics,
        }
    }

    /// Lets go of the former table: without requests nothing else would.
    fn adopt(&self) {
        self.cache.borrow_mut().adopt(&self.metrics, &self.table.load());
    }

    /// Finds the rule for a request. `Err` has the series that the refusal counts in.
    pub(super) fn route(&self, connection: &Connection, request: &Request<'_>) -> Result<Routed, Unrouted> {
        self.cache.borrow_mut().route(self, &self.table.load(), connection, request)
    }

    /// Whether some route looks at a field that tells of the client.
    pub(super) fn reads_client(&self) -> bool {
        self.table.load().reads_client()
    }

    /// Whether connections of a socket begin with a handshake.
    pub(super) fn is_secure(&self, socket: &SocketAddr) -> bool {
        self.table.load().socket(socket).is_some_and(route::Socket::is_secure)
    }

    /// How the TLS of a client is ended who asks for this name.
    pub(super) fn secures(&self, socket: &SocketAddr, server_name: Option<&str>) -> Option<Arc<Tls>> {
        self.table.load().socket(socket)?.secures(server_name).cloned()
    }

    /// Counts a request by the version of HTTP that its client speaks.
    pub(super) fn count_protocol(&self, version: http::Version) {
        let index = match version {
            http::Version::HTTP_10 => 0,
            http::Version::HTTP_2 => 2,
            _ => 1,
        };
        self.protocols[index].add(1);
    }

    /// For requests that belong to no listener.
    pub(super) fn no_series(&self) -> Rc<Series> {
        self.cache.borrow().no_series()
    }

    /// Today's date, for a field (RFC 9110 section 6.6.1).
    pub(super) fn date(&self) -> Ref<'_, [u8]> {
        Ref::map(self.date.borrow(), |date| date.text().as_bytes())
    }

    /// The same as a field's value.
    pub(super) fn dated(&self) -> HeaderValue {
        self.date.borrow().text().clone()
    }

    /// Now, to the length of a tick.
    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(super) fn random(&self) -> u64 {
        self.random.next()
    }

    /// Whether clients are to ask elsewhere next.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.get()
    }

    pub(super) fn is_logging(&self) -> bool {
        self.access.is_some()
    }

    pub(super) fn log(&self, record: &access::Record<'_>) {
        if let Some(access) = &self.access {
            access.borrow_mut().write(record);
        }
    }

    /// Starts work that ends by itself.
    pub(super) fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().spawn_local(name, Box::pin(work));
    }

    /// A place among the requests that wait, unless there are too many.
    pub(super) fn hold(&self) -> Option<Held<'_>> {
        (self.held.get() < self.config.limits.held as u64).then(|| {
            self.held.add(1);
            Held(self)
        })
    }

    fn socket_counts(&self, address: &SocketAddr) -> SocketCounts {
        let name: Arc<str> = address.to_string().into();
        SocketCounts {
            idle: self.metrics.connections(&name, "idle"),
            active: self.metrics.connections(&name, "active"),
            tunnel: self.metrics.connections(&name, "tunnel"),
            bytes_in: self.metrics.bytes("in"),
            bytes_out: self.metrics.bytes("out"),
        }
    }
}

// === impl Held ===

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.subtract(1);
    }
}
