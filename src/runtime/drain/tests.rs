//! The three acts, with paused time.

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn a_drain_ends_when_the_last_watch_is_dropped() {
    let (trigger, watch) = channel();
    let mut connection = watch.clone();
    drop(watch);
    let work = async move {
        connection.draining().await;
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(connection.stage(), Stage::Drain);
        drop(connection);
    };
    let (outcome, ()) = tokio::join!(trigger.drain(DEADLINE), work);
    assert_eq!(outcome, Outcome::Finished);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_the_deadline_is_forced() {
    let (trigger, mut watch) = channel();
    let started = Instant::now();
    let work = async move {
        watch.forced().await;
        started.elapsed()
    };
    let (outcome, waited) = tokio::join!(trigger.drain(DEADLINE), work);
    assert_eq!((outcome, waited), (Outcome::Forced, DEADLINE));
}

#[tokio::test(start_paused = true)]
async fn work_that_ignores_the_force_does_not_hold_up_the_drain() {
    let (trigger, watch) = channel();
    assert_eq!(trigger.drain(DEADLINE).await, Outcome::Forced);
    drop(watch);
}

#[tokio::test]
async fn a_watch_is_told_of_nothing_before_the_drain() {
    let (trigger, mut watch) = channel();
    assert!(!watch.is_draining());
    assert!(futures::FutureExt::now_or_never(watch.draining()).is_none());
    trigger.start();
    assert!(watch.is_draining());
    assert!(futures::FutureExt::now_or_never(watch.draining()).is_some());
    assert!(futures::FutureExt::now_or_never(watch.forced()).is_none());
}

#[tokio::test]
async fn a_trigger_that_is_dropped_forces() {
    let (trigger, mut watch) = channel();
    drop(trigger);
    watch.draining().await;
    watch.forced().await;
    assert!(watch.is_draining());
}

#[tokio::test(start_paused = true)]
async fn a_component_holds_its_parent_until_its_own_work_is_done() {
    let (trigger, parent) = channel();
    let component = run(parent, DEADLINE, |mut watch| async move {
        watch.draining().await;
        tokio::time::sleep(Duration::from_secs(4)).await;
    });
    let started = Instant::now();
    let (above, below) = tokio::join!(trigger.drain(DEADLINE * 2), component);
    assert_eq!((above, below), (Outcome::Finished, Outcome::Finished));
    assert_eq!(started.elapsed(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_component_that_does_not_end_is_dropped_at_its_deadline() {
    let (trigger, parent) = channel();
    let component = run(parent, DEADLINE, |watch| async move {
        std::future::pending::<()>().await;
        drop(watch);
    });
    let started = Instant::now();
    let (above, below) = tokio::join!(trigger.drain(DEADLINE * 2), component);
    assert_eq!((above, below), (Outcome::Finished, Outcome::Forced));
    assert!(started.elapsed() < DEADLINE + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn connections_of_a_component_that_ended_are_waited_for() {
    let (trigger, parent) = channel();
    let (handed, connection) = tokio::sync::oneshot::channel();
    let component = run(parent, DEADLINE, |watch| async move {
        handed.send(watch).unwrap();
    });
    let client = async {
        let mut watch: Watch = connection.await.unwrap();
        watch.draining().await;
    };
    let (above, below, ()) = tokio::join!(trigger.drain(DEADLINE), component, client);
    assert_eq!((above, below), (Outcome::Finished, Outcome::Finished));
}
