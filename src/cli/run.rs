//! `portolan run`: the controller and the proxy, until a signal.

pub mod document;
pub mod signals;
pub mod supervisor;
pub mod upgrade;

use super::{
    args::RunArgs,
    client::block_on,
    exit::Exit,
    settings::{Environment, Resolved, resolve},
};
use crate::{
    app::{
        self, Event, Inherited, Predecessor, Running, Settings,
        settings::{AdminAddress, LogFormat},
    },
    telemetry::log,
};
use signals::{Asked, Signals};
use supervisor::Supervisor;
use upgrade::{HasState, Program};

/// Why it stops.
enum End {
    Asked,
    Failed(String),
    /// By the process with this number.
    Relieved(u32),
}

/// Whom there is to take over from.
#[derive(Clone, Copy)]
enum From {
    Nobody,
    WhoRuns,
}

/// Serves until SIGTERM or Ctrl-C, then lets what is under way finish. A second signal ends at once.
pub fn run(args: RunArgs) -> anyhow::Result<Exit> {
    let from = if args.take_over { From::WhoRuns } else { From::Nobody };
    let file = document::find(&args.config)?;
    let Resolved { settings, warnings } = resolve(args, file.as_ref(), &Environment::read())?;
    install_log(&settings)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // While there is one thread.
    let inherited = Inherited::activated(supervisor::sockets());
    block_on(async {
        let signals = Signals::new()?;
        serve(settings, (from, inherited), signals).await
    })
}

/// Sends the log where the settings say.
pub fn install_log(settings: &Settings) -> anyhow::Result<()> {
    let format = match settings.log.format {
        LogFormat::Text => log::Format::Text,
        LogFormat::Json => log::Format::Json,
    };
    Ok(log::install(format, &settings.log.level)?)
}

async fn serve(
    settings: Settings,
    (from, inherited): (From, Inherited),
    mut signals: Signals,
) -> anyhow::Result<Exit> {
    announce(&settings);
    let supervisor = Supervisor::find();
    let mut program = Program::own(if settings.state_dir.is_some() { HasState::Yes } else { HasState::No })?;
    let (predecessor, inherited) = match (from, &settings.state_dir) {
        (From::WhoRuns, Some(directory)) => {
            if let Some((predecessor, inherited)) = app::take_over(directory).await? {
                (Some(predecessor), inherited)
            } else {
                tracing::info!(state_dir = %directory.display(), "there is nobody to take over from");
                (None, inherited)
            }
        }
        (From::WhoRuns, None) => anyhow::bail!(
            "`--take-over` needs the state directory of the process that runs, and `--state-dir` is off"
        ),
        (From::Nobody, _) => (None, inherited),
    };
    let mut running = app::start_with(settings, inherited).await?;
    if let Some(address) = &running.admin {
        tracing::info!("the admin API listens on {address}");
    }
    if let Some(address) = running.http {
        tracing::info!("the implicit Gateway, used while the configuration has none, listens on {address}");
    }
    let end = watch(&mut running, predecessor, &mut signals, (&supervisor, &mut program)).await;
    stop(running, end, &mut signals, &supervisor).await
}

/// Serves until there is a reason to stop.
async fn watch(
    running: &mut Running,
    mut predecessor: Option<Predecessor>,
    signals: &mut Signals,
    (supervisor, program): (&Supervisor, &mut Program),
) -> End {
    loop {
        // No arm loses anything when another wins.
        tokio::select! {
            asked = signals.asked() => match asked {
                Asked::Stop(signal) => {
                    tracing::info!(signal, "stopping: requests under way may finish; a second signal ends at once");
                    program.abandon();
                    return End::Asked;
                }
                Asked::Upgrade => program.start(),
            },
            () = program.watch() => {}
            event = running.event() => match event {
                Event::FirstTable => {
                    if let Some(predecessor) = predecessor.take()
                        && let Err(error) = predecessor.relieve().await
                    {
                        return End::Failed(format!("{error:#}"));
                    }
                    running.open_admin();
                    running.offer();
                    supervisor.ready();
                }
                Event::Failed(words) => return End::Failed(format!("a part of Portolan has stopped: {words}")),
                Event::Relieved(process) => return End::Relieved(process),
            },
        }
    }
}

/// Lets what is under way finish.
async fn stop(
    running: Running,
    end: End,
    signals: &mut Signals,
    supervisor: &Supervisor,
) -> anyhow::Result<Exit> {
    let stopping = async {
        match &end {
            End::Asked | End::Failed(_) => {
                supervisor.stopping();
                running.shutdown().await
            }
            End::Relieved(process) => {
                supervisor.relieved(*process);
                tracing::info!(
                    process,
                    "another process has taken over; this one lets what is under way finish"
                );
                running.retire().await
            }
        }
    };
    tokio::select! {
        drained = stopping => {
            if drained.aborted > 0 {
                tracing::warn!(connections = drained.aborted, "some connections were cut at the drain timeout");
            }
        }
        signal = signals.next() => {
            tracing::warn!(signal, "ended at once");
            return Ok(Exit::No);
        }
    }
    if let End::Failed(words) = end {
        anyhow::bail!(words);
    }
    tracing::info!("stopped");
    Ok(Exit::Yes)
}

/// One line that says what was understood.
fn announce(settings: &Settings) {
    let off = || "off".to_owned();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        http = settings.http.map_or_else(off, |address| address.to_string()),
        admin = settings.admin.as_ref().map_or_else(off, AdminAddress::to_string),
        docker = settings.docker.as_ref().map_or_else(off, ToString::to_string),
        config = ?settings.config,
        workers = settings.workers,
        "starting"
    );
}
