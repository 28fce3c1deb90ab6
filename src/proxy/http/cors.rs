//! The CORS filter: answers preflights and writes what browsers are told. Pure.
//!
//! The filter is the only word on the matter: fields of CORS that a backend has set are replaced, or dropped for an
//! origin that is not allowed. A foreign origin's request still goes to the backend; that its scripts cannot read the
//! answer is the browser's doing.

#[cfg(test)]
mod tests;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};

use crate::model::{Cors, CorsList, HttpFilter};

/// What a browser is told with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    headers: HeaderMap,
    /// Whether every field of the answer is to be named as readable.
    names_all: bool,
}

/// What a request is, to a CORS filter.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A question that is answered here, with these fields.
    Preflight(HeaderMap),
    /// A request that goes on; its answer gets these fields.
    Actual(Told),
}

/// Fields that only the filter may write.
const OURS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// What the first CORS filter among these says; `None` without one.
pub(super) fn judge(filters: &[HttpFilter], head: &Parts) -> Option<Verdict> {
    let cors = filters.iter().find_map(|filter| match filter {
        HttpFilter::Cors(cors) => Some(cors),
        HttpFilter::RequestHeaders(_)
        | HttpFilter::ResponseHeaders(_)
        | HttpFilter::Redirect(_)
        | HttpFilter::Rewrite(_)
        | HttpFilter::Mirror(_)
        | HttpFilter::Auth(_) => None,
    })?;
    let origin = head.headers.get(header::ORIGIN);
    let method = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut told = Told { headers: HeaderMap::new(), names_all: false };
    let is_fixed = cors.origins.contains(&crate::model::OriginPattern::Any) && !cors.credentials;
    if !is_fixed {
        // Caches must not give one origin's answer to another.
        told.headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    let is_preflight = head.method == Method::OPTIONS && method.is_some();
    let Some(origin) = origin else { return Some(Verdict::Actual(told)) };
    let text = origin.to_str().unwrap_or_default();
    let is_allowed = cors.origins.iter().any(|pattern| pattern.matches(text));
    if is_allowed {
        let origin = if is_fixed { HeaderValue::from_static("*") } else { origin.clone() };
        told.headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if cors.credentials {
            told.headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        told.names_all = cors.expose == CorsList::Any && cors.credentials;
        // With credentials a star is only a character: the names themselves are told, where there are any.
        put(&mut told.headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose, None, cors);
    }
    if !is_preflight {
        return Some(Verdict::Actual(told));
    }
    let mut headers = told.headers;
    if is_allowed {
        let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        put(&mut headers, header::ACCESS_CONTROL_ALLOW_METHODS, &cors.methods, method, cors);
        put(&mut headers, header::ACCESS_CONTROL_ALLOW_HEADERS, &cors.headers, asked, cors);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(cors.max_age));
    }
    Some(Verdict::Preflight(headers))
}

/// Writes a list; what was asked for stands for everything where a star would not.
fn put(headers: &mut HeaderMap, name: HeaderName, list: &CorsList, asked: Option<&HeaderValue>, cors: &Cors) {
    let value = match list {
        CorsList::None => None,
        CorsList::These(names) => Some(names.clone()),
        CorsList::Any if cors.credentials => asked.cloned(),
        CorsList::Any => Some(HeaderValue::from_static("*")),
    };
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

// === impl Told ===

impl Told {
    /// Writes the fields of an answer.
    pub(super) fn write(self, answer: &mut HeaderMap) {
        for name in OURS {
            answer.remove(name);
        }
        let names = self.names_all.then(|| {
            let mut names: Vec<&str> = answer.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            HeaderValue::try_from(names.join(", "))
        });
        for (name, value) in self.headers {
            let Some(name) = name else { continue };
            if name == header::VARY {
                answer.append(name, value)
            } else {
                answer.insert(name, value).is_some()
            };
        }
        if let Some(Ok(names)) = names
            && !names.is_empty()
        {
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
    }
}
