//! Backends that ask for more than turns.

use std::{num::NonZeroU32, time::Duration};

use http::HeaderValue;

use super::*;
use crate::{
    model::{Balancing, Connections, Ejection, HashKey, HealthCheck, Probe},
    route::hashing,
};

fn balancing(balancing: Balancing) -> BackendPolicy {
    BackendPolicy { balancing, ..BackendPolicy::default() }
}

fn ejecting(consecutive: u32, max_percent: u32) -> BackendPolicy {
    let consecutive_errors = NonZeroU32::new(consecutive).unwrap();
    let ejection = Ejection { consecutive_errors, eject_for: Duration::from_secs(30), max_percent };
    BackendPolicy { ejection: Some(ejection), ..BackendPolicy::default() }
}

fn checked() -> BackendPolicy {
    let (one, second) = (NonZeroU32::MIN, Duration::from_secs(1));
    let check = HealthCheck {
        probe: Probe::Tcp,
        port: None,
        interval: second,
        timeout: second,
        unhealthy_after: one,
        healthy_after: one,
    };
    BackendPolicy { check: Some(check), ..BackendPolicy::default() }
}

/// A backend with that policy; each endpoint is called by its index.
struct World {
    upstreams: Upstreams,
    table: route::Backend,
}

impl World {
    fn new(weights: &[u32], policy: BackendPolicy) -> Self {
        Self { upstreams: Upstreams::default(), table: table_backend(weights, policy) }
    }

    fn backend(&self) -> Backend {
        self.upstreams.backend((&self.table, None), &Limits::default(), 0)
    }

    fn found(&self, index: usize, outcome: Result<(), String>) {
        let (group, members) = self.upstreams.fleet.group(&self.table);
        group.checked(&members[index], &self.table.policy, outcome);
    }
}

fn index(slot: &Slot) -> usize {
    slot.name.parse().unwrap()
}

/// How many of so many requests each endpoint gets, when each is over before the next begins.
fn counts(backend: &Backend, requests: u64) -> Vec<u64> {
    let mut counts = vec![0; backend.slots.len()];
    let head = head();
    for number in 0..requests {
        let random = hashing::mix(number);
        let picked = backend.pick(&Ask { random, ..ask(&head, &[]) }).unwrap();
        counts[index(picked.slot)] += 1;
    }
    counts
}

#[test]
fn an_idle_backend_is_used_by_its_weights_whatever_the_policy() {
    for policy in [Balancing::LeastRequest, Balancing::Random, Balancing::RoundRobin] {
        for weights in [&[1, 1, 1][..], &[6, 3, 1], &[1; 20]] {
            let backend =
                World::new(weights, BackendPolicy { slow_start: None, ..balancing(policy.clone()) })
                    .backend();
            let total: u32 = weights.iter().sum();
            for (count, weight) in counts(&backend, 20_000).into_iter().zip(weights) {
                let expected = 20_000 * u64::from(*weight) / u64::from(total);
                assert!(count.abs_diff(expected) < 300, "{policy:?} {weights:?}: {count}, not {expected}");
            }
        }
    }
}

#[test]
fn the_least_busy_endpoint_for_its_weight_gets_the_next_request() {
    let backend = World::new(&[1, 1, 2], balancing(Balancing::LeastRequest)).backend();
    let head = head();
    let mut places = Vec::new();
    let mut busy = [0; 3];
    for number in 0..40 {
        let picked = backend.pick(&Ask { random: hashing::mix(number), ..ask(&head, &[]) }).unwrap();
        busy[index(picked.slot)] += 1;
        places.extend(picked.place);
    }
    assert_eq!(busy, [10, 10, 20]);
    drop(places);
    let load: u64 = backend.slots.iter().map(|slot| slot.watched.as_ref().unwrap().member.load()).sum();
    assert_eq!(load, 0, "places are given back");
}

#[test]
fn two_workers_see_each_others_requests() {
    let fleet = Arc::new(Fleet::new(2));
    let table = table_backend(&[1, 1], balancing(Balancing::LeastRequest));
    let backends = [0, 1].map(|worker| {
        Upstreams::new(fleet.clone(), worker, 9).backend((&table, None), &Limits::default(), 0)
    });
    let head = head();
    let first = backends[0].pick(&ask(&head, &[])).unwrap();
    let second = backends[1].pick(&ask(&head, &[])).unwrap();
    assert_ne!(index(first.slot), index(second.slot));
}

#[test]
fn a_key_goes_to_one_endpoint_and_only_its_keys_move_when_that_one_is_out() {
    let header = HashKey::Header(http::HeaderName::from_static("x-user"));
    for policy in [Balancing::RingHash(header.clone()), Balancing::Maglev(header)] {
        let world = World::new(&[1; 5], BackendPolicy { check: checked().check, ..balancing(policy) });
        (0..5).for_each(|index| world.found(index, Ok(())));
        let backend = world.backend();
        let owner = |user: u32| {
            let mut head = head();
            head.headers.insert("x-user", HeaderValue::from(user));
            index(backend.pick(&ask(&head, &[])).unwrap().slot)
        };
        let before: Vec<usize> = (0..200).map(owner).collect();
        assert_eq!(before, (0..200).map(owner).collect::<Vec<_>>());
        world.found(2, Err("it answered 503".to_owned()));
        for (was, is) in before.iter().zip((0..200).map(owner)) {
            assert!(if *was == 2 { is != 2 } else { is == *was }, "{was} became {is}");
        }
        world.found(2, Ok(()));
        assert_eq!(before, (0..200).map(owner).collect::<Vec<_>>(), "as it was");
    }
}

#[test]
fn cookies_parameters_and_addresses_are_hashed_and_what_is_missing_is_the_address() {
    let owner = |key: HashKey, uri: &str, cookie: &str, client: [u8; 4]| {
        let backend = World::new(&[1; 50], balancing(Balancing::Maglev(key))).backend();
        let mut head = head();
        head.uri = uri.parse().unwrap();
        head.headers.insert("cookie", HeaderValue::from_str(cookie).unwrap());
        index(backend.pick(&Ask { client: client.into(), ..ask(&head, &[]) }).unwrap().slot)
    };
    let cookie = |cookie: &str, client| owner(HashKey::Cookie("sid".into()), "/", cookie, client);
    assert_eq!(cookie("a=b; sid=1", [10, 0, 0, 1]), cookie("sid=1; xsid=2", [10, 0, 0, 2]));
    assert_ne!(cookie("sid=1", [10, 0, 0, 1]), cookie("sid=2", [10, 0, 0, 1]));
    let param = |uri: &str| owner(HashKey::QueryParam("u".into()), uri, "", [10, 0, 0, 1]);
    assert_eq!(param("/?a=1&u=7"), param("/other?u=7&uu=8"));
    assert_ne!(param("/?u=7"), param("/?u=8"));
    let address = |client| owner(HashKey::ClientAddress, "/", "", client);
    assert_eq!(cookie("", [10, 0, 0, 9]), address([10, 0, 0, 9]));
    assert_ne!(address([10, 0, 0, 9]), address([10, 0, 0, 8]));
}

#[test]
fn an_endpoint_that_is_checked_gets_nothing_before_its_first_success_and_nothing_while_it_fails() {
    let world = World::new(&[1, 1], checked());
    let backend = world.backend();
    assert!(pick(&backend, &[]).is_none());
    assert!(backend.reason().starts_with("2 starting (Starting: endpoint `0` has not been asked"));
    world.found(1, Ok(()));
    assert_eq!((picks(&backend, 3), backend.len()), (vec![1, 1, 1], 1));
    world.found(0, Ok(()));
    world.found(1, Err("it answered 503".to_owned()));
    assert_eq!(picks(&backend, 3), [0, 0, 0]);
    world.found(0, Err("it answered 503".to_owned()));
    assert!(pick(&backend, &[]).is_none());
    assert!(
        backend
            .reason()
            .starts_with("2 unhealthy (Unhealthy: endpoint `0` fails its health check: it answered")
    );
}

#[test]
fn errors_in_a_row_eject_an_endpoint_but_never_more_than_allowed_nor_the_last() {
    let errors = |backend: &Backend, index: usize, number: usize| {
        let watched = backend.slots[index].watched.as_ref().unwrap();
        (0..number).for_each(|_| watched.observe(Outcome::Bad));
        let _ = pick(backend, &[]);
        backend.len()
    };
    let world = World::new(&[1, 1, 1, 1], ejecting(3, 50));
    let backend = world.backend();
    assert_eq!(errors(&backend, 0, 2), 4);
    backend.slots[0].watched.as_ref().unwrap().observe(Outcome::Good);
    assert_eq!(errors(&backend, 0, 2), 4, "not in a row");
    assert_eq!(errors(&backend, 0, 1), 3);
    assert!(!picks(&backend, 9).contains(&0));
    assert_eq!(errors(&backend, 1, 3), 2);
    assert_eq!(errors(&backend, 2, 30), 2, "half of them is the most");
    let world = World::new(&[1, 1], ejecting(1, 100));
    let backend = world.backend();
    assert_eq!(errors(&backend, 0, 1), 1);
    assert_eq!(errors(&backend, 1, 10), 1, "somebody has to serve");
}

#[tokio::test(start_paused = true)]
async fn an_ejected_endpoint_comes_back_by_itself_and_slowly_if_asked_to() {
    let policy = BackendPolicy { slow_start: Some(Duration::from_secs(100)), ..ejecting(1, 100) };
    let backend = World::new(&[1, 1], policy).backend();
    tokio::time::advance(Duration::from_secs(200)).await;
    let share = |requests| counts(&backend, requests)[0];
    assert_eq!(share(1000), 500);
    backend.slots[0].watched.as_ref().unwrap().observe(Outcome::Bad);
    assert_eq!(share(1000), 0);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!((80..100).contains(&share(1000)), "a tenth of its weight: {}", share(1000));
    tokio::time::advance(Duration::from_secs(50)).await;
    assert!((320..350).contains(&share(1000)), "half of its weight: {}", share(1000));
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(share(1000), 500);
}

#[tokio::test(start_paused = true)]
async fn where_every_place_is_taken_so_many_wait_and_no_more() {
    let connections =
        Connections { max_per_endpoint: NonZeroU32::new(2), max_pending: Some(1), ..Connections::default() };
    let backend = World::new(&[1, 1], BackendPolicy { connections, ..BackendPolicy::default() }).backend();
    let head = head();
    let mut places: Vec<Place> = (0..4).filter_map(|_| backend.pick(&ask(&head, &[]))?.place).collect();
    assert_eq!(places.len(), 4);
    assert!(backend.pick(&ask(&head, &[])).is_none());
    assert!(backend.is_crowded(&[]));
    let first = backend.queue(None).unwrap();
    assert!(backend.queue(None).is_none(), "too many");
    let first = backend.queue(Some(first)).unwrap();
    tokio::time::timeout(Duration::from_secs(1), backend.room(&[])).await.unwrap_err();
    let all: Vec<Rc<Endpoint>> = backend.slots.iter().map(|slot| slot.endpoint.clone()).collect();
    tokio::join!(backend.room(&[]), async { drop(places.pop()) });
    tokio::time::timeout(Duration::from_secs(1), backend.room(&all)).await.unwrap_err();
    backend.room(&[]).await;
    assert!(backend.pick(&ask(&head, &[])).is_some());
    drop(first);
    assert!(backend.queue(None).is_some());
}

#[test]
fn what_is_known_survives_a_new_table_and_is_forgotten_with_the_endpoint() {
    let world = World::new(&[1, 1], checked());
    world.found(0, Ok(()));
    assert_eq!(picks(&world.backend(), 2), [0, 0], "another table, the same endpoints");
    world.upstreams.fleet.adopt(Arc::default);
    assert!(pick(&world.backend(), &[]).is_none(), "all are new");
}

#[test]
fn workers_share_one_lookup_and_a_table_that_changes_no_endpoint_keeps_it() {
    let world = World::new(&[1, 1], balancing(Balancing::Maglev(HashKey::ClientAddress)));
    let (group, _) = world.upstreams.fleet.group(&world.table);
    let lookup = group.lookup(&world.table).unwrap();
    assert!(Arc::ptr_eq(&lookup, &group.lookup(&world.table).unwrap()));
    let more = table_backend(&[1, 1, 1], (*world.table.policy).clone());
    assert!(!Arc::ptr_eq(&lookup, &group.lookup(&more).unwrap()));
}

#[test]
fn what_a_worker_meets_of_the_next_table_while_one_is_adopted_is_not_forgotten() {
    let world = World::new(&[1], checked());
    let mut met = None;
    world.upstreams.fleet.adopt(|| {
        // The table is loaded; a worker has the next one already.
        met = Some(world.backend());
        Arc::default()
    });
    world.found(0, Ok(()));
    assert!(pick(&met.unwrap(), &[]).is_some(), "what is found out reaches the worker");
}
