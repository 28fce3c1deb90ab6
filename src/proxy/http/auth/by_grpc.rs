//! Asking by gRPC, as Envoy does: `envoy.service.auth.v3.Authorization/Check`.

use std::{
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header, request::Parts,
};
use prost::Message as _;

use super::{
    super::{Answer, Asked, fields, refusal::Refusal},
    Change, Permit, Question, Said, Way, may_pass, messages,
};
use crate::proxy::{received::Received, upstream::Exchange};

const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

/// More of an answer than this is not read.
const MOST: usize = 1 << 20;

/// gRPC's prefix: not compressed, and the length.
const PREFIX: usize = 5;

// === the question ===

/// The head of the call, to a service of this name.
pub(super) fn head(name: &str) -> Result<Parts, Refusal> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(PATH);
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::try_from(name).map_err(|_| Refusal::Rewritten)?);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    Ok(request.into_parts().0)
}

/// The message: what the backend would get, and who asks.
pub(super) fn question(
    told: &[HeaderName],
    (asked, body): (&Asked<'_>, &VecDeque<Bytes>),
    question: &Question<'_>,
) -> Bytes {
    let (mut headers, mut id) = (BTreeMap::new(), String::new());
    question.fields.each(|name, value| {
        let value = String::from_utf8_lossy(value.as_bytes());
        if *name == fields::X_REQUEST_ID {
            id = value.to_string();
        }
        if told.is_empty() || told.contains(name) {
            add(&mut headers, name, &value);
        }
    });
    let path = asked
        .head
        .uri
        .query()
        .map_or_else(|| asked.target.path().to_owned(), |query| format!("{}?{query}", asked.target.path()));
    let host = asked.head.headers.get(header::HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    let host = String::from_utf8_lossy(host).into_owned();
    let method = asked.head.method.to_string();
    let scheme = question.scheme.to_owned();
    for (name, value) in [(":authority", &host), (":method", &method), (":path", &path), (":scheme", &scheme)]
    {
        headers.insert(name.to_owned(), value.clone());
    }
    let (body, raw_body) = match String::from_utf8(body.iter().flatten().copied().collect()) {
        Ok(text) => (text, Vec::new()),
        Err(error) => (String::new(), error.into_bytes()),
    };
    let http = messages::HttpRequest {
        id,
        method,
        headers,
        path,
        host,
        scheme,
        size: size(&asked.head.headers),
        protocol: protocol(asked.head.version).to_owned(),
        body,
        raw_body,
    };
    let request = messages::AttributeRequest { time: Some(now()), http: Some(http) };
    let client = asked.client.address.to_string();
    let attributes = messages::Attributes {
        source: Some(peer(client, 0)),
        destination: Some(peer(question.socket.ip().to_string(), question.port)),
        request: Some(request),
    };
    frame(&messages::CheckRequest { attributes: Some(attributes) })
}

/// A field more; those of one name are one list, as they may be (RFC 9110 section 5.2).
fn add(headers: &mut BTreeMap<String, String>, name: &HeaderName, value: &str) {
    let between = if *name == header::COOKIE { "; " } else { "," };
    headers
        .entry(name.as_str().to_owned())
        .and_modify(|known| {
            known.push_str(between);
            known.push_str(value);
        })
        .or_insert_with(|| value.to_owned());
}

/// As Envoy calls it.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn size(headers: &HeaderMap) -> i64 {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or(-1)
}

fn now() -> messages::Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    messages::Timestamp {
        seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(now.subsec_nanos()).unwrap_or(0),
    }
}

fn peer(address: String, port: u16) -> messages::Peer {
    let socket = messages::SocketAddress { address, port_value: port.into() };
    messages::Peer { address: Some(messages::Address { socket_address: Some(socket) }) }
}

fn frame(message: &impl prost::Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX + message.encoded_len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    bytes.put(&*message.encode_to_vec());
    bytes.freeze()
}

// === the answer ===

/// Reads the answer to its end. An error says in words what is wrong with it.
pub(super) async fn read(
    response: &mut Received,
    exchange: &mut Exchange,
) -> Result<messages::CheckResponse, String> {
    if response.status != StatusCode::OK {
        return Err(format!("it answers {}, which is not gRPC", response.status));
    }
    let (mut body, mut trailers) = (BytesMut::new(), HeaderMap::new());
    while let Some(frame) = poll_fn(|cx| exchange.poll_frame(cx)).await {
        match frame.map_err(|error| error.to_string())?.into_data() {
            Ok(data) if body.len() + data.len() > MOST => return Err("its answer is too long".to_owned()),
            Ok(data) => body.put(data),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    let status = trailers.get("grpc-status").or_else(|| response.headers_mut().get("grpc-status"));
    match status.map(HeaderValue::as_bytes) {
        Some(b"0") => {}
        Some(code) => return Err(format!("it answers with the gRPC status {}", code.escape_ascii())),
        None => return Err("it answers without a gRPC status".to_owned()),
    }
    message(body.freeze()).ok_or_else(|| "it answers with something else than a `CheckResponse`".to_owned())
}

pub(super) fn message(mut body: Bytes) -> Option<messages::CheckResponse> {
    let is_plain = body.try_get_u8().ok()? == 0;
    let length = body.try_get_u32().ok()?;
    if !is_plain || usize::try_from(length).ok()? != body.len() {
        return None;
    }
    messages::CheckResponse::decode(body).ok()
}

/// What an answer means. An absent status is that of success, as everywhere in protobuf, but a message that says nothing
/// at all is no yes.
pub(super) fn said(answer: messages::CheckResponse) -> Said {
    let says_yes = answer.status.as_ref().map_or(answer.ok.is_some(), |status| status.code == 0);
    if says_yes && answer.denied.is_none() {
        return Said::Yes(permit(&answer.ok.unwrap_or_default()));
    }
    let denied = answer.denied.unwrap_or_default();
    let status = denied.status.and_then(|status| StatusCode::from_u16(u16::try_from(status.code).ok()?).ok());
    // Whatever it is, it is the last word.
    let status = status.filter(|status| !status.is_informational()).unwrap_or(StatusCode::FORBIDDEN);
    let mut headers = HeaderMap::new();
    super::write(&answered(&denied.headers), &mut headers);
    let has_page = !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    Said::No(Answer::Page(status, headers, if has_page { denied.body } else { Bytes::new() }))
}

fn permit(ok: &messages::OkHttpResponse) -> Permit {
    let changes = ok.headers.iter().filter_map(field).filter(|change| may_pass(&change.name));
    let removed = ok.headers_to_remove.iter().filter_map(|name| name.parse().ok());
    Permit {
        removed: removed.filter(may_pass).collect(),
        changes: changes.collect(),
        told: answered(&ok.response_headers_to_add),
    }
}

/// Fields that are for the client: not those that tell how a message is framed, or that only we write.
fn answered(options: &[messages::HeaderValueOption]) -> Vec<Change> {
    let changes: Vec<Change> = options.iter().filter_map(field).collect();
    let mut left: HeaderMap =
        changes.iter().map(|change| (change.name.clone(), change.value.clone())).collect();
    fields::strip_response(&mut left);
    left.remove(header::CONTENT_LENGTH);
    changes.into_iter().filter(|change| left.contains_key(&change.name)).collect()
}

/// A field, if it is valid. One that does not say what becomes of others of its name takes their place: who the service
/// says somebody is must not stand beside what they say themselves.
fn field(option: &messages::HeaderValueOption) -> Option<Change> {
    let header = option.header.as_ref()?;
    let value = if header.raw_value.is_empty() { &header.value } else { &header.raw_value };
    let way = match (option.append.as_ref().map(|append| append.value), option.append_action) {
        (Some(true), _) => Way::Append,
        (_, 1) => Way::SetIfAbsent,
        (_, 3) => Way::SetIfPresent,
        (Some(false) | None, _) => Way::Set,
    };
    Some(Change { name: header.key.parse().ok()?, value: HeaderValue::from_bytes(value).ok()?, way })
}
