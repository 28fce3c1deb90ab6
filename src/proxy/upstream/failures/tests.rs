//! What is remembered of failures, without requests.

use std::net::SocketAddr;

use super::{super::fleet::Fleet, *};
use crate::{model::Scheme, proxy::config::Limits, route};

fn address(last: u8) -> Address {
    Address::Tcp(SocketAddr::from(([10, 0, 0, last], 80)))
}

fn failed(name: &str, last: u8, at: Instant) -> Failed {
    let failed = Failed::new((address(last), name.into()), Fault::Reset, format!("at {at:?}"));
    Failed { at, ..failed }
}

/// A worker that has noticed this and tells of it; what it learns.
fn tell(failures: &Failures, of: &[Failed], answered: &[(u8, Instant)]) -> Vec<Address> {
    let mut noticed = Noticed { epoch: u64::MAX, ..Noticed::default() };
    for failed in of {
        noticed.failed(failed.clone());
    }
    for (last, at) in answered {
        assert!(noticed.answered(address(*last), *at));
    }
    failures.tell(&mut noticed)
}

/// Whether the endpoint has answered since its last failure, if that is known.
fn answered(failures: &Failures, name: &str, now: Instant) -> Option<bool> {
    Some(failures.report(now).0.0.get(name)?.first_key_value()?.1.answered_since)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_answer_counts_only_after_the_failure_whichever_is_told_first() {
    let start = Instant::now();
    let (early, late) = (start + SECOND, start + 2 * SECOND);
    for (fails, answers, expected) in [(early, late, true), (late, early, false)] {
        let failures = Failures::default();
        tell(&failures, &[failed("a", 1, fails)], &[(1, answers)]);
        assert_eq!(answered(&failures, "a", late), Some(expected), "told together");
        let failures = Failures::default();
        tell(&failures, &[failed("a", 1, fails)], &[]);
        tell(&failures, &[], &[(1, answers)]);
        assert_eq!(answered(&failures, "a", late), Some(expected), "told one after the other");
    }
    let failures = Failures::default();
    tell(&failures, &[failed("a", 1, early)], &[(1, late)]);
    tell(&failures, &[failed("a", 1, late + SECOND)], &[]);
    assert_eq!(answered(&failures, "a", late), Some(false), "it has failed again");
    tell(&failures, &[failed("a", 1, early)], &[]);
    assert_eq!(answered(&failures, "a", late), Some(false), "an older one says nothing");
}

#[test]
fn workers_learn_which_endpoints_have_not_answered_since() {
    let failures = Failures::default();
    let now = Instant::now();
    assert_eq!(tell(&failures, &[failed("a", 1, now), failed("b", 2, now)], &[]), [address(1), address(2)]);
    assert_eq!(tell(&failures, &[], &[(1, now + SECOND)]), [address(2)]);
    let mut level = Noticed::default();
    assert_eq!(failures.tell(&mut level), [address(2)], "another one's failures");
    assert!(failures.tell(&mut level).is_empty(), "once is enough");
}

#[test]
fn a_failure_that_was_followed_by_answers_is_forgotten_sooner() {
    let failures = Failures::default();
    let now = Instant::now();
    tell(&failures, &[failed("a", 1, now), failed("b", 2, now)], &[(2, now + SECOND)]);
    assert_eq!(failures.report(now).1, Some(now + Failures::FOLLOWED));
    assert_eq!(answered(&failures, "b", now + Failures::FOLLOWED), None);
    assert_eq!(answered(&failures, "a", now + Failures::FOLLOWED), Some(false));
    assert_eq!(failures.report(now).1, Some(now + Failures::LAST));
    assert_eq!(failures.report(now + Failures::LAST), (FailureReport::default(), None));
}

#[test]
fn the_oldest_is_forgotten_where_there_are_too_many() {
    let failures = Failures::default();
    let start = Instant::now();
    for number in 0..Failures::MOST + 10 {
        let at = start + SECOND * u32::try_from(number).unwrap();
        tell(&failures, &[failed(&number.to_string(), 1, at)], &[]);
    }
    let report = failures.report(start).0;
    assert_eq!(report.0.len(), Failures::MOST);
    assert!(report.0.contains_key("1009") && !report.0.contains_key("9"));
}

#[test]
fn what_a_client_got_in_the_end_replaces_what_was_told_first() {
    let failures = Failures::default();
    let now = Instant::now();
    let first = failed("a", 1, now);
    tell(&failures, std::slice::from_ref(&first), &[]);
    tell(&failures, &[Failed { status: Some(502), ..first.clone() }], &[]);
    assert_eq!(failures.report(now).0.0["a"]["10.0.0.1:80"].status, Some(502));
    let mut news = failures.news();
    news.mark_unchanged();
    tell(&failures, &[], &[(9, now)]);
    assert!(!news.has_changed().unwrap(), "an answer of one that has failed nothing is no news");
}

#[test]
fn a_worker_that_is_answered_looks_again_where_another_one_has_failed() {
    let fleet = Arc::new(Fleet::new(2));
    let target = route::Backend {
        name: "default/b".into(),
        endpoints: vec![route::Endpoint {
            address: address(1),
            scheme: Scheme::Http,
            tls: None,
            weight: 1,
            name: "a".into(),
        }],
        policy: Arc::default(),
        reason: "".into(),
    };
    let workers = [0, 1].map(|number| Upstreams::new(fleet.clone(), number, 9));
    let backends = [0, 1].map(|number| workers[number].backend((&target, None), &Limits::default(), 0));
    let slots = [0, 1].map(|number| &backends[number].slots[0]);
    assert!(slots.iter().all(|slot| slot.endpoint.is_doubted()), "nothing is known of a new one");
    for number in [0, 1] {
        workers[number].answered(&slots[number].endpoint);
        workers[number].tell();
        assert!(!slots[number].endpoint.is_doubted());
    }
    workers[0].failed(slots[0], Fault::Reset, "broken".into());
    workers.iter().for_each(Upstreams::tell);
    assert!(slots.iter().all(|slot| slot.endpoint.is_doubted()), "both look again");
    workers[1].answered(&slots[1].endpoint);
    workers.iter().for_each(Upstreams::tell);
    assert_eq!(answered(&fleet.failures, "a", Instant::now()), Some(true));
}
