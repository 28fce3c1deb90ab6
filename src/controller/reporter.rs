//! Turns a plan into what people are told: statuses with times, events, log lines.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{difference, failures};
use crate::{
    config,
    model::{
        BackendReport, Condition, ContainerReport, Difference, DifferenceKind, EventReport, FailureReport,
        Kind, LeftAlone, ObjectReport, Origin, Problem, Report, ResourceId, Severity, SourceReport, Status,
        Truth, Workload, WorkloadId,
    },
    plan::{Plan, WorkloadPlan},
};

/// Keeps what has been reported, to tell what is new.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    last: Arc<Report>,
    events: VecDeque<Arc<EventReport>>,
    count: u64,
    /// Whether something that was reported is not any more.
    has_lost: bool,
}

/// What a report is made of.
pub(super) struct Facts<'a> {
    pub(super) plan: Plan,
    pub(super) objects: &'a BTreeMap<ResourceId, Arc<config::Object>>,
    /// Objects whose file holds something invalid now.
    pub(super) stale: &'a BTreeSet<ResourceId>,
    pub(super) workloads: &'a BTreeMap<WorkloadId, Arc<Workload>>,
    pub(super) labels: &'a BTreeMap<WorkloadId, Noted>,
    pub(super) failures: &'a FailureReport,
    pub(super) sources: Vec<SourceReport>,
    pub(super) problems: Vec<Problem>,
    pub(super) config_valid: bool,
    pub(super) generation: u64,
    /// Seconds since 1970.
    pub(super) now: i64,
}

/// What labels say of a container.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    pub(super) problems: Vec<Problem>,
    /// What is made of it.
    pub(super) resources: Vec<ResourceId>,
    /// Why nothing is made of it.
    pub(super) left_alone: Option<LeftAlone>,
}

/// A sentence for the log and the events, about one object.
struct Change {
    object: Option<ResourceId>,
    reason: &'static str,
    message: String,
    weight: Weight,
}

/// Of an object that is gone.
const REMOVED: &str = "Removed";

/// How loud a change is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// An event only: something else in the log says it already.
    Quiet,
    News,
    Warning,
}

// === impl Reporter ===

impl Reporter {
    /// Events that are remembered.
    const MAX_EVENTS: usize = 1_000;
    /// Changes of one reconcile that are told one by one; of more only their number is told.
    const MAX_LINES: usize = 20;

    pub(super) fn report(&mut self, facts: Facts<'_>) -> Arc<Report> {
        let now = facts.now;
        let (mut report, changes) = self.compare(facts);
        self.has_lost |= loses(&self.last, &report, &changes);
        self.tell(changes, now);
        report.events = self.events.iter().cloned().collect();
        self.last = Arc::new(report);
        self.last.clone()
    }

    /// The last report.
    pub(super) fn last(&self) -> &Report {
        &self.last
    }

    /// Whether something has gone from the reports since the last call.
    pub(super) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.has_lost)
    }

    /// What would differ if these were the facts. Nothing is told or remembered.
    pub(super) fn preview(&self, facts: Facts<'_>) -> Vec<Difference> {
        difference::differences(&self.last, &self.compare(facts).0)
    }

    /// The last report with these failures, if they make it another one. Nothing is an event.
    pub(super) fn tell_failures(&mut self, failures: &FailureReport) -> Option<Arc<Report>> {
        let backends = failures::with(self.last.backends.clone(), failures);
        // Before the first table there is nothing to tell of.
        if self.last.generation == 0 || backends == self.last.backends {
            return None;
        }
        self.last = Arc::new(Report { backends, ..(*self.last).clone() });
        Some(self.last.clone())
    }

    /// A report without events, and what it has that is new.
    fn compare(&self, mut facts: Facts<'_>) -> (Report, Vec<Change>) {
        let mut plan = std::mem::take(&mut facts.plan);
        let mut changes = Vec::new();
        let objects = self.objects(&facts, std::mem::take(&mut plan.statuses), &mut changes);
        let containers = self.containers(&facts, &mut plan.workloads, &mut changes);
        note_backends(&self.last, &plan.backends, &facts, &mut changes);
        note_problems(&self.last.problems, &facts.problems, &mut changes);
        let report = Report {
            generation: facts.generation,
            config_valid: facts.config_valid,
            objects,
            containers,
            backends: failures::with(plan.backends, facts.failures),
            sources: facts.sources,
            problems: facts.problems,
            events: Vec::new(),
        };
        (report, changes)
    }

    /// What became of each object. All three maps are in the same order and walked side by side: thousands of objects
    /// that are as they were cost no lookup.
    fn objects(
        &self,
        facts: &Facts<'_>,
        statuses: BTreeMap<ResourceId, Arc<Status>>,
        changes: &mut Vec<Change>,
    ) -> BTreeMap<ResourceId, Arc<ObjectReport>> {
        let mut statuses = statuses.into_iter().peekable();
        let mut last = self.last.objects.iter().peekable();
        let mut reports = Vec::with_capacity(facts.objects.len());
        for (id, object) in facts.objects {
            while statuses.next_if(|(other, _)| other < id).is_some() {}
            let status =
                statuses.next_if(|(other, _)| other == id).map(|(_, status)| status).unwrap_or_default();
            while let Some((_, gone)) = last.next_if(|(other, _)| *other < id) {
                changes.push(removed(gone));
            }
            let before = last.next_if(|(other, _)| *other == id).map(|(_, before)| before);
            let stale = facts.stale.contains(id);
            let report = match before {
                Some(before) if is_same(before, object, &status) && before.stale == stale => before.clone(),
                Some(_) | None => {
                    let before = before.map(|before| &**before);
                    note_object(id, before, (object, &status), changes);
                    Arc::new(object_report(object, status, (before, facts.now, stale)))
                }
            };
            reports.push((id.clone(), report));
        }
        changes.extend(last.map(|(_, gone)| removed(gone)));
        reports.into_iter().collect()
    }

    fn containers(
        &self,
        facts: &Facts<'_>,
        plans: &mut BTreeMap<WorkloadId, WorkloadPlan>,
        changes: &mut Vec<Change>,
    ) -> BTreeMap<WorkloadId, Arc<ContainerReport>> {
        let mut containers = BTreeMap::new();
        for (id, workload) in facts.workloads {
            let Noted { mut problems, resources, left_alone } =
                facts.labels.get(id).cloned().unwrap_or_default();
            // A document may lead to it all the same.
            let left_alone = left_alone.filter(|_| !plans.contains_key(id));
            let plan = plans.remove(id).unwrap_or_default();
            problems.extend(plan.problems);
            let report = ContainerReport {
                workload: workload.clone(),
                routed: plan.routed,
                urls: plan.urls,
                resources,
                problems,
                left_alone,
            };
            let before = self.last.containers.get(id);
            note_container(before.map(|before| &**before), &report, changes);
            let report = match before {
                Some(before) if **before == report => before.clone(),
                Some(_) | None => Arc::new(report),
            };
            containers.insert(id.clone(), report);
        }
        for gone in self.last.containers.iter().filter(|(id, _)| !facts.workloads.contains_key(*id)) {
            let message = format!("container `{}` is gone", gone.1.workload.name);
            changes.push(Change { object: None, reason: "ContainerGone", message, weight: Weight::News });
        }
        containers
    }

    /// Logs the changes and keeps them as events.
    fn tell(&mut self, changes: Vec<Change>, time: i64) {
        let loud = changes.iter().filter(|change| change.weight != Weight::Quiet).count();
        let many = loud > Self::MAX_LINES;
        if many {
            tracing::info!(changes = changes.len(), "many objects changed; `portolan get events` lists them");
        }
        for change in changes {
            match change.weight {
                Weight::Warning => tracing::warn!(reason = change.reason, "{}", change.message),
                Weight::News if !many => tracing::info!(reason = change.reason, "{}", change.message),
                Weight::News | Weight::Quiet => {}
            }
            self.count += 1;
            if self.events.len() == Self::MAX_EVENTS {
                self.events.pop_front();
            }
            self.events.push_back(Arc::new(EventReport {
                time,
                number: self.count,
                object: change.object,
                reason: change.reason,
                message: change.message,
            }));
        }
    }
}

/// Whether an object, one of its listeners or a backend is not in the second of these reports any more.
fn loses(before: &Report, now: &Report, changes: &[Change]) -> bool {
    let keeps = |before: &ObjectReport, now: &ObjectReport| {
        let is_there = |name: &Arc<str>| now.status.listeners.iter().any(|listener| listener.name == *name);
        before.status.listeners.iter().all(|listener| is_there(&listener.name))
    };
    let mut listening =
        before.objects.iter().filter(|(id, _)| matches!(id.kind, Kind::Gateway | Kind::ListenerSet));
    changes.iter().any(|change| change.reason == REMOVED)
        || listening.any(|(id, before)| now.objects.get(id).is_none_or(|now| !keeps(before, now)))
        || before.backends.keys().any(|name| !now.backends.contains_key(name))
}

/// Says which backends came and went, and what has become of the endpoints of those that stay.
fn note_backends(
    last: &Report,
    now: &BTreeMap<Arc<str>, Arc<BackendReport>>,
    facts: &Facts<'_>,
    changes: &mut Vec<Change>,
) {
    let id = |name: &str| {
        let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
        ResourceId::new(Kind::Backend, namespace, name)
    };
    let names: BTreeSet<&str> = facts.workloads.values().map(|workload| &*workload.name).collect();
    for (name, backend) in now {
        let Some(before) = last.backends.get(name) else {
            note_backend(id(name), (DifferenceKind::Added, backend), facts, changes);
            continue;
        };
        if Arc::ptr_eq(before, backend) {
            continue;
        }
        for turn in difference::endpoints::turns(before, backend) {
            // What becomes of a container is told in the log with the container.
            let is_told = turn.names.iter().all(|name| names.contains(&**name));
            let weight = match (is_told, turn.is_bad) {
                (true, _) => Weight::Quiet,
                (false, true) => Weight::Warning,
                (false, false) => Weight::News,
            };
            let object = Some(id(name));
            changes.push(Change { object, reason: turn.reason, message: turn.sentence, weight });
        }
    }
    for (name, backend) in last.backends.iter().filter(|(name, _)| !now.contains_key(*name)) {
        note_backend(id(name), (DifferenceKind::Removed, backend), facts, changes);
    }
}

/// Says that a backend came or went, unless an object stands for it, of which that is told.
fn note_backend(
    id: ResourceId,
    (kind, backend): (DifferenceKind, &BackendReport),
    facts: &Facts<'_>,
    changes: &mut Vec<Change>,
) {
    let bare = id.name.rsplit_once(':').map_or(&*id.name, |(name, _)| name);
    let is_object = |kind| facts.objects.contains_key(&ResourceId::new(kind, &id.namespace, bare));
    if is_object(Kind::Backend) || is_object(Kind::Service) {
        return;
    }
    let reason = if kind == DifferenceKind::Added { "BackendAdded" } else { "BackendRemoved" };
    let message = difference::backend_sentence(kind, backend);
    changes.push(Change { object: Some(id), reason, message, weight: Weight::Quiet });
}

fn removed(object: &ObjectReport) -> Change {
    Change {
        object: Some(object.meta.id.clone()),
        reason: REMOVED,
        message: difference::object_sentence(DifferenceKind::Removed, &object.meta),
        weight: Weight::News,
    }
}

fn is_same(before: &ObjectReport, object: &config::Object, status: &Arc<Status>) -> bool {
    before.status == *status
        && (Arc::ptr_eq(&before.manifest, &object.manifest) || before.manifest == object.manifest)
        && before.meta == *object.resource.meta()
}

fn object_report(
    object: &config::Object,
    status: Arc<Status>,
    (before, now, stale): (Option<&ObjectReport>, i64, bool),
) -> ObjectReport {
    let mut since = BTreeMap::new();
    for (scope, condition) in conditions(&status) {
        let kept = before.and_then(|before| {
            let same = conditions(&before.status).any(|(other, was)| {
                other == scope && was.kind == condition.kind && was.truth == condition.truth
            });
            same.then(|| before.since.get(&(scope.clone(), condition.kind)).copied()).flatten()
        });
        since.insert((scope, condition.kind), kept.unwrap_or(now));
    }
    ObjectReport {
        meta: object.resource.meta().clone(),
        manifest: object.manifest.clone(),
        status,
        since,
        stale,
    }
}

/// Every condition with its scope: `""`, `parent 0`, `listener http`.
fn conditions(status: &Status) -> impl Iterator<Item = (String, &Condition)> {
    let own = status.conditions.iter().map(|condition| (String::new(), condition));
    let parents = status.parents.iter().enumerate().flat_map(|(index, parent)| {
        parent.conditions.iter().map(move |condition| (format!("parent {index}"), condition))
    });
    let listeners = status.listeners.iter().flat_map(|listener| {
        listener.conditions.iter().map(move |condition| (format!("listener {}", listener.name), condition))
    });
    own.chain(parents).chain(listeners)
}

/// Says that an object is new or has changed, and which conditions turned.
fn note_object(
    id: &ResourceId,
    before: Option<&ObjectReport>,
    (object, status): (&config::Object, &Status),
    changes: &mut Vec<Change>,
) {
    let meta = object.resource.meta();
    // What is made of a container is told with the container.
    let is_derived = matches!(meta.origin, Origin::Container { .. });
    let weigh = |weight| if is_derived { Weight::Quiet } else { weight };
    let news = match before {
        None => Some(("Added", DifferenceKind::Added)),
        Some(before) if before.meta.generation != meta.generation => {
            Some(("Changed", DifferenceKind::Changed))
        }
        Some(_) => None,
    };
    if let Some((reason, kind)) = news {
        let message = difference::object_sentence(kind, meta);
        changes.push(Change { object: Some(id.clone()), reason, message, weight: weigh(Weight::News) });
    }
    // Of a new object they are new with it.
    let listeners =
        before.map(|before| difference::listener_sentences(&before.status, status, meta)).unwrap_or_default();
    for (reason, message) in listeners {
        changes.push(Change { object: Some(id.clone()), reason, message, weight: weigh(Weight::News) });
    }
    let none = Status::default();
    for (condition, sentence) in difference::turned(before.map_or(&none, |before| &before.status), status) {
        let message = format!("{id}: {sentence}");
        let weight = weigh(if is_bad(condition) { Weight::Warning } else { Weight::News });
        changes.push(Change { object: Some(id.clone()), reason: condition.reason, message, weight });
    }
}

/// Whether a condition is one that the operator should act on.
pub(super) fn is_bad(condition: &Condition) -> bool {
    match condition.kind {
        "Conflicted" | "PartiallyInvalid" => condition.truth == Truth::True,
        _ => condition.truth == Truth::False,
    }
}

/// Says what is newly wrong with documents, in the words of `portolan check`, and when all is right again.
fn note_problems(before: &[Problem], now: &[Problem], changes: &mut Vec<Change>) {
    for problem in now.iter().filter(|problem| !before.contains(problem)) {
        let weight = match problem.severity {
            Severity::Error => Weight::Warning,
            Severity::Warning => Weight::News,
        };
        let message = difference::problem_sentence(problem);
        changes.push(Change { object: None, reason: problem.reason, message, weight });
    }
    if now.is_empty() && !before.is_empty() {
        let message = "every document is valid again".to_owned();
        changes.push(Change { object: None, reason: "DocumentsValid", message, weight: Weight::News });
    }
}

fn note_container(before: Option<&ContainerReport>, now: &ContainerReport, changes: &mut Vec<Change>) {
    let was_routed = before.is_some_and(|before| before.routed);
    if let Some((reason, message)) = difference::container_sentence(before, now) {
        let is_news = was_routed || now.routed;
        let weight = if is_news { Weight::News } else { Weight::Quiet };
        changes.push(Change { object: None, reason, message, weight });
    }
    for problem in &now.problems {
        if !before.is_some_and(|before| before.problems.contains(problem)) {
            let is_passing = matches!(
                problem.reason,
                "Draining" | "Terminating" | "Exited" | "Removed" | "Starting" | "NotStarted"
            );
            let weight = match (is_passing, was_routed) {
                (false, _) if problem.reason == "PublishedPort" => Weight::News,
                (false, _) => Weight::Warning,
                // That it gets no more requests was just said.
                (true, true) => Weight::Quiet,
                (true, false) => Weight::News,
            };
            changes.push(Change {
                object: None,
                reason: problem.reason,
                message: problem.to_string(),
                weight,
            });
        }
    }
}

#[cfg(test)]
mod tests;
