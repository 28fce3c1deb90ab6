//! To which listeners a route attaches, parent by parent, and why not.

use super::{
    gateways::{GATEWAY_GROUP, Gateways, Served},
    listeners::ServedListener,
    namespaces::Namespaces,
    words,
};
use crate::model::{FromNamespaces, HostPattern, HttpRoute, Kind, Listener, ParentRef, ResourceId, Truth};

/// The Gateway and the positions of its listeners to which a route attaches.
pub(super) struct Attached<'a> {
    pub(super) gateway: &'a ResourceId,
    pub(super) listeners: Vec<usize>,
}

/// Why a route does not attach to a parent.
#[derive(Debug)]
pub(super) struct Detached {
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// `Unknown` where another controller decides.
    pub(super) truth: Truth,
}

/// One parent of a route, and what came of it.
pub(super) type Outcome<'a> = (ParentRef, Result<Attached<'a>, Detached>);

type Listeners<'s, 'a> = Vec<(usize, &'s ServedListener<'a>)>;

/// Each parent of the route with the listeners it attaches to, or why not.
pub(super) fn of_route<'a>(route: &HttpRoute, gateways: &Gateways<'a>) -> Vec<Outcome<'a>> {
    let named = route.parents.iter().map(|parent| (parent.clone(), to_parent(route, parent, gateways)));
    let mut parents: Vec<Outcome<'a>> = named.collect();
    let is_default = |served: &&Served<'_>| served.gateway.is_default;
    let takes_any = route.attaches_anywhere && !gateways.iter().any(|served| is_default(&served));
    if !(takes_any || route.uses_default_gateways) {
        return parents;
    }
    for served in gateways.iter().filter(|served| takes_any || is_default(served)) {
        let parent = parent_of(served);
        let is_it = |(other, _): &Outcome<'_>| {
            other.namespace == parent.namespace
                && other.name == parent.name
                && &*other.kind == "Gateway"
                && &*other.group == GATEWAY_GROUP
        };
        if !parents.iter().any(is_it) {
            let outcome =
                to_listeners(route, &parent, (served, &served.gateway.meta.id), &gateways.namespaces);
            parents.push((parent, outcome));
        }
    }
    if route.attaches_anywhere && parents.iter().any(|(_, outcome)| outcome.is_ok()) {
        // Labels asked for no Gateway in particular: one that does not take them is no mistake.
        parents.retain(|(parent, outcome)| outcome.is_ok() || route.parents.contains(parent));
    }
    parents
}

fn parent_of(served: &Served<'_>) -> ParentRef {
    let id = &served.gateway.meta.id;
    ParentRef {
        group: GATEWAY_GROUP.into(),
        kind: "Gateway".into(),
        namespace: id.namespace.clone(),
        name: id.name.clone(),
        section: None,
        port: None,
    }
}

fn refused(reason: &'static str, message: String) -> Detached {
    Detached { reason, message, truth: Truth::False }
}

fn to_parent<'a>(
    route: &HttpRoute,
    parent: &ParentRef,
    gateways: &Gateways<'a>,
) -> Result<Attached<'a>, Detached> {
    let ParentRef { group, kind, namespace, name, .. } = parent;
    if (&**group, &**kind) == (GATEWAY_GROUP, "ListenerSet") {
        let id = ResourceId { kind: Kind::ListenerSet, namespace: namespace.clone(), name: name.clone() };
        return match gateways.of_set(&id) {
            Some(Ok(served)) => to_listeners(route, parent, (served, &id), &gateways.namespaces),
            Some(Err(why)) => Err(refused("NoMatchingParent", format!("{id} adds no listeners: {why}"))),
            None => Err(refused("NoMatchingParent", format!("there is no {id}"))),
        };
    }
    if (&**group, &**kind) != (GATEWAY_GROUP, "Gateway") {
        let group = words::group(group);
        let message = format!(
            "parentRef `{name}`: a route cannot attach to a `{kind}` of group `{group}`, only to a Gateway or a ListenerSet"
        );
        return Err(refused("NoMatchingParent", message));
    }
    let id = ResourceId { kind: Kind::Gateway, namespace: namespace.clone(), name: name.clone() };
    if let Some(served) = gateways.find(&id) {
        return to_listeners(route, parent, (served, &id), &gateways.namespaces);
    }
    if let Some(controller) = gateways.controller_of(&id) {
        let message = format!("{id} belongs to the controller `{controller}`: Portolan leaves it alone");
        return Err(Detached { reason: "Pending", message, truth: Truth::Unknown });
    }
    let known = gateways
        .iter()
        .map(|served| format!("{}/{}", served.gateway.meta.id.namespace, served.gateway.meta.id.name));
    let message = format!("there is no Gateway `{namespace}/{name}`; there is {}", words::listed(known));
    Err(refused("NoMatchingParent", message))
}

fn to_listeners<'a>(
    route: &HttpRoute,
    parent: &ParentRef,
    (served, owner): (&Served<'a>, &ResourceId),
    namespaces: &Namespaces<'_>,
) -> Result<Attached<'a>, Detached> {
    let gateway = &served.gateway.meta.id;
    let all = || served.listeners.iter().enumerate().filter(|(_, served)| served.owner == owner);
    let named: Listeners<'_, 'a> = all()
        .filter(|(_, served)| parent.section.as_ref().is_none_or(|section| *section == served.listener.name))
        .filter(|(_, served)| parent.port.is_none_or(|port| port == served.listener.port))
        .collect();
    if named.is_empty() {
        let listeners: Vec<String> = all()
            .map(|(_, served)| format!("`{}` on port {}", served.listener.name, served.listener.port))
            .collect();
        let section =
            parent.section.as_ref().map(|section| format!(" named `{section}`")).unwrap_or_default();
        let port = parent.port.map(|port| format!(" on port {port}")).unwrap_or_default();
        let message = format!("{owner} has no listener{section}{port}; it has {}", listeners.join(", "));
        return Err(refused("NoMatchingParent", message));
    }
    let of_kind: Listeners<'_, 'a> =
        named.iter().filter(|(_, served)| served.takes(route.meta.id.kind)).copied().collect();
    if of_kind.is_empty() {
        return Err(refused("NotAllowedByListeners", why_not_the_kind(route, owner, &named)));
    }
    let allowed: Listeners<'_, 'a> = of_kind
        .iter()
        .filter(|(_, served)| allows_namespace(route, served.listener, &owner.namespace, namespaces))
        .copied()
        .collect();
    if allowed.is_empty() {
        return Err(refused("NotAllowedByListeners", why_not_the_namespace(route, owner, &of_kind)));
    }
    let fits = |(_, served): &&(usize, &ServedListener<'a>)| !hostnames(route, served.listener).is_nothing();
    let fitting: Vec<usize> = allowed.iter().filter(fits).map(|(position, _)| *position).collect();
    if fitting.is_empty() {
        let ours = words::listed(route.hostnames.iter().map(ToString::to_string));
        let theirs = allowed
            .iter()
            .filter_map(|(_, served)| served.listener.hostname.as_ref())
            .map(ToString::to_string);
        let message = format!(
            "none of the route's hostnames ({ours}) fits a listener of {owner} ({}): correct one of them",
            words::listed(theirs)
        );
        return Err(refused("NoMatchingListenerHostname", message));
    }
    Ok(Attached { gateway, listeners: fitting })
}

fn allows_namespace(
    route: &HttpRoute,
    listener: &Listener,
    gateway_namespace: &str,
    namespaces: &Namespaces<'_>,
) -> bool {
    let namespace = &route.meta.id.namespace;
    match &listener.allowed.namespaces {
        FromNamespaces::All => true,
        // Nobody writes a Gateway for each Compose project: what labels say may attach unless a selector keeps it out.
        FromNamespaces::Same => route.attaches_anywhere || **namespace == *gateway_namespace,
        FromNamespaces::Selector(selector) => namespaces.fits(namespace, selector),
        FromNamespaces::None => false,
    }
}

fn why_not_the_kind(
    route: &HttpRoute,
    gateway: &ResourceId,
    named: &[(usize, &ServedListener<'_>)],
) -> String {
    let kind = route.meta.id.kind;
    let listeners: Vec<String> = named
        .iter()
        .map(|(_, served)| format!("`{}` ({})", served.listener.name, served.listener.protocol.as_str()))
        .collect();
    format!(
        "{gateway}: listener {} takes no {kind}; attach to one with protocol HTTP whose `allowedRoutes.kinds` has \
         {kind} or is left out",
        listeners.join(", ")
    )
}

fn why_not_the_namespace(
    route: &HttpRoute,
    gateway: &ResourceId,
    listeners: &[(usize, &ServedListener<'_>)],
) -> String {
    let policies = listeners.iter().map(|(_, served)| {
        let from = match &served.listener.allowed.namespaces {
            FromNamespaces::All => "All",
            FromNamespaces::Same => "Same",
            FromNamespaces::Selector(_) => "Selector",
            FromNamespaces::None => "Selector` without a `selector",
        };
        format!("`{}` has `{from}`", served.listener.name)
    });
    format!(
        "{gateway} takes no routes of namespace `{}`: of its listeners' `allowedRoutes.namespaces.from`, {}; \
         `All` lets them attach",
        route.meta.id.namespace,
        policies.collect::<Vec<_>>().join(", ")
    )
}

// === hostnames ===

/// The hosts for which a route is served on a listener.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hostnames<'r> {
    /// Neither side names one.
    Every,
    /// Where one side is narrower, that one: precedence goes by what a route is served for, not by what it has written.
    These(Vec<&'r HostPattern>),
}

/// What the hostnames of a route and of a listener have in common; [`Hostnames::is_nothing`] if they have nothing.
pub(super) fn hostnames<'r>(route: &'r HttpRoute, listener: &'r Listener) -> Hostnames<'r> {
    match (&*route.hostnames, &listener.hostname) {
        ([], None) => Hostnames::Every,
        ([], Some(host)) => Hostnames::These(vec![host]),
        (hosts, None) => Hostnames::These(hosts.iter().collect()),
        (hosts, Some(own)) => Hostnames::These(hosts.iter().filter_map(|host| host.narrower(own)).collect()),
    }
}

impl<'r> Hostnames<'r> {
    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Self::Every => false,
            Self::These(hosts) => hosts.is_empty(),
        }
    }

    pub(super) fn patterns(self) -> Vec<&'r HostPattern> {
        match self {
            Self::Every => Vec::new(),
            Self::These(hosts) => hosts,
        }
    }
}
