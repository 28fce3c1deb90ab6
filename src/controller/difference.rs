//! What differs between two reports, as a reviewer would want it told. Pure.

pub(super) mod endpoints;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::reporter::is_bad;
use crate::model::{
    BackendReport, Condition, ContainerReport, Difference, DifferenceKind, EndpointReport, Meta,
    ObjectReport, Problem, Report, Status,
};

/// Of an object's fields so many are told, the rest is a number.
const MOST_FIELDS: usize = 20;

/// From `before` to `after`: what is invalid, then objects, endpoints and containers.
pub(super) fn differences(before: &Report, after: &Report) -> Vec<Difference> {
    let mut all = Vec::new();
    for problem in after.problems.iter().filter(|problem| !before.problems.contains(problem)) {
        let details = problem.hint.iter().map(|hint| format!("hint: {hint}"));
        all.push(Difference {
            kind: DifferenceKind::Invalid,
            subject: problem.message.clone(),
            origin: problem.origin.to_string(),
            sentence: problem_sentence(problem),
            details: details.collect(),
        });
    }
    for (id, (before, after)) in paired(&before.objects, &after.objects) {
        let (kind, details) = match (before, after) {
            (None, Some(after)) => (DifferenceKind::Added, lines(&Status::default(), &after.status)),
            (Some(_), None) => (DifferenceKind::Removed, Vec::new()),
            (Some(before), Some(after)) => (DifferenceKind::Changed, object(before, after)),
            (None, None) => continue,
        };
        if kind == DifferenceKind::Changed && details.is_empty() {
            continue;
        }
        let Some(now) = after.or(before) else { continue };
        let is_written_anew = before.map(|before| &before.manifest) != after.map(|after| &after.manifest);
        let sentence = if is_written_anew {
            object_sentence(kind, &now.meta)
        } else {
            format!("{id} gets another status")
        };
        let origin = now.meta.origin.to_string();
        all.push(Difference { kind, subject: id.to_string(), origin, sentence, details });
    }
    for (name, (before, after)) in paired(&before.backends, &after.backends) {
        let details = endpoint_lines(before.map(|b| &**b), after.map(|b| &**b));
        if !details.is_empty() {
            let kind = match (before, after) {
                (None, _) => DifferenceKind::Added,
                (_, None) => DifferenceKind::Removed,
                (Some(_), Some(_)) => DifferenceKind::Changed,
            };
            let (subject, origin) = (format!("endpoints of {name}"), String::new());
            let turns =
                before.zip(after).map_or_else(Vec::new, |(before, after)| endpoints::turns(before, after));
            let sentence = match &*turns {
                [only] => only.sentence.clone(),
                [] | [..] => format!("the endpoints of {name} change"),
            };
            all.push(Difference { kind, subject, origin, sentence, details });
        }
    }
    for (_, (before, after)) in paired(&before.containers, &after.containers) {
        let none: &[String] = &[];
        let details = lists(before.map_or(none, |one| &one.urls), after.map_or(none, |one| &one.urls));
        if let (Some(container), false) = (after.or(before), details.is_empty()) {
            let subject = format!("container {}", container.workload.name);
            let after = after.map(|after| container_sentence(before.map(|one| &**one), after));
            let sentence =
                after.flatten().map_or_else(|| format!("{subject} is gone"), |(_, sentence)| sentence);
            let (kind, origin) = (DifferenceKind::Changed, String::new());
            all.push(Difference { kind, subject, origin, sentence, details });
        }
    }
    all
}

// === sentences ===

/// That an object came, changed or went.
pub(super) fn object_sentence(kind: DifferenceKind, meta: &Meta) -> String {
    let Meta { id, origin, .. } = meta;
    match kind {
        DifferenceKind::Added => format!("{id} is new ({origin})"),
        DifferenceKind::Changed | DifferenceKind::Invalid => format!("{id} has changed ({origin})"),
        DifferenceKind::Removed => format!("{id} is gone"),
    }
}

/// The words of `portolan check`.
pub(super) fn problem_sentence(problem: &Problem) -> String {
    format!("{}: {}", problem.origin, problem.message)
}

/// Which listeners of an object came and went: the reason of the event, and the sentence.
pub(super) fn listener_sentences(
    before: &Status,
    after: &Status,
    meta: &Meta,
) -> Vec<(&'static str, String)> {
    let Meta { id, origin, .. } = meta;
    let missing = |from: &Status, in_other: &Status| -> Vec<Arc<str>> {
        let names = from.listeners.iter().map(|listener| &listener.name);
        names.filter(|name| !in_other.listeners.iter().any(|other| other.name == **name)).cloned().collect()
    };
    let new = missing(after, before).into_iter();
    let new = new.map(|name| ("ListenerAdded", format!("listener `{name}` of {id} is new ({origin})")));
    let gone = missing(before, after).into_iter();
    new.chain(gone.map(|name| ("ListenerRemoved", format!("listener `{name}` of {id} is gone")))).collect()
}

/// That a backend that no document writes came or went, because routes refer to it or do not any more.
pub(super) fn backend_sentence(kind: DifferenceKind, backend: &BackendReport) -> String {
    let BackendReport { name, resolved, .. } = backend;
    match kind {
        DifferenceKind::Added => format!("backend {name} is new ({resolved}): {}", backend.counts()),
        DifferenceKind::Changed | DifferenceKind::Invalid => {
            format!("backend {name} has changed ({resolved})")
        }
        DifferenceKind::Removed => format!("backend {name} is gone: no route refers to it any more"),
    }
}

/// What has become of the requests for a container, if it is something else than before, with the reason of the event.
pub(super) fn container_sentence(
    before: Option<&ContainerReport>,
    after: &ContainerReport,
) -> Option<(&'static str, String)> {
    let name = &after.workload.name;
    let (was_routed, old_urls) = before.map_or((false, &[][..]), |before| (before.routed, &before.urls));
    let urls = after.urls.join(", ");
    match (was_routed, after.routed) {
        (false, true) => Some(("Routed", format!("container `{name}` serves {urls}"))),
        (true, false) => {
            // The plan's own problems come last.
            let why = after.problems.last();
            let why = why.map(|problem| format!(": {}", problem.message)).unwrap_or_default();
            Some(("NotRouted", format!("container `{name}` gets no more requests{why}")))
        }
        (true, true) if old_urls != after.urls => {
            Some(("Routed", format!("container `{name}` now serves {urls}")))
        }
        (false, false) if old_urls != after.urls => {
            Some(("NotRouted", format!("container `{name}` gets no requests yet")))
        }
        (true, true) | (false, false) => None,
    }
}

/// Each condition that has turned, or is bad in other words than before, with a sentence that lacks only its object.
pub(super) fn turned<'s>(before: &Status, after: &'s Status) -> Vec<(&'s Condition, String)> {
    let before = conditions(before);
    let has_turned = |key: &(String, &'static str), now: &Condition| match before.get(key) {
        Some(was) => was.truth != now.truth || (is_bad(now) && was.message != now.message),
        None => is_bad(now),
    };
    let after = conditions(after).into_iter().filter(|(key, now)| has_turned(key, now));
    after.map(|(key, now)| (now, sentence(&key.0, now))).collect()
}

/// The values of two maps, by key.
fn paired<'a, K: Ord, V>(
    before: &'a BTreeMap<K, V>,
    after: &'a BTreeMap<K, V>,
) -> BTreeMap<&'a K, (Option<&'a V>, Option<&'a V>)> {
    let mut pairs: BTreeMap<&K, (Option<&V>, Option<&V>)> = BTreeMap::new();
    for (key, value) in before {
        pairs.entry(key).or_default().0 = Some(value);
    }
    for (key, value) in after {
        pairs.entry(key).or_default().1 = Some(value);
    }
    pairs
}

/// What was added to a list and what was taken away.
fn lists(before: &[String], after: &[String]) -> Vec<String> {
    let gone = before.iter().filter(|one| !after.contains(one)).map(|one| format!("- {one}"));
    let new = after.iter().filter(|one| !before.contains(one)).map(|one| format!("+ {one}"));
    gone.chain(new).collect()
}

fn endpoint_lines(before: Option<&BackendReport>, after: Option<&BackendReport>) -> Vec<String> {
    let lines = |backend: Option<&BackendReport>| -> Vec<String> {
        let endpoints = backend.map_or(&[][..], |backend| &backend.endpoints);
        let line = |endpoint: &EndpointReport| {
            let address = endpoint.address.as_deref().unwrap_or("no address");
            let weight =
                if endpoint.weight == 1 { String::new() } else { format!(", weight {}", endpoint.weight) };
            format!("{} {address} {}{weight}", endpoint.name, endpoint.state.as_str())
        };
        endpoints.iter().map(line).collect()
    };
    lists(&lines(before), &lines(after))
}

fn object(before: &ObjectReport, after: &ObjectReport) -> Vec<String> {
    let mut details = Vec::new();
    if before.manifest != after.manifest {
        let parsed = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        fields("", &parsed(&before.manifest), &parsed(&after.manifest), &mut details);
        let more = details.len().saturating_sub(MOST_FIELDS);
        if more > 0 {
            details.truncate(MOST_FIELDS);
            details.push(format!("and {more} more fields"));
        }
    }
    details.extend(lines(&before.status, &after.status));
    details
}

/// Every field in which two values differ, with both.
fn fields(path: &str, before: &Value, after: &Value, out: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                fields(&path, value, after.get(name).unwrap_or(&Value::Null), out);
            }
            for (name, value) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                fields(&path, &Value::Null, value, out);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for index in 0..before.len().max(after.len()) {
                let at = |list: &[Value]| list.get(index).cloned().unwrap_or(Value::Null);
                fields(&format!("{path}[{index}]"), &at(before), &at(after), out);
            }
        }
        _ if before == after => {}
        (Value::Null, after) => out.push(format!("+ {path}: {after}")),
        (before, Value::Null) => out.push(format!("- {path}: {before}")),
        (before, after) => out.push(format!("~ {path}: {before} → {after}")),
    }
}

/// Conditions with the part of the object that they are about.
fn conditions(status: &Status) -> BTreeMap<(String, &'static str), &Condition> {
    let own = status.conditions.iter().map(|one| (String::new(), one));
    let parents = status.parents.iter().flat_map(|parent| {
        let name = format!(" for {}", parent.parent);
        parent.conditions.iter().map(move |one| (name.clone(), one))
    });
    let listeners = status.listeners.iter().flat_map(|listener| {
        let name: Arc<str> = format!(" of listener {}", listener.name).into();
        listener.conditions.iter().map(move |one| (name.to_string(), one))
    });
    own.chain(parents).chain(listeners).map(|(scope, one)| ((scope, one.kind), one)).collect()
}

/// A line of the details for each condition that has turned.
fn lines(before: &Status, after: &Status) -> Vec<String> {
    turned(before, after).into_iter().map(|(_, sentence)| format!("! {sentence}")).collect()
}

fn sentence(scope: &str, condition: &Condition) -> String {
    let message =
        if condition.message.is_empty() { String::new() } else { format!(": {}", condition.message) };
    format!("{} is {}{scope}{message}", condition.kind, condition.truth.as_str())
}
