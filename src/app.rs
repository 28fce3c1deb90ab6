//! Builds the parts, binds sockets, joins the two sides.
//!
//! The control side (sources, controller, admin API) shares the thread that calls [`start`]; the data plane has threads
//! of its own. What joins them is the published table, and the two acts of opening and closing sockets.

mod actions;
mod handover;
mod inherited;
mod session_key;
pub mod settings;
mod supervise;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::Write,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use futures::{
    StreamExt as _, stream,
    stream::{BoxStream, SelectAll},
};
use http::HeaderValue;
use tokio::sync::{mpsc, oneshot, watch};

pub use handover::{Predecessor, take_over};
pub use inherited::{Activated, Inherited};
pub use settings::Settings;

use crate::{
    admin, config,
    config::files::{File, Scan},
    config::labels::{Exposure, LabelSettings, Template},
    controller::{self, Claim, Input, Outputs, Sockets},
    discovery::{dns, docker},
    model::{CertificateOrders, Report},
    proxy::{self, Drained, Findings, Workers},
    route::Table,
    runtime::{
        drain,
        live::{Live, live},
        open_files,
        ready::{Guard, Ready},
        tasks::{Ended, Tasks},
    },
    telemetry::{access, metrics::Metrics},
};
use handover::Offer;
use inherited::File as SocketOwner;
use settings::{AccessLogFormat, AccessLogSettings, AdminAddress};

/// A running Portolan.
pub struct Running {
    pub report: Live<Report>,
    /// Where the admin API answers, as `--admin` has it.
    pub admin: Option<String>,
    /// Where the implicit Gateway listens; port 0 has become a real one.
    pub http: Option<SocketAddr>,
    /// Where it listens for HTTPS once there is a certificate.
    pub https: Option<SocketAddr>,
    ready: Ready,
    tasks: Tasks,
    /// Gone once they drain: then nothing is opened any more.
    workers: Arc<Mutex<Option<Workers>>>,
    #[cfg(test)]
    metrics: Metrics,
    /// Why workers are not started again any more.
    given_up: oneshot::Receiver<String>,
    admin_stop: drain::Trigger,
    /// Until the admin API is opened.
    unopened: Option<(admin::Listener, admin::State, drain::Watch)>,
    access_log: Option<access::Writer>,
    /// Until the first table is live.
    first_report: Option<Live<Report>>,
    offer: Offer,
}

/// What happens to a running Portolan by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first table is live.
    FirstTable,
    /// A part has failed: none ends by itself.
    Failed(String),
    /// A successor with this process number has taken over.
    Relieved(u32),
}

/// Why it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Asked,
    Relieved,
}

/// Starts everything. Nothing is served before the sources have spoken once; [`Running::event`] tells when.
pub async fn start(settings: Settings) -> anyhow::Result<Running> {
    start_with(settings, Inherited::default()).await
}

/// Starts everything, on sockets that others have opened where they fit. If one of them is a predecessor, the admin API
/// waits for [`Running::open_admin`].
pub async fn start_with(settings: Settings, mut inherited: Inherited) -> anyhow::Result<Running> {
    let (http, https) = ports(&settings, &inherited)?;
    let metrics = Metrics::new();
    let (access_log, access_writer) = access_log(&settings.access_log, &metrics)?.unzip();
    let (table, live_table) = live(Table::default());
    let (report, live_report) = live(Report::default());
    let ready = Ready::new();
    let (mut workers, deaths) =
        Workers::start(proxy_config(&settings), &live_table, &metrics, access_log.as_ref())
            .context("cannot start the threads of the data plane")?;
    workers.adopt(std::mem::take(&mut inherited.opened));
    workers.vouch(std::mem::take(&mut inherited.healthy));
    let (prober, Findings { health, failures }) = workers.watch(live_table.clone());
    let workers = Arc::new(Mutex::new(Some(workers)));
    let (names, wanted_names) = watch::channel(BTreeSet::new());
    let (certificates, orders) = watch::channel(CertificateOrders::new());
    let mut inputs = inputs(&settings, wanted_names, orders);
    inputs.push(reports(health.clone(), Input::Health));
    inputs.push(reports(failures, Input::Failures));
    let outputs =
        Outputs { table, report, sockets: sockets(&workers), names, certificates, metrics: metrics.clone() };
    let mut tasks = Tasks::new();
    let (admin_stop, admin_watch) = drain::channel();
    let (previews, asked) = mpsc::channel(1);
    inputs.push(preview_inputs(asked));
    let (to_controller, beside) = mpsc::channel(1);
    inputs.push(endless(beside));
    let (ask, actions) = mpsc::channel(actions::QUEUE);
    let admin = match &settings.admin {
        Some(address) => Some(bind_admin(address, &mut inherited).await?),
        None => None,
    };
    let admin_address = admin.as_ref().map(|(listener, _)| listener.address());
    let claim = Claim::default();
    let estate = handover::estate(&settings, (http, https), (&workers, health), (admin.as_ref(), &claim))?;
    let unopened = match admin {
        Some((listener, _)) => {
            let state = admin::State {
                report: live_report.clone(),
                table: live_table.clone(),
                ready: ready.clone(),
                metrics: metrics.clone(),
                allowed: settings.allowed,
                actions: admin::Actions { token: token(&settings).await?, asked: ask },
                previews,
            };
            let hands = actions::Hands::new(&settings, to_controller, workers.clone());
            tasks.spawn("actions", actions::run(actions, hands));
            Some((listener, state, admin_watch))
        }
        None => None,
    };
    tasks.spawn("health", prober);
    let (last_words, given_up) = oneshot::channel();
    tasks.spawn("workers", supervise::supervise(workers.clone(), deaths, metrics.clone(), last_words));
    let first = (live_report.clone(), ready.register("the first table"));
    let told = controller_settings(&settings, (http, https), claim);
    // A table for ten thousand routes takes some milliseconds: requests that are under way meanwhile go first.
    tasks.spawn_aside("controller", control(controller::run(inputs, outputs, told), first))?;
    let mut running = Running {
        first_report: Some(live_report.clone()),
        report: live_report,
        admin: admin_address,
        http,
        https,
        ready,
        tasks,
        workers,
        #[cfg(test)]
        metrics,
        given_up,
        admin_stop,
        unopened,
        access_log: access_writer,
        offer: Offer::new(estate),
    };
    if !inherited.has_predecessor {
        running.open_admin();
    }
    Ok(running)
}

// === impl Running ===

impl Running {
    /// Waits for what happens next. Safe to drop half-way.
    pub async fn event(&mut self) -> Event {
        tokio::select! {
            // No arm loses anything when another wins. A part that gives up has its words told.
            biased;
            Ok(words) = &mut self.given_up => Event::Failed(words),
            () = first(&mut self.first_report) => {
                self.report_unused();
                Event::FirstTable
            }
            process = self.offer.accepted() => Event::Relieved(process),
            ended = self.tasks.ended() => Event::Failed(Ended::to_string(&ended)),
        }
    }

    /// Waits for a part to fail: none ends by itself.
    pub async fn failed(&mut self) -> String {
        loop {
            match self.event().await {
                Event::Failed(words) => return words,
                Event::FirstTable | Event::Relieved(_) => {}
            }
        }
    }

    /// Lets the admin API answer. Until a predecessor has stopped, it is the one that does.
    pub fn open_admin(&mut self) {
        if let Some((listener, state, stop)) = self.unopened.take() {
            self.tasks.spawn("admin", admin::serve(listener, state, stop));
        }
    }

    /// Waits for a successor from now on; [`Running::event`] tells of it. Without a state directory there is no place
    /// where it could be met.
    pub fn offer(&mut self) {
        self.offer.make(&mut self.tasks);
    }

    /// Tells of sockets of others that no listener has asked for.
    fn report_unused(&self) {
        let mut workers = lock(&self.workers);
        let Some(workers) = workers.as_mut() else { return };
        for address in workers.close_unused() {
            tracing::info!(%address, "the other process listened there, no listener of this one does: it is closed");
        }
        for address in workers.unused() {
            if self.admin.as_deref() != Some(&*address.to_string()) {
                tracing::warn!(%address, "the supervisor has opened a socket whose address no listener has: it is not used");
            }
        }
    }

    /// Stops: takes nothing new after the drain delay, lets what is under way finish until the drain timeout, then ends
    /// everything.
    pub async fn shutdown(self) -> Drained {
        self.stop(Stop::Asked).await
    }

    /// Stops after a successor has taken over: takes nothing new at once.
    pub async fn retire(self) -> Drained {
        self.stop(Stop::Relieved).await
    }

    async fn stop(mut self, why: Stop) -> Drained {
        self.offer.withdraw();
        if why == Stop::Relieved {
            // The successor's answers from now on.
            self.admin_stop.start();
        }
        let _held = self.ready.register("the drain to end");
        let workers = lock(&self.workers).take();
        let outcome = match (workers, why) {
            (Some(workers), Stop::Asked) => workers.drain().await,
            (Some(workers), Stop::Relieved) => workers.retire().await,
            (None, _) => Drained::default(),
        };
        self.admin_stop.start();
        self.tasks.stop().await;
        if let Some(writer) = self.access_log {
            writer.join();
        }
        outcome
    }
}

/// Waits for the first report, once.
async fn first(report: &mut Option<Live<Report>>) {
    match report {
        Some(waited) => waited.changed().await,
        None => std::future::pending().await,
    }
    *report = None;
}

/// Runs the controller; the guard holds up readiness until its first report.
async fn control(controller: impl Future<Output = ()>, (mut report, first): (Live<Report>, Guard)) {
    tokio::pin!(controller);
    // The controller goes on when the first report has come: it is not dropped by the arm that wins.
    tokio::select! {
        () = &mut controller => return,
        () = report.changed() => drop(first),
    }
    controller.await;
}

/// Where the implicit Gateway listens for HTTP and HTTPS.
fn ports(
    settings: &Settings,
    inherited: &Inherited,
) -> anyhow::Result<(Option<SocketAddr>, Option<SocketAddr>)> {
    let port = |asked: Option<SocketAddr>, before| asked.map(|asked| real_port(asked, before)).transpose();
    let http = port(settings.http, inherited.http).context("there is no free port for `--http`")?;
    let https = port(settings.https, inherited.https).context("there is no free port for `--https`")?;
    Ok((http, https))
}

/// Where port 0 was asked for, finds a free one, or that of a predecessor: the implicit Gateway is a document, and
/// documents name their port.
fn real_port(address: SocketAddr, before: Option<SocketAddr>) -> std::io::Result<SocketAddr> {
    if address.port() != 0 {
        return Ok(address);
    }
    match before.filter(|before| before.ip() == address.ip()) {
        Some(before) => Ok(before),
        None => TcpListener::bind(address)?.local_addr(),
    }
}

/// The limits that the data plane has with the files that it may open.
fn limits(workers: NonZeroUsize) -> proxy::Limits {
    let files = open_files::raise();
    let usual = proxy::Limits::default();
    let limits = usual.clone().within(files, workers);
    if limits.connections < usual.connections {
        tracing::warn!(
            open_files = files,
            of_clients = limits.connections,
            to_endpoints = limits.endpoint_connections,
            "each of the {workers} workers takes fewer connections than usual ({}), as the process may have few files \
             open: raise its limit (`LimitNOFILE=` of systemd, `--ulimit nofile=` of Docker, `ulimit -n`)",
            usual.connections,
        );
    }
    limits
}

fn proxy_config(settings: &Settings) -> proxy::Config {
    proxy::Config {
        limits: limits(settings.workers),
        workers: settings.workers,
        hold: settings.hold,
        trusted_proxies: settings.trusted_proxies.clone(),
        proxy_protocol: settings.proxy_protocol.iter().map(|port| port.get()).collect(),
        allowed: settings.allowed,
        server_name: Some(docker::Own::read().hostname())
            .filter(|name| !name.is_empty())
            .and_then(|name| HeaderValue::from_str(name).ok()),
        drain_delay: settings.drain_delay,
        drain_timeout: settings.drain_timeout,
        session_key: session_key::of_directory(settings.state_dir.as_deref()),
    }
}

fn controller_settings(
    settings: &Settings,
    (http, https): (Option<SocketAddr>, Option<SocketAddr>),
    claim: Claim,
) -> controller::Settings {
    controller::Settings {
        http,
        https,
        hold: settings.hold,
        removal_delay: settings.removal_delay,
        labels: LabelSettings {
            expose_by_default: if settings.expose_by_default { Exposure::All } else { Exposure::Enabled },
            host_templates: templates(settings),
            own: None,
            taken: BTreeSet::new(),
        },
        has_files: !settings.config.is_empty(),
        engine: settings.docker.as_ref().map(|engine| engine.to_string().into()),
        state_dir: settings.state_dir.clone(),
        claim,
    }
}

fn templates(settings: &Settings) -> Vec<Template> {
    // `cli` has checked them.
    settings.default_host_templates.iter().filter_map(|text| Template::parse(text).ok()).collect()
}

/// All sources as one stream. It ends only when all have, which none does.
fn inputs(
    settings: &Settings,
    names: watch::Receiver<BTreeSet<Arc<str>>>,
    orders: watch::Receiver<CertificateOrders>,
) -> SelectAll<BoxStream<'static, Input>> {
    let mut all = SelectAll::new();
    if !settings.config.is_empty() {
        all.push(config::watch::watch(settings.config.clone()).map(Input::Files).boxed());
    }
    if let Some(engine) = &settings.docker {
        let endpoint = engine.endpoint();
        let timing = docker::Timing { resync: settings.resync, ..docker::Timing::default() };
        let locality = endpoint.clone();
        let locality = stream::once(tokio::task::spawn_blocking(move || locality.locality()));
        all.push(locality.filter_map(async |found| Some(Input::Locality(found.ok()??))).boxed());
        all.push(docker::watch(endpoint, timing).map(Input::Docker).boxed());
    }
    let kept = settings.state_dir.as_ref().map(|directory| directory.join("certificates"));
    let certificates = config::certificates::watch(orders, kept);
    all.push(certificates.map(|(id, issued)| Input::Certificate(id, issued)).boxed());
    all.push(dns::watch(names).map(|(name, answer)| Input::Name(name, answer)).boxed());
    all
}

/// What the data plane finds out about endpoints, as it changes.
fn reports<T: Send + Sync + 'static>(live: Live<T>, input: fn(Arc<T>) -> Input) -> BoxStream<'static, Input> {
    let next = move |mut live: Live<T>| async move {
        live.changed().await;
        Some((input(live.load()), live))
    };
    stream::unfold(live, next).boxed()
}

/// What the admin API asks of the controller. It does not end: the controller would take that for the end of all.
fn preview_inputs(asked: mpsc::Receiver<admin::Preview>) -> BoxStream<'static, Input> {
    let next = async |mut asked: mpsc::Receiver<admin::Preview>| {
        let admin::Preview { files, answer } = asked.recv().await?;
        let scan: Scan = files.into_iter().map(|(path, content)| (path, File::new(content))).collect();
        Some((Input::Preview(scan, answer), asked))
    };
    stream::unfold(asked, next).chain(stream::pending()).boxed()
}

/// What is asked of the controller beside. It does not end either.
fn endless(asked: mpsc::Receiver<Input>) -> BoxStream<'static, Input> {
    stream::unfold(asked, async |mut asked| Some((asked.recv().await?, asked)))
        .chain(stream::pending())
        .boxed()
}

/// The file of the token, if there is one: a program that nobody can tell what they may tell it is a mistake.
async fn token(settings: &Settings) -> anyhow::Result<Option<admin::TokenFile>> {
    let Some(path) = &settings.admin_token_file else { return Ok(None) };
    let token = admin::TokenFile(path.clone());
    token.read().await.context("`--admin-token-file` cannot be used")?;
    Ok(Some(token))
}

fn sockets(workers: &Arc<Mutex<Option<Workers>>>) -> Sockets {
    let (opener, closer) = (workers.clone(), workers.clone());
    Sockets {
        open: Box::new(move |addresses| {
            lock(&opener).as_mut().map_or_else(BTreeMap::new, |workers| workers.open(addresses))
        }),
        close: Box::new(move |addresses| {
            if let Some(workers) = lock(&closer).as_mut() {
                workers.close(addresses);
            }
        }),
    }
}

fn lock(workers: &Mutex<Option<Workers>>) -> MutexGuard<'_, Option<Workers>> {
    workers.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn bind_admin(
    address: &AdminAddress,
    inherited: &mut Inherited,
) -> anyhow::Result<(admin::Listener, SocketOwner)> {
    let listener = match (inherited.admin(address), address) {
        (Some(listener), _) => listener,
        (None, AdminAddress::Tcp(address)) => {
            admin::Listener::bind_tcp(*address).await.map(|listener| (listener, SocketOwner::Ours))
        }
        (None, AdminAddress::Unix(path)) => {
            admin::Listener::bind_unix(path).map(|listener| (listener, SocketOwner::Ours))
        }
    };
    listener.with_context(|| {
        format!(
            "the admin API cannot listen on `{address}`: choose another with `--admin`, or `--admin off`; `--take-over` \
             replaces a Portolan that runs there"
        )
    })
}

fn access_log(
    settings: &AccessLogSettings,
    metrics: &Metrics,
) -> anyhow::Result<Option<(access::AccessLog, access::Writer)>> {
    let format = match settings.format {
        AccessLogFormat::Off => return Ok(None),
        AccessLogFormat::Text => access::Format::Text,
        AccessLogFormat::Json => access::Format::Json,
    };
    let to: Box<dyn Write + Send> = match &settings.path {
        None => Box::new(std::io::stdout()),
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            Box::new(file.with_context(|| format!("cannot open the access log `{}`", path.display()))?)
        }
    };
    access::start(format, to, metrics).map(Some).context("cannot start the thread of the access log")
}
