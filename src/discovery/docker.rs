//! Follows the containers of a Docker engine, or of Podman, by reads alone; [`Act`] is what else can be asked of one.
//!
//! [`watch`] is a stream that never ends: `machine` decides, `roster` remembers, `inspect` translates, and what
//! is here does as it is told. Losing the engine removes nothing.

mod act;
mod api;
mod endpoint;
mod engine;
mod inspect;
mod machine;
mod own;
mod roster;
mod signal;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::{
    FutureExt as _, Stream, StreamExt as _,
    future::BoxFuture,
    stream::{BoxStream, FuturesUnordered},
};
use tokio::time::Instant;

#[cfg(test)]
pub use self::inspect::recorded;
use self::machine::{Input, Machine, Order};
pub use self::{
    act::Act,
    api::{Action, Api, Error, Happening, Version},
    endpoint::{Endpoint, Environment, InvalidEndpoint, Locality},
    engine::Engine,
    inspect::{Inspected, Sighting, inspected, sighting},
    machine::Timing,
    own::{Own, placement},
    signal::Signal,
};
use crate::{
    model::{Workload, WorkloadId},
    runtime::reflect::Event,
};

/// What a watched engine has to say.
#[derive(Clone, Debug)]
pub enum Notice {
    /// About a container. The first list comes as `Init`, `InitApply`…, `InitDone`; later ones, after a loss too, only
    /// as what they change.
    Event(Event<Workload>),
    /// The engine answers; the containers follow.
    Connected { version: Version },
    /// The engine cannot be asked any more. Told once per loss and reason; it is tried again for ever.
    Lost { error: Error },
    /// Events cannot be had, mostly because a socket proxy refuses them; lists every few seconds have to do. Told once.
    Degraded { error: Error },
    /// One container cannot be inspected; what was known of it stays. Told once per reason.
    Unreadable { id: WorkloadId, error: Error },
    /// Everything was listed, and is known. `drift` changes were told by no event.
    Resynced { drift: usize },
}

/// Follows an engine's containers for ever.
pub fn watch(endpoint: Endpoint, timing: Timing) -> impl Stream<Item = Notice> + Send + 'static {
    follow(Arc::new(Engine::new(endpoint)), timing)
}

/// [`watch`] for any engine, such as a scripted one.
pub fn follow(api: Arc<dyn Api>, timing: Timing) -> impl Stream<Item = Notice> + Send + 'static {
    futures::stream::unfold(Follower::new(api, timing), |mut follower| async {
        let notice = follower.next().await;
        Some((notice, follower))
    })
}

/// The hands of a [`Machine`].
struct Follower {
    api: Arc<dyn Api>,
    machine: Machine,
    events: Option<BoxStream<'static, Result<Happening, Error>>>,
    /// At most 16 inspections, a list and a probe.
    calls: FuturesUnordered<BoxFuture<'static, Input>>,
}

// === impl Follower ===

impl Follower {
    /// How far back events are asked for at first: a container may be stopping already. Clocks may differ by this.
    const LOOK_BACK: Duration = Duration::from_mins(1);

    fn new(api: Arc<dyn Api>, timing: Timing) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let since = i128::try_from(now.saturating_sub(Self::LOOK_BACK).as_nanos()).unwrap_or(0);
        let machine = Machine::new(Instant::now(), timing, since, u64::from(now.subsec_nanos()));
        Self { api, machine, events: None, calls: FuturesUnordered::new() }
    }

    async fn next(&mut self) -> Notice {
        loop {
            while let Some(order) = self.machine.next_order() {
                if let Some(notice) = self.obey(order) {
                    return notice;
                }
            }
            let input = self.input().await;
            self.machine.step(Instant::now(), input);
        }
    }

    fn obey(&mut self, order: Order) -> Option<Notice> {
        match order {
            Order::Tell(notice) => return Some(notice),
            Order::Version => self.calls.push(self.api.version().map(Input::Version).boxed()),
            Order::List => self.calls.push(self.api.list().map(Input::Listed).boxed()),
            Order::Inspect(id, ticket) => {
                let answer = self.api.inspect(&id);
                self.calls.push(answer.map(move |answer| Input::Inspected(id, ticket, answer)).boxed());
            }
            Order::Subscribe { since } => self.events = Some(self.api.events(since)),
            Order::Disconnect => {
                self.events = None;
                self.calls.clear();
            }
        }
        None
    }

    /// Waits for the next thing to happen. Nothing is lost with the arms that lose: streams and calls live on in `self`.
    async fn input(&mut self) -> Input {
        let deadline = self.machine.deadline();
        let due = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Events first: an answer that was asked for before a `kill` must not be acted on before it.
            biased;
            event = heard(&mut self.events) => match event {
                Ok(happening) => Input::Happened(happening),
                Err(error) => {
                    self.events = None;
                    Input::Ended(error)
                }
            },
            Some(input) = self.calls.next() => input,
            () = due => Input::Tick,
        }
    }
}

async fn heard(
    events: &mut Option<BoxStream<'static, Result<Happening, Error>>>,
) -> Result<Happening, Error> {
    match events {
        Some(events) => events.next().await.unwrap_or(Err(Error::Ended)),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
