//! One check of one endpoint, over a connection of its own.

use std::pin::pin;

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::{
    model::{HealthCheck, Probe},
    proxy::upstream::Stream,
    route::Address,
};

/// Asks once. The error says what was found instead of a good answer.
pub(super) async fn probe(address: &Address, check: &HealthCheck) -> Result<(), String> {
    let answer = tokio::time::timeout(check.timeout, ask(address, check));
    answer.await.unwrap_or_else(|_| Err(format!("{} took longer than {:?}", check.probe, check.timeout)))
}

async fn ask(address: &Address, check: &HealthCheck) -> Result<(), String> {
    let connected = Stream::connect(address).await;
    let stream = connected.map_err(|error| format!("{}: cannot connect: {error}", check.probe))?;
    let Probe::Http { path, host, statuses } = &check.probe else { return Ok(()) };
    let host = host.as_deref().map_or_else(|| host_of(address), str::to_owned);
    let status = get(stream, path, &host).await.map_err(|error| format!("{}: {error}", check.probe))?;
    let is_good = match &**statuses {
        [] => status.is_success() || status.is_redirection(),
        statuses => statuses.contains(&status.as_u16()),
    };
    if is_good { Ok(()) } else { Err(format!("{} answered {}", check.probe, status.as_u16())) }
}

/// The status of an answer; its body is of no interest.
async fn get(
    stream: Stream,
    path: &str,
    host: &str,
) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("portolan/", env!("CARGO_PKG_VERSION"), " (health check)"))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let (response, connection) = (pin!(sender.send_request(request)), pin!(connection));
    // The connection moves the bytes. It may end together with the answer, which is then there.
    let response = match select(response, connection).await {
        Either::Left((response, _)) => response,
        Either::Right((_, response)) => response.await,
    };
    Ok(response?.status())
}

fn host_of(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(_) => "localhost".to_owned(),
    }
}
