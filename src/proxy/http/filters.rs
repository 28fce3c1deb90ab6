//! The standard's filters, as functions of a request's values. Pure.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt::Write as _, num::NonZeroU16};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, uri::PathAndQuery};
use memchr::memchr2;

use super::refusal::Refusal;
use crate::{
    model::{Allowed, HeaderEdit, HttpFilter, Oddity, PathEdit, PathMatch, Redirect, Rewrite},
    proxy::received::Received,
    route::path,
};

/// What a filter may know of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) scheme: &'static str,
    /// Without port.
    pub(super) host: &'a str,
    /// The listener's port.
    pub(super) port: NonZeroU16,
    /// In canonical form.
    pub(super) path: &'a str,
    /// Without the question mark.
    pub(super) query: Option<&'a str>,
    /// The prefix that matched, if it was a prefix.
    pub(super) prefix: Option<&'a str>,
}

/// The first redirect among `filters`: where to.
pub(super) fn redirect<'f>(
    filters: &'f [HttpFilter],
    facts: &Facts<'_>,
) -> Option<Result<(&'f Redirect, HeaderValue), Refusal>> {
    let redirect = filters.iter().find_map(|filter| match filter {
        HttpFilter::Redirect(redirect) => Some(redirect),
        HttpFilter::RequestHeaders(_)
        | HttpFilter::ResponseHeaders(_)
        | HttpFilter::Rewrite(_)
        | HttpFilter::Cors(_)
        | HttpFilter::Mirror(_)
        | HttpFilter::Auth(_) => None,
    })?;
    Some(location(redirect, facts).map(|location| (redirect, location)))
}

fn location(redirect: &Redirect, facts: &Facts<'_>) -> Result<HeaderValue, Refusal> {
    let scheme = redirect.scheme.unwrap_or(facts.scheme);
    let host = redirect.hostname.as_ref().map_or(facts.host, |host| host.as_str());
    let default = if scheme == "https" { 443 } else { 80 };
    let port = match (redirect.port, redirect.scheme) {
        (Some(port), _) => port.get(),
        (None, Some(_)) => default,
        (None, None) => facts.port.get(),
    };
    let mut text = format!("{scheme}://{host}");
    if port != default {
        // Writing to a string cannot fail.
        let _ = write!(text, ":{port}");
    }
    text.push_str(&edited(redirect.path.as_ref(), facts)?);
    if let Some(query) = facts.query {
        text.push('?');
        text.push_str(query);
    }
    HeaderValue::try_from(text).map_err(|_| Refusal::Rewritten)
}

/// The path after an edit, in canonical form again.
fn edited<'a>(edit: Option<&'a PathEdit>, facts: &Facts<'a>) -> Result<Cow<'a, str>, Refusal> {
    // Only the request can have brought an encoded slash, and it was allowed there.
    let rest = [Oddity::EncodedSlash].into_iter().collect();
    let (edited, allowed) = match (edit, facts.prefix) {
        // A prefix is replaced beside a prefix match only; validation refuses it elsewhere.
        (None, _) | (Some(PathEdit::ReplacePrefix(_)), None) => return Ok(Cow::Borrowed(facts.path)),
        (Some(PathEdit::ReplaceFull(full)), _) if full.is_empty() => (Cow::Borrowed("/"), Allowed::NOTHING),
        (Some(PathEdit::ReplaceFull(full)), _) => (Cow::Borrowed(&**full), Allowed::NOTHING),
        (Some(PathEdit::ReplacePrefix(replacement)), Some(prefix)) => {
            (Cow::Owned(path::replace_prefix(facts.path, prefix, replacement)), rest)
        }
    };
    let canonical = path::canonical_if(&edited, allowed).map_err(|_| Refusal::Rewritten)?;
    Ok(Cow::Owned(canonical.into_owned()))
}

/// What the filters make of a request's target, each of what the one before has made.
pub(super) fn rewrite<'f>(
    filters: impl Iterator<Item = &'f HttpFilter>,
    facts: &Facts<'_>,
) -> Result<Option<Rewritten>, Refusal> {
    let Some(Edited { host, path }) = edits(filters, facts)? else { return Ok(None) };
    let host = host.map(|host| HeaderValue::try_from(host).map_err(|_| Refusal::Rewritten)).transpose()?;
    let uri = path.map(|path| uri(&path.text, facts.query)).transpose()?;
    Ok(Some(Rewritten { host, uri }))
}

/// The first redirect among `filters`, of what the rewrites of `before` have made of the request.
pub(super) fn redirect_after<'f>(
    before: &[HttpFilter],
    filters: &'f [HttpFilter],
    facts: &Facts<'_>,
) -> Option<Result<(&'f Redirect, HeaderValue), Refusal>> {
    let is_redirect = |filter: &HttpFilter| matches!(filter, HttpFilter::Redirect(_));
    if !filters.iter().any(is_redirect) {
        return None;
    }
    match edits(before.iter(), facts) {
        Ok(None) => redirect(filters, facts),
        Ok(Some(Edited { host, path })) => {
            let host = host.as_deref().unwrap_or(facts.host);
            let (path, prefix) = match &path {
                Some(path) => (&*path.text, path.prefix.as_deref()),
                None => (facts.path, facts.prefix),
            };
            redirect(filters, &Facts { host, path, prefix, ..*facts })
        }
        Err(refusal) => Some(Err(refusal)),
    }
}

/// What is new of a target.
#[derive(Default)]
struct Edited {
    host: Option<String>,
    path: Option<EditedPath>,
}

struct EditedPath {
    text: String,
    /// What stands now for the prefix that matched.
    prefix: Option<String>,
}

/// `None` where there is no rewrite among the filters.
fn edits<'f>(
    filters: impl Iterator<Item = &'f HttpFilter>,
    facts: &Facts<'_>,
) -> Result<Option<Edited>, Refusal> {
    let mut made: Option<Edited> = None;
    for filter in filters {
        let HttpFilter::Rewrite(Rewrite { hostname, path }) = filter else { continue };
        let made = made.get_or_insert_default();
        if let Some(hostname) = hostname {
            made.host = Some(hostname.as_str().to_owned());
        }
        if let Some(edit) = path {
            made.path = Some(EditedPath::new(edit, made.path.as_ref(), facts)?);
        }
    }
    Ok(made)
}

impl EditedPath {
    fn new(edit: &PathEdit, before: Option<&Self>, facts: &Facts<'_>) -> Result<Self, Refusal> {
        let (path, prefix) = match before {
            Some(before) => (&*before.text, before.prefix.as_deref()),
            None => (facts.path, facts.prefix),
        };
        let text = edited(Some(edit), &Facts { path, prefix, ..*facts })?.into_owned();
        let prefix = match edit {
            PathEdit::ReplaceFull(_) => None,
            PathEdit::ReplacePrefix(replacement) => prefix.map(|_| path::as_prefix(replacement)),
        };
        Ok(Self { text, prefix })
    }
}

/// A new target; what is absent stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rewritten {
    pub(super) host: Option<HeaderValue>,
    pub(super) uri: Option<Uri>,
}

/// A target in origin form.
pub(super) fn uri(path: &str, query: Option<&str>) -> Result<Uri, Refusal> {
    let text = match query {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    text.map(Uri::from).map_err(|_| Refusal::Rewritten)
}

/// The prefix that a rule matched by.
pub(in crate::proxy) fn prefix(matched: &PathMatch) -> Option<&str> {
    match matched {
        PathMatch::Prefix(prefix) => Some(prefix),
        PathMatch::Exact(_) | PathMatch::Regex(_) | PathMatch::Method(_) => None,
    }
}

/// Whether there is one that edits the fields of a request.
pub(super) fn edits_request<'f>(mut filters: impl Iterator<Item = &'f HttpFilter>) -> bool {
    filters.any(|filter| matches!(filter, HttpFilter::RequestHeaders(_)))
}

/// Edits the fields of a request.
pub(super) fn request_headers<'f>(filters: impl Iterator<Item = &'f HttpFilter>, headers: &mut HeaderMap) {
    for filter in filters {
        match filter {
            HttpFilter::RequestHeaders(edits) => edit(edits, headers),
            HttpFilter::ResponseHeaders(_)
            | HttpFilter::Redirect(_)
            | HttpFilter::Rewrite(_)
            | HttpFilter::Cors(_)
            | HttpFilter::Mirror(_)
            | HttpFilter::Auth(_) => {}
        }
    }
}

/// Edits the fields of a response.
pub(super) fn response_headers<'f>(filters: impl Iterator<Item = &'f HttpFilter>, response: &mut Received) {
    for filter in filters {
        match filter {
            HttpFilter::ResponseHeaders(edits) => edit(edits, response.headers_mut()),
            HttpFilter::RequestHeaders(_)
            | HttpFilter::Redirect(_)
            | HttpFilter::Rewrite(_)
            | HttpFilter::Cors(_)
            | HttpFilter::Mirror(_)
            | HttpFilter::Auth(_) => {}
        }
    }
}

fn edit(edit: &HeaderEdit, headers: &mut HeaderMap) {
    for (name, value) in edit.set.iter().filter(|(name, _)| is_editable(name)) {
        remove(headers, name);
        headers.insert(name, value.clone());
    }
    for (name, value) in edit.add.iter().filter(|(name, _)| is_editable(name) && *name != header::HOST) {
        headers.append(name, value.clone());
    }
    for name in edit.remove.iter().filter(|name| is_editable(name) && **name != header::HOST) {
        remove(headers, name);
    }
}

/// Removes a field, under whatever name a backend may take for the same: one that reads fields as CGI does knows no
/// difference between `-` and `_`.
pub(super) fn remove(headers: &mut HeaderMap, name: &HeaderName) {
    headers.remove(name);
    let plain = |name: &HeaderName| name.as_str().replace('_', "-");
    let is_alias = |other: &&HeaderName| {
        other.as_str().len() == name.as_str().len()
            && memchr2(b'-', b'_', other.as_str().as_bytes()).is_some()
            && plain(other) == plain(name)
    };
    let aliases: Vec<HeaderName> = headers.keys().filter(is_alias).cloned().collect();
    for alias in aliases {
        headers.remove(alias);
    }
}

/// Whether a field may be edited: those that frame a message are told by how it is sent.
fn is_editable(name: &HeaderName) -> bool {
    !matches!(
        *name,
        header::CONNECTION
            | header::CONTENT_LENGTH
            | header::TRANSFER_ENCODING
            | header::TE
            | header::UPGRADE
    )
}
