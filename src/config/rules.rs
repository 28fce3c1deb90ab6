//! What a JSON Schema cannot say of a document: rules between fields, and texts that have to parse.
//!
//! One function per kind; the standard's rules are those of its CRDs (written there as CEL). An object that passes its
//! schema and these rules can be turned into a model value.

mod cautions;
mod core;
mod filters;
mod gateway;
mod grpc_route;
mod http_route;
mod policy;
mod portolan;
mod references;
#[cfg(test)]
mod tests;
mod text;

pub use cautions::cautions;
pub(super) use text::{
    cookie_name, cookie_path, header_name, header_value, host, host_pattern, ip_address, origin, pattern,
};
pub use text::{duration, timestamp};

use std::fmt;

use crate::api::Object;

/// A rule that a document breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer to the value, such as `/spec/rules/0/filters/1`.
    pub pointer: String,
    /// One sentence without a full stop.
    pub message: String,
    /// What would be right, if the message does not say it already.
    pub expected: Option<String>,
}

/// Every rule that `object` breaks; none for an object that is valid.
pub fn check(object: &Object) -> Vec<Violation> {
    let mut found = Found::default();
    let root = At::ROOT;
    let spec = root.key("spec");
    if let Some(created) = &object.metadata().creation_timestamp
        && let Err(message) = timestamp(created)
    {
        found.add(&root.key("metadata").key("creationTimestamp"), message);
    }
    match object {
        Object::GatewayClass(_) | Object::ReferenceGrant(_) => {}
        Object::NamespaceObject(namespace) => {
            core::check_namespace(&namespace.metadata, &root.key("metadata"), &mut found);
        }
        Object::Gateway(gateway) => gateway::check(&gateway.spec, &spec, &mut found),
        Object::ListenerSet(set) => {
            gateway::check_listeners(&set.spec.listeners, &spec.key("listeners"), &mut found);
        }
        Object::HttpRoute(route) => http_route::check(&route.spec, &spec, &mut found),
        Object::GrpcRoute(route) => grpc_route::check(&route.spec, &spec, &mut found),
        Object::TlsRoute(route) => references::check_tls_route(&route.spec, &spec, &mut found),
        Object::TcpRoute(route) | Object::UdpRoute(route) => {
            references::check_parents(&route.spec.parent_refs, &spec.key("parentRefs"), &mut found);
            references::check_stream_rules(&route.spec.rules, &spec.key("rules"), &mut found);
        }
        Object::BackendTlsPolicy(policy) => policy::check(&policy.spec, &spec, &mut found),
        Object::Secret(secret) => core::check_secret(secret, &root, &mut found),
        Object::ConfigMap(map) => core::check_config_map(map, &root, &mut found),
        Object::Service(service) => core::check_service(&service.spec, &spec, &mut found),
        Object::Backend(backend) => portolan::check_backend(&backend.spec, &spec, &mut found),
        Object::Filter(filter) => portolan::check_filter(&filter.spec, &spec, &mut found),
        Object::Certificate(certificate) => {
            portolan::check_certificate(&certificate.spec, &spec, &mut found);
        }
        Object::Rollout(rollout) => portolan::check_rollout(&rollout.spec, &spec, &mut found),
        Object::ControllerConfig(config) => {
            portolan::check_controller_config(&config.spec, &spec, &mut found);
        }
    }
    found.0
}

/// A place in a document; becomes text only where something is wrong.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    above: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Found(Vec<Violation>);

// === impl At ===

impl<'a> At<'a> {
    pub(super) const ROOT: At<'static> = At { above: None, step: Step::Root };

    pub(super) fn key(&'a self, key: &'a str) -> At<'a> {
        At { above: Some(self), step: Step::Key(key) }
    }

    pub(super) fn index(&'a self, index: usize) -> At<'a> {
        At { above: Some(self), step: Step::Index(index) }
    }

    /// As a status writes it: `spec.rules[0].filters[1]`.
    pub(super) fn dotted(&self) -> String {
        let above = self.above.map(At::dotted).unwrap_or_default();
        match self.step {
            Step::Root => above,
            Step::Key(key) if above.is_empty() => key.to_owned(),
            Step::Key(key) => format!("{above}.{key}"),
            Step::Index(index) => format!("{above}[{index}]"),
        }
    }
}

/// A JSON pointer.
impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Key(key) => write!(f, "/{}", key.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => write!(f, "/{index}"),
        }
    }
}

// === impl Found ===

impl Found {
    pub(super) fn add(&mut self, at: &At<'_>, message: impl Into<String>) {
        self.0.push(Violation { pointer: at.to_string(), message: message.into(), expected: None });
    }

    pub(super) fn expected(&mut self, at: &At<'_>, message: impl Into<String>, expected: impl Into<String>) {
        let expected = Some(expected.into());
        self.0.push(Violation { pointer: at.to_string(), message: message.into(), expected });
    }

    /// Takes the value, or notes why there is none.
    pub(super) fn take<T>(&mut self, at: &At<'_>, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(message) => {
                self.add(at, message);
                None
            }
        }
    }

    pub(super) fn into_violations(self) -> Vec<Violation> {
        self.0
    }

    /// Notes every name that came before in the list.
    fn unique<'n>(&mut self, at: &At<'_>, what: &str, names: impl Iterator<Item = &'n str>) {
        let mut seen = std::collections::BTreeSet::new();
        for (index, name) in names.enumerate() {
            if !seen.insert(name) {
                self.add(&at.index(index), format!("{what} `{name}` is there twice"));
            }
        }
    }

    /// Notes where not exactly one of the fields is set.
    fn exactly_one(&mut self, at: &At<'_>, fields: &[(&str, bool)]) {
        let names = || fields.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let set: Vec<String> =
            fields.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| format!("`{name}`")).collect();
        match &set[..] {
            [_] => {}
            [] => self.expected(at, "nothing is chosen", format!("exactly one of {}", names())),
            several => self.expected(
                at,
                format!("{} exclude each other", several.join(" and ")),
                format!("exactly one of {}", names()),
            ),
        }
    }

    fn duration(&mut self, at: &At<'_>, text: Option<&str>) -> Option<std::time::Duration> {
        text.and_then(|text| self.take(at, duration(text)))
    }
}
