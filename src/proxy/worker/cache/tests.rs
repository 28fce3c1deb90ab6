//! What stays of a table when the next one comes.

use super::*;
use crate::{
    proxy::{
        Config,
        tests::{rule, table_on},
        tls::Terminator,
    },
    runtime::live::live,
    telemetry::Metrics,
};

fn worker() -> Worker {
    let table = live(Table::default()).1;
    Worker::new(
        0,
        Arc::new(Config::default()),
        &table,
        (&Metrics::new(), None),
        (Arc::default(), Terminator::new(None)),
    )
}

fn rules(count: usize) -> Vec<Arc<route::Rule>> {
    (0..count).map(|_| Arc::new(rule(Target::Invalid("it leads nowhere".into())))).collect()
}

/// A table of its own, and the listener of another that is the same for all of them.
fn table() -> (Arc<Table>, Arc<Table>) {
    let table = || Arc::new(table_on(vec![([127, 0, 0, 1], 80).into()], Vec::new()));
    (table(), table())
}

fn listener(table: &Table) -> &route::Listener {
    table.sockets().next().and_then(|address| table.socket(address)?.listeners().next()).unwrap()
}

#[test]
fn what_the_next_table_has_too_is_not_worked_out_again() {
    let (worker, rules) = (worker(), rules(2));
    let (next, named) = table();
    let mut cache = worker.cache.borrow_mut();
    let before = [0, 1].map(|index| cache.rule(&worker, listener(&named), &rules[index]));
    cache.adopt(&worker.metrics, &next);
    assert!(Rc::ptr_eq(&before[0], &cache.rule(&worker, listener(&named), &rules[0])));
    let other = Arc::new((*rules[1]).clone());
    assert!(!Rc::ptr_eq(&before[1], &cache.rule(&worker, listener(&named), &other)));
    // Of another listener it is another.
    assert!(!Rc::ptr_eq(&before[0], &cache.rule(&worker, listener(&next), &rules[0])));
}

#[test]
fn a_listener_that_is_another_has_its_rules_worked_out_again() {
    let (worker, rules) = (worker(), rules(1));
    let (next, named) = table();
    let mut cache = worker.cache.borrow_mut();
    let before = cache.rule(&worker, listener(&named), &rules[0]);
    cache.adopt(&worker.metrics, &next);
    let mut moved = listener(&named).clone();
    moved.port = 81.try_into().unwrap();
    let after = cache.rule(&worker, &moved, &rules[0]);
    assert!(!Rc::ptr_eq(&before, &after));
    assert_eq!(after.port.get(), 81);
}

#[test]
fn what_nobody_asks_for_any_more_goes_a_little_at_a_time() {
    const ASKED: usize = 10;
    let (worker, rules) = (worker(), rules(1_000));
    let (next, named) = table();
    let mut cache = worker.cache.borrow_mut();
    for rule in &rules {
        cache.rule(&worker, listener(&named), rule);
    }
    cache.sweep();
    assert_eq!(cache.rules.len(), rules.len());
    cache.adopt(&worker.metrics, &next);
    for rule in &rules[..ASKED] {
        cache.rule(&worker, listener(&named), rule);
    }
    let mut sizes = Vec::new();
    for _ in 0..10 {
        cache.sweep();
        sizes.push(cache.rules.len());
    }
    assert_eq!(sizes[..5], [1_000, 1_000, 1_000, 744, 488]);
    assert_eq!((sizes[9], cache.old), (ASKED, 0));
    assert_eq!(rules.iter().filter(|rule| Arc::strong_count(rule) > 1).count(), ASKED);
}

#[test]
fn a_table_that_comes_soon_after_another_leaves_nothing_behind() {
    let worker = worker();
    let mut cache = worker.cache.borrow_mut();
    for _ in 0..100 {
        let ((next, named), rules) = (table(), rules(50));
        for rule in &rules {
            cache.rule(&worker, listener(&named), rule);
        }
        cache.adopt(&worker.metrics, &next);
        cache.sweep();
        assert!(cache.rules.len() <= 150, "{}", cache.rules.len());
    }
}
