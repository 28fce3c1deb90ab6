//! What follows from checks and errors.

use std::num::NonZeroU32;

use super::*;
use crate::model::Probe;

const SECOND: Duration = Duration::from_secs(1);

fn check(unhealthy_after: u32, healthy_after: u32) -> HealthCheck {
    HealthCheck {
        probe: Probe::Tcp,
        port: None,
        interval: 5 * SECOND,
        timeout: SECOND,
        unhealthy_after: NonZeroU32::new(unhealthy_after).unwrap(),
        healthy_after: NonZeroU32::new(healthy_after).unwrap(),
    }
}

fn ejection() -> Ejection {
    Ejection { consecutive_errors: NonZeroU32::MIN, eject_for: 10 * SECOND, max_percent: 100 }
}

fn bad() -> Result<(), String> {
    Err("it answered 503".to_owned())
}

#[test]
fn a_new_endpoint_that_is_checked_waits_for_its_first_success() {
    let (check, now) = (check(2, 3), Instant::now());
    let mut vitals = Vitals::new(Some(&check), now);
    assert_eq!((vitals.is_fit(now), vitals.health(now).state), (false, EndpointState::Starting));
    assert_eq!(vitals.checked(&check, bad(), now), Change::Some, "why is news");
    assert_eq!(vitals.checked(&check, bad(), now), Change::None);
    assert_eq!(vitals.checked(&check, Ok(()), now), Change::Some);
    assert!(vitals.is_fit(now), "one is enough, whatever `healthyAfter` says");
}

#[test]
fn a_serving_endpoint_that_gets_a_check_goes_on_serving_until_it_fails() {
    let (check, now) = (check(1, 1), Instant::now());
    let mut vitals = Vitals::new(None, now);
    vitals.checked_by(Some(&check));
    assert!(vitals.is_fit(now));
    vitals.checked(&check, bad(), now);
    assert!(!vitals.is_fit(now));
    vitals.checked_by(None);
    assert!(vitals.is_fit(now), "nobody asks any more");
}

#[test]
fn only_failures_in_a_row_take_out_and_only_successes_in_a_row_bring_back() {
    let (check, now) = (check(3, 2), Instant::now());
    let mut vitals = Vitals::new(Some(&check), now);
    let mut fit = |outcomes: &str| {
        for outcome in outcomes.chars() {
            vitals.checked(&check, if outcome == '+' { Ok(()) } else { bad() }, now);
        }
        vitals.is_fit(now)
    };
    assert!(fit("+"));
    assert!(fit("--+--"));
    assert!(!fit("-"));
    assert!(!fit("+-+"));
    assert!(fit("+"));
}

#[test]
fn an_endpoint_that_has_not_answered_yet_is_asked_more_often_at_first() {
    let (check, now) = (check(2, 1), Instant::now());
    let mut vitals = Vitals::new(Some(&check), now);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        vitals.checked(&check, bad(), now);
        pauses.push(vitals.pause(&check).as_millis());
    }
    assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000]);
    vitals.checked(&check, Ok(()), now);
    assert_eq!(vitals.pause(&check), check.interval);
}

#[test]
fn an_ejection_ends_by_itself_and_the_next_one_soon_after_lasts_longer() {
    let start = Instant::now();
    let mut vitals = Vitals::new(None, start);
    vitals.eject(&ejection(), start);
    assert_eq!(vitals.health(start).state, EndpointState::Ejected);
    assert_eq!(vitals.returns(start), Some(start + 10 * SECOND));
    let back = start + 10 * SECOND;
    assert!(vitals.is_fit(back));
    vitals.eject(&ejection(), back + SECOND);
    assert_eq!(vitals.returns(back + SECOND), Some(back + 21 * SECOND), "twice as long");
    let later = back + 100 * SECOND;
    vitals.eject(&ejection(), later);
    assert_eq!(vitals.returns(later), Some(later + 10 * SECOND), "forgiven after a good while");
    for _ in 0..40 {
        vitals.eject(&ejection(), later);
    }
    assert_eq!(vitals.returns(later), Some(later + 100 * SECOND), "ten times as long at most");
}

#[test]
fn a_share_grows_from_a_tenth_to_all_of_it() {
    let (check, start) = (check(1, 1), Instant::now());
    let mut vitals = Vitals::new(Some(&check), start);
    let healthy = start + 100 * SECOND;
    vitals.checked(&check, Ok(()), healthy);
    let shares = [0, 3, 5, 10, 20].map(|seconds| vitals.share(10 * SECOND, healthy + seconds * SECOND));
    assert_eq!(shares, [100, 300, 500, 1000, 1000]);
    vitals.eject(&ejection(), healthy);
    assert_eq!(vitals.share(10 * SECOND, healthy + 12 * SECOND), 200, "it begins anew after an ejection");
}

#[test]
fn an_endpoint_that_another_process_vouches_for_serves_until_a_check_fails() {
    let (check, now) = (check(1, 1), Instant::now());
    let mut vitals = Vitals::new(Some(&check), now);
    vitals.vouch();
    assert_eq!((vitals.is_fit(now), vitals.health(now).state), (true, EndpointState::Ready));
    vitals.checked(&check, bad(), now);
    assert!(!vitals.is_fit(now));
    vitals.vouch();
    assert!(!vitals.is_fit(now), "what was found here counts more");
}
