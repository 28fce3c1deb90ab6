//! HTTP routes: matches, filters, backend references.

use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::{Cors, Host, HostPattern, Meta, Mirror, Session};

/// A field that is valid but not served yet. Its object says so in its status; it is never skipped in silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Path from the object's root, such as `spec.rules[0].filters[1].cors`.
    pub field: Arc<str>,
    /// What is missing, in words, such as `the CORS filter is not served yet`.
    pub why: Arc<str>,
}

/// An `HTTPRoute`, or a `GRPCRoute`, whose matches are narrower ([`HttpMatch::grpc`]); `meta` tells which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRoute {
    pub meta: Meta,
    pub parents: Vec<ParentRef>,
    /// `useDefaultGateways: All`, or no `parentRefs` at all.
    pub uses_default_gateways: bool,
    /// Made from labels or a container's name: attaches to every Gateway if none is a default one.
    pub attaches_anywhere: bool,
    pub https: HttpsUse,
    /// Empty means every host that the listener takes.
    pub hostnames: Vec<HostPattern>,
    pub rules: Vec<HttpRule>,
    /// Fields outside of rules.
    pub unsupported: Vec<Unsupported>,
}

/// What a route does where its listener speaks plain HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum HttpsUse {
    /// The same as over HTTPS.
    #[default]
    Optional,
    /// Nothing: it is not there.
    Only,
    /// Sends clients to HTTPS.
    Redirect,
}

/// A reference to a Gateway, ListenerSet or something unknown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParentRef {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    /// The route's own namespace where none was written.
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub section: Option<Arc<str>>,
    pub port: Option<NonZeroU16>,
}

/// `listener http of Gateway shop/edge`.
impl std::fmt::Display for ParentRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(section) = &self.section {
            write!(f, "listener {section} of ")?;
        }
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)?;
        match self.port {
            Some(port) => write!(f, " port {port}"),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    pub name: Option<Arc<str>>,
    /// Never empty: the standard's default (prefix `/`) is filled in.
    pub matches: Vec<HttpMatch>,
    pub filters: Vec<HttpFilter>,
    pub backends: Vec<BackendRef>,
    pub timeouts: Timeouts,
    pub retry: Option<Retry>,
    pub session: Option<Session>,
    /// Fields of this rule; if there is one, the rule answers 500.
    pub unsupported: Vec<Unsupported>,
    /// By its position: fields of a backend reference. Its share of the requests is answered 500.
    pub unsupported_backends: BTreeMap<usize, Vec<Unsupported>>,
}

/// All parts must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpMatch {
    pub path: PathMatch,
    pub method: Option<Method>,
    /// Names are unique.
    pub headers: Vec<HeaderMatch>,
    /// Names are unique.
    pub query: Vec<QueryMatch>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// The whole path.
    Exact(Arc<str>),
    /// Whole elements; without its trailing slash, so `""` stands for `/`.
    Prefix(Arc<str>),
    /// Matches the whole path (anchored at both ends).
    Regex(Pattern),
    /// The second of two elements: a method of gRPC, of any service.
    Method(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueMatch {
    Exact(Arc<str>),
    /// Whatever follows it after `+` or `;`.
    MediaType(&'static str),
    /// Matches the whole value (anchored at both ends).
    Regex(Pattern),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    pub name: HeaderName,
    pub value: ValueMatch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryMatch {
    /// Compared with the decoded name.
    pub name: Arc<str>,
    pub value: ValueMatch,
}

/// A compiled regular expression, anchored at both ends; equal when the source is.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: Arc<str>,
    regex: regex::Regex,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFilter {
    RequestHeaders(HeaderEdit),
    ResponseHeaders(HeaderEdit),
    Redirect(Redirect),
    Rewrite(Rewrite),
    Cors(Cors),
    Mirror(Mirror),
    Auth(Arc<ExternalAuth>),
}

/// Another service is asked whether a request may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAuth {
    pub backend: BackendRef,
    pub protocol: AuthProtocol,
    /// Bytes of a body, which is told too; requests with more do not pass. Where this is 0, none is told and any passes.
    pub body: u32,
}

/// How the service is asked, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthProtocol {
    Http {
        /// Put before the path; empty, or with a slash at the start and none at the end.
        path: Arc<str>,
        /// Fields of the request, beside `Host`, `Authorization` and those that tell of the client.
        told: Vec<HeaderName>,
        /// Fields of the answer that the backend is told, and from nobody else; empty for all that fit a request.
        passed: Vec<HeaderName>,
    },
    /// Envoy's `envoy.service.auth.v3.Authorization`.
    Grpc {
        /// Fields of the request; empty for all.
        told: Vec<HeaderName>,
    },
}

impl HttpFilter {
    /// What it refers to.
    pub fn backend(&self) -> Option<&BackendRef> {
        match self {
            Self::Mirror(mirror) => Some(&mirror.backend),
            Self::Auth(auth) => Some(&auth.backend),
            Self::RequestHeaders(_)
            | Self::ResponseHeaders(_)
            | Self::Redirect(_)
            | Self::Rewrite(_)
            | Self::Cors(_) => None,
        }
    }

    pub fn auth(&self) -> Option<&Arc<ExternalAuth>> {
        match self {
            Self::Auth(auth) => Some(auth),
            Self::RequestHeaders(_)
            | Self::ResponseHeaders(_)
            | Self::Redirect(_)
            | Self::Rewrite(_)
            | Self::Cors(_)
            | Self::Mirror(_) => None,
        }
    }

    pub fn mirror(&self) -> Option<&Mirror> {
        match self {
            Self::Mirror(mirror) => Some(mirror),
            Self::RequestHeaders(_)
            | Self::ResponseHeaders(_)
            | Self::Redirect(_)
            | Self::Rewrite(_)
            | Self::Cors(_)
            | Self::Auth(_) => None,
        }
    }
}

/// Applied as set, add, remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdit {
    pub set: Vec<(HeaderName, HeaderValue)>,
    pub add: Vec<(HeaderName, HeaderValue)>,
    pub remove: Vec<HeaderName>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<&'static str>,
    pub hostname: Option<Host>,
    pub path: Option<PathEdit>,
    pub port: Option<NonZeroU16>,
    pub status: StatusCode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    pub hostname: Option<Host>,
    pub path: Option<PathEdit>,
}

/// What a path becomes. The texts have no [`PathEdit::fault`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathEdit {
    /// Begins with a slash.
    ReplaceFull(Arc<str>),
    ReplacePrefix(Arc<str>),
}

/// A weighted reference to a backend, not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendRef {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    /// The route's own namespace where none was written.
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub port: Option<NonZeroU16>,
    /// 0 to 1,000,000.
    pub weight: u32,
    pub filters: Vec<HttpFilter>,
}

/// `None` means no limit of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Bounds the whole exchange, retries included.
    pub request: Option<Duration>,
    /// Bounds one try.
    pub backend_request: Option<Duration>,
}

/// What is tried again beside what is always safe to send twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Statuses of answers that are worth another try, whatever the method.
    pub codes: Vec<u16>,
    /// Tries after the first.
    pub attempts: u32,
    /// The least time before the first of them; it doubles with each.
    pub backoff: Duration,
}

// === impl Retry ===

impl Retry {
    /// Where a rule does not say how often.
    pub const ATTEMPTS: u32 = 2;
    /// Where a rule does not say how long.
    pub const BACKOFF: Duration = Duration::from_millis(25);
}

// === impl HttpMatch ===

impl HttpMatch {
    const GRPC: &str = "application/grpc";

    /// Takes calls of gRPC only: other requests on the same host are for HTTPRoutes.
    pub fn grpc(path: PathMatch, mut headers: Vec<HeaderMatch>) -> Self {
        headers.push(HeaderMatch { name: header::CONTENT_TYPE, value: ValueMatch::MediaType(Self::GRPC) });
        Self { path, method: None, headers, query: Vec::new() }
    }

    pub fn is_grpc(&self) -> bool {
        self.headers.iter().any(|header| header.value == ValueMatch::MediaType(Self::GRPC))
    }

    /// Whether a request with this content type is a call of gRPC.
    pub fn is_grpc_type(content_type: &str) -> bool {
        ValueMatch::MediaType(Self::GRPC).matches(content_type)
    }
}

// === impl PathMatch ===

impl PathMatch {
    /// Whether the path of a call ends in this method.
    pub fn is_method(method: &str, path: &str) -> bool {
        let call = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        call.is_some_and(|(service, called)| !service.is_empty() && called == method)
    }
}

// === impl PathEdit ===

impl PathEdit {
    /// Why a path with this text in it could not be sent: it would have no canonical form. A leading slash may be left
    /// out.
    pub fn fault(text: &str) -> Option<&'static str> {
        let hex = |digit: Option<&u8>| digit.and_then(|digit| char::from(*digit).to_digit(16));
        let bytes = text.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            let decoded = match byte {
                b'%' => match (hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
                    (Some(high), Some(low)) => char::from_u32(high << 4 | low),
                    _ => return Some("`%` in a path needs two hexadecimal digits behind it"),
                },
                b'/' => None,
                byte => Some(char::from(*byte)),
            };
            match decoded {
                Some('/') => return Some("a path cannot have an encoded slash"),
                Some('\\') => return Some("a path cannot have a backslash"),
                Some('\0') => return Some("a path cannot have a NUL"),
                Some(_) | None => {}
            }
        }
        text.chars().any(char::is_control).then_some("a path cannot have control characters")
    }
}

// === impl Pattern ===

impl Pattern {
    /// The compiled program of one pattern takes at most this many bytes.
    const SIZE_LIMIT: usize = 1 << 20;

    /// Compiles `source` so that it has to match the whole text.
    pub fn parse(source: &str) -> Result<Self, regex::Error> {
        // Compiled alone first: `a)(b` must not become valid by the group around it.
        regex::RegexBuilder::new(source).size_limit(Self::SIZE_LIMIT).build()?;
        let regex =
            regex::RegexBuilder::new(&format!("^(?:{source})$")).size_limit(Self::SIZE_LIMIT).build()?;
        Ok(Self { source: source.into(), regex })
    }

    pub fn as_str(&self) -> &str {
        &self.source
    }

    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

// === impl ValueMatch ===

impl ValueMatch {
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(exact) => &**exact == value,
            Self::MediaType(media) => {
                value.strip_prefix(media).is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
            }
            Self::Regex(pattern) => pattern.matches(value),
        }
    }
}
