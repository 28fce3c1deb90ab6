//! The standard's filters, as functions of a request's values. Pure.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt::Write as _, num::NonZeroU16};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, uri::PathAndQuery};

use super::refusal::Refusal;
use crate::{
    model::{HeaderEdit, HttpFilter, PathEdit, PathMatch, Redirect, Rewrite},
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
    let edited = match (edit, facts.prefix) {
        // A prefix is replaced beside a prefix match only; validation refuses it elsewhere.
        (None, _) | (Some(PathEdit::ReplacePrefix(_)), None) => return Ok(Cow::Borrowed(facts.path)),
        (Some(PathEdit::ReplaceFull(full)), _) if full.is_empty() => Cow::Borrowed("/"),
        (Some(PathEdit::ReplaceFull(full)), _) => Cow::Borrowed(&**full),
        (Some(PathEdit::ReplacePrefix(replacement)), Some(prefix)) => {
            Cow::Owned(path::replace_prefix(facts.path, prefix, replacement))
        }
    };
    let canonical = path::canonical(&edited).map_err(|_| Refusal::Rewritten)?;
    Ok(Cow::Owned(canonical.into_owned()))
}

/// What the filters make of a request's target: the first rewrite among them counts.
pub(super) fn rewrite<'f>(
    filters: impl Iterator<Item = &'f HttpFilter>,
    facts: &Facts<'_>,
) -> Result<Option<Rewritten>, Refusal> {
    for filter in filters {
        match filter {
            HttpFilter::Rewrite(Rewrite { hostname, path }) => {
                let host = hostname.as_ref().map(|host| HeaderValue::try_from(host.as_str()));
                let host = host.transpose().map_err(|_| Refusal::Rewritten)?;
                let uri =
                    path.is_some().then(|| uri(&edited(path.as_ref(), facts)?, facts.query)).transpose()?;
                return Ok(Some(Rewritten { host, uri }));
            }
            HttpFilter::RequestHeaders(_)
            | HttpFilter::ResponseHeaders(_)
            | HttpFilter::Redirect(_)
            | HttpFilter::Cors(_)
            | HttpFilter::Mirror(_)
            | HttpFilter::Auth(_) => {}
        }
    }
    Ok(None)
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
        headers.insert(name, value.clone());
    }
    for (name, value) in edit.add.iter().filter(|(name, _)| is_editable(name) && *name != header::HOST) {
        headers.append(name, value.clone());
    }
    for name in edit.remove.iter().filter(|name| is_editable(name) && **name != header::HOST) {
        headers.remove(name);
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
