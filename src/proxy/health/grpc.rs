//! Checks over HTTP/2: the status of a path, and the standard gRPC health service (`grpc.health.v1`).
//!
//! Why by hand: the one message that is sent has one field, and so has the answer.

use std::pin::pin;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::future::{Either, select};
use h2::{RecvStream, client};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};

use super::probe::{Fault, USER_AGENT};
use crate::proxy::upstream::Stream;

/// More of an answer than this is not read: a status takes seven bytes.
const MOST: usize = 1 << 10;

/// The status of an answer to a GET.
pub(super) async fn get(stream: Stream, path: &str, host: &str) -> Result<StatusCode, Fault> {
    let request = request(Method::GET, path, host).body(())?;
    let (response, _) = exchange(stream, request, None, async |response| Ok(response.into_parts())).await?;
    Ok(response.status)
}

/// Asks for the health of a service; the inner error is the answer, where it is not that it serves.
pub(super) async fn check(stream: Stream, service: &str, host: &str) -> Result<Result<(), String>, Fault> {
    let request = request(Method::POST, "/grpc.health.v1.Health/Check", host)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(())?;
    exchange(stream, request, Some(message(service)), judge).await
}

fn request(method: Method, path: &str, host: &str) -> http::request::Builder {
    let uri = format!("http://{host}{path}");
    Request::builder().method(method).uri(uri).header(header::USER_AGENT, USER_AGENT)
}

/// Sends a request and does something with its answer, while the connection moves the bytes.
async fn exchange<T>(
    stream: Stream,
    request: Request<()>,
    body: Option<Bytes>,
    read: impl AsyncFnOnce(Response<RecvStream>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let (sender, connection) = client::handshake(stream).await?;
    let asking = async {
        let mut sender = sender.ready().await?;
        let (response, mut upload) = sender.send_request(request, body.is_none())?;
        if let Some(body) = body {
            upload.send_data(body, true)?;
        }
        read(response.await?).await
    };
    match select(pin!(asking), pin!(connection)).await {
        Either::Left((result, _)) => result,
        // What had come before the end is there.
        Either::Right((_, asking)) => asking.await,
    }
}

async fn judge(response: Response<RecvStream>) -> Result<Result<(), String>, Fault> {
    let (head, mut body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Ok(Err(head.status.as_u16().to_string()));
    }
    let mut read = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        if read.len() + data.len() > MOST {
            return Ok(Err("too much".to_owned()));
        }
        read.put(data);
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    Ok(verdict(&head.headers, &trailers, &read))
}

/// What an answer says. One without a message has its trailers in its head.
fn verdict(head: &HeaderMap, trailers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let status = trailers.get("grpc-status").or_else(|| head.get("grpc-status"));
    match status.map(http::HeaderValue::as_bytes) {
        Some(b"0") => {}
        Some(b"12") => return Err("that it has no such service (`UNIMPLEMENTED`)".to_owned()),
        Some(b"5") => return Err("that it does not know the service (`NOT_FOUND`)".to_owned()),
        Some(code) => return Err(format!("with the gRPC status {}", code.escape_ascii())),
        None => return Err("without a gRPC status".to_owned()),
    }
    match serving_status(body) {
        Some(1) => Ok(()),
        Some(2) => Err("`NOT_SERVING`".to_owned()),
        Some(3) => Err("`SERVICE_UNKNOWN`".to_owned()),
        Some(0) => Err("`UNKNOWN`".to_owned()),
        Some(_) | None => Err("with something else than a `HealthCheckResponse`".to_owned()),
    }
}

/// `HealthCheckRequest { string service = 1; }`, with gRPC's prefix: not compressed, and the length.
fn message(service: &str) -> Bytes {
    let mut field = BytesMut::new();
    if !service.is_empty() {
        field.put_u8(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            field.put_u8(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
            length >>= 7;
        }
        field.put_u8(u8::try_from(length).unwrap_or(0));
        field.put(service.as_bytes());
    }
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(field.len()).unwrap_or(u32::MAX));
    message.put(field);
    message.freeze()
}

/// `HealthCheckResponse { ServingStatus status = 1; }`, where a status of 0 may be left out.
fn serving_status(body: &[u8]) -> Option<u8> {
    match body {
        [0, 0, 0, 0, 0] => Some(0),
        [0, 0, 0, 0, 2, 0x08, status] if *status < 0x80 => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            header::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static(code),
        )])
    }

    #[test]
    fn a_request_is_the_message_that_the_standard_has() {
        assert_eq!(&*message(""), [0, 0, 0, 0, 0]);
        assert_eq!(&*message("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = message(&"x".repeat(300));
        assert_eq!(&long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 2]);
    }

    #[test]
    fn only_an_answer_that_says_that_it_serves_is_good() {
        let none = HeaderMap::new();
        let serving = [0, 0, 0, 0, 2, 8, 1];
        assert_eq!(verdict(&none, &status("0"), &serving), Ok(()));
        for (head, trailers, body, words) in [
            (none.clone(), status("0"), &[0, 0, 0, 0, 2, 8, 2][..], "`NOT_SERVING`"),
            (none.clone(), status("0"), &[0, 0, 0, 0, 0], "`UNKNOWN`"),
            (none.clone(), status("0"), &[0, 0, 0, 0, 2, 8, 3], "`SERVICE_UNKNOWN`"),
            (none.clone(), status("0"), b"", "something else"),
            (status("12"), none.clone(), b"", "UNIMPLEMENTED"),
            (status("5"), none.clone(), b"", "NOT_FOUND"),
            (none.clone(), status("14"), &serving, "status 14"),
            (none.clone(), none.clone(), &serving, "without a gRPC status"),
        ] {
            let found = verdict(&head, &trailers, body).unwrap_err();
            assert!(found.contains(words), "{found}");
        }
    }
}
