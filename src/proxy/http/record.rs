//! What is told of a request when it ends, to the metrics and to the access log.

use std::{rc::Rc, sync::Arc, time::Duration, time::SystemTime};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header, request::Parts};
use tokio::time::Instant;

use super::{fields::Client, upload::Upload};
use crate::{
    model::HttpFilter,
    proxy::{
        connection::{Connection, End, Lane},
        worker::{Rule, Series, Worker},
    },
    telemetry::access,
};

/// A request under way. Dropping it is its end.
pub(in crate::proxy) struct Record {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    /// Absent in HTTP/1.
    lane: Option<Rc<Lane>>,
    among: Among,
    pub(super) started: Instant,
    method: &'static str,
    /// Unknown while there is no answer.
    status: Option<StatusCode>,
    upstream: Option<Duration>,
    bytes_out: u64,
    /// For the access log; absent if it is off.
    line: Option<Box<Line>>,
}

/// What the access log wants beside.
struct Line {
    time: SystemTime,
    client: std::net::IpAddr,
    request_id: Option<HeaderValue>,
    method: Method,
    host: Option<HeaderValue>,
    uri: Uri,
    version: Version,
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    endpoint: Option<Arc<str>>,
    reason: String,
    upload: Option<Rc<Upload>>,
}

/// What a request is counted among.
enum Among {
    Nothing,
    Series(Rc<Series>),
    /// The rule's own series, or those of one of its choices.
    Rule(Rc<Rule>, Option<usize>),
}

// === impl Among ===

impl Among {
    fn series(&self) -> Option<&Series> {
        match self {
            Self::Nothing => None,
            Self::Series(series) => Some(series),
            Self::Rule(rule, choice) => Some(rule.series(*choice)),
        }
    }

    /// The rule's name, as the log has it.
    fn rule(&self) -> &str {
        match self {
            Self::Nothing | Self::Series(_) => "",
            Self::Rule(rule, _) => &rule.spec.rule,
        }
    }
}

// === impl Record ===

impl Record {
    /// The status of a request whose client went away before there was an answer, as nginx counts it.
    const GONE: u16 = 499;

    pub(super) fn begin(
        worker: Rc<Worker>,
        connection: Rc<Connection>,
        lane: Option<Rc<Lane>>,
        head: &Parts,
    ) -> Self {
        let started = Instant::now();
        connection.begin(started);
        worker.count_protocol(head.version);
        let logged = worker.is_logging().then(|| Line::boxed(&connection, head));
        let method = method_label(&head.method);
        Self {
            worker,
            connection,
            lane,
            among: Among::Nothing,
            started,
            method,
            status: None,
            upstream: None,
            bytes_out: 0,
            line: logged,
        }
    }

    /// It is counted for this rule, and for none of its backends yet.
    pub(super) fn routed(&mut self, rule: &Rc<Rule>) {
        self.among = Among::Rule(rule.clone(), None);
    }

    /// It is counted for the rule's choice of this number.
    pub(super) fn chosen(&mut self, index: usize) {
        if let Among::Rule(_, choice) = &mut self.among {
            *choice = Some(index);
        }
    }

    /// What edits its answer.
    pub(super) fn filters(&self) -> impl Iterator<Item = &HttpFilter> {
        let rule = match &self.among {
            Among::Nothing | Among::Series(_) => None,
            Among::Rule(rule, choice) => Some(rule.filters_of(*choice)),
        };
        rule.into_iter().flatten()
    }

    /// There is no rule for it.
    pub(super) fn unrouted(&mut self, series: Rc<Series>) {
        self.among = Among::Series(series);
    }

    pub(super) fn identified(&mut self, client: &Client) {
        if let Some(line) = &mut self.line {
            line.request_id = Some(client.request_id.value());
            line.client = client.address;
        }
    }

    pub(super) fn uploading(&mut self, upload: &Rc<Upload>) {
        if let Some(line) = &mut self.line {
            line.upload = Some(upload.clone());
        }
    }

    pub(super) fn trying(&mut self, endpoint: &Arc<str>) {
        if let Some(line) = &mut self.line {
            line.endpoint = Some(endpoint.clone());
        }
    }

    /// The head of the backend's response came.
    pub(super) fn responded(&mut self, after: Duration) {
        self.upstream = Some(after);
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Something of ours, or of the backend's, went wrong.
    pub(super) fn fail(&mut self, reason: impl std::fmt::Display) {
        if let Some(line) = &mut self.line {
            line.reason = reason.to_string();
        }
    }

    /// Now, to a fraction of a second.
    pub(super) fn coarse_now(&self) -> Instant {
        self.worker.now()
    }

    /// The stream of HTTP/2 that the request came by.
    pub(super) fn lane(&self) -> Option<&Rc<Lane>> {
        self.lane.as_ref()
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    fn log(&self, line: &Line, status: u16, duration: Duration) {
        let text =
            |value: &Option<HeaderValue>| value.as_ref().map(HeaderValue::as_bytes).map(<[u8]>::to_vec);
        let [request_id, host, user_agent, referer] =
            [&line.request_id, &line.host, &line.user_agent, &line.referer]
                .map(|value| text(value).unwrap_or_default());
        let path = line.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        let names = self.among.series().map(|series| &series.names);
        let name = |index: usize| names.map_or("", |names| &*names[index]);
        self.worker.log(&access::Record {
            time: line.time,
            request_id: &request_id,
            client: line.client,
            method: line.method.as_str(),
            host: &host,
            path: path.as_bytes(),
            protocol: protocol(line.version),
            status,
            bytes_in: line.upload.as_ref().map_or(0, |upload| upload.bytes()),
            bytes_out: self.bytes_out,
            duration,
            upstream_duration: self.upstream,
            listener: name(0),
            route: name(1),
            rule: self.among.rule(),
            backend: name(2),
            endpoint: line.endpoint.as_deref().unwrap_or_default(),
            reason: &line.reason,
            user_agent: &user_agent,
            referer: &referer,
        });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let now = Instant::now();
        let duration = now.duration_since(self.started);
        let status = self.status.map_or(Self::GONE, |status| status.as_u16());
        let end = match self.status {
            Some(StatusCode::SWITCHING_PROTOCOLS) => End::Tunnel,
            Some(_) => End::Answered,
            None => End::Cancelled,
        };
        self.connection.end(end, now);
        if let Some(missed) = self.lane().and_then(|lane| lane.missed()) {
            self.worker.metrics.limits(missed.limit()).add(1);
            self.fail(missed.words());
        }
        if matches!(self.among, Among::Nothing) {
            self.among = Among::Series(self.worker.no_series());
        }
        let Some(series) = self.among.series() else { return };
        series.count(&self.worker.metrics, status, self.method);
        series.request_seconds.observe(duration);
        if let Some(upstream) = self.upstream {
            series.upstream_seconds.observe(upstream);
        }
        if let Some(line) = self.line.take() {
            self.log(&line, status, duration);
        }
    }
}

// === impl Line ===

impl Line {
    fn boxed(connection: &Connection, head: &Parts) -> Box<Self> {
        let field = |name: header::HeaderName| HeaderMap::get(&head.headers, name).cloned();
        Box::new(Self {
            time: SystemTime::now(),
            client: connection.peer,
            request_id: None,
            method: head.method.clone(),
            host: field(header::HOST).or_else(|| authority(&head.uri)),
            uri: head.uri.clone(),
            version: head.version,
            user_agent: field(header::USER_AGENT),
            referer: field(header::REFERER),
            endpoint: None,
            reason: String::new(),
            upload: None,
        })
    }
}

/// What stands for `Host` in HTTP/2.
fn authority(uri: &Uri) -> Option<HeaderValue> {
    HeaderValue::try_from(uri.authority()?.as_str()).ok()
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// A method that is not in the standard is a text of the client's: not for a label.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "OTHER",
    }
}
