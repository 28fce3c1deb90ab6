//! What the end-to-end tests stand on: an engine and its containers, backends, a running Portolan, a socket proxy
//! that fails on request, a raw HTTP client, and one way to wait.
//!
//! Everything made here carries this run's id (a label on containers, networks and images, a variable in the environment
//! of processes) and is gone when its value is dropped, after a panic too; `tests/run` sweeps up after a kill.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a tool box outside the program: it blocks, it reads the clock and the environment, it talks to the tester"
)]

pub mod authority;
pub mod backend;
pub mod container;
pub mod engine;
pub mod http;
pub mod manifest;
pub mod portolan;
pub mod private_engine;
pub mod process;
pub mod socket_proxy;
pub mod tls_backend;
pub mod wait;

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The label that everything in an engine carries; outside `portolan.`, where an unknown label is a warning.
pub const RUN_LABEL: &str = "dev.portolan.test";

/// This run's id: `tests/run` says it, `cargo test` alone is `local`.
pub fn run_id() -> String {
    env::var("PORTOLAN_TEST_RUN").unwrap_or_else(|_| "local".to_owned())
}

/// A folder that is removed at the end of the test.
pub fn scratch() -> tempfile::TempDir {
    let parent = env::var_os("PORTOLAN_TEST_SCRATCH").map_or_else(env::temp_dir, PathBuf::from);
    tempfile::Builder::new().prefix("portolan-").tempdir_in(parent).expect("a temporary folder")
}

/// `name` and something that no other test of any process on this machine has; a valid DNS label.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Says that a test leaves something out because `part` is missing; where the CI runs, that is a failure.
pub fn left_out(part: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(env::var("CI").as_deref() != Ok("true"), "{part} is missing, and CI=true");
    eprintln!("left out: {test}: {part}");
    if let Ok(list) = env::var("PORTOLAN_TEST_SKIPS")
        && let Ok(mut list) = File::options().create(true).append(true).open(list)
    {
        let _ = writeln!(list, "{test}: {part}");
    }
}

/// A figure for who reads the output of the tests.
pub fn note(text: &str) {
    eprintln!("{}: {text}", std::thread::current().name().unwrap_or("a test"));
}

/// Runs a command to its end; its standard output, or what it said when it failed.
pub fn output(command: &mut Command) -> Result<String, String> {
    let Output { status, stdout, stderr } =
        command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&stdout).trim_end().to_owned();
    if status.success() {
        return Ok(text);
    }
    Err(format!("{command:?}: {status}\n{text}\n{}", String::from_utf8_lossy(&stderr).trim_end()))
}

/// The static program `tests/programs/NAME`, built when its sources are newer.
pub fn program(name: &str) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name);
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs").join(name);
    fs::create_dir_all(built.parent().expect("a folder")).expect("the folder of the programs");
    let _alone = lock(&built.with_extension("lock"));
    let changed = |path: &Path| fs::metadata(path).and_then(|facts| facts.modified()).ok();
    let newest = fs::read_dir(&sources)
        .expect("the program's sources")
        .flatten()
        .filter_map(|f| changed(&f.path()))
        .max();
    if changed(&built) < newest {
        let fresh = built.with_extension("new");
        let mut rustc = Command::new("rustc");
        rustc.args([
            "-O",
            "--edition",
            "2024",
            "-C",
            "target-feature=+crt-static",
            "-C",
            "strip=symbols",
            "-o",
        ]);
        output(rustc.arg(&fresh).arg(sources.join("main.rs"))).expect("the program builds");
        fs::rename(&fresh, &built).expect("the program moves into place");
    }
    built
}

/// Holds a lock that all test processes of this machine share, until it is dropped.
pub fn lock(path: &Path) -> File {
    let file = File::create(path).expect("a lock file");
    file.lock().expect("the lock");
    file
}

/// The optimized static binary that `tests/run` builds.
pub fn static_binary() -> Option<PathBuf> {
    env::var_os("PORTOLAN_TEST_BINARY").map(PathBuf::from)
}

/// The binary under test: the optimized one, or the one that cargo built beside this test.
pub fn binary() -> PathBuf {
    static_binary().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_portolan")))
}

/// Whether more wants to run on this machine than it has cores.
pub fn is_busy() -> bool {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    load > f64::from(u32::try_from(cores).unwrap_or(u32::MAX))
}

/// An address of loopback that is this process's own, so that fixed ports on it meet nobody else's.
pub fn own_address() -> std::net::Ipv4Addr {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    static PROCESS: LazyLock<[u8; 4]> = LazyLock::new(|| std::process::id().to_be_bytes());
    let last =
        u8::try_from(COUNT.fetch_add(1, Ordering::Relaxed)).expect("fewer than 256 addresses in one process");
    std::net::Ipv4Addr::new(127, PROCESS[2], PROCESS[3], last)
}
