//! `portolan explain`: which listener, route, rule and endpoint win, and why each other one did not.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use http::StatusCode;
use serde_json::Value;

use super::{
    args::{ExplainArgs, ExplainFormat},
    client::{Client, block_on, list_path, refused},
    describe,
    exit::Exit,
    get::table::{self, text},
    print,
};

/// Explains a URL, or a container. Exit code 0 where it is served, 1 where it is not.
pub fn explain(args: &ExplainArgs) -> anyhow::Result<Exit> {
    if is_container(args) {
        return describe::container(&args.server, &args.subject);
    }
    let client = Client::new(args.server.admin.clone());
    let headers = args.headers.join("\n");
    let query = [
        ("url", Some(args.subject.as_str())),
        ("method", Some(args.method.as_str())),
        ("headers", (!headers.is_empty()).then_some(headers.as_str())),
    ];
    let answer = block_on(client.get(&list_path("explain", &query)))?;
    if answer.status != StatusCode::OK {
        return Err(refused(&answer));
    }
    let explanation: Value = serde_json::from_slice(&answer.body)?;
    match args.output {
        ExplainFormat::Text => print::data(&page(&explanation, jiff::Timestamp::now().as_second()))?,
        ExplainFormat::Json => print::data(&format!("{explanation:#}\n"))?,
    }
    Ok(if is_served(&explanation["answer"]) { Exit::Yes } else { Exit::No })
}

/// A word without a dot, slash or colon is no URL.
fn is_container(args: &ExplainArgs) -> bool {
    !args.subject.contains(['.', '/', ':']) && args.subject != "localhost"
}

/// Whether an endpoint, or a redirect, answers. One that failed its last request is not believed to.
fn is_served(answer: &Value) -> bool {
    let served = |backend: &Value| {
        backend["weight"] != 0 && backend["status"].is_null() && backend["lately"].is_null()
    };
    match answer["status"].as_u64() {
        Some(status) => status < 400,
        None => answer["backends"].as_array().is_some_and(|backends| backends.iter().any(served)),
    }
}

/// The page, as text.
fn page(explanation: &Value, now: i64) -> String {
    let request = &explanation["request"];
    let query = request["query"].as_str().map(|query| format!("?{query}")).unwrap_or_default();
    let [method, scheme, host, port, path] =
        ["method", "scheme", "host", "port", "path"].map(|field| text(&request[field]));
    let mut out = format!("{method} {scheme}://{host}:{port}{path}{query}\n");
    if let Some(note) = explanation["note"].as_str() {
        let _ = writeln!(out, "note: {note}");
    }
    answer(&mut out, &explanation["answer"], now);
    let rows = |items: &Value, row: &dyn Fn(&Value) -> Vec<String>| -> Vec<Vec<String>> {
        items.as_array().into_iter().flatten().map(row).collect()
    };
    let listeners = rows(&explanation["listeners"], &|listener| {
        vec![text(&listener["name"]), format!("port {}", text(&listener["port"])), verdict(listener)]
    });
    part(&mut out, "Listeners", &listeners, &[]);
    let candidates = rows(&explanation["candidates"], &|candidate| {
        let rule = format!("{} rule {}", text(&candidate["route"]), text(&candidate["rule"]));
        vec![rule, text(&candidate["hostname"]), text(&candidate["match"]), verdict(candidate)]
    });
    let mut notes = Vec::new();
    if let Some(more @ 1..) = explanation["more"].as_u64() {
        notes.push(format!("and {more} more of this host"));
    }
    if let Some(elsewhere @ 1..) = explanation["elsewhere"].as_u64() {
        notes.push(format!("and {elsewhere} for other hosts"));
    }
    part(&mut out, "Matches", &candidates, &notes);
    out
}

fn answer(out: &mut String, answer: &Value, now: i64) {
    let why = answer["why"].as_str();
    match (answer["status"].as_u64(), why) {
        (Some(status), Some(why)) => drop(writeln!(out, "answer: {status}, {why}")),
        (None, Some(why)) => drop(writeln!(out, "answer: none, {why}")),
        (_, None) => {}
    }
    if let Some(route) = answer["route"].as_str() {
        let _ = writeln!(out, "route: {route} rule {}", text(&answer["rule"]));
    }
    for backend in answer["backends"].as_array().into_iter().flatten() {
        let name = backend["name"].as_str().unwrap_or("an invalid backend");
        let _ = write!(out, "backend: {name} (weight {})", text(&backend["weight"]));
        let lately = &backend["lately"];
        match (backend["status"].as_u64(), backend["why"].as_str(), lately["why"].as_str()) {
            (Some(status), Some(why), _) => drop(writeln!(out, ": {status}, {why}")),
            (None, _, Some(why)) => {
                let (status, ago) = (text(&lately["status"]), table::age(&lately["time"], now));
                let _ = writeln!(out, ": {status} lately, {ago} ago: {why}");
            }
            _ => out.push('\n'),
        }
        let endpoints: Vec<_> = backend["endpoints"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|endpoint| {
                let address = endpoint["address"].as_str().unwrap_or("-").to_owned();
                let why = endpoint["why"].as_str().unwrap_or_default();
                let why = format!("{why}{}", table::next_check(endpoint, now));
                let why = table::with_failure(why, endpoint, now);
                vec![text(&endpoint["name"]), address, text(&endpoint["state"]), why]
            })
            .collect();
        for line in table::plain(&[], &endpoints).lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    let limits = answer["timeouts"].as_array().into_iter().flatten();
    let limits: Vec<String> = limits
        .map(|one| format!("{} for {} ({})", text(&one["after"]), text(&one["of"]), text(&one["field"])))
        .collect();
    if !limits.is_empty() {
        let _ = writeln!(out, "504 after: {}", limits.join(", "));
    }
}

fn verdict(item: &Value) -> String {
    match (item["verdict"].as_str(), item["why"].as_str()) {
        (Some("wins"), _) => "wins".to_owned(),
        (Some("loses"), Some(why)) => format!("fits, but loses: {why}"),
        (_, why) => format!("no: {}", why.unwrap_or_default()),
    }
}

fn part(out: &mut String, title: &str, rows: &[Vec<String>], notes: &[String]) {
    if rows.is_empty() && notes.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}:");
    let table = if rows.is_empty() { String::new() } else { table::plain(&[], rows) };
    for line in table.lines().chain(notes.iter().map(String::as_str)) {
        let _ = writeln!(out, "  {line}");
    }
}
