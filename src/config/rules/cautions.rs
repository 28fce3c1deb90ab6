//! What is valid and does not do what it seems to: told as warnings.

use super::{At, Found, Violation};
use crate::api::{
    GrpcRouteFilter, HttpHeaderFilter, HttpRouteFilter, Listener, ListenersFrom, Object, RoutesFrom,
};

const NO_SELECTOR: &str = "`from: Selector` without a `selector` selects no namespace";

/// Fields that tell how a message is sent: the proxy writes them itself.
const FRAMING: [&str; 5] = ["connection", "content-length", "transfer-encoding", "te", "upgrade"];

/// The modifiers of a filter.
type Modifiers<'f> = [(&'static str, Option<&'f HttpHeaderFilter>); 2];

const REQUEST: &str = "requestHeaderModifier";
const RESPONSE: &str = "responseHeaderModifier";

/// Everything in a valid object that has no effect.
pub fn cautions(object: &Object) -> Vec<Violation> {
    let mut found = Found::default();
    let root = At::ROOT;
    let spec = root.key("spec");
    let listeners = spec.key("listeners");
    let rules = spec.key("rules");
    if let Object::Gateway(gateway) = object {
        let from = gateway.spec.allowed_listeners.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
        if from.is_some_and(|from| from.from == Some(ListenersFrom::Selector) && from.selector.is_none()) {
            found.add(&spec.key("allowedListeners").key("namespaces"), NO_SELECTOR);
        }
        look_at_listeners(&gateway.spec.listeners, &listeners, &mut found);
    } else if let Object::ListenerSet(set) = object {
        look_at_listeners(&set.spec.listeners, &listeners, &mut found);
    } else if let Object::HttpRoute(route) = object {
        for (index, rule) in route.spec.rules.iter().enumerate() {
            let backends = rule.backend_refs.iter().map(|backend| backend.filters.iter().map(of_http));
            look_at_rule(rule.filters.iter().map(of_http), backends, &rules.index(index), &mut found);
        }
    } else if let Object::GrpcRoute(route) = object {
        for (index, rule) in route.spec.rules.iter().enumerate() {
            let backends = rule.backend_refs.iter().map(|backend| backend.filters.iter().map(of_grpc));
            look_at_rule(rule.filters.iter().map(of_grpc), backends, &rules.index(index), &mut found);
        }
    }
    found.into_violations()
}

fn look_at_listeners(listeners: &[Listener], at: &At<'_>, found: &mut Found) {
    for (index, listener) in listeners.iter().enumerate() {
        let from = listener.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
        if from.is_some_and(|from| from.from == Some(RoutesFrom::Selector) && from.selector.is_none()) {
            found.add(&at.index(index).key("allowedRoutes").key("namespaces"), NO_SELECTOR);
        }
    }
}

fn of_http(filter: &HttpRouteFilter) -> Modifiers<'_> {
    [(REQUEST, filter.request_header_modifier.as_ref()), (RESPONSE, filter.response_header_modifier.as_ref())]
}

fn of_grpc(filter: &GrpcRouteFilter) -> Modifiers<'_> {
    [(REQUEST, filter.request_header_modifier.as_ref()), (RESPONSE, filter.response_header_modifier.as_ref())]
}

fn look_at_rule<'f, F: Iterator<Item = Modifiers<'f>>>(
    filters: F,
    backends: impl Iterator<Item = F>,
    at: &At<'_>,
    found: &mut Found,
) {
    look_at_filters(filters, &at.key("filters"), found);
    let at = at.key("backendRefs");
    for (index, filters) in backends.enumerate() {
        look_at_filters(filters, &at.index(index).key("filters"), found);
    }
}

fn look_at_filters<'f>(filters: impl Iterator<Item = Modifiers<'f>>, at: &At<'_>, found: &mut Found) {
    for (index, modifiers) in filters.enumerate() {
        let at = at.index(index);
        for (field, edit) in modifiers {
            let Some(edit) = edit else { continue };
            look_at_edit(field, edit, &at.key(field), found);
        }
    }
}

fn look_at_edit(field: &str, edit: &HttpHeaderFilter, at: &At<'_>, found: &mut Found) {
    let is_host = |name: &str| field == REQUEST && name.eq_ignore_ascii_case("host");
    for (list, headers) in [("set", &edit.set), ("add", &edit.add)] {
        let at = at.key(list);
        for (index, header) in headers.iter().enumerate() {
            let at = at.index(index);
            look_at_name(&header.name, &at.key("name"), found);
            if list == "add" && is_host(&header.name) {
                found.add(&at.key("name"), HOST);
            }
        }
    }
    let at = at.key("remove");
    for (index, name) in edit.remove.iter().enumerate() {
        look_at_name(name, &at.index(index), found);
        if is_host(name) {
            found.add(&at.index(index), HOST);
        }
    }
}

const HOST: &str = "a request has exactly one `Host`: to add or to remove it has no effect, `set` changes it";

fn look_at_name(name: &str, at: &At<'_>, found: &mut Found) {
    if FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
        let message =
            format!("`{name}` tells how a message is sent, which the proxy decides: this has no effect");
        found.add(at, message);
    }
}
