//! Whose check is due when. No clock: the time is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    model::{BackendPolicy, EndpointTls, HealthCheck, ProxyProtocol, Scheme},
    proxy::upstream::{Group, Member, Seen},
    route::{Address, hashing},
};

/// The endpoints that are checked.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    rounds: BTreeMap<Key, Round>,
    due: BTreeSet<(Instant, Key)>,
}

/// A backend's name, and the address of an endpoint of it.
pub(super) type Key = (Arc<str>, Address);

/// An endpoint that is asked again and again.
#[derive(Debug)]
struct Round {
    policy: Arc<BackendPolicy>,
    scheme: Scheme,
    tls: Option<Arc<EndpointTls>>,
    group: Arc<Group>,
    member: Arc<Member>,
    next: Next,
    /// How many checks there were.
    count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    At(Instant),
    /// After the one that is under way.
    Asking,
}

/// A check that is to be made now.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) key: Key,
    /// Where to ask.
    pub(super) address: Address,
    pub(super) scheme: Scheme,
    pub(super) tls: Option<Arc<EndpointTls>>,
    pub(super) check: HealthCheck,
    /// How connections have to begin.
    pub(super) proxy_protocol: Option<ProxyProtocol>,
}

// === impl Rounds ===

impl Rounds {
    /// Takes note of the endpoints there are now. Those that are known, and asked for the same, go on in their rhythm;
    /// the others are due at once.
    pub(super) fn adopt(&mut self, seen: Vec<Seen>, now: Instant) {
        let mut before = std::mem::take(&mut self.rounds);
        for Seen { backend, address, scheme, tls, group, member } in seen {
            if backend.policy.check.is_none() {
                continue;
            }
            let key = (backend.name.clone(), address);
            let known = before.remove(&key).filter(|round| {
                let is_same = round.policy.check == backend.policy.check
                    && (round.scheme, &round.tls) == (scheme, &tls);
                is_same && Arc::ptr_eq(&round.member, &member)
            });
            let (next, count) = known.map_or((Next::At(now), 0), |round| (round.next, round.count));
            let policy = backend.policy.clone();
            self.rounds.insert(key, Round { policy, scheme, tls, group, member, next, count });
        }
        let due = self.rounds.iter().filter_map(|(key, round)| match round.next {
            Next::At(at) => Some((at, key.clone())),
            Next::Asking => None,
        });
        self.due = due.collect();
    }

    /// When the next check is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A check that is due, if there is one; it has to be ended.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Task> {
        self.due().filter(|at| *at <= now)?;
        let (_, key) = self.due.pop_first()?;
        let round = self.rounds.get_mut(&key)?;
        let check = round.policy.check.clone()?;
        round.next = Next::Asking;
        let address = match (&key.1, check.port) {
            (Address::Tcp(address), Some(port)) => Address::Tcp(SocketAddr::new(address.ip(), port.get())),
            (Address::Tcp(_), None) | (Address::Unix(_), _) => key.1.clone(),
        };
        let proxy_protocol = round.policy.connections.proxy_protocol;
        Some(Task { key, address, scheme: round.scheme, tls: round.tls.clone(), check, proxy_protocol })
    }

    /// Takes note of a check's outcome and says when the next one is.
    pub(super) fn end(&mut self, key: &Key, outcome: Result<(), String>, now: Instant) {
        let Some(round) = self.rounds.get_mut(key) else { return };
        // Another one may be due already, where the endpoint was forgotten and has come back meanwhile.
        if let Next::At(at) = round.next {
            self.due.remove(&(at, key.clone()));
        }
        round.group.checked(&round.member, &round.policy, outcome);
        let Some(check) = &round.policy.check else { return };
        round.count += 1;
        let pause = round.member.vitals().pause(check);
        let at = now + jittered(pause, hashing::hash(key.1.to_string().as_bytes()) ^ round.count);
        round.next = Next::At(at);
        self.due.insert((at, key.clone()));
    }
}

/// The pause, a tenth shorter or longer or in between: endpoints that came together are not asked together for ever.
fn jittered(pause: Duration, seed: u64) -> Duration {
    let percent = 90 + u32::try_from(hashing::mix(seed) % 21).unwrap_or(10);
    pause * percent / 100
}

#[cfg(test)]
mod tests;
