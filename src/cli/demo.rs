//! `portolan demo`: everything in one process, with nothing else installed.

pub mod backends;
pub mod files;
#[cfg(test)]
mod tests;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::net::UnixStream,
    time::Duration,
};

use anyhow::Context as _;

use super::{
    args::{DemoArgs, RunArgs},
    client::block_on,
    exit::{Advised, Exit},
    print::{self, Paint},
    run::{install_log, signals::Signals},
    settings::{Environment, resolve},
};
use crate::{
    app::{
        self, Running, Settings,
        settings::{AccessLogFormat, AdminAddress, Engine},
    },
    runtime::tasks::Tasks,
};
use files::Routes;

/// The proxy's port, if it is free.
const PORT: u16 = 8080;

/// How long the first table may take; it takes milliseconds.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests may take when the person has pressed Ctrl-C.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves until Ctrl-C.
pub fn demo(args: DemoArgs) -> anyhow::Result<Exit> {
    block_on(async {
        let mut signals = Signals::new()?;
        let mut tasks = Tasks::new();
        let addresses = backends::start(&mut tasks).await.context("cannot start the backends")?;
        let routes = Routes::write(args.dir.as_deref(), addresses)?;
        let settings = settings(args, &routes)?;
        let mut running = app::start(settings.clone()).await?;
        first_table(&mut running).await?;
        print::data(&welcome(&settings, &routes, &program(), Paint::of_stdout()))?;
        // What happened until now is in the text above; what the person does next is told by the log.
        install_log(&settings)?;
        let failure = tokio::select! {
            _ = signals.next() => None,
            failure = running.failed() => Some(failure),
        };
        print::message("");
        tokio::select! {
            _ = running.shutdown() => {}
            _ = signals.next() => {}
        }
        if let Some(failure) = failure {
            anyhow::bail!("a part of Portolan has stopped: {failure}");
        }
        print::message(&goodbye(&routes));
        Ok(Exit::Yes)
    })
}

fn settings(args: DemoArgs, routes: &Routes) -> anyhow::Result<Settings> {
    let http = match args.port {
        Some(port) => {
            let address = local(port);
            TcpListener::bind(address).map_err(|error| {
                let message = format!("cannot listen on `{address}`: {error}");
                Advised::new(message, "choose another port, or leave `--port` away")
            })?;
            address
        }
        None => free_port(PORT)?,
    };
    let run = RunArgs { docker: args.docker, ..RunArgs::default() };
    let docker = resolve(run, None, &Environment::read())?.settings.docker;
    let mut settings = Settings {
        config: vec![routes.path().to_owned()],
        docker: docker.filter(answers),
        http: Some(http),
        https: None,
        admin: Some(AdminAddress::Tcp(free_port(Settings::ADMIN.port())?)),
        drain_timeout: DRAIN_TIMEOUT,
        ..Settings::default()
    };
    settings.access_log.format = AccessLogFormat::Off;
    Ok(settings)
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// `wish`, or another port if that is taken.
fn free_port(wish: u16) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(local(wish)).or_else(|_| TcpListener::bind(local(0)));
    listener.and_then(|listener| listener.local_addr()).context("there is no free port")
}

/// Whether the engine is there: a demo does not wait for one, nor complain.
fn answers(engine: &Engine) -> bool {
    match engine {
        Engine::Unix(path) => UnixStream::connect(path).is_ok(),
        Engine::Tcp { .. } => true,
    }
}

async fn first_table(running: &mut Running) -> anyhow::Result<()> {
    let mut report = running.report.clone();
    let first = async {
        while report.load().objects.len() < 5 {
            report.changed().await;
        }
    };
    tokio::select! {
        ready = tokio::time::timeout(START_TIMEOUT, first) => ready.context("the routes were not served in time"),
        failure = running.failed() => Err(anyhow::anyhow!("a part of Portolan has stopped: {failure}")),
    }
}

/// The name by which this program was called, such as `target/release/portolan`: it may not be in the `PATH`.
fn program() -> String {
    let called = std::env::args_os().next().and_then(|name| name.into_string().ok());
    called.filter(|name| name.contains('/')).unwrap_or_else(|| "portolan".to_owned())
}

/// What there is to try, in the order in which one would.
fn welcome(settings: &Settings, routes: &Routes, program: &str, paint: Paint) -> String {
    let port = settings.http.map_or(PORT, |address| address.port());
    let admin = admin_flag(settings);
    let directory = routes.path().display();
    let title = |text: &str| paint.paint("1", text);
    let canary = format!("http://canary.localhost:{port}/");
    let mut lines = vec![
        String::new(),
        title(&format!("Portolan is serving on http://demo.localhost:{port}/")),
        String::new(),
        title("  Ask"),
        row(&format!("curl http://demo.localhost:{port}/"), "blue answers"),
        row(&format!("curl http://demo.localhost:{port}/slow"), "amber answers, slowly"),
        row(&format!("curl -i http://demo.localhost:{port}/old/a"), "a redirect"),
        row(&format!("curl {canary}"), "blue nine times of ten, green once: watch it in a browser"),
        String::new(),
        title("  Change"),
        row(&format!("{directory}/canary.yaml"), "change a weight and save: the next request sees it"),
        row("", "make a typo: it is named below, and the last good route goes on"),
        String::new(),
        title("  Look"),
        row(&format!("{program} get routes{admin}"), "what is served, and what is not"),
        row(&format!("{program} describe route canary{admin}"), "where it is written, what became of it"),
        row(&format!("{program} check {directory}"), "the same, before it is served"),
    ];
    if settings.docker.is_some() {
        let command = "docker run -d --rm --name hello nginx";
        lines.extend([
            String::new(),
            title("  Start"),
            row(command, &format!("answers at http://hello.docker.localhost:{port}/")),
            row(
                &format!("{program} get containers{admin}"),
                "the URLs of each container, or why it has none",
            ),
        ]);
    }
    let end = if routes.is_temporary() { format!(" and removes {directory}") } else { String::new() };
    lines.extend([String::new(), format!("  Ctrl-C ends it{end}."), String::new(), String::new()]);
    lines.join("\n")
}

/// What a client command needs to find this controller.
fn admin_flag(settings: &Settings) -> String {
    match &settings.admin {
        Some(address) if *address != AdminAddress::Tcp(Settings::ADMIN) => format!(" --admin {address}"),
        Some(_) | None => String::new(),
    }
}

/// Something to type or to open, and what comes of it.
fn row(what: &str, comes: &str) -> String {
    format!("    {what:<50} {comes}")
}

fn goodbye(routes: &Routes) -> String {
    if routes.is_temporary() {
        "Ended; the directory of routes is removed".to_owned()
    } else {
        format!("Ended; the routes stay in `{}`", routes.path().display())
    }
}
