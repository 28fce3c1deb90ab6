//! The running state as it is told to people: by the admin API, `get` and `describe`.

use std::{collections::BTreeMap, sync::Arc};

use super::{CheckTimes, Kind, LastFailure, Meta, Problem, ResourceId, Status, Workload, WorkloadId};

/// Everything that can be asked about the running state. One is published after each reconcile that changed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many tables have been published; 0 until the first is live.
    pub generation: u64,
    /// Whether every document of the configuration is valid.
    pub config_valid: bool,
    pub objects: BTreeMap<ResourceId, Arc<ObjectReport>>,
    pub containers: BTreeMap<WorkloadId, Arc<ContainerReport>>,
    /// By the backend's name in metrics and logs.
    pub backends: BTreeMap<Arc<str>, Arc<BackendReport>>,
    pub sources: Vec<SourceReport>,
    /// Problems of documents that could not be read at all, and everything else that has no object; sorted.
    pub problems: Vec<Problem>,
    /// The newest last.
    pub events: Vec<Arc<EventReport>>,
}

/// One object: as written, where, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectReport {
    pub meta: Meta,
    /// The document as compact JSON, without status; secrets are masked.
    pub manifest: Arc<str>,
    pub status: Arc<Status>,
    /// When each condition last changed its truth, in seconds since 1970: by scope (`""`, `parent 0`, `listener http`)
    /// and condition type.
    pub since: BTreeMap<(String, &'static str), i64>,
    /// Whether the file now holds something invalid and this is the last good version.
    pub stale: bool,
}

/// One container and why it gets traffic or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerReport {
    pub workload: Arc<Workload>,
    /// Whether some route sends requests to it now.
    pub routed: bool,
    /// URLs at which it answers, such as `http://web.docker.localhost`.
    pub urls: Vec<String>,
    /// The resources made from its labels.
    pub resources: Vec<ResourceId>,
    /// What is wrong or odd about it: unknown labels, no port, no shared network, …
    pub problems: Vec<Problem>,
    /// Why nothing leads to it, where that is as it should be.
    pub left_alone: Option<LeftAlone>,
}

/// Why a container is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftAlone {
    /// In the form of a condition's reason.
    pub reason: &'static str,
    pub message: String,
}

/// One backend as the table has it, with the endpoints that were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendReport {
    /// `namespace/name[:port]`.
    pub name: Arc<str>,
    /// What the name resolved to, such as `Compose service`, or why it did not.
    pub resolved: String,
    pub endpoints: Vec<EndpointReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointReport {
    /// The container's name, or the address as written.
    pub name: Arc<str>,
    /// `10.0.0.7:8080`, if one could be chosen.
    pub address: Option<String>,
    pub state: EndpointState,
    /// Why it is in this state, with the remedy; empty when ready.
    pub message: String,
    pub weight: u32,
    /// When the check asks that keeps it from getting requests.
    pub checks: Option<CheckTimes>,
    /// The last request that it has failed, until that is long past.
    pub last_failure: Option<LastFailure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointState {
    Ready,
    Starting,
    Unhealthy,
    /// It answered badly, and is left out for a while.
    Ejected,
    Paused,
    /// It runs, and is left out because an operator asked for it to be drained.
    Draining,
    Terminating,
    /// Not running.
    Down,
    /// Running, but no address or port could be chosen.
    Unreachable,
}

/// What the data plane has found out about endpoints: by the backend's name, and the endpoint's address as text. Those
/// of backends that nobody watches are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthReport(pub BTreeMap<Arc<str>, BTreeMap<String, EndpointHealth>>);

/// How an endpoint that is watched does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointHealth {
    pub state: EndpointState,
    /// A condition reason; empty when ready.
    pub reason: &'static str,
    /// What was found and what happens next, without the endpoint's name; empty when ready.
    pub message: String,
}

/// A source of observations: `docker`, `files`, `dns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceReport {
    pub name: Arc<str>,
    pub connected: bool,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// Where it is connected to, or the last error.
    pub message: String,
}

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventReport {
    /// Seconds since 1970.
    pub time: i64,
    /// Counts up from 1.
    pub number: u64,
    pub object: Option<ResourceId>,
    pub reason: &'static str,
    pub message: String,
}

// === impl EndpointState ===

impl EndpointState {
    pub const ALL: [Self; 9] = [
        Self::Ready,
        Self::Starting,
        Self::Unhealthy,
        Self::Ejected,
        Self::Paused,
        Self::Draining,
        Self::Terminating,
        Self::Down,
        Self::Unreachable,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Terminating => "terminating",
            Self::Down => "down",
            Self::Unreachable => "unreachable",
        }
    }
}

// === impl BackendReport ===

impl BackendReport {
    /// How many endpoints are in which state, such as `2 of 3 endpoints are ready, 1 unhealthy`.
    pub fn counts(&self) -> String {
        let ready = self.in_state(EndpointState::Ready);
        let others = self.others();
        let comma = if others.is_empty() { "" } else { ", " };
        format!("{ready} of {} endpoints are ready{comma}{others}", self.endpoints.len())
    }

    /// Why no endpoint can take a request: how many are in which state, with the reason of the first, such as
    /// ``2 unhealthy, 1 down (Unhealthy: container `web` …)``.
    pub fn why_empty(&self) -> String {
        // The state that is closest to serving comes first.
        let others = EndpointState::ALL.into_iter().filter(|state| *state != EndpointState::Ready);
        let first = others
            .filter_map(|state| self.endpoints.iter().find(|endpoint| endpoint.state == state))
            .map(|endpoint| &*endpoint.message)
            .next();
        match first {
            Some(message) => format!("{} ({message})", self.others()),
            None => "no endpoint fits: start a container that it selects, write an address, or give one a weight above 0".into(),
        }
    }

    fn in_state(&self, state: EndpointState) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.state == state).count()
    }

    /// The counts of the states other than ready.
    fn others(&self) -> String {
        let counts: Vec<String> = EndpointState::ALL
            .into_iter()
            .filter(|state| *state != EndpointState::Ready)
            .map(|state| (self.in_state(state), state))
            .filter(|(count, _)| *count > 0)
            .map(|(count, state)| format!("{count} {}", state.as_str()))
            .collect();
        counts.join(", ")
    }
}

// === impl Report ===

impl Report {
    /// The objects of one kind, by namespace and name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Arc<ObjectReport>> {
        self.objects.iter().filter(move |(id, _)| id.kind == kind).map(|(_, object)| object)
    }
}
