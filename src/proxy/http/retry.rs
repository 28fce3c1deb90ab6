//! Tries that a rule asks for: how many, when, and how many of them at the same time.
//!
//! A backend that fails under load must not get more of it: of a worker's requests to a backend at most a fifth, but
//! always a few, may be on another try. What is safe to send twice in any case is not counted: see [`super::forward`].

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use crate::model::Retry;

/// The budgets of backends, by name. They outlive tables.
#[derive(Default)]
pub(in crate::proxy) struct Budgets(RefCell<BTreeMap<Arc<str>, Rc<Budget>>>);

/// How many requests are under way at a backend whose rules ask for retries, and how many of them on another try.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Budget {
    active: Cell<u32>,
    again: Cell<u32>,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Retries {
    pub(super) policy: Arc<Retry>,
    budget: Rc<Budget>,
    /// Whether it is counted as one on another try.
    is_again: bool,
}

// === impl Budgets ===

impl Budgets {
    pub(in crate::proxy) fn of(&self, backend: &Arc<str>) -> Rc<Budget> {
        self.0.borrow_mut().entry(backend.clone()).or_default().clone()
    }

    /// Forgets those that nobody uses.
    pub(in crate::proxy) fn sweep(&self) {
        self.0.borrow_mut().retain(|_, budget| Rc::strong_count(budget) > 1);
    }
}

// === impl Retries ===

impl Retries {
    /// In percent of the requests under way.
    const SHARE: u32 = 20;
    /// Always allowed at the same time.
    const FLOOR: u32 = 3;
    const LONGEST_PAUSE: Duration = Duration::from_secs(30);

    pub(super) fn new(policy: &Arc<Retry>, budget: &Rc<Budget>) -> Self {
        budget.active.set(budget.active.get() + 1);
        Self { policy: policy.clone(), budget: budget.clone(), is_again: false }
    }

    /// Takes a place among the requests on another try; `false` if there is none.
    pub(super) fn take_place(&mut self) -> bool {
        let Budget { active, again } = &*self.budget;
        let most = Self::FLOOR.max(active.get() / 100 * Self::SHARE + active.get() % 100 * Self::SHARE / 100);
        if !self.is_again && again.get() < most {
            again.set(again.get() + 1);
            self.is_again = true;
        }
        self.is_again
    }

    /// How long to wait before try number `repeats` after the first. `random` spreads the tries of many requests.
    pub(super) fn pause(&self, repeats: u32, random: u64) -> Duration {
        let doubled = self.policy.backoff.saturating_mul(1 << repeats.saturating_sub(1).min(10));
        let least = doubled.min(Self::LONGEST_PAUSE).max(self.policy.backoff);
        least + least / 4 * u32::from(random.to_le_bytes()[0]) / 256
    }
}

impl Drop for Retries {
    fn drop(&mut self) {
        let Budget { active, again } = &*self.budget;
        active.set(active.get().saturating_sub(1));
        again.set(again.get().saturating_sub(u32::from(self.is_again)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(backoff: Duration) -> Arc<Retry> {
        Arc::new(Retry { codes: Vec::new(), attempts: 9, backoff })
    }

    #[test]
    fn a_fifth_of_the_requests_may_be_on_another_try_and_a_few_always() {
        for (requests, expected) in [(1, 1), (3, 3), (10, 3), (20, 4), (500, 100)] {
            let budget = Budgets::default().of(&"b".into());
            let policy = policy(Duration::ZERO);
            let mut active: Vec<Retries> = (0..requests).map(|_| Retries::new(&policy, &budget)).collect();
            let places = active.iter_mut().filter_map(|one| one.take_place().then_some(())).count();
            assert_eq!(places, expected, "{requests}");
            assert!(active[0].take_place(), "who has a place keeps it");
            if requests == 10 {
                drop(active.remove(0));
                assert!(active.last_mut().is_some_and(Retries::take_place), "a place was left");
            }
            drop(active);
            assert_eq!((budget.active.get(), budget.again.get()), (0, 0));
        }
    }

    #[test]
    fn each_pause_is_twice_the_last_and_never_shorter_than_said() {
        let budget = Rc::default();
        let second = Duration::from_secs(1);
        let retries = Retries::new(&policy(second), &budget);
        for (repeats, seconds) in [(1, 1), (2, 2), (3, 4), (6, 30), (u32::MAX, 30)] {
            let least = Duration::from_secs(seconds);
            assert_eq!(retries.pause(repeats, 0), least);
            let most = retries.pause(repeats, u64::MAX);
            assert!(most > least && most < least * 5 / 4, "{most:?}");
        }
        let minute = Duration::from_mins(1);
        assert_eq!(Retries::new(&policy(minute), &budget).pause(5, 0), minute);
    }
}
