//! Names of the resources that are made: readable, valid, and never the same twice.

use std::collections::BTreeSet;

use crate::model::{Kind, ResourceId};

/// Hands out names.
pub(super) struct Names<'a> {
    /// Used by files.
    taken: &'a BTreeSet<ResourceId>,
    given: BTreeSet<(String, String)>,
    /// Left to files.
    left: BTreeSet<(String, String)>,
}

/// Namespaces and names that decided what the resources are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Considered(BTreeSet<(String, String)>);

/// What one pair of a route and a backend is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) namespace: String,
    pub(super) route: String,
    /// Not a name that a container or service would have: `backendRefs` in files that name a container must find the
    /// container itself.
    pub(super) backend: String,
}

/// What is behind the name of a backend.
const BACKEND: &str = ".containers";

/// Room for what is added to a name; a name has at most 253 characters.
const MAX_NAME: usize = 200;
const MAX_NAMESPACE: usize = 63;

/// A text as a lower-case DNS name without dots.
pub(super) fn slug(text: &str) -> String {
    let plain: String = text
        .chars()
        .take(MAX_NAME)
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
        .collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() { "unnamed".to_owned() } else { plain.to_owned() }
}

/// A Compose project as a namespace; only odd ones change.
pub(super) fn namespace(text: &str) -> String {
    let plain: String = text
        .chars()
        .take(MAX_NAMESPACE)
        .map(|letter| match letter {
            '_' => '_',
            letter if letter.is_ascii_alphanumeric() => letter.to_ascii_lowercase(),
            _ => '-',
        })
        .collect();
    let plain = plain.trim_start_matches(['-', '_']).trim_end_matches('-');
    if plain.is_empty() { "default".to_owned() } else { plain.to_owned() }
}

// === impl Names ===

impl<'a> Names<'a> {
    pub(super) fn new(taken: &'a BTreeSet<ResourceId>) -> Self {
        Self { taken, given: BTreeSet::new(), left: BTreeSet::new() }
    }

    /// The first of `wishes` that is free, or the first with a number behind it.
    pub(super) fn give(&mut self, namespace: &str, wishes: &[String]) -> Pair {
        let first = wishes.first().map_or("unnamed", String::as_str);
        let numbered = (2_u32..).map(|number| format!("{first}-{number}"));
        let mut candidates = wishes.iter().cloned().chain(numbered);
        let free = candidates.find(|name| self.is_free(namespace, name));
        let name = free.unwrap_or_else(|| first.to_owned());
        self.given.insert((namespace.to_owned(), name.clone()));
        Pair { namespace: namespace.to_owned(), backend: backend(&name), route: name }
    }

    fn is_free(&mut self, namespace: &str, name: &str) -> bool {
        let pair = (namespace.to_owned(), name.to_owned());
        if self.given.contains(&pair) {
            return false;
        }
        let is_taken = |kind, name: &str| {
            !self.taken.is_empty() && self.taken.contains(&ResourceId::new(kind, namespace, name))
        };
        let is_free = !is_taken(Kind::HttpRoute, name) && !is_taken(Kind::Backend, &backend(name));
        if !is_free {
            self.left.insert(pair);
        }
        is_free
    }

    /// Every name that was considered.
    pub(super) fn considered(self) -> Considered {
        Considered(self.given.into_iter().chain(self.left).collect())
    }
}

// === impl Considered ===

impl Considered {
    /// Whether another name would have been given, were this id taken or free.
    pub fn has(&self, id: &ResourceId) -> bool {
        let name = match id.kind {
            Kind::HttpRoute => Some(&*id.name),
            Kind::Backend => id.name.strip_suffix(BACKEND),
            Kind::GatewayClass
            | Kind::Gateway
            | Kind::ListenerSet
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute
            | Kind::BackendTlsPolicy
            | Kind::ReferenceGrant
            | Kind::Secret
            | Kind::ConfigMap
            | Kind::Service
            | Kind::Namespace
            | Kind::Filter
            | Kind::Certificate
            | Kind::Rollout
            | Kind::ControllerConfig => None,
        };
        name.is_some_and(|name| self.0.contains(&((*id.namespace).to_owned(), name.to_owned())))
    }
}

fn backend(route: &str) -> String {
    format!("{route}{BACKEND}")
}
