//! The backend of the end-to-end tests: an HTTP/1.1 server that tells what reached it and misbehaves on request.
//! std only, so that plain `rustc -O -C target-feature=+crt-static` builds it in a second and it runs `FROM scratch`.
//!
//! `backend [PORT…]` serves (`PORTS=8080,9000`, default 8080; port 0 picks a free one and prints it); environment:
//! `NAME` (in every answer; default: the host name), `HOST` (address to bind, default all), `STOP` (what SIGTERM does:
//! `graceful`, `patient` (serves on until nobody asks any more), `abrupt` or `ignore`), `START_DELAY_MS` (listen later), `HEALTH=off` (unhealthy until told otherwise),
//! `TELL=ids` (a line for each request with an `id` in its query, as soon as its head is there).
//! `backend health [PORT]` exits 0 if `/health` there answers 200. `backend get URL` prints an answer's body.
//! What the paths do is in `answers.rs`.

mod answers;
mod connection;
mod websocket;

use std::{
    env,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// What all connections share.
pub struct Shared {
    pub name: String,
    /// Whether it says which requests it sees.
    pub tells: bool,
    pub healthy: AtomicBool,
    pub requests: AtomicU64,
    /// The same without those that only ask how it is.
    pub wanted: AtomicU64,
    pub connections: AtomicU64,
    pub active: AtomicUsize,
}

/// Set by SIGTERM: finish what runs, take nothing new.
pub static STOPPING: AtomicBool = AtomicBool::new(false);
static LISTENERS: [AtomicI32; 16] = [const { AtomicI32::new(-1) }; 16];

/// Process 1 of a container ignores SIGTERM unless it has a handler, and std has no signals: hence these three.
mod system {
    unsafe extern "C" {
        pub fn signal(number: i32, action: usize) -> usize;
        pub fn shutdown(socket: i32, how: i32) -> i32;
        pub fn _exit(code: i32) -> !;
    }
    pub const SIGTERM: i32 = 15;
    pub const IGNORE: usize = 1;
}

extern "C" fn stop_gracefully(_: i32) {
    STOPPING.store(true, SeqCst);
    for listener in &LISTENERS {
        let socket = listener.load(SeqCst);
        if socket >= 0 {
            // A blocked `accept` returns with an error.
            unsafe { system::shutdown(socket, 2) };
        }
    }
}

/// Set by SIGTERM where that is to be followed after a moment only.
static TOLD: AtomicBool = AtomicBool::new(false);

extern "C" fn stop_patiently(_: i32) {
    TOLD.store(true, SeqCst);
}

/// Until whoever sends requests has heard that no more are wanted.
fn be_patient(shared: &Shared) {
    const NAP: Duration = Duration::from_millis(10);
    const QUIET: u32 = 30;
    const MOST: Duration = Duration::from_secs(5);
    while !TOLD.load(SeqCst) {
        thread::sleep(NAP);
    }
    let (told, mut naps, mut wanted) = (Instant::now(), 0, 0);
    // Naps and not time: on a machine that stands still nobody can ask either.
    while naps < QUIET && told.elapsed() < MOST {
        thread::sleep(NAP);
        let now = shared.wanted.load(SeqCst);
        naps = if now == wanted { naps + 1 } else { 0 };
        wanted = now;
    }
    stop_gracefully(0);
}

extern "C" fn stop_abruptly(_: i32) {
    unsafe { system::_exit(143) }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("health") => health(arguments.get(1).map_or("8080", String::as_str)),
        Some("get") => get(arguments.get(1).map_or("", String::as_str)),
        _ => serve(&arguments),
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn serve(arguments: &[String]) -> ExitCode {
    let stop = variable("STOP");
    let action = match stop.as_deref() {
        Some("ignore") => system::IGNORE,
        Some("abrupt") => stop_abruptly as *const () as usize,
        Some("patient") => stop_patiently as *const () as usize,
        _ => stop_gracefully as *const () as usize,
    };
    unsafe { system::signal(system::SIGTERM, action) };
    if let Some(delay) = variable("START_DELAY_MS").and_then(|text| text.parse().ok()) {
        thread::sleep(Duration::from_millis(delay));
    }
    let shared = Arc::new(Shared {
        name: variable("NAME").unwrap_or_else(host_name),
        tells: variable("TELL").is_some(),
        healthy: AtomicBool::new(variable("HEALTH").as_deref() != Some("off")),
        requests: AtomicU64::new(0),
        connections: AtomicU64::new(0),
        wanted: AtomicU64::new(0),
        active: AtomicUsize::new(0),
    });
    if stop.as_deref() == Some("patient") {
        let shared = Arc::clone(&shared);
        thread::spawn(move || be_patient(&shared));
    }
    let from_environment = variable("PORTS").unwrap_or_else(|| "8080".to_owned());
    let ports: Vec<&str> = if arguments.is_empty() {
        from_environment.split(',').collect()
    } else {
        arguments.iter().map(String::as_str).collect()
    };
    let mut accepting = Vec::new();
    for (slot, port) in LISTENERS.iter().zip(ports) {
        let listener = match bind(port.trim()) {
            Ok(listener) => listener,
            Err(error) => {
                eprintln!("backend: cannot listen on port {port}: {error}");
                return ExitCode::from(2);
            }
        };
        slot.store(std::os::fd::AsRawFd::as_raw_fd(&listener), SeqCst);
        println!(
            "listening on {}",
            listener.local_addr().map_or_else(|_| port.to_owned(), |address| address.to_string())
        );
        let shared = Arc::clone(&shared);
        accepting.push(thread::spawn(move || accept(&listener, &shared)));
    }
    for thread in accepting {
        let _ = thread.join();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while shared.active.load(SeqCst) > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(2));
    }
    ExitCode::SUCCESS
}

fn bind(port: &str) -> std::io::Result<TcpListener> {
    if let Some(host) = variable("HOST") {
        return TcpListener::bind(format!("{host}:{port}"));
    }
    TcpListener::bind(format!("[::]:{port}")).or_else(|_| TcpListener::bind(format!("0.0.0.0:{port}")))
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !STOPPING.load(SeqCst) {
        let Ok((stream, _)) = listener.accept() else { continue };
        let shared = Arc::clone(shared);
        shared.active.fetch_add(1, SeqCst);
        let spawned = thread::Builder::new().stack_size(256 * 1024).spawn(move || {
            let _ = connection::serve(&stream, &shared);
            shared.active.fetch_sub(1, SeqCst);
        });
        if let Err(error) = spawned {
            eprintln!("backend: {error}");
        }
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/etc/hostname")
        .map_or_else(|_| "backend".to_owned(), |name| name.trim().to_owned())
}

fn health(port: &str) -> ExitCode {
    match fetch(&format!("127.0.0.1:{port}"), "/health") {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn get(url: &str) -> ExitCode {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    match fetch(&address, &format!("/{path}")) {
        Ok(answer) => {
            println!("{}", answer.split_once("\r\n\r\n").map_or("", |(_, body)| body));
            if answer.starts_with("HTTP/1.1 2") { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("backend: {url}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn fetch(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
