//! The names under which objects are asked for.

use std::{collections::BTreeMap, sync::Arc};

use crate::model::{
    BackendReport, ContainerReport, EndpointReport, EventReport, Kind, ObjectReport, Report, ResourceId,
};

/// Objects that are listed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    /// Routes of every kind.
    Routes,
    /// What routes point at, whatever it resolved to, with its endpoints.
    Backends,
    Endpoints,
    Containers,
    Events,
    /// The objects of one kind, as written.
    Kind(Kind),
}

/// One thing that is listed. Equal if nothing about it changed; comparing is cheap while it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Object(Arc<ObjectReport>),
    /// A backend of the table, the object behind it, or both.
    Backend {
        backend: Option<Arc<BackendReport>>,
        object: Option<Arc<ObjectReport>>,
    },
    Endpoint {
        backend: Arc<str>,
        endpoint: EndpointReport,
    },
    Container(Arc<ContainerReport>),
    Event(Arc<EventReport>),
}

/// Namespace, name, and what tells things of one name apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub part: Arc<str>,
}

/// Which items are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub namespace: Option<String>,
    pub name: Option<String>,
}

// === impl Collection ===

impl Collection {
    /// The kinds of [`Collection::Routes`].
    pub const ROUTE_KINDS: [Kind; 5] =
        [Kind::HttpRoute, Kind::GrpcRoute, Kind::TlsRoute, Kind::TcpRoute, Kind::UdpRoute];

    /// The collections that are listed to people; others are named by their kind.
    pub const LISTED: [Self; 7] = [
        Self::Kind(Kind::Gateway),
        Self::Routes,
        Self::Backends,
        Self::Endpoints,
        Self::Kind(Kind::Certificate),
        Self::Containers,
        Self::Events,
    ];

    /// From a name in any case: plural, singular, kind or short form.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        Self::all().find(|collection| collection.words().contains(&word))
    }

    /// Every name that [`Collection::parse`] takes, the plural of each first.
    pub fn names() -> Vec<String> {
        Self::all().flat_map(Self::words).collect()
    }

    /// The plural of each, those that are listed to people first.
    pub fn plurals() -> Vec<String> {
        let others = Self::all().filter(|one| !Self::LISTED.contains(one));
        Self::LISTED.into_iter().chain(others).map(Self::plural).collect()
    }

    /// The plural: the name in a path.
    pub fn plural(self) -> String {
        self.words().swap_remove(0)
    }

    fn all() -> impl Iterator<Item = Self> {
        let named = [Self::Routes, Self::Backends, Self::Endpoints, Self::Containers, Self::Events];
        // Objects of kind `Backend` are listed with everything else that routes point at.
        let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Backend).map(Self::Kind);
        named.into_iter().chain(kinds)
    }

    /// Plural, singular and short forms.
    fn words(self) -> Vec<String> {
        let fixed = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        match self {
            Self::Routes => fixed(&["routes", "route"]),
            Self::Backends => fixed(&["backends", "backend", "be"]),
            Self::Endpoints => fixed(&["endpoints", "endpoint", "ep"]),
            Self::Containers => fixed(&["containers", "container", "ct"]),
            Self::Events => fixed(&["events", "event", "ev"]),
            Self::Kind(kind) => {
                let singular = kind.as_str().to_ascii_lowercase();
                let plural = match singular.strip_suffix('y') {
                    Some(stem) if !singular.ends_with("ay") => format!("{stem}ies"),
                    Some(_) | None if singular.ends_with('s') => format!("{singular}es"),
                    Some(_) | None => format!("{singular}s"),
                };
                let mut words = vec![plural, singular];
                words.extend(short_form(kind).map(str::to_owned));
                words
            }
        }
    }

    /// The items that fit, in order.
    pub fn items(self, report: &Report, filter: &Filter) -> BTreeMap<Key, Item> {
        let items: Box<dyn Iterator<Item = Item>> = match self {
            Self::Routes => {
                Box::new(Self::ROUTE_KINDS.into_iter().flat_map(|kind| report.of_kind(kind)).map(object))
            }
            Self::Backends => Box::new(backends(report)),
            Self::Endpoints => Box::new(report.backends.values().flat_map(|backend| {
                let item = |endpoint: &EndpointReport| Item::Endpoint {
                    backend: backend.name.clone(),
                    endpoint: endpoint.clone(),
                };
                backend.endpoints.iter().map(item)
            })),
            Self::Containers => Box::new(report.containers.values().cloned().map(Item::Container)),
            Self::Events => Box::new(report.events.iter().cloned().map(Item::Event)),
            Self::Kind(kind) => Box::new(report.of_kind(kind).map(object)),
        };
        let wanted = items.filter(|item| filter.takes(item));
        wanted.map(|item| (item.key(), item)).collect()
    }
}

fn object(report: &Arc<ObjectReport>) -> Item {
    Item::Object(report.clone())
}

/// `kubectl`'s short names.
fn short_form(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::GatewayClass => Some("gc"),
        Kind::Gateway => Some("gtw"),
        Kind::ListenerSet => Some("lset"),
        Kind::BackendTlsPolicy => Some("btlspolicy"),
        Kind::ReferenceGrant => Some("refgrant"),
        Kind::Service => Some("svc"),
        Kind::Namespace => Some("ns"),
        Kind::ConfigMap => Some("cm"),
        Kind::Certificate => Some("cert"),
        Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::Secret
        | Kind::Backend
        | Kind::Filter
        | Kind::Rollout
        | Kind::ControllerConfig => None,
    }
}

/// What the table has, each with the object behind its name, and the `Backend` objects that no route uses.
fn backends(report: &Report) -> impl Iterator<Item = Item> + '_ {
    let behind = |backend: &BackendReport| {
        let (namespace, name) = split_backend(&backend.name);
        let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
        let find = |kind| report.objects.get(&ResourceId::new(kind, namespace, name));
        find(Kind::Backend).or_else(|| find(Kind::Service)).cloned()
    };
    let used: Vec<Item> = report
        .backends
        .values()
        .map(|backend| Item::Backend { backend: Some(backend.clone()), object: behind(backend) })
        .collect();
    let seen: std::collections::BTreeSet<ResourceId> = used
        .iter()
        .filter_map(|item| match item {
            Item::Backend { object: Some(object), .. } => Some(object.meta.id.clone()),
            Item::Backend { .. }
            | Item::Object(_)
            | Item::Endpoint { .. }
            | Item::Container(_)
            | Item::Event(_) => None,
        })
        .collect();
    let unused = report.of_kind(Kind::Backend).filter(move |object| !seen.contains(&object.meta.id));
    used.into_iter().chain(unused.map(|object| Item::Backend { backend: None, object: Some(object.clone()) }))
}

/// `namespace/name[:port]` in two.
pub fn split_backend(full: &str) -> (&str, &str) {
    full.split_once('/').unwrap_or(("default", full))
}

// === impl Item ===

impl Item {
    pub fn key(&self) -> Key {
        let key = |namespace: &str, name: &str, part: &str| Key {
            namespace: namespace.into(),
            name: name.into(),
            part: part.into(),
        };
        match self {
            Self::Object(object) | Self::Backend { backend: None, object: Some(object) } => {
                let id = &object.meta.id;
                key(&id.namespace, &id.name, id.kind.as_str())
            }
            Self::Backend { backend: Some(backend), .. } => {
                let (namespace, name) = split_backend(&backend.name);
                key(namespace, name, "")
            }
            Self::Backend { backend: None, object: None } => key("", "", ""),
            Self::Endpoint { backend, endpoint } => {
                let (namespace, name) = split_backend(backend);
                let address = endpoint.address.as_deref().unwrap_or_default();
                key(namespace, name, &format!("{} {address}", endpoint.name))
            }
            Self::Container(container) => {
                let workload = &container.workload;
                key(workload.namespace(), &workload.name, &workload.id.0)
            }
            // Zeros in front, so that text sorts as numbers do.
            Self::Event(event) => key("", &format!("{:020}", event.number), ""),
        }
    }
}

// === impl Filter ===

impl Filter {
    /// An endpoint goes by its backend's name too, a backend by its name without the port, an event by its object's, with
    /// or without a port, a container by its id.
    pub fn takes(&self, item: &Item) -> bool {
        let names = |namespace: &str, names: &[&str]| {
            self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
                && self.name.as_deref().is_none_or(|wanted| names.contains(&wanted))
        };
        let without_port = |name| -> &str { str::rsplit_once(name, ':').map_or(name, |(front, _)| front) };
        match item {
            Item::Object(object) | Item::Backend { backend: None, object: Some(object) } => {
                names(&object.meta.id.namespace, &[&object.meta.id.name])
            }
            Item::Backend { backend: Some(backend), .. } => {
                let (namespace, name) = split_backend(&backend.name);
                names(namespace, &[name, without_port(name)])
            }
            Item::Backend { backend: None, object: None } => false,
            Item::Endpoint { backend, endpoint } => {
                let (namespace, name) = split_backend(backend);
                names(namespace, &[name, without_port(name), &endpoint.name])
            }
            Item::Container(container) => {
                let workload = &container.workload;
                let id = &*workload.id.0;
                let short = id.get(..12).unwrap_or(id);
                names(workload.namespace(), &[&workload.name, id, short])
            }
            Item::Event(event) => {
                let number = event.number.to_string();
                match &event.object {
                    Some(id) => names(&id.namespace, &[&id.name, without_port(&id.name), &number]),
                    None => names("", &[&number]),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_is_known_by_plural_singular_kind_and_short_form() {
        for (words, expected) in [
            (&["gateways", "gateway", "Gateway", "gtw"][..], Collection::Kind(Kind::Gateway)),
            (&["routes", "route", "ROUTES"], Collection::Routes),
            (&["httproutes", "HTTPRoute"], Collection::Kind(Kind::HttpRoute)),
            (&["backends", "Backend", "be"], Collection::Backends),
            (&["endpoints", "ep"], Collection::Endpoints),
            (&["certificates", "cert"], Collection::Kind(Kind::Certificate)),
            (&["gatewayclasses", "gatewayclass", "gc"], Collection::Kind(Kind::GatewayClass)),
            (&["backendtlspolicies", "BackendTLSPolicy"], Collection::Kind(Kind::BackendTlsPolicy)),
            (&["containers", "container"], Collection::Containers),
            (&["events", "ev"], Collection::Events),
        ] {
            for word in words {
                assert_eq!(Collection::parse(word), Some(expected), "{word}");
            }
        }
        assert_eq!(Collection::parse("pods"), None);
    }

    #[test]
    fn no_word_stands_for_two_collections() {
        let mut names = Collection::names();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
