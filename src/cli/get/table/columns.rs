//! Which columns a collection has, and how a cell is read from the JSON of an object.

use serde_json::Value;

use super::{Width, full_name, name_of};
use crate::{
    admin::{Collection, view},
    model::Kind,
};

/// A header, and the cell below it: from an object and the time now.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub header: &'static str,
    pub cell: fn(&Value, i64) -> String,
}

/// What a cell shows where there is nothing.
const NONE: &str = "-";

/// More entries of a list than this are counted, not shown.
const MOST_ENTRIES: usize = 3;

pub fn of(collection: Collection, width: Width) -> Vec<Column> {
    let mut columns = match collection {
        Collection::Routes
        | Collection::Kind(
            Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute,
        ) => routes(width),
        Collection::Backends | Collection::Kind(Kind::Backend) => backends(),
        Collection::Endpoints => endpoints(width),
        Collection::Containers => containers(width),
        Collection::Events => return events(),
        Collection::Kind(Kind::Gateway) => gateways(),
        Collection::Kind(Kind::Certificate) => certificates(),
        Collection::Kind(
            Kind::GatewayClass
            | Kind::ListenerSet
            | Kind::BackendTlsPolicy
            | Kind::ReferenceGrant
            | Kind::Secret
            | Kind::ConfigMap
            | Kind::Service
            | Kind::Namespace
            | Kind::Filter
            | Kind::Rollout
            | Kind::ControllerConfig,
        ) => objects(),
    };
    columns.splice(
        0..0,
        [
            Column { header: "NAMESPACE", cell: |item, _| or_none(text(&item["metadata"]["namespace"])) },
            Column { header: "NAME", cell: |item, _| name_of(item) },
        ],
    );
    if let (Collection::Endpoints, Some(name)) = (collection, columns.get_mut(1)) {
        *name = Column { header: "BACKEND", cell: |item, _| text(&item["status"]["backend"]) };
    }
    columns
}

fn routes(width: Width) -> Vec<Column> {
    let wide = width == Width::Wide;
    let mut columns = vec![
        Column {
            header: "HOSTNAMES",
            cell: if wide {
                |item, _| texts(&item["spec"]["hostnames"]).join(",")
            } else {
                |item, _| shortened(&texts(&item["spec"]["hostnames"]))
            },
        },
        Column {
            header: "BACKENDS",
            cell: if wide {
                |item, _| backend_refs(item).join(",")
            } else {
                |item, _| shortened(&backend_refs(item))
            },
        },
        Column { header: "ACCEPTED", cell: |item, _| parents(item, "Accepted") },
        Column { header: "RESOLVED", cell: |item, _| parents(item, "ResolvedRefs") },
        Column { header: "ORIGIN", cell: |item, _| place(item) },
    ];
    if wide {
        columns.insert(0, Column { header: "KIND", cell: |item, _| text(&item["kind"]) });
        columns.push(Column { header: "PARENTS", cell: |item, _| parent_names(item) });
        columns.push(Column { header: "MESSAGE", cell: |item, _| first_message(item) });
    }
    columns
}

fn gateways() -> Vec<Column> {
    vec![
        Column { header: "CLASS", cell: |item, _| or_none(text(&item["spec"]["gatewayClassName"])) },
        Column {
            header: "ADDRESSES",
            cell: |item, _| {
                let addresses = list(&item["status"]["addresses"]).iter();
                or_none(addresses.map(|address| text(&address["value"])).collect::<Vec<_>>().join(","))
            },
        },
        Column { header: "LISTENERS", cell: |item, _| listeners(item) },
        Column { header: "ROUTES", cell: |item, _| attached(item) },
        Column { header: "ACCEPTED", cell: |item, _| condition(&item["status"]["conditions"], "Accepted") },
        Column {
            header: "PROGRAMMED",
            cell: |item, _| condition(&item["status"]["conditions"], "Programmed"),
        },
        Column { header: "ORIGIN", cell: |item, _| place(item) },
    ]
}

fn certificates() -> Vec<Column> {
    vec![
        Column { header: "NAMES", cell: |item, _| or_none(shortened(&texts(&item["status"]["names"]))) },
        Column { header: "READY", cell: |item, _| condition(&item["status"]["conditions"], "Ready") },
        Column { header: "UNTIL", cell: |item, _| or_none(text(&item["status"]["notAfter"])) },
        Column { header: "ORIGIN", cell: |item, _| place(item) },
    ]
}

fn backends() -> Vec<Column> {
    vec![
        Column { header: "RESOLVED", cell: |item, _| or_none(text(&item["status"]["resolved"])) },
        Column {
            header: "READY",
            cell: |item, _| match (&item["status"]["ready"], &item["status"]["total"]) {
                (Value::Number(ready), Value::Number(total)) => format!("{ready}/{total}"),
                _ => NONE.to_owned(),
            },
        },
        Column { header: "ORIGIN", cell: |item, _| or_none(place(item)) },
    ]
}

fn endpoints(width: Width) -> Vec<Column> {
    let mut columns = vec![
        Column { header: "ENDPOINT", cell: |item, _| name_of(item) },
        Column { header: "ADDRESS", cell: |item, _| or_none(text(&item["status"]["address"])) },
        Column { header: "STATE", cell: |item, _| text(&item["status"]["state"]) },
    ];
    if width == Width::Wide {
        columns.push(Column { header: "WEIGHT", cell: |item, _| text(&item["status"]["weight"]) });
    }
    let message = |item: &Value, now| {
        let status = &item["status"];
        with_failure(format!("{}{}", text(&status["message"]), next_check(status, now)), status, now)
    };
    columns.push(Column { header: "MESSAGE", cell: message });
    columns
}

fn containers(width: Width) -> Vec<Column> {
    let mut columns = vec![Column { header: "STATE", cell: |item, _| container_state(item) }];
    if width == Width::Wide {
        columns.push(Column {
            header: "ID",
            cell: |item, _| text(&item["metadata"]["uid"]).chars().take(12).collect(),
        });
        columns.push(Column { header: "IMAGE", cell: |item, _| text(&item["spec"]["image"]) });
        columns.push(Column {
            header: "URLS",
            cell: |item, _| or_none(texts(&item["status"]["urls"]).join(" ")),
        });
        columns.push(Column { header: "WHY NOT", cell: |item, _| or_none(why_not(item)) });
    } else {
        columns.push(Column { header: "URLS, OR WHY NOT", cell: |item, _| urls_or_why_not(item) });
    }
    columns
}

fn events() -> Vec<Column> {
    vec![
        Column { header: "AGE", cell: |item, now| age(&item["time"], now) },
        Column { header: "REASON", cell: |item, _| text(&item["reason"]) },
        Column { header: "OBJECT", cell: |item, _| involved(&item["involvedObject"]) },
        Column { header: "MESSAGE", cell: |item, _| text(&item["message"]) },
    ]
}

fn involved(object: &Value) -> String {
    if object.is_null() {
        return NONE.to_owned();
    }
    format!("{} {}", text(&object["kind"]), full_name(&serde_json::json!({"metadata": object})))
}

fn objects() -> Vec<Column> {
    vec![
        Column { header: "KIND", cell: |item, _| text(&item["kind"]) },
        Column { header: "ACCEPTED", cell: |item, _| parents(item, "Accepted") },
        Column { header: "ORIGIN", cell: |item, _| place(item) },
    ]
}

/// Text as it is, anything else as JSON, nothing for null.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// ` (next check in 22 s)`, where an endpoint waits for one; nothing elsewhere.
pub fn next_check(endpoint: &Value, now: i64) -> String {
    let check = &endpoint["healthCheck"];
    let last = check["last"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let (Some(last), Some(interval @ 1..)) = (last, check["interval"].as_i64()) else { return String::new() };
    // What came of the checks since then is not known; that they go on is.
    let since = (now - last.as_second()).max(0);
    format!(" (next check in {} s)", interval - since % interval)
}

/// A sentence about an endpoint, and one about the last request that it failed, if it has.
pub fn with_failure(mut sentence: String, endpoint: &Value, now: i64) -> String {
    if let Some(failure) = failure(&endpoint["lastFailure"], now) {
        let between = if sentence.is_empty() { "" } else { "; " };
        sentence = format!("{sentence}{between}{failure}");
    }
    sentence
}

/// `the last request to it failed 3s ago: cannot connect …; the client got 502; nothing listens there …`, or, where others
/// were answered since, that this is past.
fn failure(failure: &Value, now: i64) -> Option<String> {
    let message = failure["message"].as_str()?;
    let ago = age(&failure["time"], now);
    let got = match failure["status"].as_u64() {
        Some(status) => format!("the client got {status}"),
        None => "it was tried again".to_owned(),
    };
    Some(if failure["answeredSince"] == true {
        format!("a request to it failed {ago} ago ({message}; {got}), later ones were answered")
    } else {
        format!("the last request to it failed {ago} ago: {message}; {got}; {}", text(&failure["hint"]))
    })
}

/// Where it was written, and whether that place holds something invalid now.
pub fn origin(item: &Value) -> String {
    let annotations = &item["metadata"]["annotations"];
    let origin = text(&annotations[view::ORIGIN]);
    if annotations[view::STALE] == "true" { format!("{origin} (invalid now; last good)") } else { origin }
}

/// The origin, and whether what is shown is only the last good version of what is there now.
fn place(item: &Value) -> String {
    let stale = item["metadata"]["annotations"][view::STALE] == "true";
    if stale { format!("{} (stale)", origin(item)) } else { origin(item) }
}

/// `True`, `False (Reason)`, or `-` where nothing is said.
fn condition(conditions: &Value, kind: &str) -> String {
    let found = list(conditions).iter().find(|condition| condition["type"] == kind);
    found.map_or_else(|| NONE.to_owned(), verdict)
}

fn verdict(condition: &Value) -> String {
    let status = text(&condition["status"]);
    if status == "True" { status } else { format!("{status} ({})", text(&condition["reason"])) }
}

/// The worst that any parent says, or the object itself where it has none.
fn parents(item: &Value, kind: &str) -> String {
    let status = &item["status"];
    let parents = list(&status["parents"]).iter().chain(list(&status["ancestors"]));
    let verdicts: Vec<_> = parents
        .chain([status])
        .map(|parent| condition(&parent["conditions"], kind))
        .filter(|verdict| verdict != NONE)
        .collect();
    let worst = verdicts.iter().find(|verdict| *verdict != "True").or(verdicts.first());
    worst.cloned().unwrap_or_else(|| NONE.to_owned())
}

fn parent_names(item: &Value) -> String {
    let names = list(&item["status"]["parents"]).iter();
    let names = names.map(|parent| full_name(&serde_json::json!({"metadata": parent["parentRef"]})));
    or_none(names.collect::<Vec<_>>().join(","))
}

/// What the first condition that is not true says.
fn first_message(item: &Value) -> String {
    let parents = list(&item["status"]["parents"]).iter().chain([&item["status"]]);
    let conditions = parents.flat_map(|parent| list(&parent["conditions"]));
    let bad = conditions.into_iter().find(|condition| condition["status"] != "True");
    bad.map(|condition| text(&condition["message"])).unwrap_or_default()
}

/// `books:8080`, with weights where traffic is split.
fn backend_refs(item: &Value) -> Vec<String> {
    let own = &item["metadata"]["namespace"];
    let mut names = Vec::new();
    for rule in list(&item["spec"]["rules"]) {
        let refs = list(&rule["backendRefs"]);
        for backend in refs {
            let mut name = text(&backend["name"]);
            if !backend["namespace"].is_null() && backend["namespace"] != *own {
                name = format!("{}/{name}", text(&backend["namespace"]));
            }
            if !backend["port"].is_null() {
                name = format!("{name}:{}", backend["port"]);
            }
            if refs.len() > 1 {
                name = format!("{name}={}", backend["weight"].as_i64().unwrap_or(1));
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

fn listeners(item: &Value) -> String {
    let all = list(&item["spec"]["listeners"]).iter();
    let all: Vec<_> = all
        .map(|listener| {
            format!("{}:{}/{}", text(&listener["name"]), listener["port"], text(&listener["protocol"]))
        })
        .collect();
    shortened(&all)
}

fn attached(item: &Value) -> String {
    let all = list(&item["status"]["listeners"]).iter();
    all.filter_map(|listener| listener["attachedRoutes"].as_u64()).max().unwrap_or_default().to_string()
}

fn container_state(item: &Value) -> String {
    let (phase, health) = (text(&item["status"]["phase"]), text(&item["status"]["health"]));
    if health == "unchecked" { phase } else { format!("{phase} ({health})") }
}

fn urls_or_why_not(item: &Value) -> String {
    let urls = texts(&item["status"]["urls"]);
    let why_not = why_not(item);
    match (item["status"]["routed"] == true, urls.is_empty()) {
        (true, false) => shortened(&urls),
        (true, true) => "routed".to_owned(),
        (false, _) => or_none(why_not),
    }
}

fn why_not(item: &Value) -> String {
    let problems = list(&item["status"]["problems"]).iter().map(|problem| {
        let hint = problem["hint"].as_str().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{}: {}{hint}", text(&problem["reason"]), text(&problem["message"]))
    });
    let left_alone = &item["status"]["leftAlone"];
    let left_alone = (!left_alone.is_null())
        .then(|| format!("{}: {}", text(&left_alone["reason"]), text(&left_alone["message"])));
    problems.chain(left_alone).collect::<Vec<_>>().join(" · ")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(text).collect()
}

fn shortened(entries: &[String]) -> String {
    match entries.get(MOST_ENTRIES..) {
        Some(rest) if !rest.is_empty() => format!("{} +{}", entries[..MOST_ENTRIES].join(","), rest.len()),
        Some(_) | None => or_none(entries.join(",")),
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { NONE.to_owned() } else { text }
}

/// `5s`, `12m`, `3h`, `9d`.
pub fn age(time: &Value, now: i64) -> String {
    let Some(then) = time.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()) else {
        return NONE.to_owned();
    };
    let seconds = now.saturating_sub(then.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
