//! What one container wants: hosts and paths, and how it is to be reached. Every dialect speaks in these terms.

use std::{num::NonZeroU16, sync::Arc};

use super::{
    Problems, problem,
    template::{Filled, Template},
};
use crate::{
    api::{HealthUse, HttpRouteSpec, LoadBalancingPolicy},
    config::diagnostic::shown,
    model::{Host, HostPattern, HttpsUse, NetworkMode, Problem, Scheme, Severity, Workload},
};

/// The labels of one container, read.
#[derive(Debug, Default)]
pub(super) struct Declared {
    pub(super) enable: Option<bool>,
    /// For every route that does not say otherwise, default names included.
    pub(super) network: Option<Arc<str>>,
    /// The one without a name first, then by name.
    pub(super) routes: Vec<DeclaredRoute>,
    pub(super) problems: Vec<Problem>,
}

/// A route that labels describe.
#[derive(Debug)]
pub(super) struct DeclaredRoute {
    pub(super) name: Option<Arc<str>>,
    /// `None` stands for the default names; empty if no host that was written could be read.
    pub(super) hosts: Option<Vec<HostPattern>>,
    /// `None` if it could not be read: the route is left out.
    pub(super) shape: Option<Shape>,
    pub(super) terms: Terms,
    /// The label to name when something is said of the route.
    pub(super) label: Arc<str>,
}

/// What a route does with requests for its hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    Path {
        /// Without a slash at its end; empty for all paths.
        prefix: Arc<str>,
        strip: Strip,
    },
    Spec(Spec),
}

/// Whether the backend sees the prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strip {
    #[default]
    Keep,
    Strip,
}

/// A whole `HTTPRouteSpec`; equal when it says the same.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) spec: Arc<HttpRouteSpec>,
    /// The spec as JSON without `hostnames`.
    pub(super) canonical: Arc<str>,
}

/// How the container is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Terms {
    pub(super) port: Port,
    pub(super) scheme: Scheme,
    pub(super) network: Option<Arc<str>>,
    pub(super) weight: u32,
    pub(super) policy: Policy,
}

/// What is asked for all containers of a route together.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Policy {
    pub(super) balancing: Option<LoadBalancingPolicy>,
    pub(super) health_path: Option<Arc<str>>,
    pub(super) health: Option<HealthUse>,
    pub(super) https: Option<HttpsUse>,
    pub(super) sticky: Option<Sticky>,
}

/// How a client is kept at one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sticky {
    Not,
    Cookie,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Port {
    /// The planner chooses, and says so where it cannot.
    #[default]
    Unnamed,
    Number(NonZeroU16),
    /// Written, but not a port: the container is no endpoint of the route.
    Unreadable,
}

/// Who a resource is named after: a Compose service or a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
}

/// One container's wish for one host.
#[derive(Clone, Debug)]
pub(super) struct Claim<'a> {
    pub(super) workload: &'a Workload,
    pub(super) owner: Owner,
    pub(super) route: Option<Arc<str>>,
    pub(super) host: HostPattern,
    pub(super) shape: Shape,
    pub(super) terms: Terms,
    pub(super) source: Source,
    pub(super) label: Option<Arc<str>>,
    /// Its place among the container's claims.
    pub(super) order: usize,
}

/// Who chose the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A person, by a label or `--hostname`.
    Written,
    /// A template.
    Default,
}

/// A host that a container wants, and on whose behalf.
struct OwnName {
    host: HostPattern,
    owner: Owner,
    source: Source,
}

/// Everything that a container claims, each host and path once.
pub(super) fn expand<'a>(
    workload: &'a Workload,
    declared: Declared,
    templates: &[Template],
    problems: &mut Problems,
) -> Vec<Claim<'a>> {
    let Declared { network, routes, .. } = declared;
    let names = own_names(workload, templates);
    let has_written_hosts =
        routes.iter().any(|route| route.hosts.as_ref().is_some_and(|hosts| !hosts.is_empty()));
    if names.is_empty() && !has_written_hosts {
        no_host(workload, templates, problems);
    }
    let main = routes.iter().find(|route| route.name.is_none());
    let fallback_terms =
        main.map_or_else(|| Terms { network, ..Terms::default() }, |main| main.terms.clone());
    let mut expander = Expander { workload, claims: Vec::new() };
    for route in routes {
        let Some(shape) = &route.shape else { continue };
        let outcome = match &route.hosts {
            Some(hosts) => expander.claim(&route, &written_names(workload, hosts), shape),
            None => expander.claim(&route, &names, shape),
        };
        if let Err(clash) = outcome {
            problems.push(workload, clash.problem(workload, &route));
        }
    }
    for name in &names {
        expander.fallback(name, &fallback_terms);
    }
    expander.claims
}

struct Expander<'a> {
    workload: &'a Workload,
    claims: Vec<Claim<'a>>,
}

/// Hosts that an earlier route of the same container claims at the same path.
#[derive(Debug, Default)]
struct Clash {
    first: Option<Arc<str>>,
    hosts: Vec<String>,
}

// === impl Expander ===

impl Expander<'_> {
    /// Claims the hosts of a route; what the container claims already stays as it is.
    fn claim(&mut self, route: &DeclaredRoute, names: &[OwnName], shape: &Shape) -> Result<(), Clash> {
        let mut clash = Clash::default();
        for name in names {
            let taken =
                self.claims.iter().find(|claim| claim.host == name.host && claim.shape.is_same_place(shape));
            if let Some(first) = taken {
                clash.first.clone_from(&first.route);
                clash.hosts.push(format!("`{}`", name.host));
            } else {
                let what = (route.terms.clone(), route.name.clone(), Some(route.label.clone()));
                self.push(name, shape.clone(), what);
            }
        }
        if clash.hosts.is_empty() { Ok(()) } else { Err(clash) }
    }

    /// A default name leads to the whole container, unless labels say something else of it.
    fn fallback(&mut self, name: &OwnName, terms: &Terms) {
        let shape = Shape::Path { prefix: "".into(), strip: Strip::Keep };
        let is_claimed = self.claims.iter().any(|claim| {
            claim.host == name.host && (claim.route.is_none() || claim.shape.is_same_place(&shape))
        });
        if !is_claimed {
            self.push(name, shape, (terms.clone(), None, None));
        }
    }

    fn push(&mut self, name: &OwnName, shape: Shape, what: (Terms, Option<Arc<str>>, Option<Arc<str>>)) {
        let (terms, route, label) = what;
        self.claims.push(Claim {
            workload: self.workload,
            owner: name.owner.clone(),
            route,
            host: name.host.clone(),
            shape,
            terms,
            source: name.source,
            label,
            order: self.claims.len(),
        });
    }
}

// === impl Clash ===

impl Clash {
    fn problem(self, workload: &Workload, route: &DeclaredRoute) -> Problem {
        let Self { first, mut hosts } = self;
        hosts.truncate(8);
        let first = first.map_or_else(String::new, |first| format!("{first}."));
        let message = format!(
            "container `{}` claims {} at the same path twice: the labels `portolan.{first}…` come first, `{}` has no effect \
             there",
            workload.name,
            hosts.join(", "),
            route.label
        );
        let hint = route.name.as_ref().map(|name| {
            format!(
                "give it a host or a path of its own with `portolan.{name}.host` or `portolan.{name}.path`"
            )
        });
        problem(workload, Some(&route.label), (Severity::Warning, "Conflicted"), (message, hint))
    }
}

// === names ===

fn written_names(workload: &Workload, hosts: &[HostPattern]) -> Vec<OwnName> {
    let name = |host: &HostPattern| OwnName {
        host: host.clone(),
        owner: service_owner(workload),
        source: Source::Written,
    };
    hosts.iter().map(name).collect()
}

/// The default names, and a host name with a dot that the container was started with.
fn own_names(workload: &Workload, templates: &[Template]) -> Vec<OwnName> {
    let mut names: Vec<OwnName> = Vec::new();
    if let Some(host) = dotted_hostname(workload) {
        names.push(OwnName { host, owner: service_owner(workload), source: Source::Written });
    }
    for template in templates {
        if let Filled::Host(host) = template.fill(workload)
            && !names.iter().any(|name| name.host == host)
        {
            let owner =
                if template.is_per_container() { container_owner(workload) } else { service_owner(workload) };
            names.push(OwnName { host, owner, source: Source::Default });
        }
    }
    names
}

/// `--hostname blog.example.com`.
fn dotted_hostname(workload: &Workload) -> Option<HostPattern> {
    // On the host's network the engine fills in the host's own name, and a container that shares the network of
    // another has the other's.
    match workload.network_mode {
        NetworkMode::Networks | NetworkMode::None => {}
        NetworkMode::Host | NetworkMode::Container(_) => return None,
    }
    let (first, _) = workload.hostname.trim_end_matches('.').split_once('.')?;
    // Only `--domainname` was given: the first label is the short id.
    let is_short_id = first.len() == 12 && workload.id.0.starts_with(first);
    let is_address = workload.hostname.parse::<std::net::Ipv4Addr>().is_ok();
    if is_short_id || is_address {
        return None;
    }
    Host::parse(&workload.hostname).ok().map(HostPattern::Exact)
}

fn no_host(workload: &Workload, templates: &[Template], problems: &mut Problems) {
    let Some(text) = templates.iter().find_map(|template| match template.fill(workload) {
        Filled::NotAHost(text) => Some(text),
        Filled::NotApplicable | Filled::Host(_) => None,
    }) else {
        return;
    };
    let message =
        format!("container `{}` has no default name: `{}` is not a host name", workload.name, shown(&text));
    let hint = Some("give it one with the label `portolan.host`".to_owned());
    problems.add(workload, None, (Severity::Warning, "NoHostName"), (message, hint));
}

fn service_owner(workload: &Workload) -> Owner {
    match workload.compose() {
        Some(compose) => Owner { namespace: compose.project.clone(), name: compose.service.clone() },
        None => container_owner(workload),
    }
}

fn container_owner(workload: &Workload) -> Owner {
    Owner { namespace: workload.namespace().into(), name: workload.name.clone() }
}

// === impl Shape ===

impl Shape {
    /// Whether one container can say only one of the two for one host.
    fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Path { prefix: one, .. }, Self::Path { prefix: other, .. }) => one == other,
            (Self::Spec(one), Self::Spec(other)) => one == other,
            (Self::Path { .. }, Self::Spec(_)) | (Self::Spec(_), Self::Path { .. }) => false,
        }
    }
}

// === impl Spec ===

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Spec {}

impl PartialOrd for Spec {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Spec {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.canonical.cmp(&other.canonical)
    }
}

// === impl Terms ===

impl Default for Terms {
    fn default() -> Self {
        Self {
            port: Port::Unnamed,
            scheme: Scheme::Http,
            network: None,
            weight: 1,
            policy: Policy::default(),
        }
    }
}
