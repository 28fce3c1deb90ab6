//! Writes the documents that say what was claimed, and turns them into resources like those of files.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Problems, Translation,
    claims::{Policy, Port, Shape, Source, Sticky, Strip, Terms},
    manifest,
    merge::{Group, Member},
    names::{self, Considered, Names, Pair},
    origin,
};
use crate::{
    api::{
        self, BackendEndpoint, BackendScheme, BackendSpec, DefaultScope, DockerEndpoint, HealthCheck,
        HttpBackendRef, HttpHealthCheck, HttpPathMatch, HttpPathModifier, HttpPathModifierType,
        HttpRouteFilter, HttpRouteFilterType, HttpRouteMatch, HttpRouteRule, HttpRouteSpec,
        HttpUrlRewriteFilter, LoadBalancing, ObjectMeta, PathMatchType, SessionPersistence,
    },
    config::{Object, convert},
    model::{
        Endpoint, EndpointTarget, HostPattern, HttpsUse, Origin, Resource, ResourceId, Scheme, Severity,
        WorkloadId,
    },
};

/// The most host names that one `HTTPRoute` may have.
const MAX_HOSTS: usize = 16;

/// Writes every group; one that cannot be a resource costs only itself.
pub(super) fn write(
    groups: Vec<Group<'_>>,
    taken: &BTreeSet<ResourceId>,
    problems: Problems,
    known: &mut Known,
) -> Translation {
    let before = std::mem::take(known);
    let mut writer = Writer {
        before,
        known: Known::default(),
        objects: BTreeMap::new(),
        resources: BTreeMap::new(),
        problems,
    };
    let (called, names) = name(groups, taken);
    for (group, pairs) in called {
        for (pair, hosts) in pairs.iter().zip(group.hosts.chunks(MAX_HOSTS)) {
            writer.write(&group, pair, hosts);
        }
    }
    *known = writer.known;
    let resources = writer.resources.into_iter().map(|(id, ids)| (id, ids.into_iter().collect()));
    Translation {
        objects: writer.objects.into_values().collect(),
        problems: writer.problems.0,
        resources: resources.collect(),
        names,
        ..Translation::default()
    }
}

/// Names for every group, one pair for each sixteen hosts. Who is called exactly like the resource comes first, so
/// that `my-app` keeps its name beside `my_app`; then the older.
fn name<'a>(groups: Vec<Group<'a>>, taken: &BTreeSet<ResourceId>) -> (Named<'a>, Considered) {
    let mut names = Names::new(taken);
    let mut owners = BTreeSet::new();
    let mut wishes: Vec<(bool, Group<'a>, String, Vec<String>)> = groups
        .into_iter()
        .map(|group| {
            let namespace = names::namespace(&group.owner.namespace);
            let plain = names::slug(&group.owner.name);
            let is_first = owners.insert(group.owner.clone());
            let is_exact = group.route.is_none()
                && is_first
                && plain == *group.owner.name
                && namespace == *group.owner.namespace;
            let first =
                group.route.as_ref().map_or_else(|| plain.clone(), |route| format!("{plain}-{route}"));
            let is_default = !is_first && group.source == Source::Default;
            let default = is_default.then(|| format!("{plain}-default"));
            (is_exact, group, namespace, std::iter::once(first).chain(default).collect())
        })
        .collect();
    wishes.sort_by_key(|(is_exact, ..)| !is_exact);
    let called = wishes.into_iter().map(|(_, group, namespace, wishes)| {
        let pairs = group.hosts.chunks(MAX_HOSTS).map(|_| names.give(&namespace, &wishes)).collect();
        (group, pairs)
    });
    (called.collect(), names.considered())
}

type Named<'a> = Vec<(Group<'a>, Vec<Pair>)>;

/// What was written, by the names that it has.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<Pair, Written>);

/// All that decides what is written, and what was.
#[derive(Debug)]
struct Written {
    shape: Shape,
    hosts: Vec<HostPattern>,
    label: Option<Arc<str>>,
    created: i64,
    members: Vec<(WorkloadId, Arc<str>, Terms)>,
    made: Vec<Result<Arc<Object>, String>>,
}

struct Writer {
    before: Known,
    known: Known,
    objects: BTreeMap<ResourceId, Arc<Object>>,
    resources: BTreeMap<WorkloadId, BTreeSet<ResourceId>>,
    problems: Problems,
}

// === impl Writer ===

impl Writer {
    fn write(&mut self, group: &Group<'_>, pair: &Pair, hosts: &[HostPattern]) {
        let Some(oldest) = group.members.first() else { return };
        let written = self.before.0.remove(pair).filter(|written| written.is_of(group, hosts));
        let written = written.unwrap_or_else(|| Written::new(group, pair, (hosts, oldest)));
        for made in &written.made {
            match made {
                Ok(object) => {
                    let id = object.resource.meta().id.clone();
                    for member in &group.members {
                        self.resources.entry(member.workload.id.clone()).or_default().insert(id.clone());
                    }
                    self.objects.insert(id, object.clone());
                }
                Err(message) => self.problems.add(
                    oldest.workload,
                    group.label.as_deref(),
                    (Severity::Error, "InvalidValue"),
                    (format!("container `{}` gets no route: {message}", oldest.workload.name), None),
                ),
            }
        }
        self.known.0.insert(pair.clone(), written);
    }
}

// === impl Written ===

impl Written {
    fn new(group: &Group<'_>, pair: &Pair, (hosts, oldest): (&[HostPattern], &Member<'_>)) -> Self {
        let origin = origin(oldest.workload, group.label.as_deref());
        let route = route_document(group, pair, hosts);
        let uses_backend = route
            .spec
            .rules
            .iter()
            .flat_map(|rule| &rule.backend_refs)
            .any(|reference| *reference.name == *pair.backend && reference.namespace.is_none());
        let mut documents = vec![api::Object::HttpRoute(Box::new(route))];
        if uses_backend {
            documents.push(api::Object::Backend(Box::new(backend_document(group, pair))));
        }
        let made = documents.iter().map(|document| object(document, &origin, group).map(Arc::new));
        Self {
            shape: group.shape.clone(),
            hosts: hosts.to_vec(),
            label: group.label.clone(),
            created: group.created,
            members: group.members.iter().map(Member::known).collect(),
            made: made.collect(),
        }
    }

    /// Whether the same would be written again.
    fn is_of(&self, group: &Group<'_>, hosts: &[HostPattern]) -> bool {
        let Group { owner: _, route: _, source: _, hosts: _, shape, label, created, members } = group;
        let is_same = |(known, member): (&(WorkloadId, Arc<str>, Terms), &Member<'_>)| {
            let (id, name, terms) = known;
            *id == member.workload.id && *name == member.workload.name && *terms == member.terms
        };
        self.shape == *shape
            && self.hosts == hosts
            && self.label == *label
            && self.created == *created
            && self.members.len() == members.len()
            && self.members.iter().zip(members).all(is_same)
    }
}

// === impl Member ===

impl Member<'_> {
    fn known(&self) -> (WorkloadId, Arc<str>, Terms) {
        (self.workload.id.clone(), self.workload.name.clone(), self.terms.clone())
    }
}

/// The resource, with what a document cannot say: which containers exactly, and that it attaches anywhere.
fn object(document: &api::Object, origin: &Origin, group: &Group<'_>) -> Result<Object, String> {
    let mut resource = convert::resource(document, origin.clone(), 1).map_err(|violations| {
        violations.first().map_or_else(String::new, |violation| violation.message.clone())
    })?;
    if let Resource::HttpRoute(route) = &mut resource {
        let route = Arc::make_mut(route);
        route.attaches_anywhere = route.parents.is_empty() && !is_kept_from_defaults(document);
        route.uses_default_gateways |= route.attaches_anywhere;
    } else if let Resource::Backend(backend) = &mut resource {
        Arc::make_mut(backend).endpoints = group.members.iter().map(endpoint).collect();
    }
    Ok(Object { resource, manifest: text(document, group).into() })
}

fn text(document: &api::Object, group: &Group<'_>) -> String {
    if let (api::Object::HttpRoute(route), Shape::Path { strip, .. }) = (document, &group.shape)
        && route.spec.rules.iter().all(|rule| rule.session_persistence.is_none())
        && route.metadata.annotations.is_empty()
    {
        let rule = route.spec.rules.first();
        let path =
            rule.and_then(|rule| rule.matches.first()).and_then(|one| one.path.as_ref()?.value.as_deref());
        let backend = rule.and_then(|rule| rule.backend_refs.first());
        if let (Some(path), Some(backend)) = (path, backend) {
            return manifest::path_route(
                &route.metadata,
                &route.spec.hostnames,
                (path, *strip),
                &backend.name,
            );
        }
    }
    if let api::Object::Backend(backend) = document
        && backend.spec.load_balancing.is_none()
        && backend.spec.health_check.is_none()
        && backend.spec.health.is_none()
    {
        return manifest::backend(&backend.metadata, &backend.spec.endpoints);
    }
    document.to_value().to_string()
}

fn is_kept_from_defaults(document: &api::Object) -> bool {
    matches!(document, api::Object::HttpRoute(route) if route.spec.use_default_gateways == Some(DefaultScope::None))
}

fn endpoint(member: &Member<'_>) -> Endpoint {
    let terms = &member.terms;
    Endpoint {
        target: EndpointTarget::Container { id: member.workload.id.clone(), network: terms.network.clone() },
        port: terms.port.number(),
        weight: terms.effective_weight(),
        scheme: terms.scheme,
    }
}

// === documents ===

fn metadata(group: &Group<'_>, pair: &Pair, name: &str) -> ObjectMeta {
    let created = jiff::Timestamp::from_second(group.created).ok();
    ObjectMeta {
        name: name.into(),
        namespace: Some(pair.namespace.as_str().into()),
        creation_timestamp: created.map(|created| created.to_string()),
        ..ObjectMeta::default()
    }
}

fn route_document(group: &Group<'_>, pair: &Pair, hosts: &[HostPattern]) -> api::HttpRoute {
    let backend = || {
        vec![HttpBackendRef {
            group: Some("portolan.dev".into()),
            kind: Some("Backend".into()),
            name: pair.backend.as_str().into(),
            ..HttpBackendRef::default()
        }]
    };
    let mut spec = match &group.shape {
        Shape::Path { prefix, strip } => {
            HttpRouteSpec { rules: vec![path_rule(prefix, *strip)], ..HttpRouteSpec::default() }
        }
        Shape::Spec(spec) => (*spec.spec).clone(),
    };
    if spec.rules.is_empty() {
        spec.rules.push(HttpRouteRule::default());
    }
    let sticky = policy(group).sticky == Some(Sticky::Cookie);
    for rule in &mut spec.rules {
        if sticky && rule.session_persistence.is_none() {
            rule.session_persistence = Some(SessionPersistence::default());
        }
        if rule.backend_refs.is_empty()
            && !rule.filters.iter().any(|filter| filter.request_redirect.is_some())
        {
            rule.backend_refs = backend();
        }
    }
    spec.hostnames = hosts.iter().map(|host| host.to_string().into()).collect();
    let mut metadata = metadata(group, pair, &pair.route);
    let https = match policy(group).https {
        None | Some(HttpsUse::Optional) => None,
        Some(HttpsUse::Only) => Some("only"),
        Some(HttpsUse::Redirect) => Some("redirect"),
    };
    metadata.annotations.extend(https.map(|word| (convert::HTTPS.to_owned(), word.to_owned())));
    api::HttpRoute { metadata, spec }
}

fn path_rule(prefix: &str, strip: Strip) -> HttpRouteRule {
    let value = if prefix.is_empty() { "/" } else { prefix };
    let path = HttpPathMatch { kind: Some(PathMatchType::PathPrefix), value: Some(value.to_owned()) };
    let filters = match strip {
        Strip::Keep => Vec::new(),
        Strip::Strip => vec![strip_filter()],
    };
    HttpRouteRule {
        matches: vec![HttpRouteMatch { path: Some(path), ..HttpRouteMatch::default() }],
        filters,
        ..HttpRouteRule::default()
    }
}

fn strip_filter() -> HttpRouteFilter {
    let path = HttpPathModifier {
        kind: HttpPathModifierType::ReplacePrefixMatch,
        replace_full_path: None,
        replace_prefix_match: Some("/".to_owned()),
    };
    HttpRouteFilter {
        kind: HttpRouteFilterType::UrlRewrite,
        request_header_modifier: None,
        response_header_modifier: None,
        request_mirror: None,
        request_redirect: None,
        url_rewrite: Some(HttpUrlRewriteFilter { hostname: None, path: Some(path) }),
        cors: None,
        external_auth: None,
        extension_ref: None,
    }
}

fn backend_document(group: &Group<'_>, pair: &Pair) -> api::Backend {
    let endpoints = group.members.iter().map(|member| {
        let terms = &member.terms;
        BackendEndpoint {
            docker: Some(DockerEndpoint {
                selector: None,
                container: Some(member.workload.name.to_string()),
            }),
            port: terms.port.number(),
            weight: Some(terms.effective_weight()).filter(|weight| *weight != 1),
            scheme: match terms.scheme {
                Scheme::Http => None,
                Scheme::Https => Some(BackendScheme::Https),
                Scheme::H2c => Some(BackendScheme::H2c),
            },
            network: terms.network.as_ref().map(ToString::to_string),
            ..BackendEndpoint::default()
        }
    });
    let Policy { balancing, health_path, health, sticky: _, https: _ } = policy(group);
    let load_balancing =
        balancing.map(|policy| LoadBalancing { policy: Some(policy), ..LoadBalancing::default() });
    let health_check = health_path.map(|path| {
        let http = HttpHealthCheck { path: Some(path.to_string()), ..HttpHealthCheck::default() };
        HealthCheck { http: Some(http), ..HealthCheck::default() }
    });
    let endpoints = endpoints.collect();
    let spec = BackendSpec { endpoints, load_balancing, health_check, health, ..BackendSpec::default() };
    api::Backend { metadata: metadata(group, pair, &pair.backend), spec }
}

/// What the containers ask for all of them; where they differ, the youngest that says something.
fn policy(group: &Group<'_>) -> Policy {
    let mut policy = Policy::default();
    for member in group.members.iter().rev() {
        policy.balancing = policy.balancing.or(member.terms.policy.balancing);
        policy.health = policy.health.or(member.terms.policy.health);
        policy.sticky = policy.sticky.or(member.terms.policy.sticky);
        policy.https = policy.https.or(member.terms.policy.https);
        policy.health_path = policy.health_path.or_else(|| member.terms.policy.health_path.clone());
    }
    policy
}

// === impl Terms ===

impl Terms {
    /// A container whose port cannot be read is shown, but gets nothing.
    fn effective_weight(&self) -> u32 {
        if self.port == Port::Unreadable { 0 } else { self.weight }
    }
}

// === impl Port ===

impl Port {
    fn number(self) -> Option<std::num::NonZeroU16> {
        match self {
            Self::Number(port) => Some(port),
            Self::Unnamed | Self::Unreadable => None,
        }
    }
}
