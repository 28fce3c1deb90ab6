//! What a client gets: what others have answered, or what we say ourselves.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    Body, head_size,
    record::Record,
    refusal::{Media, Refusal},
};
use crate::{
    model::HttpMatch,
    proxy::{connection::Connection, received::Received, upstream::Exchange, worker::Worker},
};

/// What is sent before anything is known of the backend's response.
pub(super) enum Answer {
    /// By Portolan itself.
    Own(StatusCode, HeaderMap),
    /// As somebody who was asked has said.
    Page(StatusCode, HeaderMap, Bytes),
    Response(Received, Exchange, Option<tokio::time::Instant>),
    /// The backend has switched to WebSocket.
    Switch(HeaderMap),
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Own(status, _) | Self::Page(status, ..) => *status,
            Self::Response(response, ..) => response.status,
            Self::Switch(_) => StatusCode::SWITCHING_PROTOCOLS,
        }
    }
}

/// What a client gets.
pub(in crate::proxy) struct Reply {
    pub(in crate::proxy) head: Received,
    pub(in crate::proxy) body: Body,
}

pub(super) fn respond(answer: Answer, mut record: Box<Record>) -> Reply {
    let own = |status: StatusCode, headers: HeaderMap, mut record: Box<Record>| {
        record.answered(status);
        Reply { head: Received::new(status, headers), body: Body::empty(record) }
    };
    match answer {
        Answer::Own(status, headers) => own(status, headers, record),
        Answer::Page(status, headers, page) => {
            record.answered(status);
            let body = if page.is_empty() { Body::empty(record) } else { Body::page(page, record) };
            Reply { head: Received::new(status, headers), body }
        }
        Answer::Switch(headers) => own(StatusCode::SWITCHING_PROTOCOLS, headers, record),
        Answer::Response(head, exchange, deadline) => {
            record.answered(head.status);
            Reply { head, body: Body::download(exchange, deadline, record) }
        }
    }
}

pub(super) fn refuse(
    refusal: &Refusal,
    asked: &HeaderMap,
    id: &HeaderValue,
    mut record: Box<Record>,
) -> Reply {
    record.answered(refusal.status());
    record.fail(format_args!("{}: {refusal}", refusal.side()));
    let content_type = asked.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(HttpMatch::is_grpc_type) {
        let (head, ()) = refusal.grpc_response(id).into_parts();
        return Reply { head: Received::new(head.status, head.headers), body: Body::empty(record) };
    }
    let (head, page) = refusal.response(Media::accepted(asked), Some(id)).into_parts();
    Reply { head: Received::new(head.status, head.headers), body: Body::page(page, record) }
}

/// Takes note of a request that could not even be read, and was answered so.
pub(in crate::proxy) fn unreadable(worker: &Worker, connection: &Connection, status: StatusCode) {
    let reason = if status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE {
        worker.metrics.limits(head_size::LIMIT).add(1);
        "client: the head has too many fields or bytes"
    } else {
        "client: the request is not valid HTTP"
    };
    worker.no_series().count(&worker.metrics, status.as_u16(), "OTHER");
    worker.log_unreadable(connection.peer, (status, reason));
}

impl Worker {
    fn log_unreadable(&self, client: IpAddr, (status, reason): (StatusCode, &str)) {
        if !self.is_logging() {
            return;
        }
        let none: Arc<str> = "".into();
        self.log(&crate::telemetry::access::Record {
            time: std::time::SystemTime::now(),
            request_id: b"",
            client,
            method: "-",
            host: b"",
            path: b"-",
            protocol: "-",
            status: status.as_u16(),
            bytes_in: 0,
            bytes_out: 0,
            duration: std::time::Duration::ZERO,
            upstream_duration: None,
            listener: &none,
            route: &none,
            rule: &none,
            backend: &none,
            endpoint: &none,
            reason,
            user_agent: b"",
            referer: b"",
        });
    }
}
