//! Which of a rule's backends, and which of a backend's endpoints: chance and counters are passed in.

use std::sync::Arc;

use super::Backend;
use crate::model::{ExternalAuth, HttpFilter, Share};

/// The weighted backends of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weighted {
    choices: Vec<Choice>,
    total: u64,
}

/// One backend reference of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub weight: u32,
    /// Sum of the weights up to and including this one.
    upto: u64,
    pub target: Target,
    /// Run after the rule's own filters.
    pub filters: Vec<HttpFilter>,
    /// Beside those of the rule.
    pub mirrors: Vec<Mirror>,
    /// After those of the rule.
    pub auths: Vec<Auth>,
}

/// Who is asked whether a request may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    pub target: Target,
    pub spec: Arc<ExternalAuth>,
}

/// Where copies of requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub target: Target,
    pub share: Share,
}

/// What a backend reference resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Backend(Arc<Backend>),
    /// The reference leads nowhere: its share is answered 500, with this reason in the log.
    Invalid(Arc<str>),
}

// === impl Choice ===

impl Choice {
    pub fn new(weight: u32, target: Target, filters: Vec<HttpFilter>) -> Self {
        Self { weight, upto: 0, target, filters, mirrors: Vec::new(), auths: Vec::new() }
    }
}

// === impl Weighted ===

impl Weighted {
    pub fn new(mut choices: Vec<Choice>) -> Self {
        let mut total = 0;
        for choice in &mut choices {
            total += u64::from(choice.weight);
            choice.upto = total;
        }
        Self { choices, total }
    }

    /// Picks by weight; `random` is any number, uniformly distributed. `None` if there is no choice of weight above 0.
    pub fn pick(&self, random: u64) -> Option<&Choice> {
        if let [only] = &*self.choices
            && only.weight > 0
        {
            return Some(only);
        }
        // The bias of the remainder is below 2^-40: weights sum up to at most 16 million.
        let point = random.checked_rem(self.total)?;
        let index = self.choices.partition_point(|choice| choice.upto <= point);
        self.choices.get(index)
    }

    /// Whether both send the same share of requests to the same endpoints, whatever the backends are called.
    pub(super) fn leads_where(&self, other: &Self) -> bool {
        let same = |(one, other): (&Choice, &Choice)| {
            one.weight == other.weight
                && one.filters == other.filters
                && one.mirrors == other.mirrors
                && one.auths == other.auths
                && match (&one.target, &other.target) {
                    (Target::Backend(one), Target::Backend(other)) if !one.endpoints.is_empty() => {
                        one.endpoints == other.endpoints && one.policy == other.policy
                    }
                    (one, other) => one == other,
                }
        };
        self.choices.len() == other.choices.len() && self.choices.iter().zip(&other.choices).all(same)
    }

    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighted(weights: &[u32]) -> Weighted {
        let choice = |(index, weight): (usize, &u32)| {
            Choice::new(*weight, Target::Invalid(index.to_string().into()), Vec::new())
        };
        Weighted::new(weights.iter().enumerate().map(choice).collect())
    }

    #[test]
    fn each_share_is_its_weight_of_the_sum() {
        let weighted = weighted(&[70, 0, 30]);
        let mut counts = [0; 3];
        for random in 0..1000 {
            let Target::Invalid(index) = &weighted.pick(random).unwrap().target else { unreachable!() };
            counts[index.parse::<usize>().unwrap()] += 1;
        }
        assert_eq!(counts, [700, 0, 300]);
    }

    #[test]
    fn weight_zero_gets_nothing_even_alone() {
        assert!(weighted(&[0]).pick(7).is_none());
        assert!(weighted(&[0, 0]).pick(7).is_none());
        assert!(weighted(&[]).pick(7).is_none());
    }
}
