//! What a backend reference leads to.

mod uses;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    sync::Arc,
};

use super::{
    Plan, WorkloadPlan,
    backend_tls::{self, Policies},
    candidates::{Demand, Gathered, Gatherer, Member},
    grants::{self, Grants},
    names::Names,
    words,
};
use crate::{
    model::{
        Backend, BackendRef, BackendReport, BackendTls, BackendTlsPolicy, HttpRoute, Kind, PolicyTarget,
        Resource, ResourceId, Scheme, Service, ServiceKind, ServicePort, Snapshot, Status, Workload,
    },
    route::{self, Target},
};
use uses::Entry;
pub(super) use uses::{Known, Uses};

/// Resolves references; each backend once.
pub(super) struct Backends<'a> {
    snapshot: &'a Snapshot,
    names: Names<'a>,
    grants: Grants<'a>,
    /// What demands TLS towards backends.
    policies: Policies<'a>,
    resolved: Known,
    uses: Uses,
}

/// Tells backends apart: namespace, name, the kind that the reference says (`Service` or `Backend`), port, and what is
/// spoken where nobody says so.
pub(super) type Key = (Arc<str>, Arc<str>, Kind, Option<NonZeroU16>, Scheme);

/// The endpoints of one object, by the port that references ask for.
pub(super) type PortReport = (Option<NonZeroU16>, Arc<BackendReport>);

/// A backend that exists.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) backend: Arc<route::Backend>,
    pub(super) report: Arc<BackendReport>,
    /// The containers behind it.
    pub(super) members: Vec<Member>,
    /// Why requests cannot be sent there at all: the standard's reason and words.
    pub(super) failure: Option<Failure>,
}

/// Why a reference leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// A reason of the standard for `ResolvedRefs: False`.
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What a name turned out to be.
enum Meaning<'a> {
    Backend(&'a Backend),
    Service(&'a Service),
    Workloads(&'static str, Vec<&'a Workload>),
}

// === impl Backends ===

impl<'a> Backends<'a> {
    /// `resolved` are those that are known already and have not changed.
    pub(super) fn new(snapshot: &'a Snapshot, resolved: Known) -> Self {
        Self {
            snapshot,
            names: Names::new(snapshot),
            grants: Grants::new(snapshot),
            policies: Policies::new(snapshot),
            resolved,
            uses: Uses::default(),
        }
    }

    /// What was asked for one route since this was called last.
    pub(super) fn uses(&mut self) -> Uses {
        let uses = std::mem::take(&mut self.uses);
        uses.hold(&mut self.resolved);
        uses
    }

    /// Forgets what only this route has to do with.
    pub(super) fn release(&mut self, uses: &Uses) {
        uses.release(&mut self.resolved);
    }

    /// What `reference` of `route` leads to.
    pub(super) fn resolve(
        &mut self,
        route: &HttpRoute,
        reference: &BackendRef,
    ) -> Result<Arc<Resolved>, Failure> {
        let kind = kind(reference)?;
        self.is_permitted(route, reference)?;
        let key = key(route, reference, kind);
        if let Some(entry) = self.resolved.get(&key) {
            self.uses.resolved.insert(key);
            return Ok(entry.resolved.clone());
        }
        let gathered = self.gather(&key)?;
        let resolved = Arc::new(gathered.finish(backend_name(&key)));
        self.resolved.insert(key.clone(), Entry::new(resolved.clone()));
        self.uses.resolved.insert(key);
        Ok(resolved)
    }

    fn is_permitted(&self, route: &HttpRoute, reference: &BackendRef) -> Result<(), Failure> {
        let from = &route.meta.id.namespace;
        let to = grants::Target {
            group: &reference.group,
            kind: &reference.kind,
            namespace: &reference.namespace,
            name: &reference.name,
        };
        if reference.namespace == *from || self.grants.permit(&route.meta.id, to) {
            return Ok(());
        }
        Err(Failure {
            reason: "RefNotPermitted",
            message: format!(
                "backendRef `{}/{}` is in another namespace than the route (`{from}`), and no ReferenceGrant in namespace \
                 `{}` lets {}s of `{from}` refer to that {}: write one there",
                reference.namespace, reference.name, reference.namespace, route.meta.id.kind, reference.kind
            ),
        })
    }

    /// What the name means, in the order of the places where a name is looked up.
    fn meaning(&self, key: &Key) -> Option<Meaning<'a>> {
        let (namespace, name, said, ..) = key;
        let id = |kind| ResourceId { kind, namespace: namespace.clone(), name: name.clone() };
        if let Some(Resource::Backend(backend)) = self.snapshot.resources.get(&id(Kind::Backend)) {
            return Some(Meaning::Backend(backend));
        }
        if *said == Kind::Backend {
            return None;
        }
        if let Some(Resource::Service(service)) = self.snapshot.resources.get(&id(Kind::Service)) {
            return Some(Meaning::Service(service));
        }
        let (words, workloads) = self.names.find(namespace, name)?;
        Some(Meaning::Workloads(words, workloads))
    }

    /// The possible endpoints of a name.
    fn gather(&self, key: &Key) -> Result<Gathered, Failure> {
        let port = key.3;
        let from = Gatherer { snapshot: self.snapshot, names: &self.names };
        let meaning = self.meaning(key).ok_or_else(|| self.not_found(key))?;
        let policy = self.policy(key, &meaning);
        let own = match &meaning {
            Meaning::Backend(backend) => self.policies.of_backend(&backend.meta.id, &backend.tls),
            Meaning::Service(service) => self.policies.of_backend(&service.meta.id, &BackendTls::default()),
            Meaning::Workloads(..) => {
                let id = ResourceId { kind: Kind::Service, namespace: key.0.clone(), name: key.1.clone() };
                self.policies.of_backend(&id, &BackendTls::default())
            }
        };
        let mut gathered = match meaning {
            Meaning::Backend(backend) => from.of_backend(backend, port),
            Meaning::Service(service) => {
                let port = service_port(service, port).map_err(|message| Failure {
                    reason: "BackendNotFound",
                    message: format!("backendRef `{}` {message}", key.1),
                })?;
                from.of_service(service, &port)
            }
            Meaning::Workloads(words, workloads) => from.of_workloads(words, workloads, port),
        };
        let unsecured = self.snapshot.unsecured.get(&(key.0.clone(), key.1.clone()));
        match (policy, unsecured) {
            (Some(policy), _) => gathered.secure(&self.policies.of_policy(policy), Demand::All),
            (None, Some(why)) => gathered.secure(&Err(why.to_string()), Demand::All),
            (None, None) => gathered.secure(&own, Demand::AsWritten),
        }
        if key.4 == Scheme::H2c {
            gathered.prefer_http2();
        }
        gathered.watched(self.snapshot.health.0.get(&backend_name(key)));
        Ok(gathered)
    }

    /// The policy that demands TLS for this reference.
    fn policy(&self, key: &Key, meaning: &Meaning<'_>) -> Option<&'a BackendTlsPolicy> {
        let (namespace, name, _, port, _) = key;
        self.policies.find((namespace, name), |target| applies(target, meaning, *port))
    }

    fn not_found(&self, key: &Key) -> Failure {
        let (namespace, name, kind, ..) = key;
        let elsewhere = self.names.elsewhere(name).filter(|other| *other != &**namespace);
        let hint = match elsewhere {
            Some(other) => format!(
                "; there is one in namespace `{other}`: write `namespace: {other}` and allow it with a ReferenceGrant"
            ),
            None if *kind == Kind::Backend => ": correct it, or write one".to_owned(),
            None => ": correct it, or start a container or write a Backend of that name".to_owned(),
        };
        let places = if *kind == Kind::Backend { "Backend" } else { PLACES };
        Failure {
            reason: "BackendNotFound",
            message: format!(
                "backendRef `{name}`: namespace `{namespace}` has no {places} of that name{hint}"
            ),
        }
    }

    // --- what is told of them

    /// Notes that requests reach the backend of this reference, at these URLs.
    pub(super) fn reach(&mut self, route: &HttpRoute, reference: &BackendRef, urls: &[String]) {
        let Ok(kind) = kind(reference) else { return };
        let key = key(route, reference, kind);
        let Some(entry) = self.resolved.get_mut(&key) else { return };
        entry.reached += 1;
        for url in urls {
            *entry.urls.entry(url.clone()).or_default() += 1;
        }
        self.uses.reached.push((key, urls.to_vec()));
    }

    /// Notes that a route leads here from a Gateway.
    pub(super) fn come_from(&mut self, route: &HttpRoute, reference: &BackendRef, gateway: &ResourceId) {
        if self.policies.is_empty() {
            return;
        }
        let Ok(kind) = kind(reference) else { return };
        let key = key(route, reference, kind);
        if let Some(entry) = self.resolved.get_mut(&key) {
            *entry.gateways.entry(gateway.clone()).or_default() += 1;
            self.uses.came_from.push((key, gateway.clone()));
        }
    }

    /// What is said of each policy, and for which Gateways.
    pub(super) fn policy_statuses(&self) -> BTreeMap<ResourceId, Status> {
        let status = |policy: &BackendTlsPolicy| {
            let targets = policy.targets.iter().filter_map(|target| self.why_no_target(policy, target));
            let missing: Vec<String> = targets.collect();
            let conditions = self.policies.conditions(policy, missing);
            backend_tls::status(conditions, self.gateways_of(policy))
        };
        let policies = self.snapshot.of_kind(Kind::BackendTlsPolicy).filter_map(|(id, resource)| {
            let Resource::BackendTlsPolicy(policy) = resource else { return None };
            Some((id.clone(), status(policy)))
        });
        policies.collect()
    }

    /// The Gateways from which requests come to the targets of a policy, whether it has its way with them or not.
    fn gateways_of(&self, policy: &BackendTlsPolicy) -> BTreeSet<ResourceId> {
        let mut gateways = BTreeSet::new();
        for target in &policy.targets {
            for (key, entry) in self.named((&policy.meta.id.namespace, &target.name)) {
                let meaning = self.meaning(key);
                if meaning.is_some_and(|meaning| applies(target, &meaning, key.3)) {
                    gateways.extend(entry.gateways.keys().cloned());
                }
            }
        }
        gateways
    }

    /// Why a target of a policy is not there; `None` if it is.
    fn why_no_target(&self, policy: &BackendTlsPolicy, target: &PolicyTarget) -> Option<String> {
        let namespace = &policy.meta.id.namespace;
        let reference = BackendRef {
            group: target.group.clone(),
            kind: target.kind.clone(),
            namespace: namespace.clone(),
            name: target.name.clone(),
            port: None,
            weight: 1,
            filters: Vec::new(),
        };
        let Ok(kind) = kind(&reference) else {
            let (name, kind) = (&target.name, &target.kind);
            return Some(format!(
                "target `{name}` has kind `{kind}` of group `{}`; it must be `Service`, or `Backend` of group \
                 `portolan.dev`",
                words::group(&target.group)
            ));
        };
        let key: Key = (namespace.clone(), target.name.clone(), kind, None, Scheme::Http);
        let places = if kind == Kind::Backend { "Backend" } else { PLACES };
        match self.meaning(&key) {
            None => Some(format!(
                "target `{}`: namespace `{namespace}` has no {places} of that name",
                target.name
            )),
            Some(Meaning::Service(service)) => backend_tls::why_no_section(service, target),
            Some(Meaning::Backend(_) | Meaning::Workloads(..)) => None,
        }
    }

    /// The entries of this namespace and name.
    fn named(&self, (namespace, name): (&Arc<str>, &Arc<str>)) -> impl Iterator<Item = (&Key, &Entry)> {
        let first: Key = (namespace.clone(), name.clone(), Kind::GatewayClass, None, Scheme::Http);
        let (namespace, name) = (namespace.clone(), name.clone());
        self.resolved.range(first..).take_while(move |(key, _)| key.0 == namespace && key.1 == name)
    }

    /// Gives every resolved backend to the plan, and every workload its part.
    pub(super) fn finish(self, plan: &mut Plan) -> Known {
        for entry in self.resolved.values() {
            for Member { id, problem, note, address } in &entry.resolved.members {
                let workload: &mut WorkloadPlan = plan.workloads.entry(id.clone()).or_default();
                let is_routed = problem.is_none() && entry.reached > 0;
                workload.routed |= is_routed;
                workload.addresses.extend(address.filter(|_| is_routed));
                let said = problem.as_ref().or(note.as_ref().filter(|_| is_routed));
                if let Some(said) = said
                    && !workload.problems.contains(said)
                {
                    workload.problems.push(said.clone());
                }
                workload.urls.extend(entry.urls.keys().take(WorkloadPlan::MAX_URLS).cloned());
            }
            plan.backends.insert(entry.resolved.report.name.clone(), entry.resolved.report.clone());
        }
        for workload in plan.workloads.values_mut() {
            workload.urls.sort();
            workload.urls.dedup();
            workload.urls.truncate(WorkloadPlan::MAX_URLS);
            workload.problems.sort();
        }
        self.resolved
    }

    /// The endpoints of a Backend as routes refer to it, or on its own: per port.
    pub(super) fn of_backend(&self, backend: &Backend) -> Vec<PortReport> {
        let id = &backend.meta.id;
        let used = self.named((&id.namespace, &id.name));
        let reports: BTreeMap<Option<NonZeroU16>, Arc<BackendReport>> =
            used.map(|(key, entry)| (key.3, entry.resolved.report.clone())).collect();
        if !reports.is_empty() {
            return reports.into_iter().collect();
        }
        vec![(None, self.report(&(id.namespace.clone(), id.name.clone(), Kind::Backend, None, Scheme::Http)))]
    }

    /// The endpoints behind each port of a Service, and the Backend that takes its references, if there is one.
    pub(super) fn of_service(&self, service: &Service) -> Result<Vec<PortReport>, ResourceId> {
        let id = &service.meta.id;
        let backend = ResourceId { kind: Kind::Backend, ..id.clone() };
        if self.snapshot.resources.contains_key(&backend) {
            return Err(backend);
        }
        let port = |port: &ServicePort| {
            let key = (id.namespace.clone(), id.name.clone(), Kind::Service, Some(port.port), Scheme::Http);
            let known = self.resolved.get(&key).map(|entry| entry.resolved.report.clone());
            (Some(port.port), known.unwrap_or_else(|| self.report(&key)))
        };
        Ok(service.ports.iter().map(port).collect())
    }

    fn report(&self, key: &Key) -> Arc<BackendReport> {
        let name = backend_name(key);
        let report = match self.gather(key) {
            Ok(gathered) => gathered.report(name),
            Err(failure) => BackendReport { name, resolved: failure.message, endpoints: Vec::new() },
        };
        Arc::new(report)
    }
}

/// Where a name that is not a Backend's alone is looked up.
const PLACES: &str = "Backend, Service, Compose service, container or network alias";

/// Whether a policy's target is meant by a reference. One that names a port is held to it where ports have names: in a
/// Service that has ports. Elsewhere it asks for TLS all the same, lest what it is about were sent in plaintext.
fn applies(target: &PolicyTarget, meaning: &Meaning<'_>, port: Option<NonZeroU16>) -> bool {
    match (&*target.group, &*target.kind, meaning) {
        ("", "Service", Meaning::Service(service)) => {
            if target.section.is_none() || service.ports.is_empty() {
                return true;
            }
            let named = service.ports.iter().find(|port| port.name == target.section);
            named.is_some_and(|named| port.is_none_or(|port| port == named.port))
        }
        ("", "Service", Meaning::Backend(_) | Meaning::Workloads(..))
        | ("portolan.dev", "Backend", Meaning::Backend(_)) => true,
        _ => false,
    }
}

/// `Service` or `Backend`.
fn kind(reference: &BackendRef) -> Result<Kind, Failure> {
    match (&*reference.group, &*reference.kind) {
        ("", "Service") => Ok(Kind::Service),
        ("portolan.dev", "Backend") => Ok(Kind::Backend),
        (group, kind) => {
            let group = words::group(group);
            let message = format!(
                "backendRef `{}` has kind `{kind}` of group `{group}`; it must be `Service`, or `Backend` of group \
                 `portolan.dev`",
                reference.name
            );
            Err(Failure { reason: "InvalidKind", message })
        }
    }
}

fn key(route: &HttpRoute, reference: &BackendRef, kind: Kind) -> Key {
    // gRPC is HTTP/2 and nothing else.
    let scheme = if route.meta.id.kind == Kind::GrpcRoute { Scheme::H2c } else { Scheme::Http };
    (reference.namespace.clone(), reference.name.clone(), kind, reference.port, scheme)
}

/// `namespace/name[:port]`.
fn backend_name((namespace, name, _, port, _): &Key) -> Arc<str> {
    match port {
        Some(port) => format!("{namespace}/{name}:{port}").into(),
        None => format!("{namespace}/{name}").into(),
    }
}

/// The port of a Service that a reference asks for; the only one where it asks for none.
fn service_port(service: &Service, asked: Option<NonZeroU16>) -> Result<ServicePort, String> {
    let found = match (asked, &*service.ports) {
        (Some(asked), ports) => ports.iter().find(|port| port.port == asked),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    if let Some(port) = found {
        return Ok(port.clone());
    }
    let is_external = matches!(service.kind, ServiceKind::ExternalName(_));
    if let Some(port) = asked
        && is_external
        && service.ports.is_empty()
    {
        // An ExternalName needs no ports of its own: the name stands for another host.
        return Ok(ServicePort { name: None, port, target: port, scheme: Scheme::Http });
    }
    let known = words::listed(service.ports.iter().map(|port| port.port.to_string()));
    let asked = asked.map_or_else(|| "no port".into(), |port| format!("port {port}"));
    Err(format!("asks for {asked} of {}, which has {known}: write one that it has", service.meta.id))
}

/// A target of a rule.
pub(super) fn target(resolved: &Result<Arc<Resolved>, Failure>) -> Target {
    match resolved {
        Ok(resolved) => match &resolved.failure {
            None => Target::Backend(resolved.backend.clone()),
            Some(failure) => Target::Invalid(failure.message.as_str().into()),
        },
        Err(failure) => Target::Invalid(failure.message.as_str().into()),
    }
}
