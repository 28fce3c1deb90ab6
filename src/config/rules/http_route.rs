//! Rules of `HTTPRoute`.

use std::collections::BTreeSet;

use super::{At, Found, filters, references, text};
use crate::api::{
    CookieLifetime, HttpPathMatch, HttpRouteMatch, HttpRouteRetry, HttpRouteRule, HttpRouteSpec,
    HttpRouteTimeouts, MatchType, PathMatchType, SessionPersistence, SessionPersistenceType,
};

/// The most matches that all rules of a route may have together.
const MAX_MATCHES: usize = 128;

pub(super) fn check(spec: &HttpRouteSpec, at: &At<'_>, found: &mut Found) {
    references::check_parents(&spec.parent_refs, &at.key("parentRefs"), found);
    check_hostnames(&spec.hostnames, &at.key("hostnames"), found);
    let rules = at.key("rules");
    check_rule_names(spec.rules.iter().map(|rule| rule.name.as_deref()), &rules, found);
    check_match_count(spec.rules.iter().map(|rule| rule.matches.len()), &rules, found);
    for (index, rule) in spec.rules.iter().enumerate() {
        check_rule(rule, &rules.index(index), found);
    }
}

pub(super) fn check_hostnames(hostnames: &[crate::api::Hostname], at: &At<'_>, found: &mut Found) {
    for (index, hostname) in hostnames.iter().enumerate() {
        found.take(&at.index(index), text::host_pattern(hostname));
    }
}

pub(super) fn check_rule_names<'n>(
    names: impl Iterator<Item = Option<&'n str>>,
    at: &At<'_>,
    found: &mut Found,
) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        if let Some(name) = name
            && !seen.insert(name)
        {
            found.add(&at.index(index).key("name"), format!("a rule `{name}` is there already"));
        }
    }
}

pub(super) fn check_match_count(counts: impl Iterator<Item = usize>, at: &At<'_>, found: &mut Found) {
    let sum: usize = counts.map(|count| count.max(1)).sum();
    if sum > MAX_MATCHES {
        found.add(at, format!("the rules have {sum} matches; a route has at most {MAX_MATCHES}"));
    }
}

fn check_rule(rule: &HttpRouteRule, at: &At<'_>, found: &mut Found) {
    let (matches, filters_at, backends) = (at.key("matches"), at.key("filters"), at.key("backendRefs"));
    for (index, one) in rule.matches.iter().enumerate() {
        check_match(one, &matches.index(index), found);
    }
    let kind_of_matches = kind_of_matches(rule);
    filters::check(&rule.filters, kind_of_matches, &filters_at, found);
    if !rule.backend_refs.is_empty()
        && let Some(index) = rule.filters.iter().position(|filter| filter.request_redirect.is_some())
    {
        found.add(
            &filters_at.index(index),
            "a redirect answers by itself: the rule cannot have `backendRefs`",
        );
    }
    for (index, backend) in rule.backend_refs.iter().enumerate() {
        let at = backends.index(index);
        references::check_port((&backend.group, &backend.kind), backend.port, &at, found);
        filters::check(&backend.filters, kind_of_matches, &at.key("filters"), found);
    }
    if let Some(timeouts) = &rule.timeouts {
        check_timeouts(timeouts, &at.key("timeouts"), found);
    }
    if let Some(HttpRouteRetry { backoff, .. }) = &rule.retry {
        let retry = at.key("retry");
        found.duration(&retry.key("backoff"), backoff.as_deref());
    }
    if let Some(session) = &rule.session_persistence {
        check_session(session, &at.key("sessionPersistence"), found);
    }
}

/// No match is one by default.
fn kind_of_matches(rule: &HttpRouteRule) -> filters::Matches {
    let is_prefix = |only: &HttpRouteMatch| {
        only.path.as_ref().and_then(|path| path.kind).unwrap_or_default() == PathMatchType::PathPrefix
    };
    match &rule.matches[..] {
        [] => filters::Matches::OnePrefix,
        [only] if is_prefix(only) => filters::Matches::OnePrefix,
        _ => filters::Matches::Others,
    }
}

fn check_match(one: &HttpRouteMatch, at: &At<'_>, found: &mut Found) {
    if let Some(path) = &one.path {
        check_path(path, &at.key("path"), found);
    }
    let headers = at.key("headers");
    found.unique(&headers, "the header", one.headers.iter().map(|header| &*header.name));
    for (index, header) in one.headers.iter().enumerate() {
        let at = headers.index(index);
        found.take(&at.key("name"), text::header_name(&header.name));
        check_value(header.kind, &header.value, &at.key("value"), found);
    }
    let params = at.key("queryParams");
    found.unique(&params, "the parameter", one.query_params.iter().map(|param| &*param.name));
    for (index, param) in one.query_params.iter().enumerate() {
        check_value(param.kind, &param.value, &params.index(index).key("value"), found);
    }
}

fn check_path(path: &HttpPathMatch, at: &At<'_>, found: &mut Found) {
    let at = at.key("value");
    let value = path.value.as_deref().unwrap_or("/");
    match path.kind.unwrap_or_default() {
        PathMatchType::RegularExpression => {
            found.take(&at, text::pattern(value));
        }
        PathMatchType::Exact | PathMatchType::PathPrefix => {
            if let Some(fault) = text::path_fault(value) {
                found.add(&at, format!("{fault}, this one is `{value}`"));
            }
        }
    }
}

pub(super) fn check_value(kind: Option<MatchType>, value: &str, at: &At<'_>, found: &mut Found) {
    if kind == Some(MatchType::RegularExpression) {
        found.take(at, text::pattern(value));
    }
}

fn check_timeouts(timeouts: &HttpRouteTimeouts, at: &At<'_>, found: &mut Found) {
    let request = found.duration(&at.key("request"), timeouts.request.as_deref());
    let one_try = found.duration(&at.key("backendRequest"), timeouts.backend_request.as_deref());
    if let (Some(request), Some(one_try)) = (request, one_try)
        && !request.is_zero()
        && one_try > request
    {
        found.add(&at.key("backendRequest"), "one try cannot take longer than the whole `request`");
    }
}

pub(super) fn check_session(session: &SessionPersistence, at: &At<'_>, found: &mut Found) {
    found.duration(&at.key("absoluteTimeout"), session.absolute_timeout.as_deref());
    let lifetime = session
        .cookie
        .as_ref()
        .and_then(|cookie| cookie.lifetime_type)
        .or(session.cookie_config.as_ref().and_then(|config| config.lifetime_type));
    if lifetime == Some(CookieLifetime::Permanent) && session.absolute_timeout.is_none() {
        found.add(at, "a permanent cookie needs an `absoluteTimeout`");
    }
    let cookie_at = at.key("cookie");
    if let Some(path) = session.cookie.as_ref().and_then(|cookie| cookie.path.as_deref()) {
        found.take(&cookie_at.key("path"), text::cookie_path(path));
    }
    if let Some(name) = session.cookie.as_ref().and_then(|cookie| cookie.name.as_deref()) {
        found.take(&cookie_at.key("name"), text::cookie_name(name));
    }
    if let Some(name) = session.session_name.as_deref().filter(|name| !name.is_empty()) {
        // What is a name for one is a name for the other.
        found.take(&at.key("sessionName"), text::cookie_name(name));
    }
    let wrong = match session.kind.unwrap_or_default() {
        SessionPersistenceType::Cookie => vec![("header", session.header.is_some())],
        SessionPersistenceType::Header => {
            vec![("cookie", session.cookie.is_some()), ("cookieConfig", session.cookie_config.is_some())]
        }
    };
    for (field, _) in wrong.into_iter().filter(|(_, is_set)| *is_set) {
        let kind = session.kind.unwrap_or_default();
        found.add(&at.key(field), format!("`{field}` is not for `type: {kind:?}`"));
    }
}
