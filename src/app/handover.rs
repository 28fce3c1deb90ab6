//! Upgrade in place: a running process hands its listening sockets to its successor, then drains.
//!
//! They meet at a socket in the state directory. The running process greets, then sends every socket; the successor
//! accepts on them as soon as its first table is live, and says so; then the running process stops accepting and says
//! that it does. As long as that has not happened nothing has changed for it, whatever becomes of the successor.

mod predecessor;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::SocketAddr,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
    time::timeout,
};

use super::{inherited::File, lock, settings::Settings};
use crate::{
    admin,
    controller::Claim,
    model::{EndpointState, HealthReport},
    proxy::Workers,
    runtime::{
        Tasks, descriptors,
        drain::{self, Trigger, Watch},
        live::Live,
        private_socket::{self, SocketFile},
    },
};
pub use predecessor::{Predecessor, take_over};
use wire::{Answer, Greeting, Place, VERSION};

/// In the state directory.
const SOCKET: &str = "handover.sock";
/// How long a successor may take until it serves.
const READY_TIME: Duration = Duration::from_mins(1);
/// How long the other side may take for a word.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a running process has to hand over.
pub(super) struct Estate {
    pub(super) directory: PathBuf,
    pub(super) workers: Arc<Mutex<Option<Workers>>>,
    pub(super) admin: Option<AdminEstate>,
    pub(super) claim: Claim,
    pub(super) health: Live<HealthReport>,
    pub(super) http: Option<SocketAddr>,
    pub(super) https: Option<SocketAddr>,
}

/// The admin API's socket.
pub(super) struct AdminEstate {
    pub(super) asked: String,
    pub(super) socket: OwnedFd,
    pub(super) file: Option<Arc<SocketFile>>,
    pub(super) owner: File,
}

/// Why a successor has not become one.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it belongs to the user {0}, this process to {1}")]
    OtherUser(u32, u32),
    #[error("it does not serve within {} s", READY_TIME.as_secs())]
    NotReady,
    #[error("it has ended")]
    Ended,
    #[error("this process stops")]
    Stopping,
    #[error("the sockets cannot be handed over: {0}")]
    Broken(#[from] io::Error),
}

/// The place for a successor.
pub(super) struct Offer {
    /// Until the offer is made.
    estate: Option<Estate>,
    stop: Trigger,
    watch: Watch,
    relief: (mpsc::Sender<u32>, mpsc::Receiver<u32>),
}

/// What could be handed to a successor, if there is a place to meet one.
pub(super) fn estate(
    settings: &Settings,
    (http, https): (Option<SocketAddr>, Option<SocketAddr>),
    (workers, health): (&Arc<Mutex<Option<Workers>>>, Live<HealthReport>),
    (admin, claim): (Option<&(admin::Listener, File)>, &Claim),
) -> anyhow::Result<Option<Estate>> {
    let Some(directory) = settings.state_dir.clone() else { return Ok(None) };
    let admin = match (admin, &settings.admin) {
        (Some((listener, owner)), Some(asked)) => Some(AdminEstate {
            asked: asked.to_string(),
            socket: listener.duplicate().context("cannot duplicate the socket of the admin API")?,
            file: listener.file(),
            owner: *owner,
        }),
        (None, _) | (_, None) => None,
    };
    let (workers, claim) = (workers.clone(), claim.clone());
    Ok(Some(Estate { directory, workers, admin, claim, health, http, https }))
}

/// Waits for a successor until `stop` drains, and hands everything over; `relieved` is told its process number. After
/// that there is nothing left to do but to drain.
async fn offer(estate: Estate, mut stop: Watch, relieved: mpsc::Sender<u32>) {
    let path = estate.directory.join(SOCKET);
    let successor = loop {
        let listener = fs::create_dir_all(&estate.directory).and_then(|()| private_socket::bind(&path));
        let listener = listener.and_then(|(listener, file)| Ok((UnixListener::from_std(listener)?, file)));
        let (listener, file) = match listener {
            Ok(bound) => bound,
            Err(error) => {
                tracing::warn!(path = %path.display(), "this process cannot be upgraded in place: {error}");
                return std::future::pending().await;
            }
        };
        let Some(heard) = wait(&estate, &listener, &mut stop).await else { break None };
        // The successor waits at the same place as soon as it has the answer.
        drop((listener, file));
        match estate.give(heard).await {
            Ok(successor) => break Some(successor),
            Err(error) => {
                tracing::warn!("a process that was about to take over is gone; this one goes on: {error}");
            }
        }
    };
    if let Some(successor) = successor {
        // Nobody may be waiting for it: then all of it ends.
        let _ = relieved.send(successor).await;
    }
    std::future::pending::<()>().await;
}

/// Waits until a successor serves; `None` where this process is to stop before that.
async fn wait(estate: &Estate, listener: &UnixListener, stop: &mut Watch) -> Option<(UnixStream, u32)> {
    const PAUSE: Duration = Duration::from_millis(100);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.draining() => return None,
        };
        let Ok((mut stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let process = process(&stream);
        tracing::info!(process, "another process is about to take over");
        let heard = tokio::select! {
            heard = estate.hand_over(&mut stream) => heard,
            () = stop.draining() => Err(Failed::Stopping),
        };
        match heard {
            Ok(()) => return Some((stream, process)),
            Err(error) => {
                tracing::warn!(
                    process,
                    "the other process has not taken over, and this one goes on: {error}"
                );
                let no = Answer::No { reason: error.to_string() };
                // It may be gone, or not listen.
                let _ = timeout(PATIENCE, wire::write(&mut stream, &no)).await;
                if let Some(workers) = lock(&estate.workers).as_mut() {
                    workers.keep();
                }
            }
        }
    }
}

/// The process at the other end; 0 where it is of another namespace.
fn process(stream: &UnixStream) -> u32 {
    let process = stream.peer_cred().ok().and_then(|peer| peer.pid());
    process.and_then(|process| u32::try_from(process).ok()).unwrap_or_default()
}

/// Nobody else may get our sockets, or give us theirs.
fn check_user(stream: &UnixStream) -> Result<(), Failed> {
    // The owner of the process's own directory is its user.
    let (theirs, ours) = (stream.peer_cred()?.uid(), fs::metadata("/proc/self")?.uid());
    if theirs == ours { Ok(()) } else { Err(Failed::OtherUser(theirs, ours)) }
}

/// Tells networks apart: a socket of another one hears nobody of ours.
fn network() -> Option<u64> {
    fs::metadata("/proc/self/ns/net").ok().map(|metadata| metadata.ino())
}

// === impl Offer ===

impl Offer {
    /// Without an estate, none.
    pub(super) fn new(estate: Option<Estate>) -> Self {
        let (stop, watch) = drain::channel();
        Self { estate, stop, watch, relief: mpsc::channel(1) }
    }

    /// Waits for a successor from now on.
    pub(super) fn make(&mut self, tasks: &mut Tasks) {
        if let Some(estate) = self.estate.take() {
            tasks.spawn("hand-over", offer(estate, self.watch.clone(), self.relief.0.clone()));
        }
    }

    /// Waits until a successor serves, and gives its process number. Safe to drop half-way.
    pub(super) async fn accepted(&mut self) -> u32 {
        match self.relief.1.recv().await {
            Some(process) => process,
            None => std::future::pending().await,
        }
    }

    /// Nobody is waited for any more.
    pub(super) fn withdraw(&self) {
        self.stop.start();
    }
}

// === impl Estate ===

impl Estate {
    /// Sends everything, and waits until the other process serves with it.
    async fn hand_over(&self, stream: &mut UnixStream) -> Result<(), Failed> {
        check_user(stream)?;
        let (places, sockets) = self.sockets()?;
        let greeting = Greeting {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            network: network(),
            http: self.http,
            https: self.https,
            healthy: healthy(&self.health.load()),
            sockets: places,
        };
        let sending = async {
            wire::write(stream, &greeting).await?;
            for socket in &sockets {
                descriptors::send(stream, socket.as_fd()).await?;
            }
            Ok(())
        };
        let sent: Result<io::Result<()>, _> = timeout(PATIENCE, sending).await;
        sent.map_err(|_| Failed::NotReady)??;
        // What we hold beside the workers would keep a queue open after the last of them has closed.
        drop(sockets);
        match timeout(READY_TIME, wire::read::<wire::Ready>(stream)).await {
            Err(_) => Err(Failed::NotReady),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Failed::Ended),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(wire::Ready {})) => Ok(()),
        }
    }

    /// Every listening socket, and which it is.
    fn sockets(&self) -> io::Result<(Vec<Place>, Vec<OwnedFd>)> {
        let (mut places, mut sockets) = (Vec::new(), Vec::<OwnedFd>::new());
        let opened = lock(&self.workers).as_mut().map(Workers::lend).transpose()?.unwrap_or_default();
        for (address, of_address) in opened.by_address {
            for socket in of_address {
                places.push(Place::Listener { address });
                sockets.push(socket.into());
            }
        }
        for socket in opened.activated {
            places.push(Place::Activated);
            sockets.push(socket.into());
        }
        if let Some(admin) = &self.admin {
            places.push(Place::Admin { asked: admin.asked.clone(), file: admin.owner });
            sockets.push(admin.socket.try_clone()?);
        }
        Ok((places, sockets))
    }

    /// Leaves what two cannot have, and tells the successor. If it is gone everything is as before.
    async fn give(&self, (mut stream, process): (UnixStream, u32)) -> Result<u32, io::Error> {
        let claim = self.claim.clone();
        // It waits for a write. Only a panic could fail it.
        let _ = tokio::task::spawn_blocking(move || claim.give_up()).await;
        let told = timeout(PATIENCE, wire::write(&mut stream, &Answer::Yours)).await;
        match told.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(()) => {
                if let Some(file) = self.admin.as_ref().and_then(|admin| admin.file.as_ref()) {
                    file.leave();
                }
                Ok(process)
            }
            Err(error) => {
                self.claim.take_back();
                if let Some(workers) = lock(&self.workers).as_mut() {
                    workers.keep();
                }
                Err(error)
            }
        }
    }
}

/// The endpoints that may be used at once.
fn healthy(report: &HealthReport) -> BTreeMap<Arc<str>, BTreeSet<String>> {
    let of_backend = report.0.iter().map(|(backend, endpoints)| {
        let ready = endpoints.iter().filter(|(_, health)| health.state == EndpointState::Ready);
        (backend.clone(), ready.map(|(address, _)| address.clone()).collect())
    });
    of_backend.collect()
}

/// Where a successor and its predecessor meet.
fn meeting_place(directory: &Path) -> PathBuf {
    directory.join(SOCKET)
}
