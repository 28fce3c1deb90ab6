//! The load, and what it costs the proxy.

use std::{
    fmt,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

use crate::{
    peers::Site,
    process::{LOAD_CORE, Running, on_core},
    scenario::{Protocol, Scenario},
};

/// What one run said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// CPU time of the proxy for a request; bytes for a connection where connections are idle.
    pub(crate) cpu_micros: f64,
    pub(crate) requests_per_second: f64,
    /// The time within which 99 of 100 requests are answered, in microseconds.
    pub(crate) p99_micros: f64,
    /// Resident memory before any load, in bytes.
    pub(crate) memory: u64,
}

/// Of a load generator.
struct Loaded {
    requests: f64,
    per_second: f64,
    p99_micros: f64,
}

const CONNECTIONS: usize = 64;
const IDLE_CONNECTIONS: usize = 2_000;

pub(crate) fn measure(
    site: &Site,
    proxy: &Running,
    scenario: &Scenario,
    seconds: u32,
) -> anyhow::Result<Measured> {
    let memory = proxy.memory();
    if scenario.protocol == Protocol::Idle {
        return idle(site, proxy, memory);
    }
    // Once before, so that pools are filled and code is warm.
    load(site, scenario, 1)?;
    let before = proxy.cpu_micros()?;
    let loaded = load(site, scenario, seconds)?;
    let spent = proxy.cpu_micros()? - before;
    Ok(Measured {
        cpu_micros: spent / loaded.requests,
        requests_per_second: loaded.per_second,
        p99_micros: loaded.p99_micros,
        memory,
    })
}

fn load(site: &Site, scenario: &Scenario, seconds: u32) -> anyhow::Result<Loaded> {
    match scenario.protocol {
        Protocol::Http2 => h2load(site, scenario, seconds),
        Protocol::KeepAlive
        | Protocol::NewConnection
        | Protocol::TlsKeepAlive
        | Protocol::TlsNewConnection
        | Protocol::Idle => wrk(site, scenario, seconds),
    }
}

fn wrk(site: &Site, scenario: &Scenario, seconds: u32) -> anyhow::Result<Loaded> {
    let is_new = scenario.protocol.is_new();
    let script = site.folder.join("load.lua");
    std::fs::write(&script, lua(scenario))?;
    let mut command = on_core(LOAD_CORE, "wrk");
    command.args(["--threads", "1", "--latency", "--timeout", "10s"]);
    command.args(["--connections", &CONNECTIONS.to_string(), "--duration", &format!("{seconds}s")]);
    command.arg("--script").arg(&script).arg(site.url(scenario));
    let output = output(command)?;
    let failures = output.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors"));
    // A connection that is closed on purpose may be counted as a read error.
    ensure!(failures.is_none_or(|line| is_new && line.contains("Socket")), "failed requests: {output}");
    let value = |after: &str| output.lines().find_map(|line| line.trim().strip_prefix(after).map(str::trim));
    let requests =
        output.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse::<f64>().ok());
    Ok(Loaded {
        requests: requests.with_context(|| format!("wrk: {output}"))?,
        per_second: value("Requests/sec:").and_then(|text| text.parse().ok()).context("wrk names no rate")?,
        p99_micros: value("99%").and_then(micros).context("wrk names no latency")?,
    })
}

/// A script for wrk: the host of each request.
fn lua(scenario: &Scenario) -> String {
    let connection = if scenario.protocol.is_new() { "close" } else { "keep-alive" };
    let path = scenario.path;
    if scenario.hosts == 1 {
        return format!(
            "wrk.headers['Host'] = 'h0.example.com'\nwrk.headers['Connection'] = '{connection}'\nwrk.path = '{path}'\n"
        );
    }
    // A step without a common divisor visits all of them in an order that no cache foresees.
    format!(
        "local at = 0\nlocal all = {}\nlocal made = {{}}\n\
         function init(args)\n  for i = 0, math.min(all, 20000) - 1 do\n    local host = (i * 7919) % all\n    \
         made[i] = wrk.format('GET', '{path}', {{ Host = 'h' .. host .. '.example.com' }})\n  end\nend\n\
         function request()\n  at = (at + 1) % math.min(all, 20000)\n  return made[at]\nend\n",
        scenario.hosts
    )
}

fn h2load(site: &Site, scenario: &Scenario, seconds: u32) -> anyhow::Result<Loaded> {
    let mut command = on_core(LOAD_CORE, "h2load");
    command.args(["--threads", "1", "--clients", "16", "--max-concurrent-streams", "16"]);
    command.args(["--duration", &seconds.to_string(), "--header", ":authority: h0.example.com"]);
    command.arg(site.url(scenario));
    let output = output(command)?;
    // `requests: 1 total, 1 started, 1 done, 1 succeeded, 0 failed, 0 errored, 0 timeout`
    let line = output
        .lines()
        .find(|line| line.starts_with("requests:"))
        .with_context(|| format!("h2load: {output}"))?;
    let part = |name: &str| -> Option<f64> {
        line.trim_start_matches("requests:")
            .split(',')
            .find_map(|part| part.trim().strip_suffix(name)?.trim().parse().ok())
    };
    let succeeded = part("succeeded").context("h2load names no successes")?;
    ensure!(succeeded > 0.0 && part("failed") == Some(0.0), "failed requests: {output}");
    // `time for request: min max mean sd …`: h2load has no percentiles; the worst stands in.
    let worst = output
        .lines()
        .find_map(|line| line.strip_prefix("time for request:")?.split_whitespace().nth(1).and_then(micros));
    Ok(Loaded {
        requests: succeeded,
        per_second: succeeded / f64::from(seconds),
        p99_micros: worst.context("h2load names no latency")?,
    })
}

/// Opens connections, asks once on each, and leaves them open.
fn idle(site: &Site, proxy: &Running, memory: u64) -> anyhow::Result<Measured> {
    let mut connections = Vec::new();
    for _ in 0..IDLE_CONNECTIONS {
        let mut stream = TcpStream::connect(("127.0.0.1", site.http_port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET /small HTTP/1.1\r\nHost: h0.example.com\r\n\r\n")?;
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer)?;
        ensure!(
            buffer[..read].starts_with(b"HTTP/1.1 200"),
            "a request of {IDLE_CONNECTIONS} was not answered"
        );
        connections.push(stream);
    }
    let with = proxy.memory();
    #[expect(clippy::cast_precision_loss, reason = "bytes of one process")]
    let each = with.saturating_sub(memory) as f64 / IDLE_CONNECTIONS as f64;
    Ok(Measured { cpu_micros: each, requests_per_second: 0.0, p99_micros: 0.0, memory })
}

fn output(mut command: Command) -> anyhow::Result<String> {
    let output =
        command.stderr(Stdio::piped()).output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `1.20ms`, `350us` or `2s`.
fn micros(text: &str) -> Option<f64> {
    let (number, factor) = match text {
        _ if text.ends_with("us") => (text.strip_suffix("us")?, 1.0),
        _ if text.ends_with("ms") => (text.strip_suffix("ms")?, 1e3),
        _ => (text.strip_suffix('s')?, 1e6),
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// Whether a program is on the path.
pub(crate) fn is_installed(program: &Path) -> bool {
    if program.components().count() > 1 {
        return program.is_file();
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

// === impl Measured ===

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8.2} {:9.0}/s p99 {:7.0} us", self.cpu_micros, self.requests_per_second, self.p99_micros)
    }
}
