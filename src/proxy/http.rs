//! A request, from its head to its answer: check → find route → ask who may pass → request filters → pick endpoint →
//! forward (retry) → response filters → record.

mod adopt;
mod auth;
mod body;
mod check;
mod cors;
mod early;
mod fields;
mod filters;
mod forward;
mod head_size;
mod kept;
mod message;
mod mirror;
mod record;
mod refusal;
mod reply;
mod retry;
mod session;
mod trailing;
mod upload;

use std::{cell::Cell, num::NonZeroU16, pin::pin, rc::Rc};

use http::{HeaderMap, HeaderValue, StatusCode, Version, header, request::Parts};
use http_body::Body as _;

use super::{
    connection::{Connection, Incoming, Lane},
    present::Present,
    received::Received,
    upstream::Exchange,
    worker::{Guest, Routed, Unrouted, Worker},
};
use crate::{model::HttpFilter, route};
pub(super) use auth::Auth;
use auth::Permits;
pub(super) use body::{Body, RequestBody};
use check::{Scope, Target};
use early::Verdict;
#[cfg(any(test, fuzzing))]
pub(super) use fields::forwarded_for;
use fields::strip_received;
use fields::{Client, Onward, Peer, RequestId};
pub(super) use fields::{Trailers, strip_response};
pub(super) use filters::prefix;
use forward::Tries;
pub(super) use message::Message;
use message::Outgoing;
pub(super) use mirror::Mirror;
use record::Record;
use refusal::Refusal;
use reply::Answer;
pub(super) use reply::{Reply, unreadable};
pub(super) use retry::{Budget, Budgets};
pub use session::SessionKey;
pub(super) use session::{Home, Sessions};
use upload::Upload;

/// A request that was checked, as it is kept until there is an answer: a failed try may need it again.
struct Asked<'a> {
    head: &'a Parts,
    target: &'a Target,
    /// Of the target: to ask for it costs a look at each of its bytes.
    host: &'a str,
    /// Of the fields.
    present: Present,
    client: &'a Client,
    /// Absent where the connection is of one who stands for many.
    guest: Option<&'a Guest>,
    /// Absent where there is no body.
    upload: Option<Rc<Upload>>,
    wants: Wants,
    /// The same for all tries, so that they go to the same choice.
    random: u64,
    /// What a CORS filter wants said with the answer, whoever gives it.
    told: Cell<Option<cors::Told>>,
    /// Who has let it pass.
    permits: Permits,
    /// Whether its mirrors have theirs already.
    is_copied: Cell<bool>,
}

/// What a client wants its connection to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Http,
    WebSocket,
}

/// Answers a request. Never fails: what goes wrong is an answer too.
pub(super) async fn answer(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    lane: Option<Rc<Lane>>,
    (mut head, incoming): (Box<Parts>, Incoming),
) -> Reply {
    // In a box: it is moved from hand to hand.
    let mut record = Box::new(Record::begin(worker.clone(), connection.clone(), lane, &head));
    let client = client(&worker, &connection, &head.headers);
    record.identified(&client);
    let mut told = None;
    let answer = match check(&worker, &connection, &mut head, incoming) {
        Ok((target, upload, wants)) => {
            if let Some(upload) = &upload {
                record.uploading(upload);
            }
            let random = worker.random();
            let told_later = Cell::new(None);
            let asked = Asked {
                head: &head,
                present: Present::of(&head.headers),
                target: &target,
                host: target.host(),
                client: &client,
                guest: connection.guest.get(),
                upload,
                wants,
                random,
                told: told_later,
                permits: Permits::default(),
                is_copied: Cell::new(false),
            };
            let mut tries = Tries::new(record.started);
            let answer = {
                // Pinned here: a future of this size is not to be moved.
                let exchanging = pin!(exchange(&worker, &connection, &mut record, &asked, &mut tries));
                exchanging.await
            };
            if let Err(refusal) = &answer {
                tries.settle(&worker, refusal.status());
            }
            told = asked.told.take();
            answer
        }
        Err(refusal) => Err(refusal),
    };
    let mut reply = match answer {
        Ok(answer) => reply::respond(answer, record),
        Err(refusal) => {
            if let Some(limit) = refusal.limit() {
                worker.metrics.limits(limit).add(1);
            }
            let mut reply = reply::refuse(&refusal, &head.headers, &client.request_id.value(), record);
            if fields::may_know(&client, connection.trust, &worker.config.trusted_proxies) {
                reply.head.headers_mut().insert(fields::PORTOLAN_REASON.clone(), refusal.reason());
            }
            reply
        }
    };
    if let Some(told) = told {
        told.write(reply.head.headers_mut());
    }
    // What follows was not checked: it must not be read as a request.
    let is_last = connection.opaque.get() || (worker.is_leaving() && !connection.is_http2());
    if is_last && reply.head.status != StatusCode::SWITCHING_PROTOCOLS {
        reply.head.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

type Checked = (Target, Option<Rc<Upload>>, Wants);

fn check(
    worker: &Worker,
    connection: &Connection,
    head: &mut Parts,
    incoming: Incoming,
) -> Result<Checked, Refusal> {
    if head.version == Version::HTTP_2 {
        return check_http2(worker, head, incoming);
    }
    let target = Target::of(head, worker.config.allowed)?;
    let wants = if check::asks_for_websocket(head) { Wants::WebSocket } else { Wants::Http };
    if wants == Wants::WebSocket && (!connection.opaque.get() || !incoming.is_end_stream()) {
        return Err(Refusal::Upgrade);
    }
    check::complete(head);
    let upload = (!incoming.is_end_stream()).then(|| Upload::new(incoming));
    Ok((target, upload, wants))
}

fn check_http2(worker: &Worker, head: &mut Parts, incoming: Incoming) -> Result<Checked, Refusal> {
    if head_size::of(head) > worker.config.limits.head_bytes {
        return Err(Refusal::Fields);
    }
    let wants = adopt::adopt(head, worker.config.limits.http2.fields)?;
    let target = Target::of(head, worker.config.allowed)?;
    check::complete(head);
    adopt::to_origin_form(head);
    if wants == Wants::WebSocket {
        adopt::ask_for_websocket(head, [worker.random(), worker.random()]);
    }
    let upload = (!incoming.is_end_stream()).then(|| Upload::new(incoming));
    Ok((target, upload, wants))
}

fn client(worker: &Worker, connection: &Connection, headers: &HeaderMap) -> Client {
    let no_port = HeaderValue::from_static("");
    let peer = peer(worker, connection, &no_port);
    let given = fields::trusted_request_id(headers, connection.trust).cloned();
    Client {
        address: fields::client_address(headers, &peer),
        request_id: given.map_or_else(
            || RequestId::Made(u128::from(worker.random()) << 64 | u128::from(worker.random())),
            RequestId::Given,
        ),
    }
}

fn peer<'a>(worker: &'a Worker, connection: &'a Connection, port: &'a HeaderValue) -> Peer<'a> {
    Peer {
        address: connection.peer,
        text: &connection.peer_text,
        trust: connection.trust,
        trusted: &worker.config.trusted_proxies,
        scheme: connection.scheme,
        port,
        server: worker.config.server_name.as_ref(),
        allowed: worker.config.allowed,
    }
}

/// The request path, on one screen. Each turn of the loop is a try, with the table of that moment.
async fn exchange(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    record: &mut Record,
    asked: &Asked<'_>,
    tries: &mut Tries,
) -> Result<Answer, Refusal> {
    if asked.target.scope == Scope::Server {
        return Ok(Answer::Own(StatusCode::NO_CONTENT, HeaderMap::new()));
    }
    let lane = record.lane().cloned();
    loop {
        let Routed { rule, prefix } = find(worker, connection, record, asked)?;
        record.routed(&rule);
        if let Some(reason) = &rule.spec.invalid {
            return Err(Refusal::InvalidRule(reason.clone()));
        }
        asked.told.set(None);
        let facts = asked.facts(connection.scheme, rule.port, prefix.as_deref());
        let home = rule.sessions.as_ref().and_then(|sessions| sessions.home(&asked.head.headers));
        let choice = rule.choice(home, asked.random);
        match asked.answered_early(worker, connection, record, (&rule, choice, &facts)).await? {
            Verdict::Pass => {}
            Verdict::Answer(answer) => return Ok(*answer),
            Verdict::Nobody(backend) => {
                tries.wait(worker, &backend).await?;
                continue;
            }
        }
        let choice = choice.ok_or(Refusal::NoBackend)?;
        let backend = choice.target.as_ref().map_err(|reason| Refusal::InvalidBackend(reason.clone()))?;
        let rewritten = filters::rewrite(rule.filters(choice), &facts)?;
        tries.limit(&rule.spec, choice.budget.as_ref(), asked);
        let Some(picked) = tries.next(worker, backend, asked, home.map(|home| &home.address)) else {
            tries.wait(worker, backend).await?;
            continue;
        };
        asked.withhold(rule.filters(choice));
        let slot = picked.slot;
        record.trying(&slot.name);
        let edit = |headers: &mut HeaderMap| asked.edit(rule.filters(choice), headers);
        let interim = |status, headers| connection.inform(lane.as_deref(), status, headers);
        let outgoing = Outgoing {
            rewritten,
            port: rule.port,
            fields: asked.onward(peer(worker, connection, &rule.port_text)),
            edit: (asked.permits.say_something() || filters::edits_request(rule.filters(choice)))
                .then_some(&edit),
            interim: asked.takes_interim().then_some(&interim),
        };
        mirror::start(worker, rule.mirrors(choice), asked, &outgoing, &slot.name);
        let attempted = {
            let attempting = pin!(forward::attempt(worker, tries, picked, asked, &outgoing));
            attempting.await
        };
        match attempted {
            Ok((mut response, exchange)) => {
                record.responded(tries.response_after());
                if tries.retries(worker, (backend, slot), response.status, asked) {
                    exchange.finish(worker.now());
                    tries.pause(worker).await?;
                    continue;
                }
                let mut blame = |refusal: &Refusal| tries.blame(worker, (backend, slot), refusal);
                let is_switch = response.status == StatusCode::SWITCHING_PROTOCOLS;
                if !is_switch {
                    asked.refuse_false_tunnel(record, response.status).inspect_err(&mut blame)?;
                    strip_received(&mut response);
                }
                asked.permits.tell(&mut response);
                filters::response_headers(rule.filters(choice), &mut response);
                rule.greet(home, (choice, slot), connection.scheme, &mut response);
                if is_switch {
                    return switch(connection, record.lane(), asked, response, exchange).inspect_err(blame);
                }
                return Ok(Answer::Response(response, exchange, tries.deadline()));
            }
            Err(failed) => {
                tries.failed(worker, backend, slot, failed)?;
                tries.pause(worker).await?;
            }
        }
    }
}

impl Asked<'_> {
    /// Its fields as they go on from `peer`.
    fn onward<'a>(&'a self, peer: Peer<'a>) -> Onward<'a> {
        Onward::new((&self.head.headers, self.present), peer, self.client)
    }

    /// Whether its client can be told of what comes before the answer: an old one cannot.
    fn takes_interim(&self) -> bool {
        self.head.version >= Version::HTTP_11
    }

    /// Has services and filters write in the head.
    fn edit<'f>(&self, filters: impl Iterator<Item = &'f HttpFilter>, headers: &mut HeaderMap) {
        self.permits.write(headers);
        filters::request_headers(filters, headers);
    }

    /// To a request to connect, success would mean that there is a tunnel.
    fn refuse_false_tunnel(&self, record: &Record, status: StatusCode) -> Result<(), Refusal> {
        let is_connecting = self.wants == Wants::WebSocket && record.lane().is_some();
        if is_connecting && status.is_success() { Err(Refusal::Switched) } else { Ok(()) }
    }

    fn facts<'a>(
        &'a self,
        scheme: &'static str,
        port: NonZeroU16,
        prefix: Option<&'a str>,
    ) -> filters::Facts<'a> {
        filters::Facts {
            scheme,
            host: self.host,
            port,
            path: self.target.path(),
            query: self.head.uri.query(),
            prefix,
        }
    }
}

fn find(
    worker: &Worker,
    connection: &Connection,
    record: &mut Record,
    asked: &Asked<'_>,
) -> Result<Routed, Refusal> {
    let given = &asked.head.headers;
    // What a stranger says of itself chooses no route. Nearly no route looks at that.
    let known = worker.reads_client().then(|| {
        let port = HeaderValue::from(connection.socket.port());
        asked.onward(peer(worker, connection, &port)).known()
    });
    let request = route::Request {
        host: asked.host,
        path: &route::path::decoded(asked.target.path()),
        query: asked.head.uri.query(),
        method: &asked.head.method,
        headers: known.as_ref().unwrap_or(given),
    };
    worker.route(connection, &request).map_err(|unrouted| {
        let (series, refusal) = match unrouted {
            Unrouted::NoListener(series) => (series, Refusal::NoListener),
            Unrouted::NoRoute(series) => {
                let listener = series.names[0].clone();
                (series, Refusal::NoRoute(listener))
            }
            Unrouted::Misdirected(series) => (series, Refusal::Misdirected),
        };
        record.unrouted(series);
        refusal
    })
}

/// The backend agreed to switch: the connection, or the stream, becomes a tunnel once this answer is sent.
fn switch(
    connection: &Rc<Connection>,
    lane: Option<&Rc<Lane>>,
    asked: &Asked<'_>,
    mut response: Received,
    mut exchange: Exchange,
) -> Result<Answer, Refusal> {
    let is_websocket = response
        .headers_mut()
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let visit = exchange.leave();
    let stream = if asked.wants == Wants::WebSocket && is_websocket { exchange.into_stream() } else { None };
    let Some((stream, early)) = stream else { return Err(Refusal::Switched) };
    let tunnel = super::upgrade::Tunnel::new(stream, early, visit);
    let mut headers = std::mem::take(response.headers_mut());
    strip_response(&mut headers);
    headers.remove(header::CONTENT_LENGTH);
    if let Some(lane) = lane {
        // RFC 8441 section 5: what the handshake of HTTP/1.1 proves is proven by HTTP/2 itself.
        headers.remove(header::SEC_WEBSOCKET_ACCEPT);
        lane.become_tunnel(tunnel);
        return Ok(Answer::Own(StatusCode::OK, headers));
    }
    *connection.tunnel.borrow_mut() = Some(tunnel);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Ok(Answer::Switch(headers))
}
