//! `portolan run`: the controller and the proxy, until a signal.

pub mod document;
pub mod signals;

use super::{
    args::RunArgs,
    client::block_on,
    exit::Exit,
    settings::{Environment, Resolved, resolve},
};
use crate::{
    app::{
        self, Settings,
        settings::{AdminAddress, LogFormat},
    },
    telemetry::log,
};
use signals::Signals;

/// Serves until SIGTERM or Ctrl-C, then lets what is under way finish. A second signal ends at once.
pub fn run(args: RunArgs) -> anyhow::Result<Exit> {
    let file = document::find(&args.config)?;
    let Resolved { settings, warnings } = resolve(args, file.as_ref(), &Environment::read())?;
    install_log(&settings)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    block_on(async {
        let signals = Signals::new()?;
        serve(settings, signals).await
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

async fn serve(settings: Settings, mut signals: Signals) -> anyhow::Result<Exit> {
    announce(&settings);
    let mut running = app::start(settings).await?;
    if let Some(address) = &running.admin {
        tracing::info!("the admin API listens on {address}");
    }
    if let Some(address) = running.http {
        tracing::info!("the implicit Gateway, used while the configuration has none, listens on {address}");
    }
    // Neither arm loses anything when the other wins.
    let failure = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping: requests under way may finish; a second signal ends at once");
            None
        }
        failure = running.failed() => Some(failure),
    };
    tokio::select! {
        drained = running.shutdown() => {
            if drained.aborted > 0 {
                tracing::warn!(connections = drained.aborted, "some connections were cut at the drain timeout");
            }
        }
        signal = signals.next() => {
            tracing::warn!(signal, "ended at once");
            return Ok(Exit::No);
        }
    }
    if let Some(failure) = failure {
        anyhow::bail!("a part of Portolan has stopped: {failure}");
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
