//! The promises about what is asked and said, one each, without I/O.

mod script;

use std::sync::Arc;

use self::script::{RUNNING, Script, container};
use super::*;
use crate::discovery::docker::signal::Signal;

fn server_error() -> Error {
    Error::Status { request: "GET /containers/{id}/json", status: 500, message: "broken".into() }
}

#[test]
fn it_subscribes_before_it_lists_and_inspects_before_it_speaks() {
    let mut script = Script::new();
    assert_eq!(script.connect(), ["version", "subscribe 1", "list"]);
    assert_eq!(script.list(&["a", "b"]), ["connected 1.41", "inspect a", "inspect b"]);
    assert!(script.answer("a", Ok(Some(container("a", RUNNING, 5)))).is_empty());
    let last = script.answer("b", Ok(Some(container("b", "exited", 5))));
    assert_eq!(last, ["init", "+a Running", "+b Exited", "done", "resynced 0"]);
}

#[test]
fn an_engine_without_containers_is_level_at_once() {
    let mut script = Script::new();
    script.connect();
    assert_eq!(script.list(&[]), ["connected 1.41", "init", "done", "resynced 0"]);
}

#[test]
fn a_container_that_starts_between_subscription_and_list_is_not_missed() {
    let mut script = Script::new();
    script.connect();
    assert_eq!(script.event("late", Action::Other, 50), ["inspect late"]);
    // The list was made before it started.
    script.list(&["a"]);
    let orders = script.answer_all(RUNNING);
    assert_eq!(orders, ["init", "+a Running", "+late Running", "done", "resynced 0"]);
}

#[test]
fn a_container_that_goes_between_list_and_inspection_is_left_out() {
    let mut script = Script::new();
    script.connect();
    script.list(&["a", "b"]);
    assert!(script.event("b", Action::Destroy, 50).is_empty());
    let orders = script.answer("a", Ok(None));
    assert_eq!(orders, ["init", "done", "resynced 0"]);
    assert!(script.answer("b", Ok(Some(container("b", RUNNING, 5)))).is_empty());
}

#[test]
fn a_start_is_inspected_at_once_and_told_with_the_answer() {
    let mut script = Script::level(&[]);
    assert_eq!(script.event("a", Action::Other, 200), ["inspect a"]);
    assert_eq!(script.answer("a", Ok(Some(container("a", RUNNING, 199)))), ["a Running"]);
}

#[test]
fn a_start_does_not_wait_for_the_inspection_of_the_connect_before_it() {
    let mut script = Script::level(&[]);
    assert_eq!(script.event("a", Action::Other, 200), ["inspect a"]);
    assert_eq!(script.event("a", Action::Other, 210), ["inspect a"]);
    // A third one waits: two calls for one container are enough.
    assert!(script.event("a", Action::Other, 220).is_empty());
    let newest = script.tickets[1].clone();
    let orders = script.step(Input::Inspected(newest.0, newest.1, Ok(Some(container("a", RUNNING, 205)))));
    assert_eq!(orders, ["a Running", "inspect a"]);
    // The older answer comes last and says nothing any more.
    assert!(script.answer("a", Ok(Some(container("a", "created", 0)))).is_empty());
}

#[test]
fn a_burst_of_events_costs_one_inspection_more() {
    let mut script = Script::level(&["a"]);
    for time in 200..300 {
        script.event("a", Action::Other, time);
    }
    let orders = script.answer_all(RUNNING);
    assert_eq!(orders, ["inspect a"]);
}

#[test]
fn many_containers_are_inspected_a_few_at_a_time() {
    let mut script = Script::new();
    script.connect();
    let names: Vec<_> = (10..99).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let orders = script.list(&names);
    assert_eq!(orders.iter().filter(|order| order.starts_with("inspect")).count(), 16);
    let orders = script.answer_all(RUNNING);
    assert_eq!(orders.iter().filter(|order| order.starts_with('+')).count(), names.len());
}

#[test]
fn a_kill_with_the_stop_signal_drains_without_an_inspection() {
    let mut script = Script::level(&["a"]);
    assert_eq!(script.kill("a", "15", 200), ["a Terminating"]);
    assert_eq!(script.event("a", Action::Die, 210), ["a Exited", "inspect a"]);
    assert!(script.answer_all("exited").is_empty());
}

#[test]
fn a_reload_signal_is_not_a_stop() {
    let mut script = Script::level(&["a"]);
    assert!(script.kill("a", "HUP", 200).is_empty());
    assert!(script.event("a", Action::Kill(None), 201).is_empty());
    assert_eq!(script.kill("a", "9", 202), ["a Terminating"]);
}

#[test]
fn a_custom_stop_signal_is_a_stop_for_its_container_only() {
    let mut script = Script::new();
    script.connect();
    script.list(&["a", "b"]);
    let quits = Inspected { stop_signal: Signal::parse("SIGQUIT").unwrap(), ..container("a", RUNNING, 5) };
    script.answer("a", Ok(Some(quits)));
    script.answer_all(RUNNING);
    assert_eq!(script.kill("a", "3", 200), ["a Terminating"]);
    assert!(script.kill("b", "3", 200).is_empty());
}

#[test]
fn a_kill_that_comes_before_the_first_inspection_counts() {
    let mut script = Script::new();
    script.connect();
    script.kill("a", "3", 200);
    script.kill("b", "3", 200);
    script.list(&["a", "b"]);
    let mut orders = Vec::new();
    while let Some((id, _)) = script.tickets.first().cloned() {
        let signal = if &*id.0 == "a" { Signal::parse("QUIT").unwrap() } else { Signal::TERM };
        let found = Inspected { stop_signal: signal, ..container(&id.0, RUNNING, 100) };
        orders.extend(script.answer(&id.0, Ok(Some(found))));
    }
    assert_eq!(orders, ["init", "+a Terminating", "+b Running", "done", "resynced 0"]);
}

#[test]
fn a_restart_ends_the_drain() {
    let mut script = Script::level(&["a"]);
    script.kill("a", "15", 200);
    script.event("a", Action::Die, 210);
    script.event("a", Action::Other, 220);
    let orders = script.answer("a", Ok(Some(container("a", "exited", 100))));
    assert!(orders.is_empty(), "{orders:?}");
    assert_eq!(script.answer("a", Ok(Some(container("a", RUNNING, 219)))), ["a Running"]);
}

#[test]
fn an_answer_that_a_death_overtook_is_not_believed() {
    let mut script = Script::level(&["a"]);
    script.event("a", Action::Other, 200);
    assert_eq!(script.event("a", Action::Die, 210), ["a Exited", "inspect a"]);
    assert!(script.answer("a", Ok(Some(container("a", RUNNING, 100)))).is_empty());
    assert!(script.answer("a", Ok(Some(container("a", "exited", 100)))).is_empty());
}

#[test]
fn an_answer_does_not_undo_a_kill_that_overtook_it() {
    let mut script = Script::level(&[]);
    script.event("a", Action::Other, 200);
    assert!(script.kill("a", "15", 210).contains(&"inspect a".to_owned()));
    assert_eq!(script.answer("a", Ok(Some(container("a", RUNNING, 199)))), ["a Terminating"]);
}

#[test]
fn old_news_of_an_earlier_run_is_no_news() {
    let mut script = Script::level(&["a"]);
    assert!(script.kill("a", "15", 50).is_empty() || script.answer_all(RUNNING).is_empty());
    let orders = script.event("a", Action::Die, 60);
    assert_eq!(orders, ["inspect a"]);
    script.answer_all(RUNNING);
    assert_eq!(script.kill("a", "15", 200), ["a Terminating"]);
}

#[test]
fn pause_and_unpause_are_followed() {
    let mut script = Script::level(&["a"]);
    assert_eq!(script.event("a", Action::Pause, 200), ["a Paused", "inspect a"]);
    assert!(script.answer_all("paused").is_empty());
    script.event("a", Action::Other, 210);
    assert_eq!(script.answer_all(RUNNING), ["a Running"]);
}

#[test]
fn a_rename_and_a_change_of_health_are_told_after_an_inspection() {
    let mut script = Script::level(&["a"]);
    script.event("a", Action::Other, 200);
    let mut renamed = container("a", RUNNING, 100);
    renamed.workload.name = "b".into();
    assert_eq!(script.answer("a", Ok(Some(renamed.clone()))), ["b Running"]);
    script.event("a", Action::Other, 210);
    renamed.workload.health = crate::model::Health::Unhealthy;
    assert_eq!(script.answer("a", Ok(Some(renamed.clone()))), ["b Running"]);
    script.event("a", Action::Other, 220);
    assert!(script.answer("a", Ok(Some(renamed))).is_empty());
}

#[test]
fn a_removed_container_is_told_once() {
    let mut script = Script::level(&["a"]);
    assert_eq!(script.event("a", Action::Destroy, 200), ["-a"]);
    assert_eq!(script.event("a", Action::Other, 201), ["inspect a"]);
    assert!(script.answer("a", Ok(None)).is_empty());
}

#[test]
fn a_container_that_ignores_its_stop_signal_comes_back_after_a_while() {
    let mut script = Script::level(&["a"]);
    script.kill("a", "15", 200);
    script.wait(Roster::TERMINATING);
    script.step(Input::Tick);
    assert_eq!(script.list(&["a"]), ["a Running", "resynced 0"]);
    // The same event, heard again after another, does not drain it again.
    script.event("other", Action::Other, 300);
    assert!(script.kill("a", "15", 200).is_empty());
}

#[test]
fn a_loss_removes_nothing_and_is_told_once() {
    let mut script = Script::level(&["a"]);
    let orders = script.step(Input::Ended(Error::Ended));
    assert_eq!(orders, ["disconnect", "lost: the engine ended the event stream"]);
    script.wait_until_due();
    assert_eq!(script.step(Input::Tick), ["version"]);
    let silent = Error::Timeout { request: "GET /version", seconds: 10 };
    assert_eq!(script.step(Input::Version(Err(silent.clone()))).len(), 2);
    script.wait_until_due();
    script.step(Input::Tick);
    assert_eq!(script.step(Input::Version(Err(silent))), ["disconnect"]);
    assert_eq!(script.connect(), ["version", "subscribe 1", "list"]);
    assert_eq!(script.list(&["a"]), ["connected 1.41", "inspect a"]);
    assert_eq!(script.answer_all(RUNNING), ["resynced 0"]);
}

#[test]
fn after_a_loss_events_are_asked_for_from_the_last_one_on() {
    let mut script = Script::level(&["a"]);
    script.event("a", Action::Other, 777);
    script.step(Input::Ended(Error::Ended));
    assert!(script.connect().contains(&"subscribe 777".to_owned()));
}

#[test]
fn what_was_lost_is_made_good_by_the_list() {
    let mut script = Script::level(&["gone", "stopped"]);
    script.step(Input::Ended(Error::Ended));
    script.tickets.clear();
    script.connect();
    assert_eq!(
        script.list(&["new", "stopped"]),
        ["connected 1.41", "inspect gone", "inspect new", "inspect stopped"]
    );
    assert_eq!(script.answer("gone", Ok(None)), ["-gone"]);
    assert_eq!(script.answer("new", Ok(Some(container("new", RUNNING, 5)))), ["new Running"]);
    let last = script.answer("stopped", Ok(Some(container("stopped", "exited", 5))));
    assert_eq!(last, ["stopped Exited", "resynced 0"]);
}

#[test]
fn the_first_retry_is_quick_and_none_is_later_than_three_seconds() {
    let mut script = Script::level(&[]);
    script.wait(Duration::from_secs(5));
    script.step(Input::Ended(Error::Ended));
    let mut delays = Vec::new();
    for _ in 0..20 {
        delays.push(script.machine.deadline().unwrap() - script.now);
        script.wait_until_due();
        script.step(Input::Tick);
        script.step(Input::Version(Err(Error::Ended)));
    }
    assert_eq!(delays[0], Duration::from_millis(100));
    assert!(delays.iter().all(|delay| *delay <= Duration::from_secs(3)), "{delays:?}");
    assert!(delays[19] >= Duration::from_millis(1_500), "nor does it hammer: {delays:?}");
}

#[test]
fn a_stream_that_is_cut_again_and_again_is_level_again_within_seconds() {
    let mut script = Script::level(&["a"]);
    for round in 0..1000 {
        script.step(Input::Ended(Error::Ended));
        script.tickets.clear();
        assert!(script.machine.deadline().unwrap() - script.now <= Duration::from_secs(2), "round {round}");
        script.connect();
        script.list(&["a"]);
        assert_eq!(script.answer_all(RUNNING), ["resynced 0"]);
    }
}

#[test]
fn an_empty_list_after_a_full_one_needs_a_second_one() {
    let mut script = Script::level(&["a"]);
    script.step(Input::Ended(Error::Ended));
    script.connect();
    assert_eq!(script.list(&[]), ["connected 1.41"]);
    script.wait(Duration::from_secs(1));
    assert_eq!(script.step(Input::Tick), ["list"]);
    assert_eq!(script.list(&[]), ["inspect a"]);
    assert_eq!(script.answer("a", Ok(None)), ["-a", "resynced 0"]);
}

#[test]
fn an_empty_list_that_was_a_mistake_removes_nothing() {
    let mut script = Script::level(&["a"]);
    script.step(Input::Ended(Error::Ended));
    script.connect();
    script.list(&[]);
    script.wait(Duration::from_secs(1));
    script.step(Input::Tick);
    assert_eq!(script.list(&["a"]), ["inspect a"]);
    assert_eq!(script.answer_all(RUNNING), ["resynced 0"]);
}

#[test]
fn a_silent_stream_is_opened_again_and_the_engine_probed() {
    let mut script = Script::level(&["a"]);
    script.event("a", Action::Other, 300);
    script.answer_all(RUNNING);
    assert!(script.step(Input::Tick).is_empty());
    script.wait_until_due();
    assert_eq!(script.step(Input::Tick), ["subscribe 300", "version"]);
    assert!(script.step(Input::Version(Ok(Version { major: 1, minor: 41 }))).is_empty());
    // It begins with the event that is known already, and brings what was missed.
    assert!(script.event("a", Action::Other, 300).is_empty());
    assert_eq!(script.event("a", Action::Die, 301), ["a Exited", "inspect a"]);
    script.answer_all("exited");
    assert!(script.step(Input::Tick).is_empty(), "nothing is missing: no list");
}

/// Level, with a newest event, and a stream that was opened again after a silence.
fn opened_again() -> Script {
    let mut script = Script::level(&["a", "b"]);
    script.event("a", Action::Other, 300);
    script.answer_all(RUNNING);
    script.wait_until_due();
    assert_eq!(script.step(Input::Tick), ["subscribe 300", "version"]);
    script
}

#[test]
fn what_an_engine_does_not_remember_any_more_is_listed_at_once() {
    let mut script = opened_again();
    // It remembers 256 events: that `b` died and `c` came was before those.
    for time in 1000..1256 {
        script.event("a", Action::Other, time);
    }
    script.answer_all(RUNNING);
    assert_eq!(script.step(Input::Tick), ["list"], "at once, not within the minute");
    assert_eq!(script.list(&["a", "c"]), ["inspect b", "inspect c"]);
    assert_eq!(script.answer("b", Ok(None)), ["-b"]);
    assert_eq!(script.answer("c", Ok(Some(container("c", RUNNING, 1)))), ["c Running", "resynced 2"]);
    assert!(script.step(Input::Tick).is_empty(), "once is enough");
}

#[test]
fn a_stream_that_begins_with_nothing_may_hide_events_that_are_not_told() {
    let mut script = opened_again();
    assert!(script.step(Input::Tick).is_empty());
    script.wait_until_due();
    assert_eq!(script.step(Input::Tick), ["list"]);
    assert_eq!(script.list(&["a", "b"]), ["resynced 0"]);
    script.wait_until_due();
    assert_eq!(script.step(Input::Tick), ["subscribe 300", "version"], "it is silent still");
}

#[test]
fn a_list_that_was_under_way_may_be_older_than_what_is_missing() {
    let mut script = Script::level(&["a"]);
    script.event("a", Action::Other, 300);
    script.answer_all(RUNNING);
    script.wait(Duration::from_mins(1));
    assert_eq!(script.step(Input::Tick), ["subscribe 300", "version", "list"]);
    script.event("b", Action::Other, 2000);
    script.answer_all(RUNNING);
    assert!(script.step(Input::Tick).is_empty());
    assert_eq!(script.list(&["a", "b"]), ["resynced 0"]);
    assert_eq!(script.step(Input::Tick), ["list"]);
}

#[test]
fn an_engine_that_does_not_answer_the_probe_is_lost_within_thirty_seconds() {
    let mut script = Script::level(&["a"]);
    let silent_since = script.now;
    script.wait_until_due();
    script.step(Input::Tick);
    script.wait(Duration::from_secs(10));
    let silent = Error::Timeout { request: "GET /version", seconds: 10 };
    let orders = script.step(Input::Version(Err(silent)));
    assert_eq!(orders[0], "disconnect");
    assert!(script.now - silent_since < Duration::from_secs(30));
}

#[test]
fn a_resync_counts_what_no_event_told() {
    let mut script = Script::level(&["a", "b", "c"]);
    script.wait(Duration::from_mins(1));
    assert!(script.step(Input::Tick).contains(&"list".to_owned()));
    assert_eq!(script.list(&["a"]), ["inspect b", "inspect c"]);
    assert_eq!(script.answer("b", Ok(None)), ["-b"]);
    // This one is told by an event in the meantime.
    assert_eq!(script.event("c", Action::Destroy, 500), ["-c", "resynced 1"]);
}

#[test]
fn a_resync_that_finds_nothing_new_inspects_nothing() {
    let mut script = Script::level(&["a", "b"]);
    script.wait(Duration::from_mins(1));
    assert!(script.step(Input::Tick).contains(&"list".to_owned()));
    assert_eq!(script.list(&["a", "b"]), ["resynced 0"]);
}

#[test]
fn a_resync_finds_a_missed_stop() {
    let mut script = Script::level(&["a"]);
    script.wait(Duration::from_mins(1));
    script.step(Input::Tick);
    assert_eq!(script.list_as(&["a"], "exited"), ["inspect a"]);
    let orders = script.answer("a", Ok(Some(container("a", "exited", 100))));
    assert_eq!(orders, ["a Exited", "resynced 1"]);
}

#[test]
fn refused_events_are_named_once_and_lists_do_the_rest() {
    let refused = Error::Refused { request: "GET /events", allow: "EVENTS=1" };
    let mut script = Script::new();
    script.connect();
    let told = script.step(Input::Ended(refused.clone()));
    assert_eq!(told, ["degraded: `GET /events` is refused by the socket proxy; allow `EVENTS=1`"]);
    script.list(&["a"]);
    script.answer_all(RUNNING);
    script.wait(Duration::from_secs(2));
    assert_eq!(script.step(Input::Tick), ["list"]);
    assert_eq!(script.list(&["a", "b"]), ["inspect b"]);
    assert_eq!(script.answer_all(RUNNING), ["b Running", "resynced 0"]);
    script.wait(Duration::from_mins(1));
    assert!(script.step(Input::Tick).contains(&"subscribe 1".to_owned()));
    assert!(script.step(Input::Ended(refused)).is_empty());
}

#[test]
fn a_container_that_cannot_be_inspected_costs_only_itself() {
    let mut script = Script::new();
    script.connect();
    script.list(&["a", "bad"]);
    let told = script.answer("bad", Err(server_error()));
    assert_eq!(told, ["unreadable bad: `GET /containers/{id}/json` failed with status 500: broken"]);
    assert_eq!(script.answer_all(RUNNING), ["init", "+a Running", "done", "resynced 0"]);
    script.event("bad", Action::Other, 300);
    assert!(script.answer("bad", Err(server_error())).is_empty());
    script.event("bad", Action::Other, 310);
    let stuck = Error::Timeout { request: "GET /containers/{id}/json", seconds: 5 };
    assert_eq!(script.answer("bad", Err(stuck)).len(), 1);
    script.event("bad", Action::Other, 320);
    assert_eq!(script.answer("bad", Ok(Some(container("bad", RUNNING, 5)))), ["bad Running"]);
}

#[test]
fn a_container_that_is_neither_listed_nor_inspected_is_gone() {
    let mut script = Script::level(&["a", "b"]);
    script.wait(Duration::from_mins(1));
    script.step(Input::Tick);
    assert_eq!(script.list(&["a"]), ["inspect b"]);
    assert_eq!(script.answer("b", Err(server_error())), ["-b", "resynced 1"]);
}

#[test]
fn a_broken_connection_during_an_inspection_is_a_loss() {
    let mut script = Script::level(&["a"]);
    script.event("a", Action::Other, 300);
    let source = Arc::new(bollard::errors::Error::RequestTimeoutError);
    let broken = Error::Unreachable { endpoint: "unix:///x".into(), source };
    let orders = script.answer("a", Err(broken));
    assert_eq!(orders, ["disconnect", "lost: the engine at `unix:///x` cannot be reached: Timeout error"]);
}
