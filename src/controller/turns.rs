//! When certificates begin and end: statuses tell of it, and nothing else would wake the loop then.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{CertifiedKey, Kind, Resource, Snapshot};

/// The next moment in which a certificate begins or ends, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turns(Option<i64>);

// === impl Turns ===

impl Turns {
    /// The clock may be set: so often it is looked at.
    const LONGEST: i64 = 3600;

    /// After the time of the snapshot.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let issued = snapshot.issued.values().filter_map(|issued| issued.good.as_deref());
        let held = snapshot.of_kind(Kind::Secret).filter_map(|(_, resource)| {
            let Resource::Secret(secret) = resource else { return None };
            secret.certificate.as_deref()
        });
        // It is still valid in its last second.
        let turns = |key: &CertifiedKey| [key.not_before, key.not_after.saturating_add(1)];
        Self(issued.chain(held).flat_map(turns).filter(|turn| *turn > snapshot.now).min())
    }

    /// Tells each of them once.
    pub(super) fn is_due(&mut self, now: i64) -> bool {
        self.0.take_if(|turn| *turn <= now).is_some()
    }

    pub(super) fn deadline(self, now: i64) -> Option<Instant> {
        let left = self.0?.saturating_sub(now).clamp(0, Self::LONGEST);
        Some(Instant::now() + Duration::from_secs(left.unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Issued, KeyForm, PrivateKey, ResourceId};

    fn lasting(not_before: i64, not_after: i64) -> Issued {
        let key = PrivateKey::new(KeyForm::Pkcs8, *b"secret");
        let key = CertifiedKey { chain: Vec::new(), key, names: Vec::new(), not_before, not_after };
        Issued { good: Some(Arc::new(key)), problem: None }
    }

    #[test]
    fn the_next_of_all_is_waited_for_and_told_once() {
        let mut snapshot = Snapshot { now: 100, ..Snapshot::default() };
        assert_eq!(Turns::of(&snapshot), Turns(None));
        for (name, from, until) in [("past", 0, 99), ("long", 50, i64::MAX), ("later", 300, 400)] {
            snapshot.issued.insert(ResourceId::new(Kind::Certificate, "default", name), lasting(from, until));
        }
        let mut turns = Turns::of(&snapshot);
        assert_eq!(turns, Turns(Some(300)));
        assert!(!turns.is_due(299));
        assert!(turns.is_due(300) && !turns.is_due(300), "once");
        snapshot.now = 300;
        assert_eq!(Turns::of(&snapshot), Turns(Some(401)), "its last second counts");
    }

    #[test]
    fn a_clock_that_is_set_is_noticed() {
        let longest = Duration::from_secs(Turns::LONGEST.unsigned_abs());
        assert!(Turns(Some(i64::MAX)).deadline(0).unwrap() <= Instant::now() + longest);
        assert!(Turns(Some(1)).deadline(i64::MAX).unwrap() <= Instant::now(), "it is over");
        assert_eq!(Turns(None).deadline(0), None);
    }
}
