//! `HTTPRoute`: matches, backend references, timeouts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use http::Method;

use super::{Notes, http_filter, limit, parents, session, text_or};
use crate::{
    api::{
        self, DefaultScope, HttpBackendRef, HttpMethod, HttpRouteMatch, HttpRouteRetry, HttpRouteRule,
        HttpRouteSpec, MatchType, ObjectMeta, PathMatchType,
    },
    config::rules::{self, At},
    model::{
        BackendRef, HeaderMatch, HttpMatch, HttpRoute, HttpRule, HttpsUse, Meta, Origin, PathMatch,
        QueryMatch, Retry, Timeouts, ValueMatch,
    },
};

pub(super) fn http_route(spec: &HttpRouteSpec, meta: Meta, at: &At<'_>, notes: &mut Notes) -> HttpRoute {
    let parents = parents(&spec.parent_refs, &meta);
    let uses_default_gateways = match spec.use_default_gateways {
        Some(DefaultScope::All) => true,
        Some(DefaultScope::None) => false,
        None => parents.is_empty(),
    };
    let is_from_container = match meta.origin {
        Origin::Container { .. } => true,
        Origin::File { .. } | Origin::BuiltIn(_) => false,
    };
    let hostnames_at = at.key("hostnames");
    let hostnames = spec
        .hostnames
        .iter()
        .enumerate()
        .filter_map(|(index, hostname)| {
            notes.found.take(&hostnames_at.index(index), rules::host_pattern(hostname))
        })
        .collect();
    let rules_at = at.key("rules");
    let mut rules: Vec<HttpRule> = spec
        .rules
        .iter()
        .enumerate()
        .map(|(index, written)| rule(written, &meta, &rules_at.index(index), notes))
        .collect();
    if rules.is_empty() {
        // The standard's default: one rule that takes everything and has no backends.
        rules.push(rule(&HttpRouteRule::default(), &meta, &rules_at.index(0), notes));
    }
    HttpRoute {
        attaches_anywhere: is_from_container && parents.is_empty(),
        https: HttpsUse::default(),
        meta,
        parents,
        uses_default_gateways,
        hostnames,
        rules,
        unsupported: notes.take_unsupported(),
    }
}

/// The annotation that says what a route does on listeners of plain HTTP.
pub(in crate::config) const HTTPS: &str = "portolan.dev/https";

/// What the annotation says.
pub(super) fn https(metadata: &ObjectMeta, notes: &mut Notes) -> HttpsUse {
    match metadata.annotations.get(HTTPS).map(String::as_str) {
        None => HttpsUse::Optional,
        Some("only") => HttpsUse::Only,
        Some("redirect") => HttpsUse::Redirect,
        Some(other) => {
            let root = At::ROOT;
            let metadata = root.key("metadata");
            let at = metadata.key("annotations");
            notes.found.expected(&at.key(HTTPS), format!("found `{other}`"), "`only` or `redirect`");
            HttpsUse::Optional
        }
    }
}

fn rule(written: &HttpRouteRule, meta: &Meta, at: &At<'_>, notes: &mut Notes) -> HttpRule {
    let matches_at = at.key("matches");
    let mut matches: Vec<HttpMatch> = written
        .matches
        .iter()
        .enumerate()
        .filter_map(|(index, one)| http_match(one, &matches_at.index(index), notes))
        .collect();
    if written.matches.is_empty() {
        matches.extend(http_match(&HttpRouteMatch::default(), &matches_at, notes));
    }
    let filters = http_filter::filters(&written.filters, meta, &at.key("filters"), notes);
    // What is noted below is a reference's: its share is refused for it, and not the rule.
    let of_rule = notes.take_unsupported();
    let mut unsupported_backends = BTreeMap::new();
    let backends_at = at.key("backendRefs");
    let mut backends = Vec::with_capacity(written.backend_refs.len());
    for (index, backend) in written.backend_refs.iter().enumerate() {
        backends.push(backend_ref(backend, meta, &backends_at.index(index), notes));
        let unsupported = notes.take_unsupported();
        if !unsupported.is_empty() {
            unsupported_backends.insert(index, unsupported);
        }
    }
    notes.unsupported = of_rule;
    let timeouts = written.timeouts.as_ref().map_or_else(Timeouts::default, |written| {
        let at = at.key("timeouts");
        Timeouts {
            request: limit(written.request.as_ref(), &at.key("request"), notes),
            backend_request: limit(written.backend_request.as_ref(), &at.key("backendRequest"), notes),
        }
    });
    let retry = written.retry.as_ref().map(|written| retry(written, &at.key("retry"), notes));
    let place = || format!("{}/{}/{}", meta.id.namespace, meta.id.name, at.dotted());
    let session = written
        .session_persistence
        .as_ref()
        .map(|written| session::session(written, &place(), &at.key("sessionPersistence"), notes));
    HttpRule {
        name: written.name.as_deref().map(Into::into),
        matches,
        filters,
        backends,
        timeouts,
        retry,
        session,
        unsupported: notes.take_unsupported(),
        unsupported_backends,
    }
}

fn retry(written: &HttpRouteRetry, at: &At<'_>, notes: &mut Notes) -> Retry {
    let backoff = written.backoff.as_ref();
    Retry {
        codes: written.codes.clone(),
        attempts: written.attempts.unwrap_or(Retry::ATTEMPTS),
        backoff: backoff
            .and_then(|text| notes.found.take(&at.key("backoff"), rules::duration(text)))
            .unwrap_or(Retry::BACKOFF),
    }
}

fn http_match(written: &HttpRouteMatch, at: &At<'_>, notes: &mut Notes) -> Option<HttpMatch> {
    let path = path_match(written.path.as_ref(), &at.key("path"), notes)?;
    let headers_at = at.key("headers");
    let mut names = BTreeSet::new();
    let mut headers = Vec::with_capacity(written.headers.len());
    for (index, header) in written.headers.iter().enumerate() {
        let at = headers_at.index(index);
        let name = notes.found.take(&at.key("name"), rules::header_name(&header.name))?;
        let value = value_match(header.kind, &header.value, &at.key("value"), notes)?;
        // Names that differ only in case are one name: the first counts.
        if names.insert(name.as_str().to_owned()) {
            headers.push(HeaderMatch { name, value });
        }
    }
    let params_at = at.key("queryParams");
    let mut names = BTreeSet::new();
    let mut query = Vec::with_capacity(written.query_params.len());
    for (index, param) in written.query_params.iter().enumerate() {
        let at = params_at.index(index);
        let value = value_match(param.kind, &param.value, &at.key("value"), notes)?;
        if names.insert(&*param.name) {
            query.push(QueryMatch { name: (&*param.name).into(), value });
        }
    }
    Some(HttpMatch { path, method: written.method.map(method), headers, query })
}

fn path_match(written: Option<&api::HttpPathMatch>, at: &At<'_>, notes: &mut Notes) -> Option<PathMatch> {
    let value = written.and_then(|path| path.value.as_deref()).unwrap_or("/");
    let kind = written.and_then(|path| path.kind).unwrap_or_default();
    match kind {
        PathMatchType::Exact => Some(PathMatch::Exact(value.into())),
        PathMatchType::PathPrefix => Some(PathMatch::Prefix(value.trim_end_matches('/').into())),
        PathMatchType::RegularExpression => {
            notes.found.take(&at.key("value"), rules::pattern(value)).map(PathMatch::Regex)
        }
    }
}

pub(super) fn value_match(
    kind: Option<MatchType>,
    value: &str,
    at: &At<'_>,
    notes: &mut Notes,
) -> Option<ValueMatch> {
    match kind.unwrap_or_default() {
        MatchType::Exact => Some(ValueMatch::Exact(value.into())),
        MatchType::RegularExpression => notes.found.take(at, rules::pattern(value)).map(ValueMatch::Regex),
    }
}

fn method(written: HttpMethod) -> Method {
    match written {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Connect => Method::CONNECT,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Trace => Method::TRACE,
        HttpMethod::Patch => Method::PATCH,
    }
}

fn backend_ref(written: &HttpBackendRef, meta: &Meta, at: &At<'_>, notes: &mut Notes) -> BackendRef {
    let name: Arc<str> = (&*written.name).into();
    BackendRef {
        group: text_or(written.group.as_deref(), ""),
        kind: text_or(written.kind.as_deref(), "Service"),
        namespace: text_or(written.namespace.as_deref(), &meta.id.namespace),
        name,
        port: written.port,
        weight: written.weight.unwrap_or(1),
        filters: http_filter::filters(&written.filters, meta, &at.key("filters"), notes),
    }
}
