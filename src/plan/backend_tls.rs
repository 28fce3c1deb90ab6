//! TLS towards backends: which policy holds, what it comes to, and what is said of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    certificates::{Certificates, Unusable, summed_up},
    statuses, words,
};
use crate::model::{
    Authorities, AuthorityRefs, BackendTls, BackendTlsPolicy, CertifiedKey, Condition, EndpointTls, Kind,
    ParentRef, ParentStatus, PolicyTarget, Resource, ResourceId, Service, Snapshot, Status, SubjectName,
    nearest,
};

/// The policies of a configuration.
pub(super) struct Policies<'a> {
    /// By namespace and name of the target, the oldest first.
    by_target: BTreeMap<(&'a str, &'a str), Vec<(&'a BackendTlsPolicy, &'a PolicyTarget)>>,
    certificates: Certificates<'a>,
}

/// What all endpoints of a backend have in common.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// Each endpoint's own name where absent.
    server_name: Option<Arc<str>>,
    authorities: Authorities,
    names: Vec<SubjectName>,
    client: Option<Arc<CertifiedKey>>,
}

// === impl Policies ===

impl<'a> Policies<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let mut policies: Vec<&BackendTlsPolicy> = Vec::new();
        for resource in snapshot.resources.values() {
            if let Resource::BackendTlsPolicy(policy) = resource {
                policies.push(policy);
            }
        }
        policies.sort_by_key(|policy| policy.meta.age_order());
        let mut by_target: BTreeMap<(&str, &str), Vec<_>> = BTreeMap::new();
        for policy in policies {
            for target in &policy.targets {
                let place = (&*policy.meta.id.namespace, &*target.name);
                by_target.entry(place).or_default().push((policy, target));
            }
        }
        Self { by_target, certificates: Certificates::new(snapshot) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_target.is_empty()
    }

    /// The policy for a target of this name: one for a section before one for the whole, then the oldest.
    pub(super) fn find(
        &self,
        (namespace, name): (&str, &str),
        applies: impl Fn(&PolicyTarget) -> bool,
    ) -> Option<&'a BackendTlsPolicy> {
        let fitting = || {
            let all = self.by_target.get(&(namespace, name)).into_iter().flatten();
            all.filter(|(_, target)| applies(target))
        };
        let narrow = fitting().find(|(_, target)| target.section.is_some());
        narrow.or_else(|| fitting().next()).map(|(policy, _)| *policy)
    }

    /// What a policy comes to. An error says why nothing may be sent.
    pub(super) fn of_policy(&self, policy: &BackendTlsPolicy) -> Result<Terms, String> {
        self.resolve(&policy.meta.id, &policy.tls).0
    }

    /// What a backend says itself; verified by the machine's authorities where it says nothing.
    pub(super) fn of_backend(&self, from: &ResourceId, tls: &BackendTls) -> Result<Terms, String> {
        self.resolve(from, tls).0
    }

    fn resolve(&self, from: &ResourceId, tls: &BackendTls) -> (Result<Terms, String>, Vec<Unusable>) {
        let mut unusable = Vec::new();
        let authorities = match &tls.authorities {
            AuthorityRefs::System => Ok(Authorities::System),
            AuthorityRefs::Anyone => Ok(Authorities::Anyone),
            AuthorityRefs::Listed(refs) => {
                let (found, refused) = self.certificates.authorities(from, refs);
                unusable.extend(refused);
                if found.is_empty() {
                    let why = summed_up(&unusable).map_or_else(String::new, |(_, why)| format!(": {why}"));
                    Err(format!("{from} names no authority that can be used{why}"))
                } else {
                    Ok(Authorities::These(found.into()))
                }
            }
        };
        let client = tls.client.as_ref().map(|reference| self.certificates.certificate(from, reference));
        let client = client.transpose().map_err(|why| {
            let message = format!("the client certificate of {from} cannot be used: {}", why.message);
            unusable.push(why);
            message
        });
        let terms = authorities.and_then(|authorities| {
            let server_name = tls.hostname.as_ref().map(|host| host.as_str().into());
            Ok(Terms { server_name, authorities, names: tls.names.clone(), client: client? })
        });
        (terms, unusable)
    }

    // --- what is told of them

    /// `missing` says why targets are not there.
    pub(super) fn conditions(&self, policy: &BackendTlsPolicy, missing: Vec<String>) -> Vec<Condition> {
        let (terms, unusable) = self.resolve(&policy.meta.id, &policy.tls);
        let is_lost = missing.len() == policy.targets.len();
        let missing = words::joined(missing);
        let mut accepted = match (self.winners(policy), terms) {
            (_, _) if is_lost => Condition::no("Accepted", "TargetNotFound", &missing),
            (Some(winners), _) => Condition::no("Accepted", "Conflicted", winners),
            (None, Err(_)) if policy.tls.authorities == AuthorityRefs::Listed(Vec::new()) => {
                // Some that the standard leaves to implementations, and this one does not know.
                let fields = words::joined(words::fields(&policy.unsupported));
                let message =
                    format!("{fields}; requests for its targets are answered 500, never sent in plaintext");
                Condition::no("Accepted", "Invalid", message)
            }
            (None, Err(why)) => {
                let message =
                    format!("{why}; requests for its targets are answered 500, never sent in plaintext");
                Condition::no("Accepted", "NoValidCACertificate", message)
            }
            (None, Ok(_)) => statuses::accepted(&policy.unsupported),
        };
        if !is_lost && !missing.is_empty() {
            let said = [std::mem::take(&mut accepted.message), missing];
            accepted.message = words::joined(said.into_iter().filter(|text| !text.is_empty()));
        }
        let resolved = match summed_up(&unusable) {
            Some(("InvalidCACertificateKind", message)) => {
                Condition::no("ResolvedRefs", "InvalidKind", message)
            }
            Some((reason, message)) => Condition::no("ResolvedRefs", reason, message),
            None => Condition::yes("ResolvedRefs", "ResolvedRefs", ""),
        };
        vec![accepted, resolved]
    }

    /// Who takes all targets of a policy, in words; `None` if it has one for itself.
    fn winners(&self, policy: &BackendTlsPolicy) -> Option<String> {
        let mut winners = BTreeSet::new();
        for target in &policy.targets {
            let all = self.by_target.get(&(&*policy.meta.id.namespace, &*target.name));
            let is_same = |other: &PolicyTarget| {
                (&other.group, &other.kind, &other.section) == (&target.group, &target.kind, &target.section)
            };
            let first = all.into_iter().flatten().find(|(_, other)| is_same(other));
            match first {
                Some((winner, _)) if winner.meta.id != policy.meta.id => winners.insert(&winner.meta.id),
                Some(_) | None => return None,
            };
        }
        let winner = winners.first()?;
        Some(format!("{winner} has the same targets, and is older or first by name: remove one of them"))
    }
}

/// Why a Service has no port as a target names it; `None` if it has one, or has no ports at all, or none is named.
pub(super) fn why_no_section(service: &Service, target: &PolicyTarget) -> Option<String> {
    let section = target.section.as_deref()?;
    let names = || service.ports.iter().filter_map(|port| port.name.as_deref());
    if service.ports.is_empty() || names().any(|name| name == section) {
        return None;
    }
    let said = format!("target `{}`: {} has no port named `{section}`", target.name, service.meta.id);
    if names().next().is_none() {
        return Some(format!("{said}: none of its ports has a name; name them, or leave out `sectionName`"));
    }
    let near = nearest(section, names()).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
    Some(format!("{said}; it has {}{near}", words::listed(names())))
}

/// The standard's status of a policy: the conditions for each Gateway that it is about, or alone where there is none.
pub(super) fn status(conditions: Vec<Condition>, gateways: BTreeSet<ResourceId>) -> Status {
    /// By the standard.
    const MOST: usize = 16;
    let parent = |gateway: ResourceId| ParentRef {
        group: Kind::Gateway.group().into(),
        kind: Kind::Gateway.as_str().into(),
        namespace: gateway.namespace,
        name: gateway.name,
        section: None,
        port: None,
    };
    let ancestor = |gateway| ParentStatus { parent: parent(gateway), conditions: conditions.clone() };
    let parents: Vec<ParentStatus> = gateways.into_iter().take(MOST).map(ancestor).collect();
    let conditions = if parents.is_empty() { conditions } else { Vec::new() };
    Status { conditions, parents, ..Status::default() }
}

// === impl Terms ===

impl Terms {
    /// For an endpoint of this name, which is a DNS name, an address, or neither.
    pub(super) fn of_endpoint(&self, name: &Arc<str>) -> EndpointTls {
        EndpointTls {
            server_name: self.server_name.clone().unwrap_or_else(|| name.clone()),
            authorities: self.authorities.clone(),
            names: self.names.clone(),
            client: self.client.clone(),
        }
    }
}
