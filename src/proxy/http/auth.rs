//! External authorization: a service is asked whether a request may pass. 200 is yes, anything else is what the client
//! gets; where nobody can be asked, nobody passes.
//!
//! What the service says of the client (its name, say) goes to the backend in fields that the client itself cannot write:
//! those that are passed on are taken from the request first, under names that a backend may take for the same too.

#[cfg(test)]
mod tests;

use std::{cell::RefCell, pin::pin, rc::Rc, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header, request::Parts};
use tokio::time::Instant;

use super::{
    Answer, Asked, RequestBody,
    early::Verdict,
    fields::{self, Onward},
    filters,
    forward::{self, Unanswered},
    message::Message,
    mirror::discard,
    refusal::Refusal,
};
use crate::{
    model::ExternalAuth,
    proxy::{
        received::Received,
        upstream::{Ask, Backend, Exchange, Failure, Outcome, Picked, Visit},
        worker::Worker,
    },
};

/// A service that is asked.
pub(in crate::proxy) struct Auth {
    pub(in crate::proxy) spec: Arc<ExternalAuth>,
    /// Or why the reference leads nowhere.
    pub(in crate::proxy) backend: Result<Rc<Backend>, Arc<str>>,
}

/// What services have said yes to, as long as the request is under way: another try asks none of them again.
#[derive(Default)]
pub(super) struct Permits(RefCell<Vec<Permit>>);

#[derive(Clone, Debug)]
struct Permit {
    by: Arc<ExternalAuth>,
    /// What the backend is told.
    fields: HeaderMap,
}

/// How a request is put as a question.
pub(super) struct Question<'a> {
    /// What a backend gets.
    pub(super) fields: Onward<'a>,
    /// The listener's port.
    pub(super) port: u16,
    pub(super) until: Instant,
}

/// For an answer, where the rule does not say less.
pub(super) const TIME: Duration = Duration::from_secs(10);

/// Endpoints that are asked before it is given up.
const ENDPOINTS: usize = 3;

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
            if let Some(known) = before.iter().find(|known| known.by == auth.spec) {
                self.0.borrow_mut().push(known.clone());
                continue;
            }
            let backend = auth.backend.as_ref().map_err(|why| Refusal::InvalidBackend(why.clone()))?;
            if backend.len() == 0 {
                return Ok(Verdict::Nobody(backend.clone()));
            }
            let (mut response, mut exchange) = answer(worker, (&auth.spec, backend), asked, question).await?;
            fields::strip_received(&mut response);
            if response.status != StatusCode::OK {
                let answer = Answer::Response(response, exchange, Some(question.until));
                return Ok(Verdict::Answer(Box::new(answer)));
            }
            // Its connection is for others, if the rest of the answer is short.
            let _ = tokio::time::timeout_at(question.until, discard(&mut exchange)).await;
            exchange.finish(worker.now());
            let permit = Permit { by: auth.spec.clone(), fields: passed(&auth.spec, response.headers_mut()) };
            self.0.borrow_mut().push(permit);
        }
        Ok(Verdict::Pass)
    }

    /// Whether there is something that the backend is told, or that no client may tell it.
    pub(super) fn say_something(&self) -> bool {
        !self.0.borrow().is_empty()
    }

    /// Tells the backend what was said.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        for Permit { by, fields } in &*self.0.borrow() {
            by.passed.iter().for_each(|name| remove(headers, name));
            fields.keys().for_each(|name| remove(headers, name));
            for (name, value) in fields {
                headers.append(name.clone(), value.clone());
            }
        }
    }
}

/// Removes a field, under whatever name a backend may take for the same.
fn remove(headers: &mut HeaderMap, name: &HeaderName) {
    headers.remove(name);
    let plain = |name: &HeaderName| name.as_str().replace('_', "-");
    let is_alias =
        |other: &&HeaderName| other.as_str().len() == name.as_str().len() && plain(other) == plain(name);
    let aliases: Vec<HeaderName> = headers.keys().filter(is_alias).cloned().collect();
    for alias in aliases {
        headers.remove(alias);
    }
}

/// What of an answer the backend is told.
fn passed(spec: &ExternalAuth, answer: &HeaderMap) -> HeaderMap {
    let is_wanted = |name: &HeaderName| spec.passed.is_empty() || spec.passed.contains(name);
    let fields = answer.iter().filter(|(name, _)| is_wanted(name) && may_pass(name));
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
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
        && !fields::tells_of_client(name)
        && name != fields::X_REQUEST_ID.as_str()
}

// === asking ===

/// Asks one endpoint after the other until one answers: a question may be put twice.
async fn answer(
    worker: &Worker,
    (spec, backend): (&ExternalAuth, &Backend),
    asked: &Asked<'_>,
    question: &Question<'_>,
) -> Result<(Received, Exchange), Refusal> {
    let unasked = |why: &dyn std::fmt::Display| Refusal::Unasked(format!("`{}`: {why}", backend.name).into());
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
        let head = head(spec, asked, &question.fields, &slot.name)?;
        let make = || Ok(Message::copy(&head, RequestBody::Empty));
        let sending = pin!(forward::over(worker, (slot, slot.protocol()), &introduction, make));
        let result = tokio::time::timeout_at(question.until, sending).await;
        let is_good = matches!(&result, Ok(Ok((response, _))) if !response.status.is_server_error());
        if let Some(watched) = &slot.watched {
            watched.observe(if is_good { Outcome::Good } else { Outcome::Bad });
        }
        match result {
            Ok(Ok((response, _)))
                if response.status.is_server_error() || response.status.is_informational() =>
            {
                return Err(unasked(&format_args!("it answers {}", response.status)));
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
            Err(_) => return Err(unasked(&"it did not answer in time")),
        }
    }
    Err(match last {
        Some(failure) => unasked(&failure),
        None => unasked(&"every endpoint has as many requests as it may have"),
    })
}

/// The same method, host and path, without a body, and with the fields that may be told.
fn head(spec: &ExternalAuth, asked: &Asked<'_>, fields: &Onward<'_>, name: &str) -> Result<Parts, Refusal> {
    let mut request = Request::new(());
    *request.method_mut() = asked.head.method.clone();
    let path = format!("{}{}", spec.path, asked.target.path());
    *request.uri_mut() = filters::uri(&path, asked.head.uri.query())?;
    let mut told = HeaderMap::new();
    fields.each(|field, value| {
        if is_told(spec, field) {
            told.append(field.clone(), value.clone());
        }
    });
    if !told.contains_key(header::HOST) {
        let name = HeaderValue::try_from(name).map_err(|_| Refusal::Rewritten)?;
        told.insert(header::HOST, name);
    }
    *request.headers_mut() = told;
    Ok(request.into_parts().0)
}

/// Whether the service is told a field of the request. There is no body whose length or type could be.
fn is_told(spec: &ExternalAuth, name: &HeaderName) -> bool {
    let frames = matches!(
        *name,
        header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::EXPECT | header::CONNECTION | header::TE
    );
    let is_always = matches!(*name, header::HOST | header::AUTHORIZATION)
        || *name == fields::X_REQUEST_ID
        || fields::tells_of_client(name.as_str());
    !frames && (is_always || spec.told.contains(name))
}
