//! Tries that only a rule's `retry` asks for, counted together with the others.

use http::StatusCode;
use tokio::time::Instant;

use super::{Asked, Refusal, Tries};
use crate::proxy::{
    upstream::{Backend, Slot},
    worker::Worker,
};

/// Why a request is sent again of which an endpoint may have seen something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It would be without anybody asking for it.
    Safe,
    /// Only because the rule asks for it.
    Asked,
}

impl Tries {
    /// Counts one more try, if there may be one.
    pub(super) fn repeat(&mut self, why: Repeat) -> bool {
        self.repeats += 1;
        match &mut self.retries {
            None => why == Repeat::Safe && self.repeats <= Self::REPEATS,
            Some(retries) => {
                let is_free = why == Repeat::Safe && self.repeats <= Self::REPEATS;
                self.repeats <= retries.policy.attempts && (is_free || retries.take_place())
            }
        }
    }

    /// The next try goes to another endpoint. With nowhere else to go, to the same one again: it may have closed an old
    /// connection at that moment.
    pub(super) fn leave(&mut self, backend: &Backend, slot: &Slot) {
        self.failed.push(slot.endpoint.clone());
        if self.failed.len() >= backend.len().min(Self::ENDPOINTS) {
            self.failed.clear();
        }
    }

    /// Whether an answer is not passed on but the request sent again.
    pub(in crate::proxy::http) fn retries(
        &mut self,
        worker: &Worker,
        (backend, slot): (&Backend, &Slot),
        status: StatusCode,
        asked: &Asked<'_>,
    ) -> bool {
        let is_listed =
            self.retries.as_ref().is_some_and(|retries| retries.policy.codes.contains(&status.as_u16()));
        if !is_listed || !asked.has_whole_body() || !self.repeat(Repeat::Asked) {
            return false;
        }
        self.leave(backend, slot);
        worker.metrics.retries(&backend.name).add(1);
        true
    }

    pub(super) fn too_long(
        &mut self,
        worker: &Worker,
        backend: &Backend,
        slot: &Slot,
        refusal: Refusal,
    ) -> Result<(), Refusal> {
        self.blame(worker, (backend, slot), &refusal);
        if !self.repeat(Repeat::Asked) {
            return Err(refusal);
        }
        self.leave(backend, slot);
        worker.metrics.retries(&backend.name).add(1);
        Ok(())
    }

    /// Waits before the next try as long as the rule says, but not longer than the whole exchange may take.
    pub(in crate::proxy::http) async fn pause(&self, worker: &Worker) -> Result<(), Refusal> {
        let Some(retries) = self.retries.as_ref().filter(|_| self.repeats > 0) else { return Ok(()) };
        let until = Instant::now() + retries.pause(self.repeats, worker.random());
        let whole = self.whole().unwrap_or(until);
        tokio::time::sleep_until(until.min(whole)).await;
        if whole < until { Err(self.late()) } else { Ok(()) }
    }
}
