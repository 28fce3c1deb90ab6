//! The one loop: stores → snapshot → plan → publish → report.
//!
//! Any change wakes it; the first is acted on at once, and what comes while a plan is being applied is taken together in
//! the next round. The plan is that of the whole world; what comes of a route that nothing has touched is kept.

mod claim;
mod difference;
mod drains;
mod failures;
mod implicit;
mod keeper;
mod reporter;
pub mod state;
#[cfg(test)]
mod tests;
mod turns;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{FutureExt, Stream, StreamExt};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use crate::{
    config::{
        files::{Scan, Update},
        labels::LabelSettings,
    },
    discovery::docker::{Locality, Notice},
    model::{
        CertificateOrders, Declined, Difference, DrainAsk, DrainState, EndpointState, FailureReport,
        HealthReport, Issued, Kind, ListenerStatus, Report, ResourceId,
    },
    plan::{self, Planner},
    route::Table,
    runtime::live::Publisher,
    telemetry::metrics::{LiveNames, Metrics, Reconciled},
};
pub use claim::Claim;
use reporter::{Facts, Reporter};
use world::World;

/// What the controller is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the implicit Gateway listens.
    pub http: Option<SocketAddr>,
    /// Where the implicit Gateway listens for HTTPS, once there is a certificate.
    pub https: Option<SocketAddr>,
    pub hold: Duration,
    /// How long a container that is gone is remembered.
    pub removal_delay: Duration,
    pub labels: LabelSettings,
    /// Whether documents are read at all.
    pub has_files: bool,
    /// Where the engine is, if there is one to be watched.
    pub engine: Option<Arc<str>>,
    /// Where the last known state is kept.
    pub state_dir: Option<PathBuf>,
    pub claim: Claim,
}

/// Something that a source has seen.
#[derive(Debug)]
pub enum Input {
    Files(Update),
    Docker(Notice),
    Name(Arc<str>, Result<Vec<IpAddr>, Arc<str>>),
    /// What became of the certificate of an object.
    Certificate(ResourceId, Issued),
    /// On which machine the engine is.
    Locality(Locality),
    /// What the data plane knows of endpoints that are watched.
    Health(Arc<HealthReport>),
    /// Requests that endpoints have failed.
    Failures(Arc<FailureReport>),
    /// Drains a container or takes that back: its id or name, what is asked, and where the answer goes.
    Drain(String, DrainAsk, oneshot::Sender<Result<DrainState, Declined>>),
    /// What would differ with these files? Nothing comes of it but the answer.
    Preview(Scan, oneshot::Sender<Vec<Difference>>),
}

/// Where the results go.
pub struct Outputs {
    pub table: Publisher<Table>,
    pub report: Publisher<Report>,
    pub sockets: Sockets,
    /// The names that have to be resolved.
    pub names: watch::Sender<BTreeSet<Arc<str>>>,
    /// The certificates that have to be read or made.
    pub certificates: watch::Sender<CertificateOrders>,
    pub metrics: Metrics,
}

/// Binding and closing addresses, which the data plane does.
pub struct Sockets {
    /// Binds what is not bound yet; says for each address whether it is bound.
    pub open: Open,
    /// Closes addresses; their connections go on.
    pub close: Close,
}

/// See [`Sockets::open`]. The address of a result is the real one.
pub type Open = Box<dyn FnMut(&[SocketAddr]) -> BTreeMap<SocketAddr, io::Result<SocketAddr>> + Send>;
/// See [`Sockets::close`].
pub type Close = Box<dyn FnMut(&[SocketAddr]) + Send>;

/// Runs until `inputs` end.
pub async fn run(mut inputs: impl Stream<Item = Input> + Unpin, outputs: Outputs, settings: Settings) {
    let mut controller = Controller {
        outputs,
        world: World::new(settings, Instant::now()),
        reporter: Reporter::default(),
        planner: Planner::default(),
        open: BTreeSet::new(),
        has_published: false,
        tidy_at: None,
        forget_at: None,
    };
    let (mut is_news, mut since) = (false, Instant::now());
    loop {
        // Before the first wait, too: without a source nothing would ever come to wake it.
        if (is_news || !controller.has_published) && controller.may_publish(Instant::now()) {
            controller.reconcile(since);
            controller.has_published = true;
        }
        is_news = false;
        tokio::select! {
            input = inputs.next() => match input {
                Some(input) => is_news |= controller.take(input),
                None => return,
            },
            // Nothing is lost when this arm is dropped: the deadline is computed anew.
            () = sleep_until(controller.deadline()) => {}
        }
        since = Instant::now();
        while let Some(Some(input)) = inputs.next().now_or_never() {
            is_news |= controller.take(input);
        }
        is_news |= controller.world.expire(Instant::now());
        controller.tidy(Instant::now());
        controller.forget(Instant::now());
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

struct Controller {
    outputs: Outputs,
    world: World,
    planner: Planner,
    reporter: Reporter,
    /// The addresses that are bound.
    open: BTreeSet<SocketAddr>,
    has_published: bool,
    /// When former tables and reports are looked at next, and how long after that again.
    tidy_at: Option<(Instant, Duration)>,
    /// When the series of what is gone are looked for next, and how long after that again.
    forget_at: Option<(Instant, Duration)>,
}

// === impl Controller ===

impl Controller {
    /// Whether there is enough to plan. A first table is whole: who takes over from another process must not serve with
    /// less than that one.
    fn may_publish(&mut self, now: Instant) -> bool {
        if self.has_published || !self.world.may_publish(now) {
            return self.has_published;
        }
        self.world.refresh();
        let snapshot = self.world.snapshot();
        tell(&self.outputs.names, snapshot.names_to_resolve());
        tell(&self.outputs.certificates, snapshot.certificates_to_issue());
        self.world.is_whole(now)
    }

    /// Takes what a source says; whether it may change what is served.
    fn take(&mut self, input: Input) -> bool {
        match input {
            Input::Preview(scan, answer) => {
                // Whoever asked may be gone.
                let _ = answer.send(self.preview(scan));
                false
            }
            Input::Drain(container, ask, answer) => {
                // It is in effect when it is answered; whoever asked may be gone.
                let _ = answer.send(self.drain(&container, ask));
                false
            }
            Input::Failures(failures) => {
                // They change what is told, not what is served.
                self.world.failures = failures;
                if let Some(report) = self.reporter.tell_failures(&self.world.failures) {
                    self.outputs.report.publish(report);
                    self.tidy_at = Some((Instant::now() + Self::TIDY, Self::TIDY));
                }
                false
            }
            input @ (Input::Files(_)
            | Input::Docker(_)
            | Input::Name(..)
            | Input::Certificate(..)
            | Input::Locality(_)
            | Input::Health(_)) => self.world.apply(input, Instant::now()),
        }
    }

    /// What would differ with other files.
    fn preview(&mut self, scan: Scan) -> Vec<Difference> {
        let (reporter, generation) = (&self.reporter, self.outputs.table.version().max(1));
        self.world.with_files(scan, |world| {
            world.refresh();
            let plan = plan::plan(world.snapshot());
            reporter.preview(facts(world, (plan, generation)))
        })
    }

    /// Plans the world as it is now and puts the plan into effect: open first, then publish, then close.
    fn reconcile(&mut self, since: Instant) {
        let started = Instant::now();
        self.world.refresh();
        let snapshot = self.world.snapshot();
        tell(&self.outputs.names, snapshot.names_to_resolve());
        tell(&self.outputs.certificates, snapshot.certificates_to_issue());
        let mut plan = self.planner.plan(snapshot);
        let wanted: BTreeSet<SocketAddr> = plan.table.sockets().copied().collect();
        let unbound = self.open(&wanted);
        if unbound != self.world.snapshot().unbound {
            self.world.note_unbound(unbound, Instant::now());
            plan = self.planner.plan(self.world.snapshot());
        }
        self.world.drains.note(&plan.workloads);
        let planned = started.elapsed();
        let published = self.outputs.table.publish(std::mem::take(&mut plan.table));
        self.close_others(&wanted);
        let result = if published { Reconciled::Published } else { Reconciled::Unchanged };
        let applied = started.elapsed();
        self.outputs.metrics.reconciled(result, applied);
        if published {
            self.outputs.metrics.reconcile_lag(since.elapsed());
        }
        let drift = self.world.take_drift();
        if drift > 0 {
            self.outputs.metrics.source_drift("docker", u64::try_from(drift).unwrap_or(u64::MAX));
        }
        let generation = self.outputs.table.version().max(1);
        let report = self.reporter.report(facts(&self.world, (plan, generation)));
        if self.reporter.take_lost() {
            self.lose(Instant::now());
        }
        self.measure(&report);
        self.outputs.report.publish(report);
        self.tidy_at = Some((Instant::now() + Self::TIDY, Self::TIDY));
        tracing::debug!(
            waited = ?started.duration_since(since),
            ?planned,
            published = ?applied.saturating_sub(planned),
            reported = ?started.elapsed().saturating_sub(applied),
            "reconciled"
        );
    }

    /// How long after a table the one before is no longer used, most often.
    const TIDY: Duration = Duration::from_millis(500);
    /// Between two looks at what is used still.
    const LONGEST: Duration = Duration::from_mins(1);

    fn deadline(&self) -> Option<Instant> {
        let chores = [self.tidy_at, self.forget_at].into_iter().flatten().map(|(at, _)| at);
        self.world.deadline().into_iter().chain(chores).min()
    }

    /// Drops former tables and reports that nobody uses, off this thread; looks again ever less often for those that
    /// somebody does.
    fn tidy(&mut self, now: Instant) {
        let Some((_, pause)) = self.tidy_at.filter(|(at, _)| *at <= now) else { return };
        let unused = (self.outputs.table.take_unused(), self.outputs.report.take_unused());
        drop(tokio::task::spawn_blocking(move || drop(unused)));
        let is_held = self.outputs.table.has_former() || self.outputs.report.has_former();
        let pause = (pause * 2).min(Self::LONGEST);
        self.tidy_at = is_held.then_some((now + pause, pause));
    }

    /// Something is gone by whose name there may be series.
    fn lose(&mut self, now: Instant) {
        let at = now + Self::TIDY;
        let at = self.forget_at.map_or(at, |(before, _)| before.min(at));
        self.forget_at = Some((at, Self::TIDY));
    }

    /// Forgets the series of what is gone. As long as a former table is used, requests may count by the names that it has,
    /// and connections may outlive their listener: then it looks again, ever less often.
    fn forget(&mut self, now: Instant) {
        let Some((_, pause)) = self.forget_at.filter(|(at, _)| *at <= now) else { return };
        let is_all = self.outputs.metrics.retain(&live_names(self.reporter.last(), &self.open));
        let is_over = is_all && !self.outputs.table.has_former();
        let pause = (pause * 2).min(Self::LONGEST);
        self.forget_at = (!is_over).then_some((now + pause, pause));
    }

    /// Brings the gauges level with the report.
    fn measure(&self, report: &Report) {
        let metrics = &self.outputs.metrics;
        metrics.set_generation(report.generation);
        metrics.set_config_valid(i64::from(report.config_valid));
        for source in &report.sources {
            metrics.set_source_connected(&source.name, i64::from(source.connected));
        }
        let mut endpoints = Vec::new();
        for backend in report.backends.values() {
            for state in EndpointState::ALL {
                let count = backend.endpoints.iter().filter(|endpoint| endpoint.state == state).count();
                endpoints.push((&*backend.name, state.as_str(), i64::try_from(count).unwrap_or(i64::MAX)));
            }
        }
        metrics.set_endpoints(endpoints);
        let mut resources: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for (id, object) in &report.objects {
            let status = if object.status.is_accepted() { "accepted" } else { "refused" };
            *resources.entry((id.kind.as_str(), status)).or_default() += 1;
        }
        metrics.set_resources(resources.into_iter().map(|((kind, status), count)| (kind, status, count)));
        let expiries = report.objects.iter().filter_map(|(id, object)| {
            let not_after = object.status.certificate.as_ref()?.not_after;
            Some((id.kind.as_str(), format!("{}/{}", id.namespace, id.name), not_after))
        });
        metrics.set_certificates(expiries);
    }

    /// Binds what is wanted, and says what could not be bound and why.
    fn open(&mut self, wanted: &BTreeSet<SocketAddr>) -> BTreeMap<SocketAddr, Arc<str>> {
        let addresses: Vec<SocketAddr> = wanted.iter().copied().collect();
        let mut unbound = BTreeMap::new();
        for (address, result) in (self.outputs.sockets.open)(&addresses) {
            match result {
                Ok(_) => {
                    self.open.insert(address);
                }
                Err(error) => {
                    unbound.insert(address, words(&error).into());
                }
            }
        }
        unbound
    }

    fn close_others(&mut self, wanted: &BTreeSet<SocketAddr>) {
        let gone: Vec<SocketAddr> = self.open.difference(wanted).copied().collect();
        if !gone.is_empty() {
            (self.outputs.sockets.close)(&gone);
            self.lose(Instant::now());
            self.open.retain(|address| wanted.contains(address));
        }
    }
}

/// What there is to report of a plan of the world.
fn facts(world: &World, (plan, generation): (plan::Plan, u64)) -> Facts<'_> {
    Facts {
        plan,
        objects: world.objects(),
        stale: world.stale(),
        workloads: &world.snapshot().workloads,
        labels: world.labels(),
        failures: &world.failures,
        sources: world.sources(),
        problems: world.problems(),
        config_valid: world.config_valid(),
        generation,
        now: unix_seconds(),
    }
}

/// Says what is wanted, if it is something else than before.
fn tell<T: PartialEq>(to: &watch::Sender<T>, now: T) {
    to.send_if_modified(|wanted| {
        let differs = *wanted != now;
        if differs {
            *wanted = now;
        }
        differs
    });
}

/// The names that series may have.
fn live_names<'r>(report: &'r Report, open: &BTreeSet<SocketAddr>) -> LiveNames<'r> {
    let mut names = LiveNames {
        backends: report.backends.keys().map(|name| &**name).collect(),
        addresses: open.iter().map(ToString::to_string).collect(),
        ..LiveNames::default()
    };
    for (id, object) in &report.objects {
        if matches!(id.kind, Kind::HttpRoute | Kind::GrpcRoute) {
            names.routes.insert((&id.namespace, &id.name));
        } else if matches!(id.kind, Kind::Gateway | Kind::ListenerSet) {
            let listeners = object.status.listeners.iter();
            let name = |listener: &ListenerStatus| format!("{}/{}/{}", id.namespace, id.name, listener.name);
            names.listeners.extend(listeners.map(name));
        }
    }
    names
}

/// What an operator can do something with.
fn words(error: &io::Error) -> String {
    const KNOWN: [(io::ErrorKind, &str); 3] = [
        (
            io::ErrorKind::AddrInUse,
            "another program listens there; stop it or choose another port; `--take-over` replaces a running Portolan",
        ),
        (
            io::ErrorKind::PermissionDenied,
            "permission denied; ports below 1024 need root, CAP_NET_BIND_SERVICE or a lower \
             net.ipv4.ip_unprivileged_port_start",
        ),
        (io::ErrorKind::AddrNotAvailable, "this machine does not have the address"),
    ];
    let known = KNOWN.iter().find(|(kind, _)| *kind == error.kind());
    known.map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned())
}

fn unix_seconds() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outputs").finish_non_exhaustive()
    }
}
