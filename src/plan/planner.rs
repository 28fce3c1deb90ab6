//! Plans one world after the other. A route whose world is the same as before keeps what came of it, so that one more
//! among ten thousand costs little. The outcome is the same as that of planning everything anew.

mod frame;

use std::{
    collections::{BTreeMap, BTreeSet},
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
    model::{HttpRoute, Resource, ResourceId, Snapshot, Status, side_by_side},
    route::TableBuilder,
};
use frame::Frame;

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
        let routes = snapshot.resources.iter().filter_map(|(id, resource)| {
            let Resource::HttpRoute(route) = resource else { return None };
            Some((id, route))
        });
        for (id, planned, route) in side_by_side(&self.routes, routes) {
            match (planned, route) {
                (Some(planned), Some(route))
                    if planned.route == *route && (names.is_empty() || !refers(route)) => {}
                (planned, route) => {
                    gone.extend(planned.map(|_| id.clone()));
                    new.extend(route);
                }
            }
        }
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
