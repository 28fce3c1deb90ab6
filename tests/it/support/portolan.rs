//! A running `portolan run` on addresses of its own, with its log, until it is dropped.

use std::{
    fmt::Display,
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;

use super::{
    binary,
    http::{self, Connection, Response},
    own_address,
    process::Process,
    scratch, wait,
};

pub struct Portolan {
    pub process: Process,
    /// Where its implicit Gateway listens for HTTP.
    pub http: SocketAddr,
    /// Where it listens for HTTPS once there is a certificate.
    pub https: SocketAddr,
    pub admin: SocketAddr,
    state: Arc<TempDir>,
}

pub struct Builder {
    address: Ipv4Addr,
    docker: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    state: Arc<TempDir>,
    /// One that it is given as a supervisor would.
    socket: Option<OwnedFd>,
    /// The most files that it may have open.
    files: Option<u32>,
}

/// A folder of documents that a test writes as a careful editor does.
pub struct Documents(TempDir);

// === impl Portolan ===

impl Portolan {
    /// Without an engine and without documents, until told otherwise.
    pub fn builder() -> Builder {
        Builder {
            address: own_address(),
            docker: "off".to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            state: Arc::new(scratch()),
            socket: None,
            files: None,
        }
    }

    /// A line of the kernel's status of the process (`proc_pid_status(5)`), in kilobytes: `VmRSS`, `RssAnon`, …
    pub fn memory(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub fn get(&self, host: &str, path: &str) -> io::Result<Response> {
        http::get(self.http, host, path)
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.http).expect("a connection to the proxy")
    }

    /// Asks until the backend of that name answers.
    #[track_caller]
    pub fn reaches(&self, host: &str, path: &str, backend: &str) -> Response {
        self.answers(host, path, &format!("backend `{backend}`"), |answer| answer.backend() == Some(backend))
    }

    /// Asks until the answer has that status.
    #[track_caller]
    pub fn says(&self, host: &str, path: &str, status: u16) -> Response {
        self.answers(host, path, &status.to_string(), |answer| answer.status == status)
    }

    /// Asks until the answer is as wanted.
    #[track_caller]
    pub fn answers(&self, host: &str, path: &str, wanted: &str, is: impl Fn(&Response) -> bool) -> Response {
        wait::eventually(wait::SOON, &format!("http://{host}{path} answers {wanted}"), || {
            let answer = self.get(host, path).map_err(|error| error.to_string())?;
            wait::check(answer, &is, Response::to_string)
        })
    }

    /// A path of the admin API.
    pub fn admin(&self, path: &str) -> io::Result<Response> {
        http::get(self.admin, "localhost", path)
    }

    /// The value of a metric with exactly these labels, as in `portolan_source_connected{source="docker"}`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = self.admin("/metrics").ok()?.text();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    }

    /// Runs `portolan ARGUMENTS` against this one; its standard output, or what it said when it failed.
    pub fn client(&self, arguments: &[&str]) -> Result<String, String> {
        super::output(command().args(arguments).env("PORTOLAN_ADMIN", self.admin.to_string()))
    }

    /// The same with both outputs, as a person at a terminal sees them.
    #[track_caller]
    pub fn shows(&self, arguments: &[&str]) -> String {
        let mut client = command();
        let output = client.args(arguments).env("PORTOLAN_ADMIN", self.admin.to_string()).output();
        let output = output.expect("the command runs");
        let (said, warned) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        format!("{warned}{said}")
    }

    pub fn log(&self) -> String {
        self.process.lines().join("\n")
    }

    pub fn state_dir(&self) -> &Path {
        self.state.path()
    }

    /// SIGTERM, and how it ended.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        self.process.signal("TERM");
        self.process.wait(wait::SOON)
    }

    /// SIGKILL; a successor may get its state directory and addresses by [`Builder::after`].
    #[track_caller]
    pub fn kill(&mut self) {
        self.process.signal("KILL");
        self.process.wait(wait::SOON);
    }
}

/// `portolan` with an environment that says nothing to it.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| {
        name.to_str().is_some_and(|name| name.starts_with("PORTOLAN_") || name == "DOCKER_HOST")
    }) {
        command.env_remove(name);
    }
    command
}

/// The same command, with its standard input as the one socket of a supervisor.
fn activating(command: &Command) -> Command {
    behind("exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$", command)
}

/// The same command, started by a shell that does this first.
fn behind(words: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{words} exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

// === impl Builder ===

impl Builder {
    /// The engine at `url`: `unix:///…` or `tcp://…`.
    pub fn docker(mut self, url: impl Display) -> Self {
        self.docker = url.to_string();
        self
    }

    pub fn config(self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_str().expect("a path in UTF-8").to_owned();
        self.arguments(["--config", &path])
    }

    /// Its own address of loopback.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// More of the command line.
    pub fn arguments<'a>(mut self, more: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.extend(more.into_iter().map(str::to_owned));
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a listening socket, as systemd passes it.
    pub fn socket(mut self, socket: impl Into<OwnedFd>) -> Self {
        self.socket = Some(socket.into());
        self
    }

    /// With at most so many open files.
    pub fn files(mut self, most: u32) -> Self {
        self.files = Some(most);
        self
    }

    /// With the addresses and the state directory of one that has ended.
    pub fn after(mut self, mut ended: Portolan) -> Self {
        assert!(ended.process.exited().is_some(), "it must have ended");
        if let std::net::IpAddr::V4(address) = ended.http.ip() {
            self.address = address;
        }
        self.state = ended.state;
        self
    }

    /// With the addresses and the state directory of one that runs.
    pub fn beside(mut self, other: &Portolan) -> Self {
        if let std::net::IpAddr::V4(address) = other.http.ip() {
            self.address = address;
        }
        self.state = Arc::clone(&other.state);
        self
    }

    /// Starts it and waits until it serves its first table.
    #[track_caller]
    pub fn start(self) -> Portolan {
        let mut portolan = self.start_unready();
        wait::eventually(wait::SOON, "`/readyz` answers 200", || {
            portolan.process.must_run();
            let answer = portolan.admin("/readyz").map_err(|error| error.to_string())?;
            wait::check(answer, |answer| answer.status == 200, Response::to_string)
        });
        portolan
    }

    /// Starts it and waits for nothing.
    #[track_caller]
    pub fn start_unready(self) -> Portolan {
        let [http, https, admin] = [8080, 8443, 9080].map(|port| SocketAddr::from((self.address, port)));
        let mut command = command();
        command.arg("run").arg("--docker").arg(&self.docker);
        command.args(["--http", &http.to_string(), "--https", &https.to_string()]);
        command.args(["--admin", &admin.to_string()]).arg("--state-dir").arg(self.state.path());
        command.args(&self.arguments).envs(self.environment);
        if let Some(most) = self.files {
            command = behind(&format!("ulimit -n {most};"), &command);
        }
        let process = match self.socket {
            Some(socket) => Process::start_with(&mut activating(&command), socket),
            None => Process::start(&mut command),
        };
        Portolan { process, http, https, admin, state: self.state }
    }
}

// === impl Documents ===

impl Documents {
    pub fn new() -> Self {
        Self(scratch())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file of this folder at once, by renaming.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        let fresh = self.0.path().join(format!(".{name}.tmp"));
        fs::write(&fresh, text).expect("the document is written");
        fs::rename(&fresh, &path).expect("the document moves into place");
        path
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.0.path().join(name)).expect("the document is removed");
    }

    /// Waits for nothing: the text is what is in `name` from now on.
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).expect("the document")
    }
}

/// How long a whole start may take, for tests that measure it.
pub const START: Duration = Duration::from_secs(5);
