//! The metric families. Label values come from the configuration, never from a request.
//!
//! Those of the request path are sharded (see [`sharded`]); the others are written rarely and are plain.

pub mod sharded;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector, proto::MetricType,
};

use sharded::{Count, Durations, Family};

/// Every metric of the process. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    all: Arc<All>,
}

/// The metrics that one worker writes.
#[derive(Clone, Debug)]
pub struct WorkerMetrics {
    metrics: Metrics,
    worker: usize,
}

/// The names that may still be label values; see [`Metrics::retain`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveNames<'a> {
    pub listeners: BTreeSet<String>,
    /// Namespace and name.
    pub routes: HashSet<(&'a str, &'a str)>,
    pub backends: HashSet<&'a str>,
    /// Addresses that are listened on.
    pub addresses: BTreeSet<String>,
}

struct All {
    registry: Registry,
    requests: Family<5, Count>,
    request_seconds: Family<3, Durations>,
    upstream_seconds: Family<3, Durations>,
    upstream_errors: Family<2, Count>,
    retries: Family<1, Count>,
    mirrored: Family<2, Count>,
    unintroduced: Family<1, Count>,
    connections: Family<2, Count>,
    bytes: Family<1, Count>,
    protocols: Family<1, Count>,
    held: Family<0, Count>,
    panics: Family<0, Count>,
    limits: Family<1, Count>,
    plain: Plain,
}

struct Plain {
    endpoints: IntGaugeVec,
    reconciles: IntCounterVec,
    reconcile_seconds: Histogram,
    reconcile_lag: Histogram,
    generation: IntGauge,
    resources: IntGaugeVec,
    certificate_expiry: IntGaugeVec,
    config_valid: IntGauge,
    source_connected: IntGaugeVec,
    source_drift: IntCounterVec,
    access_dropped: IntCounter,
    worker_restarts: IntCounter,
}

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconciled {
    Published,
    Unchanged,
    Failed,
}

// === impl Metrics ===

impl Metrics {
    /// The metrics of this process; there is one set of them.
    ///
    /// # Panics
    ///
    /// If a name in this file is not valid, which its test would find.
    #[expect(clippy::expect_used, reason = "the names are constants that the test of this file registers")]
    pub fn new() -> Self {
        Self { all: Arc::new(All::new().expect("the names and labels of this file are valid")) }
    }

    /// The part of a worker. Two workers must not share a number.
    pub fn worker(&self, worker: usize) -> WorkerMetrics {
        WorkerMetrics { metrics: self.clone(), worker }
    }

    /// All metrics in the text format of Prometheus.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        let mut families = self.all.registry.gather();
        let sharded: [&dyn Collector; 13] = [
            &self.all.requests,
            &self.all.request_seconds,
            &self.all.upstream_seconds,
            &self.all.upstream_errors,
            &self.all.retries,
            &self.all.mirrored,
            &self.all.unintroduced,
            &self.all.connections,
            &self.all.bytes,
            &self.all.protocols,
            &self.all.held,
            &self.all.panics,
            &self.all.limits,
        ];
        families.extend(sharded.iter().flat_map(|family| family.collect()));
        families.sort_by(|a, b| a.name().cmp(b.name()));
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "cannot render the metrics");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Forgets the series of listeners, routes and backends that are gone. Whether that was all: connections may outlive
    /// their listener.
    pub fn retain(&self, live: &LiveNames<'_>) -> bool {
        let listener = |name: &str| name.is_empty() || live.listeners.contains(name);
        let is_route = |name: &str| name.split_once('/').is_some_and(|name| live.routes.contains(&name));
        let route = |name: &str| name.is_empty() || is_route(name);
        let backend = |name: &str| name.is_empty() || live.backends.contains(name);
        self.all.requests.retain(|[l, r, b, _, _]| listener(l) && route(r) && backend(b));
        self.all.request_seconds.retain(|[l, r, b]| listener(l) && route(r) && backend(b));
        self.all.upstream_seconds.retain(|[l, r, b]| listener(l) && route(r) && backend(b));
        self.all.upstream_errors.retain(|[b, _]| backend(b));
        self.all.retries.retain(|[b]| backend(b));
        self.all.mirrored.retain(|[b, _]| backend(b));
        self.all.connections.retain_used(|[address, _]| live.addresses.contains(&**address))
    }

    /// Replaces the numbers of endpoints: backend, state, number.
    pub fn set_endpoints<'a>(&self, endpoints: impl IntoIterator<Item = (&'a str, &'a str, i64)>) {
        self.all.plain.endpoints.reset();
        for (backend, state, number) in endpoints {
            self.all.plain.endpoints.with_label_values(&[backend, state]).set(number);
        }
    }

    /// Replaces the numbers of resources: kind, status, number.
    pub fn set_resources<'a>(&self, resources: impl IntoIterator<Item = (&'a str, &'a str, i64)>) {
        self.all.plain.resources.reset();
        for (kind, status, number) in resources {
            self.all.plain.resources.with_label_values(&[kind, status]).set(number);
        }
    }

    /// Replaces the ends of certificates: kind, namespace and name, seconds since 1970.
    pub fn set_certificates<'a>(&self, certificates: impl IntoIterator<Item = (&'a str, String, i64)>) {
        self.all.plain.certificate_expiry.reset();
        for (kind, name, at) in certificates {
            self.all.plain.certificate_expiry.with_label_values(&[kind, &name]).set(at);
        }
    }

    pub fn reconciled(&self, result: Reconciled, took: Duration) {
        self.all.plain.reconciles.with_label_values(&[result.as_str()]).inc();
        self.all.plain.reconcile_seconds.observe(took.as_secs_f64());
    }

    /// From the event of Docker or the write of a file to the live table.
    pub fn reconcile_lag(&self, lag: Duration) {
        self.all.plain.reconcile_lag.observe(lag.as_secs_f64());
    }

    pub fn set_generation(&self, generation: u64) {
        self.all.plain.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
    }

    /// 1 when every document is valid, else 0.
    pub fn set_config_valid(&self, valid: i64) {
        self.all.plain.config_valid.set(valid);
    }

    /// 1 when the source is connected, else 0.
    pub fn set_source_connected(&self, source: &str, connected: i64) {
        self.all.plain.source_connected.with_label_values(&[source]).set(connected);
    }

    /// Objects whose change no event had told of.
    pub fn source_drift(&self, source: &str, objects: u64) {
        self.all.plain.source_drift.with_label_values(&[source]).inc_by(objects);
    }

    /// A thread of the data plane was started again.
    pub fn worker_restarted(&self) {
        self.all.plain.worker_restarts.inc();
    }

    pub(super) fn access_dropped(&self) -> IntCounter {
        self.all.plain.access_dropped.clone()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

// === impl WorkerMetrics ===

impl WorkerMetrics {
    /// `portolan_http_requests_total`. Route and backend are empty where none was found.
    pub fn requests(&self, names: [&Arc<str>; 3], code: u16, method: &'static str) -> Arc<Count> {
        let [listener, route, backend] = names.map(Clone::clone);
        let labels = [listener, route, backend, code.to_string().into(), word(method)];
        self.metrics.all.requests.part(self.worker, labels)
    }

    /// `portolan_http_request_duration_seconds`: listener, route, backend.
    pub fn request_seconds(&self, names: [&Arc<str>; 3]) -> Arc<Durations> {
        self.metrics.all.request_seconds.part(self.worker, names.map(Clone::clone))
    }

    /// `portolan_upstream_duration_seconds`: from the request sent to the response head.
    pub fn upstream_seconds(&self, names: [&Arc<str>; 3]) -> Arc<Durations> {
        self.metrics.all.upstream_seconds.part(self.worker, names.map(Clone::clone))
    }

    /// `portolan_upstream_errors_total`.
    pub fn upstream_errors(&self, backend: &Arc<str>, kind: &'static str) -> Arc<Count> {
        self.metrics.all.upstream_errors.part(self.worker, [backend.clone(), word(kind)])
    }

    /// `portolan_retries_total`.
    pub fn retries(&self, backend: &Arc<str>) -> Arc<Count> {
        self.metrics.all.retries.part(self.worker, [backend.clone()])
    }

    /// `portolan_mirrored_requests_total`: `sent`, `failed`, or `dropped` where there are too many or the body is too long.
    pub fn mirrored(&self, backend: &Arc<str>, result: &'static str) -> Arc<Count> {
        self.metrics.all.mirrored.part(self.worker, [backend.clone(), word(result)])
    }

    /// `portolan_proxy_protocol_refused_total`: connections that were closed for their PROXY header.
    pub fn unintroduced(&self, reason: &'static str) -> Arc<Count> {
        self.metrics.all.unintroduced.part(self.worker, [word(reason)])
    }

    /// `portolan_connections`, a gauge; `listener` is the address that is listened on.
    pub fn connections(&self, listener: &Arc<str>, state: &'static str) -> Arc<Count> {
        self.metrics.all.connections.part(self.worker, [listener.clone(), word(state)])
    }

    /// `portolan_bytes_total`, on the side of the clients.
    pub fn bytes(&self, direction: &'static str) -> Arc<Count> {
        self.metrics.all.bytes.part(self.worker, [word(direction)])
    }

    /// `portolan_http_protocol_requests_total`; protocols as the access log names them.
    pub fn protocol(&self, protocol: &'static str) -> Arc<Count> {
        self.metrics.all.protocols.part(self.worker, [word(protocol)])
    }

    /// `portolan_held_requests`, a gauge: requests that wait for an endpoint.
    pub fn held(&self) -> Arc<Count> {
        self.metrics.all.held.part(self.worker, [])
    }

    /// `portolan_panics_total`.
    pub fn panics(&self) -> Arc<Count> {
        self.metrics.all.panics.part(self.worker, [])
    }

    /// `portolan_limits_reached_total`: clients that were cut off, or had to wait, because of a limit.
    pub fn limits(&self, limit: &'static str) -> Arc<Count> {
        self.metrics.all.limits.part(self.worker, [word(limit)])
    }
}

/// The one copy of a label value that is a word of ours.
fn word(text: &'static str) -> Arc<str> {
    static WORDS: OnceLock<std::sync::Mutex<BTreeSet<Arc<str>>>> = OnceLock::new();
    let words = WORDS.get_or_init(std::sync::Mutex::default);
    let mut words = words.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(word) = words.get(text) {
        return word.clone();
    }
    let word: Arc<str> = text.into();
    words.insert(word.clone());
    word
}

// === impl All ===

impl All {
    fn new() -> Result<Self, prometheus::Error> {
        const ROUTED: [&str; 3] = ["listener", "route", "backend"];
        use MetricType::{COUNTER, GAUGE, HISTOGRAM};
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            requests: Family::new(
                "portolan_http_requests_total",
                "Requests that were answered.",
                COUNTER,
                ["listener", "route", "backend", "code", "method"],
            )?,
            request_seconds: Family::new(
                "portolan_http_request_duration_seconds",
                "From the head of a request to the last byte of its answer.",
                HISTOGRAM,
                ROUTED,
            )?,
            upstream_seconds: Family::new(
                "portolan_upstream_duration_seconds",
                "From the request sent to a backend to the head of its response.",
                HISTOGRAM,
                ROUTED,
            )?,
            upstream_errors: Family::new(
                "portolan_upstream_errors_total",
                "Tries at a backend that failed.",
                COUNTER,
                ["backend", "kind"],
            )?,
            retries: Family::new("portolan_retries_total", "Tries after the first.", COUNTER, ["backend"])?,
            unintroduced: Family::new(
                "portolan_proxy_protocol_refused_total",
                "Connections closed because of their PROXY header.",
                COUNTER,
                ["reason"],
            )?,
            mirrored: Family::new(
                "portolan_mirrored_requests_total",
                "Copies of requests for other backends.",
                COUNTER,
                ["backend", "result"],
            )?,
            connections: Family::new(
                "portolan_connections",
                "Open connections of clients.",
                GAUGE,
                ["listener", "state"],
            )?,
            bytes: Family::new("portolan_bytes_total", "Bytes from and to clients.", COUNTER, ["direction"])?,
            protocols: Family::new(
                "portolan_http_protocol_requests_total",
                "Requests by the version of HTTP that their clients speak.",
                COUNTER,
                ["protocol"],
            )?,
            held: Family::new("portolan_held_requests", "Requests that wait for an endpoint.", GAUGE, [])?,
            panics: Family::new(
                "portolan_panics_total",
                "Connections lost to a fault of Portolan's own.",
                COUNTER,
                [],
            )?,
            limits: Family::new(
                "portolan_limits_reached_total",
                "Clients that were cut off, or had to wait, because of a limit.",
                COUNTER,
                ["limit"],
            )?,
            plain: Plain::new(&registry)?,
            registry,
        })
    }
}

// === impl Plain ===

impl Plain {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let histogram = |name: &str, help: &str| {
            let buckets = vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            endpoints: gauges("portolan_endpoints", "Endpoints by state.", &["backend", "state"])?,
            reconciles: counters("portolan_reconcile_total", "Reconciles by result.", &["result"])?,
            reconcile_seconds: histogram(
                "portolan_reconcile_duration_seconds",
                "From a snapshot to the published table.",
            )?,
            reconcile_lag: histogram(
                "portolan_reconcile_lag_seconds",
                "From the event or the write of a file to the live table.",
            )?,
            generation: gauge("portolan_route_table_generation", "How many tables were published.")?,
            resources: gauges("portolan_resources", "Resources by kind and status.", &["kind", "status"])?,
            certificate_expiry: gauges(
                "portolan_certificate_expiry_timestamp_seconds",
                "When a certificate ends.",
                &["kind", "certificate"],
            )?,
            config_valid: gauge("portolan_config_valid", "1 when every document is valid.")?,
            source_connected: gauges("portolan_source_connected", "1 when connected.", &["source"])?,
            source_drift: counters(
                "portolan_source_drift_total",
                "Objects whose change no event had told of.",
                &["source"],
            )?,
            access_dropped: counter(
                "portolan_access_log_dropped_total",
                "Lines that could not be written in time.",
            )?,
            worker_restarts: counter(
                "portolan_worker_restarts_total",
                "Threads that serve requests, started again after a fault of Portolan's own.",
            )?,
        })
    }
}

// === impl Reconciled ===

impl Reconciled {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}
