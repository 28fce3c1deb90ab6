//! Which endpoint a request goes to.

mod watched;

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
};

use super::*;
use crate::model::{BackendPolicy, Scheme};

fn table_backend(weights: &[u32], policy: BackendPolicy) -> route::Backend {
    let endpoint = |(index, weight): (usize, &u32)| route::Endpoint {
        address: Address::Tcp(SocketAddr::from(([10, 0, 0, u8::try_from(index).unwrap()], 80))),
        scheme: Scheme::Http,
        tls: None,
        weight: *weight,
        name: index.to_string().into(),
    };
    let endpoints = weights.iter().enumerate().map(endpoint).collect();
    route::Backend { name: "default/b".into(), endpoints, policy: Arc::new(policy), reason: "".into() }
}

fn backend(upstreams: &Upstreams, weights: &[u32]) -> Backend {
    upstreams.backend((&table_backend(weights, BackendPolicy::default()), None), &Limits::default(), 0)
}

fn head() -> Parts {
    http::Request::new(()).into_parts().0
}

fn ask<'a>(head: &'a Parts, failed: &'a [Rc<Endpoint>]) -> Ask<'a> {
    Ask { failed, head, client: Ipv4Addr::LOCALHOST.into(), random: 0, now: Instant::now(), home: None }
}

fn pick<'b>(backend: &'b Backend, failed: &[Rc<Endpoint>]) -> Option<&'b Slot> {
    backend.pick(&ask(&head(), failed)).map(|picked| picked.slot)
}

fn picks(backend: &Backend, number: usize) -> Vec<usize> {
    (0..number).map(|_| pick(backend, &[]).unwrap().name.parse().unwrap()).collect()
}

#[test]
fn equal_endpoints_take_turns() {
    let upstreams = Upstreams::default();
    let mut first = picks(&backend(&upstreams, &[1, 1, 1]), 3);
    first.sort_unstable();
    assert_eq!(first, [0, 1, 2]);
}

#[test]
fn each_round_gives_every_endpoint_its_exact_weight() {
    for weights in [&[3, 1][..], &[1], &[5, 0, 7, 1], &[100_000, 1], &[2, 2, 2, 2]] {
        let backend = backend(&Upstreams::default(), weights);
        let expected: Vec<u32> = weights.iter().map(|weight| (*weight).max(1)).collect();
        let mut counts = vec![0; weights.len()];
        for index in picks(&backend, expected.iter().sum::<u32>() as usize) {
            counts[index] += 1;
        }
        assert_eq!(counts, expected);
    }
}

#[test]
fn a_heavy_endpoint_does_not_get_all_its_requests_in_a_row() {
    let sequence = picks(&backend(&Upstreams::default(), &[5, 5]), 10);
    let longest = sequence.chunk_by(|a, b| a == b).map(<[usize]>::len).max().unwrap();
    assert!(longest <= 2, "{sequence:?}");
}

#[test]
fn the_turn_survives_a_new_table() {
    let upstreams = Upstreams::default();
    let first = picks(&backend(&upstreams, &[1, 1, 1]), 2);
    let then = picks(&backend(&upstreams, &[1, 1, 1]), 1);
    assert!(!first.contains(&then[0]), "{first:?} then {then:?}");
}

#[test]
fn what_failed_is_left_out_and_nobody_is_left_at_last() {
    let backend = backend(&Upstreams::default(), &[1, 1, 1]);
    let mut failed = Vec::new();
    while let Some(slot) = pick(&backend, &failed) {
        failed.push(slot.endpoint.clone());
    }
    assert_eq!(failed.len(), 3);
    assert!(pick(&self::backend(&Upstreams::default(), &[]), &[]).is_none());
}

#[test]
fn what_is_not_in_the_table_is_forgotten() {
    let upstreams = Upstreams::default();
    drop(backend(&upstreams, &[1, 1]));
    assert_eq!(upstreams.endpoints.borrow().len(), 2);
    upstreams.sweep(&Table::default());
    assert_eq!((upstreams.endpoints.borrow().len(), upstreams.turns.borrow().len()), (0, 0));
}

#[test]
fn what_is_under_way_counts_also_when_its_endpoint_has_left_the_table() {
    let (upstreams, limits) = (Upstreams::default(), Limits::default());
    let endpoint = pick(&backend(&upstreams, &[1]), &[]).unwrap().endpoint.clone();
    let address = BTreeSet::from([SocketAddr::from(([10, 0, 0, 0], 80))]);
    let visits = [(); 2].map(|()| Visit::new(&endpoint, None));
    drop(endpoint);
    assert_eq!((upstreams.visits(&address), upstreams.visits(&BTreeSet::new())), (2, 0));
    upstreams.sweep(&Table::default());
    upstreams.expire(Instant::now(), &limits);
    assert_eq!(upstreams.visits(&address), 2);
    drop(visits);
    assert_eq!(upstreams.visits(&address), 0);
    upstreams.expire(Instant::now(), &limits);
    assert!(upstreams.endpoints.borrow().is_empty(), "nothing is left of it");
}
