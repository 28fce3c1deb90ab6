//! Decides what to ask an engine next and what to say of it: a state machine without I/O.
//!
//! Events are subscribed to first, then all containers are listed and inspected; events that come meanwhile are
//! taken in at once, and the [`Roster`] keeps their order right against answers that they overtook.
//! A subscription can die without a word, so a silent one is opened again from the last event on, and the probe beside it
//! shows whether the engine still answers. An engine remembers only its last 256 events, of every kind: whatever was missed
//! is told if the last event that is known is told first; if it is not, a list shows what is missing.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Notice,
    api::{Action, Error, Happening, Version},
    inspect::{Inspected, Sighting},
    roster::{Roster, Scope, Ticket},
};
use crate::{
    model::{Workload, WorkloadId},
    runtime::{backoff::Backoff, reflect::Event},
};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The first delay after a loss.
    pub retry: Duration,
    /// The longest delay between two tries.
    pub retry_cap: Duration,
    /// How long the event stream may be silent before it is opened again.
    pub idle: Duration,
    /// How often everything is listed although nothing seems to be wrong.
    pub resync: Duration,
    /// How often everything is listed where events are refused.
    pub poll: Duration,
    /// How long an empty list after a full one waits for a second opinion.
    pub confirm: Duration,
    /// How long an event stream that was opened again may take to begin.
    pub replay: Duration,
}

/// What comes from outside.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "few exist at a time, each for a moment")]
pub(super) enum Input {
    /// Time has passed; the first one starts everything.
    Tick,
    Version(Result<Version, Error>),
    Listed(Result<Vec<Sighting>, Error>),
    Inspected(WorkloadId, Ticket, Result<Option<Inspected>, Error>),
    Happened(Happening),
    /// The subscription is over.
    Ended(Error),
}

/// What is to be done, in this order.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "few exist at a time, each for a moment")]
pub(super) enum Order {
    Version,
    List,
    Inspect(WorkloadId, Ticket),
    /// Opens the event stream, in place of the one that is open.
    Subscribe {
        since: i128,
    },
    /// Drops the event stream and all calls under way.
    Disconnect,
    Tell(Notice),
}

#[derive(Debug)]
pub(super) struct Machine {
    timing: Timing,
    roster: Roster,
    link: Link,
    backoff: Backoff,
    /// The time of the newest event, by the engine's clock.
    since: i128,
    published: bool,
    newest: Option<Happening>,
    /// The loss that was told last, until it is over.
    loss: Option<String>,
    /// Why there are no events, until there are.
    degraded: Option<String>,
    orders: VecDeque<Order>,
}

#[derive(Debug)]
enum Link {
    Down { retry: Instant },
    Connecting,
    Up(Up),
}

#[derive(Debug)]
struct Up {
    version: Version,
    events: Events,
    list: List,
    /// Whether another list is due as soon as this one is done.
    owes_list: bool,
    /// Since when everything has been known.
    level: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Events {
    Open {
        heard: Instant,
        gap: Gap,
    },
    /// They cannot be had, mostly because a socket proxy refuses them: lists have to do.
    Refused {
        retry: Instant,
    },
}

/// Whether events may be missing between the last that was heard and the next.
#[derive(Clone, Copy, Debug)]
enum Gap {
    None,
    /// The stream was opened again: it has to begin with the last one until then.
    Possible {
        until: Instant,
    },
}

#[derive(Debug)]
enum List {
    Asked {
        scope: Scope,
        confirmed: Confirmed,
    },
    /// It was empty, which is hard to believe.
    Doubted {
        again: Instant,
        scope: Scope,
    },
    Inspecting {
        scope: Scope,
        waiting: BTreeSet<WorkloadId>,
        drift: usize,
    },
    Done {
        again: Instant,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Confirmed {
    No,
    Yes,
}

// === impl Timing ===

impl Default for Timing {
    fn default() -> Self {
        Self {
            retry: Duration::from_millis(100),
            retry_cap: Duration::from_secs(3),
            idle: Duration::from_secs(4),
            resync: Duration::from_mins(1),
            poll: Duration::from_secs(2),
            confirm: Duration::from_secs(1),
            replay: Duration::from_secs(1),
        }
    }
}

// === impl Machine ===

impl Machine {
    /// A link that held this long was a good one: the next loss is retried quickly.
    const STABLE: Duration = Duration::from_secs(1);
    /// The longest delay after a link that got as far as a full list.
    const RETRY_AFTER_LEVEL: Duration = Duration::from_secs(2);

    /// `since`: events from then on are asked for, by the engine's clock, in nanoseconds since 1970.
    pub(super) fn new(now: Instant, timing: Timing, since: i128, seed: u64) -> Self {
        Self {
            timing,
            roster: Roster::default(),
            link: Link::Down { retry: now },
            backoff: Backoff::new(timing.retry, timing.retry_cap, seed),
            since,
            published: false,
            newest: None,
            loss: None,
            degraded: None,
            orders: VecDeque::new(),
        }
    }

    pub(super) fn next_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// When the next tick is due; `None` while only an answer can help.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let up = match &self.link {
            Link::Down { retry } => return Some(*retry),
            Link::Connecting => return None,
            Link::Up(up) => up,
        };
        let events = match up.events {
            Events::Open { gap: Gap::Possible { until }, .. } => until,
            Events::Open { heard, gap: Gap::None } => heard + self.timing.idle,
            Events::Refused { retry } => retry,
        };
        let list = match up.list {
            List::Doubted { again, .. } | List::Done { again } => Some(again),
            List::Asked { .. } | List::Inspecting { .. } => None,
        };
        Some(list.map_or(events, |list| list.min(events)))
    }

    pub(super) fn step(&mut self, now: Instant, input: Input) {
        match input {
            Input::Tick => self.tick(now),
            Input::Version(answer) => self.version(now, answer),
            Input::Listed(answer) => self.listed(now, answer),
            Input::Inspected(id, ticket, answer) => self.inspected(now, &id, ticket, answer),
            Input::Happened(happening) => self.happened(now, happening),
            Input::Ended(error) => self.ended(now, error),
        }
        while let Some((id, ticket)) = self.roster.next_call() {
            self.orders.push_back(Order::Inspect(id, ticket));
        }
    }

    fn tick(&mut self, now: Instant) {
        match &mut self.link {
            Link::Down { retry } if *retry <= now => {
                self.link = Link::Connecting;
                self.orders.push_back(Order::Version);
            }
            Link::Down { .. } | Link::Connecting => {}
            Link::Up(up) => {
                match &mut up.events {
                    Events::Open { gap, .. } if gap.is_over(now) => {
                        *gap = Gap::None;
                        up.owe_list(now);
                    }
                    Events::Open { heard, gap: gap @ Gap::None } if *heard + self.timing.idle <= now => {
                        *heard = now;
                        *gap = Gap::Possible { until: now + self.timing.replay };
                        self.orders.push_back(Order::Subscribe { since: self.since });
                        self.orders.push_back(Order::Version);
                    }
                    Events::Refused { retry } if *retry <= now => {
                        up.events = Events::Open { heard: now, gap: Gap::None };
                        self.orders.push_back(Order::Subscribe { since: self.since });
                    }
                    Events::Open { .. } | Events::Refused { .. } => {}
                }
                let asked = match up.list {
                    List::Doubted { again, scope } if again <= now => {
                        List::Asked { scope, confirmed: Confirmed::Yes }
                    }
                    List::Done { again } if again <= now => {
                        List::Asked { scope: Scope::Differences, confirmed: Confirmed::No }
                    }
                    List::Doubted { .. }
                    | List::Done { .. }
                    | List::Asked { .. }
                    | List::Inspecting { .. } => return,
                };
                up.list = asked;
                self.orders.push_back(Order::List);
            }
        }
    }

    fn version(&mut self, now: Instant, answer: Result<Version, Error>) {
        let version = match (&self.link, answer) {
            (Link::Connecting, Ok(version)) => version,
            (Link::Connecting, Err(error)) => return self.lose(now, error),
            // A probe: only silence is bad news.
            (Link::Up(_), Err(error)) if !error.is_local() => return self.lose(now, error),
            (Link::Up(_) | Link::Down { .. }, _) => return,
        };
        self.link = Link::Up(Up {
            version,
            events: Events::Open { heard: now, gap: Gap::None },
            list: List::Asked { scope: Scope::Everything, confirmed: Confirmed::No },
            owes_list: false,
            level: None,
        });
        self.orders.push_back(Order::Subscribe { since: self.since });
        self.orders.push_back(Order::List);
    }

    fn listed(&mut self, now: Instant, answer: Result<Vec<Sighting>, Error>) {
        let list = match answer {
            Ok(list) => list,
            Err(error) => return self.lose(now, error),
        };
        let Link::Up(up) = &mut self.link else { return };
        let List::Asked { scope, confirmed } = up.list else { return };
        if up.level.is_none() && confirmed == Confirmed::No {
            self.loss = None;
            self.orders.push_back(Order::Tell(Notice::Connected { version: up.version }));
        }
        if list.is_empty() && confirmed == Confirmed::No && !self.roster.is_empty() {
            up.list = List::Doubted { again: now + self.timing.confirm, scope };
            return;
        }
        let waiting = self.roster.listed(list, scope);
        up.list = List::Inspecting { scope, waiting, drift: 0 };
        self.level(now);
    }

    fn inspected(
        &mut self,
        now: Instant,
        id: &WorkloadId,
        ticket: Ticket,
        answer: Result<Option<Inspected>, Error>,
    ) {
        let Link::Up(up) = &mut self.link else { return };
        let answer = match answer {
            // A container that is stuck costs only itself; the probe tells of an engine that is.
            Err(error) if !error.is_local() && !matches!(error, Error::Timeout { .. }) => {
                return self.lose(now, error);
            }
            answer => answer,
        };
        let answered = self.roster.answered(now, (id, ticket), answer);
        if let List::Inspecting { waiting, drift, .. } = &mut up.list
            && waiting.remove(id)
            && answered.drifted
        {
            *drift += 1;
        }
        if let Some(error) = answered.complaint {
            self.orders.push_back(Order::Tell(Notice::Unreadable { id: id.clone(), error }));
        }
        self.tell(answered.event);
        self.level(now);
    }

    fn happened(&mut self, now: Instant, happening: Happening) {
        let Link::Up(up) = &mut self.link else { return };
        let before = std::mem::replace(&mut up.events, Events::Open { heard: now, gap: Gap::None });
        self.degraded = None;
        if self.newest.as_ref() == Some(&happening) {
            // A subscription that is opened again begins with the newest event of the last one: nothing is missing.
            return;
        }
        if matches!(before, Events::Open { gap: Gap::Possible { .. }, .. }) {
            up.owe_list(now);
        }
        self.since = self.since.max(happening.time);
        self.newest = Some(happening.clone());
        if let (List::Inspecting { waiting, .. }, Action::Destroy) = (&mut up.list, happening.action) {
            waiting.remove(&happening.id);
        }
        let event = self.roster.happened(now, happening);
        self.tell(event);
        self.level(now);
    }

    fn ended(&mut self, now: Instant, error: Error) {
        let Link::Up(up) = &mut self.link else { return };
        if !error.is_local() {
            return self.lose(now, error);
        }
        up.events = Events::Refused { retry: now + self.timing.resync };
        if let List::Done { again } = &mut up.list {
            *again = (*again).min(now + self.timing.poll);
        }
        let text = error.to_string();
        if self.degraded.as_ref() != Some(&text) {
            self.degraded = Some(text);
            self.orders.push_back(Order::Tell(Notice::Degraded { error }));
        }
    }

    /// Everything is known again once every inspection that a list asked for has been answered.
    fn level(&mut self, now: Instant) {
        let Link::Up(up) = &mut self.link else { return };
        let List::Inspecting { scope, waiting, drift } = &up.list else { return };
        if !waiting.is_empty() {
            return;
        }
        let polled = matches!(up.events, Events::Refused { .. });
        let drift = if *scope == Scope::Everything || polled { 0 } else { *drift };
        up.level.get_or_insert(now);
        let pause = if polled { self.timing.poll } else { self.timing.resync };
        let pause = if std::mem::take(&mut up.owes_list) { Duration::ZERO } else { pause };
        up.list = List::Done { again: now + pause };
        for event in self.roster.expire(now) {
            self.tell(Some(event));
        }
        if !self.published {
            self.published = true;
            self.tell(Some(Event::Init));
            for workload in self.roster.publish(now) {
                self.tell(Some(Event::InitApply(workload)));
            }
            self.tell(Some(Event::InitDone));
        }
        self.orders.push_back(Order::Tell(Notice::Resynced { drift }));
    }

    fn lose(&mut self, now: Instant, error: Error) {
        let level = match &self.link {
            Link::Up(up) => up.level,
            Link::Down { .. } | Link::Connecting => None,
        };
        if level.is_some_and(|level| now.duration_since(level) >= Self::STABLE) {
            self.backoff.reset();
        }
        let delay = self.backoff.next().unwrap_or(self.timing.retry_cap);
        let delay = if level.is_some() { delay.min(Self::RETRY_AFTER_LEVEL) } else { delay };
        self.link = Link::Down { retry: now + delay };
        self.roster.forget_calls();
        self.orders.push_back(Order::Disconnect);
        let text = error.to_string();
        if self.loss.as_ref() != Some(&text) {
            self.loss = Some(text);
            self.orders.push_back(Order::Tell(Notice::Lost { error }));
        }
    }

    fn tell(&mut self, event: Option<Event<Workload>>) {
        self.orders.extend(event.map(|event| Order::Tell(Notice::Event(event))));
    }
}

// === impl Gap ===

impl Gap {
    /// Whether the stream has begun with nothing.
    fn is_over(self, now: Instant) -> bool {
        match self {
            Self::None => false,
            Self::Possible { until } => until <= now,
        }
    }
}

// === impl Up ===

impl Up {
    /// Makes the next list due: one that is under way may be older than what is missing.
    fn owe_list(&mut self, now: Instant) {
        match &mut self.list {
            List::Done { again } => *again = now,
            List::Asked { .. } | List::Doubted { .. } | List::Inspecting { .. } => self.owes_list = true,
        }
    }
}

#[cfg(test)]
mod tests;
