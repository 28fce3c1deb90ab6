//! Rules of references to parents and backends, and of the routes that have little else.

use super::{At, Found, text};
use crate::api::{Group, KindName, ParentReference, StreamRouteRule, TlsRouteSpec};

/// References to one object must all or none name a section (or a port), and must differ in it.
pub(super) fn check_parents(parents: &[ParentReference], at: &At<'_>, found: &mut Found) {
    for (index, parent) in parents.iter().enumerate() {
        let same = |other: &&ParentReference| identity(other) == identity(parent);
        for earlier in parents[..index].iter().filter(same) {
            let (mine, other) = (parent.section_name.as_deref(), earlier.section_name.as_deref());
            let (port, other_port) = (parent.port, earlier.port);
            let fault = if mine.is_some() != other.is_some() {
                "either all or none name a `sectionName`"
            } else if mine != other {
                continue;
            } else if port.is_some() != other_port.is_some() {
                "either all or none name a `port`"
            } else if port == other_port {
                "each names another `sectionName` or `port`"
            } else {
                continue;
            };
            found.expected(
                &at.index(index),
                format!("the parent `{}` is there more than once", &*parent.name),
                fault,
            );
            break;
        }
    }
}

fn identity(parent: &ParentReference) -> (&str, &str, Option<&str>, &str) {
    (
        parent.group.as_deref().unwrap_or("gateway.networking.k8s.io"),
        parent.kind.as_deref().unwrap_or("Gateway"),
        parent.namespace.as_deref(),
        &parent.name,
    )
}

/// A `Service` has several ports, so a reference has to say which.
pub(super) fn check_port(
    (group, kind): (&Option<Group>, &Option<KindName>),
    has_port: Option<std::num::NonZeroU16>,
    at: &At<'_>,
    found: &mut Found,
) {
    let is_service =
        group.as_deref().unwrap_or_default().is_empty() && kind.as_deref().unwrap_or("Service") == "Service";
    if is_service && has_port.is_none() {
        found.add(at, "a reference to a `Service` needs a `port`");
    }
}

pub(super) fn check_stream_rules(rules: &[StreamRouteRule], at: &At<'_>, found: &mut Found) {
    for (index, rule) in rules.iter().enumerate() {
        let at = at.index(index);
        let backends = at.key("backendRefs");
        for (index, backend) in rule.backend_refs.iter().enumerate() {
            check_port((&backend.group, &backend.kind), backend.port, &backends.index(index), found);
        }
    }
}

pub(super) fn check_tls_route(spec: &TlsRouteSpec, at: &At<'_>, found: &mut Found) {
    check_parents(&spec.parent_refs, &at.key("parentRefs"), found);
    check_stream_rules(&spec.rules, &at.key("rules"), found);
    let hostnames = at.key("hostnames");
    for (index, hostname) in spec.hostnames.iter().enumerate() {
        let at = hostnames.index(index);
        if text::ip_address(hostname).is_ok() {
            found.add(&at, format!("`{hostname}` is an IP address; clients send names only"));
        } else {
            found.take(&at, text::host_pattern(hostname));
        }
    }
}
