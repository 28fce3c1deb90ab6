//! The JSON of each thing, in the shape of Kubernetes. Field names are a promise.
//!
//! - Every object: `apiVersion`, `kind`, `metadata` (`name`, `namespace`, `generation`, `creationTimestamp`,
//!   `annotations["portolan.dev/origin"]`, and `["portolan.dev/stale"]` where the last good version is shown), `spec` or
//!   `data` as written, `status`.
//! - Conditions: `type`, `status`, `reason`, `message`, `lastTransitionTime`, `observedGeneration`.
//! - Routes: `status.parents[]` with `parentRef`, `controllerName`, `conditions`. Gateways: `status.conditions`,
//!   `.addresses[]` (`type`, `value`), `.listeners[]` (`name`, `attachedRoutes`, `supportedKinds`, `conditions`),
//!   `.attachedListenerSets`. `ListenerSet`: `status.conditions`, `.listeners[]`.
//! - `BackendTLSPolicy`: `status.ancestors[]` with `ancestorRef` (a Gateway), `controllerName`, `conditions`; where no
//!   Gateway leads to its targets, `status.conditions`.
//! - `Certificate`, and a `Secret` that holds one: `status.names[]`, `.notBefore`, `.notAfter`, `.conditions`.
//! - `Backend`: `status.resolved` (what the name stands for), `.ready`, `.total`, `.endpoints[]`, `.conditions`.
//! - `Endpoint`: `status.backend`, `.address`, `.state`, `.message`, `.weight`; `.healthCheck` (`interval` in seconds,
//!   `last`) while a HEALTHCHECK keeps requests from it; `.lastFailure` (`time`, `reason`, `message`, `hint`, `status` that the
//!   client got, or null where another try was made, `answeredSince`) for the last request that it failed: 5 minutes where it
//!   has answered since, else an hour.
//! - `Container`: `spec.image`, `.labels` (Portolan's and Compose's), `status.phase`, `.health`, `.routed`, `.urls[]`,
//!   `.resources[]`, `.problems[]`, `.leftAlone` (`reason`, `message`) where nothing leads to it and nothing is wrong with
//!   that; `metadata.uid` is the container's id.
//! - `Event`: `time`, `reason`, `message`, `involvedObject`.
//! - Problems: `severity`, `reason`, `message`, `hint`, `origin`.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::collection::{Item, split_backend};
use crate::{
    api::status as written,
    model::{
        BackendReport, CheckTimes, Condition, ContainerReport, EndpointReport, EndpointState, EventReport,
        Health, Kind, LastFailure, ObjectReport, ParentRef, Phase, Problem, Report, ResourceId, Severity,
    },
};

/// Whose status it is.
pub const CONTROLLER: &str = "portolan.dev/controller";

/// The annotation that says where an object was written.
pub const ORIGIN: &str = "portolan.dev/origin";

/// The annotation of an object whose file now holds something invalid.
pub const STALE: &str = "portolan.dev/stale";

/// One thing as JSON.
pub fn render(item: &Item) -> Value {
    match item {
        Item::Object(object) => render_object(object),
        Item::Backend { backend, object } => render_backend(backend.as_deref(), object.as_deref()),
        Item::Endpoint { backend, endpoint } => render_endpoint(backend, endpoint),
        Item::Container(container) => render_container(container),
        Item::Event(event) => render_event(event),
    }
}

/// What is left to say of a thing that is gone.
pub fn render_gone(item: &Item) -> Value {
    let Value::Object(mut full) = render(item) else { return Value::Null };
    full.retain(|field, _| matches!(field.as_str(), "apiVersion" | "kind" | "metadata"));
    Value::Object(full)
}

/// `/api/v1/status`.
pub fn render_status(report: &Report, waiting: &[std::sync::Arc<str>]) -> Value {
    let sources: Vec<_> = report
        .sources
        .iter()
        .map(|source| {
            json!({
                "name": source.name,
                "connected": source.connected,
                "since": time(source.since),
                "message": source.message,
            })
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "generation": report.generation,
        "ready": waiting.is_empty(),
        "waitingFor": waiting,
        "configValid": report.config_valid,
        "sources": sources,
        "problems": problems(&report.problems),
        "resources": counts(report),
        "containers": report.containers.len(),
    })
}

/// How many objects there are of each kind.
fn counts(report: &Report) -> Value {
    let count = |kind: Kind| (kind.as_str().to_owned(), Value::from(report.of_kind(kind).count()));
    Value::Object(Kind::ALL.into_iter().map(count).filter(|(_, number)| *number != 0).collect())
}

/// Seconds since 1970 as RFC 3339; nothing if there is no such time.
pub fn time(seconds: i64) -> Value {
    jiff::Timestamp::from_second(seconds).map_or(Value::Null, |time| time.to_string().into())
}

fn render_object(object: &ObjectReport) -> Value {
    let mut document = as_written(object);
    let status = status_of(object);
    if !status.is_null() {
        document.insert("status".to_owned(), status);
    }
    Value::Object(document)
}

/// The manifest, its metadata filled in.
fn as_written(object: &ObjectReport) -> Map<String, Value> {
    let id = &object.meta.id;
    let mut document = match serde_json::from_str(&object.manifest) {
        Ok(Value::Object(document)) => document,
        // Whoever made the report has no manifest to show.
        Ok(_) | Err(_) => Map::new(),
    };
    document.entry("apiVersion").or_insert_with(|| id.kind.api_version().into());
    document.entry("kind").or_insert_with(|| id.kind.as_str().into());
    let mut metadata = match document.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        Some(_) | None => Map::new(),
    };
    metadata.insert("name".to_owned(), (*id.name).into());
    if !id.namespace.is_empty() {
        metadata.insert("namespace".to_owned(), (*id.namespace).into());
    }
    metadata.insert("generation".to_owned(), object.meta.generation.into());
    if let Some(created) = object.meta.created {
        metadata.insert("creationTimestamp".to_owned(), time(created));
    }
    let mut annotations = match metadata.remove("annotations") {
        Some(Value::Object(annotations)) => annotations,
        Some(_) | None => Map::new(),
    };
    annotations.insert(ORIGIN.to_owned(), object.meta.origin.to_string().into());
    if object.stale {
        annotations.insert(STALE.to_owned(), "true".into());
    }
    metadata.insert("annotations".to_owned(), annotations.into());
    document.insert("metadata".to_owned(), metadata.into());
    document
}

/// The status in the standard's shape for its kind; null where there is nothing to say.
fn status_of(object: &ObjectReport) -> Value {
    let status = &object.status;
    let conditions = |scope: &str, conditions: &[Condition]| -> Vec<_> {
        conditions.iter().map(|condition| render_condition(object, scope, condition)).collect()
    };
    let mut out = Map::new();
    if !status.conditions.is_empty() {
        out.insert("conditions".to_owned(), json!(conditions("", &status.conditions)));
    }
    let parents = |name: &str| -> Value {
        let parents = status.parents.iter().enumerate().map(|(index, parent)| {
            json!({
                name: render_parent(&parent.parent),
                "controllerName": CONTROLLER,
                "conditions": conditions(&format!("parent {index}"), &parent.conditions),
            })
        });
        parents.collect()
    };
    let kind = object.meta.id.kind;
    if super::Collection::ROUTE_KINDS.contains(&kind) {
        out.insert("parents".to_owned(), parents("parentRef"));
    }
    if kind == Kind::BackendTlsPolicy {
        out.insert("ancestors".to_owned(), parents("ancestorRef"));
    }
    if matches!(kind, Kind::Gateway | Kind::ListenerSet) {
        let listeners = status.listeners.iter().map(|listener| {
            let kinds =
                listener.supported_kinds.iter().map(|(group, kind)| json!({"group": group, "kind": kind}));
            json!({
                "name": listener.name,
                "supportedKinds": kinds.collect::<Vec<_>>(),
                "attachedRoutes": listener.attached_routes,
                "conditions": conditions(&format!("listener {}", listener.name), &listener.conditions),
            })
        });
        out.insert("listeners".to_owned(), listeners.collect());
    }
    if kind == Kind::Gateway {
        out.insert("addresses".to_owned(), render_addresses(&status.addresses));
        out.insert("attachedListenerSets".to_owned(), status.attached_sets.unwrap_or_default().into());
    }
    if let Some(certificate) = &status.certificate {
        out.insert("names".to_owned(), json!(certificate.names));
        out.insert("notBefore".to_owned(), time(certificate.not_before));
        out.insert("notAfter".to_owned(), time(certificate.not_after));
    }
    if out.is_empty() { Value::Null } else { Value::Object(out) }
}

fn render_condition(object: &ObjectReport, scope: &str, condition: &Condition) -> written::Condition {
    let since = object.since.get(&(scope.to_owned(), condition.kind)).copied().unwrap_or_default();
    written::Condition {
        kind: condition.kind.to_owned(),
        status: condition.truth.as_str().to_owned(),
        reason: condition.reason.to_owned(),
        message: condition.message.clone(),
        last_transition_time: time(since).as_str().unwrap_or_default().to_owned(),
        observed_generation: object.meta.generation,
    }
}

fn render_parent(parent: &ParentRef) -> Value {
    let mut out = json!({
        "group": parent.group,
        "kind": parent.kind,
        "namespace": parent.namespace,
        "name": parent.name,
    });
    if let Some(section) = &parent.section {
        out["sectionName"] = (**section).into();
    }
    if let Some(port) = parent.port {
        out["port"] = port.get().into();
    }
    out
}

/// The standard's addresses have no ports: those are in the listeners.
fn render_addresses(addresses: &[String]) -> Value {
    let mut ips: Vec<String> = addresses
        .iter()
        .map(|text| {
            text.parse::<SocketAddr>().map_or_else(|_| text.clone(), |address| address.ip().to_string())
        })
        .collect();
    ips.sort();
    ips.dedup();
    ips.into_iter().map(|ip| json!({"type": "IPAddress", "value": ip})).collect()
}

fn render_backend(backend: Option<&BackendReport>, object: Option<&ObjectReport>) -> Value {
    let mut document = object.map(as_written).unwrap_or_default();
    let mut status = Map::new();
    if let Some(conditions) =
        object.map(status_of).and_then(|mut status| Some(status.get_mut("conditions")?.take()))
    {
        status.insert("conditions".to_owned(), conditions);
    }
    if let Some(backend) = backend {
        let (namespace, name) = split_backend(&backend.name);
        document.entry("apiVersion").or_insert_with(|| Kind::Backend.api_version().into());
        document.entry("kind").or_insert_with(|| Kind::Backend.as_str().into());
        let metadata = document.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        metadata["namespace"] = namespace.into();
        metadata["name"] = name.into();
        let ready =
            backend.endpoints.iter().filter(|endpoint| endpoint.state == EndpointState::Ready).count();
        status.insert("resolved".to_owned(), backend.resolved.clone().into());
        status.insert("ready".to_owned(), ready.into());
        status.insert("total".to_owned(), backend.endpoints.len().into());
        status.insert("endpoints".to_owned(), backend.endpoints.iter().map(endpoint_status).collect());
    }
    document.insert("status".to_owned(), status.into());
    Value::Object(document)
}

fn endpoint_status(endpoint: &EndpointReport) -> Value {
    let mut status = json!({
        "name": endpoint.name,
        "address": endpoint.address,
        "state": endpoint.state.as_str(),
        "message": endpoint.message,
        "weight": endpoint.weight,
    });
    if let Some(checks) = &endpoint.checks {
        status["healthCheck"] = render_checks(checks);
    }
    if let Some(failure) = &endpoint.last_failure {
        status["lastFailure"] = render_failure(failure);
    }
    status
}

/// The last request that an endpoint has failed.
pub(super) fn render_failure(failure: &LastFailure) -> Value {
    json!({
        "time": time(failure.time),
        "reason": failure.fault.reason(),
        "message": failure.message,
        "hint": failure.fault.hint(),
        "status": failure.status,
        "answeredSince": failure.answered_since,
    })
}

/// When a HEALTHCHECK asks.
pub(super) fn render_checks(checks: &CheckTimes) -> Value {
    json!({"interval": checks.interval, "last": time(checks.last)})
}

fn render_endpoint(backend: &str, endpoint: &EndpointReport) -> Value {
    let (namespace, name) = split_backend(backend);
    let mut status = endpoint_status(endpoint);
    if let Value::Object(status) = &mut status {
        status.remove("name");
        status.insert("backend".to_owned(), name.into());
    }
    json!({
        "apiVersion": Kind::Backend.api_version(),
        "kind": "Endpoint",
        "metadata": {"namespace": namespace, "name": endpoint.name},
        "status": status,
    })
}

fn render_container(container: &ContainerReport) -> Value {
    let workload = &container.workload;
    // Labels of others may hold passwords, such as those of other proxies.
    let known = |label: &str| label.starts_with("portolan.") || label.starts_with("com.docker.compose.");
    let labels: Map<_, _> = workload
        .labels
        .iter()
        .filter(|(label, _)| known(label))
        .map(|(label, value)| (label.to_string(), Value::from(&**value)))
        .collect();
    json!({
        "apiVersion": Kind::Backend.api_version(),
        "kind": "Container",
        "metadata": {
            "namespace": workload.namespace(),
            "name": workload.name,
            "uid": workload.id.0,
            "creationTimestamp": time(workload.created),
        },
        "spec": {"image": workload.image, "labels": labels},
        "status": {
            "phase": phase(workload.phase),
            "health": health(workload.health),
            "routed": container.routed,
            "urls": container.urls,
            "resources": container.resources.iter().map(reference).collect::<Vec<_>>(),
            "problems": problems(&container.problems),
            "leftAlone": container.left_alone.as_ref().map(|why| json!({
                "reason": why.reason,
                "message": why.message,
            })),
        },
    })
}

fn render_event(event: &EventReport) -> Value {
    let mut document = json!({
        "apiVersion": Kind::Backend.api_version(),
        "kind": "Event",
        "metadata": {"name": event.number.to_string()},
        "time": time(event.time),
        "reason": event.reason,
        "message": event.message,
    });
    if let Some(object) = &event.object {
        document["metadata"]["namespace"] = (*object.namespace).into();
        document["involvedObject"] = reference(object);
    }
    document
}

fn reference(id: &ResourceId) -> Value {
    json!({
        "apiVersion": id.kind.api_version(),
        "kind": id.kind.as_str(),
        "namespace": id.namespace,
        "name": id.name,
    })
}

fn problems(problems: &[Problem]) -> Vec<Value> {
    problems
        .iter()
        .map(|problem| {
            json!({
                "severity": match problem.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                "reason": problem.reason,
                "message": problem.message,
                "hint": problem.hint,
                "origin": problem.origin.to_string(),
            })
        })
        .collect()
}

pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Created => "created",
        Phase::Running => "running",
        Phase::Paused => "paused",
        Phase::Restarting => "restarting",
        Phase::Draining => "draining",
        Phase::Terminating => "terminating",
        Phase::Exited => "exited",
        Phase::Dead => "dead",
        Phase::Gone => "gone",
    }
}

pub(super) fn health(health: Health) -> &'static str {
    match health {
        Health::Unchecked => "unchecked",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}
