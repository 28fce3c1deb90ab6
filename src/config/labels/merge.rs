//! Brings the claims of all containers together: equal ones balance, and where only one can be, it is said who wins.
//!
//! Containers of one service that disagree are two versions of it: the newest that is ready wins. Strangers that
//! disagree are settled by age: the oldest wins. What loses is left out there, never both.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Problems,
    claims::{Claim, Owner, Shape, Source, Strip, Terms},
};
use crate::model::{HostPattern, Phase, Severity, Workload};

/// What becomes one `HTTPRoute` and one `Backend`.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) owner: Owner,
    pub(super) route: Option<Arc<str>>,
    pub(super) shape: Shape,
    /// Those in labels first.
    pub(super) hosts: Vec<HostPattern>,
    /// The oldest first.
    pub(super) members: Vec<Member<'a>>,
    pub(super) source: Source,
    pub(super) label: Option<Arc<str>>,
    /// The creation of the oldest member.
    pub(super) created: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    pub(super) workload: &'a Workload,
    pub(super) terms: Terms,
}

/// What of a host is claimed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Path(Arc<str>),
    /// The label's route; by name among versions of one service.
    Route(Option<Arc<str>>),
    /// By what it says.
    Spec(Arc<str>),
}

/// Claims that are settled, for one place of one host.
struct Settled<'a> {
    host: HostPattern,
    /// The winner's first; the oldest first.
    claims: Vec<Claim<'a>>,
}

/// What hosts must have in common to be in one route.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct GroupKey<'a> {
    owner: Owner,
    route: Option<Arc<str>>,
    shape: Shape,
    members: Vec<(&'a str, Terms)>,
}

/// Settles all claims and groups what is served alike: the groups of the oldest owner first, and of each the one whose
/// hosts were written first.
pub(super) fn merge<'a>(claims: Vec<Claim<'a>>, problems: &mut Problems) -> Vec<Group<'a>> {
    let claims = within_owners(claims, problems);
    let settled = between_owners(claims, problems);
    group(settled)
}

/// Versions of one service: the newest ready container says how one place is served.
fn within_owners<'a>(claims: Vec<Claim<'a>>, problems: &mut Problems) -> Vec<Claim<'a>> {
    let mut places: BTreeMap<(Owner, HostPattern, Place), Vec<Claim<'a>>> = BTreeMap::new();
    for claim in claims {
        let place = match &claim.shape {
            Shape::Path { prefix, .. } => Place::Path(prefix.clone()),
            Shape::Spec(_) => Place::Route(claim.route.clone()),
        };
        places.entry((claim.owner.clone(), claim.host.clone(), place)).or_default().push(claim);
    }
    let mut kept = Vec::new();
    for claims in places.into_values() {
        let newest = claims.iter().max_by_key(|claim| {
            let Workload { created, id, .. } = claim.workload;
            (claim.workload.is_ready(), !is_passive(claim.workload), *created, id)
        });
        let Some((winner, shape)) = newest.map(|newest| (newest.workload, newest.shape.clone())) else {
            continue;
        };
        for claim in claims {
            if claim.shape == shape {
                kept.push(claim);
            } else {
                older_version(&claim, winner, problems);
            }
        }
    }
    kept
}

/// Different services and containers: equal claims balance, otherwise the oldest owner wins.
fn between_owners<'a>(claims: Vec<Claim<'a>>, problems: &mut Problems) -> Vec<Settled<'a>> {
    let mut ages: BTreeMap<Owner, i64> = BTreeMap::new();
    for claim in claims.iter().filter(|claim| !is_passive(claim.workload)) {
        let age = ages.entry(claim.owner.clone()).or_insert(i64::MAX);
        *age = claim.workload.created.min(*age);
    }
    let mut places: BTreeMap<(HostPattern, Place), Vec<Claim<'a>>> = BTreeMap::new();
    for claim in claims {
        let place = match &claim.shape {
            Shape::Path { prefix, .. } => Place::Path(prefix.clone()),
            Shape::Spec(spec) => Place::Spec(spec.canonical.clone()),
        };
        places.entry((claim.host.clone(), place)).or_default().push(claim);
    }
    let mut settled = Vec::new();
    for ((host, _), mut claims) in places {
        claims.sort_by_key(|claim| {
            let age = ages.get(&claim.owner).copied().unwrap_or(i64::MAX);
            let Workload { created, id, .. } = claim.workload;
            (is_passive(claim.workload), age, claim.owner.clone(), *created, id, claim.order)
        });
        let Some(winner) = claims.first().filter(|first| !is_passive(first.workload)).cloned() else {
            continue;
        };
        let is_written = claims.iter().any(|claim| claim.source == Source::Written);
        claims.retain(|claim| {
            let is_kept = claim.shape == winner.shape && (is_written || claim.owner == winner.owner);
            if !is_kept {
                younger_stranger(claim, &winner, problems);
            }
            is_kept
        });
        settled.push(Settled { host, claims });
    }
    settled
}

fn group(settled: Vec<Settled<'_>>) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<GroupKey<'_>, Vec<Settled<'_>>> = BTreeMap::new();
    for settled in settled {
        if let Some(key) = settled.key() {
            groups.entry(key).or_default().push(settled);
        }
    }
    let mut groups: Vec<(usize, Group<'_>)> =
        groups.into_iter().filter_map(|(key, settled)| finish(key, settled)).collect();
    let mut ages: BTreeMap<Owner, i64> = BTreeMap::new();
    for (_, group) in &groups {
        let age = ages.entry(group.owner.clone()).or_insert(i64::MAX);
        *age = group.created.min(*age);
    }
    groups.sort_by(|(order, one), (other_order, other)| {
        let by_age = ages.get(&one.owner).cmp(&ages.get(&other.owner));
        by_age
            .then_with(|| one.owner.cmp(&other.owner))
            .then_with(|| one.route.cmp(&other.route))
            .then_with(|| one.source.cmp(&other.source))
            .then_with(|| order.cmp(other_order))
            .then_with(|| one.hosts.cmp(&other.hosts))
    });
    groups.into_iter().map(|(_, group)| group).collect()
}

/// The group, and the place of its first host among the claims of its container.
fn finish<'a>(key: GroupKey<'a>, mut settled: Vec<Settled<'a>>) -> Option<(usize, Group<'a>)> {
    settled.sort_by(|one, other| (one.order(), &one.host).cmp(&(other.order(), &other.host)));
    let first = settled.first()?;
    let members = members(&first.claims);
    let living = members.iter().map(|member| member.workload).filter(|workload| !is_passive(workload));
    let GroupKey { owner, route, shape, .. } = key;
    let group = Group {
        owner,
        route,
        shape,
        source: settled
            .iter()
            .filter_map(|settled| settled.claims.first())
            .map(|claim| claim.source)
            .min()?,
        label: first.claims.first()?.label.clone(),
        created: living.map(|workload| workload.created).min().unwrap_or_default(),
        members,
        hosts: settled.iter().map(|settled| settled.host.clone()).collect(),
    };
    Some((first.order(), group))
}

/// The containers behind some claims, the oldest first.
fn members<'a>(claims: &[Claim<'a>]) -> Vec<Member<'a>> {
    let mut members: Vec<Member<'a>> =
        claims.iter().map(|claim| Member { workload: claim.workload, terms: claim.terms.clone() }).collect();
    members.sort_by_key(|member| (member.workload.created, &member.workload.id));
    members.dedup_by_key(|member| &member.workload.id);
    members
}

/// A container that was never started, or will never start again, claims nothing by itself.
fn is_passive(workload: &Workload) -> bool {
    match workload.phase {
        Phase::Created | Phase::Dead => true,
        Phase::Running
        | Phase::Paused
        | Phase::Restarting
        | Phase::Draining
        | Phase::Terminating
        | Phase::Exited
        | Phase::Gone => false,
    }
}

// === impl Settled ===

impl<'a> Settled<'a> {
    fn order(&self) -> usize {
        self.claims.first().map_or(usize::MAX, |first| first.order)
    }

    fn key(&self) -> Option<GroupKey<'a>> {
        let first = self.claims.first()?;
        let members = members(&self.claims).into_iter();
        Some(GroupKey {
            owner: first.owner.clone(),
            route: first.route.clone(),
            shape: first.shape.clone(),
            members: members.map(|member| (&*member.workload.id.0, member.terms)).collect(),
        })
    }
}

// === what is said of those that lose ===

fn older_version(claim: &Claim<'_>, winner: &Workload, problems: &mut Problems) {
    if is_passive(claim.workload) || claim.workload.phase == Phase::Gone {
        return;
    }
    let prefix = claim.route.as_ref().map_or_else(String::new, |route| format!("{route}."));
    let (label, what) = match &claim.shape {
        Shape::Path { strip: Strip::Strip, .. } => ("path.strip", "takes the path prefix off"),
        Shape::Path { strip: Strip::Keep, .. } => ("path.strip", "leaves the path prefix on"),
        Shape::Spec(_) => ("route", "has a route of its own"),
    };
    let label = format!("portolan.{prefix}{label}");
    let message = format!(
        "container `{}` {what} (label `{label}`) for `{}`, unlike container `{}` of the same service, which is the newest \
         that is ready: only containers that agree with it get requests there",
        claim.workload.name, claim.host, winner.name
    );
    let hint = Some("give all containers of a service the same labels".to_owned());
    problems.add(claim.workload, Some(&label), (Severity::Warning, "Conflicted"), (message, hint));
}

fn younger_stranger(claim: &Claim<'_>, winner: &Claim<'_>, problems: &mut Problems) {
    if is_passive(claim.workload) {
        return;
    }
    let (severity, hint) = match claim.source {
        Source::Written => (Severity::Error, "let both say the same, or give this one another host or path"),
        Source::Default => (Severity::Warning, "give it another name with the label `portolan.host`"),
    };
    let label = claim.label.as_deref();
    let place = match &claim.shape {
        Shape::Path { prefix, .. } => format!("{}{prefix}", claim.host),
        Shape::Spec(_) => claim.host.to_string(),
    };
    let message = format!(
        "`{place}` of container `{}` belongs to container `{}`, which is older and serves it in another way",
        claim.workload.name, winner.workload.name
    );
    problems.add(claim.workload, label, (severity, "Conflicted"), (message, Some(hint.to_owned())));
}
