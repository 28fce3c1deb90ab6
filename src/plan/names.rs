//! The workloads by what they can be called.

use std::{cell::OnceCell, cmp::Reverse, collections::BTreeMap};

use crate::model::{Kind, LabelSelector, Phase, ResourceId, Snapshot, Workload};

/// Finds workloads by name. What few snapshots need is indexed when it is first asked for.
pub(super) struct Names<'a> {
    snapshot: &'a Snapshot,
    /// By project and service.
    compose: BTreeMap<(&'a str, &'a str), Vec<&'a Workload>>,
    /// By name. An engine gives a name once, but the container that had it before may still be remembered.
    containers: BTreeMap<&'a str, Vec<&'a Workload>>,
    /// By namespace and alias.
    aliases: OnceCell<BTreeMap<(&'a str, &'a str), Vec<&'a Workload>>>,
    labels: OnceCell<BTreeMap<(&'a str, &'a str), Vec<&'a Workload>>>,
    /// Every name, with the first namespace that has it.
    elsewhere: OnceCell<BTreeMap<&'a str, &'a str>>,
}

// === impl Names ===

impl<'a> Names<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let mut names = Self {
            snapshot,
            compose: BTreeMap::new(),
            containers: BTreeMap::new(),
            aliases: OnceCell::new(),
            labels: OnceCell::new(),
            elsewhere: OnceCell::new(),
        };
        for workload in names.workloads() {
            if let Some(compose) = workload.compose() {
                names.compose.entry((compose.project, compose.service)).or_default().push(workload);
            }
            names.containers.entry(&workload.name).or_default().push(workload);
        }
        for holders in names.containers.values_mut().filter(|holders| holders.len() > 1) {
            holders.sort_by_key(|workload| (workload.phase == Phase::Gone, Reverse(workload.created)));
        }
        names
    }

    /// Every workload that may ever get traffic.
    pub(super) fn workloads(&self) -> impl Iterator<Item = &'a Workload> + use<'a> {
        self.snapshot.workloads.values().map(|workload| &**workload).filter(|workload| !workload.is_one_off())
    }

    /// The container that has this name now, or had it last.
    pub(super) fn container(&self, name: &str) -> Option<&'a Workload> {
        self.containers.get(name)?.first().copied()
    }

    /// What a name means in a namespace, and what kind of name it is.
    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<(&'static str, Vec<&'a Workload>)> {
        if let Some(workloads) = self.compose.get(&(namespace, name)) {
            return Some(("Compose service", workloads.clone()));
        }
        let in_namespace = |workload: &&&Workload| workload.namespace() == namespace;
        let container = self.containers.get(name).and_then(|holders| holders.iter().find(in_namespace));
        if let Some(workload) = container {
            return Some(("container", vec![workload]));
        }
        let workloads = self.aliases().get(&(namespace, name))?;
        Some(("network alias", workloads.clone()))
    }

    /// The workloads that a selector fits.
    pub(super) fn selected(&self, selector: &LabelSelector) -> Vec<&'a Workload> {
        let fits = |workload: &&Workload| selector.matches(&workload.labels);
        let Some((key, value)) = selector.labels.iter().next() else {
            return self.workloads().filter(fits).collect();
        };
        let candidates = self.labels().get(&(&**key, &**value));
        candidates.into_iter().flatten().copied().filter(fits).collect()
    }

    /// A namespace in which `name` means something.
    pub(super) fn elsewhere(&self, name: &str) -> Option<&'a str> {
        let names = self.elsewhere.get_or_init(|| {
            let resources = self.snapshot.resources.keys();
            let resources = resources.filter(|id| matches!(id.kind, Kind::Backend | Kind::Service));
            let resources = resources.map(|id: &ResourceId| (&*id.namespace, &*id.name));
            let called =
                self.containers.values().flatten().map(|workload| (workload.namespace(), &*workload.name));
            let keys = self.compose.keys().chain(self.aliases().keys()).copied();
            let mut first_of = BTreeMap::new();
            for (namespace, name) in keys.chain(called).chain(resources) {
                let first = first_of.entry(name).or_insert(namespace);
                *first = namespace.min(*first);
            }
            first_of
        });
        names.get(name).copied()
    }

    fn aliases(&self) -> &BTreeMap<(&'a str, &'a str), Vec<&'a Workload>> {
        self.aliases.get_or_init(|| {
            let mut aliases: BTreeMap<(&str, &str), Vec<&Workload>> = BTreeMap::new();
            for workload in self.workloads() {
                for alias in workload.networks.iter().flat_map(|attachment| &attachment.aliases) {
                    let holders = aliases.entry((workload.namespace(), alias)).or_default();
                    if holders.last().is_none_or(|last| last.id != workload.id) {
                        holders.push(workload);
                    }
                }
            }
            aliases
        })
    }

    fn labels(&self) -> &BTreeMap<(&'a str, &'a str), Vec<&'a Workload>> {
        self.labels.get_or_init(|| {
            let mut labels: BTreeMap<(&str, &str), Vec<&Workload>> = BTreeMap::new();
            for workload in self.workloads() {
                for (key, value) in &workload.labels {
                    labels.entry((key, value)).or_default().push(workload);
                }
            }
            labels
        })
    }
}
