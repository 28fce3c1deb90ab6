//! Shares, disruption, order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Make = fn(&[(String, u32)]) -> Lookup;

const BOTH: [Make; 2] =
    [|members| Lookup::Ring(Ring::new(members)), |members| Lookup::Maglev(Maglev::new(members))];

fn members(weights: &[u32]) -> Vec<(String, u32)> {
    weights.iter().enumerate().map(|(index, weight)| (format!("10.0.0.{index}:80"), *weight)).collect()
}

/// To whom each of so many keys belongs, by identity.
fn owners(make: Make, members: &[(String, u32)], keys: u64) -> Vec<String> {
    let lookup = make(members);
    (0..keys).map(|key| members[lookup.walk(hash(&key.to_be_bytes())).next().unwrap()].0.clone()).collect()
}

#[test]
fn shares_are_within_a_tenth_of_the_weights() {
    for make in BOTH {
        for weights in [&[1, 1][..], &[1; 10], &[3, 1], &[10, 20, 30, 40], &[1_000_000, 1_000_000, 500_000]] {
            let members = members(weights);
            let mut counts: BTreeMap<String, f64> = BTreeMap::new();
            for owner in owners(make, &members, 100_000) {
                *counts.entry(owner).or_default() += 1.0;
            }
            let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
            for (identity, weight) in &members {
                let share = counts[identity] / 100_000.0 / (f64::from(*weight) / total);
                assert!((0.9..1.1).contains(&share), "{weights:?}: {identity} has {share} of its share");
            }
        }
    }
}

#[test]
fn when_one_goes_hardly_a_key_of_the_others_moves() {
    for (make, most) in BOTH.into_iter().zip([0.0, 0.03]) {
        let before = members(&[1; 10]);
        let mut after = before.clone();
        let gone = after.remove(3).0;
        let owners_before = owners(make, &before, 20_000);
        let others = owners_before.iter().zip(owners(make, &after, 20_000)).filter(|(was, _)| **was != gone);
        let (moved, all) =
            others.fold((0, 0), |(moved, all), (was, is)| (moved + u32::from(*was != is), all + 1));
        assert!(f64::from(moved) <= most * f64::from(all), "{moved} of {all} keys moved");
    }
}

#[test]
fn whoever_takes_the_place_of_one_that_is_down_takes_only_its_keys() {
    for make in BOTH {
        let lookup = make(&members(&[1; 4]));
        let mut heirs: BTreeMap<usize, u32> = BTreeMap::new();
        for key in 0..10_000_u64 {
            let mut walk = lookup.walk(hash(&key.to_be_bytes()));
            let first = walk.next().unwrap();
            if first == 0 {
                *heirs.entry(walk.find(|index| *index != 0).unwrap()).or_default() += 1;
            }
        }
        assert!(heirs.len() == 3 && heirs.values().all(|count| *count > 500), "{heirs:?}");
    }
}

#[test]
fn nobody_owns_a_key_where_nobody_is() {
    for make in BOTH {
        assert_eq!(make(&[]).walk(7).next(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_order_of_members_makes_no_difference(
        members in proptest::collection::btree_map("[a-z]{1,8}", 1_u32..1000, 1..12),
        turn in 0_usize..12,
    ) {
        let members: Vec<(String, u32)> = members.into_iter().collect();
        let mut turned = members.clone();
        turned.rotate_left(turn % members.len());
        turned.reverse();
        for make in BOTH {
            prop_assert_eq!(owners(make, &members, 500), owners(make, &turned, 500));
        }
    }

    #[test]
    fn every_member_with_a_share_is_found_by_walking(weights in proptest::collection::vec(1_u32..4, 1..20)) {
        for make in BOTH {
            let lookup = make(&members(&weights));
            let mut seen: Vec<usize> = lookup.walk(hash(b"key")).collect();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen, (0..weights.len()).collect::<Vec<_>>());
        }
    }
}
