//! Mirrors: copies of requests for other backends. Nothing of a request waits for its copy, and nothing of a copy is
//! told to the client: too many at a time, too long a body, an endpoint that is missing or fails cost the copy alone.

use std::{collections::VecDeque, future::poll_fn, net::IpAddr, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Request, header, request::Parts};

use super::{
    Asked, RequestBody, Wants, forward,
    message::{Message, Outgoing},
};
use crate::{
    model::Share,
    proxy::{
        upstream::{Ask, Backend, Exchange, Picked, Visit},
        worker::Worker,
    },
};

/// Where copies go.
pub(in crate::proxy) struct Mirror {
    pub(in crate::proxy) share: Share,
    /// Absent where the reference leads nowhere.
    pub(in crate::proxy) backend: Option<Rc<Backend>>,
}

/// A copy under way, or waiting for the end of its body.
pub(super) struct Copy {
    worker: Rc<Worker>,
    backend: Rc<Backend>,
    head: Parts,
    /// The client, and the port that it came by.
    client: (IpAddr, u16),
}

/// Bodies up to this length are copied.
pub(super) const LONGEST_BODY: usize = 256 << 10;
/// Copies under way at the same time, for each worker.
const MOST: u32 = 64;
/// For a copy, from its start to the end of its answer.
const TIME: Duration = Duration::from_secs(10);
/// Of an answer, so that its connection can be used again.
const MOST_READ: usize = 64 << 10;

/// Starts the copies of a request, as its endpoint gets it. Another try makes no other copies.
pub(super) fn start<'m>(
    worker: &Rc<Worker>,
    mirrors: impl Iterator<Item = &'m Mirror>,
    asked: &Asked<'_>,
    outgoing: &Outgoing<'_>,
    name: &str,
) {
    if asked.is_copied.replace(true) {
        return;
    }
    let client = (asked.client.address, outgoing.port.get());
    for mirror in mirrors {
        let Some(backend) = &mirror.backend else { continue };
        if asked.wants != Wants::Http || !mirror.share.takes(worker.random() >> 16) {
            continue;
        }
        let Ok(mut head) = outgoing.head(asked, name) else { continue };
        head.headers_mut().remove(header::EXPECT);
        let Some(copy) = Copy::new(worker, backend, head, client) else { continue };
        match &asked.upload {
            None => copy.send(VecDeque::new()),
            Some(upload) => upload.copy(copy),
        }
    }
}

// === impl Copy ===

impl Copy {
    fn new(
        worker: &Rc<Worker>,
        backend: &Rc<Backend>,
        head: Request<()>,
        client: (IpAddr, u16),
    ) -> Option<Self> {
        if worker.mirrored.get() >= MOST {
            worker.metrics.mirrored(&backend.name, "dropped").add(1);
            return None;
        }
        worker.mirrored.set(worker.mirrored.get() + 1);
        let (head, ()) = head.into_parts();
        Some(Self { worker: worker.clone(), backend: backend.clone(), head, client })
    }

    /// Gives up: there will be no whole body.
    pub(super) fn give_up(self) {
        self.worker.metrics.mirrored(&self.backend.name, "dropped").add(1);
    }

    /// Sends it, while whoever calls this goes on.
    pub(super) fn send(self, body: VecDeque<Bytes>) {
        let worker = self.worker.clone();
        worker.spawn("mirror", async move {
            let sent = tokio::time::timeout(TIME, self.exchange(body)).await.ok().flatten();
            let result = if sent.is_some() { "sent" } else { "failed" };
            self.worker.metrics.mirrored(&self.backend.name, result).add(1);
        });
    }

    async fn exchange(&self, body: VecDeque<Bytes>) -> Option<()> {
        let Picked { slot, place } = self.backend.pick(&Ask {
            failed: &[],
            head: &self.head,
            client: self.client.0,
            random: self.worker.random(),
            now: self.worker.now(),
            home: None,
        })?;
        let _visit = Visit::new(&slot.endpoint, place);
        let message = Message::copy(&self.head, RequestBody::Kept(body));
        let (client, port) = self.client;
        let introduction = slot.introduction(client, port);
        let (_, mut exchange) =
            forward::over(&self.worker, (slot, slot.protocol()), &introduction, || Ok(message)).await.ok()?;
        discard(&mut exchange).await;
        exchange.finish(self.worker.now());
        Some(())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.worker.mirrored.set(self.worker.mirrored.get().saturating_sub(1));
    }
}

/// Reads an answer to its end, if that is near.
pub(super) async fn discard(exchange: &mut Exchange) {
    let mut left = MOST_READ;
    while left > 0 && !exchange.is_done() {
        let frame = poll_fn(|cx| exchange.poll_frame(cx));
        let Some(Ok(frame)) = frame.await else { return };
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
    }
}
