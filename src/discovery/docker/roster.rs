//! The containers of one engine as last inspected, corrected by what events have said since.
//!
//! An inspection takes time, and events overtake it. Each has a ticket, in the order of asking: an answer is older
//! than every event that came after its ticket was drawn, so it never undoes what `die` or `pause` said at once.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    api::{Action, Error, Happening},
    inspect::{Inspected, Sighting},
    signal::Signal,
};
use crate::{
    model::{Phase, Workload, WorkloadId},
    runtime::reflect::Event,
};

#[derive(Debug, Default)]
pub(super) struct Roster {
    watched: BTreeMap<WorkloadId, Watched>,
    /// Containers to inspect as soon as a call is free; none twice.
    queue: VecDeque<WorkloadId>,
    calls: usize,
    next_ticket: Ticket,
    /// Whether the first full list was given out: before that, nothing else is.
    published: bool,
}

/// Numbers the inspections.
pub(super) type Ticket = u64;

#[derive(Debug, Default)]
struct Watched {
    last: Option<Inspected>,
    /// What the outside was told.
    sent: Option<Workload>,
    kill: Option<Kill>,
    /// The inspection that `last` came from.
    applied: Ticket,
    /// Answers to earlier tickets may show it running although it is not.
    lowered: Ticket,
    calls: usize,
    queued: bool,
    /// Named by an event since the last list.
    touched: bool,
    /// Not in the last list.
    absent: bool,
    complaint: Option<String>,
}

/// A signal that was sent to a container.
#[derive(Clone, Copy, Debug)]
struct Kill {
    signal: Signal,
    /// By the engine's clock; 0 if it did not say.
    time: i128,
    seen: Instant,
}

/// Whether an inspection goes before the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    /// An event asks: traffic may depend on it.
    Event,
    /// A list asks.
    List,
}

/// Which of the listed containers are inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All: events may have been lost.
    Everything,
    /// Those of which the list tells something new.
    Differences,
}

/// What an inspection led to.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) event: Option<Event<Workload>>,
    /// The change is one that no event told of.
    pub(super) drifted: bool,
    pub(super) complaint: Option<Error>,
}

// === impl Roster ===

impl Roster {
    /// Enough to be quick, few enough not to crowd out other clients of the engine.
    const CALLS: usize = 16;
    /// A second one, so that a `start` does not wait for the inspection that the `connect` before it asked for.
    const CALLS_PER_CONTAINER: usize = 2;
    /// After this long a container that got its stop signal and still runs is taken to have ignored it.
    pub(super) const TERMINATING: Duration = Duration::from_mins(10);

    /// What is to be inspected next, if a call is free.
    pub(super) fn next_call(&mut self) -> Option<(WorkloadId, Ticket)> {
        if self.calls >= Self::CALLS {
            return None;
        }
        let watched = &self.watched;
        let free = |id: &WorkloadId| watched.get(id).is_none_or(|w| w.calls < Self::CALLS_PER_CONTAINER);
        let position = self.queue.iter().position(free)?;
        let id = self.queue.remove(position)?;
        let Some(entry) = self.watched.get_mut(&id) else { return self.next_call() };
        entry.queued = false;
        entry.calls += 1;
        self.calls += 1;
        self.next_ticket += 1;
        Some((id, self.next_ticket))
    }

    /// The calls under way will never be answered.
    pub(super) fn forget_calls(&mut self) {
        self.calls = 0;
        self.queue.clear();
        for entry in self.watched.values_mut() {
            entry.calls = 0;
            entry.queued = false;
        }
    }

    /// Whether the outside knows of any container.
    pub(super) fn is_empty(&self) -> bool {
        self.watched.values().all(|entry| entry.last.is_none())
    }

    /// Takes in an event. What it says for certain is told at once; the rest after an inspection.
    pub(super) fn happened(&mut self, now: Instant, happening: Happening) -> Option<Event<Workload>> {
        let Happening { id, action, time } = happening;
        if action == Action::Destroy {
            return self.remove(&id);
        }
        let next_ticket = self.next_ticket + 1;
        let entry = self.watched.entry(id.clone()).or_default();
        entry.touched = true;
        match action {
            Action::Kill(signal) => {
                entry.killed(signal.map(|signal| Kill { signal, time, seen: now }));
                if entry.last.is_none() {
                    self.want(&id, Urgency::Event);
                }
            }
            Action::Die => {
                entry.lower(Phase::Exited, time, next_ticket);
                self.want(&id, Urgency::Event);
            }
            Action::Pause => {
                entry.lower(Phase::Paused, time, next_ticket);
                self.want(&id, Urgency::Event);
            }
            Action::Other | Action::Destroy => self.want(&id, Urgency::Event),
        }
        self.tell(now, &id)
    }

    /// Takes in a full list and says which containers are inspected for it. What it does not name is inspected too: it
    /// may have started after the list was made.
    pub(super) fn listed(&mut self, list: Vec<Sighting>, scope: Scope) -> BTreeSet<WorkloadId> {
        for entry in self.watched.values_mut() {
            entry.absent = true;
            entry.touched = false;
        }
        let mut doubtful = BTreeSet::new();
        for sighting in list {
            let entry = self.watched.entry(sighting.id.clone()).or_default();
            entry.absent = false;
            let agrees = entry.last.as_ref().is_some_and(|last| sighting.agrees(&last.workload));
            if scope == Scope::Everything || !agrees {
                doubtful.insert(sighting.id);
            }
        }
        let absent = self.watched.iter().filter(|(_, entry)| entry.absent);
        doubtful.extend(absent.map(|(id, _)| id.clone()));
        for id in &doubtful {
            self.want(id, Urgency::List);
        }
        doubtful
    }

    /// Takes in the answer to an inspection.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        (id, ticket): (&WorkloadId, Ticket),
        answer: Result<Option<Inspected>, Error>,
    ) -> Answered {
        self.calls = self.calls.saturating_sub(1);
        let Some(entry) = self.watched.get_mut(id) else { return Answered::default() };
        entry.calls = entry.calls.saturating_sub(1);
        let untouched = !entry.touched;
        if ticket < entry.applied || ticket < entry.lowered {
            return Answered::default();
        }
        let event = match answer {
            Ok(Some(inspected)) => {
                entry.applied = ticket;
                entry.complaint = None;
                entry.inspected(inspected);
                self.tell(now, id)
            }
            Ok(None) => self.remove(id),
            Err(_) if entry.absent && untouched => self.remove(id),
            Err(error) => return Answered { complaint: entry.complain(error), ..Answered::default() },
        };
        Answered { drifted: event.is_some() && untouched, event, complaint: None }
    }

    /// Everything that is known, to be given out as the first full list.
    pub(super) fn publish(&mut self, now: Instant) -> Vec<Workload> {
        self.published = true;
        let ids: Vec<_> = self.watched.keys().cloned().collect();
        ids.iter().filter_map(|id| self.tell(now, id)).filter_map(applied).collect()
    }

    /// Brings back what has outlived its stop signal.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Event<Workload>> {
        let killed = self.watched.iter().filter(|(_, entry)| entry.kill.is_some());
        let ids: Vec<_> = killed.map(|(id, _)| id.clone()).collect();
        ids.iter().filter_map(|id| self.tell(now, id)).collect()
    }

    fn want(&mut self, id: &WorkloadId, urgency: Urgency) {
        let Some(entry) = self.watched.get_mut(id) else { return };
        if entry.queued && urgency == Urgency::List {
            return;
        }
        if entry.queued {
            self.queue.retain(|queued| queued != id);
        }
        entry.queued = true;
        match urgency {
            Urgency::Event => self.queue.push_front(id.clone()),
            Urgency::List => self.queue.push_back(id.clone()),
        }
    }

    /// The event that brings the outside up to date about one container.
    fn tell(&mut self, now: Instant, id: &WorkloadId) -> Option<Event<Workload>> {
        let entry = self.watched.get_mut(id).filter(|_| self.published)?;
        let current = entry.current(now)?;
        if entry.sent.as_ref() == Some(&current) {
            return None;
        }
        entry.sent = Some(current.clone());
        Some(Event::Apply(current))
    }

    fn remove(&mut self, id: &WorkloadId) -> Option<Event<Workload>> {
        let entry = self.watched.remove(id)?;
        entry.sent.map(|_| Event::Delete(id.clone()))
    }
}

fn applied(event: Event<Workload>) -> Option<Workload> {
    match event {
        Event::Apply(workload) | Event::InitApply(workload) => Some(workload),
        Event::Init | Event::InitDone | Event::Delete(_) => None,
    }
}

// === impl Watched ===

impl Watched {
    /// Notes a signal, unless the container is known not to stop by it.
    fn killed(&mut self, kill: Option<Kill>) {
        let Some(kill) = kill else { return };
        let stop = self.last.as_ref().map(|last| last.stop_signal);
        let counts = match stop {
            Some(stop) => kill.signal.stops(stop),
            // Unknown yet: any signal may be its stop signal, but none replaces one that surely is.
            None => kill.signal.stops(Signal::TERM) || self.kill.is_none(),
        };
        // The same event, heard again, does not begin its time anew.
        let again = self.kill.is_some_and(|known| known.time != 0 && known.time == kill.time);
        if counts && !again {
            self.kill = Some(kill);
        }
    }

    /// It does not run any more, whatever inspections say that were asked for earlier. An event of an earlier run,
    /// heard again after a reconnect, says nothing.
    fn lower(&mut self, phase: Phase, time: i128, next_ticket: Ticket) {
        let Some(last) = &mut self.last else { return };
        if time == 0 || time >= last.started {
            last.workload.phase = phase;
            self.lowered = next_ticket;
        }
    }

    fn inspected(&mut self, inspected: Inspected) {
        let over = |kill: &Kill| kill.time != 0 && kill.time < inspected.started;
        if self.kill.as_ref().is_some_and(over) {
            self.kill = None;
        }
        self.last = Some(inspected);
    }

    /// What it is now: as inspected, but terminating if it got its stop signal in this run.
    fn current(&self, now: Instant) -> Option<Workload> {
        let last = self.last.as_ref()?;
        let mut workload = last.workload.clone();
        let stopped = self.kill.is_some_and(|kill| {
            kill.signal.stops(last.stop_signal) && now.duration_since(kill.seen) < Roster::TERMINATING
        });
        if stopped && matches!(workload.phase, Phase::Running | Phase::Paused) {
            workload.phase = Phase::Terminating;
        }
        Some(workload)
    }

    /// The complaint, if it is a new one.
    fn complain(&mut self, error: Error) -> Option<Error> {
        let text = error.to_string();
        let new = self.complaint.as_ref() != Some(&text);
        self.complaint = Some(text);
        new.then_some(error)
    }
}
