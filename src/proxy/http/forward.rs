//! Tries: one request sent to one endpoint, and what follows when that fails.
//!
//! Nothing is sent twice that could be done twice: a request goes to another endpoint when none of it was sent, or when
//! its method may be repeated and its body can be sent from the start. What a rule asks for by `retry` comes on top:
//! answers with the codes that it lists are tried again whatever the method, and so are tries that took too long where
//! the method may be repeated.

mod again;
mod blame;
mod websocket;

use std::{future::Future, rc::Rc, time::Duration};

use http::Method;
use tokio::time::Instant;

use super::{
    Asked, Wants,
    message::{Message, Outgoing},
    refusal::{Refusal, Side, Whose},
    retry::{Budget, Retries},
};
use crate::{
    model::Timeouts,
    proxy::{
        received::Received,
        upstream::{
            Ask, Backend, Endpoint, Exchange, Failed as FailedRequest, Failure, Outcome, Pending, Picked,
            Protocol, Slot, Visit,
        },
        worker::{Lease, Worker},
    },
    route::{Address, Rule},
};
use again::Repeat;

/// The tries of one request.
pub(super) struct Tries {
    started: Instant,
    timeouts: Timeouts,
    /// Endpoints that this pass has found to fail.
    failed: Vec<Rc<Endpoint>>,
    /// Nothing as long as no try has failed: most requests have no use for its room.
    trouble: Option<Box<Trouble>>,
    /// Tries after something was sent.
    repeats: u32,
    /// What the rule says of retries.
    retries: Option<Retries>,
    passes: u32,
    try_started: Instant,
    response_after: Duration,
}

/// What is known of tries that have failed.
#[derive(Default)]
struct Trouble {
    /// Why the last one did, and when the first one.
    last: Option<(Refusal, Instant)>,
    /// What endpoints did to the request, each the last time.
    blamed: Vec<FailedRequest>,
    /// While it waits for a place at an endpoint.
    pending: Option<Pending>,
}

/// A try that failed.
pub(super) enum Failed {
    /// It may be tried again; `sent` says whether the endpoint may have seen some of it.
    Again { failure: Failure, sent: Sent },
    /// It took too long, and may be tried again if the rule asks for that.
    TooLong(Refusal),
    /// It must not.
    Final(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Nothing,
    Something,
}

// === impl Tries ===

impl Tries {
    /// Endpoints that one pass tries.
    const ENDPOINTS: usize = 3;
    /// Tries after the endpoint may have seen the request: it may be the request that breaks it.
    const REPEATS: u32 = 2;
    /// How often it goes back to endpoints that have failed it while it waits for a busy one.
    const PASSES: u32 = 1;
    /// Of a body that may have to be sent again.
    const KEPT: usize = 64 << 10;

    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            timeouts: Timeouts::default(),
            failed: Vec::new(),
            trouble: None,
            repeats: 0,
            retries: None,
            passes: 0,
            try_started: started,
            response_after: Duration::ZERO,
        }
    }

    pub(super) fn limit(&mut self, rule: &Rule, budget: Option<&Rc<Budget>>, asked: &Asked<'_>) {
        self.timeouts = rule.timeouts;
        if let (Some(policy), Some(budget), None) = (&rule.retry, budget, &self.retries) {
            self.retries = Some(Retries::new(policy, budget));
            if let Some(upload) = &asked.upload {
                upload.keep(Self::KEPT);
            }
        }
    }

    /// When the whole exchange must be over.
    fn whole(&self) -> Option<Instant> {
        self.timeouts.request.map(|time| self.started + time)
    }

    /// When this try must be over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let one = self.timeouts.backend_request.map(|time| self.try_started + time);
        [self.whole(), one].into_iter().flatten().min()
    }

    pub(super) fn response_after(&self) -> Duration {
        self.response_after
    }

    /// The endpoint to try, if one is left in this pass: the one of the client's session as long as it is there.
    pub(super) fn next<'b>(
        &mut self,
        worker: &Worker,
        backend: &'b Backend,
        asked: &Asked<'_>,
        home: Option<&Address>,
    ) -> Option<Picked<'b>> {
        if self.failed.len() >= Self::ENDPOINTS {
            return None;
        }
        let picked = backend.pick(&Ask {
            failed: &self.failed,
            head: asked.head,
            client: asked.client.address,
            random: asked.random,
            now: worker.now(),
            home,
        });
        if let Some(trouble) = self.trouble.as_mut().filter(|_| picked.is_some()) {
            trouble.pending = None;
        }
        picked
    }

    /// Waits for something that makes another pass worth it: a new table or an endpoint that is fit, a place at one, or,
    /// if there are endpoints that could not be reached, a moment.
    pub(super) async fn wait(&mut self, worker: &Worker, backend: &Backend) -> Result<(), Refusal> {
        // Made before anything is awaited: a table that comes in between is not missed.
        let changed = worker.changed.notified();
        if backend.len() == 0 {
            return self.hold(worker, backend, changed).await;
        }
        // One that is only busy is worth a longer wait than those that have failed.
        if self.failed.len() < Self::ENDPOINTS && backend.is_crowded(&self.failed) {
            return self.queue(worker, backend, changed).await;
        }
        let Some((refusal, since)) = self.take_last() else {
            // Those that have failed it are the only ones that are left, or a place has just come free.
            self.failed.clear();
            return Ok(());
        };
        let now = Instant::now();
        let until = since + worker.config.limits.unreachable_grace.min(worker.config.hold);
        if now >= self.whole().map_or(until, |whole| whole.min(until)) {
            return Err(refusal);
        }
        let pause = Duration::from_millis(5 << self.passes.min(4));
        self.passes += 1;
        self.failed.clear();
        self.trouble().last = Some((refusal, since));
        // A new table or the pause: both end in another pass.
        let _ = tokio::time::timeout_at((now + pause).min(until), changed).await;
        Ok(())
    }

    /// Waits for a place at an endpoint that has not failed it, or for something that brings others.
    async fn queue(
        &mut self,
        worker: &Worker,
        backend: &Backend,
        changed: impl Future<Output = ()>,
    ) -> Result<(), Refusal> {
        let until = self.started + worker.config.limits.pending_timeout;
        let whole = self.whole().unwrap_or(until);
        let before = self.trouble().pending.take();
        let refused = |refusal: Refusal| {
            worker.metrics.upstream_errors(&backend.name, "overflow").add(1);
            Err(refusal)
        };
        let Some(pending) = backend.queue(before) else {
            return refused(Refusal::Overloaded("too many requests wait for one already"));
        };
        self.trouble().pending = Some(pending);
        // Dropping the wait for a place hands one that has just come free to the next who waits.
        tokio::select! {
            biased;
            () = backend.room(&self.failed) => {
                // The place may be at one that has failed it, where nobody else is told of it.
                if self.passes < Self::PASSES && !backend.has_room(&self.failed) {
                    self.passes += 1;
                    self.failed.clear();
                }
                Ok(())
            }
            () = changed => {
                self.failed.clear();
                Ok(())
            }
            () = tokio::time::sleep_until(until.min(whole)) => refused(if whole < until {
                self.late()
            } else {
                Refusal::Overloaded("no place came free in time")
            }),
        }
    }

    /// Waits for a new table or an endpoint that is fit, as long as a request may be held.
    async fn hold(
        &mut self,
        worker: &Worker,
        backend: &Backend,
        changed: impl Future<Output = ()>,
    ) -> Result<(), Refusal> {
        let until = self.started + worker.config.hold;
        if worker.config.hold.is_zero() || Instant::now() >= until {
            return Err(Refusal::NoEndpoint(backend.reason()));
        }
        let _held = worker.hold().ok_or(Refusal::Crowded)?;
        let whole = self.whole().unwrap_or(until);
        match tokio::time::timeout_at(until.min(whole), changed).await {
            Ok(()) => {
                self.failed.clear();
                Ok(())
            }
            Err(_) if whole < until => Err(self.late()),
            Err(_) => Err(Refusal::NoEndpoint(backend.reason())),
        }
    }

    /// Takes note of a failed try. An error is the answer.
    pub(super) fn failed(
        &mut self,
        worker: &Worker,
        backend: &Backend,
        slot: &Slot,
        failed: Failed,
    ) -> Result<(), Refusal> {
        let (failure, sent) = match failed {
            Failed::Again { failure, sent } => (failure, sent),
            Failed::TooLong(refusal) => return self.too_long(worker, backend, slot, refusal),
            Failed::Final(refusal) => {
                self.blame(worker, (backend, slot), &refusal);
                return Err(refusal);
            }
        };
        let refusal = match sent {
            Sent::Nothing => Refusal::Unreachable(failure),
            Sent::Something => Refusal::Broken(failure),
        };
        self.blame(worker, (backend, slot), &refusal);
        match sent {
            Sent::Nothing => self.failed.push(slot.endpoint.clone()),
            Sent::Something if self.repeat(Repeat::Safe) => self.leave(backend, slot),
            Sent::Something => return Err(refusal),
        }
        let since = self.take_last().map_or_else(Instant::now, |(_, since)| since);
        self.trouble().last = Some((refusal, since));
        worker.metrics.retries(&backend.name).add(1);
        Ok(())
    }
}

// === one try ===

/// Sends the request to one endpoint, over a connection that is open already if there is one.
pub(super) async fn attempt(
    worker: &Worker,
    tries: &mut Tries,
    Picked { slot, place }: Picked<'_>,
    asked: &Asked<'_>,
    outgoing: &Outgoing<'_>,
) -> Result<(Received, Exchange), Failed> {
    let lease = lease(worker, slot, asked).map_err(Failed::Final)?;
    tries.try_started = Instant::now();
    let deadline = tries.deadline();
    let visit = Visit::leased(&slot.endpoint, place, lease);
    // Pinned here: a future of this size is not to be moved.
    let sending = std::pin::pin!(send(worker, slot, asked, outgoing));
    let result = within(deadline, sending).await;
    tries.response_after = tries.try_started.elapsed();
    let result = result.unwrap_or_else(|| Err(tries.overdue(asked)));
    if let Some(watched) = &slot.watched
        && let Some(outcome) = outcome(&result)
    {
        watched.observe(outcome);
    }
    if slot.endpoint.is_doubted() && result.is_ok() {
        worker.upstreams.answered(&slot.endpoint);
    }
    result.map(|(response, mut exchange)| {
        exchange.enter(visit);
        (response, exchange)
    })
}

/// The client's right to a connection of its own, where the request needs one.
fn lease(worker: &Worker, slot: &Slot, asked: &Asked<'_>) -> Result<Option<Lease>, Refusal> {
    let is_shared = slot.protocol() == Protocol::Http2 && asked.wants == Wants::Http;
    let Some(guest) = asked.guest.filter(|_| !is_shared) else { return Ok(None) };
    let lease = guest.lease();
    if lease.is_none() {
        worker.metrics.limits("endpoint_connections_per_client").add(1);
    }
    lease.map(Some).ok_or(Refusal::Full(Whose::Client))
}

/// What a try says of the endpoint, if anything: a client that breaks off says nothing, nor does a limit of ours.
fn outcome<E>(result: &Result<(Received, E), Failed>) -> Option<Outcome> {
    match result {
        Ok((response, _)) if response.status.is_server_error() => Some(Outcome::Bad),
        Ok(_) => Some(Outcome::Good),
        Err(Failed::Again { .. }) => Some(Outcome::Bad),
        Err(Failed::Final(Refusal::Full(_))) => None,
        Err(Failed::Final(refusal) | Failed::TooLong(refusal)) => {
            (refusal.side() == Side::Backend).then_some(Outcome::Bad)
        }
    }
}

async fn within<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

async fn send(
    worker: &Worker,
    slot: &Slot,
    asked: &Asked<'_>,
    outgoing: &Outgoing<'_>,
) -> Result<(Received, Exchange), Failed> {
    let introduction = slot.introduction(asked.client.address, outgoing.port.get());
    if let Some(answered) = websocket::by_http2(worker, slot, (asked, outgoing), &introduction).await? {
        return Ok(answered);
    }
    let protocol = match asked.wants {
        Wants::Http => slot.protocol(),
        // It is HTTP/1 that is switched from.
        Wants::WebSocket => Protocol::Http1,
    };
    let make = || Message::new(asked, outgoing, &slot.name);
    let sending = std::pin::pin!(over(worker, (slot, protocol), &introduction, make));
    sending.await.map_err(|unanswered| unanswered.judged(asked))
}

/// Why a request has no answer.
pub(super) enum Unanswered {
    /// There is no connection.
    Unsent(Failure),
    /// The endpoint may have seen something of it.
    Broken(Failure),
    /// It could not even be made.
    Unmade(Refusal),
}

/// Sends the request that `make` makes, over a connection that is open already if there is one.
pub(super) async fn over<'m>(
    worker: &Worker,
    (slot, protocol): (&Slot, Protocol),
    introduction: &[u8],
    make: impl FnOnce() -> Result<Message<'m>, Refusal>,
) -> Result<(Received, Exchange), Unanswered> {
    let connect = async || {
        // What begins with an introduction is for nobody else.
        match introduction.is_empty().then(|| slot.endpoint.reuse(protocol)).flatten() {
            Some(exchange) => Ok(exchange),
            // In a box: few requests need one, and all would have room for it.
            None => Box::pin(open(worker, (slot, protocol), introduction)).await,
        }
    };
    let mut exchange = connect().await?;
    let mut message = make().map_err(Unanswered::Unmade)?;
    loop {
        let is_reused = exchange.is_reused();
        match exchange.send(&mut message).await {
            Ok(response) => return Ok((response, exchange)),
            // An old connection that was closed meanwhile: the next one, until a fresh one.
            Err(Failure::NotSent) if is_reused => {
                exchange = connect().await?;
            }
            Err(failure) => return Err(Unanswered::Broken(failure)),
        }
    }
}

/// A new connection, or a place on one that is new.
async fn open(
    worker: &Worker,
    (slot, protocol): (&Slot, Protocol),
    introduction: &[u8],
) -> Result<Exchange, Unanswered> {
    worker.upstreams.make_room().await;
    let limits = slot.limits(&worker.config.limits);
    let opened = Exchange::connect(&slot.endpoint, protocol, limits, introduction).await;
    opened.map_err(|failure| unopened(worker, failure))
}

/// Why there is no connection. Another endpoint would not help where there is no room for any.
fn unopened(worker: &Worker, failure: Failure) -> Unanswered {
    match failure {
        Failure::Full => {
            worker.metrics.limits("endpoint_connections").add(1);
            Unanswered::Unmade(Refusal::Full(Whose::Worker))
        }
        Failure::Connect(_)
        | Failure::ConnectTimeout
        | Failure::NotSent
        | Failure::Refused(_)
        | Failure::Broken(_)
        | Failure::Invalid(_) => Unanswered::Unsent(failure),
    }
}

impl Unanswered {
    fn judged(self, asked: &Asked<'_>) -> Failed {
        match self {
            Self::Unsent(failure) => Failed::Again { failure, sent: Sent::Nothing },
            Self::Broken(failure) => asked.judge(failure),
            Self::Unmade(refusal) => Failed::Final(refusal),
        }
    }
}

impl Asked<'_> {
    /// Whether a try that failed on an open connection may be made again.
    fn judge(&self, failure: Failure) -> Failed {
        if self.upload.as_ref().is_some_and(|upload| upload.has_failed()) {
            return Failed::Final(Refusal::Upload);
        }
        match failure {
            Failure::Refused(_) if self.has_whole_body() => Failed::Again { failure, sent: Sent::Nothing },
            Failure::NotSent | Failure::Broken(_) if self.is_repeatable() && self.has_whole_body() => {
                Failed::Again { failure, sent: Sent::Something }
            }
            Failure::NotSent
            | Failure::Refused(_)
            | Failure::Broken(_)
            | Failure::Invalid(_)
            | Failure::Connect(_)
            | Failure::ConnectTimeout
            | Failure::Full => Failed::Final(Refusal::Broken(failure)),
        }
    }

    /// Whether doing it twice is the same as doing it once (RFC 9110 section 9.2.2).
    fn is_repeatable(&self) -> bool {
        matches!(
            self.head.method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
        )
    }

    /// Whether the body can be sent from its start.
    fn has_whole_body(&self) -> bool {
        self.upload.as_ref().is_none_or(|upload| upload.is_whole())
    }
}
