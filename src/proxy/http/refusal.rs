//! What is answered when a request cannot be served: one enum, one status each, one page.
//!
//! The page says as much as a stranger may know; the reason with its names is for the log.

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{fields::X_REQUEST_ID, head_size};
use crate::{proxy::upstream::Failure, route::path::InvalidPath};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Why Portolan itself answers.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the method is not allowed")]
    Method,
    #[error("{0}")]
    Host(&'static str),
    #[error("{0}")]
    Path(InvalidPath),
    #[error("the head has too many fields or bytes")]
    Fields,
    #[error("a field is not valid: its name holds a quote, or its value begins or ends with a blank")]
    Field,
    #[error("the length of the body is not one number")]
    Length,
    #[error("the switch of protocols came with a body or over an old connection")]
    Upgrade,
    #[error("the client broke off its request")]
    Upload,
    #[error(
        "the body is longer than the {0} bytes that are shown to who decides whether it may pass (`forwardBody.maxSize`)"
    )]
    Long(u32),
    #[error("no listener of this port takes the host")]
    NoListener,
    /// By the name of the listener that takes the host.
    #[error("no route of listener `{0}` matches")]
    NoRoute(Arc<str>),
    /// RFC 9110 section 15.5.20.
    #[error("the host belongs to another listener than the connection, which was opened for another name")]
    Misdirected,
    #[error("the rule cannot be served: {0}")]
    InvalidRule(Arc<str>),
    #[error("the backend reference leads nowhere: {0}")]
    InvalidBackend(Arc<str>),
    #[error("the rule has no backend of a weight above 0")]
    NoBackend,
    #[error("a filter makes a target that is not valid")]
    Rewritten,
    #[error("the backend has no endpoint: {0}")]
    NoEndpoint(Arc<str>),
    #[error("the backend has no endpoint, and too many requests wait already")]
    Crowded,
    #[error("every endpoint has as many requests as `maxPerEndpoint` allows, and {0}")]
    Overloaded(&'static str),
    /// It is our limit, and no fault of the backend's.
    #[error(
        "{0} as many connections to endpoints as the limit of open files has room for: raise it (`LimitNOFILE`, `ulimit -n`)"
    )]
    Full(Whose),
    #[error("{0}")]
    Unreachable(Failure),
    #[error("{0}")]
    Broken(Failure),
    #[error("the backend switched protocols without being asked to")]
    Switched,
    #[error("the backend did not answer within {0:?} (`timeouts.backendRequest` of the rule)")]
    TryTimeout(Duration),
    #[error("the request took longer than {0:?} (`timeouts.request` of the rule)")]
    Timeout(Duration),
    /// By the name of the field, and how long that is.
    #[error("the client had not sent all of its body when the {1:?} of `timeouts.{0}` of the rule were over")]
    LateUpload(&'static str, Duration),
    /// By a service that is asked whether requests may pass.
    #[error("nobody could be asked whether the request may pass: {0}")]
    Unasked(Arc<str>),
}

/// Where the mistake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Configuration,
    Backend,
}

/// Of whom there are too many connections to endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Worker,
    Client,
}

/// The forms that a page comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Html,
    Json,
    Text,
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Host(_) | Self::Path(_) | Self::Field | Self::Length | Self::Upgrade | Self::Upload => {
                StatusCode::BAD_REQUEST
            }
            Self::Fields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Long(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NoListener | Self::NoRoute(_) => StatusCode::NOT_FOUND,
            Self::InvalidRule(_) | Self::InvalidBackend(_) | Self::NoBackend | Self::Rewritten => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::NoEndpoint(_) | Self::Crowded | Self::Overloaded(_) | Self::Full(_) | Self::Unasked(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Unreachable(Failure::ConnectTimeout)
            | Self::TryTimeout(_)
            | Self::Timeout(_)
            | Self::LateUpload(..) => StatusCode::GATEWAY_TIMEOUT,
            Self::Unreachable(_) | Self::Broken(_) | Self::Switched => StatusCode::BAD_GATEWAY,
        }
    }

    pub(super) fn side(&self) -> Side {
        match self {
            Self::Host(_)
            | Self::Path(_)
            | Self::Fields
            | Self::Field
            | Self::Length
            | Self::Upgrade
            | Self::Upload
            | Self::LateUpload(..)
            | Self::Long(_)
            | Self::Method
            | Self::Misdirected => Side::Client,
            Self::NoListener
            | Self::NoRoute(_)
            | Self::InvalidRule(_)
            | Self::InvalidBackend(_)
            | Self::NoBackend
            | Self::Rewritten => Side::Configuration,
            Self::NoEndpoint(_)
            | Self::Crowded
            | Self::Overloaded(_)
            | Self::Full(_)
            | Self::Unreachable(_)
            | Self::Broken(_)
            | Self::Switched
            | Self::TryTimeout(_)
            | Self::Timeout(_)
            | Self::Unasked(_) => Side::Backend,
        }
    }

    /// The limit that it is about, if there is one that is not counted where it bites.
    pub(super) fn limit(&self) -> Option<&'static str> {
        if matches!(self, Self::Fields) {
            Some(head_size::LIMIT)
        } else if matches!(self, Self::Crowded) {
            Some("held")
        } else {
            None
        }
    }

    /// Whether what follows on the connection cannot be trusted.
    pub(super) fn closes(&self) -> bool {
        self.side() == Side::Client
    }

    /// What a stranger is told.
    fn word(&self) -> &'static str {
        match self {
            Self::Host(_) => "The request names no valid host.",
            Self::Path(_) => "The request's path is not valid.",
            Self::Fields => "The request's head is too large.",
            Self::Field | Self::Length | Self::Upgrade | Self::Upload => {
                "The request is not complete or not valid."
            }
            Self::LateUpload(..) => "The request's body did not come in time.",
            Self::Long(_) => "The request's body is too long.",
            Self::Method => "This method is not allowed.",
            Self::Misdirected => "This connection is for another host.",
            Self::NoListener | Self::NoRoute(_) => "There is nothing at this address.",
            Self::InvalidRule(_) | Self::InvalidBackend(_) | Self::NoBackend | Self::Rewritten => {
                "This address is not set up completely."
            }
            Self::NoEndpoint(_) | Self::Crowded | Self::Overloaded(_) | Self::Full(_) | Self::Unasked(_) => {
                "The service is not available at the moment."
            }
            Self::Unreachable(Failure::ConnectTimeout) | Self::TryTimeout(_) | Self::Timeout(_) => {
                "The service did not answer in time."
            }
            Self::Unreachable(_) | Self::Broken(_) | Self::Switched => "The service gave no valid answer.",
        }
    }

    /// The whole reason with its names, as in the log. What a header cannot carry is a question mark there.
    pub(super) fn reason(&self) -> HeaderValue {
        const LONGEST: usize = 1000;
        let plain = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
        let text: String = format!("{}: {self}", self.side()).chars().map(plain).take(LONGEST).collect();
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"))
    }

    /// The answer, in a form that the client takes.
    pub(super) fn response(&self, media: Media, id: Option<&HeaderValue>) -> Response<Bytes> {
        let status = self.status();
        let id_text = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
        let page = Page { status, word: self.word(), id: id_text };
        let mut response = Response::new(Bytes::from(page.render(media)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(id) = id {
            headers.insert(X_REQUEST_ID.clone(), id.clone());
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(
                header::ALLOW,
                HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"),
            );
        }
        if self.closes() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl Refusal {
    /// What a client of gRPC is told (the codes of gRPC's `status.proto`).
    fn grpc_status(&self) -> u16 {
        const UNIMPLEMENTED: u16 = 12;
        const INTERNAL: u16 = 13;
        const UNAVAILABLE: u16 = 14;
        const DEADLINE_EXCEEDED: u16 = 4;
        if matches!(self, Self::InvalidBackend(_) | Self::NoBackend) {
            return UNAVAILABLE;
        }
        match self.status() {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => UNIMPLEMENTED,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                UNAVAILABLE
            }
            StatusCode::GATEWAY_TIMEOUT => DEADLINE_EXCEEDED,
            _ => INTERNAL,
        }
    }

    /// The answer to a call of gRPC: trailers alone, in a head.
    pub(super) fn grpc_response(&self, id: &HeaderValue) -> Response<()> {
        let mut response = Response::new(());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(GRPC_STATUS, self.grpc_status().into());
        headers.insert(GRPC_MESSAGE, HeaderValue::from_static(self.word()));
        headers.insert(X_REQUEST_ID.clone(), id.clone());
        response
    }
}

// === impl Media ===

impl Media {
    /// The form that `Accept` likes best; of equals the first one named. Text where it has no opinion.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let mut best = (0, Self::Text);
        for value in headers.get_all(header::ACCEPT) {
            for range in value.as_bytes().split(|byte| *byte == b',') {
                let Some((media, quality)) = Self::of_range(range) else { continue };
                if quality > best.0 {
                    best = (quality, media);
                }
            }
        }
        best.1
    }

    /// The form that a media range stands for, and how much it is liked, in thousandths.
    fn of_range(range: &[u8]) -> Option<(Self, u32)> {
        let range = std::str::from_utf8(range).ok()?;
        let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
        let name = name.trim().to_ascii_lowercase();
        let media = match &*name {
            "text/html" | "application/xhtml+xml" => Self::Html,
            "application/json" | "application/problem+json" | "application/*" => Self::Json,
            _ if name.starts_with("application/") && name.ends_with("+json") => Self::Json,
            "text/plain" | "text/*" | "*/*" => Self::Text,
            _ => return None,
        };
        let quality = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
        Some((media, quality.map_or(1000, thousandths)))
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

/// A quality value: `1`, `0.5`, `0.001`. Anything else counts as 0.
fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let is_valid = matches!(whole, "0" | "1") && fraction.len() <= 3;
    let fraction = format!("{fraction:0<3}").parse::<u32>();
    match (is_valid, fraction) {
        (true, Ok(fraction)) => (u32::from(whole == "1") * 1000 + fraction).min(1000),
        (false, _) | (_, Err(_)) => 0,
    }
}

/// The values of a page. None of them came from the client, but for the id, which was checked.
struct Page<'a> {
    status: StatusCode,
    word: &'static str,
    id: &'a str,
}

// === impl Page ===

impl Page<'_> {
    fn render(&self, media: Media) -> String {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let code = self.status.as_u16();
        let (word, id) = (self.word, self.id);
        match media {
            Media::Text => format!("{code} {title}\n{word}\nRequest id: {id}\n"),
            Media::Json => format!(
                "{{\"status\":{code},\"title\":\"{title}\",\"detail\":\"{word}\",\"requestId\":\"{id}\"}}\n"
            ),
            Media::Html => {
                format!(include_str!("refusal/page.html"), code = code, title = title, word = word, id = id)
            }
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Worker => "this worker has",
            Self::Client => "the client has, on one worker, three quarters of",
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Configuration => "configuration",
            Self::Backend => "backend",
        })
    }
}
