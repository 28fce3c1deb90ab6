//! Plans one world after the other. A route whose world is the same as before keeps what came of it, so that one more
//! among ten thousand costs little. The outcome is the same as that of planning everything anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{
    Plan,
    backends::{Backends, Known},
    gateways::Gateways,
    mark_conflicts,
    routes::{self, Trace},
    statuses,
};
use crate::{
    model::{
        HealthReport, HttpRoute, Issued, Kind, Resource, ResourceId, Settings, Snapshot, Status, Workload,
        WorkloadId,
    },
    route::TableBuilder,
};

/// Remembers what it has planned.
#[derive(Debug, Default)]
pub struct Planner {
    frame: Option<Frame>,
    routes: BTreeMap<ResourceId, Planned>,
    backends: Known,
    builder: TableBuilder,
    /// How many accepted routes each listener has, by Gateway and position.
    accepted: BTreeMap<(ResourceId, usize), u32>,
}

/// Everything that decides what becomes of a route, but for the route itself.
#[derive(Debug)]
struct Frame {
    settings: Settings,
    workloads: BTreeMap<WorkloadId, Arc<Workload>>,
    names: BTreeMap<Arc<str>, Result<Vec<IpAddr>, Arc<str>>>,
    health: Arc<HealthReport>,
    issued: BTreeMap<ResourceId, Issued>,
    unbound: BTreeMap<SocketAddr, Arc<str>>,
    /// All but routes.
    resources: BTreeMap<ResourceId, Resource>,
}

/// A route, and what came of it.
#[derive(Debug)]
struct Planned {
    route: Arc<HttpRoute>,
    status: Arc<Status>,
    trace: Trace,
}

// === impl Planner ===

impl Planner {
    pub fn plan(&mut self, snapshot: &Snapshot) -> Plan {
        let mut gateways = Gateways::new(snapshot);
        let names = self.frame.as_ref().and_then(|frame| frame.changed(snapshot));
        if let Some(names) = &names {
            // The listeners are the same, in the same order.
            gateways.builder = std::mem::take(&mut self.builder);
            if !names.is_empty() {
                self.frame = Some(Frame::of(snapshot));
            }
        } else {
            *self = Self { frame: Some(Frame::of(snapshot)), ..Self::default() };
        }
        let mut backends = Backends::new(snapshot, std::mem::take(&mut self.backends));
        let (gone, new) = self.different(snapshot, &names.unwrap_or_default());
        for id in gone {
            if let Some(planned) = self.routes.remove(&id) {
                self.forget(&planned, &mut gateways.builder);
                backends.release(&planned.trace.uses);
            }
        }
        for route in new {
            let (status, trace) = routes::attach(route, &mut gateways, &mut backends);
            for (gateway, positions) in &trace.accepted {
                for position in positions {
                    *self.accepted.entry((gateway.clone(), *position)).or_default() += 1;
                }
            }
            let planned = Planned { route: route.clone(), status: Arc::new(status), trace };
            self.routes.insert(route.meta.id.clone(), planned);
        }
        for ((gateway, position), count) in &self.accepted {
            gateways.count(gateway, *position, *count);
        }
        let shared = |(id, status): (ResourceId, Status)| (id, Arc::new(status));
        let kept = self.routes.iter().map(|(id, planned)| (id.clone(), planned.status.clone()));
        let mut plan = Plan { statuses: kept.collect(), ..Plan::default() };
        plan.statuses.extend(statuses::passive(snapshot, &backends).into_iter().map(shared));
        let (mut builder, gateway_statuses) = gateways.finish();
        plan.table = builder.build();
        plan.statuses.extend(gateway_statuses.into_iter().map(shared));
        mark_conflicts(&mut plan);
        (self.builder, self.backends) = (builder, backends.finish(&mut plan));
        plan
    }

    /// The routes that are gone or another, and those that are new or another: what becomes of them is to be decided.
    fn different<'s>(
        &self,
        snapshot: &'s Snapshot,
        names: &BTreeSet<Arc<str>>,
    ) -> (Vec<ResourceId>, Vec<&'s Arc<HttpRoute>>) {
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        let refers = |route: &HttpRoute| routes::references(route).any(|to| names.contains(&to.name));
        let mut known = self.routes.iter().peekable();
        for (id, resource) in &snapshot.resources {
            let Resource::HttpRoute(route) = resource else { continue };
            while let Some((other, _)) = known.next_if(|(other, _)| *other < id) {
                gone.push(other.clone());
            }
            let Some((_, planned)) = known.next_if(|(other, _)| *other == id) else {
                new.push(route);
                continue;
            };
            if planned.route != *route || (!names.is_empty() && refers(route)) {
                gone.push(id.clone());
                new.push(route);
            }
        }
        gone.extend(known.map(|(other, _)| other.clone()));
        (gone, new)
    }

    fn forget(&mut self, planned: &Planned, builder: &mut TableBuilder) {
        for (key, hostnames) in &planned.trace.attached {
            builder.detach(*key, &planned.route.meta, hostnames);
        }
        for (gateway, positions) in &planned.trace.accepted {
            for position in positions {
                if let Some(count) = self.accepted.get_mut(&(gateway.clone(), *position)) {
                    *count = count.saturating_sub(1);
                }
            }
        }
    }
}

// === impl Frame ===

impl Frame {
    fn of(snapshot: &Snapshot) -> Self {
        let resources = others(snapshot).map(|(id, resource)| (id.clone(), resource.clone()));
        Self {
            settings: snapshot.settings.clone(),
            workloads: snapshot.workloads.clone(),
            names: snapshot.names.clone(),
            health: snapshot.health.clone(),
            issued: snapshot.issued.clone(),
            unbound: snapshot.unbound.clone(),
            resources: resources.collect(),
        }
    }

    /// The names of the Backends and Services that are another now: they decide for the routes that refer to such a name.
    /// `None` if something is another that may decide for every route.
    fn changed(&self, snapshot: &Snapshot) -> Option<BTreeSet<Arc<str>>> {
        let is_same = self.settings == snapshot.settings
            && self.workloads == snapshot.workloads
            && self.names == snapshot.names
            && self.health == snapshot.health
            && self.issued == snapshot.issued
            && self.unbound == snapshot.unbound;
        if !is_same {
            return None;
        }
        let mut names = BTreeSet::new();
        let mut note = |id: &ResourceId| {
            names.insert(id.name.clone());
            matches!(id.kind, Kind::Backend | Kind::Service)
        };
        let mut known = self.resources.iter().peekable();
        for (id, resource) in others(snapshot) {
            while let Some((gone, _)) = known.next_if(|(other, _)| *other < id) {
                note(gone).then_some(())?;
            }
            let is_known =
                known.next_if(|(other, _)| *other == id).is_some_and(|(_, known)| known == resource);
            if !is_known {
                note(id).then_some(())?;
            }
        }
        for (gone, _) in known {
            note(gone).then_some(())?;
        }
        Some(names)
    }
}

fn others(snapshot: &Snapshot) -> impl Iterator<Item = (&ResourceId, &Resource)> {
    snapshot.resources.iter().filter(|(_, resource)| !matches!(resource, Resource::HttpRoute(_)))
}
