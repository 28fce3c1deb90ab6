//! Rules of `Gateway` and of the listeners of a `ListenerSet`.

use std::collections::{BTreeMap, BTreeSet};

use super::{At, Found, text};
use crate::api::{GatewayAddress, GatewaySpec, LabelSelector, Listener, SelectorOperator, TlsMode};

pub(super) fn check(spec: &GatewaySpec, at: &At<'_>, found: &mut Found) {
    check_listeners(&spec.listeners, &at.key("listeners"), found);
    check_addresses(&spec.addresses, &at.key("addresses"), found);
    if let Some(namespaces) = spec.allowed_listeners.as_ref().and_then(|allowed| allowed.namespaces.as_ref())
    {
        let allowed = at.key("allowedListeners");
        // Without `from: Selector` it has no effect, in a cluster neither.
        if let Some(selector) = &namespaces.selector {
            check_selector(selector, &allowed.key("namespaces").key("selector"), found);
        }
    }
    if let Some(frontend) = spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref()) {
        let (tls, mut seen) = (at.key("tls"), BTreeSet::new());
        let frontend_at = tls.key("frontend");
        let per_port = frontend_at.key("perPort");
        for (index, entry) in frontend.per_port.iter().enumerate() {
            if !seen.insert(entry.port.0) {
                let message = format!("port {} is there twice", entry.port.0);
                found.add(&per_port.index(index).key("port"), message);
            }
        }
    }
}

pub(super) fn check_listeners(listeners: &[Listener], at: &At<'_>, found: &mut Found) {
    found.unique(at, "the listener", listeners.iter().map(|listener| &*listener.name));
    let mut taken: BTreeMap<(u16, &str, Option<&str>), &str> = BTreeMap::new();
    for (index, listener) in listeners.iter().enumerate() {
        let at = at.index(index);
        check_listener(listener, &at, found);
        let key = (listener.port.0.get(), &*listener.protocol, listener.hostname.as_deref());
        if let Some(first) = taken.get(&key).filter(|first| **first != &*listener.name) {
            found.expected(
                &at,
                format!("port, protocol and hostname are those of the listener `{first}`"),
                "a combination of port, protocol and hostname that no other listener has",
            );
        } else {
            taken.insert(key, &listener.name);
        }
    }
}

fn check_listener(listener: &Listener, at: &At<'_>, found: &mut Found) {
    let protocol = &*listener.protocol;
    if let Some(hostname) = &listener.hostname {
        let at = at.key("hostname");
        if matches!(protocol, "TCP" | "UDP") {
            found.add(&at, format!("a listener for {protocol} has no `hostname`"));
        }
        found.take(&at, text::host_pattern(hostname));
    }
    match &listener.tls {
        Some(_) if matches!(protocol, "HTTP" | "TCP" | "UDP") => {
            found.add(&at.key("tls"), format!("a listener for {protocol} has no `tls`"));
        }
        Some(tls) => {
            let at = at.key("tls");
            let mode = tls.mode.unwrap_or(TlsMode::Terminate);
            if protocol == "HTTPS" && mode != TlsMode::Terminate {
                found.expected(&at.key("mode"), "HTTPS ends at the listener", "`Terminate`");
            }
            if mode == TlsMode::Terminate && tls.certificate_refs.is_empty() && tls.options.is_empty() {
                found.expected(
                    &at,
                    "TLS that ends here needs a certificate",
                    "`certificateRefs` or `options`",
                );
            }
        }
        None if protocol == "TLS" => {
            found.expected(
                at,
                "a listener for TLS needs `tls`",
                "`tls.mode` of `Terminate` or `Passthrough`",
            );
        }
        None => {}
    }
    if let Some(namespaces) = listener.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref())
    {
        let allowed = at.key("allowedRoutes");
        if let Some(selector) = &namespaces.selector {
            check_selector(selector, &allowed.key("namespaces").key("selector"), found);
        }
    }
}

fn check_selector(selector: &LabelSelector, at: &At<'_>, found: &mut Found) {
    let expressions = at.key("matchExpressions");
    for (index, requirement) in selector.match_expressions.iter().enumerate() {
        let at = expressions.index(index);
        let values = at.key("values");
        match (requirement.operator, requirement.values.is_empty()) {
            (SelectorOperator::In | SelectorOperator::NotIn, true) => {
                found.add(&at, format!("`{:?}` needs `values`", requirement.operator));
            }
            (SelectorOperator::Exists | SelectorOperator::DoesNotExist, false) => {
                found.add(&values, format!("`{:?}` has no `values`", requirement.operator));
            }
            (SelectorOperator::In | SelectorOperator::NotIn, false)
            | (SelectorOperator::Exists | SelectorOperator::DoesNotExist, true) => {}
        }
    }
}

fn check_addresses(addresses: &[GatewayAddress], at: &At<'_>, found: &mut Found) {
    let mut seen = BTreeSet::new();
    for (index, address) in addresses.iter().enumerate() {
        let at = at.index(index);
        let Some(value) = &address.value else { continue };
        let at = at.key("value");
        let kind = address.kind.as_deref().unwrap_or("IPAddress");
        match kind {
            "IPAddress" => {
                found.take(&at, text::ip_address(value));
            }
            "Hostname" => {
                let is_lower_case = !value.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'_');
                match text::host_pattern(value) {
                    Ok(_) if is_lower_case => {}
                    Ok(_) => found.add(&at, format!("`{value}` is not a lower-case host name")),
                    Err(message) => found.add(&at, message),
                }
            }
            _ => {}
        }
        if matches!(kind, "IPAddress" | "Hostname") && !seen.insert((kind, value)) {
            found.add(&at, format!("`{value}` is there twice"));
        }
    }
}
