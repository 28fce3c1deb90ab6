//! A stream: a request and its answer.

use std::{
    future::{Future as _, poll_fn},
    io,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use ::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use http_body::{Body as _, Frame, SizeHint};

use super::{
    super::{
        super::{
            http::{self, Body, Reply},
            http1::fields::expects_continue,
            http2::{self, Duplex, Inflow, Outflow},
            present::{Field, Present},
            worker::Worker,
        },
        Busy, Connection, Incoming,
    },
    lane::{Lane, Patience},
};

/// The body of a request, as it comes.
pub(in crate::proxy) struct Coming {
    lane: Rc<Lane>,
    inflow: Inflow,
    /// Whether the client waits for a word before it sends any of it.
    owes_continue: bool,
}

/// Answers a request. Dropping the future resets the stream.
pub(super) async fn serve(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    (request, respond): (Request<RecvStream>, SendResponse<Bytes>),
) {
    let lane = Rc::<Lane>::default();
    let patience = Patience::new(&worker.config.limits);
    let mut sleep = None;
    let mut answering = pin!(answer(worker, connection, lane.clone(), request, respond));
    poll_fn(|cx| match answering.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => lane.poll_patience(&patience, &mut sleep, cx),
    })
    .await;
}

async fn answer(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    lane: Rc<Lane>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let (head, stream) = request.into_parts();
    let method = head.method.clone();
    // What follows a request to connect is no body.
    let (inflow, tunnelled) = if method == Method::CONNECT {
        (Inflow::empty(), Some(stream))
    } else {
        (Inflow::new(stream, &head.headers), None)
    };
    let owes_continue = expects_continue(&head.headers);
    let coming = Coming { lane: lane.clone(), inflow, owes_continue };
    let reply = {
        let asked = (Box::new(head), Incoming::Http2(coming));
        let mut answering = pin!(http::answer(worker.clone(), connection.clone(), Some(lane.clone()), asked));
        poll_fn(|cx| {
            let reply = answering.as_mut().poll(cx);
            for (status, headers) in lane.take_interim() {
                inform(&mut respond, status, headers);
            }
            match reply {
                Poll::Ready(reply) => Poll::Ready(Some(reply)),
                // The client has taken its request back, or is gone.
                Poll::Pending => respond.poll_reset(cx).map(|_| None),
            }
        })
        .await
    };
    let Some(Reply { head, body }) = reply else { return };
    let tunnel = lane.take_tunnel().zip(tunnelled);
    let ends = tunnel.is_none() && (method == Method::HEAD || body.is_end_stream());
    let mut response = head.into_response(());
    complete(&mut response, &body, &worker);
    let Ok(sender) = respond.send_response(response, ends) else {
        return respond.send_reset(Reason::INTERNAL_ERROR);
    };
    match tunnel {
        Some((tunnel, receiver)) => {
            drop(body);
            let _busy = Busy::new(connection.clone());
            tunnel.run(&connection, Duplex::new(sender, receiver), Bytes::new()).await;
        }
        None if ends => {}
        None => {
            let mut outflow = Outflow::new(sender, body);
            poll_fn(|cx| {
                let sent = outflow.poll(cx);
                if sent.is_pending() {
                    // A client that takes nothing of the answer may send on all the same.
                    outflow.body_mut().poll_upload(cx);
                }
                sent
            })
            .await;
        }
    }
}

fn inform(respond: &mut SendResponse<Bytes>, status: StatusCode, headers: HeaderMap) {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    // It fails where the stream has ended, which the answer is told.
    let _sent = respond.send_informational(response);
}

/// Adds to the fields of an answer what each has, and takes away what HTTP/2 tells otherwise (RFC 9113 section 8.2.2).
fn complete(response: &mut Response<()>, body: &Body, worker: &Worker) {
    let has_no_length = response.status() == StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let present = Present::of(headers);
    if present.has_any(&http2::OF_CONNECTIONS) {
        http2::strip(headers);
        headers.remove(header::TE);
    }
    if has_no_length {
        // RFC 9110 section 8.6.
        headers.remove(header::CONTENT_LENGTH);
    }
    if !present.has(Field::Date) {
        headers.insert(header::DATE, worker.dated());
    }
    if !body.is_end_stream()
        && !present.has(Field::ContentLength)
        && let Some(length) = body.size_hint().exact()
    {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
}

// === impl Coming ===

impl Coming {
    /// An endpoint's connection waits for more of it.
    pub(in crate::proxy::connection) fn holds_up(&self) {
        self.lane.sending.waits();
    }

    pub(in crate::proxy::connection) fn is_end_stream(&self) -> bool {
        self.inflow.is_end_stream()
    }

    pub(in crate::proxy::connection) fn size_hint(&self) -> SizeHint {
        self.inflow.size_hint()
    }

    pub(in crate::proxy::connection) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if std::mem::take(&mut self.owes_continue) {
            self.lane.inform(StatusCode::CONTINUE, HeaderMap::new());
        }
        let frame = ready!(self.inflow.poll_frame(cx));
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        self.lane.sending.moved(data.map_or(0, Bytes::len) as u64);
        Poll::Ready(frame)
    }
}
