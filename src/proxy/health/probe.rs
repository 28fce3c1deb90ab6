//! One check of one endpoint, over a connection of its own.

use std::{error::Error, pin::pin};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::{grpc, rounds::Task};
use crate::{
    model::{Probe, Scheme},
    proxy::{
        tls::Connector,
        upstream::{Protocol, Stream, introduction},
    },
    route::Address,
};

/// What went wrong, in the words of the library that noticed.
pub(super) type Fault = Box<dyn Error + Send + Sync>;

/// Asks once. The error says what was found instead of a good answer.
pub(super) async fn probe(task: &Task) -> Result<(), String> {
    let check = &task.check;
    let answer = tokio::time::timeout(check.timeout, ask(task));
    answer.await.unwrap_or_else(|_| Err(format!("{} took longer than {:?}", check.probe, check.timeout)))
}

async fn ask(task: &Task) -> Result<(), String> {
    let Task { address, scheme, check, .. } = task;
    let probe = &check.probe;
    let connector = task.tls.as_deref().map(Connector::new).transpose();
    let connector = connector.map_err(|why| format!("{probe}: {why}"))?;
    let protocol = match (probe, scheme) {
        (Probe::Grpc { .. }, _) | (Probe::Http { .. }, Scheme::H2c) => Protocol::Http2,
        (Probe::Tcp, _) | (Probe::Http { .. }, Scheme::Http | Scheme::Https) => Protocol::Http1,
    };
    let secure = connector.as_ref().map(|connector| (connector, protocol));
    let introduction = task.proxy_protocol.map(introduction::of_self).unwrap_or_default();
    let connected = Stream::connect(address, secure, &introduction).await;
    let stream = connected.map_err(|error| format!("{probe}: cannot connect: {error}"))?;
    let own_host = host_of(address);
    match probe {
        Probe::Tcp => Ok(()),
        Probe::Http { path, host, statuses } => {
            let host = host.as_deref().unwrap_or(&own_host);
            let status = match protocol {
                Protocol::Http1 => get(stream, path, host).await,
                Protocol::Http2 => grpc::get(stream, path, host).await,
            };
            let status = status.map_err(|error| format!("{probe}: {error}"))?;
            let is_good = match &**statuses {
                [] => status.is_success() || status.is_redirection(),
                statuses => statuses.contains(&status.as_u16()),
            };
            if is_good { Ok(()) } else { Err(format!("{probe} answered {}", status.as_u16())) }
        }
        Probe::Grpc { service } => {
            let answer = grpc::check(stream, service, &own_host).await;
            answer
                .map_err(|error| format!("{probe}: {error}"))?
                .map_err(|word| format!("{probe} answered {word}"))
        }
    }
}

/// The status of an answer; its body is of no interest.
async fn get(stream: Stream, path: &str, host: &str) -> Result<StatusCode, Fault> {
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The connection moves the bytes. It may end together with the answer, which is then there.
    let (response, connection) = (pin!(sender.send_request(request)), pin!(connection));
    let response = match select(response, connection).await {
        Either::Left((response, _)) => response,
        Either::Right((_, response)) => response.await,
    };
    Ok(response?.status())
}

/// Who asks.
pub(super) const USER_AGENT: &str = concat!("portolan/", env!("CARGO_PKG_VERSION"), " (health check)");

fn host_of(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(_) => "localhost".to_owned(),
    }
}
