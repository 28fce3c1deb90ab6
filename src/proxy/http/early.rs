//! What is answered without a backend: a preflight, a no of those who have to allow a request, a redirect.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    Answer, Asked,
    auth::{Auth, Question},
    cors, filters, peer,
    record::Record,
    refusal::Refusal,
};
use crate::{
    model::HttpFilter,
    proxy::{
        connection::Connection,
        upstream::Backend,
        worker::{Choice, Rule, Worker},
    },
};

/// Whether a backend is asked.
pub(super) enum Verdict {
    Pass,
    /// This is what the client gets.
    Answer(Box<Answer>),
    /// Somebody has to allow it, and has no endpoint that could be asked at the moment.
    Nobody(Rc<Backend>),
}

impl Asked<'_> {
    /// Who may not pass does not learn of a redirect; a browser's preflight has nothing to show to those who are asked.
    pub(super) async fn answered_early(
        &self,
        worker: &Worker,
        connection: &Connection,
        record: &mut Record,
        (rule, choice, facts): (&Rule, Option<&Choice>, &filters::Facts<'_>),
    ) -> Result<Verdict, Refusal> {
        let filters = choice.map_or(&[][..], |choice| rule.choice_filters(choice));
        // The rule's own filter is asked first about a preflight, so it has the word about what follows too.
        let is_rules = rule.spec.filters.iter().any(|filter| matches!(filter, HttpFilter::Cors(_)));
        if let Some(answer) = self.cors(if is_rules { &rule.spec.filters } else { filters }) {
            return Ok(Verdict::Answer(Box::new(answer)));
        }
        let auths = rule.auths.iter().chain(choice.into_iter().flat_map(|choice| &choice.auths));
        match self.may_pass(worker, connection, (rule, auths), record).await? {
            Verdict::Pass => {}
            other @ (Verdict::Answer(_) | Verdict::Nobody(_)) => return Ok(other),
        }
        if let Some(answer) = redirected_by(&[], &rule.spec.filters, facts)? {
            return Ok(Verdict::Answer(answer));
        }
        if let Some(choice) = choice {
            record.chosen(choice.index);
        }
        let redirect = redirected_by(&rule.spec.filters, filters, facts)?;
        Ok(redirect.map_or(Verdict::Pass, Verdict::Answer))
    }

    /// Asks those who have to allow it, where there are any.
    async fn may_pass<'a>(
        &self,
        worker: &Worker,
        connection: &Connection,
        (rule, auths): (&Rule, impl Iterator<Item = &'a Auth>),
        record: &Record,
    ) -> Result<Verdict, Refusal> {
        let mut auths = auths.peekable();
        if auths.peek().is_none() {
            return Ok(Verdict::Pass);
        }
        let whole = rule.spec.timeouts.request.map(|time| (record.started + time, time));
        let fields = self.onward(peer(worker, connection, &rule.port_text));
        let (scheme, socket) = (connection.scheme, connection.socket);
        let question = Question { fields, scheme, socket, port: rule.port.get(), whole };
        // In a box: few requests need one, and all would have room for it.
        let verdict = Box::pin(self.permits.ask(worker, auths, self, &question)).await?;
        if let Verdict::Answer(answer) = &verdict {
            self.refuse_false_tunnel(record, answer.status())?;
        }
        Ok(verdict)
    }

    /// What a CORS filter among these makes of the request: an answer to a preflight, or a word for later.
    fn cors(&self, filters: &[HttpFilter]) -> Option<Answer> {
        match cors::judge(filters, self.head)? {
            cors::Verdict::Preflight(headers) => Some(Answer::Own(StatusCode::NO_CONTENT, headers)),
            cors::Verdict::Actual(told) => {
                self.told.set(Some(told));
                None
            }
        }
    }
}

/// Where a filter sends the client, after the rewrites of those before it.
fn redirected_by(
    before: &[HttpFilter],
    filters: &[HttpFilter],
    facts: &filters::Facts<'_>,
) -> Result<Option<Box<Answer>>, Refusal> {
    let redirect = filters::redirect_after(before, filters, facts).transpose()?;
    Ok(redirect.map(|(redirect, location)| Box::new(redirected(redirect.status, location))))
}

fn redirected(status: StatusCode, location: HeaderValue) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(header::LOCATION, location);
    Answer::Own(status, headers)
}
