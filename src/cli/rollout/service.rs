//! What a rollout is about, decided without asking anybody: which containers, whether two of them can be, and when a new
//! one is ready.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cli::{
    acting::Look,
    exit::Advised,
    get::table::{full_name, text},
};

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const ONE_OFF: &str = "com.docker.compose.oneoff";
const FILES: &str = "com.docker.compose.project.config_files";
const FOLDER: &str = "com.docker.compose.project.working_dir";

/// A service as it is before the rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) project: String,
    /// Its containers that are to be replaced.
    pub(super) old: Vec<Member>,
    /// Its containers that do not run: Compose would start these again instead of new ones.
    pub(super) stopped: Vec<Member>,
    /// Where Compose found its files when it made them.
    pub(super) files: Vec<String>,
    pub(super) folder: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) phase: String,
}

/// How far a new container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    /// Why not yet.
    Waiting(String),
    /// Why it never will be.
    Failed(String),
}

/// Finds the service among all containers.
pub(super) fn choose(containers: &[Value], service: &str, project: Option<&str>) -> Result<Service, Advised> {
    let of_service = containers.iter().filter(|container| {
        let labels = &container["spec"]["labels"];
        labels[SERVICE] == service
            && !labels[ONE_OFF].as_str().is_some_and(|value| value.eq_ignore_ascii_case("true"))
            && project.is_none_or(|project| labels[PROJECT] == project)
    });
    let of_service: Vec<&Value> =
        of_service.filter(|container| container["status"]["phase"] != "gone").collect();
    let projects: BTreeSet<&str> =
        of_service.iter().filter_map(|container| container["spec"]["labels"][PROJECT].as_str()).collect();
    let names: Vec<String> = projects.iter().map(|name| format!("`{name}`")).collect();
    if projects.len() > 1 {
        let message = format!("the projects {} have a service `{service}`", names.join(", "));
        return Err(Advised::new(message, "say which one is meant with `--project`"));
    }
    let mut found =
        Service { project: projects.iter().map(ToString::to_string).collect(), ..Service::default() };
    for container in &of_service {
        let member = Member {
            id: text(&container["metadata"]["uid"]),
            name: text(&container["metadata"]["name"]),
            phase: text(&container["status"]["phase"]),
        };
        match member.phase.as_str() {
            "created" | "exited" | "dead" => found.stopped.push(member),
            _ => found.old.push(member),
        }
    }
    if found.old.is_empty() {
        let place = project.map(|project| format!(" in project `{project}`")).unwrap_or_default();
        let message = format!("no container of a Compose service `{service}` runs{place}");
        let hint =
            format!("a rollout replaces what runs: `docker compose up --detach {service}` starts it first");
        return Err(Advised::new(message, hint));
    }
    // The newest says best where the files are.
    let newest = of_service.iter().max_by_key(|container| text(&container["metadata"]["creationTimestamp"]));
    let label = |name: &str| newest.and_then(|container| container["spec"]["labels"][name].as_str());
    found.files = label(FILES)
        .unwrap_or_default()
        .split(',')
        .filter(|file| !file.is_empty())
        .map(str::to_owned)
        .collect();
    found.folder = label(FOLDER).map(str::to_owned);
    Ok(found)
}

/// Why two containers of a service cannot be there at a time, by what the Compose file says.
pub(super) fn obstacles(config: &Value, service: &str) -> Result<Vec<String>, Advised> {
    let Some(wanted) = config["services"].get(service) else {
        let names = config["services"].as_object().into_iter().flatten().map(|(name, _)| format!("`{name}`"));
        let message = format!("the Compose file has no service `{service}`");
        let hint =
            format!("it has {}; name another file with `--file`", names.collect::<Vec<_>>().join(", "));
        return Err(Advised::new(message, hint));
    };
    let mut found = Vec::new();
    if let Some(name) = wanted["container_name"].as_str() {
        found.push(format!("`container_name: {name}`: only one container can have a name; remove the line"));
    }
    for port in wanted["ports"].as_array().into_iter().flatten() {
        if let Some(published) = fixed_port(port) {
            found.push(format!(
                "`ports: {published}`: only one container can have a port of the host; remove it, Portolan reaches the \
                 container without"
            ));
        }
    }
    if wanted["network_mode"] == "host" {
        found.push("`network_mode: host`: two containers cannot listen on one port of the host".to_owned());
    }
    for (network, options) in wanted["networks"].as_object().into_iter().flatten() {
        for field in ["ipv4_address", "ipv6_address", "mac_address"] {
            if let Some(address) = options[field].as_str() {
                found.push(format!(
                    "`{field}: {address}` on network `{network}`: only one container can have it"
                ));
            }
        }
    }
    Ok(found)
}

/// A port of the host that the container has for itself, as it is written; a range leaves room for others.
fn fixed_port(port: &Value) -> Option<String> {
    let (published, target) = match port {
        Value::Object(port) => {
            let text = |field: &str| port.get(field).map(text).unwrap_or_default();
            (text("published"), text("target"))
        }
        Value::String(port) => {
            let port = port.split('/').next().unwrap_or_default();
            let mut parts = port.rsplit(':');
            let target = parts.next().unwrap_or_default().to_owned();
            (parts.next().unwrap_or_default().to_owned(), target)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return None,
    };
    let is_fixed =
        !matches!(published.as_str(), "" | "0") && (!published.contains('-') || target.contains('-'));
    is_fixed.then(|| format!("{published}:{target}"))
}

/// What the controller says of a new container and its endpoints.
pub(super) fn readiness(look: Option<&Look>, endpoints: &[Value]) -> Readiness {
    let Some(look) = look else {
        return Readiness::Waiting("the controller does not know the new container yet".to_owned());
    };
    let name = &look.name;
    let crashing = endpoints.iter().map(|endpoint| text(&endpoint["status"]["message"]));
    if let Some(message) = crashing.into_iter().find(|message| message.starts_with("CrashLooping")) {
        return Readiness::Failed(message);
    }
    match look.phase.as_str() {
        "running" => {}
        "exited" | "dead" | "gone" | "terminating" => {
            return Readiness::Failed(format!("container `{name}` is {}", look.phase));
        }
        phase => return Readiness::Waiting(format!("container `{name}` is {phase}")),
    }
    if !matches!(look.health.as_str(), "unchecked" | "healthy") {
        return Readiness::Waiting(format!("container `{name}` is {} by its HEALTHCHECK", look.health));
    }
    let unready = endpoints.iter().find(|endpoint| endpoint["status"]["state"] != "ready");
    match unready {
        Some(endpoint) => {
            let (state, message) = (text(&endpoint["status"]["state"]), text(&endpoint["status"]["message"]));
            Readiness::Waiting(format!("endpoint `{}` is {state}: {message}", full_name(endpoint)))
        }
        None => Readiness::Ready,
    }
}

#[cfg(test)]
mod tests;
