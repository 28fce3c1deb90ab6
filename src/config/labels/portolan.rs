//! Portolan's own labels: `portolan.host`, `portolan.<name>.port`, `portolan.route`, …
//!
//! Every label that begins with `portolan.` is either known or told of: a typo is never silent.

mod spec;
mod values;

use std::{collections::BTreeMap, sync::Arc};

use super::{
    claims::{Declared, DeclaredRoute, Policy, Port, Shape, Spec, Strip, Terms},
    problem,
};
use crate::{
    config::diagnostic::{Diagnostic, nearest, shown},
    model::{HostPattern, HttpsUse, Problem, Scheme, Severity, Workload},
};
use values::Wrong;

const PREFIX: &str = "portolan.";

/// A container with more named routes than this says the rest in vain.
const MAX_ROUTES: usize = 32;

/// What a label says, the part behind `portolan.` or `portolan.<name>.`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Enable,
    Host,
    Path,
    Strip,
    Port,
    Scheme,
    Network,
    Weight,
    Balancing,
    Health,
    Tls,
    Redirect,
    HealthPath,
    Route,
    Sticky,
    /// Known, and not served yet.
    Later,
}

const KEYS: [(&str, Key); 17] = [
    ("enable", Key::Enable),
    ("health", Key::Health),
    ("health.path", Key::HealthPath),
    ("host", Key::Host),
    ("lb", Key::Balancing),
    ("network", Key::Network),
    ("path", Key::Path),
    ("path.strip", Key::Strip),
    ("port", Key::Port),
    ("redirect", Key::Redirect),
    ("route", Key::Route),
    ("scheme", Key::Scheme),
    ("sticky", Key::Sticky),
    ("tcp", Key::Later),
    ("tls", Key::Tls),
    ("udp", Key::Later),
    ("weight", Key::Weight),
];

/// A label that was recognized.
struct Label<'a> {
    /// As the container has it.
    full: &'a Arc<str>,
    key: Key,
    route: Option<&'a str>,
    value: &'a str,
}

/// The labels of one route, as far as they are read.
#[derive(Debug, Default)]
struct Draft {
    hosts: Option<Vec<HostPattern>>,
    path: Option<Result<Arc<str>, Unreadable>>,
    strip: Option<Strip>,
    port: Port,
    scheme: Scheme,
    network: Option<Arc<str>>,
    weight: Option<u32>,
    policy: Policy,
    spec: Option<Result<Spec, Unreadable>>,
    /// The most telling label, by [`Key`].
    label: Option<(u8, Arc<str>)>,
}

/// Something was written there, but not what it should be; the problem is noted.
#[derive(Clone, Copy, Debug)]
struct Unreadable;

struct Reader<'a> {
    workload: &'a Workload,
    enable: Option<bool>,
    drafts: BTreeMap<Option<&'a str>, Draft>,
    problems: Vec<Problem>,
}

/// Reads a container's labels.
pub(super) fn declare(workload: &Workload) -> Declared {
    let mut reader = Reader { workload, enable: None, drafts: BTreeMap::new(), problems: Vec::new() };
    for (full, value) in &workload.labels {
        let is_ours = full.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
        if is_ours {
            match recognize(full) {
                Ok((route, key)) => reader.read(&Label { full, key, route, value }),
                Err(unknown) => reader.unknown(full, unknown),
            }
        }
    }
    reader.finish()
}

/// Why a label is not one of ours.
struct Unknown {
    message: Option<String>,
    nearest: Option<String>,
}

/// The route and the key of a label.
fn recognize(full: &str) -> Result<(Option<&str>, Key), Unknown> {
    let tail = full.get(PREFIX.len()..).unwrap_or_default();
    let find = |name: &str| KEYS.iter().find(|(known, _)| *known == name).map(|(_, key)| *key);
    let is_exact = full.starts_with(PREFIX);
    if let Some(key) = find(tail).filter(|_| is_exact) {
        return Ok((None, key));
    }
    let (first, rest) = tail.split_once('.').unwrap_or((tail, ""));
    // A slip in `health.path` would silently be a route of that name.
    let is_slip = rest == "path" && strsim::osa_distance(first, "health") == 1;
    let named = find(rest).filter(|key| *key != Key::Enable && !is_reserved(first) && !is_slip);
    match named {
        Some(key) if is_exact && is_dns_label(first) => Ok((Some(first), key)),
        Some(_) if is_exact => Err(Unknown {
            message: Some(format!(
                "`{}` cannot be the name of a route: it has small letters, digits and `-`, and at most 63 of them",
                shown(first)
            )),
            nearest: None,
        }),
        Some(_) | None => Err(Unknown { message: None, nearest: nearest_label(tail) }),
    }
}

/// The label that was probably meant, without the prefix.
fn nearest_label(tail: &str) -> Option<String> {
    let keys = || KEYS.iter().map(|(name, _)| *name);
    let route = tail.split_once('.').filter(|(first, _)| is_dns_label(first) && !is_reserved(first));
    let Some((first, rest)) = route else { return nearest(tail, keys()).map(str::to_owned) };
    let named: Vec<String> = keys()
        .filter(|key| *key != "enable")
        .map(|key| format!("{first}.{key}"))
        .filter(|label| label != tail)
        .collect();
    let near = nearest(tail, keys().chain(named.iter().map(String::as_str)))?;
    match near.strip_prefix(first).and_then(|near| near.strip_prefix('.')) {
        // A long name of a route makes no short key more alike.
        Some(_) => nearest(rest, keys().filter(|key| *key != "enable")).map(|key| format!("{first}.{key}")),
        None => Some(near.to_owned()),
    }
}

/// Whether a name is the first word of a key, so that no route can have it.
fn is_reserved(name: &str) -> bool {
    KEYS.iter().any(|(key, _)| key.split('.').next() == Some(name))
}

fn is_dns_label(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|byte| is_letter(byte) || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn read(&mut self, label: &Label<'a>) {
        let value = label.value.trim();
        match label.key {
            Key::Enable => self.enable = self.take(label, values::boolean(value)).or(self.enable),
            Key::Later => self.later(label),
            Key::Host => {
                let mut hosts = Vec::new();
                for one in values::hosts(value) {
                    let host = self.take(label, one);
                    hosts.extend(host.filter(|host| !hosts.contains(host)));
                }
                self.note(label, |draft| draft.hosts = Some(hosts));
            }
            Key::Path => {
                let path = self.take(label, values::path(value)).ok_or(Unreadable);
                self.note(label, |draft| draft.path = Some(path));
            }
            Key::Strip => {
                let strip = self.take(label, values::boolean(value));
                let strip = strip.map(|strip| if strip { Strip::Strip } else { Strip::Keep });
                self.note(label, |draft| draft.strip = strip);
            }
            Key::Port => {
                let port = self.take(label, values::port(value)).map_or(Port::Unreadable, Port::Number);
                self.note(label, |draft| draft.port = port);
            }
            Key::Scheme => {
                let scheme = self.take(label, values::scheme(value)).unwrap_or_default();
                self.note(label, |draft| draft.scheme = scheme);
            }
            Key::Network => {
                let network = self.take(label, values::network(value));
                self.note(label, |draft| draft.network = network);
            }
            Key::Weight => {
                let weight = self.take(label, values::weight(value));
                self.note(label, |draft| draft.weight = weight);
            }
            Key::Balancing => {
                let balancing = self.take(label, values::balancing(value));
                self.note(label, |draft| draft.policy.balancing = balancing);
            }
            Key::Tls if matches!(value, "acme" | "passthrough") => self.later(label),
            Key::Tls => {
                let tls = self.take(label, values::boolean(value));
                let https = tls.filter(|is_on| *is_on).map(|_| HttpsUse::Only);
                self.note(label, |draft| draft.policy.https = draft.policy.https.max(https));
            }
            Key::Redirect => {
                let https = self.take(label, values::redirect(value));
                self.note(label, |draft| draft.policy.https = draft.policy.https.max(https));
            }
            Key::Health => {
                let health = self.take(label, values::health(value));
                self.note(label, |draft| draft.policy.health = health);
            }
            Key::Sticky => {
                let sticky = self.take(label, values::sticky(value));
                self.note(label, |draft| draft.policy.sticky = sticky);
            }
            Key::HealthPath => {
                let path = self.take(label, values::health_path(value));
                self.note(label, |draft| draft.policy.health_path = path);
            }
            Key::Route => {
                let (spec, told, severity) = match spec::read(label.value) {
                    Ok((spec, odd)) => (Ok(spec), odd, Severity::Warning),
                    Err(wrong) => (Err(Unreadable), wrong, Severity::Error),
                };
                for diagnostic in told {
                    self.spec(label, severity, diagnostic);
                }
                self.note(label, |draft| draft.spec = Some(spec));
            }
        }
    }

    /// The value, or `None` and a problem.
    fn take<T>(&mut self, label: &Label<'a>, result: Result<T, Wrong>) -> Option<T> {
        let Wrong { found, expected, hint } = match result {
            Ok(value) => return Some(value),
            Err(wrong) => wrong,
        };
        let consequence = match label.key {
            Key::Path => "; its route is left out",
            Key::Port => "; the container gets no requests of this route",
            Key::HealthPath => "; nobody asks whether the container is well",
            Key::Sticky => "; clients are not kept at one container",
            Key::Enable
            | Key::Host
            | Key::Strip
            | Key::Scheme
            | Key::Network
            | Key::Weight
            | Key::Balancing
            | Key::Health
            | Key::Tls
            | Key::Redirect
            | Key::Route
            | Key::Later => "",
        };
        let found = if found.is_empty() { "nothing".to_owned() } else { format!("`{}`", shown(&found)) };
        let message = format!(
            "label `{}` of container `{}`: found {found}, expected {expected}{consequence}",
            label.full, self.workload.name
        );
        self.problem(label.full, (Severity::Error, "InvalidValue"), (message, hint));
        None
    }

    fn spec(&mut self, label: &Label<'a>, severity: Severity, told: Diagnostic) {
        let Diagnostic { line, column, path, message, hint, .. } = told;
        let path = if path.is_empty() { path } else { format!(" (path {path})") };
        let consequence = match severity {
            Severity::Error => "; its route is left out",
            Severity::Warning => "",
        };
        let message = format!(
            "label `{}` of container `{}`, line {line}, column {column}: {message}{path}{consequence}",
            label.full, self.workload.name
        );
        self.problem(label.full, (severity, "InvalidValue"), (message, hint));
    }

    fn later(&mut self, label: &Label<'a>) {
        let is_off = matches!(label.value.trim(), "" | "false" | "off" | "none");
        if !is_off {
            let message = format!(
                "label `{}` of container `{}` (`{}`) is not served yet; everything else applies",
                label.full,
                self.workload.name,
                shown(label.value)
            );
            self.problem(label.full, (Severity::Error, "UnsupportedValue"), (message, None));
        }
        if label.route.is_some() {
            self.note(label, |_| {});
        }
    }

    fn unknown(&mut self, full: &str, unknown: Unknown) {
        let Unknown { message, nearest } = unknown;
        let label = shown(full);
        let message = match (message, &nearest) {
            (Some(message), _) => format!("label `{label}` of container `{}`: {message}", self.workload.name),
            (None, Some(near)) => format!(
                "label `{label}` of container `{}` is not known, did you mean `{PREFIX}{near}`?",
                self.workload.name
            ),
            (None, None) => format!("label `{label}` of container `{}` is not known", self.workload.name),
        };
        let hint = nearest.is_none().then(|| {
            let names: Vec<&str> = KEYS.iter().map(|(name, _)| *name).collect();
            format!("behind `portolan.` or `portolan.<name>.` there may be {}", names.join(", "))
        });
        self.problem(full, (Severity::Warning, "UnknownLabel"), (message, hint));
    }

    fn problem(&mut self, label: &str, what: (Severity, &'static str), words: (String, Option<String>)) {
        self.problems.push(problem(self.workload, Some(label), what, words));
    }

    fn note(&mut self, label: &Label<'a>, set: impl FnOnce(&mut Draft)) {
        if self.drafts.len() >= MAX_ROUTES && !self.drafts.contains_key(&label.route) {
            let message = format!(
                "label `{}` of container `{}` is left out: a container has at most {MAX_ROUTES} routes",
                label.full, self.workload.name
            );
            self.problem(label.full, (Severity::Error, "InvalidValue"), (message, None));
            return;
        }
        let draft = self.drafts.entry(label.route).or_default();
        set(draft);
        let rank = rank(label.key);
        if draft.label.as_ref().is_none_or(|(other, _)| rank < *other) {
            draft.label = Some((rank, label.full.clone()));
        }
    }

    fn finish(mut self) -> Declared {
        let network = self.drafts.get(&None).and_then(|main| main.network.clone());
        // The network is the container's own affair: naming it alone describes no route.
        if self.drafts.get(&None).is_some_and(Draft::is_about_network_only) {
            self.drafts.remove(&None);
        }
        let mut routes = Vec::new();
        for (name, mut draft) in std::mem::take(&mut self.drafts) {
            if draft.network.is_none() {
                draft.network.clone_from(&network);
            }
            let label = draft.label.take().map_or_else(|| PREFIX.into(), |(_, label)| label);
            self.warn_of_idle_labels(&draft, &label);
            routes.push(draft.finish(name.map(Into::into), label));
        }
        Declared { enable: self.enable, network, routes, problems: self.problems }
    }

    /// A whole route leaves no room for labels that say parts of it.
    fn warn_of_idle_labels(&mut self, draft: &Draft, label: &str) {
        let Some(Ok(spec)) = &draft.spec else { return };
        let has_hosts = !spec.spec.hostnames.is_empty() && draft.hosts.is_some();
        let idle =
            [("host", has_hosts), ("path", draft.path.is_some()), ("path.strip", draft.strip.is_some())];
        let prefix = label.strip_suffix("route").unwrap_or(PREFIX);
        let idle: Vec<String> = idle
            .into_iter()
            .filter(|(_, is_idle)| *is_idle)
            .map(|(name, _)| format!("`{prefix}{name}`"))
            .collect();
        if !idle.is_empty() {
            let message = format!(
                "label `{label}` of container `{}` says it already: {} has no effect",
                self.workload.name,
                idle.join(" and ")
            );
            self.problem(label, (Severity::Warning, "Conflicted"), (message, None));
        }
    }
}

/// Which label tells most of a route.
fn rank(key: Key) -> u8 {
    match key {
        Key::Route => 0,
        Key::Host => 1,
        Key::Path => 2,
        Key::Strip => 3,
        Key::Port => 4,
        Key::Scheme => 5,
        Key::Weight
        | Key::Balancing
        | Key::Health
        | Key::HealthPath
        | Key::Sticky
        | Key::Tls
        | Key::Redirect => 6,
        Key::Network => 7,
        Key::Enable | Key::Later => 8,
    }
}

// === impl Draft ===

impl Draft {
    fn is_about_network_only(&self) -> bool {
        matches!(&self.label, Some((most, _)) if *most >= rank(Key::Network))
    }

    fn finish(self, name: Option<Arc<str>>, label: Arc<str>) -> DeclaredRoute {
        let terms = Terms {
            port: self.port,
            scheme: self.scheme,
            network: self.network,
            weight: self.weight.unwrap_or(1),
            policy: self.policy,
        };
        let (hosts, shape) = match (self.spec, self.path) {
            (Some(Err(Unreadable)), _) | (None, Some(Err(Unreadable))) => (self.hosts, None),
            (Some(Ok(spec)), _) => {
                let written: Vec<HostPattern> =
                    spec.spec.hostnames.iter().filter_map(|host| HostPattern::parse(host).ok()).collect();
                let hosts = if written.is_empty() { self.hosts } else { Some(written) };
                (hosts, Some(Shape::Spec(spec)))
            }
            (None, path) => {
                let prefix = path.and_then(Result::ok).unwrap_or_default();
                let strip = if prefix.is_empty() { Strip::Keep } else { self.strip.unwrap_or_default() };
                (self.hosts, Some(Shape::Path { prefix, strip }))
            }
        };
        DeclaredRoute { name, hosts, shape, terms, label }
    }
}
