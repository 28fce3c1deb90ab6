//! What is said of objects that are not Gateways or HTTPRoutes.

use std::collections::BTreeMap;

use super::{
    backends::{Backends, PortReport},
    certificates::Certificates,
    tls, words,
};
use crate::model::{
    BackendReport, Condition, EndpointState, Kind, ParentStatus, Resource, ResourceId, Service, ServiceKind,
    Snapshot, Status, UnservedRoute, Unsupported,
};

/// The statuses of Backends, Services, grants, and of kinds that are not served yet.
pub(super) fn passive(snapshot: &Snapshot, backends: &Backends<'_>) -> BTreeMap<ResourceId, Status> {
    let mut statuses = BTreeMap::new();
    let certificates = Certificates::new(snapshot);
    for (id, resource) in &snapshot.resources {
        let conditions = match resource {
            Resource::Backend(backend) => {
                vec![accepted(&backend.unsupported), readiness(&backends.of_backend(backend))]
            }
            Resource::Service(service) => of_service(service, backends),
            Resource::Unserved(object) => {
                statuses.insert(id.clone(), unserved(object));
                continue;
            }
            Resource::Certificate(certificate) => {
                statuses.insert(id.clone(), tls::of_certificate(snapshot, certificate, &certificates));
                continue;
            }
            Resource::Secret(secret) => {
                statuses.insert(id.clone(), tls::of_secret(snapshot, secret));
                continue;
            }
            Resource::Passive(_)
            | Resource::ConfigMap(_)
            | Resource::Namespace(_)
            | Resource::ReferenceGrant(_) => {
                vec![Condition::yes("Accepted", "Accepted", "")]
            }
            Resource::GatewayClass(_)
            | Resource::Gateway(_)
            | Resource::ListenerSet(_)
            | Resource::HttpRoute(_)
            | Resource::BackendTlsPolicy(_) => continue,
        };
        statuses.insert(id.clone(), Status { conditions, ..Status::default() });
    }
    statuses.extend(backends.policy_statuses());
    statuses
}

pub(super) fn accepted(unsupported: &[Unsupported]) -> Condition {
    if unsupported.is_empty() {
        return Condition::yes("Accepted", "Accepted", "");
    }
    let message = format!("{}; the rest is served", words::joined(words::fields(unsupported)));
    Condition::no("Accepted", "UnsupportedValue", message)
}

fn of_service(service: &Service, backends: &Backends<'_>) -> Vec<Condition> {
    let mut accepted = accepted(&service.unsupported);
    let ports = match backends.of_service(service) {
        Ok(ports) => ports,
        Err(backend) => {
            let message = format!("it is not used: {backend} has the same name and takes its references");
            accepted.message =
                words::joined([accepted.message, message].into_iter().filter(|text| !text.is_empty()));
            return vec![accepted];
        }
    };
    if ports.is_empty() {
        let message = match service.kind {
            ServiceKind::ExternalName(_) => return vec![accepted],
            ServiceKind::Selector(_) => "it has no ports, so no backendRef can name one: write `spec.ports`",
        };
        return vec![accepted, Condition::no("Ready", "NoReadyEndpoint", message)];
    }
    if matches!(&service.kind, ServiceKind::Selector(labels) if labels.is_empty()) {
        let message = "it has no selector, so it has no endpoints: write `spec.selector`, or use a Backend";
        return vec![accepted, Condition::no("Ready", "NoReadyEndpoint", message)];
    }
    vec![accepted, readiness(&ports)]
}

/// `Ready`, with how many endpoints are in which state, port by port. One port without an endpoint is enough for `False`.
fn readiness(ports: &[PortReport]) -> Condition {
    let is_ready = |report: &BackendReport| {
        report.endpoints.iter().any(|endpoint| endpoint.state == EndpointState::Ready)
    };
    let lines = ports.iter().map(|(port, report)| {
        let counts = if is_ready(report) { report.counts() } else { report.why_empty() };
        match port {
            Some(port) => format!("port {port}: {counts}"),
            None => counts,
        }
    });
    let message = words::joined(lines);
    if ports.iter().all(|(_, report)| is_ready(report)) {
        return Condition::yes("Ready", "Ready", message);
    }
    Condition::no("Ready", "NoReadyEndpoint", message)
}

fn unserved(object: &UnservedRoute) -> Status {
    let kind = object.meta.id.kind;
    let message = match kind {
        Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute => {
            format!("{kind} is not served yet: no traffic follows it")
        }
        Kind::GatewayClass
        | Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::ReferenceGrant
        | Kind::BackendTlsPolicy
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::Service
        | Kind::Namespace
        | Kind::Backend
        | Kind::Filter
        | Kind::Certificate
        | Kind::Rollout
        | Kind::ControllerConfig => format!("{kind} is not served yet: it has no effect"),
    };
    let condition = || Condition::no("Accepted", "UnsupportedValue", message.clone());
    Status {
        conditions: if object.parents.is_empty() { vec![condition()] } else { Vec::new() },
        parents: object
            .parents
            .iter()
            .map(|parent| ParentStatus { parent: parent.clone(), conditions: vec![condition()] })
            .collect(),
        ..Status::default()
    }
}
