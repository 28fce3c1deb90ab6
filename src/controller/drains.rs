//! Containers that are being drained: they run, get no new requests, and finish those that are under way.
//!
//! A drain is an operator's word about one run of a container. It ends when it is taken back, or when the container stops
//! running; it is not kept over a restart of the controller.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use tokio::time::Instant;

use super::{Controller, world::World};
use crate::{
    model::{
        BackendReport, Declined, DrainAsk, DrainState, EndpointReport, EndpointState, Origin, Phase,
        Placement, Resource, Why, Workload, WorkloadId,
    },
    plan::{self, WorkloadPlan},
};

type Workloads = BTreeMap<WorkloadId, Arc<Workload>>;

type Backends = BTreeMap<Arc<str>, Arc<BackendReport>>;

#[derive(Debug, Default)]
pub(super) struct Drains {
    asked: BTreeSet<WorkloadId>,
    /// Where requests were sent to containers in this run of theirs. Also of those that are not asked for yet: a newer
    /// version of a service may have taken its place in a route, and what is under way goes on.
    addresses: BTreeMap<WorkloadId, Arc<BTreeSet<SocketAddr>>>,
}

// === impl Drains ===

impl Drains {
    /// The plan's word for what is asked.
    pub(super) fn mark(&self, workloads: &mut Workloads) {
        for id in &self.asked {
            if let Some(workload) = workloads.get_mut(id).filter(|workload| workload.phase == Phase::Running)
            {
                *workload = Arc::new(Workload { phase: Phase::Draining, ..(**workload).clone() });
            }
        }
    }

    /// Forgets containers that do not run any more.
    pub(super) fn keep_living(&mut self, current: &Workloads) {
        let lives = |id: &WorkloadId| current.get(id).is_some_and(|workload| is_alive(workload.phase));
        self.asked.retain(|id| lives(id));
        self.addresses.retain(|id, _| lives(id));
    }

    /// Remembers where requests are sent from now on.
    pub(super) fn note(&mut self, plans: &BTreeMap<WorkloadId, WorkloadPlan>) {
        for (id, plan) in plans.iter().filter(|(_, plan)| !plan.addresses.is_empty()) {
            let known = self.addresses.entry(id.clone()).or_default();
            if !plan.addresses.is_subset(known) {
                *known = Arc::new(known.union(&plan.addresses).copied().collect());
            }
        }
    }
}

/// Whether requests may be under way to it.
fn is_alive(phase: Phase) -> bool {
    match phase {
        Phase::Running | Phase::Paused | Phase::Draining | Phase::Terminating => true,
        Phase::Created | Phase::Restarting | Phase::Exited | Phase::Dead | Phase::Gone => false,
    }
}

/// The container of this name, id, or beginning of an id.
fn find<'w>(workloads: &'w Workloads, text: &str) -> Result<&'w Arc<Workload>, Declined> {
    /// Shorter ones say too little.
    const LEAST: usize = 4;
    let exact = workloads.values().find(|workload| *workload.id.0 == *text || *workload.name == *text);
    if let Some(workload) = exact {
        return Ok(workload);
    }
    let mut alike =
        workloads.values().filter(|workload| text.len() >= LEAST && workload.id.0.starts_with(text));
    match (alike.next(), alike.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => {
            let message =
                format!("several containers have an id that begins with `{text}`: write more of it");
            Err(Declined { why: Why::Conflict, reason: "Ambiguous", message })
        }
        (None, _) => {
            let message = format!("there is no container `{text}`; `portolan get containers` lists them");
            Err(Declined { why: Why::Unknown, reason: "NotFound", message })
        }
    }
}

/// The backends that would be missed: they have a ready endpoint before, and none after. Those that are the container's
/// own name, such as `web-2.docker.localhost`, always end with it: they count only where it serves under no other.
fn missed(
    workload: &Workload,
    personal: &BTreeSet<String>,
    before: &Backends,
    after: &Backends,
) -> Vec<Arc<str>> {
    let is_ready = |endpoint: &EndpointReport| endpoint.state == EndpointState::Ready;
    let has_ready = |backend: &BackendReport| backend.endpoints.iter().any(is_ready);
    let is_emptied = |name: &str| !after.get(name).is_some_and(|backend| has_ready(backend));
    let is_here = |endpoint: &EndpointReport| endpoint.name == workload.name && is_ready(endpoint);
    let serving = before.iter().filter(|(_, backend)| backend.endpoints.iter().any(is_here));
    let (own, shared): (Vec<_>, Vec<_>) =
        serving.map(|(name, _)| name.clone()).partition(|name| personal.contains(&**name));
    let counted = if shared.is_empty() { own } else { shared };
    counted.into_iter().filter(|name| is_emptied(name)).collect()
}

fn not_running(workload: &Workload) -> Declined {
    let message = format!("container `{}` does not run: there is nothing to drain", workload.name);
    Declined { why: Why::Conflict, reason: "NotRunning", message }
}

fn last_endpoint(workload: &Workload, backends: &[Arc<str>]) -> Declined {
    let names: Vec<String> = backends.iter().map(|name| format!("`{name}`")).collect();
    let message = format!(
        "container `{}` is the only ready endpoint of {}: requests would wait for `--hold` and then be answered 503; \
         start another one first (`portolan rollout` does), or say `--force`",
        workload.name,
        names.join(", ")
    );
    Declined { why: Why::Conflict, reason: "LastEndpoint", message }
}

// === impl Controller ===

impl Controller {
    /// Does what is asked. A change is in the table when this returns.
    pub(super) fn drain(&mut self, container: &str, ask: DrainAsk) -> Result<DrainState, Declined> {
        if !self.has_published {
            let message = "the controller is starting: try again in a moment".to_owned();
            return Err(Declined { why: Why::Unready, reason: "Starting", message });
        }
        let workload = find(&self.world.containers(), container)?.clone();
        let id = &workload.id;
        let is_asked = self.world.drains.asked.contains(id);
        match ask {
            DrainAsk::Look => {}
            DrainAsk::Cancel if !is_asked => {
                let message = format!("container `{}` is not being drained", workload.name);
                return Err(Declined { why: Why::Conflict, reason: "NotDraining", message });
            }
            DrainAsk::Cancel => {
                self.world.drains.asked.remove(id);
                self.redo();
            }
            DrainAsk::Begin | DrainAsk::Force if is_asked => {}
            DrainAsk::Begin | DrainAsk::Force if !is_alive(workload.phase) => {
                return Err(not_running(&workload));
            }
            DrainAsk::Begin => {
                self.world.refresh();
                let before = plan::plan(self.world.snapshot()).backends;
                let personal = self.world.personal(&workload);
                self.world.drains.asked.insert(id.clone());
                self.world.forget_translation();
                self.world.refresh();
                let after = plan::plan(self.world.snapshot()).backends;
                let missed = missed(&workload, &personal, &before, &after);
                if !missed.is_empty() {
                    self.world.drains.asked.remove(id);
                    self.world.forget_translation();
                    return Err(last_endpoint(&workload, &missed));
                }
                self.redo();
            }
            DrainAsk::Force => {
                self.world.drains.asked.insert(id.clone());
                self.redo();
            }
        }
        Ok(self.world.drain_state(&workload))
    }

    fn redo(&mut self) {
        self.world.forget_translation();
        self.reconcile(Instant::now());
    }
}

// === impl World ===

impl World {
    /// The backends behind routes that have no other host than the container's own name.
    fn personal(&self, workload: &Workload) -> BTreeSet<String> {
        let names = self.names_of_one(workload);
        let mut backends = BTreeSet::new();
        for object in self.objects().values() {
            let Resource::HttpRoute(route) = &object.resource else { continue };
            let is_of_it = matches!(&route.meta.origin, Origin::Container { id, .. } if *id == workload.id.0);
            let is_own = |host| names.contains(host);
            if is_of_it && !route.hostnames.is_empty() && route.hostnames.iter().all(is_own) {
                let references = route.rules.iter().flat_map(|rule| &rule.backends);
                backends.extend(references.map(|backend| format!("{}/{}", backend.namespace, backend.name)));
            }
        }
        backends
    }

    fn drain_state(&self, workload: &Workload) -> DrainState {
        let is_own = matches!(self.placement(), Placement::Container { id, .. } if *id == workload.id);
        DrainState {
            id: workload.id.clone(),
            name: workload.name.clone(),
            phase: workload.phase,
            health: workload.health,
            is_draining: self.drains.asked.contains(&workload.id),
            is_own,
            addresses: self.drains.addresses.get(&workload.id).cloned().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
