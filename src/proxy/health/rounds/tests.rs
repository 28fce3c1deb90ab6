//! When endpoints are asked.

use std::num::NonZeroU32;

use super::*;
use crate::{
    model::{Probe, Scheme},
    proxy::upstream::Fleet,
    route::{Backend, Endpoint, Table, Target},
};

const SECOND: Duration = Duration::from_secs(1);

fn policy(interval: Duration) -> Arc<BackendPolicy> {
    let one = NonZeroU32::MIN;
    let check = HealthCheck {
        probe: Probe::Tcp,
        port: None,
        interval,
        timeout: interval,
        unhealthy_after: one,
        healthy_after: one,
    };
    Arc::new(BackendPolicy { check: Some(check), ..BackendPolicy::default() })
}

fn table(ports: &[u16], policy: Arc<BackendPolicy>) -> Table {
    let endpoint = |port: &u16| Endpoint {
        address: Address::Tcp(SocketAddr::from(([127, 0, 0, 1], *port))),
        scheme: Scheme::Http,
        tls: None,
        weight: 1,
        name: port.to_string().into(),
    };
    let endpoints = ports.iter().map(endpoint).collect();
    let backend = Backend { name: "default/b".into(), endpoints, policy, reason: "".into() };
    crate::proxy::tests::table(vec![("/", crate::proxy::tests::rule(Target::Backend(Arc::new(backend))))])
}

fn adopted(fleet: &Fleet, table: Table) -> Vec<Seen> {
    fleet.adopt(|| Arc::new(table))
}

/// The ports that are due at a moment, all answered well at once.
fn asked(rounds: &mut Rounds, now: Instant) -> Vec<u16> {
    let mut ports = Vec::new();
    while let Some(task) = rounds.begin(now) {
        let Address::Tcp(address) = &task.address else { panic!("{:?}", task.address) };
        ports.push(address.port());
        rounds.end(&task.key, Ok(()), now);
    }
    ports
}

#[test]
fn a_new_endpoint_is_asked_at_once_and_then_at_about_its_interval() {
    let (fleet, now) = (Fleet::default(), Instant::now());
    let mut rounds = Rounds::default();
    rounds.adopt(adopted(&fleet, table(&[1, 2], policy(10 * SECOND))), now);
    assert_eq!(asked(&mut rounds, now), [1, 2]);
    assert_eq!(asked(&mut rounds, now + 8 * SECOND), [0; 0]);
    assert_eq!(asked(&mut rounds, now + 12 * SECOND).len(), 2);
}

#[test]
fn a_hundred_tables_that_change_nothing_cause_not_one_check_more() {
    let (fleet, now) = (Fleet::default(), Instant::now());
    let mut rounds = Rounds::default();
    rounds.adopt(adopted(&fleet, table(&[1], policy(10 * SECOND))), now);
    assert_eq!(asked(&mut rounds, now), [1]);
    let due = rounds.due();
    for _ in 0..100 {
        rounds.adopt(adopted(&fleet, table(&[1], policy(10 * SECOND))), now + SECOND);
        assert_eq!(asked(&mut rounds, now + SECOND), [0; 0]);
    }
    assert_eq!(rounds.due(), due, "in its rhythm");
}

#[test]
fn a_table_in_the_middle_of_a_check_does_not_ask_twice() {
    let (fleet, now) = (Fleet::default(), Instant::now());
    let mut rounds = Rounds::default();
    rounds.adopt(adopted(&fleet, table(&[1], policy(SECOND))), now);
    let task = rounds.begin(now).unwrap();
    rounds.adopt(adopted(&fleet, table(&[1, 2], policy(SECOND))), now);
    assert_eq!(asked(&mut rounds, now), [2]);
    rounds.end(&task.key, Ok(()), now);
    assert_eq!(asked(&mut rounds, now + 2 * SECOND).len(), 2);
}

#[test]
fn what_is_gone_is_not_asked_and_is_new_when_it_comes_back() {
    let (fleet, now) = (Fleet::default(), Instant::now());
    let mut rounds = Rounds::default();
    rounds.adopt(adopted(&fleet, table(&[1], policy(SECOND))), now);
    let task = rounds.begin(now).unwrap();
    rounds.adopt(adopted(&fleet, Table::default()), now);
    rounds.end(&task.key, Ok(()), now);
    assert_eq!((rounds.due(), fleet.report(now).0), (None, crate::model::HealthReport::default()));
    rounds.adopt(adopted(&fleet, table(&[1], policy(SECOND))), now);
    assert_eq!(asked(&mut rounds, now), [1]);
}

#[test]
fn a_check_that_changes_is_made_at_once() {
    let (fleet, now) = (Fleet::default(), Instant::now());
    let mut rounds = Rounds::default();
    rounds.adopt(adopted(&fleet, table(&[1], policy(10 * SECOND))), now);
    assert_eq!(asked(&mut rounds, now), [1]);
    rounds.adopt(adopted(&fleet, table(&[1], policy(20 * SECOND))), now);
    assert_eq!(asked(&mut rounds, now), [1]);
}
