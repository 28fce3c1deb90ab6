//! `GRPCRoute`: an HTTPRoute whose matches are of services and methods, for gRPC is HTTP with paths of a fixed form.

use std::collections::BTreeSet;

use super::{Notes, http_route};
use crate::{
    api::{
        GrpcBackendRef, GrpcMethodMatch, GrpcRouteFilter, GrpcRouteFilterType, GrpcRouteMatch, GrpcRouteRule,
        GrpcRouteSpec, HttpBackendRef, HttpRouteFilter, HttpRouteFilterType, HttpRouteRule, HttpRouteSpec,
        MatchType,
    },
    config::rules::{self, At},
    model::{HeaderMatch, HttpMatch, HttpRoute, Meta, PathMatch},
};

pub(super) fn grpc_route(spec: &GrpcRouteSpec, meta: Meta, at: &At<'_>, notes: &mut Notes) -> HttpRoute {
    let mut route = http_route::http_route(&http_spec(spec), meta, at, notes);
    // The default rule is HTTP's: without rules no call is routed.
    route.rules.truncate(spec.rules.len());
    let rules_at = at.key("rules");
    for (index, (rule, written)) in route.rules.iter_mut().zip(&spec.rules).enumerate() {
        rule.matches = matches(written, &rules_at.index(index).key("matches"), notes);
    }
    route
}

fn matches(rule: &GrpcRouteRule, at: &At<'_>, notes: &mut Notes) -> Vec<HttpMatch> {
    if rule.matches.is_empty() {
        return vec![HttpMatch::grpc(PathMatch::Prefix("".into()), Vec::new())];
    }
    let matches = rule.matches.iter().enumerate();
    matches.filter_map(|(index, one)| grpc_match(one, &at.index(index), notes)).collect()
}

fn grpc_match(written: &GrpcRouteMatch, at: &At<'_>, notes: &mut Notes) -> Option<HttpMatch> {
    let path = match &written.method {
        Some(method) => method_match(method, &at.key("method"), notes)?,
        None => PathMatch::Prefix("".into()),
    };
    let headers_at = at.key("headers");
    let mut names = BTreeSet::new();
    let mut headers = Vec::with_capacity(written.headers.len());
    for (index, header) in written.headers.iter().enumerate() {
        let at = headers_at.index(index);
        let name = notes.found.take(&at.key("name"), rules::header_name(&header.name))?;
        let value = http_route::value_match(header.kind, &header.value, &at.key("value"), notes)?;
        // Names that differ only in case are one name: the first counts.
        if names.insert(name.as_str().to_owned()) {
            headers.push(HeaderMatch { name, value });
        }
    }
    Some(HttpMatch::grpc(path, headers))
}

/// A call's path is `/service/method`.
fn method_match(written: &GrpcMethodMatch, at: &At<'_>, notes: &mut Notes) -> Option<PathMatch> {
    let (service, method) = (written.service.as_deref(), written.method.as_deref());
    match (written.kind.unwrap_or_default(), service, method) {
        (_, None, None) => Some(PathMatch::Prefix("".into())),
        (MatchType::Exact, Some(service), Some(method)) => {
            Some(PathMatch::Exact(format!("/{service}/{method}").into()))
        }
        (MatchType::Exact, Some(service), None) => Some(PathMatch::Prefix(format!("/{service}").into())),
        (MatchType::Exact, None, Some(method)) => Some(PathMatch::Method(method.into())),
        (MatchType::RegularExpression, service, method) => {
            let mut path = String::new();
            for (field, part) in [("service", service), ("method", method)] {
                // Compiled alone first: `a)(b` must not become valid by the group around it.
                let part = part.map(|part| notes.found.take(&at.key(field), rules::pattern(part)));
                match part {
                    Some(part) => path.extend(["/(?:", part?.as_str(), ")"]),
                    None => path.push_str("/[^/]+"),
                }
            }
            notes.found.take(at, rules::pattern(&path)).map(PathMatch::Regex)
        }
    }
}

// === as HTTP ===

fn http_spec(spec: &GrpcRouteSpec) -> HttpRouteSpec {
    HttpRouteSpec {
        parent_refs: spec.parent_refs.clone(),
        use_default_gateways: spec.use_default_gateways,
        hostnames: spec.hostnames.clone(),
        rules: spec.rules.iter().map(http_rule).collect(),
    }
}

fn http_rule(rule: &GrpcRouteRule) -> HttpRouteRule {
    HttpRouteRule {
        name: rule.name.clone(),
        filters: rule.filters.iter().map(http_filter).collect(),
        backend_refs: rule.backend_refs.iter().map(http_backend).collect(),
        session_persistence: rule.session_persistence.clone(),
        ..HttpRouteRule::default()
    }
}

fn http_backend(backend: &GrpcBackendRef) -> HttpBackendRef {
    HttpBackendRef {
        group: backend.group.clone(),
        kind: backend.kind.clone(),
        name: backend.name.clone(),
        namespace: backend.namespace.clone(),
        port: backend.port,
        weight: backend.weight,
        filters: backend.filters.iter().map(http_filter).collect(),
    }
}

fn http_filter(filter: &GrpcRouteFilter) -> HttpRouteFilter {
    HttpRouteFilter {
        kind: match filter.kind {
            GrpcRouteFilterType::RequestHeaderModifier => HttpRouteFilterType::RequestHeaderModifier,
            GrpcRouteFilterType::ResponseHeaderModifier => HttpRouteFilterType::ResponseHeaderModifier,
            GrpcRouteFilterType::RequestMirror => HttpRouteFilterType::RequestMirror,
            GrpcRouteFilterType::ExtensionRef => HttpRouteFilterType::ExtensionRef,
        },
        request_header_modifier: filter.request_header_modifier.clone(),
        response_header_modifier: filter.response_header_modifier.clone(),
        request_mirror: filter.request_mirror.clone(),
        extension_ref: filter.extension_ref.clone(),
        request_redirect: None,
        url_rewrite: None,
        cors: None,
        external_auth: None,
    }
}
