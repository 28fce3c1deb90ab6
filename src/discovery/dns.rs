//! Resolves the names that documents mention, again and again.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, Stream, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::watch, time::Instant};

/// A name's addresses, sorted, or why it has none.
pub type Answer = (Arc<str>, Result<Vec<IpAddr>, Arc<str>>);

/// Asks a resolver for one name.
pub trait Resolve: Send + Sync + 'static {
    fn resolve(&self, name: Arc<str>) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>>;
}

/// The system's resolver: its hosts file, and in a container Docker's own server.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

/// Tells each wanted name's answer when it is new. A name that once resolved keeps its addresses while the resolver
/// fails: an answer is better than none. The stream ends when `names` does.
pub fn watch(names: watch::Receiver<BTreeSet<Arc<str>>>) -> impl Stream<Item = Answer> + Send + 'static {
    watch_by(Arc::new(System), names)
}

/// [`watch()`] by a resolver of one's own.
pub fn watch_by(
    resolver: Arc<dyn Resolve>,
    names: watch::Receiver<BTreeSet<Arc<str>>>,
) -> impl Stream<Item = Answer> + Send + 'static {
    let watcher = Watcher {
        resolver,
        names,
        told: BTreeMap::new(),
        round: Round::default(),
        running: FuturesUnordered::new(),
        next: Instant::now(),
    };
    futures::stream::unfold(watcher, |mut watcher| async {
        watcher.next().await.map(|answer| (answer, watcher))
    })
}

struct Watcher {
    resolver: Arc<dyn Resolve>,
    names: watch::Receiver<BTreeSet<Arc<str>>>,
    told: BTreeMap<Arc<str>, Result<Vec<IpAddr>, Arc<str>>>,
    round: Round,
    running: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// When the next round begins.
    next: Instant,
}

/// The names still to be asked for in this round.
#[derive(Default)]
struct Round(VecDeque<Arc<str>>);

// === impl System ===

impl Resolve for System {
    fn resolve(&self, name: Arc<str>) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        async move {
            let found = tokio::net::lookup_host((&*name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    }
}

// === impl Watcher ===

impl Watcher {
    /// Names of containers change their addresses at any time, and Docker's server says nothing useful of how long.
    const EVERY: Duration = Duration::from_secs(1);
    /// Each lookup holds a thread.
    const AT_ONCE: usize = 8;
    /// A resolver that needs longer is as good as none.
    const TIMEOUT: Duration = Duration::from_secs(5);

    async fn next(&mut self) -> Option<Answer> {
        loop {
            while self.running.len() < Self::AT_ONCE
                && let Some(name) = self.round.0.pop_front()
            {
                self.running.push(ask(self.resolver.resolve(name.clone()), name));
            }
            // Whichever arm loses, its lookups stay in `self`.
            tokio::select! {
                Some((name, answer)) = self.running.next() => {
                    if let Some(answer) = self.news(name, answer) {
                        return Some(answer);
                    }
                }
                changed = self.names.changed() => {
                    changed.ok()?;
                    self.begin();
                }
                () = tokio::time::sleep_until(self.next), if self.running.is_empty() => self.begin(),
            }
        }
    }

    fn begin(&mut self) {
        let names = self.names.borrow_and_update();
        self.told.retain(|name, _| names.contains(name));
        // Those that were never answered first.
        let (old, new): (Vec<_>, Vec<_>) =
            names.iter().cloned().partition(|name| self.told.contains_key(name));
        self.round.0 = new.into_iter().chain(old).collect();
        self.next = Instant::now() + Self::EVERY;
    }

    fn news(&mut self, name: Arc<str>, answer: Result<Vec<IpAddr>, Arc<str>>) -> Option<Answer> {
        let known = self.told.get(&name);
        let keeps = answer.is_err() && known.is_some_and(Result::is_ok);
        if keeps || known == Some(&answer) || !self.names.borrow().contains(&name) {
            return None;
        }
        self.told.insert(name.clone(), answer.clone());
        Some((name, answer))
    }
}

fn ask(
    lookup: BoxFuture<'static, std::io::Result<Vec<IpAddr>>>,
    name: Arc<str>,
) -> BoxFuture<'static, Answer> {
    async move {
        let answer = match tokio::time::timeout(Watcher::TIMEOUT, lookup).await {
            Ok(Ok(found)) if found.is_empty() => Err("it has no address".into()),
            Ok(Ok(mut found)) => {
                found.sort();
                found.dedup();
                Ok(found)
            }
            Ok(Err(error)) => Err(error.to_string().into()),
            Err(_) => Err(format!("no answer within {} s", Watcher::TIMEOUT.as_secs()).into()),
        };
        (name, answer)
    }
    .boxed()
}

#[cfg(test)]
mod tests;
