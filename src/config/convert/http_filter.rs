//! The standard's filters, those that are served.

use std::sync::Arc;

use http::{HeaderName, StatusCode};

use super::{Notes, text_or};
use crate::{
    api::{
        BackendObjectReference, CorsMethod, HttpCorsFilter, HttpExternalAuthFilter, HttpHeader,
        HttpHeaderFilter, HttpPathModifier, HttpPathModifierType, HttpRequestMirrorFilter,
        HttpRequestRedirectFilter, HttpRouteFilter, HttpUrlRewriteFilter, RedirectScheme,
    },
    config::rules::{self, At},
    model::{
        AuthProtocol, BackendRef, Cors, CorsList, ExternalAuth, HeaderEdit, HttpFilter, Meta, Mirror,
        OriginPattern, PathEdit, Redirect, Rewrite, Share,
    },
};

pub(super) fn filters(
    written: &[HttpRouteFilter],
    meta: &Meta,
    at: &At<'_>,
    notes: &mut Notes,
) -> Vec<HttpFilter> {
    let filters = written.iter().enumerate();
    filters.filter_map(|(index, one)| filter(one, meta, &at.index(index), notes)).collect()
}

fn filter(written: &HttpRouteFilter, meta: &Meta, at: &At<'_>, notes: &mut Notes) -> Option<HttpFilter> {
    if written.extension_ref.is_some() {
        notes.unsupported(&at.key("extensionRef"), "filters by reference are not served yet");
    }
    if let Some(written) = &written.external_auth {
        return external_auth(written, meta, &at.key("externalAuth"), notes);
    }
    if let Some(edit) = &written.request_header_modifier {
        let at = at.key("requestHeaderModifier");
        return Some(HttpFilter::RequestHeaders(header_edit(edit, &at, notes)));
    }
    if let Some(edit) = &written.response_header_modifier {
        let at = at.key("responseHeaderModifier");
        return Some(HttpFilter::ResponseHeaders(header_edit(edit, &at, notes)));
    }
    if let Some(written) = &written.request_redirect {
        return Some(HttpFilter::Redirect(redirect(written, &at.key("requestRedirect"), notes)));
    }
    if let Some(HttpUrlRewriteFilter { hostname, path }) = &written.url_rewrite {
        let at = at.key("urlRewrite");
        return Some(HttpFilter::Rewrite(Rewrite {
            hostname: hostname
                .as_ref()
                .and_then(|hostname| notes.found.take(&at.key("hostname"), rules::host(hostname))),
            path: path.as_ref().and_then(path_edit),
        }));
    }
    if let Some(written) = &written.request_mirror {
        return Some(HttpFilter::Mirror(mirror(written, meta, &at.key("requestMirror"), notes)));
    }
    written.cors.as_ref().map(|written| HttpFilter::Cors(cors(written, &at.key("cors"), notes)))
}

/// What a filter refers to beside the backends of its rule.
fn aside(reference: &BackendObjectReference, meta: &Meta) -> BackendRef {
    BackendRef {
        group: text_or(reference.group.as_deref(), ""),
        kind: text_or(reference.kind.as_deref(), "Service"),
        namespace: text_or(reference.namespace.as_deref(), &meta.id.namespace),
        name: (&*reference.name).into(),
        port: reference.port,
        weight: 1,
        filters: Vec::new(),
    }
}

fn external_auth(
    written: &HttpExternalAuthFilter,
    meta: &Meta,
    at: &At<'_>,
    notes: &mut Notes,
) -> Option<HttpFilter> {
    let protocol = match (&written.http, &written.grpc) {
        (Some(http), _) => {
            let at = at.key("http");
            let prefix = http.path.as_deref().unwrap_or_default().trim_matches('/');
            AuthProtocol::Http {
                path: if prefix.is_empty() { "".into() } else { format!("/{prefix}").into() },
                told: names(&http.allowed_headers, &at.key("allowedHeaders"), notes),
                passed: names(&http.allowed_response_headers, &at.key("allowedResponseHeaders"), notes),
            }
        }
        (None, Some(grpc)) => {
            let at = at.key("grpc");
            AuthProtocol::Grpc { told: names(&grpc.allowed_headers, &at.key("allowedHeaders"), notes) }
        }
        // The document is not valid, which is told elsewhere.
        (None, None) => return None,
    };
    let body = written.forward_body.as_ref().and_then(|body| body.max_size).unwrap_or(0);
    Some(HttpFilter::Auth(Arc::new(ExternalAuth {
        backend: aside(&written.backend_ref, meta),
        protocol,
        body,
    })))
}

fn names(written: &[String], at: &At<'_>, notes: &mut Notes) -> Vec<HeaderName> {
    let name = |(index, name): (usize, &String)| notes.found.take(&at.index(index), rules::header_name(name));
    written.iter().enumerate().filter_map(name).collect()
}

fn mirror(written: &HttpRequestMirrorFilter, meta: &Meta, at: &At<'_>, notes: &mut Notes) -> Mirror {
    let (numerator, denominator) = match (&written.fraction, written.percent) {
        (Some(fraction), _) => (fraction.numerator, fraction.denominator.unwrap_or(100)),
        (None, Some(percent)) => (percent, 100),
        (None, None) => (1, 1),
    };
    let share = Share::new(numerator, denominator)
        .ok_or_else(|| format!("{numerator} of {denominator} is more than all"));
    Mirror {
        backend: aside(&written.backend_ref, meta),
        share: notes.found.take(&at.key("fraction"), share).unwrap_or(Share::ALL),
    }
}

fn cors(written: &HttpCorsFilter, at: &At<'_>, notes: &mut Notes) -> Cors {
    /// Seconds, by the standard.
    const MAX_AGE: u32 = 5;
    let origins_at = at.key("allowOrigins");
    let origins: Vec<OriginPattern> = written
        .allow_origins
        .iter()
        .enumerate()
        .filter_map(|(index, origin)| notes.found.take(&origins_at.index(index), rules::origin(origin)))
        .collect();
    let methods = written.allow_methods.iter().map(|method| cors_method(*method));
    let headers = written.allow_headers.iter().map(|name| &**name);
    let expose = written.expose_headers.iter().map(|name| &**name);
    let mut list =
        |field, list: Result<CorsList, String>| notes.found.take(&at.key(field), list).unwrap_or_default();
    Cors {
        origins,
        methods: list("allowMethods", CorsList::of(methods)),
        headers: list("allowHeaders", CorsList::of(headers)),
        expose: list("exposeHeaders", CorsList::of(expose)),
        max_age: written.max_age.unwrap_or(MAX_AGE),
        credentials: written.allow_credentials == Some(true),
    }
}

fn cors_method(written: CorsMethod) -> &'static str {
    match written {
        CorsMethod::Get => "GET",
        CorsMethod::Head => "HEAD",
        CorsMethod::Post => "POST",
        CorsMethod::Put => "PUT",
        CorsMethod::Delete => "DELETE",
        CorsMethod::Connect => "CONNECT",
        CorsMethod::Options => "OPTIONS",
        CorsMethod::Trace => "TRACE",
        CorsMethod::Patch => "PATCH",
        CorsMethod::Any => "*",
    }
}

fn header_edit(written: &HttpHeaderFilter, at: &At<'_>, notes: &mut Notes) -> HeaderEdit {
    let mut edit = HeaderEdit::default();
    for (field, headers, into) in [("set", &written.set, &mut edit.set), ("add", &written.add, &mut edit.add)]
    {
        let at = at.key(field);
        for (index, HttpHeader { name, value }) in headers.iter().enumerate() {
            let at = at.index(index);
            let name = notes.found.take(&at.key("name"), rules::header_name(name));
            let value = notes.found.take(&at.key("value"), rules::header_value(value));
            // Names that differ only in case are one name: the first counts.
            if let (Some(name), Some(value)) = (name, value)
                && !into.iter().any(|(earlier, _)| *earlier == name)
            {
                into.push((name, value));
            }
        }
    }
    let remove = at.key("remove");
    for (index, name) in written.remove.iter().enumerate() {
        edit.remove.extend(notes.found.take(&remove.index(index), rules::header_name(name)));
    }
    edit
}

fn redirect(written: &HttpRequestRedirectFilter, at: &At<'_>, notes: &mut Notes) -> Redirect {
    let status = written.status_code.unwrap_or(302);
    let status = StatusCode::from_u16(status).map_err(|_| format!("{status} is not a status of a redirect"));
    Redirect {
        scheme: written.scheme.map(|scheme| match scheme {
            RedirectScheme::Http => "http",
            RedirectScheme::Https => "https",
        }),
        hostname: written
            .hostname
            .as_ref()
            .and_then(|hostname| notes.found.take(&at.key("hostname"), rules::host(hostname))),
        path: written.path.as_ref().and_then(path_edit),
        port: written.port,
        status: notes.found.take(&at.key("statusCode"), status).unwrap_or(StatusCode::FOUND),
    }
}

fn path_edit(written: &HttpPathModifier) -> Option<PathEdit> {
    match written.kind {
        HttpPathModifierType::ReplaceFullPath => {
            // As with a prefix, a leading slash goes without saying.
            let path = written.replace_full_path.as_deref()?;
            Some(PathEdit::ReplaceFull(format!("/{}", path.strip_prefix('/').unwrap_or(path)).into()))
        }
        HttpPathModifierType::ReplacePrefixMatch => {
            written.replace_prefix_match.as_deref().map(|path| PathEdit::ReplacePrefix(path.into()))
        }
    }
}
