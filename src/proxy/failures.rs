//! Tells people of the requests that endpoints have failed, at most once a second: whoever fails thousands a second has no
//! more to say.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::upstream::Fleet;
use crate::{model::FailureReport, runtime::live::Publisher};

/// Between two reports.
const PACE: Duration = Duration::from_secs(1);

/// Publishes what workers have told, until it is dropped.
pub(super) async fn run(fleet: Arc<Fleet>, mut reports: Publisher<FailureReport>) {
    let mut news = fleet.failures.news();
    let mut forgets: Option<Instant> = None;
    loop {
        // No arm loses anything when the other one is taken: both can be asked again.
        tokio::select! {
            Ok(()) = news.changed() => {}
            () = until(forgets) => {}
        }
        let (report, next) = fleet.failures.report(Instant::now());
        forgets = next;
        reports.publish(report);
        tokio::time::sleep(PACE).await;
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
