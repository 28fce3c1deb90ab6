//! Containers of a real engine, and what Portolan makes of them: names, labels, addresses, states, references.
//!
//! One rule of the specification, one test. Where something is refused, the test reads what a person is told.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the clock of the machine is what a person waits by"
)]

mod addresses;
mod labels;
mod latency;
mod names;
mod reasons;
mod references;
mod states;
mod values;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{engine::Engine, http::Response, portolan::Portolan, wait};

/// What a proxy says when nothing waits for a better time.
const NO_HOLD: [&str; 2] = ["--hold", "0s"];

/// The machine's engine, and a Portolan that watches it and holds no request.
fn harbour() -> Option<(Engine, Portolan)> {
    harbour_with(&NO_HOLD)
}

fn harbour_with(arguments: &[&str]) -> Option<(Engine, Portolan)> {
    let engine = Engine::local()?;
    let portolan = Portolan::builder().docker(engine.url()).arguments(arguments.iter().copied());
    let portolan = portolan.start();
    Some((engine, portolan))
}

/// `<name>.docker.localhost`
fn host(name: &str) -> String {
    format!("{name}.docker.localhost")
}

/// A container as the admin API shows it.
fn shown(portolan: &Portolan, container: &str) -> Result<Value, String> {
    let path = format!("/api/v1/containers?name={container}");
    let answer = portolan.admin(&path).map_err(|error| error.to_string())?;
    let list = wait::check(answer, |answer| answer.status == 200, Response::to_string)?.json();
    let found = list["items"].as_array().and_then(|items| items.last()).cloned();
    found.ok_or_else(|| format!("no container `{container}`"))
}

/// Waits until the admin API shows the container so.
#[track_caller]
fn becomes(portolan: &Portolan, container: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait::eventually(wait::SOON, &format!("container `{container}` is shown {what}"), || {
        wait::check(shown(portolan, container)?, &is, Value::to_string)
    })
}

/// Waits until a problem with that reason is shown; its words and its remedy, which the command shows as well.
#[track_caller]
fn told(portolan: &Portolan, container: &str, reason: &str) -> String {
    let find = |item: &Value| {
        let problems = item["status"]["problems"].as_array().cloned().unwrap_or_default();
        problems.into_iter().find(|problem| problem["reason"] == reason)
    };
    let item = becomes(portolan, container, reason, |item| find(item).is_some());
    let problem = find(&item).unwrap();
    let message = problem["message"].as_str().unwrap().to_owned();
    let hint = problem["hint"].as_str().map(str::to_owned);
    assert!(message.contains(container), "it names the container: {message}");
    let page = portolan.client(&["describe", "container", container]).unwrap();
    assert!(page.contains(&message), "`describe` says it: {message}\n{page}");
    assert!(hint.iter().all(|hint| page.contains(hint)), "`describe` says {hint:?}\n{page}");
    // It may be about to start: of what is routed, the table shows where.
    becomes(portolan, container, &format!("`get` says it: {message}"), |item| {
        let table = portolan.client(&["get", "containers", container]).unwrap();
        item["status"]["routed"] == true || table.contains(&format!("{reason}: {message}"))
    });
    match hint {
        Some(hint) => format!("{message}; {hint}"),
        None => message,
    }
}

/// Asserts that a sentence has all these parts.
#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// Waits until the log says why a request was not served.
#[track_caller]
fn logged(portolan: &Portolan, words: &str) {
    wait::eventually(wait::SOON, &format!("the log says `{words}`"), || {
        wait::check(portolan.log(), |log| log.contains(words), String::clone)
    });
}

/// How often each backend answered, out of so many requests on one connection.
#[track_caller]
fn shares(portolan: &Portolan, host: &str, requests: u32) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    let mut connection = portolan.connect();
    for _ in 0..requests {
        let answer = connection.get(host, "/").unwrap();
        assert_eq!(answer.status, 200, "{answer}");
        *counts.entry(answer.backend().unwrap_or_default().to_owned()).or_default() += 1;
    }
    counts
}

/// Waits until each of `backends` has answered there.
#[track_caller]
fn all_answer(portolan: &Portolan, host: &str, backends: &[&str]) {
    for backend in backends {
        portolan.reaches(host, "/", backend);
    }
}
