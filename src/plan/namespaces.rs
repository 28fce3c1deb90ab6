//! Namespaces, and which of them selectors choose.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::model::{Kind, LabelSelector, Resource, ResourceId, Snapshot};

/// The label that every namespace has: its name.
const NAME: &str = "kubernetes.io/metadata.name";

/// The namespaces of a configuration.
pub(super) struct Namespaces<'a> {
    snapshot: &'a Snapshot,
    /// Those that have an object, or a `Namespace` of their own; found when a selector asks.
    known: OnceCell<BTreeSet<&'a str>>,
}

// === impl Namespaces ===

impl<'a> Namespaces<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, known: OnceCell::new() }
    }

    /// Whether a namespace fits a selector. It need not have an object for that.
    pub(super) fn fits(&self, namespace: &str, selector: &LabelSelector) -> bool {
        let id = ResourceId::new(Kind::Namespace, "", namespace);
        let mut labels: BTreeMap<Arc<str>, Arc<str>> = match self.snapshot.resources.get(&id) {
            Some(Resource::Namespace(written)) => written.labels.clone(),
            Some(_) | None => BTreeMap::new(),
        };
        labels.insert(NAME.into(), namespace.into());
        selector.matches(&labels)
    }

    /// The namespaces there are, if none of them fits a selector.
    pub(super) fn none_fits(&self, selector: &LabelSelector) -> Option<&BTreeSet<&'a str>> {
        let known = self.known.get_or_init(|| {
            let ids = self.snapshot.resources.keys();
            let names = ids.map(|id| if id.kind == Kind::Namespace { &*id.name } else { &*id.namespace });
            names.filter(|name| !name.is_empty()).collect()
        });
        (!known.iter().any(|namespace| self.fits(namespace, selector))).then_some(known)
    }
}
