//! A Docker engine, used as a person would: by the `docker` command.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, OnceLock},
};

use super::{
    RUN_LABEL, container,
    http::{Connection, Response},
    left_out, lock, output, program, run_id, scratch, static_binary, unique,
};

/// Cheap to clone; all clones are the same engine.
#[derive(Clone, Debug)]
pub struct Engine {
    socket: Arc<Path>,
}

/// A network that is removed with its value. Drop it after the containers in it.
pub struct Network {
    pub name: String,
    pub id: String,
    engine: Engine,
}

// === impl Engine ===

impl Engine {
    /// The machine's engine; where none answers, that is noted (a failure for the CI) and the test ends.
    pub fn local() -> Option<Self> {
        static ANSWERS: OnceLock<bool> = OnceLock::new();
        let named = std::env::var("DOCKER_HOST").ok();
        let socket =
            named.as_deref().and_then(|url| url.strip_prefix("unix://")).unwrap_or("/var/run/docker.sock");
        let engine = Self::at(PathBuf::from(socket));
        if *ANSWERS.get_or_init(|| engine.answers()) {
            return Some(engine);
        }
        left_out("a Docker engine");
        None
    }

    pub(super) fn at(socket: PathBuf) -> Self {
        Self { socket: socket.into() }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What `--docker` is told.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    pub fn answers(&self) -> bool {
        self.docker(["version", "--format", "{{.Server.Version}}"]).is_ok()
    }

    /// `docker ARGUMENTS`: what it printed, or what it said when it failed.
    pub fn docker<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
        output(&mut self.command(arguments))
    }

    /// [`Self::docker`] that must succeed.
    #[track_caller]
    pub fn must<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        self.docker(arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new("docker");
        command
            .args(["--host", &self.url()])
            .args(arguments)
            .env("DOCKER_BUILDKIT", "0")
            .env_remove("DOCKER_HOST");
        command
    }

    /// One call of the engine's own API, as `POST /containers/web/start`: quicker than the command.
    #[track_caller]
    pub fn api(&self, method: &str, path: &str) -> Response {
        self.api_with(method, path, "")
    }

    /// The same with a body, as JSON.
    #[track_caller]
    pub fn api_with(&self, method: &str, path: &str, body: &str) -> Response {
        let mut connection = Connection::open_unix(&self.socket).expect("a connection to the engine");
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        connection.ask(&request).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The image of a program of `tests/programs`, with no ports exposed and no health check.
    #[track_caller]
    pub fn image(&self, name: &str) -> String {
        self.import(name, name, &[])
    }

    /// The same, with `NAME health` as its HEALTHCHECK, five times a second.
    #[track_caller]
    pub fn image_with_health(&self, name: &str) -> String {
        let check =
            format!("HEALTHCHECK --interval=200ms --timeout=2s --retries=1 CMD [\"/{name}\", \"health\"]");
        self.import(name, &format!("{name}-with-health"), &[&check])
    }

    fn import(&self, name: &str, image: &str, changes: &[&str]) -> String {
        let tag = format!("portolan-test/{image}:{}", run_id());
        let built = program(name);
        let _alone = self.lock();
        // The mark says which run imported it; a program that was built after that is imported again.
        let age = |path: &Path| fs::metadata(path).and_then(|facts| facts.modified()).ok();
        let mark = built.with_file_name(format!("{image}.imported"));
        let is_fresh = age(&mark) >= age(&built) && fs::read_to_string(&mark).is_ok_and(|last| last == tag);
        if is_fresh && self.docker(["image", "inspect", &tag]).is_ok() {
            return tag;
        }
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(built.parent().expect("a folder")).args(["-c", name]).stdout(Stdio::piped());
        let mut tar = tar.spawn().expect("tar");
        let entry = format!("ENTRYPOINT [\"/{name}\"]");
        let label = format!("LABEL {RUN_LABEL}={}", run_id());
        let mut import = self.command(["import", "--change", &entry, "--change", &label]);
        import.args(changes.iter().flat_map(|change| ["--change", change])).args(["-", &tag]);
        output(import.stdin(tar.stdout.take().expect("its output"))).expect("the image");
        tar.wait().expect("tar ends");
        fs::write(mark, &tag).expect("the mark of the image");
        tag
    }

    /// The image of the `Dockerfile` around the static binary, if `tests/run` has built one.
    #[track_caller]
    pub fn portolan_image(&self) -> Option<String> {
        let Some(binary) = static_binary() else {
            left_out("a static binary (`tests/run` builds it)");
            return None;
        };
        let tag = format!("portolan-test/portolan:{}", run_id());
        let _alone = self.lock();
        if self.docker(["image", "inspect", &tag]).is_err() {
            let folder = scratch();
            fs::create_dir(folder.path().join("state")).expect("the folder `state`");
            fs::copy(binary, folder.path().join("portolan")).expect("the binary");
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Dockerfile");
            let label = format!("{RUN_LABEL}={}", run_id());
            let context = folder.path().to_str().expect("a path in UTF-8");
            self.must([
                "build", "-q", "--target", "prebuilt", "--label", &label, "-f", file, "-t", &tag, context,
            ]);
        }
        Some(tag)
    }

    fn lock(&self) -> fs::File {
        let name = self.socket.to_string_lossy().replace('/', "-");
        lock(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("engine{name}.lock")))
    }

    /// A container of the test backend; its name gets an ending that makes it unique.
    pub fn container(&self, name: &str) -> container::Builder {
        container::Builder::new(self.clone(), unique(name))
    }

    /// A bridge network; its name gets an ending that makes it unique.
    #[track_caller]
    pub fn network(&self, name: &str) -> Network {
        self.network_with(name, &[])
    }

    /// The same, with options of `docker network create`.
    #[track_caller]
    pub fn network_with(&self, name: &str, options: &[&str]) -> Network {
        let name = unique(name);
        let label = format!("{RUN_LABEL}={}", run_id());
        let words = ["network", "create", "--label", &label];
        let id = self.must(words.into_iter().chain(options.iter().copied()).chain([&*name]));
        Network { name, id, engine: self.clone() }
    }
}

// === impl Network ===

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.engine.docker(["network", "rm", &self.id]);
    }
}
