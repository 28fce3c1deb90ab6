//! A container of the test backend, removed with its value.

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
};

use super::{
    RUN_LABEL,
    engine::{Engine, Network},
    http::{self, Response},
    output, run_id, wait,
};

pub struct Container {
    /// As it was started; `docker rename` makes it another.
    pub name: String,
    pub id: String,
    engine: Engine,
}

#[derive(Clone)]
pub struct Builder {
    engine: Engine,
    name: String,
    image: Option<String>,
    options: Vec<String>,
    arguments: Vec<String>,
}

// === impl Builder ===

impl Builder {
    pub(super) fn new(engine: Engine, name: String) -> Self {
        Self { engine, name, image: None, options: Vec::new(), arguments: Vec::new() }
    }

    /// Exactly this name, as where one container replaces another.
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Another image than the backend's.
    pub fn image(mut self, image: &str) -> Self {
        self.image = Some(image.to_owned());
        self
    }

    /// With a HEALTHCHECK that asks the backend; see [`Container::health`].
    pub fn with_health(self) -> Self {
        let image = self.engine.image_with_health("backend");
        self.image(&image)
    }

    /// Options of `docker run`, such as `["--expose", "8080"]`.
    pub fn options<'a>(mut self, more: impl IntoIterator<Item = &'a str>) -> Self {
        self.options.extend(more.into_iter().map(str::to_owned));
        self
    }

    /// An image's EXPOSE, and what the backend listens on.
    pub fn port(self, port: u16) -> Self {
        let ports = port.to_string();
        self.options(["--expose", &ports]).arguments([&*ports])
    }

    pub fn label(self, name: &str, value: &str) -> Self {
        self.options(["--label", &format!("{name}={value}")])
    }

    pub fn environment(self, name: &str, value: &str) -> Self {
        self.options(["--env", &format!("{name}={value}")])
    }

    pub fn network(self, network: &Network) -> Self {
        self.options(["--network", &network.name])
    }

    /// Arguments of the program: the backend's ports.
    pub fn arguments<'a>(mut self, more: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.extend(more.into_iter().map(str::to_owned));
        self
    }

    /// `docker run -d`
    #[track_caller]
    pub fn start(self) -> Container {
        self.make(&["run", "--detach"])
    }

    /// `docker create`
    #[track_caller]
    pub fn create(self) -> Container {
        self.make(&["create"])
    }

    fn make(self, verb: &[&str]) -> Container {
        let image = self.image.unwrap_or_else(|| self.engine.image("backend"));
        let label = format!("{RUN_LABEL}={}", run_id());
        let name_in_answers = format!("NAME={}", self.name);
        let mut words = verb.to_vec();
        words.extend(["--pull", "never", "--label", &label, "--name", &self.name, "--env", &name_in_answers]);
        words.extend(self.options.iter().map(String::as_str));
        words.push(&image);
        words.extend(self.arguments.iter().map(String::as_str));
        let id = self.engine.must(words);
        Container { name: self.name, id, engine: self.engine }
    }
}

// === impl Container ===

impl Container {
    /// `docker COMMAND` on this container: `start`, `stop --time 1`, `pause`, `unpause`, `restart`, `kill -s HUP`, ….
    #[track_caller]
    pub fn docker(&self, command: &str) -> String {
        self.engine.must(command.split(' ').chain([&*self.id]))
    }

    #[track_caller]
    pub fn rename(&self, name: &str) {
        self.engine.must(["rename", &self.id, name]);
    }

    #[track_caller]
    pub fn connect(&self, network: &Network) {
        self.network(network, "connect");
    }

    #[track_caller]
    pub fn disconnect(&self, network: &Network) {
        self.network(network, "disconnect");
    }

    #[track_caller]
    fn network(&self, network: &Network, what: &str) {
        let body = format!("{{\"Container\": \"{}\"}}", self.id);
        let answer = self.engine.api_with("POST", &format!("/networks/{}/{what}", network.id), &body);
        assert_eq!(answer.status, 200, "{what}: {answer}");
    }

    /// `docker inspect --format`
    #[track_caller]
    pub fn inspect(&self, format: &str) -> String {
        self.engine.must(["inspect", "--format", format, &self.id])
    }

    /// Its address in its first network.
    #[track_caller]
    pub fn address(&self, port: u16) -> SocketAddr {
        let list = self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}");
        let address: IpAddr =
            list.split_whitespace().next().and_then(|text| text.parse().ok()).expect("an address");
        (address, port).into()
    }

    /// Asks the backend itself.
    #[track_caller]
    pub fn get(&self, port: u16, path: &str) -> Response {
        http::get(self.address(port), "backend", path).expect("the backend answers")
    }

    /// Waits until the backend itself answers on that port.
    #[track_caller]
    pub fn listens(&self, port: u16) {
        wait::eventually(wait::SOON, "the backend listens", || {
            http::get(self.address(port), "backend", "/count")
        });
    }

    /// Makes its health check succeed (`on`) or fail (`off`), and waits until the engine has noticed.
    #[track_caller]
    pub fn health(&self, port: u16, to: &str) {
        let request = format!(
            "POST /health/{to} HTTP/1.1\r\nHost: backend\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        wait::eventually(wait::SOON, "the backend takes its health", || {
            http::ask(self.address(port), &request)
        });
        let wanted = if to == "on" { "healthy" } else { "unhealthy" };
        wait::eventually(wait::SOON, &format!("the engine says {wanted}"), || {
            let container = self.engine.api("GET", &format!("/containers/{}/json", self.id)).json();
            let health = container["State"]["Health"]["Status"].clone();
            wait::check(health, |seen| seen == wanted, ToString::to_string)
        });
    }

    /// Every path in it, folders with a `/` at the end; sorted.
    #[track_caller]
    pub fn files(&self) -> Vec<String> {
        let list = "docker --host \"$0\" export \"$1\" | tar -t";
        let list =
            output(Command::new("sh").args(["-c", list, &self.engine.url(), &self.id])).expect("the files");
        let mut files: Vec<_> = list.lines().map(|file| format!("/{file}")).collect();
        files.sort();
        files
    }

    pub fn logs(&self) -> String {
        self.engine.docker(["logs", &self.id]).unwrap_or_else(|error| error)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- container {}:\n{}", self.name, self.logs());
        }
        let _ = self.engine.docker(["rm", "--force", "--volumes", &self.id]);
    }
}

/// `docker-compose` against an engine, or nothing (noted) where it is not installed. The project needs a unique name.
pub fn compose(engine: &Engine, project: &str, file: &std::path::Path) -> Option<Command> {
    let mut command = Command::new("docker-compose");
    if command.arg("version").output().is_err() {
        super::left_out("docker-compose");
        return None;
    }
    let mut command = Command::new("docker-compose");
    command.env("DOCKER_HOST", engine.url()).args(["--project-name", project, "--file"]).arg(file);
    Some(command)
}
