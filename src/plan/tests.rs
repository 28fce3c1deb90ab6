//! The rules of planning, one per test, on worlds that are written down in a few words.

mod backend_tls;
mod conflicts;
mod endpoints;
mod gateways;
mod grpc;
mod health;
mod namespaces;
mod parents;
mod properties;
mod references;
mod routes;
mod scale;
mod sets;
mod statuses;
mod tls;
mod world;

use std::{collections::BTreeMap, sync::Arc};

use http::{HeaderMap, Method};

use super::*;
use crate::{
    model::*,
    route::{self, Found, Request, Target},
};
use world::*;

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

// === what a plan says ===

/// `Accepted: False NoMatchingParent: there is no …`
fn said(condition: &Condition) -> String {
    let line = format!("{}: {} {}", condition.kind, condition.truth.as_str(), condition.reason);
    if condition.message.is_empty() { line } else { format!("{line}: {}", condition.message) }
}

fn all_said(conditions: &[Condition]) -> Vec<String> {
    conditions.iter().map(said).collect()
}

fn find<'c>(conditions: &'c [Condition], kind: &str) -> Option<&'c Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

impl Plan {
    fn status(&self, kind: Kind, name: &str) -> &Status {
        self.statuses.get(&meta(kind, name).id).unwrap_or_else(|| panic!("no status of {kind} {name}"))
    }

    /// A condition of an object, or of a route's first parent.
    fn says(&self, kind: Kind, name: &str, condition: &str) -> String {
        let status = self.status(kind, name);
        let parents = status.parents.iter().take(1).flat_map(|parent| &parent.conditions);
        let found = status.conditions.iter().chain(parents).find(|found| found.kind == condition);
        found.map(said).unwrap_or_default()
    }

    fn route_says(&self, name: &str, condition: &str) -> String {
        self.says(Kind::HttpRoute, name, condition)
    }

    /// The listener of the Gateway `edge`.
    fn listener_says(&self, listener: &str, condition: &str) -> String {
        self.listener_of_says("edge", listener, condition)
    }

    fn listener_of_says(&self, gateway: &str, listener: &str, condition: &str) -> String {
        let status = self.status(Kind::Gateway, gateway);
        let listener = status.listeners.iter().find(|status| *status.name == *listener).unwrap();
        find(&listener.conditions, condition).map(said).unwrap_or_default()
    }

    fn attached_routes(&self, gateway: &str) -> Vec<u32> {
        self.status(Kind::Gateway, gateway)
            .listeners
            .iter()
            .map(|listener| listener.attached_routes)
            .collect()
    }

    /// The rule that answers `GET http://host/path` on a socket.
    fn answer_on(&self, socket: &str, host: &str, path: &str) -> Option<&route::Rule> {
        let (method, headers) = (Method::GET, HeaderMap::new());
        let request = Request { host, path, query: None, method: &method, headers: &headers };
        match self.table.socket(&socket.parse().unwrap())?.find(&request) {
            Found::Rule { rule, .. } => Some(rule),
            Found::NoRoute { .. } | Found::NoListener => None,
        }
    }

    fn answer(&self, host: &str, path: &str) -> Option<&route::Rule> {
        self.answer_on("[::]:80", host, path)
    }

    /// The name of the route that answers.
    fn answers(&self, host: &str, path: &str) -> Option<&str> {
        self.answer(host, path).map(|rule| &*rule.route)
    }

    /// Where a request for a host goes: addresses of the first backend, or why not.
    fn leads_to(&self, host: &str) -> String {
        let Some(rule) = self.answer(host, "/") else { return "nowhere".into() };
        rule.backends.choices().first().map_or_else(|| "no backend".into(), |choice| shown(&choice.target))
    }

    fn workload(&self, name: &str) -> WorkloadPlan {
        self.workloads.get(&WorkloadId(format!("id-{name}").into())).cloned().unwrap_or_default()
    }
}

fn shown(target: &Target) -> String {
    match target {
        Target::Invalid(why) => format!("invalid: {why}"),
        Target::Backend(backend) if backend.endpoints.is_empty() => format!("empty: {}", backend.reason),
        Target::Backend(backend) => {
            let addresses: Vec<String> =
                backend.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
            addresses.join(", ")
        }
    }
}
