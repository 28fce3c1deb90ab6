//! A request as it goes on to an endpoint: its fields are put together where they are written, and copied only where a
//! filter edits them.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header, request::Parts,
};

use super::{
    Asked, RequestBody, Wants,
    fields::Onward,
    filters::{self, Rewritten},
    refusal::Refusal,
};
use crate::proxy::{
    http1::fields::expects_continue,
    present::{Field, Present},
};

/// A request on its way.
pub(in crate::proxy) struct Message<'a> {
    method: &'a Method,
    target: Cow<'a, Uri>,
    fields: Fields<'a>,
    pub(in crate::proxy) body: RequestBody,
    interim: Option<&'a Interim<'a>>,
}

/// What is done with a response that comes before the one that counts (RFC 9110 section 15.2).
type Interim<'a> = dyn Fn(StatusCode, HeaderMap) + 'a;

enum Fields<'a> {
    Onward(&'a Onward<'a>),
    Whole(Cow<'a, HeaderMap>),
}

/// How a request is changed on its way.
pub(super) struct Outgoing<'a> {
    pub(super) rewritten: Option<Rewritten>,
    /// The listener's port.
    pub(super) port: std::num::NonZeroU16,
    pub(super) fields: Onward<'a>,
    /// What filters do to the fields; absent where there are none.
    pub(super) edit: Option<&'a dyn Fn(&mut HeaderMap)>,
    /// Absent where the client could not be told.
    pub(super) interim: Option<&'a Interim<'a>>,
}

// === impl Message ===

impl<'a> Message<'a> {
    /// The request as an endpoint of this name gets it.
    pub(super) fn new(asked: &'a Asked<'_>, outgoing: &'a Outgoing<'_>, name: &str) -> Result<Self, Refusal> {
        if let Some(upload) = &asked.upload {
            upload.rewind();
        }
        let body = asked.upload.clone().map_or(RequestBody::Empty, RequestBody::Upload);
        let fields = if outgoing.is_plain(asked) {
            Fields::Onward(&outgoing.fields)
        } else {
            let mut headers = outgoing.fields(asked, name)?;
            expect(asked, &mut headers);
            Fields::Whole(Cow::Owned(headers))
        };
        let (method, target) = (&asked.head.method, outgoing.target(asked)?);
        Ok(Self { method, target, fields, body, interim: outgoing.interim })
    }

    /// A copy, with a body that is kept.
    pub(super) fn copy(head: &'a Parts, body: RequestBody) -> Self {
        Self {
            method: &head.method,
            target: Cow::Borrowed(&head.uri),
            fields: Fields::Whole(Cow::Borrowed(&head.headers)),
            body,
            interim: None,
        }
    }

    pub(in crate::proxy) fn method(&self) -> &Method {
        self.method
    }

    /// Path and query.
    pub(in crate::proxy) fn target(&self) -> &str {
        self.target.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
    }

    /// The fields as they came: none that matters to a connection is missing, or other than it goes on.
    pub(in crate::proxy) fn given(&self) -> &HeaderMap {
        match &self.fields {
            Fields::Onward(fields) => fields.given(),
            Fields::Whole(headers) => headers,
        }
    }

    /// Whether it has a field, as [`Self::given`] has it.
    pub(in crate::proxy) fn has(&self, field: Field) -> bool {
        match &self.fields {
            Fields::Onward(fields) => fields.present().has(field),
            Fields::Whole(headers) => Present::of(headers).has(field),
        }
    }

    /// Each field as it goes on.
    pub(in crate::proxy) fn each_field(&self, mut put: impl FnMut(&HeaderName, &HeaderValue)) {
        match &self.fields {
            Fields::Onward(fields) => fields.each(put),
            Fields::Whole(headers) => headers.iter().for_each(|(name, value)| put(name, value)),
        }
    }

    pub(in crate::proxy) fn interim(&self, status: StatusCode, headers: HeaderMap) {
        if let Some(interim) = self.interim {
            interim(status, headers);
        }
    }

    /// The same as a library wants it. The body is not in the message any more.
    pub(in crate::proxy) fn take_request(&mut self) -> Request<RequestBody> {
        let body = std::mem::replace(&mut self.body, RequestBody::Empty);
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone().into_owned();
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = match &self.fields {
            Fields::Onward(fields) => fields.map(),
            Fields::Whole(headers) => headers.clone().into_owned(),
        };
        request
    }
}

// === impl Outgoing ===

impl Outgoing<'_> {
    /// Whether the client's fields go on but for those that every request loses and gets.
    fn is_plain(&self, asked: &Asked<'_>) -> bool {
        self.edit.is_none()
            && self.rewritten.as_ref().is_none_or(|rewritten| rewritten.host.is_none())
            && asked.wants == Wants::Http
            && asked.present.has(Field::Host)
            && !asked.present.has(Field::Expect)
    }

    fn fields(&self, asked: &Asked<'_>, name: &str) -> Result<HeaderMap, Refusal> {
        let mut headers = self.fields.map();
        if let Some(edit) = self.edit {
            edit(&mut headers);
        }
        if let Some(host) = self.rewritten.as_ref().and_then(|rewritten| rewritten.host.clone()) {
            headers.insert(header::HOST, host);
        } else if !headers.contains_key(header::HOST) {
            // An old client names none, a request of today needs one.
            let name = HeaderValue::try_from(name).map_err(|_| Refusal::Rewritten)?;
            headers.insert(header::HOST, name);
        }
        if asked.wants == Wants::WebSocket {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        Ok(headers)
    }

    fn target<'a>(&'a self, asked: &'a Asked<'_>) -> Result<Cow<'a, Uri>, Refusal> {
        let rewritten = self.rewritten.as_ref().and_then(|rewritten| rewritten.uri.as_ref());
        Ok(match rewritten {
            Some(uri) => Cow::Borrowed(uri),
            None if asked.target.is_path_unchanged() && asked.head.uri.authority().is_none() => {
                Cow::Borrowed(&asked.head.uri)
            }
            None => Cow::Owned(filters::uri(asked.target.path(), asked.head.uri.query())?),
        })
    }

    /// The head of a copy for an endpoint of this name.
    pub(super) fn head(&self, asked: &Asked<'_>, name: &str) -> Result<Request<()>, Refusal> {
        let mut request = Request::new(());
        *request.method_mut() = asked.head.method.clone();
        *request.uri_mut() = self.target(asked)?.into_owned();
        *request.headers_mut() = self.fields(asked, name)?;
        Ok(request)
    }
}

/// Lets a client that expects `100 Continue` wait for the endpoint's.
fn expect(asked: &Asked<'_>, headers: &mut HeaderMap) {
    match &asked.upload {
        // Its client has sent it already.
        Some(upload) if upload.has_started() => drop(headers.remove(header::EXPECT)),
        Some(upload) if expects_continue(headers) => upload.wait_for_word(),
        Some(_) => {}
        None => drop(headers.remove(header::EXPECT)),
    }
}
