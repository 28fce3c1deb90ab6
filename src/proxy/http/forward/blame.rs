//! Which endpoint a failed try is told of, and what its client got in the end.

use std::{io, time::Duration};

use http::StatusCode;
use tokio::time::Instant;

use super::{Asked, Failed, Refusal, Tries, Trouble};
use crate::{
    model::Fault,
    proxy::{
        upstream::{Backend, Failure, Slot},
        worker::Worker,
    },
};

impl Tries {
    /// Endpoints that one request is remembered for; who tries more has other worries.
    const BLAMED: usize = 8;

    /// Takes note of what an endpoint did to the request, for metrics and for people.
    pub(in crate::proxy::http) fn blame(
        &mut self,
        worker: &Worker,
        (backend, slot): (&Backend, &Slot),
        refusal: &Refusal,
    ) {
        let Some(fault) = fault(refusal) else { return };
        worker.metrics.upstream_errors(&backend.name, fault.kind()).add(1);
        let failed = worker.upstreams.failed(slot, fault, refusal.to_string());
        let blamed = &mut self.trouble().blamed;
        blamed.retain(|before| !before.is_of_same(&failed));
        if blamed.len() < Self::BLAMED {
            blamed.push(failed);
        }
    }

    /// Takes note of the error that the client got in the end.
    pub(in crate::proxy::http) fn settle(&mut self, worker: &Worker, status: StatusCode) {
        let Some(trouble) = &mut self.trouble else { return };
        for mut failed in trouble.blamed.drain(..) {
            failed.status = Some(status.as_u16());
            worker.upstreams.note(failed);
        }
    }

    pub(super) fn trouble(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }

    pub(super) fn take_last(&mut self) -> Option<(Refusal, Instant)> {
        self.trouble.as_mut()?.last.take()
    }

    /// The whole exchange has taken too long.
    pub(super) fn late(&self) -> Refusal {
        Refusal::Timeout(self.timeouts.request.unwrap_or(Duration::ZERO))
    }

    /// A try has no answer when the time of the whole exchange, or its own, is over. Where it is the client that was waited
    /// for, no endpoint is to blame.
    pub(super) fn overdue(&self, asked: &Asked<'_>) -> Failed {
        let is_whole = self.whole().is_some() && self.whole() == self.deadline();
        let (name, time) = if is_whole {
            ("request", self.timeouts.request)
        } else {
            ("backendRequest", self.timeouts.backend_request)
        };
        let time = time.unwrap_or(Duration::ZERO);
        let refusal = if asked.upload.as_ref().is_some_and(|upload| upload.is_awaited()) {
            Refusal::LateUpload(name, time)
        } else if is_whole {
            Refusal::Timeout(time)
        } else {
            Refusal::TryTimeout(time)
        };
        if !is_whole && asked.is_repeatable() && asked.has_whole_body() {
            Failed::TooLong(refusal)
        } else {
            Failed::Final(refusal)
        }
    }
}

/// What the endpoint has done, if it was the endpoint.
fn fault(refusal: &Refusal) -> Option<Fault> {
    match refusal {
        Refusal::Unreachable(Failure::ConnectTimeout) => Some(Fault::ConnectTimeout),
        Refusal::Unreachable(Failure::Refused(_)) | Refusal::Broken(Failure::Refused(_)) => {
            Some(Fault::RequestRefused)
        }
        Refusal::Unreachable(Failure::Connect(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Some(Fault::ConnectionRefused)
        }
        Refusal::Unreachable(_) => Some(Fault::NoConnection),
        Refusal::Broken(Failure::Invalid(_)) | Refusal::Switched => Some(Fault::InvalidResponse),
        Refusal::Broken(_) => Some(Fault::Reset),
        Refusal::TryTimeout(_) | Refusal::Timeout(_) => Some(Fault::Timeout),
        Refusal::Method
        | Refusal::Host(_)
        | Refusal::Path(_)
        | Refusal::Fields
        | Refusal::Field
        | Refusal::Length
        | Refusal::Upgrade
        | Refusal::Upload
        | Refusal::LateUpload(..)
        | Refusal::Long(_)
        | Refusal::NoListener
        | Refusal::NoRoute(_)
        | Refusal::Misdirected
        | Refusal::InvalidRule(_)
        | Refusal::InvalidBackend(_)
        | Refusal::NoBackend
        | Refusal::Rewritten
        | Refusal::NoEndpoint(_)
        | Refusal::Crowded
        | Refusal::Overloaded(_)
        | Refusal::Full(_)
        | Refusal::Unasked(_) => None,
    }
}
