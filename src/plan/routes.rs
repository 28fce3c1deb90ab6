//! Attaching routes to listeners, and what is said of them.

use std::sync::Arc;

use super::{
    backends::{self, Backends, Failure, Resolved, Uses},
    gateways::{self, Gateways, Served},
    listeners::ServedListener,
    parents::{self, Attached, Detached},
    words,
};
use crate::{
    model::{
        self, BackendRef, Condition, ExternalAuth, HostPattern, HttpFilter, HttpRoute, HttpRule, HttpsUse,
        Kind, Listener, ParentStatus, PathMatch, Protocol, Redirect, ResourceId, Status, Timeouts, Truth,
    },
    route::{Attachment, Auth, Choice, ListenerKey, Mirror, Rule, Target, Weighted},
};

/// What a route has left in the plan beside its status: what has to be taken back when it goes.
#[derive(Debug)]
pub(super) struct Trace {
    /// Behind which listeners it is, for which hosts.
    pub(super) attached: Vec<(ListenerKey, Vec<HostPattern>)>,
    /// The Gateways, with the positions of their listeners, that accept it.
    pub(super) accepted: Vec<(ResourceId, Vec<usize>)>,
    pub(super) uses: Uses,
}

/// A rule with what its references lead to.
struct Prepared {
    rule: Arc<Rule>,
    resolved: Vec<Result<Arc<Resolved>, Failure>>,
    /// What filters refer to: where copies go, and who is asked.
    aside: Vec<Result<Arc<Resolved>, Failure>>,
}

/// Resolves what filters refer to.
struct Aside<'b, 'a> {
    route: &'a HttpRoute,
    backends: &'b mut Backends<'a>,
    resolved: Vec<Result<Arc<Resolved>, Failure>>,
}

/// Attaches `route` wherever it may, and says where it may not and why.
pub(super) fn attach<'a>(
    route: &'a HttpRoute,
    gateways: &mut Gateways<'a>,
    backends: &mut Backends<'a>,
) -> (Status, Trace) {
    let (mut attachments, mut accepted) = (Vec::new(), Vec::new());
    let id = &route.meta.id;
    let name: Arc<str> = format!("{}/{}", id.namespace, id.name).into();
    let rules: Vec<Prepared> =
        (0..).zip(&route.rules).map(|(index, rule)| prepare(route, rule, (&name, index), backends)).collect();
    let refs = resolved_refs(&rules);
    let mut status = Status::default();
    for (parent, outcome) in parents::of_route(route, gateways) {
        let conditions = match outcome {
            Ok(attached) => {
                let redirects = redirects(route, &attached, gateways, &rules);
                let served = |listener: &'a Listener| {
                    let is_plain = listener.protocol == Protocol::Http;
                    match route.https {
                        HttpsUse::Only if is_plain => None,
                        HttpsUse::Redirect if is_plain => attachment(route, &redirects, listener),
                        HttpsUse::Optional | HttpsUse::Only | HttpsUse::Redirect => {
                            attachment(route, rules.iter().map(|prepared| &prepared.rule), listener)
                        }
                    }
                };
                attachments.extend(gateways.attach(attached.gateway, &attached.listeners, served));
                let acceptance = Acceptance::of(route);
                if acceptance.accepted.is_none() {
                    accepted.push((attached.gateway.clone(), attached.listeners.clone()));
                }
                let Some(served) = gateways.find(attached.gateway) else { continue };
                note_urls(route, &rules, (served, &attached.listeners), backends);
                note_gateway(route, attached.gateway, backends);
                let mut conditions = attached_conditions(acceptance, &refs, served, &attached);
                conditions.extend(secure_condition(route, &attached, served));
                conditions
            }
            Err(detached) => detached_conditions(detached, &refs),
        };
        status.parents.push(ParentStatus { parent, conditions });
    }
    if status.parents.is_empty() {
        let message = if route.uses_default_gateways {
            "the route names no Gateway in `spec.parentRefs`, and no Gateway has `spec.defaultScope: All`: add one of them"
        } else {
            "the route names no Gateway in `spec.parentRefs`, and `spec.useDefaultGateways: None` keeps it from those with \
             `spec.defaultScope: All`: add one, or remove that"
        };
        let detached = Detached { reason: "NoMatchingParent", message: message.into(), truth: Truth::False };
        status.conditions.extend(detached_conditions(detached, &refs));
    }
    status.conditions.extend(ready(&rules));
    (status, Trace { attached: attachments, accepted, uses: backends.uses() })
}

/// Everything that a route refers to.
pub(super) fn references(route: &HttpRoute) -> impl Iterator<Item = &BackendRef> {
    route.rules.iter().flat_map(|rule| {
        let filters = rule.backends.iter().flat_map(|reference| &reference.filters).chain(&rule.filters);
        rule.backends.iter().chain(filters.filter_map(HttpFilter::backend))
    })
}

fn prepare<'a>(
    route: &'a HttpRoute,
    rule: &'a HttpRule,
    (name, index): (&Arc<str>, usize),
    backends: &mut Backends<'a>,
) -> Prepared {
    let resolved: Vec<Result<Arc<Resolved>, Failure>> =
        rule.backends.iter().map(|reference| backends.resolve(route, reference)).collect();
    let mut aside = Aside { route, backends, resolved: Vec::new() };
    let (mirrors, auths) = (aside.mirrors(&rule.filters), aside.auths(&rule.filters));
    let choice = |(at, (reference, resolved)): (usize, (&'a BackendRef, &Result<Arc<Resolved>, Failure>))| {
        let target = match rule.unsupported_backends.get(&at) {
            Some(unsupported) => Target::Invalid(words::joined(words::fields(unsupported)).into()),
            None => backends::target(resolved),
        };
        let mut choice = Choice::new(reference.weight, target, reference.filters.clone());
        choice.mirrors = aside.mirrors(&reference.filters);
        choice.auths = aside.auths(&reference.filters);
        choice
    };
    let choices = rule.backends.iter().zip(&resolved).enumerate().map(choice).collect();
    let is_invalid = !(rule.unsupported.is_empty() && route.unsupported.is_empty());
    let invalid =
        || words::joined(words::fields(&route.unsupported).chain(words::fields(&rule.unsupported))).into();
    let rule = Arc::new(Rule {
        route: name.clone(),
        rule: rule.name.clone().unwrap_or_else(|| index.to_string().into()),
        filters: rule.filters.clone(),
        backends: Weighted::new(choices),
        timeouts: rule.timeouts,
        retry: rule.retry.clone().map(Arc::new),
        session: rule.session.clone().map(Arc::new),
        mirrors,
        auths,
        invalid: is_invalid.then(invalid),
    });
    Prepared { rule, resolved, aside: aside.resolved }
}

// === impl Aside ===

impl<'a> Aside<'_, 'a> {
    fn target(&mut self, reference: &'a BackendRef) -> Target {
        let resolved = self.backends.resolve(self.route, reference);
        let target = backends::target(&resolved);
        self.resolved.push(resolved);
        target
    }

    fn mirrors(&mut self, filters: &'a [HttpFilter]) -> Vec<Mirror> {
        let filters = filters.iter().filter_map(HttpFilter::mirror);
        let mirror =
            |mirror: &'a model::Mirror| Mirror { target: self.target(&mirror.backend), share: mirror.share };
        filters.map(mirror).collect()
    }

    fn auths(&mut self, filters: &'a [HttpFilter]) -> Vec<Auth> {
        let filters = filters.iter().filter_map(HttpFilter::auth);
        let auth =
            |spec: &'a Arc<ExternalAuth>| Auth { target: self.target(&spec.backend), spec: spec.clone() };
        filters.map(auth).collect()
    }
}

// === attaching ===

fn attachment<'a, 'r>(
    route: &'a HttpRoute,
    rules: impl IntoIterator<Item = &'r Arc<Rule>>,
    listener: &'a Listener,
) -> Option<Attachment<'a>> {
    let hostnames = parents::hostnames(route, listener);
    if hostnames.is_nothing() {
        return None;
    }
    let rules = route.rules.iter().zip(rules).map(|(written, rule)| (&*written.matches, rule.clone()));
    Some(Attachment { meta: &route.meta, hostnames: hostnames.patterns(), rules: rules.collect() })
}

/// What is answered in plain HTTP where clients are to come by HTTPS: for each rule, where to go instead.
fn redirects(
    route: &HttpRoute,
    attached: &Attached<'_>,
    gateways: &Gateways<'_>,
    rules: &[Prepared],
) -> Vec<Arc<Rule>> {
    if route.https != HttpsUse::Redirect {
        return Vec::new();
    }
    let served = gateways.find(attached.gateway);
    let listeners = attached.listeners.iter().filter_map(|position| served?.listeners.get(*position));
    let secure = listeners.map(|served| served.listener).find(|one| one.protocol == Protocol::Https);
    let redirect = HttpFilter::Redirect(Redirect {
        scheme: Some("https"),
        hostname: None,
        path: None,
        port: secure.map(|listener| listener.port),
        status: http::StatusCode::MOVED_PERMANENTLY,
    });
    let rule = |prepared: &Prepared| {
        let (route, rule) = (prepared.rule.route.clone(), prepared.rule.rule.clone());
        Arc::new(Rule {
            route,
            rule,
            filters: vec![redirect.clone()],
            backends: Weighted::default(),
            timeouts: Timeouts::default(),
            retry: None,
            session: None,
            mirrors: Vec::new(),
            auths: Vec::new(),
            invalid: None,
        })
    };
    rules.iter().map(rule).collect()
}

/// Says so where a route wants HTTPS and none of its listeners speaks it.
fn secure_condition(route: &HttpRoute, attached: &Attached<'_>, served: &Served<'_>) -> Option<Condition> {
    if route.https == HttpsUse::Optional {
        return None;
    }
    let mut listeners = attached.listeners.iter().filter_map(|position| served.listeners.get(*position));
    if listeners.any(|one| one.listener.protocol == Protocol::Https && one.is_served()) {
        return None;
    }
    let message = "the route wants HTTPS, and no listener that it is attached to serves that: write a Certificate, or \
                   an HTTPS listener with one";
    Some(Condition::no("Secure", "NoHttpsListener", message))
}

// === conditions ===

/// What fields that are not served yet do to a route.
struct Acceptance {
    /// Why the whole route is refused: all its requests are answered 500.
    accepted: Option<String>,
    /// What of it is refused, if the rest is served.
    partly: Option<String>,
}

impl Acceptance {
    fn of(route: &HttpRoute) -> Self {
        let fields = |rule| fields_of(rule).collect::<Vec<String>>();
        if !route.unsupported.is_empty() || (!route.rules.is_empty() && route.rules.iter().all(is_refused)) {
            let fields: Vec<String> =
                words::fields(&route.unsupported).chain(route.rules.iter().flat_map(fields)).collect();
            let until = until(fields.len());
            let message = format!("{}; its {} {until}", words::joined(fields), refused(route));
            return Self { accepted: Some(message), partly: None };
        }
        let (dropped, served): (Vec<&HttpRule>, Vec<&HttpRule>) =
            route.rules.iter().partition(|rule| is_refused(rule));
        let shares: Vec<String> = served.into_iter().flat_map(fields).collect();
        let (plural, whose) = if dropped.len() == 1 { ("", "its") } else { ("s", "their") };
        let dropped: Vec<String> = dropped.into_iter().flat_map(fields).collect();
        let mut partly = Vec::new();
        if !dropped.is_empty() {
            let until = until(dropped.len());
            let fields = words::joined(dropped);
            partly.push(format!("Dropped Rule{plural}: {fields}; {whose} {} {until}", refused(route)));
        }
        if !shares.is_empty() {
            let until = until(shares.len());
            let fields = words::joined(shares);
            partly.push(format!(
                "Dropped Rule for a share of its requests: {fields}; these {} {until}",
                refused(route)
            ));
        }
        Self { accepted: None, partly: (!partly.is_empty()).then(|| words::joined(partly)) }
    }
}

/// Whether all requests of a rule are answered 500 for what is not served yet.
fn is_refused(rule: &HttpRule) -> bool {
    let mut reached =
        rule.backends.iter().enumerate().filter(|(_, reference)| reference.weight > 0).peekable();
    let has_backend = reached.peek().is_some();
    let no_backend = reached.all(|(position, _)| rule.unsupported_backends.contains_key(&position));
    !rule.unsupported.is_empty() || (has_backend && no_backend)
}

/// What of a rule is not served yet, in words.
fn fields_of(rule: &HttpRule) -> impl Iterator<Item = String> {
    words::fields(rule.unsupported.iter().chain(rule.unsupported_backends.values().flatten()))
}

/// What becomes of requests that cannot be served as written.
fn refused(route: &HttpRoute) -> &'static str {
    // Whoever speaks gRPC never sees a status of HTTP.
    if route.meta.id.kind == Kind::GrpcRoute {
        "calls are answered INTERNAL"
    } else {
        "requests are answered 500"
    }
}

fn until(fields: usize) -> &'static str {
    if fields == 1 { "until that is removed" } else { "until those are removed" }
}

/// `Accepted`, `ResolvedRefs`, `Programmed`, and `PartiallyInvalid` where some rules answer 500.
fn attached_conditions(
    acceptance: Acceptance,
    refs: &Condition,
    served: &Served<'_>,
    attached: &Attached<'_>,
) -> Vec<Condition> {
    let accepted = match acceptance.accepted {
        Some(message) => Condition::no("Accepted", "UnsupportedValue", message),
        None => Condition::yes("Accepted", "Accepted", ""),
    };
    let partly =
        acceptance.partly.map(|message| Condition::yes("PartiallyInvalid", "UnsupportedValue", message));
    [accepted, refs.clone(), programmed(served, attached)].into_iter().chain(partly).collect()
}

fn programmed(served: &Served<'_>, attached: &Attached<'_>) -> Condition {
    let listeners = || attached.listeners.iter().filter_map(|position| served.listeners.get(*position));
    let failures = listeners().filter_map(|served| {
        let why = served.why_not()?;
        Some(format!("listener `{}` of {} is not served: {why}", served.listener.name, served.owner))
    });
    let failures = words::joined(failures);
    if listeners().any(ServedListener::is_served) {
        return Condition::yes("Programmed", "Programmed", failures);
    }
    Condition::no("Programmed", "Invalid", failures)
}

fn detached_conditions(detached: Detached, refs: &Condition) -> Vec<Condition> {
    let Detached { reason, message, truth } = detached;
    let programmed = match truth {
        Truth::Unknown => gateways::waiting("Programmed", message.clone()),
        Truth::True | Truth::False => Condition::no("Programmed", "Invalid", "it is attached to no listener"),
    };
    let accepted = Condition { kind: "Accepted", truth, reason, message };
    vec![accepted, refs.clone(), programmed]
}

/// `ResolvedRefs`: the first failure decides the reason, the message has them all; without one it says what each
/// name resolved to.
fn resolved_refs(rules: &[Prepared]) -> Condition {
    let references = || rules.iter().flat_map(|rule| rule.resolved.iter().chain(&rule.aside));
    let failures = || {
        references().filter_map(|resolved| match resolved {
            Ok(resolved) => resolved.failure.as_ref(),
            Err(failure) => Some(failure),
        })
    };
    if let Some(first) = failures().next() {
        let messages = failures().map(|failure| failure.message.clone());
        return Condition::no("ResolvedRefs", first.reason, words::joined(messages));
    }
    let found = references().filter_map(|resolved| resolved.as_ref().ok());
    let found = found.map(|resolved| format!("`{}`: {}", resolved.report.name, resolved.report.resolved));
    Condition::yes("ResolvedRefs", "ResolvedRefs", words::joined(found))
}

/// `Ready: False` where a backend exists and has no endpoint for requests.
fn ready(rules: &[Prepared]) -> Option<Condition> {
    let mut empty: Vec<String> = rules
        .iter()
        .flat_map(|rule| &rule.resolved)
        .filter_map(|resolved| resolved.as_ref().ok())
        .filter(|resolved| resolved.failure.is_none() && resolved.backend.endpoints.is_empty())
        .map(|resolved| format!("backend `{}`: {}", resolved.backend.name, resolved.backend.reason))
        .collect();
    empty.sort();
    (!empty.is_empty()).then(|| Condition::no("Ready", "NoReadyEndpoint", words::joined(empty)))
}

/// Tells the backends of the route that it leads to them from this Gateway.
fn note_gateway(route: &HttpRoute, gateway: &ResourceId, backends: &mut Backends<'_>) {
    for rule in &route.rules {
        let filters = rule.backends.iter().flat_map(|reference| &reference.filters).chain(&rule.filters);
        for reference in rule.backends.iter().chain(filters.filter_map(HttpFilter::backend)) {
            backends.come_from(route, reference, gateway);
        }
    }
}

// === URLs ===

/// Tells the backends of the route at which URLs they are reached.
fn note_urls(
    route: &HttpRoute,
    rules: &[Prepared],
    (served, positions): (&Served<'_>, &[usize]),
    backends: &mut Backends<'_>,
) {
    let listeners: Vec<&Listener> = positions
        .iter()
        .filter_map(|position| served.listeners.get(*position))
        .filter(|served| served.is_served())
        .map(|served| served.listener)
        .filter(|listener| route.https == HttpsUse::Optional || listener.protocol == Protocol::Https)
        .collect();
    if listeners.is_empty() {
        return;
    }
    for (rule, prepared) in
        route.rules.iter().zip(rules).filter(|(_, prepared)| prepared.rule.invalid.is_none())
    {
        let served = |(position, reference): &(usize, &BackendRef)| {
            let resolved = prepared.resolved[*position].as_ref();
            let is_sent_there = reference.weight > 0 && !rule.unsupported_backends.contains_key(position);
            is_sent_there && resolved.is_ok_and(|resolved| resolved.failure.is_none())
        };
        let mut reached = rule.backends.iter().enumerate().filter(served).peekable();
        if reached.peek().is_none() {
            continue;
        }
        let urls: Vec<String> = listeners.iter().flat_map(|listener| urls(route, rule, listener)).collect();
        for (_, reference) in reached {
            backends.reach(route, reference, &urls);
        }
    }
}

fn urls(route: &HttpRoute, rule: &HttpRule, listener: &Listener) -> Vec<String> {
    let (scheme, usual) = match listener.protocol {
        Protocol::Https => ("https", 443),
        Protocol::Http | Protocol::Tls | Protocol::Tcp | Protocol::Udp | Protocol::Other(_) => ("http", 80),
    };
    let port = if listener.port.get() == usual { String::new() } else { format!(":{}", listener.port) };
    let path = match rule.matches.first().map(|one| &one.path) {
        Some(PathMatch::Exact(path) | PathMatch::Prefix(path)) => path,
        Some(PathMatch::Regex(_) | PathMatch::Method(_)) | None => "",
    };
    let hosts: Vec<String> =
        parents::hostnames(route, listener).patterns().into_iter().map(ToString::to_string).collect();
    let hosts = if hosts.is_empty() { vec!["*".to_owned()] } else { hosts };
    hosts.into_iter().map(|host| format!("{scheme}://{host}{port}{path}")).collect()
}
