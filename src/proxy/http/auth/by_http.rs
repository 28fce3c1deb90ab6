//! Asking by HTTP: the same method, host and path. 200 is yes, anything else is what the client gets.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header, request::Parts};

use super::{
    super::{Asked, fields, filters, refusal::Refusal},
    Change, Permit, Question, Way, may_pass,
};
use crate::route::tells_of_client;

/// What is put to a service of this name.
pub(super) fn question(
    (path, told): (&str, &[HeaderName]),
    asked: &Asked<'_>,
    question: &Question<'_>,
    name: &str,
) -> Result<Parts, Refusal> {
    let mut request = Request::new(());
    *request.method_mut() = asked.head.method.clone();
    let path = format!("{path}{}", asked.target.path());
    *request.uri_mut() = filters::uri(&path, asked.head.uri.query())?;
    let mut fields = HeaderMap::new();
    question.fields.each(|field, value| {
        if is_told(told, field) {
            fields.append(field.clone(), value.clone());
        }
    });
    if !fields.contains_key(header::HOST) {
        let name = HeaderValue::try_from(name).map_err(|_| Refusal::Rewritten)?;
        fields.insert(header::HOST, name);
    }
    *request.headers_mut() = fields;
    Ok(request.into_parts().0)
}

/// Whether the service is told a field of the request. How long a body is tells whoever writes it.
pub(super) fn is_told(told: &[HeaderName], name: &HeaderName) -> bool {
    let frames = matches!(
        *name,
        header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::EXPECT | header::CONNECTION | header::TE
    );
    let is_always = matches!(*name, header::HOST | header::AUTHORIZATION)
        || *name == fields::X_REQUEST_ID
        || tells_of_client(name.as_str());
    !frames && (is_always || told.contains(name))
}

/// What comes of a yes with these fields: `passed` or, where that is empty, all of them that fit a request are told the
/// backend, and by nobody else.
pub(super) fn permit(passed: &[HeaderName], answer: &HeaderMap) -> Permit {
    let is_wanted = |name: &HeaderName| passed.is_empty() || passed.contains(name);
    let fields = answer.iter().filter(|(name, _)| is_wanted(name) && may_pass(name));
    let change = |(name, value): (&HeaderName, &HeaderValue)| Change::new(name, value, Way::Set);
    Permit { removed: passed.to_vec(), changes: fields.map(change).collect(), told: Vec::new() }
}

/// A body as it is sent along.
pub(super) fn body(pieces: &VecDeque<Bytes>) -> VecDeque<Bytes> {
    pieces.iter().filter(|piece| !piece.is_empty()).cloned().collect()
}
