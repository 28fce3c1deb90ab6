//! `portolan rollout`: new containers of a Compose service beside the old ones; once the controller finds them ready the
//! old ones are drained, stopped and removed.
//!
//! Compose starts the new ones; everything else is asked of the controller. Until the first old container is stopped
//! everything can be taken back, and is: when the new ones do not get ready, when something fails, and on a signal.

mod compose;
mod service;

use std::{collections::BTreeSet, fmt::Write as _};

use anyhow::Context as _;
use futures::future::join_all;
use http::Method;
use tokio::time::Instant;

use super::{
    acting::{Acting, Emptied, PAUSE, requests},
    args::RolloutArgs,
    client::{block_on, list_path},
    exit::{Advised, Exit},
    progress::Progress,
    run::signals::Signals,
};
use compose::{Compose, Ran, last_words};
use service::{Member, Readiness, Service};

/// One rollout under way.
struct Rollout<'a> {
    args: &'a RolloutArgs,
    acting: Acting,
    compose: Compose,
    service: Service,
    progress: Progress,
    /// What is there because of it.
    new: Vec<String>,
    /// Old containers that get no more requests.
    drained: Vec<String>,
}

/// Why everything is taken back.
#[derive(Debug)]
enum Undo {
    /// In words, and what is known of the container that is to blame.
    Because(String, Vec<String>),
    Signal(&'static str),
    Error(anyhow::Error),
}

/// Exit code 0 where it is done, 1 where it was rolled back, 3 where requests under way may have been cut.
pub fn rollout(args: &RolloutArgs) -> anyhow::Result<Exit> {
    block_on(async {
        let mut signals = Signals::new()?;
        let mut rollout = prepare(args).await?;
        let switched = rollout.switch(&mut signals).await;
        match switched {
            Ok(emptied) => rollout.finish(emptied).await,
            Err(undo) => {
                // A second signal ends at once.
                tokio::select! {
                    undone = rollout.undo(undo) => undone,
                    signal = signals.next() => anyhow::bail!(
                        "{signal}: ended at once, half-way through taking it back; `portolan get containers` shows what is left"
                    ),
                }
            }
        }
    })
}

/// Finds everything out before anything is changed.
async fn prepare(args: &RolloutArgs) -> anyhow::Result<Rollout<'_>> {
    let acting = Acting::new(&args.server, &args.token).await?;
    let containers = acting.client().list(&list_path("containers", &[])).await?;
    let service = service::choose(&containers, &args.service, args.project.as_deref())?;
    let compose = Compose::find(&args.files, &service).await?;
    let obstacles = service::obstacles(&compose.config().await?, &args.service)?;
    if !obstacles.is_empty() {
        let mut message = format!(
            "service `{}` cannot have an old and a new container at a time, so nothing was started:",
            args.service
        );
        for obstacle in obstacles {
            let _ = write!(message, "\n  - {obstacle}");
        }
        return Err(
            Advised::new(message, "Portolan reaches containers by their network: neither is needed").into()
        );
    }
    if let Some(running) = service.old.iter().find(|member| member.phase == "running") {
        // It runs already, so this changes nothing, but says whether stopping will be possible.
        let allowed = acting.ask(Method::POST, &running.id, "start").await?;
        allowed.map_err(|refused| Advised::new(refused.message, "nothing was started"))?;
    }
    Ok(Rollout {
        args,
        acting,
        compose,
        service,
        progress: Progress::new(),
        new: Vec::new(),
        drained: Vec::new(),
    })
}

// === impl Rollout ===

impl Rollout<'_> {
    /// Everything that can be taken back: starts, waits, drains.
    async fn switch(&mut self, signals: &mut Signals) -> Result<Emptied, Undo> {
        self.start(signals).await?;
        // Nothing that these do is half done when they are dropped: each step is noted as soon as it is asked for.
        tokio::select! {
            drained = self.hand_over() => drained,
            signal = signals.next() => Err(Undo::Signal(signal)),
        }
    }

    async fn start(&mut self, signals: &mut Signals) -> Result<(), Undo> {
        let (service, old) = (&self.args.service, self.service.old.len());
        for stopped in &self.service.stopped {
            self.acting.ask(Method::POST, &stopped.id, "remove").await?.map_err(anyhow::Error::from)?;
            self.progress.step(&format!("removed container `{}`, which did not run", stopped.name));
        }
        let known = self.service.old.iter().map(|member| member.id.clone());
        let mut before = self.compose.ids(service).await?;
        before.extend(known);
        self.progress.step(&format!(
            "starting {} beside {} of service `{service}` (project `{}`) by `{}`",
            containers(old),
            old,
            self.service.project,
            self.compose.name()
        ));
        let ran = self.compose.up(service, old * 2, signals).await;
        self.new = self.compose.ids(service).await?.difference(&before).cloned().collect();
        match ran? {
            Ran::Well if self.new.len() >= old => Ok(()),
            Ran::Well => {
                let made = self.new.len();
                Err(because(format!("`{}` made {made} of {old} new containers", self.compose.name())))
            }
            Ran::Failed(status) => Err(because(format!("`{}` ended with {status}", self.compose.name()))),
            Ran::Interrupted(signal) => Err(Undo::Signal(signal)),
        }
    }

    async fn hand_over(&mut self) -> Result<Emptied, Undo> {
        self.wait_until_ready().await?;
        for index in 0..self.service.old.len() {
            let Member { id, name, .. } = self.service.old[index].clone();
            self.drained.push(id.clone());
            match self.acting.ask(Method::POST, &id, "drain").await? {
                Ok(_) => self.progress.step(&format!("old container `{name}` gets no more requests")),
                // It ended by itself, or does not serve.
                Err(refused) if matches!(refused.reason.as_str(), "NotRunning" | "NotFound") => {
                    self.drained.pop();
                }
                Err(refused) => return Err(because(refused.message)),
            }
        }
        Ok(self.empty(&self.drained.clone()).await?)
    }

    async fn wait_until_ready(&mut self) -> Result<(), Undo> {
        let until = Instant::now() + self.args.timeout;
        let mut waiting: BTreeSet<String> = self.new.iter().cloned().collect();
        let started = Instant::now();
        while let Some(id) = waiting.first().cloned() {
            let now = Instant::now();
            match self.readiness(&id).await? {
                Readiness::Ready => drop(waiting.remove(&id)),
                Readiness::Waiting(why) if now < until => {
                    self.progress.wait(&why);
                    tokio::time::sleep(PAUSE).await;
                }
                Readiness::Waiting(why) => {
                    let words = format!("not ready within {:?}: {why}", self.args.timeout);
                    return Err(Undo::Because(words, last_words(&id).await));
                }
                Readiness::Failed(why) => return Err(Undo::Because(why, last_words(&id).await)),
            }
        }
        let took = started.elapsed().as_secs_f32();
        self.progress.step(&format!("{} ready after {took:.1} s", are(self.new.len(), "new container")));
        Ok(())
    }

    async fn readiness(&self, id: &str) -> anyhow::Result<Readiness> {
        let look = self.acting.look(id).await?;
        let endpoints = match &look {
            Some(look) => {
                let path = list_path("endpoints", &[("name", Some(&look.name))]);
                self.acting.client().list(&path).await?
            }
            None => Vec::new(),
        };
        let readiness = service::readiness(look.as_ref(), &endpoints);
        if readiness != Readiness::Ready {
            return Ok(readiness);
        }
        let probe = self.acting.ask(Method::POST, id, "probe").await??;
        let message = probe["message"].as_str().unwrap_or("it does not accept connections").to_owned();
        Ok(if probe["reached"] == true { Readiness::Ready } else { Readiness::Waiting(message) })
    }

    /// Waits until nothing is under way at these, as long as that may take. One that ends by itself has nothing left.
    async fn empty(&mut self, ids: &[String]) -> anyhow::Result<Emptied> {
        let until = Instant::now() + self.args.drain_timeout;
        let mut ids = ids.to_vec();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.acting.empty(&ids, left, &mut self.progress).await? {
                Emptied::Ended(look) => ids.retain(|id| *id != look.id),
                emptied @ (Emptied::Empty | Emptied::Late(_)) => return Ok(emptied),
            }
        }
    }

    /// Stops and removes the old ones: the new ones serve.
    async fn finish(&mut self, emptied: Emptied) -> anyhow::Result<Exit> {
        let late = match emptied {
            Emptied::Late(left) => {
                let words = format!("after {:?} there are still {}", self.args.drain_timeout, requests(left));
                self.progress.step(&format!("{words}; the old containers are stopped all the same"));
                true
            }
            Emptied::Empty | Emptied::Ended(_) => false,
        };
        let old: Vec<String> = self.service.old.iter().map(|member| member.id.clone()).collect();
        self.progress.wait(&format!("stopping {}", containers(old.len())));
        let removed = self.remove(&old).await;
        removed.context("the new containers serve, but the old ones are still there")?;
        self.progress.step(&format!(
            "done: service `{}` runs {}, the old ones are removed",
            self.args.service,
            containers(self.new.len())
        ));
        Ok(if late { Exit::Late } else { Exit::Yes })
    }

    /// Gives the old ones their requests again, then takes the new ones away, without losing a request of theirs.
    async fn undo(&mut self, undo: Undo) -> anyhow::Result<Exit> {
        let (why, details) = match undo {
            Undo::Because(why, details) => (why, details),
            Undo::Signal(signal) => (signal.to_owned(), Vec::new()),
            Undo::Error(error) => (format!("{error:#}"), Vec::new()),
        };
        self.progress.step(&format!("rolling back: {why}"));
        for line in details {
            self.progress.step(&format!("  {line}"));
        }
        for id in std::mem::take(&mut self.drained) {
            // One that ended meanwhile is not drained any more.
            let _ = self.acting.ask(Method::DELETE, &id, "drain").await?;
        }
        let new = std::mem::take(&mut self.new);
        let mut drained = Vec::new();
        for id in &new {
            // One that is not ready has nothing under way and needs no drain.
            if self.acting.ask(Method::POST, id, "drain").await?.is_ok() {
                drained.push(id.clone());
            }
        }
        self.empty(&drained).await?;
        let removed = self.remove(&new).await;
        removed.context("the old containers serve, but the new ones are still there")?;
        self.progress.step(&format!(
            "rolled back: the old {} of service `{}` as before",
            if self.service.old.len() == 1 { "container serves" } else { "containers serve" },
            self.args.service
        ));
        Ok(Exit::No)
    }

    /// Stops and removes these, all at a time.
    async fn remove(&self, ids: &[String]) -> anyhow::Result<()> {
        let acting = &self.acting;
        let one = async |id: &String| {
            for verb in ["stop", "remove"] {
                match acting.ask(Method::POST, id, verb).await? {
                    Ok(_) => {}
                    // Somebody else was quicker.
                    Err(refused) if refused.reason == "NotFound" => {}
                    Err(refused) => return Err(anyhow::Error::from(refused)),
                }
            }
            Ok(())
        };
        join_all(ids.iter().map(one)).await.into_iter().collect()
    }
}

fn because(why: String) -> Undo {
    Undo::Because(why, Vec::new())
}

/// `1 container`, `2 containers`.
fn containers(number: usize) -> String {
    if number == 1 { "1 container".to_owned() } else { format!("{number} containers") }
}

/// `1 new container is`, `2 new containers are`.
fn are(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what} is") } else { format!("{number} {what}s are") }
}

// === impl Undo ===

impl From<anyhow::Error> for Undo {
    fn from(error: anyhow::Error) -> Self {
        Self::Error(error)
    }
}
