//! What becomes of a request at a backend, as far as can be known before it is sent: who serves, who does not and why, how
//! the last requests went, and after how long an answer is not waited for any more.

use std::time::Duration;

use serde_json::{Value, json};

use super::Known;
use crate::{
    admin::view,
    model::{Connections, EndpointReport, EndpointState, LastFailure},
    route::{self, Choice, Rule, Target},
};

pub(super) fn render_choice(choice: &Choice, (report, now): Known<'_>) -> Value {
    let mut out = json!({"weight": choice.weight});
    match &choice.target {
        Target::Invalid(reason) => {
            out["status"] = 500.into();
            out["why"] = (&**reason).into();
        }
        Target::Backend(backend) => {
            let known = report.backends.get(&backend.name).map_or(&[][..], |backend| &backend.endpoints);
            out["name"] = (&*backend.name).into();
            if backend.endpoints.is_empty() {
                out["status"] = 503.into();
                out["why"] = (&*backend.reason).into();
            } else if let Some(lately) = lately(backend, known, now) {
                out["lately"] = lately;
            }
            let others = known.iter().filter(|endpoint| endpoint.state != EndpointState::Ready);
            let ready = backend.endpoints.iter().map(|endpoint| ready(endpoint, known));
            out["endpoints"] = ready.chain(others.map(other)).collect();
        }
    }
    out
}

fn ready(endpoint: &route::Endpoint, known: &[EndpointReport]) -> Value {
    let failure = failure(endpoint, known).map(view::render_failure);
    json!({
        "name": endpoint.name,
        "address": endpoint.address.to_string(),
        "weight": endpoint.weight,
        "state": "ready",
        "lastFailure": failure,
    })
}

fn other(endpoint: &EndpointReport) -> Value {
    json!({
        "name": endpoint.name,
        "address": endpoint.address,
        "weight": endpoint.weight,
        "state": endpoint.state.as_str(),
        "why": endpoint.message,
        "healthCheck": endpoint.checks.as_ref().map(view::render_checks),
        "lastFailure": endpoint.last_failure.as_ref().map(view::render_failure),
    })
}

fn failure<'k>(endpoint: &route::Endpoint, known: &'k [EndpointReport]) -> Option<&'k LastFailure> {
    let address = endpoint.address.to_string();
    let is_it =
        |one: &&EndpointReport| one.name == endpoint.name && one.address.as_deref() == Some(&*address);
    known.iter().find(is_it)?.last_failure.as_ref()
}

/// What the last request got, where every endpoint that serves has failed its last one, not long ago: the next one is
/// likely to get the same.
fn lately(backend: &route::Backend, known: &[EndpointReport], now: i64) -> Option<Value> {
    let last = |endpoint| failure(endpoint, known).filter(|failure| failure.is_current(now));
    let last: Vec<&LastFailure> = backend.endpoints.iter().map(last).collect::<Option<_>>()?;
    let newest = last.iter().max_by_key(|failure| failure.time)?;
    let status = newest.status.unwrap_or_else(|| newest.fault.status());
    let whose = match last.len() {
        1 => "the last request to its endpoint failed".to_owned(),
        many => format!("the last request to each of its {many} endpoints failed"),
    };
    Some(json!({
        "status": status,
        "time": view::time(newest.time),
        "why": format!("{whose}: {}", newest.message),
        "hint": newest.fault.hint(),
    }))
}

/// After how long clients get 504, and for want of what.
pub(super) fn timeouts(rule: &Rule) -> Value {
    let entry = |after: Duration, field: &str, of: &str| {
        let after = format!("{after:?}");
        json!({"after": after, "field": field, "of": of})
    };
    let mut out = Vec::new();
    if let Some(after) = rule.timeouts.request {
        out.push(entry(after, "timeouts.request", "the whole request"));
    }
    if let Some(after) = rule.timeouts.backend_request {
        out.push(entry(after, "timeouts.backendRequest", "the answer of an endpoint"));
    }
    let mut connect: Vec<(Duration, &str)> = Vec::new();
    for choice in rule.backends.choices() {
        let Target::Backend(backend) = &choice.target else { continue };
        let one = match backend.policy.connections.connect_timeout {
            Some(after) => (after, "connections.connectTimeout"),
            None => (Connections::CONNECT_TIMEOUT, "connections.connectTimeout, by default"),
        };
        if !connect.contains(&one) {
            connect.push(one);
        }
    }
    out.extend(connect.into_iter().map(|(after, field)| entry(after, field, "a connection to an endpoint")));
    Value::Array(out)
}
