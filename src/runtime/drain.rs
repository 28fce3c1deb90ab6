//! Stop in three acts: stop accepting, let the work under way finish, force what is left after a deadline.
//!
//! A [`Trigger`] is pulled once. Whoever must not be cut off in the middle (an accept loop, a connection) holds a
//! [`Watch`]; the drain is complete when the last one is dropped. There is no count to get wrong.

use std::{future::Future, time::Duration};

use tokio::{sync::watch, time::Instant};

/// Makes a trigger and the first of its watches.
pub fn channel() -> (Trigger, Watch) {
    let (sender, receiver) = watch::channel(Stage::Serve);
    (Trigger { stage: sender }, Watch { stage: receiver })
}

/// Starts a drain and waits for its end. Dropping it forces at once.
#[derive(Debug)]
pub struct Trigger {
    stage: watch::Sender<Stage>,
}

/// Tells of a drain and, by existing, holds it up.
#[derive(Clone, Debug)]
pub struct Watch {
    stage: watch::Receiver<Stage>,
}

/// How far a drain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// No drain yet.
    Serve,
    /// Take nothing new; finish what is under way.
    Drain,
    /// The deadline has passed: stop now.
    Force,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything ended by itself.
    Finished,
    /// Something was still under way at the deadline.
    Forced,
}

/// Runs `serve` until it ends. When `parent` drains, `serve`'s own watch is told; at the deadline whatever is left of
/// it is forced, and `serve` is dropped if it does not end for that. `parent` is held until then, so a drain above
/// waits for this one.
pub async fn run<F>(parent: Watch, deadline: Duration, serve: impl FnOnce(Watch) -> F) -> Outcome
where
    F: Future<Output = ()>,
{
    let (trigger, watch) = channel();
    let mut parent = parent;
    let mut serving = std::pin::pin!(serve(watch));
    tokio::select! {
        () = &mut serving => {}
        () = parent.draining() => {
            let until = Instant::now() + deadline;
            trigger.start();
            let _ = tokio::time::timeout_at(until, serving).await;
            return trigger.drain(until - Instant::now()).await;
        }
    }
    // It ended by itself: its connections have until the parent's drain, then until the deadline.
    tokio::select! {
        () = trigger.finished() => Outcome::Finished,
        () = parent.draining() => trigger.drain(deadline).await,
    }
}

// === impl Trigger ===

impl Trigger {
    /// How long work that was told to stop at once may take for it.
    const GRACE: Duration = Duration::from_millis(100);

    /// Tells every watch to take nothing new. Returns at once.
    pub fn start(&self) {
        self.stage.send_if_modified(|stage| {
            let first = *stage == Stage::Serve;
            *stage = (*stage).max(Stage::Drain);
            first
        });
    }

    /// Waits until no watch is left.
    pub async fn finished(&self) {
        self.stage.closed().await;
    }

    /// Starts the drain, gives the work `deadline` to end, then forces it.
    pub async fn drain(self, deadline: Duration) -> Outcome {
        self.start();
        if tokio::time::timeout(deadline, self.finished()).await.is_ok() {
            return Outcome::Finished;
        }
        self.stage.send_replace(Stage::Force);
        // Whoever ignores even this is dropped with its task; the result is the same.
        let _ = tokio::time::timeout(Self::GRACE, self.finished()).await;
        Outcome::Forced
    }
}

// === impl Watch ===

impl Watch {
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Whether nothing new may be taken.
    pub fn is_draining(&self) -> bool {
        self.stage() >= Stage::Drain || self.stage.has_changed().is_err()
    }

    /// Ends when nothing new may be taken any more. Safe to call again, and to drop half-way.
    pub async fn draining(&mut self) {
        self.reached(Stage::Drain).await;
    }

    /// Ends when even the work under way must stop.
    pub async fn forced(&mut self) {
        self.reached(Stage::Force).await;
    }

    async fn reached(&mut self, stage: Stage) {
        // An error means that the trigger is gone without a word: nobody is left to wait for us.
        let _ = self.stage.wait_for(|current| *current >= stage).await;
    }
}

#[cfg(test)]
mod tests;
