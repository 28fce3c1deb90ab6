//! Builds the parts, binds sockets, joins the two sides.
//!
//! The control side (sources, controller, admin API) shares the thread that calls [`start`]; the data plane has threads
//! of its own. What joins them is the published table, and the two acts of opening and closing sockets.

mod actions;
mod session_key;
pub mod settings;
mod supervise;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::Write,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use futures::{
    Stream, StreamExt as _, stream,
    stream::{BoxStream, SelectAll},
};
use http::HeaderValue;
use tokio::sync::{mpsc, oneshot, watch};

pub use settings::Settings;

use crate::{
    admin, config,
    config::files::{File, Scan},
    config::labels::{Exposure, LabelSettings, Template},
    controller::{self, Input, Outputs, Sockets},
    discovery::{dns, docker},
    model::{CertificateOrders, HealthReport, Report},
    proxy::{self, Drained, Workers},
    route::Table,
    runtime::{
        drain,
        live::{Live, live},
        ready::Ready,
        tasks::{Ended, Tasks},
    },
    telemetry::{access, metrics::Metrics},
};
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
    access_log: Option<access::Writer>,
}

/// Starts everything. Nothing is served before the sources have spoken once; [`Running::report`] tells when.
pub async fn start(settings: Settings) -> anyhow::Result<Running> {
    let http = settings.http.map(real_port).transpose().context("there is no free port for `--http`")?;
    let https = settings.https.map(real_port).transpose().context("there is no free port for `--https`")?;
    let metrics = Metrics::new();
    let (access_log, access_writer) = access_log(&settings.access_log, &metrics)?.unzip();
    let (table, live_table) = live(Table::default());
    let (report, live_report) = live(Report::default());
    let ready = Ready::new();
    let (workers, deaths) =
        Workers::start(proxy_config(&settings), &live_table, &metrics, access_log.as_ref())
            .context("cannot start the threads of the data plane")?;
    let (prober, health) = workers.watch(live_table.clone());
    let workers = Arc::new(Mutex::new(Some(workers)));
    let (names, wanted_names) = watch::channel(BTreeSet::new());
    let (certificates, orders) = watch::channel(CertificateOrders::new());
    let mut inputs = inputs(&settings, wanted_names, orders);
    inputs.push(health_reports(health).boxed());
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
        Some(address) => Some(bind_admin(address).await?),
        None => None,
    };
    let admin_address = admin.as_ref().map(admin::Listener::address);
    if let Some(listener) = admin {
        let state = admin::State {
            report: live_report.clone(),
            table: live_table.clone(),
            ready: ready.clone(),
            metrics: metrics.clone(),
            actions: admin::Actions { token: token(&settings).await?, asked: ask },
            previews,
        };
        tasks.spawn("admin", admin::serve(listener, state, admin_watch));
        let hands = actions::Hands::new(&settings, to_controller, workers.clone());
        tasks.spawn("actions", actions::run(actions, hands));
    }
    tasks.spawn("health", prober);
    let (last_words, given_up) = oneshot::channel();
    tasks.spawn("workers", supervise::supervise(workers.clone(), deaths, metrics.clone(), last_words));
    let first_table = ready.register("the first table");
    let mut first_report = live_report.clone();
    tasks.spawn("controller", async move {
        let controller = controller::run(inputs, outputs, controller_settings(&settings, http, https));
        tokio::pin!(controller);
        // The controller goes on when the first report has come: it is not dropped by the arm that wins.
        tokio::select! {
            () = &mut controller => return,
            () = first_report.changed() => drop(first_table),
        }
        controller.await;
    });
    Ok(Running {
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
        access_log: access_writer,
    })
}

// === impl Running ===

impl Running {
    /// Waits for a part to fail: none ends by itself.
    pub async fn failed(&mut self) -> String {
        tokio::select! {
            // Neither loses anything when the other wins. It ends with its words.
            biased;
            Ok(words) = &mut self.given_up => words,
            ended = self.tasks.ended() => Ended::to_string(&ended),
        }
    }

    /// Stops: takes nothing new after the drain delay, lets what is under way finish until the drain timeout, then ends
    /// everything.
    pub async fn shutdown(mut self) -> Drained {
        let _held = self.ready.register("the drain to end");
        let workers = lock(&self.workers).take();
        let outcome = match workers {
            Some(workers) => workers.drain().await,
            None => Drained::default(),
        };
        self.admin_stop.start();
        self.tasks.stop().await;
        if let Some(writer) = self.access_log {
            writer.join();
        }
        outcome
    }
}

/// Where port 0 was asked for, finds a free one: the implicit Gateway is a document, and documents name their port.
fn real_port(address: SocketAddr) -> std::io::Result<SocketAddr> {
    if address.port() != 0 {
        return Ok(address);
    }
    TcpListener::bind(address)?.local_addr()
}

fn proxy_config(settings: &Settings) -> proxy::Config {
    proxy::Config {
        workers: settings.workers,
        hold: settings.hold,
        trusted_proxies: settings.trusted_proxies.clone(),
        proxy_protocol: settings.proxy_protocol.iter().map(|port| port.get()).collect(),
        server_name: Some(docker::Own::read().hostname())
            .filter(|name| !name.is_empty())
            .and_then(|name| HeaderValue::from_str(name).ok()),
        drain_delay: settings.drain_delay,
        drain_timeout: settings.drain_timeout,
        session_key: session_key::of_directory(settings.state_dir.as_deref()),
        ..proxy::Config::default()
    }
}

fn controller_settings(
    settings: &Settings,
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
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
    let certificates = config::certificates::watch(orders);
    all.push(certificates.map(|(id, issued)| Input::Certificate(id, issued)).boxed());
    all.push(dns::watch(names).map(|(name, answer)| Input::Name(name, answer)).boxed());
    all
}

/// What the data plane finds out about endpoints, as it changes.
fn health_reports(health: Live<HealthReport>) -> impl Stream<Item = Input> {
    stream::unfold(health, async |mut health| {
        health.changed().await;
        Some((Input::Health(health.load()), health))
    })
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

async fn bind_admin(address: &AdminAddress) -> anyhow::Result<admin::Listener> {
    match address {
        AdminAddress::Tcp(address) => admin::Listener::bind_tcp(*address).await,
        AdminAddress::Unix(path) => admin::Listener::bind_unix(path),
    }
    .with_context(|| {
        format!("the admin API cannot listen on `{address}`: choose another with `--admin`, or `--admin off`")
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
