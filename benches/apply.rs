//! How long it takes from the rename of a file to the first answer of its route, among many others, and what that costs
//! the requests that are under way: `cargo bench --bench apply`.
//!
//! The program that is measured is the one of this build, or what `PORTOLAN_TEST_BINARY` names. Two layouts: a file for
//! each route, and a thousand routes in each file. A number as argument is the number of routes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench fails by ending, and its output is its result"
)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const ROUTES: usize = 10_000;
const ROUNDS: usize = 20;
/// Between two renames: what is done after a route is live is over by then.
const PAUSE: Duration = Duration::from_millis(1_500);
/// How long the load is measured before anything changes.
const QUIET: Duration = Duration::from_secs(2);
/// Each connection of the load asks this often.
const EVERY: Duration = Duration::from_millis(2);
const CONNECTIONS: usize = 4;
/// Requests that begin this long after a rename are held to be those that a swap may touch.
const TOUCHED: Duration = Duration::from_millis(300);

fn main() {
    let routes = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(ROUTES);
    println!(
        "{:<22} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10} {:>10}",
        "layout", "routes", "min ms", "med ms", "max ms", "quiet p99", "swap p99", "swap max"
    );
    measure("a file each", routes, 1);
    measure("a thousand a file", routes, 1_000);
}

fn measure(name: &str, routes: usize, in_a_file: usize) {
    let folder = tempfile::tempdir().unwrap();
    let documents = folder.path().join("documents");
    fs::create_dir(&documents).unwrap();
    let backend = backend();
    let text = format!(
        "apiVersion: portolan.dev/v1alpha1\nkind: Backend\nmetadata:\n  name: a\nspec:\n  endpoints:\n  - address: {}\n    \
         port: {}\n",
        backend.ip(),
        backend.port()
    );
    fs::write(documents.join("backend.yaml"), text).unwrap();
    let numbers: Vec<usize> = (0..routes).collect();
    for (index, numbers) in numbers.chunks(in_a_file).enumerate() {
        let text: Vec<String> = numbers.iter().map(|number| route(&format!("r{number}"))).collect();
        fs::write(documents.join(format!("{index:05}.yaml")), text.join("---\n")).unwrap();
    }
    let program = Program::start(&documents, folder.path());
    program.answers(&format!("r{}", routes - 1), Duration::from_mins(2));
    let written = folder.path().join("state/documents.json");
    while !written.exists() {
        thread::sleep(PAUSE);
    }
    let load = Load::start(program.http, routes);
    // What is compared with: the load alone.
    thread::sleep(QUIET);
    let (mut times, mut renamed) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let host = format!("new{round}");
        fs::write(folder.path().join("next"), route(&host)).unwrap();
        let begin = Instant::now();
        fs::rename(folder.path().join("next"), documents.join(format!("{host}.yaml"))).unwrap();
        program.answers(&host, Duration::from_secs(20));
        times.push(begin.elapsed());
        renamed.push(begin);
        thread::sleep(PAUSE);
    }
    let (quiet, touched) = load.stop(&renamed);
    times.sort();
    println!(
        "{name:<22} {routes:>8} {:>8.1} {:>8.1} {:>8.1} {:>10.2} {:>10.2} {:>10.2}",
        milliseconds(times.first()),
        milliseconds(times.get(times.len() / 2)),
        milliseconds(times.last()),
        milliseconds(quiet.get(quiet.len() * 99 / 100)),
        milliseconds(touched.get(touched.len() * 99 / 100)),
        milliseconds(touched.last()),
    );
}

fn milliseconds(time: Option<&Duration>) -> f64 {
    time.copied().unwrap_or_default().as_secs_f64() * 1e3
}

fn route(name: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: {name}\nspec:\n  hostnames: \
         [{name}.example.com]\n  rules:\n  - matches:\n    - path: {{type: PathPrefix, value: /}}\n    backendRefs:\n    - \
         {{group: portolan.dev, kind: Backend, name: a}}\n"
    )
}

// === the backend ===

/// Answers every request at once.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut buffer = [0; 4096];
    while let Ok(1..) = stream.read(&mut buffer) {
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

// === the program ===

struct Program {
    child: Child,
    http: SocketAddr,
}

impl Program {
    fn start(documents: &Path, state: &Path) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (http, binary) = (free(), std::env::var_os("PORTOLAN_TEST_BINARY"));
        let binary = binary.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_portolan")), PathBuf::from);
        let mut child = Command::new(binary)
            .args(["run", "--docker", "off", "--https", "off", "--admin", "off", "--access-log", "off"])
            .args(["--log-level", &std::env::var("LEVEL").unwrap_or_else(|_| "warn".to_owned())])
            .arg("--http")
            .arg(http.to_string())
            .arg("--state-dir")
            .arg(state.join("state"))
            .arg("--config")
            .arg(documents)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = child.stderr.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                println!("  {line}");
            }
        });
        Self { child, http }
    }

    /// Asks until the route is there.
    fn answers(&self, name: &str, patience: Duration) {
        let begin = Instant::now();
        let mut stream = None;
        while begin.elapsed() < patience {
            stream = stream.or_else(|| connect(self.http));
            if let Some(open) = &mut stream {
                match ask(open, name) {
                    Some(true) => return,
                    Some(false) => {}
                    None => stream = None,
                }
            }
            thread::sleep(Duration::from_micros(200));
        }
        panic!("{name} is not served");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    Some(stream)
}

/// Whether the answer is 200; `None` if there is none.
fn ask(stream: &mut TcpStream, name: &str) -> Option<bool> {
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {name}.example.com\r\n\r\n").as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        answer.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some(head.starts_with("http/1.1 200"));
        }
    }
}

// === the load ===

/// Begin and length of each request.
type Seen = Vec<(Instant, Duration)>;

struct Load {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(http: SocketAddr, routes: usize) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::new())));
        let threads = (0..CONNECTIONS).map(|index| {
            let (stop, seen) = (stop.clone(), seen.clone());
            thread::spawn(move || {
                let mut stream = connect(http).unwrap();
                let mut own = Seen::new();
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("r{}", (index * 7_919 + own.len() * 31) % routes);
                    let begin = Instant::now();
                    assert_eq!(ask(&mut stream, &name), Some(true), "the load is answered");
                    own.push((begin, begin.elapsed()));
                    thread::sleep(EVERY);
                }
                seen.lock().unwrap().extend(own);
            })
        });
        let threads = threads.collect();
        Self { stop, seen, threads }
    }

    /// The lengths of requests away from renames and near them; sorted.
    fn stop(self, renamed: &[Instant]) -> (Vec<Duration>, Vec<Duration>) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        let seen = self.seen.lock().unwrap();
        let is_touched = |(begin, length): &&(Instant, Duration)| {
            renamed.iter().any(|at| *begin + *length >= *at && *begin < *at + TOUCHED)
        };
        let lengths = |touched: bool| {
            let mut lengths: Vec<Duration> =
                seen.iter().filter(|one| is_touched(one) == touched).map(|(_, length)| *length).collect();
            lengths.sort();
            lengths
        };
        (lengths(false), lengths(true))
    }
}
