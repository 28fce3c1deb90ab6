//! An engine that goes, stalls, refuses, forgets to tell, comes back or comes late.

mod loss;
mod many;
mod start;

use std::time::Duration;

use serde_json::Value;

use crate::support::{http::Response, is_busy, note, portolan::Portolan, wait};

/// Waits until `portolan_source_connected` of the engine is so.
#[track_caller]
fn connected(portolan: &Portolan, wanted: bool) {
    let wanted = f64::from(u8::from(wanted));
    wait::eventually(wait::SOON, &format!("`portolan_source_connected` is {wanted}"), || {
        let value = portolan.metric("portolan_source_connected{source=\"docker\"}");
        wait::check(value, |value| *value == Some(wanted), |value| format!("{value:?}\n{}", portolan.log()))
    });
}

/// What `/api/v1/status` says of the engine.
#[track_caller]
fn source(portolan: &Portolan) -> Value {
    let status = portolan.admin("/api/v1/status").expect("the status").json();
    let sources = status["sources"].as_array().expect("sources").clone();
    sources.into_iter().find(|source| source["name"] == "docker").expect("the engine")
}

/// Waits until `/readyz` is 200 and says this.
#[track_caller]
fn ready_with(portolan: &Portolan, words: &str) -> String {
    let answer = wait::eventually(wait::SOON, &format!("`/readyz` says `{words}`"), || {
        let answer = portolan.admin("/readyz").map_err(|error| error.to_string())?;
        wait::check(
            answer,
            |answer| answer.status == 200 && answer.text().contains(words),
            Response::to_string,
        )
    });
    answer.text()
}

/// How soon everything is as it should be once the engine can be reached, and how soon its silence is noticed.
const CONVERGED: Duration = Duration::from_secs(5);
const NOTICED: Duration = Duration::from_secs(30);

/// Asserts that it took no longer; on a machine that has more to do than it can, that it came at all.
#[track_caller]
fn within(promise: Duration, what: &str, took: Duration) {
    note(&format!("{what} after {took:.2?}"));
    assert!(took <= promise || is_busy(), "{what} after {took:?}");
}

/// The name under which a container is reached without a label.
fn host(name: &str) -> String {
    format!("{name}.docker.localhost")
}
