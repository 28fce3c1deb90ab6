//! Does what the admin API is asked to do: the controller drains, the data plane counts, the engine starts and stops.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
};

use super::{Settings, lock};
use crate::{
    admin::{Action, Deed, Done},
    controller::Input,
    discovery::docker::{Act, Engine},
    model::{Declined, DrainAsk, DrainState, Why, WorkloadId},
    proxy::Workers,
    runtime::Tasks,
};

/// What is needed to act.
#[derive(Clone)]
pub(super) struct Hands {
    controller: mpsc::Sender<Input>,
    workers: Arc<Mutex<Option<Workers>>>,
    /// Present where containers may be started and stopped.
    engine: Option<Engine>,
}

/// Actions under way at a time; more wait.
const MOST: usize = 64;

/// Actions that wait for their turn; who asks for more waits to ask.
pub(super) const QUEUE: usize = 16;

/// How long a container may take to accept a connection.
const PROBE: Duration = Duration::from_secs(1);

/// Does what is asked until nobody can ask any more.
pub(super) async fn run(mut asked: mpsc::Receiver<Action>, hands: Hands) {
    let mut tasks = Tasks::new();
    loop {
        // Neither arm loses anything when the other is taken.
        tokio::select! {
            _ = tasks.ended() => {}
            action = asked.recv(), if tasks.len() < MOST => {
                let Some(Action { container, deed, answer }) = action else { break };
                let hands = hands.clone();
                tasks.spawn("action", async move {
                    let done = hands.act(&container, deed).await;
                    // Whoever asked may be gone; it is done all the same.
                    let _ = answer.send(done);
                });
            }
        }
    }
    tasks.finish().await;
}

// === impl Hands ===

impl Hands {
    pub(super) fn new(
        settings: &Settings,
        controller: mpsc::Sender<Input>,
        workers: Arc<Mutex<Option<Workers>>>,
    ) -> Self {
        let engine = settings.docker.as_ref().filter(|_| settings.allow_container_actions);
        Self { controller, workers, engine: engine.map(|engine| Engine::new(engine.endpoint())) }
    }

    async fn act(&self, container: &str, deed: Deed) -> Result<Done, Declined> {
        match deed {
            Deed::Drain(ask) => {
                let state = self.drain(container, ask).await?;
                let in_flight = self.under_way(&state.addresses).await;
                if ask != DrainAsk::Look {
                    tracing::info!(container = &*state.name, ?ask, in_flight, "an operator asks for a drain");
                }
                Ok(Done::Drain(state, in_flight))
            }
            Deed::Probe => {
                let state = self.drain(container, DrainAsk::Look).await?;
                Ok(Done::Probe(probe(&state.addresses).await))
            }
            Deed::Start => self.tell_engine(container, Act::Start, "started").await,
            Deed::Stop => self.tell_engine(container, Act::Stop, "stopped").await,
            Deed::Restart => self.tell_engine(container, Act::Restart, "restarted").await,
            Deed::Remove => self.tell_engine(container, Act::Remove, "removed").await,
        }
    }

    async fn drain(&self, container: &str, ask: DrainAsk) -> Result<DrainState, Declined> {
        let stopping = || Declined {
            why: Why::Unready,
            reason: "Stopping",
            message: "the controller is stopping".to_owned(),
        };
        let (answer, state) = oneshot::channel();
        let input = Input::Drain(container.to_owned(), ask, answer);
        self.controller.send(input).await.map_err(|_| stopping())?;
        state.await.map_err(|_| stopping())?
    }

    async fn under_way(&self, addresses: &Arc<BTreeSet<SocketAddr>>) -> u64 {
        if addresses.is_empty() {
            return 0;
        }
        let count = lock(&self.workers).as_ref().map(|workers| workers.under_way(addresses));
        match count {
            Some(count) => count.await,
            None => 0,
        }
    }

    async fn tell_engine(&self, container: &str, act: Act, done: &str) -> Result<Done, Declined> {
        let Some(engine) = &self.engine else {
            let message = "the controller may only read from the engine: start it with `--allow-container-actions`, \
                 and with a socket that it may write to";
            let message = message.to_owned();
            return Err(Declined { why: Why::Forbidden, reason: "ActionsNotAllowed", message });
        };
        let (id, name) = match self.drain(container, DrainAsk::Look).await {
            Ok(state) if state.is_own => {
                let message = format!("container `{}` is Portolan's own: use `docker` for it", state.name);
                return Err(Declined { why: Why::Conflict, reason: "OwnContainer", message });
            }
            Ok(state) => (state.id, state.name),
            // One that was never started is not known yet; the engine knows it by its whole id.
            Err(declined) if declined.why == Why::Unknown && is_whole_id(container) => {
                (WorkloadId(container.into()), container.into())
            }
            Err(declined) => return Err(declined),
        };
        tracing::info!(container = &*name, ?act, "an operator asks for an action");
        engine.act(&id, act).await.map_err(|error| refused(&name, &error))?;
        Ok(Done::Container(format!("container `{name}` is {done}")))
    }
}

fn is_whole_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn refused(name: &str, error: &crate::discovery::docker::Error) -> Declined {
    let message = format!("container `{name}`: {error}");
    let (why, reason) = match error.status() {
        Some(404) => (Why::Unknown, "NotFound"),
        Some(409) => (Why::Conflict, "EngineConflict"),
        Some(_) | None => (Why::Engine, "EngineFailed"),
    };
    Declined { why, reason, message }
}

/// Whether all of these accept connections: a container that runs may not listen yet.
async fn probe(addresses: &BTreeSet<SocketAddr>) -> Result<(), String> {
    for address in addresses {
        match tokio::time::timeout(PROBE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(format!("`{address}` does not accept connections: {error}")),
            Err(_) => {
                return Err(format!("`{address}` does not accept connections within {} s", PROBE.as_secs()));
            }
        }
    }
    Ok(())
}
