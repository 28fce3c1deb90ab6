//! A machine on a string: inputs go in, what it ordered comes out in short words.

use super::super::*;
use crate::discovery::docker::{inspect, signal::Signal};

/// A machine, its clock, and what it ordered, in short words.
pub(super) struct Script {
    pub(super) machine: Machine,
    pub(super) now: Instant,
    pub(super) tickets: Vec<(WorkloadId, Ticket)>,
}

pub(super) const RUNNING: &str = "running";

// === impl Script ===

impl Script {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let machine = Machine::new(now, Timing::default(), 1, 7);
        Self { machine, now, tickets: Vec::new() }
    }

    /// Connected, and level with these running containers.
    pub(super) fn level(names: &[&str]) -> Self {
        let mut script = Self::new();
        script.connect();
        script.list(names);
        script.answer_all(RUNNING);
        script
    }

    pub(super) fn connect(&mut self) -> Vec<String> {
        self.wait_until_due();
        let mut orders = self.step(Input::Tick);
        orders.extend(self.step(Input::Version(Ok(Version { major: 1, minor: 41 }))));
        orders
    }

    pub(super) fn wait_until_due(&mut self) {
        self.now = self.now.max(self.machine.deadline().unwrap());
    }

    pub(super) fn wait(&mut self, duration: Duration) {
        self.now += duration;
    }

    pub(super) fn step(&mut self, input: Input) -> Vec<String> {
        self.machine.step(self.now, input);
        let mut orders = Vec::new();
        while let Some(order) = self.machine.next_order() {
            if let Order::Inspect(id, ticket) = &order {
                self.tickets.push((id.clone(), *ticket));
            }
            orders.push(words(order));
        }
        orders
    }

    pub(super) fn list(&mut self, names: &[&str]) -> Vec<String> {
        self.list_as(names, RUNNING)
    }

    pub(super) fn list_as(&mut self, names: &[&str], state: &str) -> Vec<String> {
        let sightings = names.iter().map(|name| {
            let summary = serde_json::json!({ "Id": name, "Names": [format!("/{name}")], "State": state,
                "Status": "Up 2 seconds" });
            inspect::sighting(serde_json::from_value(summary).unwrap()).unwrap()
        });
        let sightings = sightings.collect();
        self.step(Input::Listed(Ok(sightings)))
    }

    /// Answers the oldest open inspection of a container.
    pub(super) fn answer(&mut self, name: &str, answer: Result<Option<Inspected>, Error>) -> Vec<String> {
        let position = self.tickets.iter().position(|(id, _)| &*id.0 == name).expect("it was inspected");
        let (id, ticket) = self.tickets.remove(position);
        self.step(Input::Inspected(id, ticket, answer))
    }

    pub(super) fn answer_all(&mut self, state: &str) -> Vec<String> {
        let mut orders = Vec::new();
        while let Some((id, _)) = self.tickets.first() {
            let name = id.0.clone();
            orders.extend(self.answer(&name, Ok(Some(container(&name, state, 100)))));
        }
        orders
    }

    pub(super) fn event(&mut self, name: &str, action: Action, time: i128) -> Vec<String> {
        let id = WorkloadId(name.into());
        self.step(Input::Happened(Happening { id, action, time }))
    }

    pub(super) fn kill(&mut self, name: &str, signal: &str, time: i128) -> Vec<String> {
        self.event(name, Action::Kill(Signal::parse(signal)), time)
    }
}

pub(super) fn container(name: &str, state: &str, started: i128) -> Inspected {
    let json = serde_json::json!({ "Id": name, "Name": format!("/{name}"), "State": { "Status": state } });
    let mut inspected = inspect::inspected(serde_json::from_value(json).unwrap()).unwrap();
    inspected.started = started;
    inspected
}

fn words(order: Order) -> String {
    match order {
        Order::Version => "version".to_owned(),
        Order::List => "list".to_owned(),
        Order::Inspect(id, _) => format!("inspect {}", id.0),
        Order::Subscribe { since } => format!("subscribe {since}"),
        Order::Disconnect => "disconnect".to_owned(),
        Order::Tell(notice) => match notice {
            Notice::Event(Event::Init) => "init".to_owned(),
            Notice::Event(Event::InitApply(w)) => format!("+{} {:?}", w.name, w.phase),
            Notice::Event(Event::InitDone) => "done".to_owned(),
            Notice::Event(Event::Apply(w)) => format!("{} {:?}", w.name, w.phase),
            Notice::Event(Event::Delete(id)) => format!("-{}", id.0),
            Notice::Connected { version } => format!("connected {version}"),
            Notice::Lost { error } => format!("lost: {error}"),
            Notice::Degraded { error } => format!("degraded: {error}"),
            Notice::Unreadable { id, error } => format!("unreadable {}: {error}", id.0),
            Notice::Resynced { drift } => format!("resynced {drift}"),
        },
    }
}
