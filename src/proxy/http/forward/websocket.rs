//! WebSockets to endpoints that are spoken to by HTTP/2.

use super::{Asked, Failed, Message, Outgoing, Wants, unopened};
use crate::proxy::{
    received::Received,
    upstream::{Exchange, Open, Protocol, Slot},
    worker::Worker,
};

/// A try by RFC 8441; `None` where that is not wanted, or not what the endpoint has announced.
pub(super) async fn by_http2(
    worker: &Worker,
    slot: &Slot,
    (asked, outgoing): (&Asked<'_>, &Outgoing<'_>),
    introduction: &[u8],
) -> Result<Option<(Received, Exchange)>, Failed> {
    if asked.wants != Wants::WebSocket || slot.protocol() != Protocol::Http2 {
        return Ok(None);
    }
    let limits = slot.limits(&worker.config.limits);
    // In a box: few requests need one, and all would have room for it.
    let open = Box::pin(async {
        worker.upstreams.make_room().await;
        Open::connect(&slot.endpoint, limits, introduction).await
    });
    let Some(open) = open.await.map_err(|failure| unopened(worker, failure).judged(asked))? else {
        return Ok(None);
    };
    let mut message = Message::new(asked, outgoing, &slot.name).map_err(Failed::Final)?;
    Box::pin(open.ask(&mut message)).await.map(Some).map_err(|failure| asked.judge(failure))
}
