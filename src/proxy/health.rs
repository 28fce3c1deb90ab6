//! Asks endpoints whether they live: one prober for all workers, on a thread that serves no requests.
//!
//! What it finds goes to the fleet, from where workers and people have it. A table that changes nothing about an
//! endpoint changes nothing about its checks: they go on in their rhythm.

mod grpc;
mod probe;
mod rounds;

use std::sync::Arc;

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::Instant;

use super::upstream::Fleet;
use crate::{
    model::HealthReport,
    route::Table,
    runtime::live::{Live, Publisher},
};
use rounds::Rounds;

/// Checks under way at the same time; more wait for their turn.
const MOST: usize = 128;

/// Asks the endpoints of each table until it is dropped, and publishes how they do.
pub(super) async fn run(fleet: Arc<Fleet>, mut table: Live<Table>, mut reports: Publisher<HealthReport>) {
    let mut rounds = Rounds::default();
    let mut asking = FuturesUnordered::new();
    let mut news = fleet.news();
    let mut returns = None;
    rounds.adopt(fleet.adopt(|| table.load()), Instant::now());
    news.mark_changed();
    loop {
        let now = Instant::now();
        while asking.len() < MOST
            && let Some(task) = rounds.begin(now)
        {
            asking.push(async move {
                let outcome = probe::probe(&task).await;
                (task.key, outcome)
            });
        }
        if news.has_changed().unwrap_or(false) || returns.is_some_and(|at| at <= now) {
            news.mark_unchanged();
            let (report, next) = fleet.report(now);
            returns = next;
            reports.publish(report);
        }
        let due = rounds.due().filter(|_| asking.len() < MOST);
        // No arm loses anything when another one is taken: each can be asked again.
        tokio::select! {
            () = table.changed() => {
                rounds.adopt(fleet.adopt(|| table.load()), Instant::now());
                news.mark_changed();
            }
            Some((key, outcome)) = asking.next() => rounds.end(&key, outcome, Instant::now()),
            Ok(()) = news.changed() => news.mark_changed(),
            () = until([due, returns].into_iter().flatten().min()) => {}
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
