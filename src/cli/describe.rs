//! `portolan describe`: everything about one object, on one page.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::Value;

use super::{
    args::{DescribeArgs, ServerArgs},
    client::{Client, block_on, list_path},
    exit::{Advised, Exit},
    get::{
        find,
        name::{self, Wanted},
        table::{self, full_name, text},
    },
    print,
};
use crate::{
    admin::{Collection, view},
    config::emit::emit,
};

/// An object and what belongs to it.
#[derive(Clone, Debug, Default)]
pub struct Described {
    pub object: Value,
    pub endpoints: Vec<Value>,
    pub events: Vec<Value>,
    /// Seconds since 1970.
    pub now: i64,
}

/// At most so many events, the newest.
const MOST_EVENTS: usize = 10;

/// Prints one object; with several of one name, says which there are.
pub fn describe(args: &DescribeArgs) -> anyhow::Result<Exit> {
    let collection = name::collection(&args.kind)?;
    let wanted = Wanted::new(Some(&args.name), args.namespace.as_deref())?;
    let client = Client::new(args.server.admin.clone());
    let described = block_on(read(&client, collection, &wanted))?;
    print::data(&page(&described))?;
    Ok(Exit::Yes)
}

/// The same for a container, by its name alone.
pub fn container(server: &ServerArgs, name: &str) -> anyhow::Result<Exit> {
    let wanted = Wanted::new(Some(name), None)?;
    let client = Client::new(server.admin.clone());
    let described = block_on(read(&client, Collection::Containers, &wanted))?;
    print::data(&page(&described))?;
    Ok(if described.object["status"]["routed"] == true { Exit::Yes } else { Exit::No })
}

async fn read(client: &Client, collection: Collection, wanted: &Wanted) -> anyhow::Result<Described> {
    let mut items = find(client, collection, wanted).await?;
    if items.len() > 1 && items.iter().any(|item| wanted.name.as_deref() == item["metadata"]["name"].as_str())
    {
        items.retain(|item| wanted.name.as_deref() == item["metadata"]["name"].as_str());
    }
    let object = match items.len() {
        1 => items.remove(0),
        0 => return Err(Advised::no(format!("there is no `{}`", wanted.shown()), "").into()),
        number => {
            let names =
                items.iter().map(|item| format!("`{}`", full_name(item))).collect::<Vec<_>>().join(", ");
            let message = format!("`{}` is the name of {number} objects: {names}", wanted.shown());
            return Err(Advised::new(message, which(&items)).into());
        }
    };
    let mut endpoints = Vec::new();
    for backend in backends(&object) {
        let query = [("namespace", Some(backend.0.as_str())), ("name", Some(backend.1.as_str()))];
        endpoints.extend(client.list(&list_path("endpoints", &query)).await?);
    }
    if collection == Collection::Containers {
        // Under this name it stands in backends of any namespace.
        let name = text(&object["metadata"]["name"]);
        endpoints.extend(client.list(&list_path("endpoints", &[("name", Some(name.as_str()))])).await?);
    }
    let events = events(client, &object).await?;
    Ok(Described { object, endpoints, events, now: jiff::Timestamp::now().as_second() })
}

/// How to say which of several objects is meant.
fn which(items: &[Value]) -> String {
    let namespaces: BTreeSet<String> =
        items.iter().map(|item| text(&item["metadata"]["namespace"])).collect();
    let example = items.first().map(full_name).unwrap_or_default();
    match namespaces.len() {
        1 => format!("name one of them with its port, such as `{example}`"),
        _ => format!("name one of them with its namespace, such as `{example}`"),
    }
}

/// Namespace and name (with port, if one is written) of each backend of a route.
fn backends(object: &Value) -> Vec<(String, String)> {
    let own = text(&object["metadata"]["namespace"]);
    let rules = object["spec"]["rules"].as_array().into_iter().flatten();
    let refs = rules.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten());
    let mut names: Vec<_> = refs
        .map(|backend| {
            let namespace = backend["namespace"].as_str().map_or_else(|| own.clone(), str::to_owned);
            let name = text(&backend["name"]);
            let name = backend["port"].as_u64().map_or_else(|| name.clone(), |port| format!("{name}:{port}"));
            (namespace, name)
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The events of an object; of a backend, and of the object that stands for it.
async fn events(client: &Client, object: &Value) -> anyhow::Result<Vec<Value>> {
    let name = text(&object["metadata"]["name"]);
    let is_backend = !object["status"]["resolved"].is_null();
    let bare = name.rsplit_once(':').map_or(&*name, |(bare, _)| bare);
    let asked = if is_backend { bare } else { &*name };
    let namespace = object["metadata"]["namespace"].as_str();
    let query = [("namespace", namespace), ("name", Some(asked))];
    let mut events = client.list(&list_path("events", &query)).await?;
    events.retain(|event| {
        let (of, kind) = (&event["involvedObject"], &object["kind"]);
        let is_endpoints = is_backend && of["kind"] == "Backend" && of["name"] == *name;
        is_endpoints || (of["kind"] == *kind && (of["name"] == *name || of["name"] == bare))
    });
    Ok(events.split_off(events.len().saturating_sub(MOST_EVENTS)))
}

/// The page, as text.
pub fn page(described: &Described) -> String {
    let Described { object, endpoints, events, now } = described;
    let mut out = head(object);
    for field in ["spec", "data", "rules"] {
        if object[field].is_object() {
            section(&mut out, if field == "spec" { "Spec" } else { "Data" }, &emit(&object[field]));
        }
    }
    status(&mut out, object, *now);
    let listed = object["status"]["endpoints"].as_array().map_or(&[][..], Vec::as_slice);
    let endpoint_rows: Vec<_> = listed
        .iter()
        .map(|endpoint| endpoint_row("", (&endpoint["name"], endpoint), *now))
        .chain(endpoints.iter().map(|endpoint| {
            let status = &endpoint["status"];
            endpoint_row(&text(&status["backend"]), (&endpoint["metadata"]["name"], status), *now)
        }))
        .collect();
    if !endpoint_rows.is_empty() {
        section(&mut out, "Endpoints", &table::plain(&[], &endpoint_rows));
    }
    let rows: Vec<_> = events
        .iter()
        .map(|event| vec![table::age(&event["time"], *now), text(&event["reason"]), text(&event["message"])])
        .collect();
    section(
        &mut out,
        "Events",
        if rows.is_empty() { "none\n".to_owned() } else { table::plain(&[], &rows) }.as_str(),
    );
    out
}

fn head(object: &Value) -> String {
    let metadata = &object["metadata"];
    let mut rows = Vec::new();
    let mut row = |label: &str, value: String| {
        if !value.is_empty() {
            rows.push(vec![format!("{label}:"), value]);
        }
    };
    row("Name", text(&metadata["name"]));
    row("Namespace", text(&metadata["namespace"]));
    row("Kind", text(&object["kind"]));
    row("Origin", text(&metadata["annotations"][view::ORIGIN]));
    if metadata["annotations"][view::STALE] == "true" {
        row("Stale", "the file now holds something invalid; this is the last good version".to_owned());
    }
    row("Generation", text(&metadata["generation"]));
    row("Created", text(&metadata["creationTimestamp"]));
    row("Id", text(&metadata["uid"]));
    row("Resolved", text(&object["status"]["resolved"]));
    row("State", text(&object["status"]["phase"]));
    row("Health", text(&object["status"]["health"]));
    let urls = object["status"]["urls"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    row("URLs", urls.join(" "));
    row("Left alone", text(&object["status"]["leftAlone"]["message"]));
    let resources = object["status"]["resources"].as_array().into_iter().flatten();
    let resources = resources
        .map(|id| format!("{} {}", text(&id["kind"]), full_name(&serde_json::json!({"metadata": id}))));
    row("Resources", resources.collect::<Vec<_>>().join(", "));
    table::plain(&[], &rows)
}

/// Conditions with their times, by parent and listener; problems with what to do.
fn status(out: &mut String, object: &Value, now: i64) {
    let status = &object["status"];
    conditions(out, "Conditions", &status["conditions"], now);
    for (parent, reference) in
        [("parents", "parentRef"), ("ancestors", "ancestorRef")].into_iter().flat_map(|(list, name)| {
            status[list].as_array().into_iter().flatten().map(move |one| (one, &one[name]))
        })
    {
        let name = full_name(&serde_json::json!({"metadata": reference}));
        let section_name = reference["sectionName"].as_str().map(|name| format!(" listener {name}"));
        let title = format!("Parent {} {name}{}", text(&reference["kind"]), section_name.unwrap_or_default());
        conditions(out, &title, &parent["conditions"], now);
    }
    for listener in status["listeners"].as_array().into_iter().flatten() {
        let title =
            format!("Listener {} ({} routes)", text(&listener["name"]), text(&listener["attachedRoutes"]));
        conditions(out, &title, &listener["conditions"], now);
    }
    let mut problems = String::new();
    for problem in status["problems"].as_array().into_iter().flatten() {
        let severity = text(&problem["severity"]);
        let _ = writeln!(problems, "{severity}[{}]: {}", text(&problem["reason"]), text(&problem["message"]));
        if let Some(hint) = problem["hint"].as_str() {
            let _ = writeln!(problems, "  hint: {hint}");
        }
    }
    if !problems.is_empty() {
        section(out, "Problems", &problems);
    }
}

fn conditions(out: &mut String, title: &str, conditions: &Value, now: i64) {
    let rows: Vec<_> = conditions
        .as_array()
        .into_iter()
        .flatten()
        .map(|condition| {
            vec![
                text(&condition["type"]),
                text(&condition["status"]),
                text(&condition["reason"]),
                table::age(&condition["lastTransitionTime"], now),
                text(&condition["message"]),
            ]
        })
        .collect();
    if !rows.is_empty() {
        section(out, title, &table::plain(&[], &rows));
    }
}

fn endpoint_row(backend: &str, (name, status): (&Value, &Value), now: i64) -> Vec<String> {
    let message = format!("{}{}", text(&status["message"]), table::next_check(status, now));
    let message = table::with_failure(message, status, now);
    let address = status["address"].as_str().unwrap_or("-").to_owned();
    let mut row = vec![text(name), address, text(&status["state"]), message];
    if !backend.is_empty() {
        row.insert(0, backend.to_owned());
    }
    row
}

/// A title and its text, indented.
fn section(out: &mut String, title: &str, body: &str) {
    let _ = writeln!(out, "\n{title}:");
    for line in body.lines() {
        let _ = writeln!(out, "  {line}");
    }
}
