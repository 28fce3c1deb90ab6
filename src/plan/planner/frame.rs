//! What decides what becomes of routes, and which of them a change may touch.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::model::{
    EndpointTarget, HealthReport, Issued, Kind, LabelSelector, NetworkMode, Placement, Resource, ResourceId,
    ServiceKind, Settings, Snapshot, Workload, WorkloadId, side_by_side,
};

/// Everything that decides what becomes of a route, but for the route itself.
#[derive(Debug)]
pub(super) struct Frame {
    settings: Settings,
    workloads: BTreeMap<WorkloadId, Arc<Workload>>,
    names: BTreeMap<Arc<str>, Result<Vec<IpAddr>, Arc<str>>>,
    health: Arc<HealthReport>,
    issued: BTreeMap<ResourceId, Issued>,
    refused: BTreeMap<ResourceId, Arc<str>>,
    unsecured: BTreeMap<(Arc<str>, Arc<str>), Arc<str>>,
    unbound: BTreeMap<SocketAddr, Arc<str>>,
    /// All but routes.
    resources: BTreeMap<ResourceId, Resource>,
}

// === impl Frame ===

impl Frame {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let resources = others(snapshot).map(|(id, resource)| (id.clone(), resource.clone()));
        Self {
            settings: snapshot.settings.clone(),
            workloads: snapshot.workloads.clone(),
            names: snapshot.names.clone(),
            health: snapshot.health.clone(),
            issued: snapshot.issued.clone(),
            refused: snapshot.refused.clone(),
            unsecured: snapshot.unsecured.clone(),
            unbound: snapshot.unbound.clone(),
            resources: resources.collect(),
        }
    }

    /// The names of what backend references lead to and is another now: it decides for the routes that refer to such a
    /// name. `None` if something is another that may decide for every route.
    pub(super) fn changed(&self, snapshot: &Snapshot) -> Option<BTreeSet<Arc<str>>> {
        let is_same = self.settings == snapshot.settings
            && self.names == snapshot.names
            && self.issued == snapshot.issued
            && self.refused == snapshot.refused
            && self.unsecured == snapshot.unsecured
            && self.unbound == snapshot.unbound;
        if !is_same {
            return None;
        }
        let mut names = self.changed_workloads(snapshot)?;
        names.extend(self.changed_health(snapshot));
        for (id, before, now) in side_by_side(&self.resources, others(snapshot)) {
            if before == now {
                continue;
            }
            if !matches!(id.kind, Kind::Backend | Kind::Service) {
                return None;
            }
            names.insert(id.name.clone());
        }
        Some(names)
    }

    /// The names of backends of whose endpoints the data plane knows something else now.
    fn changed_health(&self, snapshot: &Snapshot) -> BTreeSet<Arc<str>> {
        if Arc::ptr_eq(&self.health, &snapshot.health) {
            return BTreeSet::new();
        }
        let (before, now) = (&self.health.0, &snapshot.health.0);
        let names = before.keys().chain(now.keys()).filter(|name| before.get(*name) != now.get(*name));
        // As `namespace/name`, or with a port behind it.
        let bare = |name: &Arc<str>| {
            let name = name.split_once('/').map_or(&**name, |(_, name)| name);
            Arc::from(name.rsplit_once(':').map_or(name, |(name, _)| name))
        };
        names.map(bare).collect()
    }

    /// The names that lead to workloads which are others now, were there before, or are new.
    fn changed_workloads(&self, snapshot: &Snapshot) -> Option<BTreeSet<Arc<str>>> {
        /// With more of them it is not much less to plan all.
        const MOST: usize = 64;
        let versions = different(&self.workloads, &snapshot.workloads);
        if versions.len() > MOST {
            return None;
        }
        if let Placement::Container { id, .. } = &snapshot.settings.placement
            && versions.iter().any(|workload| workload.id == *id || *workload.name == *id.0)
        {
            // Its networks are the way to all the others.
            return None;
        }
        let sharing = |workload: &&Arc<Workload>| matches!(workload.network_mode, NetworkMode::Container(_));
        let sharing = snapshot.workloads.values().filter(sharing).map(|workload| &**workload);
        // Where one is depends on another.
        let sharing = sharing.filter(|_| !versions.is_empty());
        let versions: Vec<&Workload> = versions.iter().copied().chain(sharing).collect();
        let mut names = BTreeSet::new();
        for workload in &versions {
            names.insert(workload.name.clone());
            names.extend(workload.compose().map(|compose| compose.service.clone()));
            names.extend(workload.networks.iter().flat_map(|attachment| &attachment.aliases).cloned());
        }
        if !versions.is_empty() {
            let led = snapshot.resources.iter().filter(|(_, resource)| leads_to(resource, &versions));
            names.extend(led.map(|(id, _)| id.name.clone()));
        }
        Some(names)
    }
}

/// Both versions of workloads that are not the same in both, as far as they are there.
fn different<'a>(
    before: &'a BTreeMap<WorkloadId, Arc<Workload>>,
    now: &'a BTreeMap<WorkloadId, Arc<Workload>>,
) -> Vec<&'a Workload> {
    let pairs = side_by_side(before, now).filter(|(_, before, now)| before != now);
    pairs.flat_map(|(_, before, now)| [before, now]).flatten().map(|workload| &**workload).collect()
}

/// Whether one of these is, or may be, behind a Backend or a Service.
fn leads_to(resource: &Resource, versions: &[&Workload]) -> bool {
    let any = |is: &dyn Fn(&Workload) -> bool| versions.iter().any(|workload| is(workload));
    let is_target = |target: &EndpointTarget| match target {
        EndpointTarget::Address(_) | EndpointTarget::Hostname(_) | EndpointTarget::Unix(_) => false,
        EndpointTarget::Containers { selector, .. } => any(&|workload| selector.matches(&workload.labels)),
        EndpointTarget::ContainerNamed { name, .. } => any(&|workload| workload.name == *name),
        EndpointTarget::Container { id, .. } => any(&|workload| workload.id == *id),
    };
    if let Resource::Backend(backend) = resource {
        backend.endpoints.iter().any(|endpoint| is_target(&endpoint.target))
    } else if let Resource::Service(service) = resource {
        match &service.kind {
            ServiceKind::ExternalName(_) => false,
            ServiceKind::Selector(labels) => {
                let selector = LabelSelector { labels: labels.clone(), requirements: Vec::new() };
                any(&|workload| selector.matches(&workload.labels))
            }
        }
    } else {
        false
    }
}

fn others(snapshot: &Snapshot) -> impl Iterator<Item = (&ResourceId, &Resource)> {
    snapshot.resources.iter().filter(|(_, resource)| !matches!(resource, Resource::HttpRoute(_)))
}
