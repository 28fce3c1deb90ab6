//! References across namespaces.

use std::collections::BTreeMap;

use crate::model::{ReferenceGrant, Resource, ResourceId, Snapshot};

/// Every `ReferenceGrant`, by its namespace.
pub(super) struct Grants<'a> {
    by_namespace: BTreeMap<&'a str, Vec<&'a ReferenceGrant>>,
}

/// What a reference points at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) group: &'a str,
    pub(super) kind: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

// === impl Grants ===

impl<'a> Grants<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let mut by_namespace: BTreeMap<&str, Vec<&ReferenceGrant>> = BTreeMap::new();
        for resource in snapshot.resources.values() {
            if let Resource::ReferenceGrant(grant) = resource {
                by_namespace.entry(&grant.meta.id.namespace).or_default().push(grant);
            }
        }
        Self { by_namespace }
    }

    /// Whether some grant in the target's namespace lets objects of the kind and namespace of `from` refer to it.
    pub(super) fn permit(&self, from: &ResourceId, to: Target<'_>) -> bool {
        let grants = self.by_namespace.get(to.namespace);
        grants.into_iter().flatten().any(|grant| permits(grant, from, to))
    }
}

fn permits(grant: &ReferenceGrant, from: &ResourceId, to: Target<'_>) -> bool {
    let gives = grant.from.iter().any(|granted| {
        &*granted.group == from.kind.group()
            && &*granted.kind == from.kind.as_str()
            && granted.namespace == from.namespace
    });
    let takes = grant.to.iter().any(|granted| {
        *granted.group == *to.group
            && *granted.kind == *to.kind
            && granted.name.as_ref().is_none_or(|name| **name == *to.name)
    });
    gives && takes
}
