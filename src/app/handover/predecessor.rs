//! The side of the process that takes over.

use std::{io, path::Path};

use anyhow::Context as _;
use tokio::{net::UnixStream, time::timeout};

use super::{
    Failed, PATIENCE, check_user, meeting_place, network, process,
    wire::{self, Answer, Greeting, Place, Ready, VERSION},
};
use crate::{
    app::{
        inherited::{Activated, AdminSocket, Inherited},
        settings::AdminAddress,
    },
    runtime::descriptors,
};

/// The process that is taken over from. It goes on as before if this is dropped.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
    process: u32,
}

/// Gets the sockets of the process that runs with this state directory; `None` where none does.
pub async fn take_over(directory: &Path) -> anyhow::Result<Option<(Predecessor, Inherited)>> {
    let path = meeting_place(directory);
    let mut stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot reach the running process at `{}`", path.display()));
        }
    };
    let process = process(&stream);
    let inherited = async {
        check_user(&stream).map_err(|error| match error {
            Failed::OtherUser(theirs, ours) => {
                anyhow::anyhow!(
                    "it belongs to the user {theirs}, this one to {ours}: run both as the same user"
                )
            }
            error @ (Failed::NotReady | Failed::Ended | Failed::Stopping | Failed::Broken(_)) => error.into(),
        })?;
        let inherited = timeout(PATIENCE, inherit(&mut stream)).await;
        inherited.context("it does not answer: it may be busy with another upgrade, or hang")?
    };
    let inherited = inherited.await.with_context(|| format!("cannot take over from process {process}"))?;
    tracing::info!(
        process,
        sockets = inherited.opened.by_address.len(),
        "taking over from the running process"
    );
    Ok(Some((Predecessor { stream, process }, inherited)))
}

async fn inherit(stream: &mut UnixStream) -> anyhow::Result<Inherited> {
    let greeting: Greeting = wire::read(stream).await?;
    if greeting.version != VERSION {
        anyhow::bail!(
            "it is Portolan {} and speaks version {} of the hand-over, this one {VERSION}: stop it, then start this one",
            greeting.program,
            greeting.version
        );
    }
    if greeting.network != network() {
        anyhow::bail!(
            "it is in another network namespace, whose sockets are of no use here: use the same network"
        );
    }
    let mut inherited = Inherited {
        http: greeting.http,
        https: greeting.https,
        healthy: greeting.healthy,
        has_predecessor: true,
        ..Inherited::default()
    };
    for place in greeting.sockets {
        let socket = descriptors::receive(stream).await?;
        match place {
            Place::Listener { address } => {
                inherited.opened.by_address.entry(address).or_default().push(socket.into());
            }
            Place::Activated => inherited.opened.activated.push(socket.into()),
            Place::Admin { asked, file } => {
                let kind = match asked.strip_prefix("unix:") {
                    Some(path) => AdminAddress::Unix(path.into()),
                    None => AdminAddress::Tcp(asked.parse()?),
                };
                let socket = Activated::of(&kind, socket);
                inherited.admin.push(AdminSocket { asked: Some(asked), socket, file });
            }
        }
    }
    Ok(inherited)
}

// === impl Predecessor ===

impl Predecessor {
    /// Tells it that this process serves, and waits until it accepts nothing more. After an error it goes on, and this
    /// one must not.
    pub async fn relieve(mut self) -> anyhow::Result<()> {
        let process = self.process;
        let exchange = async {
            wire::write(&mut self.stream, &Ready {}).await?;
            wire::read(&mut self.stream).await
        };
        match timeout(PATIENCE, exchange).await {
            Ok(Ok(Answer::Yours)) => tracing::info!(process, "taken over; the other process drains"),
            Ok(Ok(Answer::No { reason })) => anyhow::bail!("process {process} goes on: {reason}"),
            Ok(Err::<Answer, _>(_)) => {
                tracing::warn!(process, "the process that was to be taken over from has ended before that");
            }
            Err(_) => tracing::error!(
                process,
                "the other process does not say whether it stops: both may be serving; end it if it does not by itself"
            ),
        }
        Ok(())
    }
}
