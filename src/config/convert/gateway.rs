//! `Gateway` and `ReferenceGrant`.

use std::sync::Arc;

use super::{GATEWAY_GROUP, Notes, parent, text_or, tls};
use crate::{
    api::{
        self, DefaultScope, GatewaySpec, ListenerSetSpec, ListenersFrom, ReferenceGrantSpec, RoutesFrom,
        SelectorOperator,
    },
    config::rules::{self, At},
    model::{
        Addresses, AllowedRoutes, FromNamespaces, Gateway, GrantFrom, GrantTo, LabelSelector, Listener,
        ListenerSet, Meta, Protocol, ReferenceGrant, Requirement,
    },
};

pub(super) fn gateway(spec: &GatewaySpec, meta: Meta, at: &At<'_>, notes: &mut Notes) -> Gateway {
    let listeners_at = at.key("listeners");
    let listeners = spec
        .listeners
        .iter()
        .enumerate()
        .map(|(index, written)| listener(written, (&meta, &listeners_at.index(index)), notes))
        .collect();
    let addresses = addresses(&spec.addresses, &at.key("addresses"), notes);
    let unsupported_addresses = notes.take_unsupported();
    note_parameters(spec, at, notes);
    let frontend = spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref());
    let frontend = frontend.map(|frontend| tls::frontend(frontend, &meta.id.namespace)).unwrap_or_default();
    let client = spec.tls.as_ref().and_then(|tls| tls.backend.as_ref()?.client_certificate_ref.as_ref());
    let client = client.map(|reference| tls::certificate_ref(reference, &meta.id.namespace));
    Gateway {
        meta,
        class: (&*spec.gateway_class_name).into(),
        addresses,
        listeners,
        allowed_listeners: allowed_listeners(spec.allowed_listeners.as_ref()),
        is_default: spec.default_scope == Some(DefaultScope::All),
        frontend,
        client,
        unsupported_addresses,
        unsupported_parameters: notes.take_unsupported().pop(),
    }
}

/// Where some address is asked for, the others stay closed, whether that one can be bound or not.
fn addresses(written: &[api::GatewayAddress], at: &At<'_>, notes: &mut Notes) -> Addresses {
    let mut addresses = Vec::new();
    let mut is_free = written.is_empty();
    for (index, address) in written.iter().enumerate() {
        let at = at.index(index);
        match (address.kind.as_deref().unwrap_or("IPAddress"), &address.value) {
            ("IPAddress", Some(value)) => {
                addresses.extend(notes.found.take(&at.key("value"), rules::ip_address(value)));
            }
            // An address of no value is the controller's choice; all addresses are one.
            ("IPAddress", None) => is_free = true,
            (kind, _) => {
                let why = format!("addresses of the type `{kind}` are not served; write an `IPAddress`");
                notes.unsupported(&at, &why);
            }
        }
    }
    if is_free && addresses.is_empty() { Addresses::All } else { Addresses::Only(addresses) }
}

pub(super) fn listener_set(
    spec: &ListenerSetSpec,
    meta: Meta,
    at: &At<'_>,
    notes: &mut Notes,
) -> ListenerSet {
    let api::ParentGatewayReference { group, kind, name, namespace } = &spec.parent_ref;
    let listeners_at = at.key("listeners");
    let listeners = spec.listeners.iter().enumerate();
    let listener = |(index, written)| listener(written, (&meta, &listeners_at.index(index)), notes);
    let listeners = listeners.map(listener).collect();
    let parent = parent((group.as_deref(), kind.as_deref()), namespace.as_deref(), name, &meta);
    ListenerSet { meta, parent, listeners }
}

/// Nobody else's listeners, unless the Gateway says so.
fn allowed_listeners(written: Option<&api::AllowedListeners>) -> FromNamespaces {
    let namespaces = written.and_then(|written| written.namespaces.as_ref());
    match namespaces.and_then(|namespaces| namespaces.from).unwrap_or(ListenersFrom::None) {
        ListenersFrom::All => FromNamespaces::All,
        ListenersFrom::Same => FromNamespaces::Same,
        // Without a selector nothing is selected, lest everything were.
        ListenersFrom::Selector => namespaces
            .and_then(|namespaces| namespaces.selector.as_ref())
            .map_or(FromNamespaces::None, |written| FromNamespaces::Selector(selector(written))),
        ListenersFrom::None => FromNamespaces::None,
    }
}

fn note_parameters(spec: &GatewaySpec, at: &At<'_>, notes: &mut Notes) {
    if spec.infrastructure.as_ref().is_some_and(|made| made.parameters_ref.is_some()) {
        let infrastructure = at.key("infrastructure");
        notes.unsupported(&infrastructure.key("parametersRef"), "there are no parameters to refer to");
    }
}

fn listener(written: &api::Listener, (meta, at): (&Meta, &At<'_>), notes: &mut Notes) -> Listener {
    // What is noted is this listener's: it is refused for it, and not its Gateway.
    let of_gateway = notes.take_unsupported();
    let tls = written.tls.as_ref().map(|tls| tls::listener(tls, &meta.id.namespace, &at.key("tls"), notes));
    let unsupported = std::mem::replace(&mut notes.unsupported, of_gateway);
    let hostname = written
        .hostname
        .as_ref()
        .and_then(|hostname| notes.found.take(&at.key("hostname"), rules::host_pattern(hostname)));
    Listener {
        name: (&*written.name).into(),
        hostname,
        port: written.port.0,
        protocol: protocol(&written.protocol),
        allowed: allowed_routes(written.allowed_routes.as_ref()),
        tls: tls.unwrap_or_default(),
        unsupported,
    }
}

fn protocol(written: &str) -> Protocol {
    match written {
        "HTTP" => Protocol::Http,
        "HTTPS" => Protocol::Https,
        "TLS" => Protocol::Tls,
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        other => Protocol::Other(other.into()),
    }
}

fn allowed_routes(written: Option<&api::AllowedRoutes>) -> AllowedRoutes {
    let namespaces = written.and_then(|written| written.namespaces.as_ref());
    let from = namespaces.and_then(|namespaces| namespaces.from).unwrap_or(RoutesFrom::Same);
    let namespaces = match from {
        RoutesFrom::All => FromNamespaces::All,
        RoutesFrom::Same => FromNamespaces::Same,
        // Without a selector nothing is selected, lest everything were.
        RoutesFrom::Selector => namespaces
            .and_then(|namespaces| namespaces.selector.as_ref())
            .map_or(FromNamespaces::None, |written| FromNamespaces::Selector(selector(written))),
    };
    let kinds: Vec<(Arc<str>, Arc<str>)> = written
        .iter()
        .flat_map(|written| &written.kinds)
        .map(|kind| (text_or(kind.group.as_deref(), GATEWAY_GROUP), (&*kind.kind).into()))
        .collect();
    AllowedRoutes { namespaces, kinds: (!kinds.is_empty()).then_some(kinds) }
}

fn selector(written: &api::LabelSelector) -> LabelSelector {
    LabelSelector {
        labels: labels(&written.match_labels),
        requirements: written
            .match_expressions
            .iter()
            .map(|expression| {
                let values = || expression.values.iter().map(|value| value.as_str().into()).collect();
                let requirement = match expression.operator {
                    SelectorOperator::In => Requirement::In(values()),
                    SelectorOperator::NotIn => Requirement::NotIn(values()),
                    SelectorOperator::Exists => Requirement::Exists,
                    SelectorOperator::DoesNotExist => Requirement::DoesNotExist,
                };
                (expression.key.as_str().into(), requirement)
            })
            .collect(),
    }
}

pub(super) fn labels(
    written: &std::collections::BTreeMap<String, String>,
) -> std::collections::BTreeMap<Arc<str>, Arc<str>> {
    written.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
}

pub(super) fn reference_grant(spec: &ReferenceGrantSpec, meta: Meta) -> ReferenceGrant {
    ReferenceGrant {
        meta,
        from: spec
            .from
            .iter()
            .map(|from| GrantFrom {
                group: (&*from.group).into(),
                kind: (&*from.kind).into(),
                namespace: (&*from.namespace).into(),
            })
            .collect(),
        to: spec
            .to
            .iter()
            .map(|to| GrantTo {
                group: (&*to.group).into(),
                kind: (&*to.kind).into(),
                name: to.name.as_deref().map(Into::into),
            })
            .collect(),
    }
}
