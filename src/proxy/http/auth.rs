//! External authorization: a service is asked whether a request may pass. Where nobody can be asked, nobody passes.
//!
//! What the service says of the client (its name, say) goes to the backend in fields that the client itself cannot write:
//! those that are passed on are taken from the request first, under names that a backend may take for the same too.

mod by_grpc;
mod by_http;
mod messages;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell, collections::VecDeque, net::SocketAddr, pin::pin, rc::Rc, sync::Arc, time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use tokio::time::Instant;

use super::{
    Answer, Asked, RequestBody,
    early::Verdict,
    fields::{self, Onward},
    filters::remove,
    forward::{self, Unanswered},
    message::Message,
    mirror::discard,
    refusal::Refusal,
    upload::Uncollected,
};
use crate::{
    model::{AuthProtocol, ExternalAuth},
    proxy::{
        received::Received,
        upstream::{Ask, Backend, Exchange, Failure, Outcome, Picked, Protocol, Slot, Visit},
        worker::Worker,
    },
    route::tells_of_client,
};

/// A service that is asked.
pub(in crate::proxy) struct Auth {
    pub(in crate::proxy) spec: Arc<ExternalAuth>,
    /// Or why the reference leads nowhere.
    pub(in crate::proxy) backend: Result<Rc<Backend>, Arc<str>>,
}

/// What services have said yes to, as long as the request is under way: another try asks none of them again.
#[derive(Default)]
pub(super) struct Permits(RefCell<Vec<(Arc<ExternalAuth>, Rc<Permit>)>>);

/// What comes with a yes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Permit {
    /// Fields that the backend is told by nobody else, if at all.
    removed: Vec<HeaderName>,
    changes: Vec<Change>,
    /// What the client is told with the answer.
    told: Vec<Change>,
}

/// A field that the backend is told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    name: HeaderName,
    value: HeaderValue,
    way: Way,
}

/// What becomes of a field that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It goes.
    Set,
    /// It stays, and there is one more.
    Append,
    /// It stays, and there is no other.
    SetIfAbsent,
    /// It goes; where there is none, there will be none.
    SetIfPresent,
}

/// How a request is put as a question.
pub(super) struct Question<'a> {
    /// What a backend gets.
    pub(super) fields: Onward<'a>,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// Where the client has connected to.
    pub(super) socket: SocketAddr,
    /// The listener's port.
    pub(super) port: u16,
    /// When the whole exchange must be over, and how long it may take.
    pub(super) whole: Option<(Instant, Duration)>,
}

/// What a service has said.
enum Said {
    Yes(Permit),
    /// This is what the client gets.
    No(Answer),
}

/// For an answer, where the rule does not say less.
const TIME: Duration = Duration::from_secs(10);

/// Endpoints that are asked before it is given up.
const ENDPOINTS: usize = 3;

// === impl Question ===

impl Question<'_> {
    /// Why there is no answer at `until`: the time of the whole request is over, or that of the service.
    fn late(&self, until: Instant, service: &str) -> Refusal {
        match self.whole {
            Some((whole, time)) if whole <= until => Refusal::Timeout(time),
            Some(_) | None => unasked(service, &"it did not answer in time"),
        }
    }

    /// When there must be an answer, if the service is asked now.
    fn until(&self, now: Instant) -> Instant {
        self.whole.map_or(now + TIME, |(whole, _)| whole.min(now + TIME))
    }
}

// === impl Permits ===

impl Permits {
    /// Asks all of them that have not said yes yet, one after the other. What others have said does not count any more.
    pub(super) async fn ask<'a>(
        &self,
        worker: &Worker,
        auths: impl Iterator<Item = &'a Auth>,
        asked: &Asked<'_>,
        question: &Question<'_>,
    ) -> Result<Verdict, Refusal> {
        let before = self.0.take();
        for auth in auths {
            if let Some(known) = before.iter().find(|(by, _)| *by == auth.spec) {
                self.0.borrow_mut().push(known.clone());
                continue;
            }
            let backend = auth.backend.as_ref().map_err(|why| Refusal::InvalidBackend(why.clone()))?;
            if backend.len() == 0 {
                return Ok(Verdict::Nobody(backend.clone()));
            }
            let body = body(&auth.spec, asked, question).await?;
            // A body may take its time: that of the service begins when it is there.
            let until = question.until(Instant::now());
            let (response, exchange) =
                answer(worker, (&auth.spec, backend), (asked, &body), (question, until)).await?;
            match auth.judge(worker, response, exchange, (question, until)).await? {
                Said::Yes(permit) => self.0.borrow_mut().push((auth.spec.clone(), Rc::new(permit))),
                Said::No(answer) => return Ok(Verdict::Answer(Box::new(answer))),
            }
        }
        Ok(Verdict::Pass)
    }

    /// Whether there is something that the backend is told, or that no client may tell it.
    pub(super) fn say_something(&self) -> bool {
        !self.0.borrow().is_empty()
    }

    /// The fields that the backend is told by nobody else.
    pub(super) fn names(&self) -> Vec<HeaderName> {
        let permits = self.0.borrow();
        let names = permits.iter().flat_map(|(_, permit)| {
            permit.removed.iter().chain(permit.changes.iter().map(|change| &change.name))
        });
        names.cloned().collect()
    }

    /// Tells the backend what was said.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        for (_, permit) in &*self.0.borrow() {
            permit.write(headers);
        }
    }

    /// Tells the client what was said for it.
    pub(super) fn tell(&self, response: &mut Received) {
        for (_, permit) in &*self.0.borrow() {
            if !permit.told.is_empty() {
                write(&permit.told, response.headers_mut());
            }
        }
    }
}

// === impl Permit ===

impl Permit {
    fn write(&self, headers: &mut HeaderMap) {
        self.removed.iter().for_each(|name| remove(headers, name));
        write(&self.changes, headers);
    }
}

impl Change {
    fn new(name: &HeaderName, value: &HeaderValue, way: Way) -> Self {
        Self { name: name.clone(), value: value.clone(), way }
    }
}

fn write(changes: &[Change], headers: &mut HeaderMap) {
    let present: Vec<bool> = changes.iter().map(|change| headers.contains_key(&change.name)).collect();
    // All that is to go, before any comes that has the same name.
    for (change, is_present) in changes.iter().zip(&present) {
        match change.way {
            Way::Set => remove(headers, &change.name),
            Way::SetIfPresent if *is_present => remove(headers, &change.name),
            Way::SetIfPresent | Way::Append | Way::SetIfAbsent => {}
        }
    }
    for (Change { name, value, way }, is_present) in changes.iter().zip(present) {
        let comes = match way {
            Way::Set | Way::Append => true,
            Way::SetIfAbsent => !headers.contains_key(name),
            Way::SetIfPresent => is_present,
        };
        if comes {
            headers.append(name.clone(), value.clone());
        }
    }
}

/// Whether a field of an answer can be one of the request: not what is about the answer itself, how a message is framed,
/// or what only we say.
fn may_pass(name: &HeaderName) -> bool {
    let is_about_answer = matches!(
        *name,
        header::CONNECTION
            | header::DATE
            | header::EXPECT
            | header::HOST
            | header::SERVER
            | header::SET_COOKIE
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
            | header::VARY
    );
    let name = name.as_str();
    !is_about_answer
        && !name.starts_with("content-")
        && !name.starts_with("proxy-")
        && !tells_of_client(name)
        && name != fields::X_REQUEST_ID.as_str()
}

// === asking ===

/// The body, where it is told.
async fn body(
    spec: &ExternalAuth,
    asked: &Asked<'_>,
    question: &Question<'_>,
) -> Result<VecDeque<Bytes>, Refusal> {
    let Some(upload) = asked.upload.as_ref().filter(|_| spec.body > 0) else { return Ok(VecDeque::new()) };
    let most = usize::try_from(spec.body).unwrap_or(usize::MAX);
    let collecting = upload.collect(most);
    let collected = match question.whole {
        Some((until, time)) => {
            tokio::time::timeout_at(until, collecting).await.map_err(|_| Refusal::Timeout(time))?
        }
        // How slow a client may be is limited elsewhere.
        None => collecting.await,
    };
    collected.map_err(|error| match error {
        Uncollected::TooLong => Refusal::Long(spec.body),
        Uncollected::Broken => Refusal::Upload,
    })
}

/// Asks one endpoint after the other until one answers: a question may be put twice.
async fn answer(
    worker: &Worker,
    (spec, backend): (&ExternalAuth, &Backend),
    (asked, body): (&Asked<'_>, &VecDeque<Bytes>),
    (question, until): (&Question<'_>, Instant),
) -> Result<(Received, Exchange), Refusal> {
    let mut failed = Vec::new();
    let mut last: Option<Failure> = None;
    while failed.len() < ENDPOINTS {
        let picked = backend.pick(&Ask {
            failed: &failed,
            head: asked.head,
            client: asked.client.address,
            random: asked.random,
            now: worker.now(),
            home: None,
        });
        let Some(Picked { slot, place }) = picked else { break };
        let visit = Visit::new(&slot.endpoint, place);
        let introduction = slot.introduction(asked.client.address, question.port);
        let (head, told) = put(spec, (asked, body), question, &slot.name)?;
        let make = || Ok(Message::copy(&head, RequestBody::of(told)));
        let sending = pin!(forward::over(worker, (slot, spoken(spec, slot)), &introduction, make));
        let result = tokio::time::timeout_at(until, sending).await;
        let is_good = matches!(&result, Ok(Ok((response, _))) if !response.status.is_server_error());
        // A limit of ours says nothing of the service.
        let is_ours = matches!(&result, Ok(Err(Unanswered::Unmade(_))));
        if let Some(watched) = slot.watched.as_ref().filter(|_| !is_ours) {
            watched.observe(if is_good { Outcome::Good } else { Outcome::Bad });
        }
        match result {
            Ok(Ok((response, _)))
                if response.status.is_server_error() || response.status.is_informational() =>
            {
                return Err(unasked(&backend.name, &format_args!("it answers {}", response.status)));
            }
            Ok(Ok((response, mut exchange))) => {
                exchange.enter(visit);
                return Ok((response, exchange));
            }
            Ok(Err(Unanswered::Unmade(refusal))) => return Err(refusal),
            Ok(Err(Unanswered::Unsent(failure) | Unanswered::Broken(failure))) => {
                failed.push(slot.endpoint.clone());
                last = Some(failure);
            }
            Err(_) => return Err(question.late(until, &backend.name)),
        }
    }
    Err(match last {
        Some(failure) => unasked(&backend.name, &failure),
        None => unasked(&backend.name, &"every endpoint has as many requests as it may have"),
    })
}

/// The question as a request to an endpoint of this name.
fn put(
    spec: &ExternalAuth,
    (asked, body): (&Asked<'_>, &VecDeque<Bytes>),
    question: &Question<'_>,
    name: &str,
) -> Result<(Parts, VecDeque<Bytes>), Refusal> {
    match &spec.protocol {
        AuthProtocol::Http { path, told, .. } => {
            Ok((by_http::question((path, told), asked, question, name)?, by_http::body(body)))
        }
        AuthProtocol::Grpc { told } => {
            let message = by_grpc::question(told, (asked, body), question);
            Ok((by_grpc::head(name)?, VecDeque::from([message])))
        }
    }
}

/// gRPC is HTTP/2, whatever else the endpoint speaks.
fn spoken(spec: &ExternalAuth, slot: &Slot) -> Protocol {
    match spec.protocol {
        AuthProtocol::Http { .. } => slot.protocol(),
        AuthProtocol::Grpc { .. } => Protocol::Http2,
    }
}

fn unasked(service: &str, why: &dyn std::fmt::Display) -> Refusal {
    Refusal::Unasked(format!("`{service}`: {why}").into())
}

// === impl Auth ===

impl Auth {
    /// What an answer means.
    async fn judge(
        &self,
        worker: &Worker,
        mut response: Received,
        mut exchange: Exchange,
        (question, until): (&Question<'_>, Instant),
    ) -> Result<Said, Refusal> {
        let service = self.backend.as_ref().map_or("", |backend| &backend.name);
        match &self.spec.protocol {
            AuthProtocol::Http { passed, .. } => {
                fields::strip_received(&mut response);
                if response.status != StatusCode::OK {
                    return Ok(Said::No(Answer::Response(response, exchange, Some(until))));
                }
                // Its connection is for others, if the rest of the answer is short.
                let _ = tokio::time::timeout_at(until, discard(&mut exchange)).await;
                exchange.finish(worker.now());
                Ok(Said::Yes(by_http::permit(passed, response.headers_mut())))
            }
            AuthProtocol::Grpc { .. } => {
                let reading = by_grpc::read(&mut response, &mut exchange);
                let read = tokio::time::timeout_at(until, reading).await;
                exchange.finish(worker.now());
                match read {
                    Ok(Ok(answer)) => Ok(by_grpc::said(answer)),
                    Ok(Err(why)) => Err(unasked(service, &why)),
                    Err(_) => Err(question.late(until, service)),
                }
            }
        }
    }
}
