//! Rules of the standard's filters, in rules and in backend references.

use super::{At, Found, references, text};
use crate::{
    api::{
        CorsMethod, ExternalAuthProtocol, HttpCorsFilter, HttpExternalAuthFilter, HttpHeader,
        HttpHeaderFilter, HttpPathModifier, HttpPathModifierType, HttpRequestMirrorFilter, HttpRouteFilter,
        HttpRouteFilterType,
    },
    model::PathEdit,
};

/// What a rule matches on, which decides whether its prefix can be replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Matches {
    /// Exactly one, a `PathPrefix`.
    OnePrefix,
    Others,
}

/// Checks a list of filters.
pub(super) fn check(filters: &[HttpRouteFilter], matches: Matches, at: &At<'_>, found: &mut Found) {
    check_combination(filters, at, found);
    for (index, filter) in filters.iter().enumerate() {
        let at = at.index(index);
        check_fields(filter, &at, found);
        if let Some(edit) = &filter.request_header_modifier {
            check_headers(edit, &at.key("requestHeaderModifier"), found);
        }
        if let Some(edit) = &filter.response_header_modifier {
            check_headers(edit, &at.key("responseHeaderModifier"), found);
        }
        if let Some(mirror) = &filter.request_mirror {
            check_mirror(mirror, &at.key("requestMirror"), found);
        }
        if let Some(redirect) = &filter.request_redirect {
            let at = at.key("requestRedirect");
            check_hostname(redirect.hostname.as_deref(), &at, found);
            check_modifier(redirect.path.as_ref(), matches, &at, found);
        }
        if let Some(rewrite) = &filter.url_rewrite {
            let at = at.key("urlRewrite");
            check_hostname(rewrite.hostname.as_deref(), &at, found);
            check_modifier(rewrite.path.as_ref(), matches, &at, found);
        }
        if let Some(cors) = &filter.cors {
            check_cors(cors, &at.key("cors"), found);
        }
        if let Some(auth) = &filter.external_auth {
            check_auth(auth, &at.key("externalAuth"), found);
        }
    }
}

fn check_combination(filters: &[HttpRouteFilter], at: &At<'_>, found: &mut Found) {
    use HttpRouteFilterType::{
        Cors, ExtensionRef, ExternalAuth, RequestHeaderModifier, RequestMirror, RequestRedirect,
        ResponseHeaderModifier, UrlRewrite,
    };
    let position = |kind| filters.iter().position(|filter| filter.kind == kind);
    if let (Some(redirect), Some(rewrite)) = (position(RequestRedirect), position(UrlRewrite)) {
        let message = "`RequestRedirect` and `URLRewrite` exclude each other";
        found.add(&at.index(redirect.max(rewrite)), message);
    }
    for (index, filter) in filters.iter().enumerate() {
        let is_single = match filter.kind {
            RequestHeaderModifier | ResponseHeaderModifier | RequestRedirect | UrlRewrite | Cors => true,
            RequestMirror | ExtensionRef | ExternalAuth => false,
        };
        if is_single && position(filter.kind) != Some(index) {
            let message = format!("the filter `{}` is there twice", type_name(filter.kind));
            found.add(&at.index(index), message);
        }
    }
}

/// The word in a filter's `type`.
pub(crate) fn type_name(kind: HttpRouteFilterType) -> &'static str {
    match kind {
        HttpRouteFilterType::RequestHeaderModifier => "RequestHeaderModifier",
        HttpRouteFilterType::ResponseHeaderModifier => "ResponseHeaderModifier",
        HttpRouteFilterType::RequestMirror => "RequestMirror",
        HttpRouteFilterType::RequestRedirect => "RequestRedirect",
        HttpRouteFilterType::UrlRewrite => "URLRewrite",
        HttpRouteFilterType::ExtensionRef => "ExtensionRef",
        HttpRouteFilterType::Cors => "CORS",
        HttpRouteFilterType::ExternalAuth => "ExternalAuth",
    }
}

fn check_fields(filter: &HttpRouteFilter, at: &At<'_>, found: &mut Found) {
    use HttpRouteFilterType as Type;
    let fields = [
        (Type::RequestHeaderModifier, "requestHeaderModifier", filter.request_header_modifier.is_some()),
        (Type::ResponseHeaderModifier, "responseHeaderModifier", filter.response_header_modifier.is_some()),
        (Type::RequestMirror, "requestMirror", filter.request_mirror.is_some()),
        (Type::RequestRedirect, "requestRedirect", filter.request_redirect.is_some()),
        (Type::UrlRewrite, "urlRewrite", filter.url_rewrite.is_some()),
        (Type::Cors, "cors", filter.cors.is_some()),
        (Type::ExternalAuth, "externalAuth", filter.external_auth.is_some()),
        (Type::ExtensionRef, "extensionRef", filter.extension_ref.is_some()),
    ];
    check_union(
        type_name(filter.kind),
        fields.map(|(kind, field, is_set)| (field, kind == filter.kind, is_set)),
        at,
        found,
    );
}

/// The field that `type` names must be set, and no other. Fields are (name, is named by the type, is set).
pub(super) fn check_union<const N: usize>(
    kind: &str,
    fields: [(&str, bool, bool); N],
    at: &At<'_>,
    found: &mut Found,
) {
    for (field, is_named, is_set) in fields {
        match (is_named, is_set) {
            (true, false) => found.add(at, format!("`type: {kind}` needs `{field}`")),
            (false, true) => found.add(&at.key(field), format!("`{field}` is not for `type: {kind}`")),
            (true, true) | (false, false) => {}
        }
    }
}

pub(super) fn check_headers(edit: &HttpHeaderFilter, at: &At<'_>, found: &mut Found) {
    for (field, headers) in [("set", &edit.set), ("add", &edit.add)] {
        let at = at.key(field);
        found.unique(&at, "the header", headers.iter().map(|header| &*header.name));
        for (index, HttpHeader { name, value }) in headers.iter().enumerate() {
            let at = at.index(index);
            found.take(&at.key("name"), text::header_name(name));
            found.take(&at.key("value"), text::header_value(value));
        }
    }
    let remove = at.key("remove");
    for (index, name) in edit.remove.iter().enumerate() {
        found.take(&remove.index(index), text::header_name(name));
    }
}

pub(super) fn check_mirror(mirror: &HttpRequestMirrorFilter, at: &At<'_>, found: &mut Found) {
    let backend = &mirror.backend_ref;
    references::check_port((&backend.group, &backend.kind), backend.port, &at.key("backendRef"), found);
    if mirror.percent.is_some() && mirror.fraction.is_some() {
        found.add(at, "`percent` and `fraction` exclude each other");
    }
    if let Some(fraction) = &mirror.fraction {
        let denominator = fraction.denominator.unwrap_or(100);
        if fraction.numerator > denominator {
            let message = format!("{} of {denominator} is more than all", fraction.numerator);
            found.expected(&at.key("fraction"), message, "a `numerator` of at most the `denominator`");
        }
    }
}

fn check_hostname(hostname: Option<&str>, at: &At<'_>, found: &mut Found) {
    if let Some(hostname) = hostname {
        found.take(&at.key("hostname"), text::host(hostname));
    }
}

fn check_modifier(modifier: Option<&HttpPathModifier>, matches: Matches, at: &At<'_>, found: &mut Found) {
    let Some(modifier) = modifier else { return };
    let at = at.key("path");
    let is_full = modifier.kind == HttpPathModifierType::ReplaceFullPath;
    let kind = if is_full { "ReplaceFullPath" } else { "ReplacePrefixMatch" };
    let fields = [
        ("replaceFullPath", is_full, modifier.replace_full_path.is_some()),
        ("replacePrefixMatch", !is_full, modifier.replace_prefix_match.is_some()),
    ];
    check_union(kind, fields, &at, found);
    if modifier.replace_prefix_match.is_some() && matches != Matches::OnePrefix {
        found.add(
            &at.key("replacePrefixMatch"),
            "a prefix can only be replaced where the rule has exactly one match and that is a `PathPrefix`",
        );
    }
    for (field, path) in [
        ("replaceFullPath", &modifier.replace_full_path),
        ("replacePrefixMatch", &modifier.replace_prefix_match),
    ] {
        if let Some(path) = path
            && let Some(fault) = PathEdit::fault(path)
        {
            found.add(&at.key(field), format!("{fault}, this one is `{path}`"));
        }
    }
}

fn check_cors(cors: &HttpCorsFilter, at: &At<'_>, found: &mut Found) {
    let lists = [
        ("allowOrigins", cors.allow_origins.iter().any(|item| &**item == "*"), cors.allow_origins.len()),
        ("allowMethods", cors.allow_methods.contains(&CorsMethod::Any), cors.allow_methods.len()),
        ("allowHeaders", cors.allow_headers.iter().any(|item| &**item == "*"), cors.allow_headers.len()),
        ("exposeHeaders", cors.expose_headers.iter().any(|item| &**item == "*"), cors.expose_headers.len()),
    ];
    for (field, has_any, length) in lists {
        if has_any && length > 1 {
            found.add(&at.key(field), "`*` stands for everything and has to be alone");
        }
    }
    let origins = at.key("allowOrigins");
    for (index, origin) in cors.allow_origins.iter().enumerate() {
        found.take(&origins.index(index), text::origin(origin));
    }
}

fn check_auth(auth: &HttpExternalAuthFilter, at: &At<'_>, found: &mut Found) {
    let backend = &auth.backend_ref;
    references::check_port((&backend.group, &backend.kind), backend.port, &at.key("backendRef"), found);
    let is_http = auth.protocol == ExternalAuthProtocol::Http;
    let kind = if is_http { "HTTP" } else { "GRPC" };
    for (field, is_named, is_set) in
        [("http", is_http, auth.http.is_some()), ("grpc", !is_http, auth.grpc.is_some())]
    {
        match (is_named, is_set) {
            (true, false) => found.add(at, format!("`protocol: {kind}` needs `{field}`")),
            (false, true) => found.add(&at.key(field), format!("`{field}` is not for `protocol: {kind}`")),
            (true, true) | (false, false) => {}
        }
    }
}
