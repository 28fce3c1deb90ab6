//! Two sorted lists, walked together: what is only in one, and what is in both.

use std::cmp::Ordering;

/// Each key of either list in order, with what each of them has for it. Both lists must be sorted by their keys, without
/// two that are equal, as maps are.
pub fn side_by_side<'k, K, L, R>(
    left: impl IntoIterator<Item = (&'k K, L)>,
    right: impl IntoIterator<Item = (&'k K, R)>,
) -> impl Iterator<Item = (&'k K, Option<L>, Option<R>)>
where
    K: Ord + 'k,
{
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    std::iter::from_fn(move || {
        let order = match (left.peek(), right.peek()) {
            (Some((left, _)), Some((right, _))) => left.cmp(right),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => left.next().map(|(key, left)| (key, Some(left), None)),
            Ordering::Greater => right.next().map(|(key, right)| (key, None, Some(right))),
            Ordering::Equal => {
                let (key, left) = left.next()?;
                Some((key, Some(left), right.next().map(|(_, right)| right)))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    proptest::proptest! {
        #[test]
        fn each_key_comes_once_with_what_both_have(left: BTreeMap<u8, u32>, right: BTreeMap<u8, u32>) {
            let walked: Vec<_> = side_by_side(&left, &right).collect();
            let keys: BTreeSet<&u8> = left.keys().chain(right.keys()).collect();
            let wanted: Vec<_> =
                keys.into_iter().map(|key| (key, left.get(key), right.get(key))).collect();
            proptest::prop_assert_eq!(walked, wanted);
        }
    }
}
