//! Rules of `GRPCRoute`.

use super::{At, Found, filters, http_route, references, text};
use crate::api::{
    GrpcMethodMatch, GrpcRouteFilter, GrpcRouteFilterType, GrpcRouteMatch, GrpcRouteRule, GrpcRouteSpec,
    MatchType,
};

pub(super) fn check(spec: &GrpcRouteSpec, at: &At<'_>, found: &mut Found) {
    references::check_parents(&spec.parent_refs, &at.key("parentRefs"), found);
    http_route::check_hostnames(&spec.hostnames, &at.key("hostnames"), found);
    let rules = at.key("rules");
    http_route::check_rule_names(spec.rules.iter().map(|rule| rule.name.as_deref()), &rules, found);
    http_route::check_match_count(spec.rules.iter().map(|rule| rule.matches.len()), &rules, found);
    for (index, rule) in spec.rules.iter().enumerate() {
        check_rule(rule, &rules.index(index), found);
    }
}

fn check_rule(rule: &GrpcRouteRule, at: &At<'_>, found: &mut Found) {
    let (matches, backends) = (at.key("matches"), at.key("backendRefs"));
    for (index, one) in rule.matches.iter().enumerate() {
        check_match(one, &matches.index(index), found);
    }
    check_filters(&rule.filters, &at.key("filters"), found);
    for (index, backend) in rule.backend_refs.iter().enumerate() {
        let at = backends.index(index);
        references::check_port((&backend.group, &backend.kind), backend.port, &at, found);
        check_filters(&backend.filters, &at.key("filters"), found);
    }
    if let Some(session) = &rule.session_persistence {
        http_route::check_session(session, &at.key("sessionPersistence"), found);
    }
}

fn check_match(one: &GrpcRouteMatch, at: &At<'_>, found: &mut Found) {
    if let Some(method) = &one.method {
        check_method(method, &at.key("method"), found);
    }
    let headers = at.key("headers");
    found.unique(&headers, "the header", one.headers.iter().map(|header| &*header.name));
    for (index, header) in one.headers.iter().enumerate() {
        http_route::check_value(header.kind, &header.value, &headers.index(index).key("value"), found);
    }
}

fn check_method(one: &GrpcMethodMatch, at: &At<'_>, found: &mut Found) {
    if one.service.is_none() && one.method.is_none() {
        found.add(at, "a method match needs `service`, `method` or both");
    }
    for (field, value) in [("service", &one.service), ("method", &one.method)] {
        let (at, Some(value)) = (at.key(field), value) else { continue };
        match one.kind.unwrap_or_default() {
            MatchType::RegularExpression => {
                found.take(&at, text::pattern(value));
            }
            MatchType::Exact if field == "service" && !is_service(value) => {
                found.expected(&at, format!("`{value}` is not the name of a service"), "`package.Service`");
            }
            MatchType::Exact if field == "method" && !is_identifier(value) => {
                found.expected(&at, format!("`{value}` is not the name of a method"), "one identifier");
            }
            MatchType::Exact => {}
        }
    }
}

/// Identifiers joined by dots; a dot in front is allowed.
fn is_service(text: &str) -> bool {
    text.strip_prefix('.').unwrap_or(text).split('.').all(is_identifier)
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && !text.as_bytes()[0].is_ascii_digit()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn check_filters(list: &[GrpcRouteFilter], at: &At<'_>, found: &mut Found) {
    use GrpcRouteFilterType as Type;
    for (index, filter) in list.iter().enumerate() {
        let at = at.index(index);
        let fields = [
            (Type::RequestHeaderModifier, "requestHeaderModifier", filter.request_header_modifier.is_some()),
            (
                Type::ResponseHeaderModifier,
                "responseHeaderModifier",
                filter.response_header_modifier.is_some(),
            ),
            (Type::RequestMirror, "requestMirror", filter.request_mirror.is_some()),
            (Type::ExtensionRef, "extensionRef", filter.extension_ref.is_some()),
        ];
        let kind = format!("{:?}", filter.kind);
        let fields = fields.map(|(kind, field, is_set)| (field, kind == filter.kind, is_set));
        filters::check_union(&kind, fields, &at, found);
        let is_single = matches!(filter.kind, Type::RequestHeaderModifier | Type::ResponseHeaderModifier);
        if is_single && list[..index].iter().any(|earlier| earlier.kind == filter.kind) {
            found.add(&at, format!("the filter `{kind}` is there twice"));
        }
        if let Some(edit) = &filter.request_header_modifier {
            filters::check_headers(edit, &at.key("requestHeaderModifier"), found);
        }
        if let Some(edit) = &filter.response_header_modifier {
            filters::check_headers(edit, &at.key("responseHeaderModifier"), found);
        }
        if let Some(mirror) = &filter.request_mirror {
            filters::check_mirror(mirror, &at.key("requestMirror"), found);
        }
    }
}
