//! The Compose program: `docker compose` or `docker-compose`, whichever is there.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::Value;
use tokio::process::Command;

use super::service::Service;
use crate::{
    cli::{exit::Advised, run::signals::Signals},
    config::compose,
};

/// The program and what it is always told.
#[derive(Clone, Debug)]
pub(super) struct Compose {
    program: Vec<&'static str>,
    options: Vec<OsString>,
}

/// How `up` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ran {
    Well,
    Failed(ExitStatus),
    /// By a signal for this program.
    Interrupted(&'static str),
}

/// The names by which Compose finds its file.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// After a signal, Compose may finish what it does.
const GRACE: Duration = Duration::from_secs(10);

// === impl Compose ===

impl Compose {
    pub(super) async fn find(files: &[PathBuf], service: &Service) -> anyhow::Result<Self> {
        let mut options: Vec<OsString> = vec!["--project-name".into(), (&service.project).into()];
        for option in file_options(files, service) {
            options.push(option);
        }
        for program in [&["docker", "compose"][..], &["docker-compose"]] {
            let found = Self { program: program.to_vec(), options: Vec::new() };
            if found.output(["version"]).await.is_ok() {
                return Ok(Self { options, ..found });
            }
        }
        let hint = "install Docker's Compose plugin, or `docker-compose`";
        Err(Advised::new("there is neither `docker compose` nor `docker-compose` here", hint).into())
    }

    pub(super) fn name(&self) -> String {
        self.program.join(" ")
    }

    /// The Compose file with everything filled in.
    pub(super) async fn config(&self) -> anyhow::Result<Value> {
        let text = self.output(["config"]).await?;
        compose::parse(&text).map_err(|error| {
            anyhow::anyhow!("what `{} config` prints is not understood: {error}", self.name())
        })
    }

    /// The ids of a service's containers, running or not.
    pub(super) async fn ids(&self, service: &str) -> anyhow::Result<BTreeSet<String>> {
        let text = self.output(["ps", "--all", "--quiet", service]).await?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Starts containers until there are so many of the service, and leaves those that there are alone.
    pub(super) async fn up(&self, service: &str, scale: usize, signals: &mut Signals) -> anyhow::Result<Ran> {
        let scale = format!("{service}={scale}");
        let arguments = ["up", "--detach", "--no-deps", "--no-recreate", "--scale", &scale, service];
        let mut command = self.command(arguments);
        // Its words are for the person, and standard output is for data.
        command.stdin(Stdio::null()).stdout(io::stderr()).stderr(Stdio::inherit());
        let mut child = command.spawn().with_context(|| format!("cannot run `{}`", self.name()))?;
        // Waiting loses nothing when it is dropped.
        let signal = tokio::select! {
            status = child.wait() => {
                let status = status.with_context(|| format!("cannot wait for `{}`", self.name()))?;
                return Ok(if status.success() { Ran::Well } else { Ran::Failed(status) });
            }
            signal = signals.next() => signal,
        };
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            child.kill().await.with_context(|| format!("cannot stop `{}`", self.name()))?;
        }
        Ok(Ran::Interrupted(signal))
    }

    async fn output<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> anyhow::Result<String> {
        let mut command = self.command(arguments);
        let output = command.stdin(Stdio::null()).output().await;
        let output = output.with_context(|| format!("cannot run `{}`", self.name()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(anyhow::anyhow!("`{}` ended with {}: {said}", self.name(), output.status))
    }

    fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut words = self.program.iter();
        let mut command = Command::new(words.next().copied().unwrap_or_default());
        command.args(words).args(&self.options).args(arguments).kill_on_drop(true);
        command
    }
}

/// Files that are named; else what Compose finds itself; else those of the containers that run.
fn file_options(files: &[PathBuf], service: &Service) -> Vec<OsString> {
    let option = |file: &Path| [OsString::from("--file"), file.into()];
    if !files.is_empty() {
        return files.iter().flat_map(|file| option(file)).collect();
    }
    let has_one = |folder: &Path| NAMES.iter().any(|name| folder.join(name).is_file());
    let is_found = env::var_os("COMPOSE_FILE").is_some_and(|files| !files.is_empty())
        || env::current_dir().is_ok_and(|here| here.ancestors().any(has_one));
    let folder = service.folder.as_ref().map(PathBuf::from).filter(|_| !is_found);
    let Some(folder) = folder else { return Vec::new() };
    let mut options = vec!["--project-directory".into(), folder.clone().into()];
    options.extend(service.files.iter().flat_map(|file| option(&folder.join(file))));
    options
}

/// What the engine tells of a container that did not get ready: its state, its last check, its last lines. Empty where
/// there is no `docker` to ask.
pub(super) async fn last_words(id: &str) -> Vec<String> {
    let docker = async |arguments: &[&str]| {
        let output = Command::new("docker").args(arguments).stdin(Stdio::null()).output().await.ok()?;
        let both = [output.stdout, output.stderr].concat();
        output.status.success().then(|| String::from_utf8_lossy(&both).into_owned())
    };
    let mut words = Vec::new();
    let state = docker(&["inspect", "--format", "{{json .State}}", id]).await;
    if let Some(state) = state.and_then(|state| serde_json::from_str::<Value>(&state).ok()) {
        words.extend(state_in_words(&state));
    }
    if let Some(log) = docker(&["logs", "--tail", "10", id]).await {
        words.extend(log.lines().map(|line| format!("log: {line}")));
    }
    words
}

/// `state: exited (code 3)`, and what the last check said.
fn state_in_words(state: &Value) -> Vec<String> {
    let status = state["Status"].as_str().unwrap_or("unknown");
    let code = state["ExitCode"].as_i64().filter(|_| status == "exited");
    let code = code.map(|code| format!(" (code {code})")).unwrap_or_default();
    let mut words = vec![format!("state: {status}{code}")];
    if let Some(health) = state["Health"]["Status"].as_str() {
        words.push(format!("health: {health}"));
    }
    let last = state["Health"]["Log"].as_array().and_then(|log| log.last());
    if let Some(check) = last {
        let said = check["Output"].as_str().unwrap_or_default().trim();
        words.push(format!(
            "last check: code {}{}{said}",
            check["ExitCode"],
            if said.is_empty() { "" } else { ": " }
        ));
    }
    if let Some(error) = state["Error"].as_str().filter(|error| !error.is_empty()) {
        words.push(format!("error: {error}"));
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_that_failed_tells_its_code_and_its_last_check() {
        let exited = json!({"Status": "exited", "ExitCode": 3, "Error": ""});
        assert_eq!(state_in_words(&exited), ["state: exited (code 3)"]);
        let log = [json!({"ExitCode": 0, "Output": "ok"}), json!({"ExitCode": 1, "Output": "no database\n"})];
        let sick = json!({"Status": "running", "ExitCode": 0, "Health": {"Status": "unhealthy", "Log": log}});
        let told = ["state: running", "health: unhealthy", "last check: code 1: no database"];
        assert_eq!(state_in_words(&sick), told);
    }

    #[test]
    fn the_files_of_the_running_containers_are_used_where_no_others_are() {
        let service = Service {
            folder: Some("/srv/shop".to_owned()),
            files: vec!["compose.yaml".to_owned(), "/srv/more.yaml".to_owned()],
            ..Service::default()
        };
        let named = file_options(&["a.yaml".into()], &service);
        assert_eq!(named, ["--file", "a.yaml"]);
        let found = file_options(&[], &service);
        let words = [
            "--project-directory",
            "/srv/shop",
            "--file",
            "/srv/shop/compose.yaml",
            "--file",
            "/srv/more.yaml",
        ];
        assert_eq!(found, words);
    }
}
