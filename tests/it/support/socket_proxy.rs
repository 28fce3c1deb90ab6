//! A socket between Portolan and the engine that fails on request: cut, stalled, refusing, filtering, losing events.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::{engine::Engine, scratch, wait};

pub struct SocketProxy {
    folder: TempDir,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    #[default]
    Pass,
    /// New connections are closed at once.
    Refuse,
    /// Nothing passes any more, and nothing is closed: a peer that is gone without a word.
    Stall,
    /// What the engine says on `/events` is lost; the rest passes.
    LoseEvents,
}

#[derive(Default)]
struct State {
    mode: Mode,
    /// Beginnings of paths (without the version) that are answered 403, as a filtering proxy does.
    denied: Vec<String>,
    /// `METHOD PATH` of every request so far.
    requests: Vec<String>,
    open: Vec<(UnixStream, UnixStream)>,
    over: bool,
}

// === impl SocketProxy ===

impl SocketProxy {
    pub fn start(engine: &Engine) -> Self {
        let folder = scratch();
        let listener = UnixListener::bind(folder.path().join("docker.sock")).expect("the proxy's socket");
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, target) = (Arc::clone(&state), engine.socket().to_owned());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if held(&shared).over {
                    return;
                }
                let _ = connect(client, &target, &shared);
            }
        });
        Self { folder, state }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// What `--docker` is told.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The engine as seen through it.
    pub fn engine(&self) -> Engine {
        Engine::at(self.socket())
    }

    /// From now on. Connections that are open stay so; [`Self::cut`] ends them.
    pub fn mode(&self, mode: Mode) {
        held(&self.state).mode = mode;
    }

    /// Ends all open connections at once.
    pub fn cut(&self) {
        for (client, server) in held(&self.state).open.drain(..) {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
    }

    /// Answers 403 to requests whose path, without the version, begins so: `/networks`.
    pub fn deny(&self, path: &str) {
        held(&self.state).denied.push(path.to_owned());
    }

    pub fn allow_all(&self) {
        held(&self.state).denied.clear();
    }

    /// `METHOD PATH` of every request so far, paths without the version.
    pub fn requests(&self) -> Vec<String> {
        held(&self.state).requests.clone()
    }

    /// Waits for a request that begins so, among those after the first `skip`.
    #[track_caller]
    pub fn sees(&self, skip: usize, request: &str) {
        wait::eventually(wait::SOON, &format!("a request `{request}`"), || {
            let requests = self.requests();
            let found = requests.iter().skip(skip).any(|seen| seen.starts_with(request));
            if found { Ok(()) } else { Err(requests.join(", ")) }
        });
    }
}

impl Drop for SocketProxy {
    fn drop(&mut self) {
        held(&self.state).over = true;
        self.cut();
        let _ = UnixStream::connect(self.socket());
    }
}

fn held(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(client: UnixStream, target: &Path, state: &Arc<Mutex<State>>) -> io::Result<()> {
    if held(state).mode == Mode::Refuse {
        return Ok(());
    }
    let server = UnixStream::connect(target)?;
    held(state).open.push((client.try_clone()?, server.try_clone()?));
    let events = Arc::new(AtomicBool::new(false));
    let (up, down) = ((client.try_clone()?, server.try_clone()?), (server, client));
    let (shared, is_events) = (Arc::clone(state), Arc::clone(&events));
    thread::spawn(move || {
        let _ = requests(&up.0, &up.1, &shared, &is_events);
        let _ = up.1.shutdown(Shutdown::Write);
    });
    let shared = Arc::clone(state);
    thread::spawn(move || {
        let _ = answers(&down.0, &down.1, &shared, &events);
        let _ = down.1.shutdown(Shutdown::Both);
    });
    Ok(())
}

/// From the client to the engine, request by request.
fn requests(
    client: &UnixStream,
    mut server: &UnixStream,
    state: &Mutex<State>,
    events: &AtomicBool,
) -> io::Result<()> {
    let mut input = BufReader::new(client);
    loop {
        let (mut head, mut length) = (Vec::new(), 0);
        loop {
            let start = head.len();
            if input.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
            let line = String::from_utf8_lossy(&head[start..]).to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let first = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = unversioned(path);
        events.store(path.starts_with("/events"), SeqCst);
        let denied = {
            let mut state = held(state);
            state.requests.push(format!("{method} {path}"));
            state.denied.iter().any(|denied| path.starts_with(denied))
        };
        if denied {
            let text = "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n";
            let answer = format!(
                "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                text.len()
            );
            let mut output = client;
            output.write_all(answer.as_bytes())?;
            return client.shutdown(Shutdown::Both);
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        stall(state);
        server.write_all(&head)?;
        server.write_all(&body)?;
    }
}

/// From the engine to the client, as it comes.
fn answers(
    mut server: &UnixStream,
    mut client: &UnixStream,
    state: &Mutex<State>,
    events: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let length = server.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        stall(state);
        let lost =
            held(state).mode == Mode::LoseEvents && events.load(SeqCst) && !buffer.starts_with(b"HTTP/");
        if !lost {
            client.write_all(&buffer[..length])?;
        }
    }
}

/// Holds what passes while the mode says so.
fn stall(state: &Mutex<State>) {
    while held(state).mode == Mode::Stall && !held(state).over {
        thread::sleep(Duration::from_millis(5));
    }
}

/// `/v1.41/events?…` is `/events?…`.
fn unversioned(path: &str) -> &str {
    let rest = path.strip_prefix("/v").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    rest.and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or(path)
}
