//! Decides what is served and explains what is not. Pure and total: a bad rule costs itself, never the table.
//!
//! The steps, in order: [`gateways`] finds the [`listeners`], [`routes`] attaches routes to them ([`parents`] says to
//! which), asking [`backends`] what each reference leads to, which looks it up by [`names`] and collects [`candidates`],
//! asking [`endpoints`] for the address and port of each container. [`planner`] does that for the routes that need it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use crate::{
    model::{BackendReport, Condition, Kind, Problem, ResourceId, Snapshot, Status, WorkloadId},
    route::Table,
};

mod backend_tls;
mod backends;
mod candidates;
mod certificates;
mod endpoints;
mod gateways;
mod grants;
mod listeners;
mod names;
mod namespaces;
mod overlaps;
mod parents;
mod planner;
mod routes;
mod sets;
mod statuses;
mod tls;
mod words;

pub use planner::Planner;

/// Everything that follows from a [`Snapshot`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub table: Table,
    pub statuses: BTreeMap<ResourceId, Arc<Status>>,
    /// By name; those that a route refers to.
    pub backends: BTreeMap<Arc<str>, Arc<BackendReport>>,
    pub workloads: BTreeMap<WorkloadId, WorkloadPlan>,
}

/// What became of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadPlan {
    /// Whether a route sends requests to it now.
    pub routed: bool,
    /// URLs that lead to it; sorted, at most [`WorkloadPlan::MAX_URLS`].
    pub urls: Vec<String>,
    /// Why it gets no traffic, if a route wants to send it some; and what is odd about it.
    pub problems: Vec<Problem>,
    /// Where requests are sent to it.
    pub addresses: BTreeSet<SocketAddr>,
}

/// Plans the whole world anew.
pub fn plan(snapshot: &Snapshot) -> Plan {
    Planner::default().plan(snapshot)
}

/// Says so where an older route takes all that a match of a route could get.
fn mark_conflicts(plan: &mut Plan) {
    let mut losers: BTreeMap<ResourceId, BTreeSet<String>> = BTreeMap::new();
    for address in plan.table.sockets() {
        let Some(socket) = plan.table.socket(address) else { continue };
        for conflict in socket.listeners().flat_map(crate::route::Listener::conflicts) {
            let kind = if conflict.is_grpc { Kind::GrpcRoute } else { Kind::HttpRoute };
            let words = format!(
                "`{}` is served by {kind} {}, which is older or first by name: change the host, path or conditions \
                 of one of them",
                conflict.at, conflict.winner
            );
            let (namespace, name) = conflict.loser.split_once('/').unwrap_or(("default", conflict.loser));
            losers.entry(ResourceId::new(kind, namespace, name)).or_default().insert(words);
        }
    }
    for (id, words) in losers {
        if let Some(status) = plan.statuses.get_mut(&id) {
            let status = Arc::make_mut(status);
            status.conditions.push(Condition::yes("Conflicted", "Conflicted", words::joined(words)));
        }
    }
}

// === impl WorkloadPlan ===

impl WorkloadPlan {
    /// A container behind more URLs than this shows the first ones.
    pub const MAX_URLS: usize = 32;
}

#[cfg(test)]
mod tests;
