//! Which HTTPS listeners of a socket clients may mix up: a browser uses a connection again for every host that its
//! certificate and address fit. The listener of such a host is then asked over a connection of another one's.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::listeners::ServedListener;
use crate::model::{Host, HostPattern, ResourceId};

/// A listener: owner and name.
type Whose<'a> = (&'a ResourceId, &'a str);

/// Listeners by the patterns that they, or their certificates, have on a socket; `None` stands for every host.
type Patterns<'a> = BTreeMap<(SocketAddr, Option<&'a HostPattern>), BTreeSet<Whose<'a>>>;

/// Each listener that overlaps with others, with the first of these: by hostname, and by certificate.
#[derive(Default)]
pub(super) struct Overlaps<'a> {
    hostnames: BTreeMap<Whose<'a>, Whose<'a>>,
    certificates: BTreeMap<Whose<'a>, Whose<'a>>,
}

// === impl Overlaps ===

impl<'s> Overlaps<'s> {
    pub(super) fn among<'a: 's>(listeners: impl Iterator<Item = &'s ServedListener<'a>>) -> Self {
        let (mut hostnames, mut certificates) = (Patterns::new(), Patterns::new());
        for served in listeners.filter(|served| served.is_valid()) {
            let Some(keys) = served.certificates() else { continue };
            let whose = (served.owner, &*served.listener.name);
            for socket in &served.sockets {
                let place = (*socket, served.listener.hostname.as_ref());
                hostnames.entry(place).or_default().insert(whose);
                for name in keys.iter().flat_map(|key| &key.names) {
                    certificates.entry((*socket, Some(name))).or_default().insert(whose);
                }
            }
        }
        Self { hostnames: pairs(&hostnames, wider), certificates: pairs(&certificates, wildcard) }
    }

    /// What comes of it.
    const SO: &'static str = "clients may use a connection of one for hosts of the other; such requests are answered 421 \
                          (Misdirected Request), after which browsers open another one";

    /// The standard's reason, and words. That of certificates weighs more.
    pub(super) fn of(&self, owner: &ResourceId, name: &str) -> Option<(&'static str, String)> {
        let found = |map: &BTreeMap<Whose<'_>, Whose<'_>>| {
            map.get(&(owner, name)).map(|(owner, name)| format!("of listener `{name}` of {owner}"))
        };
        let certificates = found(&self.certificates).map(|other| {
            ("OverlappingCertificates", format!("its certificates are also for names {other}: {}", Self::SO))
        });
        let hostnames = || {
            found(&self.hostnames).map(|other| {
                ("OverlappingHostnames", format!("its hostname overlaps with that {other}: {}", Self::SO))
            })
        };
        certificates.or_else(hostnames)
    }
}

/// Finds for each pattern whoever has the same one, or one that takes it too.
fn pairs<'a>(
    patterns: &Patterns<'a>,
    wider: impl Fn(&HostPattern) -> Vec<Option<HostPattern>>,
) -> BTreeMap<Whose<'a>, Whose<'a>> {
    let mut pairs: BTreeMap<Whose<'a>, Whose<'a>> = BTreeMap::new();
    for ((socket, pattern), holders) in patterns {
        let wider = pattern.map(&wider).unwrap_or_default();
        let wider = wider.iter().map(Option::as_ref);
        let others = wider.filter_map(|pattern| patterns.get(&(*socket, pattern)));
        let others: BTreeSet<Whose<'a>> = others.flatten().chain(holders).copied().collect();
        for holder in holders {
            let Some(other) = others.iter().find(|other| *other != holder) else { continue };
            pairs.entry(*holder).or_insert(*other);
            pairs.entry(*other).or_insert(*holder);
        }
    }
    pairs
}

/// The name beside itself by which a certificate may be for a name: a wildcard of certificates stands for one label.
fn wildcard(pattern: &HostPattern) -> Vec<Option<HostPattern>> {
    match pattern {
        HostPattern::Exact(_) => wider(pattern).into_iter().flatten().take(1).map(Some).collect(),
        HostPattern::Wildcard(_) => Vec::new(),
    }
}

/// The patterns beside itself that take all hosts of a pattern, the narrowest first.
fn wider(pattern: &HostPattern) -> Vec<Option<HostPattern>> {
    let name = match pattern {
        HostPattern::Exact(host) | HostPattern::Wildcard(host) => host.as_str(),
    };
    let suffixes = name.match_indices('.').filter_map(|(dot, _)| Host::parse(&name[dot + 1..]).ok());
    suffixes.map(|suffix| Some(HostPattern::Wildcard(suffix))).chain([None]).collect()
}
